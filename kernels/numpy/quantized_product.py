"""The reference of products and convolutions of quantized tensors with what follows them.

They are no operators of ONNX: plans use them (domain ``onnxlite``) where a compiled kernel can be expected, for graphs
that dequantize, multiply and quantize.  Integers are multiplied exactly; what follows is computed in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array, array_namespace
from onnxlite.kernels.numpy.integer_convolution import conv_integer
from onnxlite.kernels.numpy.linalg import matmul
from onnxlite.kernels.numpy.quantization import dequantize_linear, matmul_integer
from onnxlite.kernels.numpy.table import op
from onnxlite.kernels.quantization import saturated


@op("QuantizedMatMul", domain="onnxlite")
def quantized_matmul(
    a: Array,
    a_scale: Array,
    a_zero_point: Array | None,
    b: Array,
    b_scale: Array,
    b_zero_point: Array | None = None,
    bias: Array | None = None,
    y_scale: Array | None = None,
    y_zero_point: Array | None = None,
    *,
    lowest: int | None = None,
    highest: int | None = None,
) -> Array:
    """``quantize(dequantize(a) @ dequantize(b) + bias)`` in the limits; without y_scale, the float32 product.

    ``b_scale``, ``b_zero_point`` and the bias have one element, or one for each column.
    """
    sums = matmul_integer(a, b, a_zero_point, b_zero_point)
    return _finished(sums, a_scale * b_scale.reshape(-1), bias, y_scale, y_zero_point, lowest, highest)


@op("QuantizedConv", domain="onnxlite")
def quantized_conv(
    x: Array,
    x_scale: Array,
    x_zero_point: Array | None,
    w: Array,
    w_scale: Array,
    w_zero_point: Array | None = None,
    bias: Array | None = None,
    y_scale: Array | None = None,
    y_zero_point: Array | None = None,
    *,
    lowest: int | None = None,
    highest: int | None = None,
    channels_last: int = 0,
    auto_pad: str = "NOTSET",
    dilations: tuple[int, ...] | None = None,
    group: int = 1,
    kernel_shape: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> Array:
    """``quantize(Conv(dequantize(x), dequantize(w)) + bias)`` in the limits; without y_scale, float32.

    ``w_scale``, ``w_zero_point`` and the bias have one element, or one for each filter; w is as ONNX Conv-22 has it,
    and so are x and the result, or they have the channels last.
    """
    xp = array_namespace(x)
    sums = conv_integer(
        xp.moveaxis(x, -1, 1) if channels_last else x, w, x_zero_point, w_zero_point, auto_pad=auto_pad,
        dilations=dilations, group=group, kernel_shape=kernel_shape, pads=pads, strides=strides,
    )  # fmt: skip
    scale = x_scale * w_scale.reshape(-1)
    y = _finished(xp.moveaxis(sums, 1, -1), scale, bias, y_scale, y_zero_point, lowest, highest)
    return y if channels_last else xp.moveaxis(y, -1, 1)


@op("MatMulQuantizedWeights", domain="onnxlite")
def matmul_quantized_weights(
    a: Array, b: Array, b_scale: Array, b_zero_point: Array | None = None, *, block_size: int
) -> Array:
    """``a @ dequantize(b)``; b (depth, columns) has a scale for ``block_size`` rows of each column."""
    return matmul(a, dequantize_linear(b, b_scale, b_zero_point, axis=0, block_size=block_size))


def _finished(
    sums: Array,
    scale: Array,
    bias: Array | None,
    y_scale: Array | None,
    y_zero_point: Array | None,
    lowest: int | None,
    highest: int | None,
) -> Array:
    """What becomes of int32 sums whose last axis is that of the scales and the bias."""
    addend: Any = np.float32(0) if bias is None else bias.reshape(-1)
    if y_scale is None:
        return sums.astype(np.float32) * scale + addend
    dtype = np.dtype(np.uint8) if y_zero_point is None else y_zero_point.dtype
    unit = y_scale.reshape(())
    y = saturated(sums.astype(np.float32) * (scale / unit) + addend / unit, y_zero_point, dtype)
    return y if lowest is None and highest is None else array_namespace(y).clip(y, lowest, highest)
