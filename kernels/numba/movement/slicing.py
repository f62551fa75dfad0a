"""Slice, Expand and Tile: a block of a tensor, read with other steps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from onnxlite.kernels.axes import normalize_axes, normalize_axis
from onnxlite.kernels.numba.movement.copying import Block, bind_copy, steps_of
from onnxlite.kernels.numba.spec import ArraySpec, Bound, Declined, View
from onnxlite.kernels.numba.table import op


@op("Slice", since=10)
def slice_(
    data: ArraySpec,
    starts: ArraySpec,
    ends: ArraySpec,
    axes: ArraySpec | None = None,
    steps: ArraySpec | None = None,
) -> Bound | View | Declined:
    """``data[start:end:step]`` on each of some axes, the bounds clamped to the dimension (ONNX Slice-13)."""
    given = [None if spec is None else spec.value for spec in (starts, ends, axes, steps)]
    if any(spec is not None and spec.value is None for spec in (starts, ends, axes, steps)):
        return Declined("the bounds are not known before the model runs")
    first, last, along, by = (None if value is None else np.ravel(value).tolist() for value in given)
    assert first is not None
    assert last is not None
    return _sliced(data, first, last, range(len(first)) if along is None else along, by or [1] * len(first))


@op("Slice", since=1, until=1)
def slice_1(
    data: ArraySpec, *, axes: Sequence[int] | None = None, ends: Sequence[int], starts: Sequence[int]
) -> Bound | View | Declined:
    """Slice with attributes, and always in steps of one (ONNX Slice-1)."""
    return _sliced(data, starts, ends, range(len(starts)) if axes is None else axes, [1] * len(starts))


def _sliced(
    data: ArraySpec, starts: Sequence[int], ends: Sequence[int], axes: Sequence[int], steps: Sequence[int]
) -> Bound | View | Declined:
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        return Declined("expected as many starts as ends, axes and steps, and no step of 0")
    size = data.dtype.itemsize
    shape, source_steps, first = list(data.shape), list(steps_of(data.shape, size)), 0
    for axis, start, end, step in zip(normalize_axes(axes, len(shape)), starts, ends, steps, strict=True):
        start, count = _bounds(start, end, step, data.shape[axis])
        first += start * source_steps[axis]
        shape[axis] = count
        source_steps[axis] *= step
    if tuple(shape) == data.shape and min(steps, default=1) > 0:
        return View(data.shape)
    return bind_copy(data, Block(tuple(shape), tuple(source_steps), steps_of(shape, size), size, first), shape)


def _bounds(start: int, end: int, step: int, dim: int) -> tuple[int, int]:
    """The first element of a slice and the number of its elements, the bounds clamped as Slice-13 says."""
    start, end = (bound + dim if bound < 0 else bound for bound in (start, end))
    if step > 0:
        start, end = min(max(start, 0), dim), min(max(end, 0), dim)
    else:
        start, end = max(min(start, dim - 1), 0), min(max(end, -1), dim - 1)
    return start, len(range(start, end, step)) if dim else 0


@op("Expand", since=8)
def expand(x: ArraySpec, shape: ArraySpec) -> Bound | View | Declined:
    """The tensor broadcast together with a shape, in both directions (ONNX Expand-8)."""
    if shape.value is None:
        return Declined("the shape is not known before the model runs")
    result = np.broadcast_shapes(x.shape, tuple(np.ravel(shape.value).tolist()))
    if math.prod(result) == x.size:
        return View(result)
    size = x.dtype.itemsize
    missing = len(result) - len(x.shape)
    steps = [0 if dim == 1 else step for dim, step in zip(x.shape, steps_of(x.shape, size), strict=True)]
    return bind_copy(x, Block(result, (*[0] * missing, *steps), steps_of(result, size), size), result)


@op("Tile", since=6)
def tile(x: ArraySpec, repeats: ArraySpec) -> Bound | View | Declined:
    """The tensor repeated ``repeats[i]`` times along every axis i (ONNX Tile-6)."""
    if repeats.value is None:
        return Declined("the numbers of repeats are not known before the model runs")
    return _tiled(x, np.ravel(repeats.value).tolist())


@op("Tile", since=1, until=1)
def tile_1(x: ArraySpec, tiles: ArraySpec, axis: ArraySpec) -> Bound | View | Declined:
    """The tensor repeated along one axis; count and axis are tensors of one element (ONNX Tile-1)."""
    if tiles.value is None or axis.value is None:
        return Declined("the number of repeats is not known before the model runs")
    counts = [1] * len(x.shape)
    counts[normalize_axis(int(np.ravel(axis.value)[0]), len(x.shape))] = int(np.ravel(tiles.value)[0])
    return _tiled(x, counts)


def _tiled(x: ArraySpec, counts: Sequence[int]) -> Bound | View | Declined:
    if len(counts) != len(x.shape) or min(counts, default=0) < 0:
        return Declined(f"expected {len(x.shape)} repeats, none negative, got {list(counts)}")
    shape = tuple(dim * count for dim, count in zip(x.shape, counts, strict=True))
    if math.prod(counts) == 1:
        return View(shape)
    # Along each axis there are two, of repeats and of elements.
    size = x.dtype.itemsize
    source_steps, target_steps = steps_of(x.shape, size), steps_of(shape, size)
    lengths = [length for pair in zip(counts, x.shape, strict=True) for length in pair]
    sources = [step for own in source_steps for step in (0, own)]
    targets = [step for own, dim in zip(target_steps, x.shape, strict=True) for step in (own * dim, own)]
    return bind_copy(x, Block(tuple(lengths), tuple(sources), tuple(targets), size), shape)
