"""Gather, GatherElements and GatherND: what indices name, side by side."""

from __future__ import annotations

import math

import numpy as np

from onnxlite.kernels.axes import normalize_axis
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.memory import address
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.movement.copying import copy_bytes, is_movable, move_4, move_8, steps_of
from onnxlite.kernels.numba.spec import ArraySpec, Bound, Declined, Input, Output, Pool
from onnxlite.kernels.numba.table import op

#: The bytes that one piece of work copies.
_PIECE = 1 << 16

_INDICES = frozenset(map(np.dtype, (np.int32, np.int64)))


@jit
def check_indices(indices, length):  # type: ignore[no-untyped-def]
    """Raise an error if an index lies outside a dimension; what is raised inside a parallel loop would be lost."""
    low, high = np.int64(0), np.int64(0)
    for i in range(indices.size):
        index = np.int64(indices[i])
        low, high = min(low, index), max(high, index)
    if indices.size and (low < -length or high >= length):
        raise IndexError("expected indices within the dimension that they count in, got one outside")


@jit
def _gather_rows(start, stop, thread, target, source, indices, length, row_length):  # type: ignore[no-untyped-def]
    count = indices.size
    outer, number = start // count, start % count
    for row in range(start, stop):
        index = np.int64(indices[number])
        index += length if index < 0 else 0
        to, of = target + row * row_length, source + (outer * length + index) * row_length
        if row_length == 4:
            move_4(to, of)
        elif row_length == 8:
            move_8(to, of)
        else:
            copy_bytes(to, of, row_length)
        number += 1
        if number == count:
            outer, number = outer + 1, 0


@jit
def gather_rows(pool, x, indices, y, length, row_length, rows, piece):  # type: ignore[no-untyped-def]
    """Copy rows of some bytes, each of the ``length`` rows of a part of x that an index names."""
    check_indices(indices, length)
    parallel_for(pool, _gather_rows, (address(y, 0), address(x, 0), indices, length, row_length), rows, piece)


@jit
def _gather_elements(start, stop, thread, target, source, indices, length, count, inner, size):  # type: ignore[no-untyped-def]
    for row in range(start, stop):
        outer = row // count
        for i in range(inner):
            index = np.int64(indices[row * inner + i])
            index += length if index < 0 else 0
            to, of = target + (row * inner + i) * size, source + ((outer * length + index) * inner + i) * size
            if size == 4:
                move_4(to, of)
            elif size == 8:
                move_8(to, of)
            else:
                copy_bytes(to, of, size)


@jit
def gather_elements_of_rows(pool, x, indices, y, length, count, inner, size, rows, piece):  # type: ignore[no-untyped-def]
    """Copy the elements that indices name along an axis of ``length``, each from its own place along the others."""
    check_indices(indices, length)
    arguments = (address(y, 0), address(x, 0), indices, length, count, inner, size)
    parallel_for(pool, _gather_elements, arguments, rows, piece)


@jit
def tuple_offset(indices, number, lengths, steps):  # type: ignore[no-untyped-def]
    """The bytes to what a tuple of indices names."""
    offset = 0
    for axis in range(lengths.size):
        index = np.int64(indices[number * lengths.size + axis])
        index += lengths[axis] if index < 0 else 0
        offset += index * steps[axis]
    return offset


@jit
def check_tuples(indices, lengths):  # type: ignore[no-untyped-def]
    """Raise an error if an index lies outside the dimension of its place in a tuple."""
    for i in range(indices.size):
        index, length = np.int64(indices[i]), lengths[i % lengths.size]
        if index < -length or index >= length:
            raise IndexError("expected indices within the dimensions that they count in, got one outside")


@jit
def _gather_tuples(start, stop, thread, target, source, indices, lengths, steps, row_length, batch, batch_step):  # type: ignore[no-untyped-def]
    for row in range(start, stop):
        of = source + row // batch * batch_step + tuple_offset(indices, row, lengths, steps)
        copy_bytes(target + row * row_length, of, row_length)


@jit
def gather_tuples(pool, x, indices, y, lengths, steps, row_length, batch, batch_step, rows, piece):  # type: ignore[no-untyped-def]
    """Copy rows of some bytes that tuples of indices name, ``batch`` of them in each part of x."""
    check_tuples(indices, lengths)
    arguments = (address(y, 0), address(x, 0), indices, lengths, steps, row_length, batch, batch_step)
    parallel_for(pool, _gather_tuples, arguments, rows, piece)


