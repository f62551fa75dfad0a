"""ArgMax and ArgMin along an axis of a tensor that is seen as (outer, axis, inner)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxlite.kernels.axes import normalize_axis
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.lanes import load
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.machine.views import part
from onnxlite.kernels.numba.reduction.row_reduction import maximum_of, minimum_of
from onnxlite.kernels.numba.spec import ArraySpec, Bound, Declined, Input, Output, Pool, Scratch
from onnxlite.kernels.numba.table import op

#: The elements that one piece of work looks at.
_PIECE = 1 << 15

#: The elements of a row that are compared before the next look at whether one is the extreme.
_BLOCK = 64

#: The columns that are searched together where the axis is not the last one.
_COLUMNS = 512

_INT32, _INT64 = np.dtype(np.int32), np.dtype(np.int64)
_TYPES = frozenset(map(np.dtype, (np.float32, np.float64, np.int32, np.int64, np.int8, np.uint8)))


@dataclass(frozen=True, slots=True)
class _Search:
    """The compiled searches for one kind of extreme."""

    rows: Any
    columns: Any


@jit(inline=True)
def _greater(a, b):  # type: ignore[no-untyped-def]
    return a > b


@jit(inline=True)
def _less(a, b):  # type: ignore[no-untyped-def]
    return a < b


def _search(name: str, extreme_of: Any, better: Any) -> _Search:
    def search_rows(start, stop, thread, x, y, identity, length):  # type: ignore[no-untyped-def]
        for row in range(start, stop):
            place, end = row * length, (row + 1) * length
            extreme = extreme_of(x, place, length, identity, identity)
            # If the extreme is NaN, it is the first NaN that is looked for; otherwise there is none.
            while place + _BLOCK <= end:
                found = 0
                for i in range(place, place + _BLOCK):
                    value = load(x, i)
                    found += int(value == extreme) | int(value != value)
                if found > 0:
                    break
                place += _BLOCK
            while place < end - 1 and x[place] != extreme and x[place] == x[place]:
                place += 1
            y[row] = place - row * length

    def search_columns(start, stop, thread, x, y, length, inner, extremes, places):  # type: ignore[no-untyped-def]
        best, where = extremes[thread], places[thread]
        blocks = -(-inner // _COLUMNS)
        for block in range(start, stop):
            left = block % blocks * _COLUMNS
            width = min(_COLUMNS, inner - left)
            corner = block // blocks * length * inner + left
            first = part(x, corner, width)
            for i in range(width):
                best[i] = first[i]
                where[i] = 0
            for k in range(1, length):
                values, number = part(x, corner + k * inner, width), np.int32(k)
                for i in range(width):
                    value, so_far = values[i], best[i]
                    wins = (so_far == so_far) & (better(value, so_far) | (value != value))
                    best[i] = value if wins else so_far
                    where[i] = number if wins else where[i]
            result = part(y, block // blocks * inner + left, width)
            for i in range(width):
                result[i] = where[i]

    search_rows = _jit(search_rows, f"{name}_row_loop")
    search_columns = _jit(search_columns, f"{name}_column_loop")

    def rows(pool, x, y, identity, count, length, piece):  # type: ignore[no-untyped-def]
        parallel_for(pool, search_rows, (x, y, identity, length), count, piece)

    def columns(pool, x, y, length, inner, extremes, places, blocks, piece):  # type: ignore[no-untyped-def]
        parallel_for(pool, search_columns, (x, y, length, inner, extremes, places), blocks, piece)

    return _Search(_jit(rows, f"{name}_rows"), _jit(columns, f"{name}_columns"))


def _jit(function: Any, name: str) -> Any:
    """The compiled function under a name of its own, which tells the cache one from the other."""
    function.__name__ = function.__qualname__ = name
    return jit(function)


_MAXIMUM = _search("arg_max", maximum_of, _greater)
_MINIMUM = _search("arg_min", minimum_of, _less)


@op("ArgMax", since=12)
def arg_max(data: ArraySpec, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Bound | Declined:
    """The index of the largest element along an axis, a NaN counting as the largest (ONNX ArgMax-13)."""
    return _bind(_MAXIMUM, -math.inf, data, axis, bool(keepdims), bool(select_last_index))


@op("ArgMax", since=1, until=11)
def arg_max_1(data: ArraySpec, *, axis: int = 0, keepdims: int = 1) -> Bound | Declined:
    """The index of the first largest element along an axis (ONNX ArgMax-11)."""
    return _bind(_MAXIMUM, -math.inf, data, axis, bool(keepdims))


@op("ArgMin", since=12)
def arg_min(data: ArraySpec, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Bound | Declined:
    """The index of the smallest element along an axis, a NaN counting as the smallest (ONNX ArgMin-13)."""
    return _bind(_MINIMUM, math.inf, data, axis, bool(keepdims), bool(select_last_index))


@op("ArgMin", since=1, until=11)
def arg_min_1(data: ArraySpec, *, axis: int = 0, keepdims: int = 1) -> Bound | Declined:
    """The index of the first smallest element along an axis (ONNX ArgMin-11)."""
    return _bind(_MINIMUM, math.inf, data, axis, bool(keepdims))


def _bind(
    search: _Search, worst: float, x: ArraySpec, axis: int, keepdims: bool, last: bool = False
) -> Bound | Declined:
    axis = normalize_axis(axis, len(x.shape))
    if x.dtype not in _TYPES or last or not x.size:
        return Declined(f"the last extreme, or one of {x.dtype} or of nothing, is not compiled")
    length, inner = x.shape[axis], math.prod(x.shape[axis + 1 :])
    result = ArraySpec((*x.shape[:axis], *([1] if keepdims else []), *x.shape[axis + 1 :]), _INT64)
    outer = x.size // (length * inner)
    if inner == 1:
        if x.dtype.kind == "f":
            identity = x.dtype.type(worst)
        else:
            identity = x.dtype.type(np.iinfo(x.dtype).max if worst > 0 else np.iinfo(x.dtype).min)
        sizes = (identity, outer, length, max(1, _PIECE // length))
        return Bound(search.rows, (Pool(), Input(0, flat=True), Output(flat=True), *sizes), (result,))
    width = min(inner, _COLUMNS)
    arguments = (
        *(Pool(), Input(0, flat=True), Output(flat=True), length, inner),
        *(Scratch((_COLUMNS,), x.dtype, per_thread=True), Scratch((_COLUMNS,), _INT32, per_thread=True)),
        *(outer * -(-inner // _COLUMNS), max(1, _PIECE // (length * width))),
    )
    return Bound(search.columns, arguments, (result,))
