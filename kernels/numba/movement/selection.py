"""NonZero and Compress: as many results as the run finds."""

from __future__ import annotations

import math

import numpy as np

from onnxlite.kernels.axes import normalize_axis
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.memory import address
from onnxlite.kernels.numba.movement.copying import copy_bytes, is_movable
from onnxlite.kernels.numba.spec import ArraySpec, Bound, Declined, Input, Output
from onnxlite.kernels.numba.table import op

_INT64 = np.dtype(np.int64)
_TYPES = frozenset(map(np.dtype, (np.bool_, np.uint8, np.int8, np.int32, np.int64, np.float32, np.float64)))

#: Larger results are left to the reference, which needs no more memory than they have.
_LARGEST = 1 << 26


@jit
def find_non_zero(x, y, count, lengths):  # type: ignore[no-untyped-def]
    """The indices of the elements that are not zero: a row of y for each axis."""
    found = 0
    for place in range(x.size):
        if x[place] != 0:
            rest = place
            for axis in range(lengths.size - 1, -1, -1):
                y[axis, found] = rest % lengths[axis]
                rest //= lengths[axis]
            found += 1
    count[0] = found


@jit
def compress_rows(x, condition, y, count, outer, length, chosen, row):  # type: ignore[no-untyped-def]
    """Copy rows of some bytes, of which each of ``outer`` parts has ``length``, where the condition holds.

    The parts of y are as long as the condition has true elements.
    """
    found = 0
    for i in range(chosen):
        found += int(condition[i])
    count[0] = found
    target, source = address(y, 0), address(x, 0)
    for part in range(outer):
        for i in range(chosen):
            if condition[i]:
                copy_bytes(target, source + (part * length + i) * row, row)
                target += row


@op("NonZero", since=9)
def non_zero(x: ArraySpec) -> Bound | Declined:
    """The indices of the elements that are not zero, one column for each (ONNX NonZero-13)."""
    if x.dtype not in _TYPES or not x.shape or not x.size:
        return Declined(f"the indices of {x.dtype}{list(x.shape)} are not compiled")
    outputs = (ArraySpec((len(x.shape), x.size), _INT64), ArraySpec((1,), _INT64))
    if outputs[0].nbytes > _LARGEST:
        return Declined("so many elements are not compiled")
    arguments = (Input(0, flat=True), Output(0), Output(1), np.array(x.shape, np.int64))
    return Bound(find_non_zero, arguments, outputs, counted=1)


@op("Compress", since=9)
def compress(x: ArraySpec, condition: ArraySpec, *, axis: int | None = None) -> Bound | Declined:
    """The slices along an axis, or the elements, at which the condition holds (ONNX Compress-11)."""
    shape = (x.size,) if axis is None else x.shape
    along = 0 if axis is None else normalize_axis(axis, len(shape))
    outer, row = math.prod(shape[:along]), math.prod(shape[along + 1 :]) * x.dtype.itemsize
    chosen = min(condition.size, shape[along])
    if not is_movable(x.dtype) or condition.dtype != np.bool_ or outer != 1 or not row * chosen:
        return Declined("only a condition on the outermost axis of numbers is compiled")
    outputs = (ArraySpec((*shape[:along], chosen, *shape[along + 1 :]), x.dtype), ArraySpec((1,), _INT64))
    if outputs[0].nbytes > _LARGEST:
        return Declined("so many elements are not compiled")
    arguments = (Input(0, flat=True), Input(1, flat=True), Output(0, flat=True), Output(1))
    return Bound(compress_rows, (*arguments, outer, shape[along], chosen, row), outputs, counted=along)
