"""A small object detector of the YOLO family, with a head that needs no non-maximum suppression (YOLOv10, 2024).

A backbone of split and merged bottlenecks, a pyramid that goes up and down, and for each cell of three grids a box as
distributions over distances and a score per class; the best 300 are the answer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.export.save import Export, settle

_CLASSES, _BINS, _KEPT, _SIDE = 80, 16, 300, 640


class _Convolution(nn.Sequential):
    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs, eps=1e-3),
            nn.SiLU(),
        )


class _Merge(nn.Module):
    """Two halves, one through a row of bottlenecks, all intermediate results joined."""

    def __init__(self, inputs: int, outputs: int, count: int, residual: bool) -> None:
        super().__init__()
        half = outputs // 2
        self.enter, self.leave = _Convolution(inputs, outputs), _Convolution((2 + count) * half, outputs)
        self.bottlenecks = nn.ModuleList(
            nn.Sequential(_Convolution(half, half, 3), _Convolution(half, half, 3)) for _ in range(count)
        )
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        parts = list(self.enter(x).chunk(2, dim=1))
        for bottleneck in self.bottlenecks:
            y = bottleneck(parts[-1])
            parts.append(parts[-1] + y if self.residual else y)
        return self.leave(torch.cat(parts, dim=1))


class _PyramidPooling(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.enter, self.leave = _Convolution(channels, channels // 2), _Convolution(2 * channels, channels)
        self.pool = nn.MaxPool2d(5, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.enter(x)]
        for _ in range(3):
            parts.append(self.pool(parts[-1]))
        return self.leave(torch.cat(parts, dim=1))


class _Head(nn.Module):
    """Boxes and scores for one grid."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.boxes = nn.Sequential(_Convolution(channels, 64, 3), _Convolution(64, 64, 3), nn.Conv2d(64, 4 * _BINS, 1))
        self.scores = nn.Sequential(
            _Convolution(channels, channels, 3, groups=channels),
            _Convolution(channels, _CLASSES),
            _Convolution(_CLASSES, _CLASSES, 3, groups=_CLASSES),
            _Convolution(_CLASSES, _CLASSES),
            nn.Conv2d(_CLASSES, _CLASSES, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.boxes(x), self.scores(x)], dim=1).flatten(2)


class _Detector(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.to_8 = nn.Sequential(
            _Convolution(3, 16, 3, 2),
            _Convolution(16, 32, 3, 2),
            _Merge(32, 32, 1, True),
            _Convolution(32, 64, 3, 2),
            _Merge(64, 64, 2, True),
        )
        self.to_16 = nn.Sequential(_Convolution(64, 128, 3, 2), _Merge(128, 128, 2, True))
        self.to_32 = nn.Sequential(_Convolution(128, 256, 3, 2), _Merge(256, 256, 1, True), _PyramidPooling(256))
        self.up_16, self.up_8 = _Merge(384, 128, 1, False), _Merge(192, 64, 1, False)
        self.down_16, self.down_32 = _Convolution(64, 64, 3, 2), _Convolution(128, 128, 3, 2)
        self.out_16, self.out_32 = _Merge(192, 128, 1, False), _Merge(384, 256, 1, False)
        self.heads = nn.ModuleList(_Head(channels) for channels in (64, 128, 256))
        self.register_buffer("bins", torch.arange(_BINS, dtype=torch.float32).view(1, 1, _BINS, 1))
        centres, strides = _cells()
        self.register_buffer("centres", centres)
        self.register_buffer("strides", strides)

    def forward(self, image: Tensor) -> Tensor:
        small = self.to_8(image)
        middle = self.to_16(small)
        large = self.to_32(middle)
        up_16 = self.up_16(torch.cat([functional.interpolate(large, scale_factor=2.0), middle], dim=1))
        out_8 = self.up_8(torch.cat([functional.interpolate(up_16, scale_factor=2.0), small], dim=1))
        out_16 = self.out_16(torch.cat([self.down_16(out_8), up_16], dim=1))
        out_32 = self.out_32(torch.cat([self.down_32(out_16), large], dim=1))
        grids = [head(x) for head, x in zip(self.heads, (out_8, out_16, out_32), strict=True)]
        boxes, scores = torch.cat(grids, dim=2).split((4 * _BINS, _CLASSES), dim=1)
        return _best(self._decoded(boxes), scores.sigmoid().transpose(1, 2))

    def _decoded(self, boxes: Tensor) -> Tensor:
        """Corners in pixels, (batch, cells, 4), from distributions over the distances to the four sides."""
        distances = (boxes.view(boxes.shape[0], 4, _BINS, -1).softmax(dim=2) * self.bins).sum(dim=2)
        before, after = distances.chunk(2, dim=1)
        corners = torch.cat([self.centres - before, self.centres + after], dim=1)
        return (corners * self.strides).transpose(1, 2)


def _cells() -> tuple[Tensor, Tensor]:
    """The centres of all cells in units of their stride, (1, 2, cells), and the strides, (1, 1, cells)."""
    centres, strides = [], []
    for stride in (8, 16, 32):
        steps = torch.arange(_SIDE // stride) + 0.5
        y, x = torch.meshgrid(steps, steps, indexing="ij")
        centres.append(torch.stack([x.flatten(), y.flatten()]))
        strides.append(torch.full((1, x.numel()), float(stride)))
    return torch.cat(centres, dim=1)[None], torch.cat(strides, dim=1)[None]


def _best(boxes: Tensor, scores: Tensor) -> Tensor:
    """The 300 best pairs of cell and class: (batch, 300, 6) with corners, score and class."""
    _, cells = scores.amax(dim=2).topk(_KEPT, dim=1)
    boxes = boxes.gather(1, cells[:, :, None].expand(-1, -1, 4))
    scores = scores.gather(1, cells[:, :, None].expand(-1, -1, _CLASSES))
    best, pairs = scores.flatten(1).topk(_KEPT, dim=1)
    boxes = boxes.gather(1, (pairs // _CLASSES)[:, :, None].expand(-1, -1, 4))
    return torch.cat([boxes, best[:, :, None], (pairs % _CLASSES)[:, :, None].to(boxes.dtype)], dim=2)


def build() -> Export:
    """The detector on one 640x640 image."""
    module = settle(_Detector(), torch.randn(2, 3, _SIDE, _SIDE))
    return Export(module, {"image": torch.randn(1, 3, _SIDE, _SIDE)}, ["detections"])
