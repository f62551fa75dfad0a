"""Convolutions of quantized integers: ConvInteger and QLinearConv."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array, array_namespace
from onnxlite.kernels.geometry import Ints, spatial_shape, windows
from onnxlite.kernels.numpy.convolution import add_bias, check_weights, convolve
from onnxlite.kernels.numpy.table import op


@op("ConvInteger", since=10)
def conv_integer(
    x: Array,
    w: Array,
    x_zero_point: Array | None = None,
    w_zero_point: Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Ints | None = None,
    group: int = 1,
    kernel_shape: Ints | None = None,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Array:
    """Conv of ``x - x_zero_point`` with ``w - w_zero_point`` in int32; the padding is the zero point.

    ``w_zero_point`` is a scalar or holds one number per output channel.  ONNX ConvInteger-10.
    """
    check_weights(x, w, group, kernel_shape)
    places = windows(spatial_shape(x), w.shape[2:], strides=strides, dilations=dilations, pads=pads, auto_pad=auto_pad)
    # A matrix product of floats is fast, and exact while no sum of products of 8-bit numbers outgrows the mantissa.
    dtype: np.dtype[Any] = np.dtype(np.float32 if prod(w.shape[1:]) * 255 * 255 < 2**24 else np.float64)
    y = convolve(
        _centred(x, x_zero_point, x.shape[1], 1, dtype), _centred(w, w_zero_point, w.shape[0], 0, dtype), places, group
    )
    return y.astype(np.int64).astype(np.int32)


@op("QLinearConv", since=10)
def qlinear_conv(
    x: Array,
    x_scale: Array,
    x_zero_point: Array,
    w: Array,
    w_scale: Array,
    w_zero_point: Array,
    y_scale: Array,
    y_zero_point: Array,
    b: Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Ints | None = None,
    group: int = 1,
    kernel_shape: Ints | None = None,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Array:
    """ConvInteger plus b, times ``x_scale w_scale / y_scale``, rounded half to even, plus y_zero_point.

    ``w_scale`` and ``w_zero_point`` are scalars or hold one number per output channel; the result saturates.
    ONNX QLinearConv-10.
    """
    xp = array_namespace(x)
    sums = conv_integer(
        x,
        w,
        x_zero_point,
        w_zero_point,
        auto_pad=auto_pad,
        dilations=dilations,
        group=group,
        kernel_shape=kernel_shape,
        pads=pads,
        strides=strides,
    )
    scale = _per_channel("scale", x_scale * w_scale / y_scale, w.shape[0], 1, sums.ndim)
    y = xp.rint(add_bias(sums, b).astype(np.float32) * scale)
    y += _per_channel("y_zero_point", y_zero_point, w.shape[0], 1, y.ndim)
    limits = np.iinfo(y_zero_point.dtype)
    return xp.clip(y, limits.min, limits.max).astype(y_zero_point.dtype)


def _centred(values: Array, zero_point: Array | None, channels: int, axis: int, dtype: np.dtype[Any]) -> Array:
    """The values in ``dtype`` less their zero point."""
    values = values.astype(dtype)
    if zero_point is not None:
        values -= _per_channel("zero point", zero_point, channels, axis, values.ndim)
    return values


def _per_channel(name: str, values: Array, channels: int, axis: int, rank: int) -> Array:
    """A scalar or one number per channel, shaped to broadcast along ``axis`` of an array of ``rank`` axes."""
    if values.size not in (1, channels) or values.ndim > 1:
        raise ValueError(
            f"the {name} must be a scalar or have {channels} elements, one per channel, got shape {values.shape}"
        )
    return values.reshape((1,) * axis + (-1,) + (1,) * (rank - 1 - axis))
