"""Tensors whose elements are copies, from places that depend on each axis by itself: one table of places for each axis.

The last axes are made one row, as long as a few runs describe what it reads; all rows read the same way from where they
start.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.memory import address
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.movement.copying import (
    copy_bytes,
    copy_elements,
    fill,
    is_movable,
    move_1,
    move_4,
    move_8,
    steps_of,
)
from onnxlite.kernels.numba.movement.narrow_transpose import NARROW, riffle_of
from onnxlite.kernels.numba.spec import ArraySpec, Bound, Declined, Input, Output, Pool

#: The bytes that one piece of work writes.
_PIECE = 1 << 14

#: A row is made of this many runs at most, where it could end with a shorter axis as well.
_MANY_RUNS = 32

#: From this length on, in bytes, a row that is like the one before is copied from there.
_LONG = 512

#: The rows whose starts are kept in a table at most.
_MANY_ROWS = 1 << 20


@jit
def _place_rows(start, stop, thread, target, source, filling, starts, runs, row_length, size):  # type: ignore[no-untyped-def]
    for row in range(start, stop):
        to, first = target + row * row_length, starts[row]
        if first < 0:
            fill(to, filling, row_length // size, size)
            continue
        for run in range(runs.shape[0]):
            length, offset = runs[run, 0], runs[run, 1]
            if offset < 0:
                fill(to, filling, length // size, size)
            elif length == size:
                fill(to, source + first + offset, 1, size)
            else:
                copy_bytes(to, source + first + offset, length)
            to += length


@jit
def place_rows(pool, x, y, value, starts, runs, row_length, size, piece):  # type: ignore[no-untyped-def]
    """Make rows that start somewhere in x, of runs of bytes of it; where a start or an offset is -1, of a value."""
    arguments = (address(y, 0), address(x, 0), address(value, 0), starts, runs, row_length, size)
    parallel_for(pool, _place_rows, arguments, starts.size, piece)


@jit
def _place_elements(start, stop, thread, target, source, starts, offsets, size):  # type: ignore[no-untyped-def]
    row_length = offsets.size * size
    for row in range(start, stop):
        to, of = target + row * row_length, source + starts[row]
        if row > start and starts[row] == starts[row - 1]:
            copy_bytes(to, to - row_length, row_length)
        elif size == 4:
            for i in range(offsets.size):
                move_4(to + 4 * i, of + offsets[i])
        elif size == 8:
            for i in range(offsets.size):
                move_8(to + 8 * i, of + offsets[i])
        elif size == 1:
            for i in range(offsets.size):
                move_1(to + i, of + offsets[i])
        else:
            for i in range(offsets.size):
                fill(to + i * size, of + offsets[i], 1, size)


@jit
def place_elements(pool, x, y, starts, offsets, size, piece):  # type: ignore[no-untyped-def]
    """Make rows that start somewhere in x, of elements that lie some bytes behind."""
    arguments = (address(y, 0), address(x, 0), starts, offsets, size)
    parallel_for(pool, _place_elements, arguments, starts.size, piece)


@functools.cache
def repeater(size: int, count: int) -> Any:
    """``f(pool, x, y, starts, length, piece)``: rows that start somewhere in x, each element ``count`` times."""
    join = riffle_of(size, count, True)

    def repeat_rows(start, stop, thread, target, source, starts, length):  # type: ignore[no-untyped-def]
        row_length = length * count * size
        for row in range(start, stop):
            to, of = target + row * row_length, source + starts[row]
            if row_length >= _LONG and row > start and starts[row] == starts[row - 1]:
                copy_bytes(to, to - row_length, row_length)
                continue
            done = join(to, of, 0, length)
            for number in range(count):
                place = to + (done * count + number) * size
                copy_elements(place, count * size, of + done * size, size, length - done, size)

    repeat_rows.__name__ = repeat_rows.__qualname__ = f"repeat_rows_{count}_of_{size}"
    repeat_rows = jit(repeat_rows)

    def place_repeats(pool, x, y, starts, length, piece):  # type: ignore[no-untyped-def]
        parallel_for(pool, repeat_rows, (address(y, 0), address(x, 0), starts, length), starts.size, piece)

    place_repeats.__name__ = place_repeats.__qualname__ = f"place_repeats_{count}_of_{size}"
    return jit(place_repeats)


def bind_placement(x: ArraySpec, places: Sequence[Array], value: Array | Input | None = None) -> Bound | Declined:
    """The tensor whose axes read x at these places, one vector for each axis; at places of -1 it holds the value."""
    if not is_movable(x.dtype):
        return Declined(f"moving elements of {x.dtype} is not compiled")
    shape = tuple(len(table) for table in places)
    size = x.dtype.itemsize
    offsets = [np.where(t < 0, -1, t * step) for t, step in zip(places, steps_of(x.shape, size), strict=True)]
    row = offsets.pop() if offsets else np.zeros(1, np.int64)
    while offsets and len(_boundaries(longer := _joined([offsets[-1], row]), size)) < _MANY_RUNS:
        row = longer
        offsets.pop()
    if not x.size or not row.size or math.prod(map(len, offsets)) > _MANY_ROWS:
        return Declined("an empty tensor, or one with very many rows, is not compiled")
    starts, length = _joined(offsets), len(row) * size
    firsts = np.concatenate([[0], _boundaries(row, size)])
    result = (ArraySpec(shape, x.dtype),)
    if 4 * len(firsts) > len(row) > _MANY_RUNS and min(row.min(), starts.min()) >= 0:
        piece = max(1, _PIECE // (4 * length))
        repeats = _repeats(row, size)
        if repeats in NARROW and size <= 8:
            sizes = (starts, len(row) // repeats, piece)
            return Bound(repeater(size, repeats), (Pool(), Input(0, flat=True), Output(flat=True), *sizes), result)
        return Bound(place_elements, (Pool(), Input(0, flat=True), Output(flat=True), starts, row, size, piece), result)
    runs = np.stack([np.diff([*firsts, len(row)]) * size, row[firsts]], axis=1).astype(np.int64)
    arguments = (
        *(Pool(), Input(0, flat=True), Output(flat=True), np.zeros(1, x.dtype) if value is None else value),
        *(starts, runs, length, size, max(1, _PIECE // (length + 32 * len(runs)))),
    )
    return Bound(place_rows, arguments, result)


def _joined(tables: Sequence[Array]) -> Array:
    """The offsets of neighbouring axes as those of one axis; -1 where one of them has -1."""

    def join(outer: Any, inner: Any) -> Any:
        both = outer[:, None] + inner
        return np.where((outer[:, None] < 0) | (inner < 0), -1, both).reshape(-1)

    return functools.reduce(join, tables, np.zeros(1, np.int64)).astype(np.int64)


def _boundaries(offsets: Array, size: int) -> Array:
    """Where a row of offsets does not go on with the element behind, or with the same filling."""
    before, after = offsets[:-1], offsets[1:]
    goes_on = np.where(before < 0, after < 0, after == before + size)
    return np.flatnonzero(~goes_on) + 1


def _repeats(offsets: Array, size: int) -> int:
    """How often each element of a row that is read as it is comes in turn, 0 if the row is another one."""
    count = len(offsets) * size // (int(offsets[-1]) + size)
    places = np.arange(len(offsets)) // max(count, 1) * size
    return count if (offsets == places).all() else 0
