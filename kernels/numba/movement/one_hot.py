"""OneHot and Hardmax: one place of an axis that differs from all others."""

from __future__ import annotations

import math

import numpy as np

from onnxlite.kernels.axes import normalize_axis
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.lanes import load
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.movement.copying import is_movable
from onnxlite.kernels.numba.spec import ArraySpec, Bound, Declined, Input, Output, Pool
from onnxlite.kernels.numba.table import op

#: The elements that one piece of work writes.
_PIECE = 1 << 15

_INDICES = frozenset(map(np.dtype, (np.int32, np.int64, np.float32, np.float64)))
_FLOATS = frozenset(map(np.dtype, (np.float32, np.float64)))


@jit
def _mark_indices(start, stop, thread, indices, values, y, depth, inner, wraps):  # type: ignore[no-untyped-def]
    for row in range(start, stop):
        outer, place = row // depth, row % depth
        for i in range(inner):
            index = np.int64(indices[outer * inner + i])
            index += depth if wraps and index < 0 else 0
            y[row * inner + i] = values[1] if index == place else values[0]


@jit
def mark_indices(pool, indices, values, y, depth, inner, wraps, rows, piece):  # type: ignore[no-untyped-def]
    """The second value where a place along the new axis is the index, else the first."""
    parallel_for(pool, _mark_indices, (indices, values, y, depth, inner, wraps), rows, piece)


def _one_hot(indices: ArraySpec, depth: ArraySpec, values: ArraySpec, axis: int, wraps: bool) -> Bound | Declined:
    if depth.value is None or depth.size != 1:
        return Declined("a depth that is not known before the model runs is not compiled")
    if indices.dtype not in _INDICES or not is_movable(values.dtype) or values.shape != (2,):
        return Declined(f"marking {indices.dtype} by values of {values.dtype} is not compiled")
    axis = normalize_axis(axis, len(indices.shape) + 1)
    classes = int(depth.value.reshape(-1)[0])
    if classes < 1 or not indices.size:
        return Declined("there are no classes or indices")
    inner = math.prod(indices.shape[axis:])
    arrays = (Pool(), Input(0, flat=True), Input(2), Output(flat=True))
    arguments = (classes, inner, wraps, indices.size // inner * classes, max(1, _PIECE // inner))
    shape = (*indices.shape[:axis], classes, *indices.shape[axis:])
    return Bound(mark_indices, (*arrays, *arguments), (ArraySpec(shape, values.dtype),))


@op("OneHot", since=11)
def one_hot(indices: ArraySpec, depth: ArraySpec, values: ArraySpec, *, axis: int = -1) -> Bound | Declined:
    """``values[1]`` where a class is the index, else ``values[0]``; indices count from both ends (ONNX OneHot-11)."""
    return _one_hot(indices, depth, values, axis, wraps=True)


@op("OneHot", since=9, until=9)
def one_hot_9(indices: ArraySpec, depth: ArraySpec, values: ArraySpec, *, axis: int = -1) -> Bound | Declined:
    """OneHot in which a negative index is outside the classes (ONNX OneHot-9)."""
    return _one_hot(indices, depth, values, axis, wraps=False)


@jit
def _mark_maxima(start, stop, thread, x, y, length, inner):  # type: ignore[no-untyped-def]
    for row in range(start, stop):
        first = row // inner * length * inner + row % inner
        best = 0
        for i in range(length):
            value, highest = load(x, first + i * inner), load(x, first + best * inner)
            y[first + i * inner] = 0
            # NaN is higher than every number.
            if highest == highest and (value > highest or value != value):
                best = i
        y[first + best * inner] = 1


@jit
def mark_maxima(pool, x, y, length, inner, rows, piece):  # type: ignore[no-untyped-def]
    """1 at the first maximum along an axis, 0 elsewhere."""
    parallel_for(pool, _mark_maxima, (x, y, length, inner), rows, piece)


def _hardmax(x: ArraySpec, length: int, inner: int) -> Bound | Declined:
    if x.dtype not in _FLOATS or not x.size:
        return Declined(f"the maxima of {x.dtype}{list(x.shape)} are not compiled")
    arguments = (Pool(), Input(0, flat=True), Output(flat=True), length, inner)
    return Bound(mark_maxima, (*arguments, x.size // length, max(1, _PIECE // length)), (ArraySpec(x.shape, x.dtype),))


@op("Hardmax", since=13)
def hardmax(x: ArraySpec, *, axis: int = -1) -> Bound | Declined:
    """1 at the first maximum along one axis, 0 elsewhere (ONNX Hardmax-13)."""
    axis = normalize_axis(axis, len(x.shape))
    return _hardmax(x, x.shape[axis], math.prod(x.shape[axis + 1 :]))


@op("Hardmax", since=1, until=12)
def hardmax_1(x: ArraySpec, *, axis: int = 1) -> Bound | Declined:
    """Hardmax over the axes from ``axis`` on together (ONNX Hardmax-11)."""
    return _hardmax(x, math.prod(x.shape[normalize_axis(axis, len(x.shape)) :]), 1)
