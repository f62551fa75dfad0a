"""Images with the channels last, (N, spatial axes..., C): where their windows lie, and their padding.

With the channels last, what a kernel reads at one position is runs of contiguous elements, and one run starts a fixed
number of elements behind the same run at another position.  Two tables say everything about the geometry of windows, on
any number of axes: where the window of each output position starts, and where each run starts within a window.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.geometry import Windows
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.simd import TILE_ROWS
from onnxlite.kernels.numba.machine.threads import parallel_for

#: The elements that one piece of work pads.
_PADDED_PIECE = 16384


class Padding(NamedTuple):
    """How one image is copied into its padded form: lengths in elements; missing spatial axes have length 1."""

    depth: int
    height: int
    width: int
    channels: int
    begin_depth: int
    begin_height: int
    begin_width: int
    padded_depth: int
    padded_height: int
    padded_width: int


class Patches(NamedTuple):
    """The windows of a kernel on one (padded) image.

    ``starts`` holds the first element of the window of each output position, repeated at the end for whole tiles;
    ``taps`` the first element of each run within a window, and ``run`` its length.  ``padding`` is None where the image
    needs no copy.
    """

    starts: Array
    taps: Array
    run: int
    image_size: int
    padding: Padding | None

    @property
    def padded_size(self) -> int:
        """The elements of the padded image, 0 if there is none."""
        p = self.padding
        return 0 if p is None else p.padded_depth * p.padded_height * p.padded_width * p.channels


def patches(where: Windows, channels: int, group_channels: int, *, merge: bool = True) -> Patches:
    """The patches of windows on images of ``channels``, of which a kernel reads ``group_channels`` neighbouring ones.

    Where a kernel reads all channels without dilation, its taps along the last spatial axis can be merged to one run.
    """
    missing = 3 - len(where.image)
    image, kernel, strides, dilations, output = (
        (1,) * missing + values for values in (where.image, where.kernel, where.strides, where.dilations, where.output)
    )
    begins = (0,) * missing + where.begins
    reach = (1,) * missing + where.reach
    padded = tuple(max(length + begin, r) for length, begin, r in zip(image, begins, reach, strict=True))
    padding = None if padded == image else Padding(*image, channels, *begins, *padded)  # type: ignore[call-arg]
    steps = (padded[1] * padded[2] * channels, padded[2] * channels, channels)
    starts = _table(output, [step * stride for step, stride in zip(steps, strides, strict=True)])
    merged = merge and group_channels == channels and dilations[2] == 1
    counted = (*kernel[:2], 1) if merged else kernel
    taps = _table(counted, [step * dilation for step, dilation in zip(steps, dilations, strict=True)])
    run = group_channels * kernel[2] if merged else group_channels
    filled = np.concatenate([starts, np.repeat(starts[-1:], TILE_ROWS)])
    return Patches(filled, taps, run, math.prod(image) * channels, padding)


def _table(counts: tuple[int, ...], steps: list[int]) -> Array:
    """The offsets of all positions of a grid, the last axis fastest."""
    axes = [np.arange(count, dtype=np.int64) * step for count, step in zip(counts, steps, strict=True)]
    return np.asarray(functools.reduce(np.add.outer, axes)).reshape(-1)


@jit
def pad_rows(start, stop, thread, x, first, p, fill, padded):  # type: ignore[no-untyped-def]
    """The padded form of the image that starts at an element; a piece is a row of the padded image."""
    length = p.padded_width * p.channels
    before, inside = p.begin_width * p.channels, p.width * p.channels
    for row in range(start, stop):
        z, y = row // p.padded_height - p.begin_depth, row % p.padded_height - p.begin_height
        line = padded[row * length : (row + 1) * length]
        if 0 <= z < p.depth and 0 <= y < p.height:
            line[:before] = fill
            source = first + (z * p.height + y) * inside
            line[before : before + inside] = x[source : source + inside]
            line[before + inside :] = fill
        else:
            line[:] = fill


@jit(inline=True)
def pad_image(pool, x, first, p, fill, padded):  # type: ignore[no-untyped-def]
    """The padded form of the image that starts at an element, on the pool's threads."""
    piece = max(1, _PADDED_PIECE // (p.padded_width * p.channels))
    parallel_for(pool, pad_rows, (x, first, p, fill, padded), p.padded_depth * p.padded_height, piece)
