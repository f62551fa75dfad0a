"""TensorScatter: a copy of a cache with new rows written along its sequence axis, from an own place on in each item."""

from __future__ import annotations

import math

import numpy as np

from onnxlite.kernels.axes import normalize_axis
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.memory import address
from onnxlite.kernels.numba.movement.copying import copy_bytes, is_movable
from onnxlite.kernels.numba.spec import ArraySpec, Bound, Declined, Input, Output
from onnxlite.kernels.numba.table import op


@jit
def write_rows(cache, rows, starts, y, batch, outer, capacity, length, row, circular):  # type: ignore[no-untyped-def]
    """Copy the cache (batch, outer, capacity, row bytes), then rows (batch, outer, length, row bytes) into it."""
    for item in range(batch):
        first = np.int64(starts[item])
        if circular == 0 and (first < 0 or first + length > capacity):
            raise IndexError("expected to write within the cache, got a place outside")
    target, source = address(y, 0), address(rows, 0)
    if target != address(cache, 0):
        copy_bytes(target, address(cache, 0), batch * outer * capacity * row)
    for part in range(batch * outer):
        first = np.int64(starts[part // outer])
        for step in range(length):
            place = part * capacity + (first + step) % capacity
            copy_bytes(target + place * row, source + (part * length + step) * row, row)


@op("TensorScatter", since=24)
def tensor_scatter(
    past_cache: ArraySpec,
    update: ArraySpec,
    write_indices: ArraySpec | None = None,
    *,
    axis: int = -2,
    mode: str = "linear",
) -> Bound | Declined:
    """The cache with the update written at the indices (ONNX TensorScatter-24)."""
    shape = past_cache.shape
    axis = normalize_axis(axis, len(shape))
    if not is_movable(past_cache.dtype) or update.dtype != past_cache.dtype or mode not in ("linear", "circular"):
        return Declined(f"writing {update.dtype} into {past_cache.dtype} is not compiled")
    if axis == 0 or len(update.shape) != len(shape) or update.shape[axis] > shape[axis]:
        return Declined("the shapes do not fit: the reference says how")
    if update.shape != (*shape[:axis], update.shape[axis], *shape[axis + 1 :]):
        return Declined("the shapes do not fit: the reference says how")
    if write_indices is not None and write_indices.shape != shape[:1]:
        return Declined("the indices do not fit: the reference says how")
    if not past_cache.size or not update.size:
        return Declined("there is nothing to write")
    row = math.prod(shape[axis + 1 :]) * past_cache.dtype.itemsize
    lengths = (shape[0], math.prod(shape[1:axis]), shape[axis], update.shape[axis], row, int(mode == "circular"))
    places = np.zeros(shape[0], np.int64) if write_indices is None else Input(2, flat=True)
    arrays = (Input(0, flat=True), Input(1, flat=True), places, Output(flat=True))
    return Bound(write_rows, (*arrays, *lengths), (ArraySpec(shape, past_cache.dtype),), in_place=((0, 0),))
