"""BERT-base (Devlin et al., 2018): the encoder with its pooler."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.export.attention import Block
from benchmarks.export.save import Export

_WIDTH, _HEADS, _LAYERS, _WORDS, _POSITIONS, _TOKENS = 768, 12, 12, 30522, 512, 128


class _Bert(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.types = nn.Embedding(_WORDS, _WIDTH), nn.Embedding(2, _WIDTH)
        self.positions = nn.Embedding(_POSITIONS, _WIDTH)
        self.norm = nn.LayerNorm(_WIDTH, 1e-12)
        self.blocks = nn.ModuleList(Block(_WIDTH, _HEADS, norm_first=False, epsilon=1e-12) for _ in range(_LAYERS))
        self.pooler = nn.Linear(_WIDTH, _WIDTH)
        self.register_buffer("indices", torch.arange(_POSITIONS)[None])

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> tuple[Tensor, Tensor]:
        positions = self.positions(self.indices[:, : input_ids.shape[1]])
        x = self.norm(self.words(input_ids) + self.types(token_type_ids) + positions)
        mask = (1.0 - attention_mask[:, None, None, :].to(x.dtype)) * torch.finfo(x.dtype).min
        for block in self.blocks:
            x = block(x, mask)
        return x, torch.tanh(self.pooler(x[:, 0]))


def build() -> Export:
    """BERT-base on 128 tokens; batch and length are open."""
    axes = {0: "batch", 1: "sequence"}
    ids = torch.randint(0, _WORDS, (1, _TOKENS))
    mask = torch.ones(1, _TOKENS, dtype=torch.int64)
    return Export(
        _Bert(),
        {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(mask)},
        ["last_hidden_state", "pooler_output"],
        dynamic={
            "input_ids": axes,
            "attention_mask": axes,
            "token_type_ids": axes,
            "last_hidden_state": axes,
            "pooler_output": {0: "batch"},
        },
        limits={"input_ids": _WORDS, "attention_mask": 2, "token_type_ids": 2},
    )
