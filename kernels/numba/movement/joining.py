"""Concat and Split: rows of some tensors side by side in the rows of one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxlite.kernels.axes import normalize_axis
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.memory import address
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.movement.copying import copy_bytes, copy_rows, is_movable
from onnxlite.kernels.numba.spec import ArraySpec, Bound, Declined, Input, Output, Pool, Scratch, View
from onnxlite.kernels.numba.table import op

#: The bytes that one piece of work copies.
_PIECE = 1 << 14

_INT64 = np.dtype(np.int64)


@jit
def _copy_some_rows(start, stop, thread, target, target_step, source, source_step, length):  # type: ignore[no-untyped-def]
    to, of = target + start * target_step, source + start * source_step
    copy_rows(to, target_step, of, source_step, stop - start, length)


@jit
def _copy_stretches(start, stop, thread, target, source, length):  # type: ignore[no-untyped-def]
    for stretch in range(start, stop):
        first = stretch * _PIECE
        copy_bytes(target + first, source + first, min(_PIECE, length - first))


@jit
def _copy_parts(pool, whole, parts, lengths, rows, joins):  # type: ignore[no-untyped-def]
    """Copy the rows of the parts into those of the whole, or with ``joins`` 0 the other way round."""
    step, before = lengths.sum(), 0
    for part in range(lengths.size):
        length = lengths[part]
        target, target_step, source, source_step = whole + before, step, parts[part], length
        if joins == 0:
            target, target_step, source, source_step = source, source_step, target, target_step
        if rows == 1:
            parallel_for(pool, _copy_stretches, (target, source, length), -(-length // _PIECE), 1)
        else:
            piece = max(1, _PIECE // (length + 32))
            parallel_for(pool, _copy_some_rows, (target, target_step, source, source_step, length), rows, piece)
        before += length


def _taking(count: int) -> Any:
    """The compiled function that takes a number of parts, each a parameter of its own, and notes their addresses."""
    names = [f"part_{number}" for number in range(count)]
    lines = [
        f"def copy_{count}_parts(pool, whole, parts, lengths, rows, joins, {', '.join(names)}):",
        *(f"    parts[{number}] = address({name}, 0)" for number, name in enumerate(names)),
        "    copy_parts(pool, address(whole, 0), parts, lengths, rows, joins)",
    ]
    namespace = {"__name__": __name__, "address": address, "copy_parts": _copy_parts}
    exec("\n".join(lines), namespace)
    return jit(namespace[f"copy_{count}_parts"])


#: The compiled functions by the number of parts that they take.
_FUNCTIONS = {count: _taking(count) for count in (2, 4, 8, 16, 32)}


def _bind(
    whole: Input | Output, parts: Sequence[Any], lengths: Sequence[int], rows: int, outputs: tuple[ArraySpec, ...]
) -> Bound | Declined:
    """Copy rows of some bytes of the parts into those of the whole, or the other way round."""
    count = next((count for count in _FUNCTIONS if count >= len(parts)), None)
    if count is None:
        return Declined(f"joining or splitting {len(parts)} tensors is not compiled")
    # The places that are left over hold the first part, which is not looked at again.
    filled = [*parts, *[parts[0]] * (count - len(parts))]
    joins = int(isinstance(whole, Output))
    arguments = (Pool(), whole, Scratch((count,), _INT64), np.array(lengths, np.int64), rows, joins, *filled)
    return Bound(_FUNCTIONS[count], arguments, outputs)


@op("Concat", since=4)
def concat(*inputs: ArraySpec, axis: int) -> Bound | View | Declined:
    """The tensors one after the other along ``axis``; their other dimensions agree (ONNX Concat-4)."""
    first = inputs[0]
    axis = normalize_axis(axis, len(first.shape))
    before, after = first.shape[:axis], first.shape[axis + 1 :]
    if any((x.shape[:axis], x.shape[axis + 1 :], x.dtype) != (before, after, first.dtype) for x in inputs):
        return Declined(f"expected equal types, and equal shapes apart from axis {axis}")
    if not is_movable(first.dtype):
        return Declined(f"moving elements of {first.dtype} is not compiled")
    shape = (*before, sum(x.shape[axis] for x in inputs), *after)
    if len(inputs) == 1:
        return View(shape)
    lengths = [math.prod(x.shape[axis:]) * first.dtype.itemsize for x in inputs]
    parts = [Input(index, flat=True) for index in range(len(inputs))]
    return _bind(Output(flat=True), parts, lengths, math.prod(before), (ArraySpec(shape, first.dtype),))


@op("Concat", since=1, until=1)
def concat_1(*inputs: ArraySpec, axis: int | None = None) -> Bound | View | Declined:
    """Concat whose axis is 1 unless it is given (ONNX Concat-1)."""
    return concat(*inputs, axis=1 if axis is None else axis)


@op("Split", since=18)
def split(
    x: ArraySpec, split: ArraySpec | None = None, *, axis: int = 0, num_outputs: int | None = None, output_count: int
) -> Bound | View | Declined:
    """Consecutive pieces along an axis: of given sizes, or equal ones, the last smaller (ONNX Split-18)."""
    if split is not None or num_outputs is None:
        return split_13(x, split, axis=axis, output_count=output_count)
    dim = x.shape[normalize_axis(axis, len(x.shape))]
    chunk = -(-dim // max(num_outputs, 1))
    return _pieces(x, [chunk] * (num_outputs - 1) + [dim - chunk * (num_outputs - 1)], axis, output_count)


@op("Split", since=13, until=13)
def split_13(
    x: ArraySpec, split: ArraySpec | None = None, *, axis: int = 0, output_count: int
) -> Bound | View | Declined:
    """Pieces of the sizes in ``split``, or as many equal ones as the node has outputs (ONNX Split-13)."""
    if split is not None and split.value is None:
        return Declined("the sizes of the pieces are not known before the model runs")
    sizes = None if split is None or split.value is None else np.ravel(split.value).tolist()
    return split_2(x, axis=axis, split=sizes, output_count=output_count)


@op("Split", since=2, until=11)
def split_2(
    x: ArraySpec, *, axis: int = 0, split: Sequence[int] | None = None, output_count: int
) -> Bound | View | Declined:
    """Split with the sizes as an attribute (ONNX Split-2)."""
    dim = x.shape[normalize_axis(axis, len(x.shape))]
    if split is None and dim % max(output_count, 1):
        return Declined(f"expected a dimension that {output_count} outputs share equally, got {dim}")
    return _pieces(x, [dim // output_count] * output_count if split is None else split, axis, output_count)


def _pieces(x: ArraySpec, sizes: Sequence[int], axis: int, output_count: int) -> Bound | View | Declined:
    axis = normalize_axis(axis, len(x.shape))
    if sum(sizes) != x.shape[axis] or min(sizes, default=0) < 0 or len(sizes) < output_count:
        return Declined(f"expected sizes of {output_count} pieces that sum to {x.shape[axis]}, got {list(sizes)}")
    if not is_movable(x.dtype):
        return Declined(f"moving elements of {x.dtype} is not compiled")
    outputs = tuple(ArraySpec((*x.shape[:axis], size, *x.shape[axis + 1 :]), x.dtype) for size in sizes)
    if len(sizes) == 1:
        return View(x.shape)
    lengths = [size * math.prod(x.shape[axis + 1 :]) * x.dtype.itemsize for size in sizes]
    parts = [Output(index, flat=True) for index in range(len(sizes))]
    return _bind(Input(0, flat=True), parts, lengths, math.prod(x.shape[:axis]), outputs)
