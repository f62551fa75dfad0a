"""CumSum along an axis of a tensor that is seen as (outer, axis, inner)."""

from __future__ import annotations

import math

import numpy as np

from onnxlite.kernels.axes import normalize_axis
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.machine.views import part
from onnxlite.kernels.numba.spec import ArraySpec, Bound, Declined, Input, Output, Pool
from onnxlite.kernels.numba.table import op

#: The elements that one piece of work adds up.
_PIECE = 1 << 14

#: The columns that are added up together where the axis is not the last one.
_COLUMNS = 512

_TYPES = frozenset(map(np.dtype, (np.float32, np.float64, np.int32, np.int64)))


@jit
def _sum_rows(start, stop, thread, x, y, zero, length, exclusive, reverse):  # type: ignore[no-untyped-def]
    for row in range(start, stop):
        a, b = part(x, row * length, length), part(y, row * length, length)
        total = zero
        for i in range(length):
            place = length - 1 - i if reverse else i
            before = total
            total += a[place]
            b[place] = before if exclusive else total


@jit
def _sum_columns(start, stop, thread, x, y, zero, length, inner, exclusive, reverse):  # type: ignore[no-untyped-def]
    blocks = -(-inner // _COLUMNS)
    for block in range(start, stop):
        left = block % blocks * _COLUMNS
        width = min(_COLUMNS, inner - left)
        corner = block // blocks * length * inner + left
        for step in range(length):
            number = length - 1 - step if reverse else step
            previous = number + 1 if reverse else number - 1
            source = previous if exclusive else number
            target = part(y, corner + number * inner, width)
            if step == 0:
                first = part(x, corner + number * inner, width)
                for i in range(width):
                    target[i] = zero if exclusive else first[i]
            else:
                term, total = part(x, corner + source * inner, width), part(y, corner + previous * inner, width)
                for i in range(width):
                    target[i] = total[i] + term[i]


@jit
def sum_rows(pool, x, y, zero, rows, length, exclusive, reverse, piece):  # type: ignore[no-untyped-def]
    """The running totals of every row."""
    parallel_for(pool, _sum_rows, (x, y, zero, length, exclusive, reverse), rows, piece)


@jit
def sum_columns(pool, x, y, zero, blocks, length, inner, exclusive, reverse, piece):  # type: ignore[no-untyped-def]
    """The running totals of every column of (outer, length, inner) elements."""
    parallel_for(pool, _sum_columns, (x, y, zero, length, inner, exclusive, reverse), blocks, piece)


@op("CumSum", since=11)
def cum_sum(x: ArraySpec, axis: ArraySpec, *, exclusive: int = 0, reverse: int = 0) -> Bound | Declined:
    """``y[i] = x[0] + ... + x[i]`` along an axis; exclusive leaves out ``x[i]`` (ONNX CumSum-14)."""
    if axis.value is None or x.dtype not in _TYPES or not x.size:
        return Declined(f"an axis that is not known before the model runs, or {x.dtype}, is not compiled")
    along = normalize_axis(int(np.ravel(axis.value)[0]), len(x.shape))
    length, inner = x.shape[along], math.prod(x.shape[along + 1 :])
    arrays = (Pool(), Input(0, flat=True), Output(flat=True), x.dtype.type(0))
    kind, result = (bool(exclusive), bool(reverse)), (ArraySpec(x.shape, x.dtype),)
    if inner == 1:
        return Bound(sum_rows, (*arrays, x.size // length, length, *kind, max(1, _PIECE // length)), result)
    width = min(inner, _COLUMNS)
    blocks = x.size // (length * inner) * -(-inner // _COLUMNS)
    return Bound(sum_columns, (*arrays, blocks, length, inner, *kind, max(1, _PIECE // (length * width))), result)
