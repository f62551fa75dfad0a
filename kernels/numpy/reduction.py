"""Reductions along axes: every Reduce* operator.

Each operator is one function ``compute(data, axes, keepdims)`` over normalised axes; the decorator `reduction`
registers it with both of ONNX's signatures (axes as an attribute, later as an input).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from onnxlite.kernels.arrays import Array, array_namespace
from onnxlite.kernels.axes import normalize_axes
from onnxlite.kernels.numpy.table import op

Reduction: TypeAlias = Callable[[Array, tuple[int, ...], bool], Array]


def reduction(name: str, *, axes_are_input_since: int = 18) -> Callable[[Reduction], Reduction]:
    """Register a reduction for all its versions: axes as an attribute first, as an optional input later."""

    def register(compute: Reduction) -> Reduction:
        def axes_attribute(data: Array, *, axes: tuple[int, ...] | None = None, keepdims: int = 1) -> Array:
            return compute(data, normalize_axes(axes or None, data.ndim), bool(keepdims))

        def axes_input(
            data: Array, axes: Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
        ) -> Array:
            given = axes is not None and axes.size > 0
            chosen = axes if given else () if noop_with_empty_axes else None
            return compute(data, normalize_axes(chosen, data.ndim), bool(keepdims))

        for function in (axes_attribute, axes_input):
            function.__doc__ = compute.__doc__
            function.__name__ = function.__qualname__ = compute.__name__
        op(name, since=1, until=axes_are_input_since - 1, widen=True)(axes_attribute)
        op(name, since=axes_are_input_since, widen=True)(axes_input)
        return compute

    return register


@reduction("ReduceSum", axes_are_input_since=13)
def reduce_sum(data: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """The sum of the elements; 0 for none (ONNX ReduceSum-13)."""
    return array_namespace(data).sum(data, axis=axes, dtype=data.dtype, keepdims=keepdims)


@reduction("ReduceProd")
def reduce_prod(data: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """The product of the elements; 1 for none (ONNX ReduceProd-18)."""
    return array_namespace(data).prod(data, axis=axes, dtype=data.dtype, keepdims=keepdims)


@reduction("ReduceMean")
def reduce_mean(data: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """The mean of the elements; integers are divided towards zero (ONNX ReduceMean-18)."""
    count = math.prod(data.shape[axis] for axis in axes)
    if data.dtype.kind not in "iu":
        return reduce_sum(data, axes, keepdims) / count
    wide = np.uint64 if data.dtype.kind == "u" else np.int64
    total = array_namespace(data).sum(data, axis=axes, dtype=wide, keepdims=keepdims)
    floor = total // count
    return (floor + ((total < 0) & (floor * count != total))).astype(data.dtype)


@reduction("ReduceMax")
def reduce_max(data: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """The largest element, NaN if one is NaN; the type's lowest value for none (ONNX ReduceMax-20)."""
    lowest = {"f": -np.inf, "b": False}.get(data.dtype.kind)
    lowest = np.iinfo(data.dtype).min if lowest is None else lowest
    return _extreme(array_namespace(data).max, lowest, data, axes, keepdims)


@reduction("ReduceMin")
def reduce_min(data: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """The smallest element, NaN if one is NaN; the type's highest value for none (ONNX ReduceMin-20)."""
    highest = {"f": np.inf, "b": True}.get(data.dtype.kind)
    highest = np.iinfo(data.dtype).max if highest is None else highest
    return _extreme(array_namespace(data).min, highest, data, axes, keepdims)


@reduction("ReduceSumSquare")
def reduce_sum_square(data: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """The sum of the squares (ONNX ReduceSumSquare-18)."""
    return reduce_sum(data * data, axes, keepdims)


@reduction("ReduceL1")
def reduce_l1(data: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """The sum of the magnitudes (ONNX ReduceL1-18)."""
    return reduce_sum(array_namespace(data).abs(data), axes, keepdims)


@reduction("ReduceL2")
def reduce_l2(data: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """The square root of the sum of the squares (ONNX ReduceL2-18)."""
    norm = array_namespace(data).sqrt(reduce_sum_square(_real(data), axes, keepdims))
    return norm.astype(data.dtype)


@reduction("ReduceLogSum")
def reduce_log_sum(data: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """The logarithm of the sum (ONNX ReduceLogSum-18)."""
    return array_namespace(data).log(reduce_sum(_real(data), axes, keepdims)).astype(data.dtype)


@reduction("ReduceLogSumExp")
def reduce_log_sum_exp(data: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """``log(sum(exp(data)))``, shifted by the maximum so that nothing overflows (ONNX ReduceLogSumExp-18)."""
    xp = array_namespace(data)
    real = _real(data)
    shift = reduce_max(real, axes, True)
    shift = xp.where(xp.isfinite(shift), shift, xp.zeros_like(shift))
    result = xp.log(reduce_sum(xp.exp(real - shift), axes, True)) + shift
    return (result if keepdims else xp.squeeze(result, axis=axes)).astype(data.dtype)


def _extreme(reduce: Callable[..., Any], identity: Any, data: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """The maximum or minimum, and its identity where the set of elements is empty."""
    if all(data.shape[axis] for axis in axes):
        return reduce(data, axis=axes, keepdims=keepdims)
    kept = [1 if axis in axes else length for axis, length in enumerate(data.shape) if keepdims or axis not in axes]
    return array_namespace(data).full(tuple(kept), identity, dtype=data.dtype)


def _real(data: Array) -> Array:
    """The data as floats: roots and logarithms of integers are computed in float64, then truncated."""
    return data if data.dtype.kind == "f" else data.astype(np.float64)
