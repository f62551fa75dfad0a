"""The operators that quantize, dequantize and multiply quantized matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array, array_namespace, widen
from onnxlite.kernels.casting import is_float
from onnxlite.kernels.dtypes import dtype_of, element_type
from onnxlite.kernels.numpy.table import op
from onnxlite.kernels.quantization import centred, dequantized, integer_product, ratio, saturated, spread

_FLOAT8E8M0 = dtype_of(24)


@op("QuantizeLinear", since=23)
def quantize_linear(
    x: Array,
    y_scale: Array,
    y_zero_point: Array | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
    precision: int = 0,
    saturate: int = 1,
) -> Array:
    """``saturate(round(x / y_scale) + y_zero_point)``, one scale per tensor, index of an axis or block of it.

    The division is done in the type ``precision``, or else in that of the scale (ONNX QuantizeLinear-23).
    """
    scale = spread(y_scale, x.shape, axis, block_size)
    zero_point = None if y_zero_point is None else spread(y_zero_point, x.shape, axis, block_size)
    scaled = ratio(x, scale, dtype_of(precision) if precision else None)
    return saturated(scaled, zero_point, _quantized_type(y_zero_point, output_dtype), saturate=bool(saturate))


def _quantized_type(zero_point: Array | None, output_dtype: int) -> np.dtype[Any]:
    """The result's type: that of the zero point or the attribute, which agree where both are given; else uint8."""
    asked = dtype_of(output_dtype) if output_dtype else None
    if zero_point is None:
        return np.dtype(np.uint8) if asked is None else asked
    if asked is not None and asked != zero_point.dtype:
        given = element_type(zero_point.dtype)
        raise ValueError(f"expected output_dtype to be the zero point's type {given}, got {element_type(asked)}")
    return zero_point.dtype  # type: ignore[no-any-return]


@op("QuantizeLinear", since=21, until=21)
def quantize_linear_21(
    x: Array,
    y_scale: Array,
    y_zero_point: Array | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
    saturate: int = 1,
) -> Array:
    """QuantizeLinear that leaves the precision of the division open: here float32 or more (ONNX QuantizeLinear-21)."""
    x, y_scale = widen(x), widen(y_scale)
    return quantize_linear(
        x, y_scale, y_zero_point, axis=axis, block_size=block_size, output_dtype=output_dtype, saturate=saturate
    )


@op("QuantizeLinear", since=19, until=19)
def quantize_linear_19(
    x: Array, y_scale: Array, y_zero_point: Array | None = None, *, axis: int = 1, saturate: int = 1
) -> Array:
    """QuantizeLinear without blocks, to the type of the zero point (ONNX QuantizeLinear-19)."""
    return quantize_linear_21(x, y_scale, y_zero_point, axis=axis, saturate=saturate)


@op("QuantizeLinear", since=13, until=13)
def quantize_linear_13(x: Array, y_scale: Array, y_zero_point: Array | None = None, *, axis: int = 1) -> Array:
    """QuantizeLinear to 8-bit integers, per tensor or axis (ONNX QuantizeLinear-13)."""
    return quantize_linear(x, y_scale, y_zero_point, axis=axis)


@op("QuantizeLinear", since=10, until=10)
def quantize_linear_10(x: Array, y_scale: Array, y_zero_point: Array | None = None) -> Array:
    """QuantizeLinear to 8-bit integers, with one scale for the tensor (ONNX QuantizeLinear-10)."""
    return quantize_linear(x, y_scale, y_zero_point)


@op("DequantizeLinear", since=23)
def dequantize_linear(
    x: Array,
    x_scale: Array,
    x_zero_point: Array | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
) -> Array:
    """``(x - x_zero_point) * x_scale`` in ``output_dtype`` or else the scale's type (ONNX DequantizeLinear-23)."""
    scale = spread(x_scale, x.shape, axis, block_size)
    zero_point = None if x_zero_point is None else spread(x_zero_point, x.shape, axis, block_size)
    dtype = dtype_of(output_dtype) if output_dtype else x_scale.dtype
    if dtype == _FLOAT8E8M0:
        raise ValueError("expected output_dtype with scales of type float8e8m0, which is no type for the result")
    return dequantized(x, scale, zero_point, dtype)


