"""Softmax and LogSoftmax of float32, along an axis of a tensor that is seen as (outer, axis, inner)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from onnxlite.kernels.axes import normalize_axis
from onnxlite.kernels.numba.machine.accumulate import maximum, plus
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.lanes import load, store
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.machine.vectormath import log
from onnxlite.kernels.numba.machine.views import part
from onnxlite.kernels.numba.reduction.row_reduction import largest_of
from onnxlite.kernels.numba.spec import FLOAT32, ArraySpec, Bound, Declined, Input, Output, Pool, Scratch
from onnxlite.kernels.numba.table import op

#: The elements that one piece of work computes.
_PIECE = 1 << 15

#: The columns that are computed together where the axis is not the last one.
_COLUMNS = 256

_LOWEST = np.float32(-np.inf)
_ONE = np.float32(1)


@jit(inline=True)
def exp_of_negative(x):  # type: ignore[no-untyped-def]
    """``exp(x)`` of a float32 that is at most 0, or NaN: 0 below -88, else within 1 unit in the last place.

    x is n log(2) + r with abs(r) <= log(2) / 2.  Adding 1.5 * 2**23 rounds to the integer n, which the low bits then
    hold; the 127 that is added with it makes them the exponent of 2**n.  The polynomial is the closest of its degree,
    with a relative error of 3e-9.
    """
    clipped = np.float32(-88) if x < np.float32(-88) else x
    shifted = clipped * np.float32(1.4426950408889634) + np.float32(12582912 + 127)
    n = shifted - np.float32(12582912 + 127)
    r = clipped - n * np.float32(0.693359375)
    r = r + n * np.float32(2.12194440e-4)
    p = np.float32(0.0013814599) * r + np.float32(0.0083687169)
    p = p * r + np.float32(0.041668388)
    p = p * r + np.float32(0.16666521)
    p = p * r + np.float32(0.49999993)
    p = p * r + _ONE
    p = p * r + _ONE
    power = np.int32(np.float32(shifted).view(np.int32) << 23).view(np.float32)
    return p * power


@jit
def _softmax_rows(start, stop, thread, x, y, length):  # type: ignore[no-untyped-def]
    for row in range(start, stop):
        first = row * length
        largest = largest_of(x, first, length, _LOWEST, _LOWEST)
        total = np.float32(0)
        for i in range(first, first + length):
            power = exp_of_negative(load(x, i) - largest)
            store(y, i, power)
            total = plus(total, power)
        factor = _ONE / total
        results = part(y, first, length)
        for i in range(length):
            results[i] *= factor


@jit
def softmax_rows(pool, x, y, rows, length, piece):  # type: ignore[no-untyped-def]
    """Softmax of every row of ``length`` elements."""
    parallel_for(pool, _softmax_rows, (x, y, length), rows, piece)


@jit
def _log_softmax_rows(start, stop, thread, x, y, length):  # type: ignore[no-untyped-def]
    for row in range(start, stop):
        first = row * length
        largest = largest_of(x, first, length, _LOWEST, _LOWEST)
        total = np.float32(0)
        for i in range(first, first + length):
            total = plus(total, exp_of_negative(load(x, i) - largest))
        logarithm = np.log(total)
        for i in range(first, first + length):
            store(y, i, load(x, i) - largest - logarithm)


@jit
def log_softmax_rows(pool, x, y, rows, length, piece):  # type: ignore[no-untyped-def]
    """LogSoftmax of every row of ``length`` elements."""
    parallel_for(pool, _log_softmax_rows, (x, y, length), rows, piece)


@jit(inline=True)
def _corner(block, length, inner):  # type: ignore[no-untyped-def]
    """The first element of a block of columns, and how many columns it has."""
    blocks = -(-inner // _COLUMNS)
    left = block % blocks * _COLUMNS
    return block // blocks * length * inner + left, min(_COLUMNS, inner - left)


@jit
def _column_maxima(x, corner, length, inner, width, largest):  # type: ignore[no-untyped-def]
    for i in range(width):
        largest[i] = _LOWEST
    for k in range(length):
        a = part(x, corner + k * inner, width)
        for i in range(width):
            largest[i] = maximum(largest[i], a[i])


@jit
def _softmax_columns(start, stop, thread, x, y, length, inner, scratch):  # type: ignore[no-untyped-def]
    largest, total = scratch[thread, 0], scratch[thread, 1]
    for block in range(start, stop):
        corner, width = _corner(block, length, inner)
        _column_maxima(x, corner, length, inner, width, largest)
        for i in range(width):
            total[i] = 0
        for k in range(length):
            a, b = part(x, corner + k * inner, width), part(y, corner + k * inner, width)
            for i in range(width):
                power = exp_of_negative(a[i] - largest[i])
                b[i] = power
                total[i] += power
        for i in range(width):
            total[i] = _ONE / total[i]
        for k in range(length):
            b = part(y, corner + k * inner, width)
            for i in range(width):
                b[i] *= total[i]


@jit
def softmax_columns(pool, x, y, blocks, length, inner, scratch, piece):  # type: ignore[no-untyped-def]
    """Softmax of every column of (outer, length, inner) elements."""
    parallel_for(pool, _softmax_columns, (x, y, length, inner, scratch), blocks, piece)


@jit
def _log_softmax_columns(start, stop, thread, x, y, length, inner, scratch):  # type: ignore[no-untyped-def]
    largest, total = scratch[thread, 0], scratch[thread, 1]
    for block in range(start, stop):
        corner, width = _corner(block, length, inner)
        _column_maxima(x, corner, length, inner, width, largest)
        for i in range(width):
            total[i] = 0
        for k in range(length):
            a = part(x, corner + k * inner, width)
            for i in range(width):
                total[i] += exp_of_negative(a[i] - largest[i])
        for i in range(width):
            total[i] = log(total[i])
        for k in range(length):
            a, b = part(x, corner + k * inner, width), part(y, corner + k * inner, width)
            for i in range(width):
                b[i] = a[i] - largest[i] - total[i]


@jit
def log_softmax_columns(pool, x, y, blocks, length, inner, scratch, piece):  # type: ignore[no-untyped-def]
    """LogSoftmax of every column of (outer, length, inner) elements."""
    parallel_for(pool, _log_softmax_columns, (x, y, length, inner, scratch), blocks, piece)


@op("Softmax", since=13)
def softmax(x: ArraySpec, *, axis: int = -1) -> Bound | Declined:
    """``exp(x) / sum(exp(x))`` along one axis (ONNX Softmax-13)."""
    return _along_axis(softmax_rows, softmax_columns, x, axis)


@op("LogSoftmax", since=13)
def log_softmax(x: ArraySpec, *, axis: int = -1) -> Bound | Declined:
    """``log(exp(x) / sum(exp(x)))`` along one axis (ONNX LogSoftmax-13)."""
    return _along_axis(log_softmax_rows, log_softmax_columns, x, axis)


@op("Softmax", since=1, until=12)
def softmax_1(x: ArraySpec, *, axis: int = 1) -> Bound | Declined:
    """Softmax over the axes from ``axis`` on together (ONNX Softmax-11)."""
    axis = normalize_axis(axis, len(x.shape))
    return _in_rows(softmax_rows, x, math.prod(x.shape[axis:]))


@op("LogSoftmax", since=1, until=12)
def log_softmax_1(x: ArraySpec, *, axis: int = 1) -> Bound | Declined:
    """LogSoftmax over the axes from ``axis`` on together (ONNX LogSoftmax-11)."""
    axis = normalize_axis(axis, len(x.shape))
    return _in_rows(log_softmax_rows, x, math.prod(x.shape[axis:]))


def _along_axis(rows: Any, columns: Any, x: ArraySpec, axis: int) -> Bound | Declined:
    axis = normalize_axis(axis, len(x.shape))
    length, inner = x.shape[axis], math.prod(x.shape[axis + 1 :])
    if inner == 1 or x.dtype != FLOAT32 or not x.size:
        return _in_rows(rows, x, length)
    blocks = x.size // (length * inner) * -(-inner // _COLUMNS)
    piece = max(1, _PIECE // (length * min(inner, _COLUMNS)))
    scratch = Scratch((2, _COLUMNS), per_thread=True)
    arguments = (Pool(), Input(0, flat=True), Output(flat=True), blocks, length, inner, scratch, piece)
    return Bound(columns, arguments, (ArraySpec(x.shape, FLOAT32),))


def _in_rows(function: Any, x: ArraySpec, length: int) -> Bound | Declined:
    if x.dtype != FLOAT32 or not x.size:
        return Declined(f"only float32 tensors with elements are compiled, not {x.dtype} {x.shape}")
    arguments = (Pool(), Input(0, flat=True), Output(flat=True), x.size // length, length, max(1, _PIECE // length))
    return Bound(function, arguments, (ArraySpec(x.shape, FLOAT32),), in_place=((0, 0),))
