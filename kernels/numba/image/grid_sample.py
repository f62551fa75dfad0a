"""GridSample of float32 images on one to three axes: some points at a time, whose neighbours serve all channels."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.lanes import load, store
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.machine.views import part
from onnxlite.kernels.numba.spec import FLOAT32, ArraySpec, Bound, Declined, Input, Output, Pool, Scratch
from onnxlite.kernels.numba.table import op

_INT32 = np.dtype(np.int32)

#: The points that are sampled together, and the elements that one piece of work reads, about.
_POINTS, _PIECE = 64, 1 << 14

#: Places in a plane are 32-bit integers.
_MOST = 1 << 31

#: The taps of an axis in each mode, and how positions outside are read.
_TAPS = {"nearest": 1, "linear": 2, "cubic": 4}
_ZEROS, _BORDER, _REFLECTION = range(3)
_PADDINGS = {"zeros": _ZEROS, "border": _BORDER, "reflection": _REFLECTION}


class _Sampling(NamedTuple):
    """The lengths of the image's axes and of its planes, the points of an image, and how they are read."""

    depth: int
    height: int
    width: int
    axes: int
    channels: int
    points: int
    taps: int
    padding: int
    align_corners: int


@jit
def _reflected(position, length, align_corners):  # type: ignore[no-untyped-def]
    """A position mirrored at the borders until it lies between them."""
    low = 0.0 if align_corners else -0.5
    width = length - 1.0 if align_corners else length * 1.0
    if width == 0:
        return low
    distance = abs(position - low)
    if not np.isfinite(distance):
        distance = distance if distance != distance else 0.0
    around = distance % (2 * width)
    return low + min(around, 2 * width - around)


@jit
def _pixel(position, length, s):  # type: ignore[no-untyped-def]
    """The pixel coordinate of a position in [-1, 1], moved where the padding mode says."""
    if s.align_corners:
        point = (position + np.float32(1)) / np.float32(2) * np.float32(length - 1)
    else:
        point = ((position + np.float32(1)) * np.float32(length) - np.float32(1)) / np.float32(2)
    if s.taps == 1:
        point = np.float32(np.rint(point))
    if s.padding != _REFLECTION:
        return point if point != point else min(max(point, np.float32(-4)), np.float32(length + 3))
    low = -0.5 if not s.align_corners else 0.0
    if point < low or point > length - 1 - low:
        return np.float32(_reflected(np.float64(point), length, s.align_corners))
    return point


@jit
def _place(index, length, s):  # type: ignore[no-untyped-def]
    """An index inside the axis, or -1 for an element that is 0."""
    if s.padding == _ZEROS:
        return index if 0 <= index < length else -1
    if s.padding == _REFLECTION:
        index = np.int64(_reflected(np.float64(index), length, s.align_corners))
    return min(max(index, 0), length - 1)


@jit
def _weight(ratio, tap, taps):  # type: ignore[no-untyped-def]
    """The weight of a neighbour: linear, or Keys' cubic convolution."""
    if taps == 1:
        return np.float32(1)
    if taps == 2:
        return ratio if tap == 1 else np.float32(1) - ratio
    a = np.float32(-0.75)
    t = abs(ratio - np.float32(tap - 1))
    if tap == 1 or tap == 2:
        return ((a + np.float32(2)) * t - (a + np.float32(3))) * t * t + np.float32(1)
    return ((a * t - np.float32(5) * a) * t + np.float32(8) * a) * t - np.float32(4) * a


