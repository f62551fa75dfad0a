"""The operators that read or change a tensor's shape and leave its elements alone: Shape, Reshape, Transpose, ..."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from onnxlite.kernels.arrays import Array, array_namespace
from onnxlite.kernels.axes import normalize_axes, normalize_axis
from onnxlite.kernels.numpy.joining import padded
from onnxlite.kernels.numpy.table import op


@op("Shape", since=15)
def shape(data: Array, *, start: int = 0, end: int | None = None) -> Array:
    """The dimensions ``data.shape[start:end]`` as int64; out-of-range bounds are clamped (ONNX Shape-15)."""
    return array_namespace(data).asarray(data.shape[start:end], dtype=np.int64)


@op("Shape", since=1, until=13)
def shape_1(data: Array) -> Array:
    """All dimensions as int64 (ONNX Shape-1)."""
    return shape(data)


@op("Size", since=1)
def size(data: Array) -> Array:
    """The number of elements, an int64 scalar (ONNX Size-1)."""
    return array_namespace(data).asarray(data.size, dtype=np.int64)


@op("Reshape", since=14)
def reshape(data: Array, shape: Array, *, allowzero: int = 0) -> Array:
    """The same elements under another shape; 0 copies a dimension, -1 takes what is left (ONNX Reshape-14)."""
    return data.reshape(_reshaped(data, shape.reshape(-1).tolist(), bool(allowzero)))


@op("Reshape", since=5, until=13)
def reshape_5(data: Array, shape: Array) -> Array:
    """Reshape in which 0 always copies the dimension (ONNX Reshape-5)."""
    return reshape(data, shape)


@op("Reshape", since=1, until=1)
def reshape_1(
    data: Array, *, consumed_inputs: Sequence[int] | None = None, shape: Sequence[int] | None = None
) -> Array:
    """Reshape with the shape as an attribute; without one the result is a scalar (ONNX Reshape-1)."""
    return data.reshape(_reshaped(data, list(shape or ()), allow_zero=False))


def _reshaped(data: Array, target: list[int], allow_zero: bool) -> tuple[int, ...]:
    """The shape that a Reshape to ``target`` gives, with its 0 and -1 resolved."""
    asked = f"expected a shape for the {data.size} elements of {data.shape}, got {target}"
    if min(target, default=0) < -1 or target.count(-1) > 1:
        raise ValueError(f"{asked}: at most one dimension may be -1 and none less")
    if allow_zero and 0 in target and -1 in target:
        raise ValueError(f"{asked}: with allowzero, 0 and -1 exclude each other")
    dims = list(target)
    if not allow_zero:
        for axis, dim in enumerate(target):
            if dim == 0:
                if axis >= data.ndim:
                    raise ValueError(f"{asked}: no input dimension {axis} to copy")
                dims[axis] = data.shape[axis]
    if -1 in dims:
        known = math.prod(dim for dim in dims if dim != -1)
        if known == 0 or data.size % known:
            raise ValueError(f"{asked}: the dimension -1 has no size that fits")
        dims[dims.index(-1)] = data.size // known
    if math.prod(dims) != data.size:
        raise ValueError(asked)
    return tuple(dims)


@op("Flatten", since=1)
def flatten(x: Array, *, axis: int = 1) -> Array:
    """A matrix: dimensions before ``axis`` become its rows, the others its columns (ONNX Flatten-1)."""
    if not -x.ndim <= axis <= x.ndim:
        raise ValueError(f"expected an axis from {-x.ndim} to {x.ndim} for a tensor of rank {x.ndim}, got {axis}")
    split = axis + x.ndim if axis < 0 else axis
    return x.reshape(math.prod(x.shape[:split]), math.prod(x.shape[split:]))


@op("Squeeze", since=13)
def squeeze(data: Array, axes: Array | None = None) -> Array:
    """The tensor without the given dimensions of size 1, by default without all of them (ONNX Squeeze-13)."""
    return _squeezed(data, axes)


@op("Squeeze", since=1, until=11)
def squeeze_1(data: Array, *, axes: Sequence[int] | None = None) -> Array:
    """Squeeze with the axes as an attribute (ONNX Squeeze-1)."""
    return _squeezed(data, axes)


def _squeezed(data: Array, axes: Array | Sequence[int] | None) -> Array:
    if axes is None:
        return data.reshape([dim for dim in data.shape if dim != 1])
    removed = normalize_axes(axes, data.ndim)
    if any(data.shape[axis] != 1 for axis in removed):
        raise ValueError(f"expected dimensions of size 1 at axes {list(removed)}, got a tensor of shape {data.shape}")
    return data.reshape([dim for axis, dim in enumerate(data.shape) if axis not in removed])


@op("Unsqueeze", since=13)
def unsqueeze(data: Array, axes: Array) -> Array:
    """The tensor with dimensions of size 1 inserted, at ``axes`` of the result (ONNX Unsqueeze-13)."""
    return _unsqueezed(data, axes.reshape(-1).tolist())


@op("Unsqueeze", since=1, until=11)
def unsqueeze_1(data: Array, *, axes: Sequence[int]) -> Array:
    """Unsqueeze with the axes as an attribute (ONNX Unsqueeze-1)."""
    return _unsqueezed(data, axes)


def _unsqueezed(data: Array, axes: Sequence[int]) -> Array:
    return array_namespace(data).expand_dims(data, normalize_axes(axes, data.ndim + len(axes)))


@op("Transpose", since=1)
def transpose(data: Array, *, perm: Sequence[int] | None = None) -> Array:
    """Dimensions in the order ``perm``, by default reversed (ONNX Transpose-1)."""
    if perm is None:
        return data.transpose()
    if sorted(perm) != list(range(data.ndim)):
        raise ValueError(f"expected perm to order the {data.ndim} axes of {data.shape}, got {list(perm)}")
    return data.transpose(perm)


@op("Expand", since=8)
def expand(x: Array, shape: Array) -> Array:
    """The tensor broadcast together with a shape, in both directions (ONNX Expand-8)."""
    target = tuple(shape.reshape(-1).tolist())
    try:
        return array_namespace(x).broadcast_to(x, np.broadcast_shapes(x.shape, target))
    except ValueError:
        raise ValueError(f"expected a shape that broadcasts with {x.shape}, got {target}") from None


@op("Tile", since=6)
def tile(x: Array, repeats: Array) -> Array:
    """The tensor repeated ``repeats[i]`` times along every axis i (ONNX Tile-6)."""
    counts = repeats.reshape(-1).tolist()
    if len(counts) != x.ndim or min(counts, default=0) < 0:
        raise ValueError(f"expected {x.ndim} repeats, none negative, for a tensor of shape {x.shape}, got {counts}")
    return array_namespace(x).tile(x, counts)


@op("Tile", since=1, until=1)
def tile_1(x: Array, tiles: Array, axis: Array) -> Array:
    """The tensor repeated along one axis; count and axis are tensors of one element (ONNX Tile-1)."""
    repeats = np.ones(x.ndim, np.int64)
    repeats[normalize_axis(int(axis.reshape(-1)[0]), x.ndim)] = int(tiles.reshape(-1)[0])
    return tile(x, repeats)


@op("CenterCropPad", since=18)
def center_crop_pad(x: Array, shape: Array, *, axes: Sequence[int] | None = None) -> Array:
    """The tensor cropped or zero-padded to ``shape`` around its centre, on some axes (ONNX CenterCropPad-18)."""
    chosen, target = normalize_axes(axes, x.ndim), shape.reshape(-1).tolist()
    if len(target) != len(chosen) or min(target, default=0) < 0:
        raise ValueError(f"expected {len(chosen)} dimensions, none negative, for axes {list(chosen)}, got {target}")
    widths = [(0, 0)] * x.ndim
    for axis, wanted in zip(chosen, target, strict=True):
        missing = wanted - x.shape[axis]
        # Both a crop and a padding put their odd element at the end.
        before = missing // 2 if missing >= 0 else -(-missing // 2)
        widths[axis] = (before, missing - before)
    return padded(x, widths)
