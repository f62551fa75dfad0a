"""ReduceLogSumExp of float32: exponentials of what is left when the maximum is taken away."""

from __future__ import annotations

import numpy as np

from onnxlite.kernels.axes import normalize_axes
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.lanes import load
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.machine.vectormath import exp
from onnxlite.kernels.numba.reduction.reduction import collapsed, reduced_shape
from onnxlite.kernels.numba.reduction.row_reduction import largest_of
from onnxlite.kernels.numba.spec import FLOAT32, ArraySpec, Bound, Declined, Input, Output, Pool
from onnxlite.kernels.numba.table import op

#: The elements that one piece of work reduces.
_PIECE = 1 << 14

_LOWEST = np.float32(-np.inf)


@jit(reassociate=True)
def _sum_of_exponentials(x, first, count, shift):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    for i in range(first, first + count):
        total += exp(load(x, i) - shift)
    return total


@jit
def _reduce(start, stop, thread, x, y, first, kept, last):  # type: ignore[no-untyped-def]
    for row in range(start, stop):
        corner = (row // kept * first * kept + row % kept) * last
        shift = _LOWEST
        for part in range(first):
            shift = max(shift, largest_of(x, corner + part * kept * last, last, _LOWEST, _LOWEST))
        if not np.isfinite(shift):
            shift = np.float32(0)
        total = np.float32(0)
        for part in range(first):
            total += _sum_of_exponentials(x, corner + part * kept * last, last, shift)
        y[row] = np.log(total) + shift


@jit
def log_sum_exp(pool, x, y, first, kept, last, results, piece):  # type: ignore[no-untyped-def]
    """``log(sum(exp(x)))`` over the second and fourth of four axes."""
    parallel_for(pool, _reduce, (x, y, first, kept, last), results, piece)


def _bind(x: ArraySpec, axes: tuple[int, ...], keepdims: int) -> Bound | Declined:
    shape = collapsed(x.shape, axes)
    if x.dtype != FLOAT32 or shape is None or not x.size:
        return Declined(f"the reduction of {x.dtype}{list(x.shape)} along {axes} is not compiled")
    outer, first, kept, last = shape
    arguments = (Pool(), Input(0, flat=True), Output(flat=True), first, kept, last, outer * kept)
    result = ArraySpec(reduced_shape(x.shape, axes, bool(keepdims)), FLOAT32)
    return Bound(log_sum_exp, (*arguments, max(1, _PIECE // (first * last))), (result,))


@op("ReduceLogSumExp", since=18)
def reduce_log_sum_exp(
    data: ArraySpec, axes: ArraySpec | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> Bound | Declined:
    """``log(sum(exp(data)))`` (ONNX ReduceLogSumExp-18)."""
    if axes is not None and axes.value is None:
        return Declined("the axes are not known before the model runs")
    given = axes is not None and axes.size > 0
    chosen = axes.value if axes is not None and given else () if noop_with_empty_axes else None
    return _bind(data, normalize_axes(chosen, len(data.shape)), keepdims)


@op("ReduceLogSumExp", since=1, until=13)
def reduce_log_sum_exp_1(
    data: ArraySpec, *, axes: tuple[int, ...] | None = None, keepdims: int = 1
) -> Bound | Declined:
    """ReduceLogSumExp with the axes as an attribute (ONNX ReduceLogSumExp-13)."""
    return _bind(data, normalize_axes(axes or None, len(data.shape)), keepdims)
