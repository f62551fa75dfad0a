"""The operators that write elements by index into a copy of a tensor: ScatterElements, ScatterND, TensorScatter."""

from __future__ import annotations

import itertools
import math
import operator
from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array, array_namespace
from onnxlite.kernels.axes import normalize_axis
from onnxlite.kernels.numpy.indexing import mesh_with, tuples_into
from onnxlite.kernels.numpy.table import op

#: The ufunc of every reduction.
_UFUNCS = {"add": "add", "mul": "multiply", "min": "minimum", "max": "maximum"}


@op("ScatterElements", since=16)
def scatter_elements(data: Array, indices: Array, updates: Array, *, axis: int = 0, reduction: str = "none") -> Array:
    """A copy of the data with each update at its own place, but for the axis that its index replaces.

    With a reduction, an update is combined with what is there, and with others of the same place; without one, the last
    update to a place stays (ONNX ScatterElements-18).
    """
    if updates.shape != indices.shape:
        raise ValueError(f"expected updates of the indices' shape {indices.shape}, got {updates.shape}")
    mesh = mesh_with(indices, normalize_axis(axis, data.ndim), data.shape)
    return _scattered(data, _flat_positions(mesh, data.shape), updates, reduction)


@op("Scatter", since=9)
@op("ScatterElements", since=11, until=13)
def scatter(data: Array, indices: Array, updates: Array, *, axis: int = 0) -> Array:
    """ScatterElements without a reduction (ONNX Scatter-9, ScatterElements-11)."""
    return scatter_elements(data, indices, updates, axis=axis)


@op("ScatterND", since=16)
def scatter_nd(data: Array, indices: Array, updates: Array, *, reduction: str = "none") -> Array:
    """A copy of the data with each slice of the updates at the index tuple in ``indices[...]`` (ONNX ScatterND-18)."""
    columns = tuples_into(indices, data.shape)
    leading, inner = data.shape[: len(columns)], data.shape[len(columns) :]
    if updates.shape != indices.shape[:-1] + inner:
        raise ValueError(f"expected updates of shape {indices.shape[:-1] + inner}, got {updates.shape}")
    rows = _flat_positions(columns, leading)
    return _scattered(data, rows, updates, reduction, math.prod(inner))


@op("ScatterND", since=11, until=13)
def scatter_nd_11(data: Array, indices: Array, updates: Array) -> Array:
    """ScatterND without a reduction (ONNX ScatterND-11)."""
    return scatter_nd(data, indices, updates)


def _flat_positions(index: tuple[Array, ...], shape: tuple[int, ...]) -> Array:
    """The row-major positions, as a vector, that an index with one array for each dimension addresses."""
    strides = list(itertools.accumulate(reversed(shape[1:]), operator.mul, initial=1))[::-1]
    positions = sum(column * stride for column, stride in zip(index, strides, strict=True))
    return positions.reshape(-1)


def _scattered(data: Array, rows: Array, updates: Array, reduction: str, width: int = 1) -> Array:
    """A copy of the data, seen as rows of ``width`` elements, with the updates written or accumulated into rows."""
    xp = array_namespace(data)
    if reduction != "none" and reduction not in _UFUNCS:
        raise ValueError(f"expected reduction none, add, mul, min or max, got {reduction!r}")
    result = xp.array(data, order="C")
    if not updates.size:
        return result
    if reduction == "none":
        result.reshape(-1, width)[rows] = updates.reshape(-1, width)
        return result
    positions = (rows[:, None] * width + xp.arange(width)).reshape(-1)
    accumulate: Any = getattr(xp, _UFUNCS[reduction]).at
    accumulate(result.reshape(-1), positions, updates.reshape(-1))
    return result


@op("TensorScatter", since=24)
def tensor_scatter(
    past_cache: Array, update: Array, write_indices: Array | None = None, *, axis: int = -2, mode: str = "linear"
) -> Array:
    """A copy of a cache with the update written along its sequence axis, from an own index on in each batch entry.

    Mode ``circular`` continues at the start when it reaches the end (ONNX TensorScatter-24).
    """
    xp = array_namespace(past_cache)
    axis = normalize_axis(axis, past_cache.ndim)
    batch, capacity, length = past_cache.shape[0], past_cache.shape[axis], update.shape[axis]
    expected = (*past_cache.shape[:axis], length, *past_cache.shape[axis + 1 :])
    if axis == 0 or update.shape != expected or length > capacity:
        raise ValueError(
            f"expected an update like the cache of shape {past_cache.shape}, but for a sequence axis other than 0 "
            f"in which it is no longer, got shape {update.shape} and axis {axis}"
        )
    starts = xp.zeros(batch, np.int64) if write_indices is None else write_indices.astype(np.int64).reshape(-1)
    positions = starts[:, None] + xp.arange(length)
    if mode == "circular":
        positions = positions % max(capacity, 1)
    elif mode != "linear":
        raise ValueError(f"expected mode linear or circular, got {mode!r}")
    elif positions.size and not 0 <= int(positions.min()) <= int(positions.max()) < capacity:
        raise IndexError(f"expected to write positions 0 to {capacity - 1}, got {starts.tolist()} plus {length} steps")
    result = xp.array(past_cache, order="C")
    xp.moveaxis(result, axis, 1)[xp.arange(batch)[:, None], positions] = xp.moveaxis(update, axis, 1)
    return result
