"""The operators that put tensors together and take them apart along axes: Concat, Split, Slice, Pad."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array, array_namespace
from onnxlite.kernels.axes import normalize_axes, normalize_axis
from onnxlite.kernels.numpy.table import op


@op("Concat", since=4)
def concat(*inputs: Array, axis: int) -> Array:
    """The tensors one after the other along ``axis``; their other dimensions agree (ONNX Concat-4)."""
    first = inputs[0]
    axis = normalize_axis(axis, first.ndim)
    if any(x.shape[:axis] != first.shape[:axis] or x.shape[axis + 1 :] != first.shape[axis + 1 :] for x in inputs):
        raise ValueError(f"expected equal shapes apart from axis {axis}, got {', '.join(str(x.shape) for x in inputs)}")
    return array_namespace(first).concatenate(inputs, axis=axis)


@op("Concat", since=1, until=1)
def concat_1(*inputs: Array, axis: int | None = None) -> Array:
    """Concat whose axis is 1 unless it is given (ONNX Concat-1)."""
    return concat(*inputs, axis=1 if axis is None else axis)


@op("Split", since=18)
def split(
    x: Array, split: Array | None = None, *, axis: int = 0, num_outputs: int | None = None, output_count: int
) -> tuple[Array, ...]:
    """Consecutive pieces along an axis: of the sizes in ``split``, or equal ones, the last smaller (ONNX Split-18)."""
    if split is not None and num_outputs is not None:
        raise ValueError("expected either the input split or the attribute num_outputs, got both")
    if split is not None or num_outputs is None:
        return split_13(x, split, axis=axis, output_count=output_count)
    dim = x.shape[normalize_axis(axis, x.ndim)]
    chunk = -(-dim // num_outputs)
    if chunk * (num_outputs - 1) > dim:
        raise ValueError(
            f"expected num_outputs that cuts {dim} into equal pieces and a smaller last one, got {num_outputs}"
        )
    return _pieces(x, [chunk] * (num_outputs - 1) + [dim - chunk * (num_outputs - 1)], axis)


@op("Split", since=13, until=13)
def split_13(x: Array, split: Array | None = None, *, axis: int = 0, output_count: int) -> tuple[Array, ...]:
    """Pieces of the sizes in ``split``, or as many equal ones as the node has outputs (ONNX Split-13)."""
    return split_2(x, axis=axis, split=None if split is None else split.reshape(-1).tolist(), output_count=output_count)


@op("Split", since=2, until=11)
def split_2(x: Array, *, axis: int = 0, split: Sequence[int] | None = None, output_count: int) -> tuple[Array, ...]:
    """Split with the sizes as an attribute (ONNX Split-2)."""
    if split is None:
        dim = x.shape[normalize_axis(axis, x.ndim)]
        if dim % output_count:
            raise ValueError(f"expected a dimension that {output_count} outputs share equally, got {dim} (axis {axis})")
        split = [dim // output_count] * output_count
    return _pieces(x, split, axis)


@op("Split", since=1, until=1)
def split_1(
    x: Array,
    lengths: Array | None = None,
    *,
    axis: int | None = None,
    split: Sequence[int] | None = None,
    output_count: int,
) -> tuple[Array, ...]:
    """Split with the sizes as an input of the data's type or as an attribute; axis 0 by default (ONNX Split-1)."""
    sizes = split if lengths is None else [int(length) for length in lengths.reshape(-1).tolist()]
    return split_2(x, axis=axis or 0, split=sizes, output_count=output_count)


def _pieces(x: Array, sizes: Sequence[int], axis: int) -> tuple[Array, ...]:
    """Consecutive views along an axis, of the given sizes."""
    axis = normalize_axis(axis, x.ndim)
    if sum(sizes) != x.shape[axis] or min(sizes, default=0) < 0:
        raise ValueError(f"expected sizes that sum to dimension {axis} of {x.shape}, got {list(sizes)}")
    stops = list(itertools.accumulate(sizes))
    before = (slice(None),) * axis
    return tuple(x[(*before, slice(stop - length, stop))] for length, stop in zip(sizes, stops, strict=True))


@op("Slice", since=10)
def slice_(data: Array, starts: Array, ends: Array, axes: Array | None = None, steps: Array | None = None) -> Array:
    """``data[start:end:step]`` on each of some axes, the bounds clamped to the dimension (ONNX Slice-13)."""
    first, last = starts.reshape(-1).tolist(), ends.reshape(-1).tolist()
    by = [1] * len(first) if steps is None else steps.reshape(-1).tolist()
    return _sliced(data, first, last, range(len(first)) if axes is None else axes.reshape(-1).tolist(), by)


@op("Slice", since=1, until=1)
def slice_1(data: Array, *, axes: Sequence[int] | None = None, ends: Sequence[int], starts: Sequence[int]) -> Array:
    """Slice with attributes, and always in steps of one (ONNX Slice-1)."""
    return _sliced(data, starts, ends, range(len(starts)) if axes is None else axes, [1] * len(starts))


def _sliced(
    data: Array, starts: Sequence[int], ends: Sequence[int], axes: Sequence[int], steps: Sequence[int]
) -> Array:
    if not len(starts) == len(ends) == len(axes) == len(steps):
        counts = f"{len(starts)}, {len(ends)}, {len(axes)} and {len(steps)}"
        raise ValueError(f"expected as many starts as ends, axes and steps, got {counts}")
    index = [slice(None)] * data.ndim
    for axis, start, end, step in zip(normalize_axes(axes, data.ndim), starts, ends, steps, strict=True):
        index[axis] = _bounds(start, end, step, data.shape[axis])
    return data[tuple(index)]