@op("DequantizeLinear", since=21, until=21)
def dequantize_linear_21(
    x: Array, x_scale: Array, x_zero_point: Array | None = None, *, axis: int = 1, block_size: int = 0
) -> Array:
    """DequantizeLinear to the scale's type (ONNX DequantizeLinear-21)."""
    return dequantize_linear(x, x_scale, x_zero_point, axis=axis, block_size=block_size)


@op("DequantizeLinear", since=13, until=19)
def dequantize_linear_13(x: Array, x_scale: Array, x_zero_point: Array | None = None, *, axis: int = 1) -> Array:
    """DequantizeLinear per tensor or axis (ONNX DequantizeLinear-13)."""
    return dequantize_linear(x, x_scale, x_zero_point, axis=axis)


@op("DequantizeLinear", since=10, until=10)
def dequantize_linear_10(x: Array, x_scale: Array, x_zero_point: Array | None = None) -> Array:
    """DequantizeLinear with one scale for the tensor (ONNX DequantizeLinear-10)."""
    return dequantize_linear(x, x_scale, x_zero_point)


@op("DynamicQuantizeLinear", since=11)
def dynamic_quantize_linear(x: Array) -> tuple[Array, Array, Array]:
    """The tensor in uint8, with the scale and zero point that fit its range and 0 (ONNX DynamicQuantizeLinear-11).

    The scale of a tensor of zeros is 1, as the range 0 would leave nothing to divide by.
    """
    xp = array_namespace(x)
    zero = xp.zeros((), np.float32)
    lowest, highest = (xp.minimum(x.min(), zero), xp.maximum(x.max(), zero)) if x.size else (zero, zero)
    scale = (highest - lowest) / np.float32(255)
    scale = xp.where(scale == 0, np.float32(1), scale)
    zero_point = xp.rint(xp.clip(-lowest / scale, 0, 255)).astype(np.uint8)
    return saturated(x / scale, zero_point, np.uint8), scale, zero_point


@op("QLinearMatMul", since=10)
def qlinear_matmul(
    a: Array,
    a_scale: Array,
    a_zero_point: Array,
    b: Array,
    b_scale: Array,
    b_zero_point: Array,
    y_scale: Array,
    y_zero_point: Array,
) -> Array:
    """The matrix product of two quantized tensors, quantized: scales per tensor, row of a or column of b.

    Integers are multiplied exactly, and the product is scaled in float32 (ONNX QLinearMatMul-21).
    """
    a_zero_point, b_zero_point = _per_row(a_zero_point), _per_column(b_zero_point)
    if is_float(a.dtype) or is_float(b.dtype):
        left, right = centred(a, a_zero_point, np.float32), centred(b, b_zero_point, np.float32)
        product = array_namespace(a).matmul(left, right)
    else:
        product = integer_product(a, a_zero_point, b, b_zero_point).astype(np.float32)
    scales = (_per_row(a_scale), _per_column(b_scale), _per_column(y_scale))
    of_a, of_b, of_y = (scale.astype(np.float32) for scale in scales)
    return saturated(product * (of_a * of_b / of_y), _per_column(y_zero_point), y_zero_point.dtype)


@op("MatMulInteger", since=10)
def matmul_integer(a: Array, b: Array, a_zero_point: Array | None = None, b_zero_point: Array | None = None) -> Array:
    """The int32 matrix product of 8-bit integers less their zero points (ONNX MatMulInteger-10)."""
    row = None if a_zero_point is None else _per_row(a_zero_point)
    column = None if b_zero_point is None else _per_column(b_zero_point)
    return integer_product(a, row, b, column)


def _per_row(parameter: Array) -> Array:
    """A scale or zero point that broadcasts against a matrix with one element for the matrix or for each row."""
    if parameter.size == 1:
        return parameter.reshape(())
    return parameter[:, None] if parameter.ndim == 1 else parameter


def _per_column(parameter: Array) -> Array:
    """A scale or zero point that broadcasts against a matrix with one element for the matrix or for each column."""
    return parameter.reshape(()) if parameter.size == 1 else parameter
