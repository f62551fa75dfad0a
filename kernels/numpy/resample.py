"""Sampling at real-valued positions: GridSample, AffineGrid, and the N-linear sampler that DeformConv shares."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array, array_namespace, widen
from onnxlite.kernels.geometry import Ints, spatial_shape
from onnxlite.kernels.numpy.table import op

#: From the fraction of a position to the weights of its neighbours.
Weights = Callable[[Array], list[Array]]


@op("GridSample", since=20)
def grid_sample(
    x: Array, grid: Array, *, align_corners: int = 0, mode: str = "linear", padding_mode: str = "zeros"
) -> Array:
    """x (N, C, D...) sampled at the positions of grid (N, O..., r), normalised to [-1, 1]: (N, C, O...).

    ONNX GridSample-22.  The last axis of the grid names the innermost axis of x first.
    """
    shape = spatial_shape(x)
    if grid.ndim != x.ndim or grid.shape[0] != x.shape[0] or grid.shape[-1] != len(shape):
        raise ValueError(
            f"the grid for an input of shape {x.shape} must be ({x.shape[0]}, ..., {len(shape)}), got {grid.shape}"
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(f"padding_mode must be zeros, border or reflection, not {padding_mode!r}")
    if mode not in ("nearest", "linear", "cubic"):
        raise ValueError(f"mode must be nearest, linear or cubic, not {mode!r}")
    if min(shape) == 0:
        raise ValueError(f"cannot sample an image without elements, shape {x.shape}")
    xp = array_namespace(x)
    grid = widen(grid)
    points = []
    for axis, length in enumerate(shape):
        point = _denormalised(grid[..., len(shape) - 1 - axis], length, align_corners)
        point = xp.rint(point) if mode == "nearest" else point
        points.append(_padded_position(point, length, padding_mode, align_corners))
    if mode == "nearest":
        return _reader(x, padding_mode, align_corners)([_as_index(point, xp) for point in points])
    if x.dtype.kind == "O":
        raise ValueError(f"the mode {mode} needs numbers; only the mode nearest can sample strings")
    # Integers are interpolated in the grid's type, and lose their fraction at the end.
    values = x.astype(grid.dtype) if x.dtype.kind in "iub" else widen(x)
    sampled = _interpolated(_reader(values, padding_mode, align_corners), points, _WEIGHTS[mode])
    return narrowed(sampled, x.dtype)


@op("GridSample", since=16, until=16)
def grid_sample_16(
    x: Array, grid: Array, *, align_corners: int = 0, mode: str = "bilinear", padding_mode: str = "zeros"
) -> Array:
    """GridSample of images, with the mode names bilinear and bicubic.  ONNX GridSample-16."""
    return grid_sample(x, grid, align_corners=align_corners, mode=mode.removeprefix("bi"), padding_mode=padding_mode)


def sample_linear(x: Array, points: Sequence[Array]) -> Array:
    """x (N, C, D...) interpolated linearly at positions: one array (N, O...) of pixel coordinates for each axis D.

    Elements outside x are zero.  The result has the shape (N, C, O...).
    """
    limited = [_padded_position(point, length, "zeros", 1) for point, length in zip(points, x.shape[2:], strict=True)]
    return _interpolated(_reader(x, "zeros", 1), limited, _linear_weights)


def _denormalised(position: Array, length: int, align_corners: int) -> Array:
    """Pixel coordinates: -1 and 1 are the centres of the corner pixels if ``align_corners``, else their outer edges."""
    if align_corners:
        return (position + 1) / 2 * (length - 1)
    return ((position + 1) * length - 1) / 2


def _borders(length: int, align_corners: int) -> tuple[float, float]:
    return (0.0, length - 1.0) if align_corners else (-0.5, length - 0.5)


def _padded_position(point: Array, length: int, padding_mode: str, align_corners: int) -> Array:
    """Positions mirrored into the image, or moved no farther from it than where nothing of it is near."""
    xp = array_namespace(point)
    if padding_mode != "reflection":
        return xp.clip(point, -4, length + 3)
    low, high = _borders(length, align_corners)
    return xp.where((point < low) | (point > high), _reflected(point, low, high), point)


def _reflected(point: Array, low: float, high: float) -> Array:
    """Positions mirrored at two borders until they lie between them."""
    xp = array_namespace(point)
    width = high - low
    if width == 0:
        return xp.full_like(point, low)
    distance = xp.where(xp.isinf(point), 0, xp.abs(point - low))
    around = xp.mod(distance, 2 * width)
    return low + xp.minimum(around, 2 * width - around)


def _as_index(point: Array, xp: Any) -> Array:
    """Whole numbers as indices; NaN, which is nowhere, lies before every border."""
    return xp.where(xp.isnan(point), -4, point).astype(np.int64)


def _reader(x: Array, padding_mode: str, align_corners: int) -> Callable[[Sequence[Array]], Array]:
    """The function that reads x (N, C, D...) at one index array (N, O...) for each axis D, as (N, C, O...).

    Indices outside are handled as the padding mode says; for zeros, x is given a border of zeros (empty strings).
    """
    xp = array_namespace(x)
    shape = tuple(x.shape[2:])
    if padding_mode == "zeros":
        bordered = xp.full((*x.shape[:2], *(d + 2 for d in shape)), "" if x.dtype.kind == "O" else 0, dtype=x.dtype)
        bordered[(..., *(slice(1, d + 1) for d in shape))] = x
        x = bordered
    lines = x.reshape(*x.shape[:2], prod(x.shape[2:]))

    def inside(index: Array, length: int) -> Array:
        if padding_mode == "zeros":
            return xp.clip(index, -1, length) + 1
        if padding_mode == "reflection":  # the halves of the borders cancel: an index stays an index
            index = _reflected(index.astype(np.float64), *_borders(length, align_corners)).astype(np.int64)
        return xp.clip(index, 0, length - 1)

    def read(indices: Sequence[Array]) -> Array:
        flat: Array = 0
        for index, length, stored in zip(indices, shape, x.shape[2:], strict=True):
            flat = flat * stored + inside(index, length)
        out = xp.empty((*x.shape[:2], *flat.shape[1:]), dtype=x.dtype)
        for n in range(x.shape[0]):
            out[n] = xp.take(lines[n], flat[n], axis=1)
        return out

    return read


def _linear_weights(ratio: Array) -> list[Array]:
    """The weights of the elements at 0 and 1 for a position between them."""
    return [1 - ratio, ratio]


def _cubic_weights(ratio: Array, a: float = -0.75) -> list[Array]:
    """The weights of the elements at -1, 0, 1 and 2 (Keys' cubic convolution) for a position between 0 and 1."""

    def near(t: Array) -> Array:
        return ((a + 2) * t - (a + 3)) * t * t + 1

    def far(t: Array) -> Array:
        return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a

    return [far(1 + ratio), near(ratio), near(1 - ratio), far(2 - ratio)]


_WEIGHTS = {"linear": _linear_weights, "cubic": _cubic_weights}


def _interpolated(read: Callable[[Sequence[Array]], Array], points: Sequence[Array], weights_of: Weights) -> Array:
    """The sum over the neighbours of every point, each times the product of its weights along the axes."""
    xp = array_namespace(*points)
    neighbours = []
    for point in points:
        base = xp.floor(point)
        weights = weights_of(point - base)
        first = _as_index(base, xp) - (len(weights) // 2 - 1)
        neighbours.append([(first + k, weight) for k, weight in enumerate(weights)])
    total = None
    for corner in itertools.product(*neighbours):
        values = read([index for index, _ in corner])
        weight = functools.reduce(operator.mul, [factor for _, factor in corner])
        values *= weight[:, None].astype(values.real.dtype)
        total = values if total is None else total + values
    return total


def narrowed(values: Array, dtype: np.dtype[Any], *, rounded: bool = False) -> Array:
    """Interpolated values in the type of the input: integers saturate and lose their fraction or are rounded."""
    if dtype.kind in "iub":
        xp = array_namespace(values)
        low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        whole = xp.rint(values) if rounded else xp.trunc(values)
        # The largest 64-bit integers are no floats: what reaches them is not converted but replaced.
        inside = (whole > low) & (whole < high)
        edges = xp.where(whole >= high, xp.asarray(high, dtype=dtype), xp.asarray(low, dtype=dtype))
        return xp.where(inside, xp.where(inside, whole, 0).astype(dtype), edges)
    return values.astype(dtype)


@op("AffineGrid", since=20, widen=True)
def affine_grid(theta: Array, size: Array, *, align_corners: int = 0) -> Array:
    """The sampling grid (N, D..., r) of affine maps theta (N, r, r + 1) for images of ``size`` (N, C, D...).

    Every position of the even grid on [-1, 1]^r, innermost coordinate first and with a 1 appended, is multiplied by
    theta.  ONNX AffineGrid-20.
    """
    xp = array_namespace(theta)
    shape: Ints = tuple(int(length) for length in size.tolist())[2:]
    rank = len(shape)
    if theta.ndim != 3 or theta.shape[1:] != (rank, rank + 1) or theta.shape[0] != int(size[0]):
        raise ValueError(
            f"theta must have the shape ({int(size[0])}, {rank}, {rank + 1}) for the size, got {theta.shape}"
        )
    lines = [_even_grid(length, align_corners) for length in shape]
    axes = np.meshgrid(*lines, indexing="ij")[::-1]
    positions = xp.asarray(np.stack([*axes, np.ones(shape)], axis=-1).reshape(-1, rank + 1).astype(theta.dtype))
    return (positions @ theta.swapaxes(1, 2)).reshape(-1, *shape, rank)


def _even_grid(length: int, align_corners: int) -> np.ndarray[Any, Any]:
    """``length`` positions from -1 to 1: the corners' centres if ``align_corners``, else inside their outer edges.

    A single position is the middle, 0.
    """
    if align_corners and length > 1:
        return np.linspace(-1, 1, length)
    return (2 * np.arange(length) + 1) / max(length, 1) - 1
