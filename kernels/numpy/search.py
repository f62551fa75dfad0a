"""Where the extreme elements are: ArgMax, ArgMin and TopK."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array, array_namespace, widen
from onnxlite.kernels.axes import normalize_axis
from onnxlite.kernels.numpy.table import op


@op("ArgMax", since=12, widen=True)
def arg_max(data: Array, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Array:
    """The index of the largest element along an axis, a NaN counting as the largest (ONNX ArgMax-13)."""
    return _arg_extreme(array_namespace(data).argmax, data, axis, bool(keepdims), bool(select_last_index))


@op("ArgMax", since=1, until=11, widen=True)
def arg_max_1(data: Array, *, axis: int = 0, keepdims: int = 1) -> Array:
    """The index of the first largest element along an axis (ONNX ArgMax-11)."""
    return arg_max(data, axis=axis, keepdims=keepdims)


@op("ArgMin", since=12, widen=True)
def arg_min(data: Array, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Array:
    """The index of the smallest element along an axis, a NaN counting as the smallest (ONNX ArgMin-13)."""
    return _arg_extreme(array_namespace(data).argmin, data, axis, bool(keepdims), bool(select_last_index))


@op("ArgMin", since=1, until=11, widen=True)
def arg_min_1(data: Array, *, axis: int = 0, keepdims: int = 1) -> Array:
    """The index of the first smallest element along an axis (ONNX ArgMin-11)."""
    return arg_min(data, axis=axis, keepdims=keepdims)


def _arg_extreme(search: Callable[..., Any], data: Array, axis: int, keepdims: bool, last: bool) -> Array:
    xp = array_namespace(data)
    axis = normalize_axis(axis, data.ndim)
    if data.shape[axis] == 0:
        raise ValueError(f"expected at least one element along axis {axis}, got the shape {tuple(data.shape)}")
    if last:
        index = data.shape[axis] - 1 - search(xp.flip(data, axis), axis=axis)
    else:
        index = search(data, axis=axis)
    return (xp.expand_dims(index, axis) if keepdims else index).astype(np.int64)


@op("TopK", since=11)
def top_k(x: Array, k: Array, *, axis: int = -1, largest: int = 1, sorted: int = 1) -> tuple[Array, Array]:
    """The k largest (or smallest) elements along an axis, in order, and their indices (ONNX TopK-24).

    Of equal elements the one with the lower index comes first; NaN counts as the largest value.  The order that
    ``sorted=0`` leaves open is the same.
    """
    xp = array_namespace(x)
    axis = normalize_axis(axis, x.ndim)
    count = int(k.item())
    if not 0 <= count <= x.shape[axis]:
        raise ValueError(f"expected k from 0 to {x.shape[axis]}, the length of axis {axis}, got {count}")
    order = _descending(widen(x), axis) if largest else xp.argsort(widen(x), axis=axis, kind="stable")
    indices = order[(slice(None),) * axis + (slice(count),)].astype(np.int64)
    return xp.take_along_axis(x, indices, axis=axis), indices


@op("TopK", since=10, until=10)
def top_k_10(x: Array, k: Array, *, axis: int = -1) -> tuple[Array, Array]:
    """The k largest elements along an axis (ONNX TopK-10)."""
    return top_k(x, k, axis=axis)


@op("TopK", since=1, until=9)
def top_k_1(x: Array, *, axis: int = -1, k: int) -> tuple[Array, Array]:
    """The k largest elements along an axis, k being an attribute (ONNX TopK-1)."""
    return top_k(x, np.asarray(k, np.int64), axis=axis)


def _descending(x: Array, axis: int) -> Array:
    """The stable order from the largest: the stable ascending order of the mirrored array, mirrored."""
    xp = array_namespace(x)
    mirrored = xp.argsort(xp.flip(x, axis), axis=axis, kind="stable")
    return x.shape[axis] - 1 - xp.flip(mirrored, axis)
