"""MobileNetV2 (Sandler et al., 2018): inverted residuals with depthwise convolutions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.export.save import Export, settle

#: Expansion, channels, repetitions, stride of the first.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(),
    )


class _InvertedResidual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        layers = [_convolution(inputs, hidden, 1)] if expansion > 1 else []
        layers += [
            _convolution(hidden, hidden, 3, stride, groups=hidden),
            nn.Sequential(nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs)),
        ]
        self.layers = nn.Sequential(*layers)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.residual else self.layers(x)


def build() -> Export:
    """MobileNetV2 for 1000 classes of 224x224 images."""
    layers: list[nn.Module] = [_convolution(3, 32, 3, 2)]
    channels = 32
    for expansion, outputs, count, stride in _STAGES:
        for index in range(count):
            layers.append(_InvertedResidual(channels, outputs, stride if index == 0 else 1, expansion))
            channels = outputs
    layers.append(_convolution(channels, 1280, 1))
    module = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(1280, 1000))
    settle(module, torch.randn(4, 3, 224, 224))
    return Export(module, {"image": torch.randn(1, 3, 224, 224)}, ["logits"])
