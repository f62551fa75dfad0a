"""GPT-2 small (Radford et al., 2019): one step of decoding, with the keys and values of the tokens before."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.export.save import Export

_WIDTH, _HEADS, _LAYERS, _WORDS, _POSITIONS, _PAST = 768, 12, 12, 50257, 1024, 128


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(_WIDTH), nn.LayerNorm(_WIDTH)
        self.projection, self.output = nn.Linear(_WIDTH, 3 * _WIDTH), nn.Linear(_WIDTH, _WIDTH)
        self.widen, self.narrow = nn.Linear(_WIDTH, 4 * _WIDTH), nn.Linear(4 * _WIDTH, _WIDTH)

    def forward(self, x: Tensor, past_key: Tensor, past_value: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value = (self._split(part) for part in self.projection(self.first(x)).split(_WIDTH, dim=2))
        key, value = torch.cat([past_key, key], dim=2), torch.cat([past_value, value], dim=2)
        scores = query @ key.transpose(-1, -2) / (_WIDTH // _HEADS) ** 0.5
        scores = torch.where(mask, scores, torch.finfo(scores.dtype).min)
        attended = (torch.softmax(scores, dim=-1) @ value).transpose(1, 2).flatten(2)
        x = x + self.output(attended)
        return x + self.narrow(functional.gelu(self.widen(self.second(x)), approximate="tanh")), key, value

    @staticmethod
    def _split(x: Tensor) -> Tensor:
        return x.view(x.shape[0], x.shape[1], _HEADS, _WIDTH // _HEADS).transpose(1, 2)


class _Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.positions = nn.Embedding(_WORDS, _WIDTH), nn.Embedding(_POSITIONS, _WIDTH)
        for table in (self.words, self.positions):
            nn.init.normal_(table.weight, std=0.02)
        self.blocks = nn.ModuleList(_Block() for _ in range(_LAYERS))
        self.norm = nn.LayerNorm(_WIDTH)
        self.register_buffer("causal", torch.tril(torch.ones(_POSITIONS, _POSITIONS, dtype=torch.bool))[None, None])

    def forward(self, input_ids: Tensor, *past: Tensor) -> tuple[Tensor, ...]:
        start = past[0].shape[2]
        end = start + input_ids.shape[1]
        x = self.words(input_ids) + self.positions(torch.arange(start, end))
        mask = self.causal[:, :, start:end, :end]
        present: list[Tensor] = []
        for index, block in enumerate(self.blocks):
            x, key, value = block(x, past[2 * index], past[2 * index + 1], mask)
            present += [key, value]
        return functional.linear(self.norm(x), self.words.weight), *present


def build() -> Export:
    """GPT-2 small on one token after 128 others; batch and lengths are open."""
    past = [f"past.{index}.{part}" for index in range(_LAYERS) for part in ("key", "value")]
    present = [name.replace("past", "present") for name in past]
    inputs = {"input_ids": torch.randint(0, _WORDS, (1, 1))}
    inputs |= {name: torch.randn(1, _HEADS, _PAST, _WIDTH // _HEADS) for name in past}
    axes = {0: "batch", 1: "sequence"}
    dynamic = {"input_ids": axes, "logits": axes}
    dynamic |= {name: {0: "batch", 2: "past"} for name in past}
    dynamic |= {name: {0: "batch", 2: "total"} for name in present}
    return Export(_Decoder(), inputs, ["logits", *present], dynamic, {"input_ids": _WORDS})
