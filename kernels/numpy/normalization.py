"""Normalisation: subtract a mean, divide by a deviation or a norm, then scale and shift."""

from __future__ import annotations

import math

from onnxlite.kernels.arrays import Array, array_namespace, widen
from onnxlite.kernels.axes import normalize_axes, normalize_axis
from onnxlite.kernels.dtypes import dtype_of
from onnxlite.kernels.numpy.reduction import reduce_mean
from onnxlite.kernels.numpy.table import op


@op("InstanceNormalization", since=6, widen=True)
def instance_normalization(x: Array, scale: Array, bias: Array, *, epsilon: float = 1e-5) -> Array:
    """Each channel of each instance to mean 0, variance 1, then scaled and shifted (ONNX InstanceNormalization-22)."""
    normalized, _, _ = standardize(x, tuple(range(2, x.ndim)), epsilon)
    return normalized * per_channel(scale, x) + per_channel(bias, x)


@op("InstanceNormalization", since=1, until=5, widen=True)
def instance_normalization_1(
    x: Array,
    scale: Array,
    bias: Array,
    *,
    consumed_inputs: tuple[int, ...] | None = None,
    epsilon: float = 1e-5,
) -> Array:
    """As version 6; ``consumed_inputs`` only told which buffers may be reused (ONNX InstanceNormalization-1)."""
    return instance_normalization(x, scale, bias, epsilon=epsilon)


@op("LayerNormalization", since=17)
def layer_normalization(
    x: Array, scale: Array, bias: Array | None = None, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> tuple[Array, Array, Array]:
    """The axes from ``axis`` on together to mean 0, variance 1, then scaled and shifted (ONNX LayerNormalization-17).

    Mean and inverse deviation have the type ``stash_type``; the arithmetic is at least as precise as the input.
    """
    axes = tuple(range(normalize_axis(axis, x.ndim), x.ndim))
    normalized, mean, inverse = standardize(widen(x), axes, epsilon)
    y = normalized.astype(x.dtype) * scale
    stash = dtype_of(stash_type)
    return (y if bias is None else y + bias), mean.astype(stash), inverse.astype(stash)


@op("RMSNormalization", since=23)
def rms_normalization(x: Array, scale: Array, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1) -> Array:
    """``x / sqrt(mean(x**2) + epsilon) * scale`` over the axes from ``axis`` on together (ONNX RMSNormalization-23).

    The arithmetic is at least as precise as the input, whatever ``stash_type`` says.
    """
    wide = widen(x)
    axes = tuple(range(normalize_axis(axis, x.ndim), x.ndim))
    normalized = wide / array_namespace(x).sqrt(reduce_mean(wide * wide, axes, True) + epsilon)
    return normalized.astype(x.dtype).astype(scale.dtype) * scale


@op("GroupNormalization", since=21)
def group_normalization(
    x: Array, scale: Array, bias: Array, *, epsilon: float = 1e-5, num_groups: int, stash_type: int = 1
) -> Array:
    """Each group of channels to mean 0, variance 1, then each channel scaled and shifted (ONNX GroupNormalization-21).

    The arithmetic is at least as precise as the input, whatever ``stash_type`` says.
    """
    channels = x.shape[1]
    if num_groups < 1 or channels % num_groups:
        raise ValueError(f"expected num_groups to divide the {channels} channels, got {num_groups}")
    grouped = widen(x).reshape(x.shape[0], num_groups, math.prod(x.shape[1:]) // num_groups)
    normalized, _, _ = standardize(grouped, (2,), epsilon)
    return normalized.reshape(x.shape).astype(x.dtype) * per_channel(scale, x) + per_channel(bias, x)


@op("GroupNormalization", since=18, until=20)
def group_normalization_18(x: Array, scale: Array, bias: Array, *, epsilon: float = 1e-5, num_groups: int) -> Array:
    """As version 21, with a scale and a bias per group (ONNX GroupNormalization-18)."""
    xp = array_namespace(x)
    size = x.shape[1] // max(num_groups, 1)
    scale, bias = xp.repeat(scale, size), xp.repeat(bias, size)
    return group_normalization(x, scale, bias, epsilon=epsilon, num_groups=num_groups)


@op("LpNormalization", since=1, widen=True)
def lp_normalization(x: Array, *, axis: int = -1, p: int = 2) -> Array:
    """x divided by its norm along an axis, 0 where the norm is 0; p is 1 or 2 (ONNX LpNormalization-22)."""
    xp = array_namespace(x)
    if p not in (1, 2):
        raise ValueError(f"expected p to be 1 or 2, got {p}")
    axis = normalize_axis(axis, x.ndim)
    powers = xp.abs(x) if p == 1 else x * x
    norm = xp.sum(powers, axis=axis, keepdims=True)
    norm = norm if p == 1 else xp.sqrt(norm)
    return xp.where(norm == 0, xp.zeros_like(x), x / norm)


@op("MeanVarianceNormalization", since=9, widen=True)
def mean_variance_normalization(x: Array, *, axes: tuple[int, ...] = (0, 2, 3)) -> Array:
    """``(x - mean) / (deviation + 1e-9)`` along the axes (ONNX MeanVarianceNormalization-13)."""
    along = normalize_axes(axes, x.ndim)
    centred = x - reduce_mean(x, along, True)
    deviation = array_namespace(x).sqrt(reduce_mean(centred * centred, along, True))
    return centred / (deviation + 1e-9)


@op("LRN", since=1, widen=True)
def lrn(x: Array, *, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0, size: int) -> Array:
    """``x / (bias + alpha / size * s)**beta``, s the sum of the squares in ``size`` channels around (ONNX LRN-13)."""
    if size < 1:
        raise ValueError(f"expected a size of at least 1, got {size}")
    xp = array_namespace(x)
    channels, before = x.shape[1], (size - 1) // 2
    padded = xp.zeros((x.shape[0], channels + size - 1, *x.shape[2:]), dtype=x.dtype)
    padded[:, before : before + channels] = x * x
    square_sum = padded[:, :channels].copy()
    for offset in range(1, size):
        square_sum += padded[:, offset : offset + channels]
    return x / (bias + alpha / size * square_sum) ** beta


def standardize(x: Array, axes: tuple[int, ...], epsilon: float) -> tuple[Array, Array, Array]:
    """x with mean 0 and variance 1 along the axes, its mean, and ``1 / sqrt(variance + epsilon)``."""
    mean = reduce_mean(x, axes, True)
    centred = x - mean
    inverse = 1 / array_namespace(x).sqrt(reduce_mean(centred * centred, axes, True) + epsilon)
    return centred * inverse, mean, inverse


def per_channel(parameter: Array, x: Array) -> Array:
    """A vector of one number per channel, shaped to broadcast against x (N, C, D1, ..., Dn).

    Raises:
        ValueError: It does not have one number per channel.  (A vector x of N numbers has one channel.)
    """
    channels = x.shape[1] if x.ndim > 1 else 1
    if parameter.size != channels:
        raise ValueError(f"expected one number for each of {channels} channels, got the shape {tuple(parameter.shape)}")
    return parameter.reshape((channels,) + (1,) * (x.ndim - 2))
