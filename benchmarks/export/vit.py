"""ViT-B/16 (Dosovitskiy et al., 2020): an image as 196 patches and a class token."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.export.attention import Block
from benchmarks.export.save import Export

_WIDTH, _HEADS, _LAYERS, _PATCH = 768, 12, 12, 16


class _VisionTransformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, _WIDTH, _PATCH, _PATCH)
        self.class_token = nn.Parameter(torch.randn(1, 1, _WIDTH) * 0.02)
        self.positions = nn.Parameter(torch.randn(1, 197, _WIDTH) * 0.02)
        self.blocks = nn.ModuleList(Block(_WIDTH, _HEADS, norm_first=True, epsilon=1e-6) for _ in range(_LAYERS))
        self.norm = nn.LayerNorm(_WIDTH, 1e-6)
        self.head = nn.Linear(_WIDTH, 1000)

    def forward(self, image: Tensor) -> Tensor:
        patches = self.patches(image).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(image.shape[0], -1, -1), patches], dim=1) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


def build() -> Export:
    """ViT-B/16 for 1000 classes of 224x224 images, any number at a time."""
    dynamic = {"image": {0: "batch"}, "logits": {0: "batch"}}
    return Export(_VisionTransformer(), {"image": torch.randn(1, 3, 224, 224)}, ["logits"], dynamic)
