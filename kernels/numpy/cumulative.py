"""Running totals along an axis: CumSum and CumProd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from onnxlite.kernels.arrays import Array, array_namespace
from onnxlite.kernels.axes import normalize_axis
from onnxlite.kernels.numpy.table import op


@op("CumSum", since=11, widen=True)
def cum_sum(x: Array, axis: Array, *, exclusive: int = 0, reverse: int = 0) -> Array:
    """``y[i] = x[0] + ... + x[i]`` along an axis; exclusive leaves out ``x[i]`` (ONNX CumSum-14)."""
    return _cumulative(array_namespace(x).cumsum, 0, x, int(axis.item()), bool(exclusive), bool(reverse))


@op("CumProd", since=26, widen=True)
def cum_prod(x: Array, axis: Array, *, exclusive: int = 0, reverse: int = 0) -> Array:
    """``y[i] = x[0] * ... * x[i]`` along an axis; exclusive leaves out ``x[i]`` (ONNX CumProd-26)."""
    return _cumulative(array_namespace(x).cumprod, 1, x, int(axis.item()), bool(exclusive), bool(reverse))


def _cumulative(
    accumulate: Callable[..., Any], identity: int, x: Array, axis: int, exclusive: bool, reverse: bool
) -> Array:
    xp = array_namespace(x)
    axis = normalize_axis(axis, x.ndim)
    if reverse:
        x = xp.flip(x, axis)
    result = accumulate(x, axis=axis, dtype=x.dtype)
    if exclusive:
        lead = (slice(None),) * axis
        shifted = xp.full_like(result, identity)
        shifted[(*lead, slice(1, None))] = result[(*lead, slice(None, -1))]
        result = shifted
    return xp.flip(result, axis) if reverse else result
