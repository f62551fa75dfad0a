"""Reductions along any axes: Reduce* operators.

Neighbouring axes that are all reduced, or all kept, are one axis to a reduction.  So every tensor here is seen as
(kept, reduced, kept, reduced), where any of the four may have length 1.  If the last is longer than 1, its elements lie
side by side and are reduced in vectors (`rows`), unless they are very few (`short_rows`); else vectors hold results
(`columns`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxlite.kernels.axes import normalize_axes
from onnxlite.kernels.numba.machine.accumulate import maximum, minimum, plus, times
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.lanes import load
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.machine.views import part
from onnxlite.kernels.numba.reduction.row_reduction import (
    maximum_of,
    minimum_of,
    product_of,
    sum_of,
    sum_of_magnitudes,
    sum_of_squares,
)
from onnxlite.kernels.numba.spec import ArraySpec, Bound, Declined, Input, Output, Pool, Scratch
from onnxlite.kernels.numba.table import op

#: The elements that one piece of work reduces.
_PIECE = 1 << 16

#: Elements side by side are reduced in blocks, whose results are combined: rounding errors of long sums stay small.
_BLOCK = 1 << 13

#: Rows of fewer elements than this are reduced one element after the other.
_SHORT = 8

#: The columns that are reduced together, and the rows whose sum is made before it is added to that of others.
_COLUMNS, _ROWS = 512, 64

_FLOATS = frozenset(map(np.dtype, (np.float32, np.float64)))
_INTEGERS = frozenset(map(np.dtype, (np.int32, np.int64)))
_BYTES = frozenset(map(np.dtype, (np.int8, np.uint8)))


@dataclass(frozen=True, slots=True)
class Reduction:
    """The compiled loops of one reduction, its result for no elements as a float, and the types that it takes."""

    rows: Any
    short_rows: Any
    columns: Any
    identity: float
    dtypes: frozenset[np.dtype[Any]]

    def identity_of(self, dtype: np.dtype[Any]) -> Any:
        """The identity as a scalar of the type; infinity is the type's end."""
        if dtype.kind == "f" or math.isfinite(self.identity):
            return dtype.type(self.identity)
        return dtype.type(np.iinfo(dtype).max if self.identity > 0 else np.iinfo(dtype).min)


@jit(inline=True)
def _element(x):  # type: ignore[no-untyped-def]
    return x


@jit(inline=True)
def _magnitude(x):  # type: ignore[no-untyped-def]
    return abs(x)


@jit(inline=True)
def _square(x):  # type: ignore[no-untyped-def]
    return x * x


@jit(inline=True)
def _total(total, count):  # type: ignore[no-untyped-def]
    return total


@jit(inline=True)
def _mean(total, count):  # type: ignore[no-untyped-def]
    return total / count


@jit(inline=True)
def _root(total, count):  # type: ignore[no-untyped-def]
    return np.sqrt(total)


@jit(inline=True)
def _logarithm(total, count):  # type: ignore[no-untyped-def]
    return np.log(total)


