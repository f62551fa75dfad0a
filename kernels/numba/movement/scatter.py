"""ScatterND and ScatterElements: a copy of a tensor with elements written, or combined with what is there, by index.

Where two updates have the same place, the later one stays, or all are combined: one thread takes them in order.
"""

from __future__ import annotations

import math

import numpy as np

from onnxlite.kernels.axes import normalize_axis
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.memory import address
from onnxlite.kernels.numba.movement.copying import copy_bytes, is_movable, move_4, move_8, steps_of
from onnxlite.kernels.numba.movement.gather import check_indices, check_tuples, tuple_offset
from onnxlite.kernels.numba.spec import ArraySpec, Bound, Declined, Input, Output
from onnxlite.kernels.numba.table import op


@jit
def scatter_tuples(x, indices, updates, y, lengths, steps, row_length, size):  # type: ignore[no-untyped-def]
    """Copy x, then rows of some bytes to the places that tuples of indices name."""
    check_tuples(indices, lengths)
    target, source = address(y, 0), address(updates, 0)
    if target != address(x, 0):
        copy_bytes(target, address(x, 0), x.size * size)
    for row in range(indices.size // lengths.size):
        to = target + tuple_offset(indices, row, lengths, steps)
        copy_bytes(to, source + row * row_length, row_length)


@jit
def scatter_along_axis(x, indices, updates, y, outer, length, count, inner, size):  # type: ignore[no-untyped-def]
    """Copy x, then elements to the places that indices name along an axis of ``length``."""
    check_indices(indices, length)
    target, source = address(y, 0), address(updates, 0)
    if target != address(x, 0):
        copy_bytes(target, address(x, 0), x.size * size)
    place = 0
    for part in range(outer):
        for _ in range(count):
            for i in range(inner):
                index = np.int64(indices[place])
                index += length if index < 0 else 0
                to, of = target + ((part * length + index) * inner + i) * size, source + place * size
                if size == 4:
                    move_4(to, of)
                elif size == 8:
                    move_8(to, of)
                else:
                    copy_bytes(to, of, size)
                place += 1


_NONE, _ADD, _MUL, _MIN, _MAX = range(5)
_REDUCTIONS = {"none": _NONE, "add": _ADD, "mul": _MUL, "min": _MIN, "max": _MAX}
_NUMBERS = frozenset(map(np.dtype, (np.float32, np.float64, np.int32, np.int64, np.uint8, np.int8)))


@jit(inline=True)
def _combined(before, update, reduction):  # type: ignore[no-untyped-def]
    if reduction == _ADD:
        return before + update
    if reduction == _MUL:
        return before * update
    if before != before or reduction == _NONE:
        return before if reduction != _NONE else update
    less = update < before or update != update if reduction == _MIN else update > before or update != update
    return update if less else before


@jit
def combine_rows(x, indices, updates, y, lengths, steps, row, reduction):  # type: ignore[no-untyped-def]
    """Copy x, then combine rows of elements with those at the places that tuples of indices name."""
    check_tuples(indices, lengths)
    for i in range(x.size):
        y[i] = x[i]
    for number in range(indices.size // lengths.size):
        to = tuple_offset(indices, number, lengths, steps)
        for i in range(row):
            y[to + i] = _combined(y[to + i], updates[number * row + i], reduction)


@jit
def combine_elements(x, indices, updates, y, shape, lengths, steps, axis, reduction):  # type: ignore[no-untyped-def]
    """Copy x, then combine each update with the element at its own place, but for the axis.

    ``shape`` is that of the updates, ``lengths`` and ``steps`` are those of x.
    """
    check_indices(indices, lengths[axis])
    for i in range(x.size):
        y[i] = x[i]
    for number in range(indices.size):
        rest, to = number, 0
        for place in range(shape.size - 1, -1, -1):
            index = rest % shape[place]
            rest //= shape[place]
            if place == axis:
                index = np.int64(indices[number])
                index += lengths[axis] if index < 0 else 0
            to += index * steps[place]
        y[to] = _combined(y[to], updates[number], reduction)


def _combines(data: ArraySpec, indices: ArraySpec, updates: ArraySpec, reduction: str) -> bool:
    """Whether elements of the type are combined."""
    types = data.dtype in _NUMBERS and updates.dtype == data.dtype and indices.dtype in (np.int32, np.int64)
    return types and reduction in _REDUCTIONS


@op("ScatterND", since=16)
def scatter_nd(data: ArraySpec, indices: ArraySpec, updates: ArraySpec, *, reduction: str = "none") -> Bound | Declined:
    """A copy of the data with each slice of the updates at its index tuple (ONNX ScatterND-18)."""
    combines = reduction != "none" and _combines(data, indices, updates, reduction)
    if not combines and (reduction != "none" or not _moves(data, indices, updates)):
        return Declined(f"scattering {data.dtype} by {indices.dtype} is not compiled")
    if not indices.shape or not 1 <= indices.shape[-1] <= len(data.shape):
        return Declined(f"expected index tuples of 1 to {len(data.shape)} entries")
    lengths, inner = data.shape[: indices.shape[-1]], data.shape[indices.shape[-1] :]
    if updates.shape != indices.shape[:-1] + inner:
        return Declined(f"expected updates of shape {indices.shape[:-1] + inner}, got {updates.shape}")
    arrays = (Input(0, flat=True), Input(1, flat=True), Input(2, flat=True), Output(flat=True))
    if combines:
        steps = np.array(steps_of(data.shape, 1)[: len(lengths)], np.int64)
        arguments = (*arrays, np.array(lengths, np.int64), steps, math.prod(inner), _REDUCTIONS[reduction])
        return Bound(combine_rows, arguments, (ArraySpec(data.shape, data.dtype),))
    size = data.dtype.itemsize
    steps = np.array(steps_of(data.shape, size)[: len(lengths)], np.int64)
    arguments = (*arrays, np.array(lengths, np.int64), steps, math.prod(inner) * size, size)
    return Bound(scatter_tuples, arguments, (ArraySpec(data.shape, data.dtype),), in_place=((0, 0),))


@op("ScatterND", since=11, until=13)
def scatter_nd_11(data: ArraySpec, indices: ArraySpec, updates: ArraySpec) -> Bound | Declined:
    """ScatterND without a reduction (ONNX ScatterND-11)."""
    return scatter_nd(data, indices, updates)


@op("ScatterElements", since=16)
def scatter_elements(
    data: ArraySpec, indices: ArraySpec, updates: ArraySpec, *, axis: int = 0, reduction: str = "none"
) -> Bound | Declined:
    """A copy of the data with each update at its own place, but for the axis (ONNX ScatterElements-18)."""
    axis = normalize_axis(axis, len(data.shape))
    before, after = data.shape[:axis], data.shape[axis + 1 :]
    if updates.shape != indices.shape or len(indices.shape) != len(data.shape):
        return Declined(f"expected indices and updates of one shape, got {indices.shape} and {updates.shape}")
    whole = (indices.shape[:axis], indices.shape[axis + 1 :]) == (before, after)
    arrays = (Input(0, flat=True), Input(1, flat=True), Input(2, flat=True), Output(flat=True))
    if not whole or reduction != "none":
        fits = all(m <= n or i == axis for i, (m, n) in enumerate(zip(indices.shape, data.shape, strict=True)))
        if not _combines(data, indices, updates, reduction) or not fits:
            return Declined(f"scattering {data.dtype} by {indices.dtype} into other places is not compiled")
        shapes = (np.array(indices.shape, np.int64), np.array(data.shape, np.int64))
        numbers = (np.array(steps_of(data.shape, 1), np.int64), axis, _REDUCTIONS[reduction])
        return Bound(combine_elements, (*arrays, *shapes, *numbers), (ArraySpec(data.shape, data.dtype),))
    if not _moves(data, indices, updates):
        return Declined(f"scattering {data.dtype} by {indices.dtype} is not compiled")
    arguments = (
        *arrays,
        *(math.prod(before), data.shape[axis], indices.shape[axis], math.prod(after), data.dtype.itemsize),
    )
    return Bound(scatter_along_axis, arguments, (ArraySpec(data.shape, data.dtype),), in_place=((0, 0),))


@op("Scatter", since=9)
@op("ScatterElements", since=11, until=13)
def scatter(data: ArraySpec, indices: ArraySpec, updates: ArraySpec, *, axis: int = 0) -> Bound | Declined:
    """ScatterElements without a reduction (ONNX Scatter-9, ScatterElements-11)."""
    return scatter_elements(data, indices, updates, axis=axis)


def _moves(data: ArraySpec, indices: ArraySpec, updates: ArraySpec) -> bool:
    """Whether the types are those that elements are moved by and of."""
    return is_movable(data.dtype) and updates.dtype == data.dtype and indices.dtype in (np.int32, np.int64)