def _bounds(start: int, end: int, step: int, dim: int) -> slice:
    """The Python slice for bounds clamped as Slice-13 says, which is not quite how Python clamps them."""
    if step == 0:
        raise ValueError("expected a step other than 0")
    start, end = (bound + dim if bound < 0 else bound for bound in (start, end))
    if step > 0:
        return slice(min(max(start, 0), dim), min(max(end, 0), dim), step)
    end = min(max(end, -1), dim - 1)
    return slice(max(min(start, dim - 1), 0), None if end < 0 else end, step)


@op("Pad", since=18)
def pad(
    data: Array, pads: Array, constant_value: Array | None = None, axes: Array | None = None, *, mode: str = "constant"
) -> Array:
    """The tensor with elements added (negative: removed) before and after some axes (ONNX Pad-18).

    ``pads`` holds the counts before each axis, then those after.  Modes are ``constant``, ``reflect``, ``edge`` and
    ``wrap``, as in `numpy.pad`; what is removed is removed before the rest is mirrored or repeated.
    """
    value = None if constant_value is None or not constant_value.size else constant_value.reshape(-1)[0]
    return padded(data, _widths(pads.reshape(-1).tolist(), normalize_axes(axes, data.ndim), data), mode, value)


@op("Pad", since=11, until=13)
def pad_11(data: Array, pads: Array, constant_value: Array | None = None, *, mode: str = "constant") -> Array:
    """Pad on all axes (ONNX Pad-11)."""
    return pad(data, pads, constant_value, mode=mode)


@op("Pad", since=2, until=2)
def pad_2(data: Array, *, mode: str = "constant", pads: Sequence[int], value: float = 0.0) -> Array:
    """Pad on all axes, with attributes (ONNX Pad-2)."""
    return padded(data, _widths(pads, range(data.ndim), data), mode, value)


@op("Pad", since=1, until=1)
def pad_1(data: Array, *, mode: str = "constant", paddings: Sequence[int], value: float = 0.0) -> Array:
    """Pad whose counts are called ``paddings`` (ONNX Pad-1)."""
    return pad_2(data, mode=mode, pads=paddings, value=value)


def _widths(pads: Sequence[int], axes: Sequence[int], data: Array) -> list[tuple[int, int]]:
    if len(pads) != 2 * len(axes):
        raise ValueError(f"expected {2 * len(axes)} pads for {len(axes)} axes of {data.shape}, got {len(pads)}")
    widths = [(0, 0)] * data.ndim
    for axis, before, after in zip(axes, pads, pads[len(axes) :], strict=False):
        widths[axis] = (before, after)
    return widths


def padded(data: Array, widths: Sequence[tuple[int, int]], mode: str = "constant", value: Any = None) -> Array:
    """The tensor with ``(before, after)`` elements added to every axis; negative counts remove.

    Args:
        data: The tensor.
        widths: One pair for each axis.
        mode: One of Pad's modes.
        value: What ``constant`` fills with; None means zero, False or the empty string.
    """
    dims = [before + dim + after for dim, (before, after) in zip(data.shape, widths, strict=True)]
    if min(dims, default=0) < 0:
        raise ValueError(f"expected pads that leave no dimension of {data.shape} negative, got {list(widths)}")
    if mode != "constant" and mode not in _SOURCES:
        raise ValueError(f"expected mode constant, reflect, edge or wrap, got {mode!r}")
    xp = array_namespace(data)
    blank = value is None or mode != "constant"
    result = blanks(xp, dims, data.dtype) if blank else xp.full(dims, value, dtype=data.dtype)
    kept, place = [], []
    for dim, (before, after) in zip(data.shape, widths, strict=True):
        first, last = max(0, -before), min(dim, dim + after)
        kept.append(slice(first, max(first, last)))
        place.append(slice(first + before, max(first, last) + before))
    result[tuple(place)] = data[tuple(kept)]
    if mode != "constant" and result.size:
        for axis, inner in enumerate(place):
            _extend(result, axis, inner.start, inner.stop, mode)
    return result


def blanks(xp: Any, shape: Sequence[int], dtype: np.dtype[Any]) -> Array:
    """A tensor into which nothing was written: zeros, False or empty strings (in float8e8m0, its least value)."""
    return xp.full(shape, "", dtype=dtype) if dtype == np.object_ else xp.zeros(shape, dtype=dtype)


def _extend(result: Array, axis: int, start: int, stop: int, mode: str) -> None:
    """Fill a tensor in place outside ``start .. stop-1`` of an axis with what the mode finds inside.

    Axis after axis this fills the corners too: what a later axis copies has been filled by the earlier ones.
    """
    xp = array_namespace(result)
    if start >= stop:
        raise ValueError(f"expected elements to {mode} on axis {axis}, got pads that leave none of them")
    for first, last in ((0, start), (stop, result.shape[axis])):
        if first < last:
            sources = start + _SOURCES[mode](xp, xp.arange(first, last) - start, stop - start)
            result[(slice(None),) * axis + (slice(first, last),)] = result.take(sources, axis=axis)


def _reflected(xp: Any, positions: Array, length: int) -> Array:
    period = max(2 * (length - 1), 1)
    there_and_back = positions % period
    return xp.minimum(there_and_back, period - there_and_back) if length > 1 else positions * 0


#: How a position outside 0 .. length-1 finds the element that it copies.
_SOURCES: dict[str, Callable[[Any, Array, int], Array]] = {
    "reflect": _reflected,
    "edge": lambda xp, positions, length: xp.clip(positions, 0, length - 1),
    "wrap": lambda xp, positions, length: positions % length,
}