def _compiled(name: str, reduce: Any, term: Any, combine: Any, finish: Any) -> tuple[Any, Any, Any]:
    """The loops over rows, by ``reduce``, and over columns, of ``term(x)`` by ``combine``; ``finish`` makes results."""

    def row_loop(start, stop, thread, x, y, identity, count, first, kept, last):  # type: ignore[no-untyped-def]
        outer, column = start // kept, start % kept
        for row in range(start, stop):
            here = (outer * first * kept + column) * last
            total = identity
            for _ in range(first):
                part_total = reduce(x, here, min(_BLOCK, last), identity, identity)
                for place in range(here + _BLOCK, here + last, _BLOCK):
                    rest = min(_BLOCK, here + last - place)
                    part_total = combine(part_total, reduce(x, place, rest, identity, identity))
                total = combine(total, part_total)
                here += kept * last
            y[row] = finish(total, count)
            column += 1
            if column == kept:
                outer, column = outer + 1, 0

    def short_row_loop(start, stop, thread, x, y, identity, count, length):  # type: ignore[no-untyped-def]
        for row in range(start, stop):
            total = identity
            for i in range(row * length, (row + 1) * length):
                total = combine(total, term(load(x, i)))
            y[row] = finish(total, count)

    def column_loop(start, stop, thread, x, y, identity, count, length, inner, partial):  # type: ignore[no-untyped-def]
        blocks = -(-inner // _COLUMNS)
        for block in range(start, stop):
            left = block % blocks * _COLUMNS
            width = min(_COLUMNS, inner - left)
            totals, some = part(y, block // blocks * inner + left, width), partial[thread]
            for i in range(width):
                totals[i] = identity
            here = block // blocks * length * inner + left
            for first in range(0, length, _ROWS):
                # Sums of sums of few rows: a long row of additions would lose digits.
                for i in range(width):
                    some[i] = identity
                last = min(first + _ROWS, length)
                fours = first + (last - first) // 4 * 4
                for k in range(first, fours, 4):
                    a = part(x, here + k * inner, width)
                    b = part(x, here + (k + 1) * inner, width)
                    c = part(x, here + (k + 2) * inner, width)
                    d = part(x, here + (k + 3) * inner, width)
                    for i in range(width):
                        pairs = combine(combine(term(a[i]), term(b[i])), combine(term(c[i]), term(d[i])))
                        some[i] = combine(some[i], pairs)
                for k in range(fours, last):
                    a = part(x, here + k * inner, width)
                    for i in range(width):
                        some[i] = combine(some[i], term(a[i]))
                for i in range(width):
                    totals[i] = combine(totals[i], some[i])
            for i in range(width):
                totals[i] = finish(totals[i], count)

    row_loop = _jit(row_loop, f"{name}_row_loop")
    short_row_loop = _jit(short_row_loop, f"{name}_short_row_loop")
    column_loop = _jit(column_loop, f"{name}_column_loop")

    def rows(pool, x, y, identity, count, results, first, kept, last, piece):  # type: ignore[no-untyped-def]
        parallel_for(pool, row_loop, (x, y, identity, count, first, kept, last), results, piece)

    def short_rows(pool, x, y, identity, count, results, length, piece):  # type: ignore[no-untyped-def]
        parallel_for(pool, short_row_loop, (x, y, identity, count, length), results, piece)

    def columns(pool, x, y, identity, count, blocks, length, inner, piece, partial):  # type: ignore[no-untyped-def]
        parallel_for(pool, column_loop, (x, y, identity, count, length, inner, partial), blocks, piece)

    return _jit(rows, f"{name}_rows"), _jit(short_rows, f"{name}_short_rows"), _jit(columns, f"{name}_columns")


def _jit(function: Callable[..., None], name: str) -> Any:
    """The compiled function under a name of its own, which tells the cache one from the other."""
    function.__name__ = function.__qualname__ = name
    return jit(function)


def _register(
    name: str,
    reduce: Any,
    term: Any,
    combine: Any,
    finish: Any,
    identity: float,
    dtypes: frozenset[np.dtype[Any]],
    axes_are_input_since: int = 18,
) -> Reduction:
    """Register the builders of a reduction: axes as an attribute first, as an optional input later."""
    reduction = Reduction(*_compiled(name, reduce, term, combine, finish), identity, dtypes)

    def axes_attribute(data: ArraySpec, *, axes: tuple[int, ...] | None = None, keepdims: int = 1) -> Bound | Declined:
        return bind_reduction(reduction, data, normalize_axes(axes or None, len(data.shape)), bool(keepdims))

    def axes_input(
        data: ArraySpec, axes: ArraySpec | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> Bound | Declined:
        if axes is not None and axes.value is None:
            return Declined("the axes are not known before the model runs")
        given = axes is not None and axes.size > 0
        chosen = axes.value if axes is not None and given else () if noop_with_empty_axes else None
        return bind_reduction(reduction, data, normalize_axes(chosen, len(data.shape)), bool(keepdims))

    op(name, since=1, until=axes_are_input_since - 1)(axes_attribute)
    op(name, since=axes_are_input_since)(axes_input)
    return reduction


_register("ReduceSum", sum_of, _element, plus, _total, 0, _FLOATS | _INTEGERS, axes_are_input_since=13)
REDUCE_MEAN = _register("ReduceMean", sum_of, _element, plus, _mean, 0, _FLOATS)
_register("ReduceProd", product_of, _element, times, _total, 1, _FLOATS | _INTEGERS)
REDUCE_MAX = _register("ReduceMax", maximum_of, _element, maximum, _total, -math.inf, _FLOATS | _INTEGERS | _BYTES)
_register("ReduceMin", minimum_of, _element, minimum, _total, math.inf, _FLOATS | _INTEGERS | _BYTES)
_register("ReduceL1", sum_of_magnitudes, _magnitude, plus, _total, 0, _FLOATS)
_register("ReduceL2", sum_of_squares, _square, plus, _root, 0, _FLOATS)
_register("ReduceSumSquare", sum_of_squares, _square, plus, _total, 0, _FLOATS)
_register("ReduceLogSum", sum_of, _element, plus, _logarithm, 0, _FLOATS)


def bind_reduction(reduction: Reduction, x: ArraySpec, axes: tuple[int, ...], keepdims: bool) -> Bound | Declined:
    """The reduction of a tensor along axes."""
    if x.dtype not in reduction.dtypes:
        return Declined(f"the reduction of {x.dtype} is not compiled")
    shape = collapsed(x.shape, axes)
    if shape is None:
        return Declined(f"kept and reduced axes alternate too often: {axes} of {x.shape}")
    outer, first, kept, last = shape
    result = ArraySpec(reduced_shape(x.shape, axes, keepdims), x.dtype)
    count = x.dtype.type(first * last)
    common = (Pool(), Input(0, flat=True), Output(flat=True), reduction.identity_of(x.dtype), count)
    if last == 1 and kept > 1:
        blocks = outer * -(-kept // _COLUMNS)
        piece = max(1, _PIECE // (max(first, 1) * min(kept, _COLUMNS)))
        partial = Scratch((_COLUMNS,), x.dtype, per_thread=True)
        return Bound(reduction.columns, (*common, blocks, first, kept, piece, partial), (result,))
    piece = max(1, _PIECE // max(first * last, 1))
    if first == 1 and last < _SHORT:
        return Bound(reduction.short_rows, (*common, outer * kept, last, piece), (result,))
    return Bound(reduction.rows, (*common, outer * kept, first, kept, last, piece), (result,))


def collapsed(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, int, int, int] | None:
    """The shape as (kept, reduced, kept, reduced), or None if the axes alternate more often than that."""
    runs: list[tuple[bool, int]] = []
    for axis, length in enumerate(shape):
        reduced = axis in axes
        if length == 1:
            continue
        if runs and runs[-1][0] == reduced:
            length *= runs.pop()[1]
        runs.append((reduced, length))
    result = [1, 1, 1, 1]
    place = 3
    for reduced, length in reversed(runs):
        place -= (place % 2 == 1) != reduced
        if place < 0:
            return None
        result[place] = length
        place -= 1
    return (result[0], result[1], result[2], result[3])


def reduced_shape(shape: tuple[int, ...], axes: tuple[int, ...], keepdims: bool) -> tuple[int, ...]:
    """The shape of the result."""
    return tuple(1 if axis in axes else n for axis, n in enumerate(shape) if keepdims or axis not in axes)
