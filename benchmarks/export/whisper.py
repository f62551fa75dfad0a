"""The encoder of Whisper tiny (Radford et al., 2022): 30 seconds of sound as a spectrogram."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.export.attention import Block
from benchmarks.export.save import Export

_WIDTH, _HEADS, _LAYERS, _BANDS, _FRAMES = 384, 6, 4, 80, 3000


class _Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(_BANDS, _WIDTH, 3, padding=1)
        self.second = nn.Conv1d(_WIDTH, _WIDTH, 3, stride=2, padding=1)
        self.register_buffer("positions", _sinusoids(_FRAMES // 2, _WIDTH))
        self.blocks = nn.ModuleList(Block(_WIDTH, _HEADS, norm_first=True, key_bias=False) for _ in range(_LAYERS))
        self.norm = nn.LayerNorm(_WIDTH)

    def forward(self, spectrogram: Tensor) -> Tensor:
        x = functional.gelu(self.second(functional.gelu(self.first(spectrogram)))).transpose(1, 2) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


def _sinusoids(length: int, width: int) -> Tensor:
    """Sines, then cosines, of wavelengths in a geometric row: (length, width)."""
    rates = torch.exp(-math.log(10000) * torch.arange(width // 2) / (width // 2 - 1))
    angles = torch.arange(length)[:, None] * rates[None]
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def build() -> Export:
    """The encoder on one spectrogram of 3000 frames."""
    return Export(_Encoder(), {"spectrogram": torch.randn(1, _BANDS, _FRAMES)}, ["hidden_states"])