@op("Gather", since=1)
def gather(data: ArraySpec, indices: ArraySpec, *, axis: int = 0) -> Bound | Declined:
    """The slices of ``data`` along an axis that the indices name (ONNX Gather-13)."""
    axis = normalize_axis(axis, len(data.shape))
    if indices.dtype not in _INDICES or not is_movable(data.dtype):
        return Declined(f"gathering {data.dtype} by {indices.dtype} is not compiled")
    length, row_length = data.shape[axis], math.prod(data.shape[axis + 1 :]) * data.dtype.itemsize
    shape = data.shape[:axis] + indices.shape + data.shape[axis + 1 :]
    arguments = (
        *(Pool(), Input(0, flat=True), Input(1, flat=True), Output(flat=True), length, row_length),
        *(math.prod(data.shape[:axis]) * indices.size if row_length else 0, max(1, _PIECE // (row_length + 32))),
    )
    return Bound(gather_rows, arguments, (ArraySpec(shape, data.dtype),))


@op("GatherElements", since=11)
def gather_elements(data: ArraySpec, indices: ArraySpec, *, axis: int = 0) -> Bound | Declined:
    """For each index the element at its own place, but for the axis that it replaces (ONNX GatherElements-13)."""
    axis = normalize_axis(axis, len(data.shape))
    before, after = data.shape[:axis], data.shape[axis + 1 :]
    if indices.dtype not in _INDICES or not is_movable(data.dtype):
        return Declined(f"gathering {data.dtype} by {indices.dtype} is not compiled")
    if len(indices.shape) != len(data.shape) or (indices.shape[:axis], indices.shape[axis + 1 :]) != (before, after):
        return Declined("indices of another shape than the data apart from the axis are not compiled")
    inner, count = math.prod(after), indices.shape[axis]
    arguments = (
        *(Pool(), Input(0, flat=True), Input(1, flat=True), Output(flat=True)),
        *(data.shape[axis], count, inner, data.dtype.itemsize),
        *(math.prod(before) * count, max(1, _PIECE // (max(inner, 1) * 8))),
    )
    return Bound(gather_elements_of_rows, arguments, (ArraySpec(indices.shape, data.dtype),))


@op("GatherND", since=12)
def gather_nd(data: ArraySpec, indices: ArraySpec, *, batch_dims: int = 0) -> Bound | Declined:
    """The slices at the index tuples in the last axis of ``indices``, batch by batch (ONNX GatherND-13)."""
    if indices.dtype != np.int64 or not is_movable(data.dtype):
        return Declined(f"gathering {data.dtype} by {indices.dtype} is not compiled")
    batch = data.shape[:batch_dims]
    if not 0 <= batch_dims < min(len(data.shape), len(indices.shape)) or indices.shape[:batch_dims] != batch:
        return Declined(f"expected data and indices with equal batches, got {batch_dims} dimensions of them")
    shape = data.shape[batch_dims:]
    if not 1 <= indices.shape[-1] <= len(shape):
        return Declined(f"expected index tuples of 1 to {len(shape)} entries, got {indices.shape[-1]}")
    lengths, inner = shape[: indices.shape[-1]], shape[indices.shape[-1] :]
    row_length = math.prod(inner) * data.dtype.itemsize
    rows = math.prod(indices.shape[:-1]) if row_length else 0
    arguments = (
        *(Pool(), Input(0, flat=True), Input(1, flat=True), Output(flat=True), np.array(lengths, np.int64)),
        *(np.array(steps_of(shape, data.dtype.itemsize)[: len(lengths)], np.int64), row_length),
        *(math.prod(indices.shape[batch_dims:-1]), math.prod(shape) * data.dtype.itemsize),
        *(rows, max(1, _PIECE // (row_length + 32))),
    )
    return Bound(gather_tuples, arguments, (ArraySpec((*indices.shape[:-1], *inner), data.dtype),))


@op("GatherND", since=11, until=11)
def gather_nd_11(data: ArraySpec, indices: ArraySpec) -> Bound | Declined:
    """GatherND without batches (ONNX GatherND-11)."""
    return gather_nd(data, indices)
