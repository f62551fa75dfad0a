"""Softmax, LogSoftmax and Hardmax: along one axis since version 13, over the flattened trailing axes before."""

from __future__ import annotations

import math
from collections.abc import Callable

from onnxlite.kernels.arrays import Array, array_namespace, widen
from onnxlite.kernels.axes import normalize_axis
from onnxlite.kernels.numpy.table import op


@op("Softmax", since=13)
def softmax(x: Array, *, axis: int = -1) -> Array:
    """``exp(x) / sum(exp(x))`` along one axis; each step is rounded to the type, as in the body of ONNX Softmax-13."""
    xp = array_namespace(x)
    exponentials = xp.exp(_below_maximum(x, axis))
    # The sum alone is taken in float32: adding narrow floats one by one would stop growing after a few hundred.
    total = xp.sum(widen(exponentials), axis=axis, keepdims=True).astype(x.dtype)
    return exponentials / total


@op("LogSoftmax", since=13, widen=True)
def log_softmax(x: Array, *, axis: int = -1) -> Array:
    """``log(exp(x) / sum(exp(x)))`` along one axis (ONNX LogSoftmax-13)."""
    xp = array_namespace(x)
    shifted = _below_maximum(x, axis)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=axis, keepdims=True))


@op("Hardmax", since=13, widen=True)
def hardmax(x: Array, *, axis: int = -1) -> Array:
    """1 at the first maximum along one axis, 0 elsewhere (ONNX Hardmax-13)."""
    xp = array_namespace(x)
    axis = normalize_axis(axis, x.ndim)
    if x.size == 0:
        return xp.zeros_like(x)
    positions = xp.arange(x.shape[axis]).reshape((-1,) + (1,) * (x.ndim - 1 - axis))
    return (positions == xp.expand_dims(xp.argmax(x, axis=axis), axis)).astype(x.dtype)


@op("Softmax", since=1, until=12, widen=True)
def softmax_1(x: Array, *, axis: int = 1) -> Array:
    """Softmax over the axes from ``axis`` on together (ONNX Softmax-11)."""
    return _flattened(softmax, x, axis)


@op("LogSoftmax", since=1, until=12, widen=True)
def log_softmax_1(x: Array, *, axis: int = 1) -> Array:
    """LogSoftmax over the axes from ``axis`` on together (ONNX LogSoftmax-11)."""
    return _flattened(log_softmax, x, axis)


@op("Hardmax", since=1, until=12, widen=True)
def hardmax_1(x: Array, *, axis: int = 1) -> Array:
    """Hardmax over the axes from ``axis`` on together (ONNX Hardmax-11)."""
    return _flattened(hardmax, x, axis)


def _below_maximum(x: Array, axis: int) -> Array:
    """``x - max(x)``: its exponential cannot overflow."""
    xp = array_namespace(x)
    normalize_axis(axis, x.ndim)
    return x - xp.max(x, axis=axis, keepdims=True) if x.size else x


def _flattened(function: Callable[[Array], Array], x: Array, axis: int) -> Array:
    """The function of x as a matrix: the axes before ``axis`` are its rows, the others its columns."""
    axis = normalize_axis(axis, x.ndim)
    matrix = x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))
    return function(matrix).reshape(x.shape)
