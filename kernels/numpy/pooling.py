"""Pools: AveragePool, MaxPool, LpPool, their global forms, and MaxUnpool, over any number of spatial axes."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array, array_namespace
from onnxlite.kernels.geometry import (
    Ints,
    Windows,
    covered,
    pad_image,
    per_axis,
    reduce_windows,
    span,
    spatial_shape,
    windows,
)
from onnxlite.kernels.numpy.table import op


@op("AveragePool", since=19, widen=True)
def average_pool(
    x: Array,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: Ints | None = None,
    kernel_shape: Ints,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Array:
    """Mean of every window of x (N, C, D...): (N, C, O...).  ONNX AveragePool-22.

    The padding counts as zeros if ``count_include_pad``; what ceil mode reads beyond the padding never counts.
    """
    w = windows(
        spatial_shape(x),
        kernel_shape,
        strides=strides,
        dilations=dilations,
        pads=pads,
        auto_pad=auto_pad,
        ceil_mode=ceil_mode,
    )
    xp = array_namespace(x)
    sums = reduce_windows(xp.add, pad_image(x, w), w)
    return sums / xp.asarray(covered(w, with_padding=bool(count_include_pad)).astype(x.dtype))


@op("AveragePool", since=10, until=11, widen=True)
def average_pool_10(
    x: Array,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    kernel_shape: Ints,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Array:
    """AveragePool without dilations.  ONNX AveragePool-10 and 11."""
    return average_pool(
        x,
        auto_pad=auto_pad,
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
        kernel_shape=kernel_shape,
        pads=pads,
        strides=strides,
    )


@op("AveragePool", since=7, until=7, widen=True)
def average_pool_7(
    x: Array,
    *,
    auto_pad: str = "NOTSET",
    count_include_pad: int = 0,
    kernel_shape: Ints,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Array:
    """AveragePool without dilations and ceil mode.  ONNX AveragePool-7."""
    return average_pool(
        x,
        auto_pad=auto_pad,
        count_include_pad=count_include_pad,
        kernel_shape=kernel_shape,
        pads=pads,
        strides=strides,
    )


@op("AveragePool", since=1, until=1, widen=True)
def average_pool_1(
    x: Array,
    *,
    auto_pad: str = "NOTSET",
    kernel_shape: Ints,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Array:
    """AveragePool of the elements that are no padding.  ONNX AveragePool-1."""
    return average_pool(x, auto_pad=auto_pad, kernel_shape=kernel_shape, pads=pads, strides=strides)


@op("MaxPool", since=10, widen=True)
def max_pool(
    x: Array,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Ints | None = None,
    kernel_shape: Ints,
    pads: Ints | None = None,
    storage_order: int = 0,
    strides: Ints | None = None,
    output_count: int = 2,
) -> Array | tuple[Array, Array]:
    """Maximum of every window of x (N, C, D...), and the flat index in x where it stands.  ONNX MaxPool-22.

    NaN is greater than every number.  ``storage_order`` 1 counts the index in column-major order over the spatial axes.
    """
    w = windows(
        spatial_shape(x),
        kernel_shape,
        strides=strides,
        dilations=dilations,
        pads=pads,
        auto_pad=auto_pad,
        ceil_mode=ceil_mode,
    )
    xp = array_namespace(x)
    lowest = np.iinfo(x.dtype).min if x.dtype.kind in "iu" else -np.inf
    y = reduce_windows(xp.maximum, pad_image(x, w, lowest), w)
    return y if output_count < 2 else (y, _argmax_windows(x, w, column_major=bool(storage_order)))


@op("MaxPool", since=8, until=8, widen=True)
def max_pool_8(
    x: Array,
    *,
    auto_pad: str = "NOTSET",
    kernel_shape: Ints,
    pads: Ints | None = None,
    storage_order: int = 0,
    strides: Ints | None = None,
    output_count: int = 2,
) -> Array | tuple[Array, Array]:
    """MaxPool without dilations and ceil mode.  ONNX MaxPool-8."""
    return max_pool(
        x,
        auto_pad=auto_pad,
        kernel_shape=kernel_shape,
        pads=pads,
        storage_order=storage_order,
        strides=strides,
        output_count=output_count,
    )


@op("MaxPool", since=1, until=1, widen=True)
def max_pool_1(
    x: Array,
    *,
    auto_pad: str = "NOTSET",
    kernel_shape: Ints,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Array:
    """MaxPool without indices.  ONNX MaxPool-1."""
    return max_pool(x, auto_pad=auto_pad, kernel_shape=kernel_shape, pads=pads, strides=strides, output_count=1)


def _argmax_windows(x: Array, w: Windows, *, column_major: bool) -> Array:
    """The flat index in x of the first maximum of every window, one axis after the other from the last."""
    xp = array_namespace(x)
    values, indices = x, xp.zeros(x.shape, dtype=np.int64)
    for axis in reversed(range(len(w.image))):
        positions = w.positions(axis)
        inside = (positions >= 0) & (positions < w.image[axis])
        # A position in the padding is replaced by the window's first one in the image, which changes no maximum.
        first = np.take_along_axis(positions, inside.argmax(axis=1)[:, None], axis=1)
        positions = np.where(inside, positions, first).clip(0, w.image[axis] - 1)
        step = prod(w.image[:axis] if column_major else w.image[axis + 1 :])
        best, best_index = _taken(values, indices, positions[:, 0], axis, step)
        for tap in range(1, w.kernel[axis]):
            value, index = _taken(values, indices, positions[:, tap], axis, step)
            better = (value > best) | ((value != value) & (best == best))
            best, best_index = xp.where(better, value, best), xp.where(better, index, best_index)
        values, indices = best, best_index
    planes = xp.arange(prod(x.shape[:2]), dtype=np.int64) * prod(w.image)
    return indices + planes.reshape(x.shape[:2] + (1,) * len(w.image))


def _taken(values: Array, indices: Array, positions: Any, axis: int, step: int) -> tuple[Array, Array]:
    """Values at positions along a spatial axis, and their flat indices advanced by ``step`` for each position."""
    xp = array_namespace(values)
    where = xp.asarray(positions)
    along = (where * step).reshape((-1,) + (1,) * (values.ndim - 3 - axis))
    return xp.take(values, where, axis=axis + 2), xp.take(indices, where, axis=axis + 2) + along


@op("LpPool", since=18, widen=True)
def lp_pool(
    x: Array,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Ints | None = None,
    kernel_shape: Ints,
    p: int | float = 2,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Array:
    """The p-norm of every window of x (N, C, D...): ``sum(|x|^p)^(1/p)``.  ONNX LpPool-22."""
    w = windows(
        spatial_shape(x),
        kernel_shape,
        strides=strides,
        dilations=dilations,
        pads=pads,
        auto_pad=auto_pad,
        ceil_mode=ceil_mode,
    )
    return _root(reduce_windows(array_namespace(x).add, pad_image(_power(x, p), w), w), p)


@op("LpPool", since=2, until=11, widen=True)
def lp_pool_2(
    x: Array,
    *,
    auto_pad: str = "NOTSET",
    kernel_shape: Ints,
    p: int = 2,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Array:
    """LpPool without dilations and ceil mode.  ONNX LpPool-2 and 11."""
    return lp_pool(x, auto_pad=auto_pad, kernel_shape=kernel_shape, p=p, pads=pads, strides=strides)


@op("LpPool", since=1, until=1, widen=True)
def lp_pool_1(
    x: Array,
    *,
    auto_pad: str = "NOTSET",
    kernel_shape: Ints | None = None,
    p: float = 2.0,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Array:
    """LpPool with a real exponent.  ONNX LpPool-1."""
    if not kernel_shape:
        raise ValueError("LpPool needs kernel_shape, there is no default for it")
    return lp_pool(x, auto_pad=auto_pad, kernel_shape=kernel_shape, p=p, pads=pads, strides=strides)


def _power(x: Array, p: float) -> Array:
    xp = array_namespace(x)
    return x * x if p == 2 else xp.abs(x) if p == 1 else xp.abs(x) ** x.dtype.type(p)


def _root(sums: Array, p: float) -> Array:
    return array_namespace(sums).sqrt(sums) if p == 2 else sums if p == 1 else sums ** sums.dtype.type(1 / p)


@op("GlobalAveragePool", widen=True)
def global_average_pool(x: Array) -> Array:
    """Mean over the spatial axes, which stay with length 1.  ONNX GlobalAveragePool-22."""
    return x.mean(axis=_spatial_axes(x), keepdims=True)


@op("GlobalMaxPool", widen=True)
def global_max_pool(x: Array) -> Array:
    """Maximum over the spatial axes, which stay with length 1.  ONNX GlobalMaxPool-22."""
    return x.max(axis=_spatial_axes(x), keepdims=True)


@op("GlobalLpPool", since=2, widen=True)
def global_lp_pool(x: Array, *, p: int | float = 2) -> Array:
    """The p-norm over the spatial axes, which stay with length 1.  ONNX GlobalLpPool-22."""
    return _root(_power(x, p).sum(axis=_spatial_axes(x), keepdims=True), p)


@op("GlobalLpPool", since=1, until=1, widen=True)
def global_lp_pool_1(x: Array, *, p: float = 2.0) -> Array:
    """GlobalLpPool with a real exponent.  ONNX GlobalLpPool-1."""
    return global_lp_pool(x, p=p)


def _spatial_axes(x: Array) -> Ints:
    spatial_shape(x, least=0)
    return tuple(range(2, x.ndim))


@op("MaxUnpool", since=9)
def max_unpool(
    x: Array,
    indices: Array,
    output_shape: Array | None = None,
    *,
    kernel_shape: Ints,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Array:
    """Zeros with the elements of x at the flat ``indices`` that MaxPool gave.  ONNX MaxUnpool-22.

    The indices count in the shape that undoes the pool: (D - 1) stride + kernel - pads.  A larger ``output_shape`` adds
    zeros at the end of each axis.
    """
    xp = array_namespace(x)
    rank = len(spatial_shape(x))
    if indices.shape != x.shape:
        raise ValueError(f"the indices must have the shape of the values, {x.shape}, got {indices.shape}")
    kernel, strides = per_axis("kernel_shape", kernel_shape, rank, 1), per_axis("strides", strides, rank, 1)
    pads = per_axis("pads", pads, 2 * rank, 0, least=0)
    image = tuple(
        (length - 1) * s + span(k, 1) - b - e
        for length, s, k, b, e in zip(x.shape[2:], strides, kernel, pads[:rank], pads[rank:], strict=True)
    )
    flat = xp.zeros(prod(x.shape[:2]) * prod(image), dtype=x.dtype)
    if indices.size and (int(indices.min()) < 0 or int(indices.max()) >= flat.size):
        raise IndexError(f"the indices must lie in 0 to {flat.size - 1}, got {indices.min()} to {indices.max()}")
    flat[indices.ravel()] = x.ravel()
    y = flat.reshape(x.shape[:2] + image)
    if output_shape is None:
        return y
    shape = tuple(int(length) for length in output_shape.tolist())
    if len(shape) != y.ndim or any(o < length for o, length in zip(shape, y.shape, strict=True)):
        raise ValueError(f"output_shape must be at least the unpooled shape {y.shape}, got {shape}")
    result = xp.zeros(shape, dtype=x.dtype)
    result[tuple(slice(0, length) for length in y.shape)] = y
    return result
