"""The operators that read elements by index or condition: Gather, Compress, OneHot, NonZero, Trilu, Unique, ..."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array, array_namespace
from onnxlite.kernels.axes import normalize_axis
from onnxlite.kernels.numpy.joining import blanks
from onnxlite.kernels.numpy.table import op


def checked(indices: Array, size: int) -> Array:
    """Indices into a dimension, the negative ones counted from its end.

    Raises:
        IndexError: An index lies outside -size .. size-1.
    """
    xp = array_namespace(indices)
    if not indices.size:
        return indices.astype(np.intp)
    lowest, highest = int(indices.min()), int(indices.max())
    if lowest < -size or highest >= size:
        wrong = lowest if lowest < -size else highest
        raise IndexError(f"expected indices from {-size} to {size - 1} into a dimension of {size}, got {wrong}")
    indices = indices.astype(np.intp, copy=False)
    return xp.where(indices < 0, indices + size, indices) if lowest < 0 else indices


def mesh_with(indices: Array, axis: int, shape: tuple[int, ...]) -> tuple[Array, ...]:
    """The index arrays that address ``x[i, ..., indices[i, ..., k], ..., k]`` for an ``x`` of the given shape."""
    xp, rank = array_namespace(indices), indices.ndim
    if rank != len(shape) or any(i > s for d, (i, s) in enumerate(zip(indices.shape, shape, strict=True)) if d != axis):
        raise ValueError(f"expected indices no larger than {shape} apart from axis {axis}, got {indices.shape}")
    mesh = [xp.arange(dim).reshape(aligned(d, rank)) for d, dim in enumerate(indices.shape)]
    mesh[axis] = checked(indices, shape[axis])
    return tuple(mesh)


def aligned(axis: int, rank: int) -> tuple[int, ...]:
    """The shape that lays a vector along one axis: ``aligned(1, 3) == (1, -1, 1)``."""
    return tuple(-1 if d == axis else 1 for d in range(rank))


@op("Gather", since=1)
def gather(data: Array, indices: Array, *, axis: int = 0) -> Array:
    """The slices of ``data`` along an axis that the indices name; their shape replaces the axis (ONNX Gather-13)."""
    axis = normalize_axis(axis, data.ndim)
    return data.take(checked(indices, data.shape[axis]), axis=axis)


@op("GatherElements", since=11)
def gather_elements(data: Array, indices: Array, *, axis: int = 0) -> Array:
    """For each index the element at its own place, but for the axis that it replaces (ONNX GatherElements-13)."""
    return data[mesh_with(indices, normalize_axis(axis, data.ndim), data.shape)]


@op("GatherND", since=12)
def gather_nd(data: Array, indices: Array, *, batch_dims: int = 0) -> Array:
    """The slices at the index tuples in the last axis of ``indices``, batch by batch (ONNX GatherND-13)."""
    xp = array_namespace(data)
    if not 0 <= batch_dims < min(data.ndim, indices.ndim):
        raise ValueError(f"expected batch_dims below the ranks {data.ndim} and {indices.ndim}, got {batch_dims}")
    batch = data.shape[:batch_dims]
    if indices.shape[:batch_dims] != batch:
        raise ValueError(f"expected indices with the batch dimensions {batch}, got shape {indices.shape}")
    grid = [xp.arange(dim).reshape(aligned(d, indices.ndim - 1)) for d, dim in enumerate(batch)]
    return data[(*grid, *tuples_into(indices, data.shape[batch_dims:]))]


@op("GatherND", since=11, until=11)
def gather_nd_11(data: Array, indices: Array) -> Array:
    """GatherND without batches (ONNX GatherND-11)."""
    return gather_nd(data, indices)


def tuples_into(indices: Array, shape: tuple[int, ...]) -> tuple[Array, ...]:
    """The last axis of ``indices`` as one checked index array for each of the leading dimensions of ``shape``."""
    if not indices.ndim or not 1 <= indices.shape[-1] <= len(shape):
        raise ValueError(f"expected index tuples of 1 to {len(shape)} entries into {shape}, got shape {indices.shape}")
    return tuple(checked(indices[..., d], shape[d]) for d in range(indices.shape[-1]))


@op("Compress", since=9)
def compress(x: Array, condition: Array, *, axis: int | None = None) -> Array:
    """The slices along an axis, or the flattened elements, at which the condition holds (ONNX Compress-11)."""
    if axis is None:
        x, axis = x.reshape(-1), 0
    axis = normalize_axis(axis, x.ndim)
    # A condition may be shorter than the axis; of a longer one, the rest has nothing to select.
    (chosen,) = condition.reshape(-1)[: x.shape[axis]].nonzero()
    return x.take(chosen, axis=axis)


@op("OneHot", since=11)
def one_hot(indices: Array, depth: Array, values: Array, *, axis: int = -1) -> Array:
    """``values[1]`` where a class is the index, else ``values[0]``; indices count from both ends (ONNX OneHot-11)."""
    indices, classes = _integers(indices), _classes(depth)
    if indices.dtype != np.uint64:
        indices = array_namespace(indices).where(indices < 0, indices + classes, indices)
    return _one_hot(indices, classes, values, axis)


@op("OneHot", since=9, until=9)
def one_hot_9(indices: Array, depth: Array, values: Array, *, axis: int = -1) -> Array:
    """OneHot in which a negative index is outside the classes, so that all are off (ONNX OneHot-9)."""
    return _one_hot(_integers(indices), _classes(depth), values, axis)


def _integers(indices: Array) -> Array:
    """The indices as 64-bit integers: floats lose their fraction, and uint64 does not wrap."""
    return indices.astype(np.uint64 if indices.dtype.kind == "u" else np.int64)


def _classes(depth: Array) -> int:
    classes = int(depth.reshape(-1)[0])
    if classes < 0:
        raise ValueError(f"expected a depth of at least 0, got {classes}")
    return classes


def _one_hot(indices: Array, classes: int, values: Array, axis: int) -> Array:
    if values.shape != (2,):
        raise ValueError(f"expected values [off, on] of shape (2,), got {values.shape}")
    xp, rank = array_namespace(indices), indices.ndim + 1
    axis = normalize_axis(axis, rank)
    numbers = xp.arange(classes, dtype=indices.dtype).reshape(aligned(axis, rank))
    return values.take((xp.expand_dims(indices, axis) == numbers).astype(np.intp))


@op("NonZero", since=9)
def non_zero(x: Array) -> Array:
    """The indices of the elements that are not zero, one column for each, in row-major order (ONNX NonZero-13)."""
    return array_namespace(x).argwhere(x).astype(np.int64, copy=False).T


@op("Trilu", since=14)
def trilu(x: Array, k: Array | None = None, *, upper: int = 1) -> Array:
    """The matrices with zeros below (``upper``) or above their k-th diagonal (ONNX Trilu-14)."""
    if x.ndim < 2:
        raise ValueError(f"expected a tensor of rank 2 or more, got shape {x.shape}")
    xp = array_namespace(x)
    diagonal = 0 if k is None else int(k.reshape(-1)[0])
    offset = xp.arange(x.shape[-1]) - xp.arange(x.shape[-2])[:, None]
    kept = offset >= diagonal if upper else offset <= diagonal
    return xp.where(kept, x, blanks(xp, (), x.dtype))


@op("ReverseSequence", since=10)
def reverse_sequence(x: Array, sequence_lens: Array, *, batch_axis: int = 1, time_axis: int = 0) -> Array:
    """In each batch entry the first ``sequence_lens`` time steps reversed, the rest kept (ONNX ReverseSequence-10)."""
    xp = array_namespace(x)
    batch_axis, time_axis = normalize_axis(batch_axis, x.ndim), normalize_axis(time_axis, x.ndim)
    if batch_axis == time_axis:
        raise ValueError(f"expected different batch and time axes, got {batch_axis} for both")
    batch, steps = x.shape[batch_axis], x.shape[time_axis]
    lengths = sequence_lens.astype(np.int64).reshape(-1, 1)
    if lengths.shape[0] != batch or (batch and not 0 <= int(lengths.min()) <= int(lengths.max()) <= steps):
        raise ValueError(f"expected {batch} lengths from 0 to {steps}, got {sequence_lens.reshape(-1).tolist()}")
    time = xp.arange(steps)
    source = xp.where(time < lengths, lengths - 1 - time, time)
    by_batch = xp.moveaxis(x, (batch_axis, time_axis), (0, 1))
    return xp.moveaxis(by_batch[xp.arange(batch)[:, None], source], (0, 1), (batch_axis, time_axis))


@op("Unique", since=11)
def unique(x: Array, *, axis: int | None = None, sorted: int = 1) -> tuple[Array, ...]:
    """The different elements, or slices along an axis, sorted or in the order they occur (ONNX Unique-11).

    With them: where each occurs first, which of them each element of ``x`` is, and how often each occurs.
    """
    if axis is None:
        x, axis = x.reshape(-1), 0
    axis = normalize_axis(axis, x.ndim)
    first, inverse, counts = _classified(x, axis)
    if not sorted:
        order = first.argsort()
        first, inverse, counts = first[order], order.argsort()[inverse], counts[order]
    return x.take(first, axis=axis), *(result.astype(np.int64, copy=False) for result in (first, inverse, counts))


def _classified(x: Array, axis: int) -> tuple[Any, Any, Any]:
    """First occurrence, class of every slice, and size of every class of the slices along an axis."""
    xp = array_namespace(x)
    if x.ndim > 1 and x.dtype.kind in "OV":
        # Slices are compared as a whole only for NumPy's own numbers: their elements' ranks order them as well.
        x = xp.unique(x.reshape(-1), return_inverse=True)[1].reshape(x.shape)
    along = {"axis": axis} if x.ndim > 1 else {}
    _, first, inverse, counts = xp.unique(x, return_index=True, return_inverse=True, return_counts=True, **along)
    return first, inverse.reshape(-1), counts