@jit
def _find_neighbours(grid, first, count, places, weights, s):  # type: ignore[no-untyped-def]
    """The neighbours of some points: where they are in a plane (-1: nowhere) and their weights."""
    lengths = (s.depth, s.height, s.width)
    for point in range(count):
        neighbours = 1
        places[0, point], weights[0, point] = 0, np.float32(1)
        for number in range(s.axes):
            length = lengths[3 - s.axes + number]
            position = _pixel(grid[(first + point) * s.axes + s.axes - 1 - number], length, s)
            base = np.floor(position)
            start = (np.int64(-4) if base != base else np.int64(base)) - (s.taps // 2 - 1 if s.taps > 1 else 0)
            # From behind, so that what is read is not overwritten before.
            for old in range(neighbours - 1, -1, -1):
                place, weight = places[old, point], weights[old, point]
                for tap in range(s.taps - 1, -1, -1):
                    index = _place(start + tap, length, s)
                    inside = place >= 0 and index >= 0
                    places[old * s.taps + tap, point] = place * length + index if inside else -1
                    factor = weight * _weight(position - base, tap, s.taps)
                    # What is nowhere weighs nothing, but NaN stays.
                    weights[old * s.taps + tap, point] = factor if inside else factor * np.float32(0)
            neighbours *= s.taps
    return neighbours


@jit(inline=True)
def _add_neighbours(x, corner, places, weights, totals):  # type: ignore[no-untyped-def]
    """Add one neighbour of each point, times its weight."""
    for point in range(totals.size):
        place = load(places, point)
        value = load(x, corner + np.int64(max(place, np.int32(0))))
        totals[point] += (value if place >= 0 else np.float32(0)) * load(weights, point)


@jit(inline=True)
def _take_four(x, corner, places, weights, y, target, count):  # type: ignore[no-untyped-def]
    """The sums of four neighbours; for those that are nowhere, and weigh nothing, stands the plane's first element."""
    near, factors = places.reshape(-1), weights.reshape(-1)
    for point in range(count):
        total = np.float32(0)
        for number in range(4):
            place = max(load(near, number * _POINTS + point), np.int32(0))
            total += load(x, corner + np.int64(place)) * load(factors, number * _POINTS + point)
        store(y, target + point, total)


@jit
def _sample(start, stop, thread, x, grid, y, s, places, weights, sums):  # type: ignore[no-untyped-def]
    plane = s.depth * s.height * s.width
    blocks = -(-s.points // _POINTS)
    near, factors = places[thread], weights[thread]
    for block in range(start, stop):
        image, first = block // blocks, block % blocks * _POINTS
        count = min(_POINTS, s.points - first)
        neighbours = _find_neighbours(grid, image * s.points + first, count, near, factors, s)
        for channel in range(s.channels):
            corner = (image * s.channels + channel) * plane
            target = (image * s.channels + channel) * s.points + first
            if neighbours == 4 and np.isfinite(x[corner]):
                _take_four(x, corner, near, factors, y, target, count)
                continue
            totals = part(sums[thread], 0, count)
            for point in range(count):
                totals[point] = 0
            for number in range(neighbours):
                _add_neighbours(x, corner, near[number], factors[number], totals)
            for point in range(count):
                y[target + point] = totals[point]


@jit
def sample(pool, x, grid, y, s, places, weights, sums, blocks, piece):  # type: ignore[no-untyped-def]
    """Sample all images."""
    parallel_for(pool, _sample, (x, grid, y, s, places, weights, sums), blocks, piece)


@op("GridSample", since=20)
def grid_sample(
    x: ArraySpec, grid: ArraySpec, *, align_corners: int = 0, mode: str = "linear", padding_mode: str = "zeros"
) -> Bound | Declined:
    """x (N, C, D...) sampled at the positions of grid (N, O..., r), normalised to [-1, 1] (ONNX GridSample-22)."""
    rank = len(x.shape) - 2
    if x.dtype != FLOAT32 or grid.dtype != FLOAT32 or mode not in _TAPS or padding_mode not in _PADDINGS:
        return Declined(f"sampling {x.dtype} at {grid.dtype} is not compiled")
    if not 1 <= rank <= 3 or grid.shape[:1] != x.shape[:1] or grid.shape[-1:] != (rank,) or not x.size:
        return Declined("the grid does not fit the image, or has more than three axes: the reference says how")
    if len(grid.shape) != len(x.shape) or not grid.size or x.size > _MOST:
        return Declined("the grid does not fit the image: the reference says how")
    lengths = (1,) * (3 - rank) + x.shape[2:]
    points, taps = math.prod(grid.shape[1:-1]), _TAPS[mode]
    numbers = (lengths[0], lengths[1], lengths[2], rank, x.shape[1], points, taps, _PADDINGS[padding_mode])
    blocks = x.shape[0] * -(-points // _POINTS)
    arguments = (
        *(Pool(), Input(0, flat=True), Input(1, flat=True), Output(flat=True), _Sampling(*numbers, align_corners)),
        Scratch((taps**rank, _POINTS), _INT32, per_thread=True),
        Scratch((taps**rank, _POINTS), per_thread=True),
        Scratch((_POINTS,), per_thread=True),
        *(blocks, max(1, _PIECE // (_POINTS * taps**rank * (x.shape[1] + 8)))),
    )
    return Bound(sample, arguments, (ArraySpec((*x.shape[:2], *grid.shape[1:-1]), FLOAT32),))


@op("GridSample", since=16, until=16)
def grid_sample_16(
    x: ArraySpec, grid: ArraySpec, *, align_corners: int = 0, mode: str = "bilinear", padding_mode: str = "zeros"
) -> Bound | Declined:
    """GridSample of images, with the mode names bilinear and bicubic (ONNX GridSample-16)."""
    return grid_sample(x, grid, align_corners=align_corners, mode=mode.removeprefix("bi"), padding_mode=padding_mode)
