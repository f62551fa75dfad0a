"""Products of matrices of 8-bit integers: MatMulInteger, QLinearMatMul, and the product that fused graphs have."""

from __future__ import annotations

import math

import numpy as np

from onnxlite.kernels.numba.quantized.binding import (
    BYTE_TYPES,
    SUMS,
    Finish,
    Left,
    bind_batch,
    bind_rows,
    finish,
)
from onnxlite.kernels.numba.spec import ArraySpec, Bound, Declined
from onnxlite.kernels.numba.table import op


@op("MatMulInteger", since=10)
def matmul_integer(
    a: ArraySpec, b: ArraySpec, a_zero_point: ArraySpec | None = None, b_zero_point: ArraySpec | None = None
) -> Bound | Declined:
    """The int32 product of bytes less their zero points (ONNX MatMulInteger-10)."""
    return _bind(Left(a, None, a_zero_point, (0, 0, 2)), b, 1, b_zero_point, SUMS)


@op("QLinearMatMul", since=10)
def qlinear_matmul(
    a: ArraySpec,
    a_scale: ArraySpec,
    a_zero_point: ArraySpec,
    b: ArraySpec,
    b_scale: ArraySpec,
    b_zero_point: ArraySpec,
    y_scale: ArraySpec,
    y_zero_point: ArraySpec,
) -> Bound | Declined:
    """The product of two quantized tensors, quantized (ONNX QLinearMatMul-21)."""
    return quantized_matmul(a, a_scale, a_zero_point, b, b_scale, b_zero_point, None, y_scale, y_zero_point)


@op("QuantizedMatMul", domain="onnxlite")
def quantized_matmul(
    a: ArraySpec,
    a_scale: ArraySpec,
    a_zero_point: ArraySpec | None,
    b: ArraySpec,
    b_scale: ArraySpec,
    b_zero_point: ArraySpec | None = None,
    bias: ArraySpec | None = None,
    y_scale: ArraySpec | None = None,
    y_zero_point: ArraySpec | None = None,
    *,
    lowest: int | None = None,
    highest: int | None = None,
) -> Bound | Declined:
    """The product of two quantized tensors, plus a bias, in float32 or quantized; see the reference."""
    columns = b.shape[-1] if b.shape else 0
    of_y = finish(columns, b_scale, bias, y_scale, y_zero_point, (lowest, highest))
    if isinstance(of_y, Declined):
        return of_y
    return _bind(Left(a, a_scale, a_zero_point, (0, 1, 2)), b, 3, b_zero_point, of_y)


def _bind(left: Left, b: ArraySpec, b_index: int, b_zero_point: ArraySpec | None, f: Finish) -> Bound | Declined:
    refusal = left.refusal()
    if refusal is not None:
        return refusal
    a = left.x
    if b.dtype not in BYTE_TYPES or not a.shape or len(b.shape) < 2 or a.shape[-1] != b.shape[-2] or not b.size:
        return Declined("only bytes of shapes that fit, with a matrix on the right, are compiled")
    columns = b.shape[-1]
    if b_zero_point is not None and (b_zero_point.value is None or b_zero_point.dtype != b.dtype):
        return Declined("only a constant zero point of the right operand's type is compiled")
    zeros = (0,) if b_zero_point is None else tuple(np.asarray(b_zero_point.value).reshape(-1).tolist())
    if len(zeros) not in (1, columns):
        return Declined("only one zero point, or one for each column, is compiled for the right operand")
    if b.value is not None and math.prod(b.shape[:-2]) == 1 and len(b.shape) <= max(2, len(a.shape)):
        matrix = b.value if len(b.shape) == 2 else b.value.reshape(b.shape[-2:])
        return bind_rows(left, matrix, zeros, f, (*a.shape[:-1], columns))
    if b.value is not None or len(a.shape) < 2 or len(zeros) > 1:
        return Declined("constant matrices in a batch, vectors, and several zero points of them are not compiled")
    try:
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        return Declined("the batches do not broadcast: the reference says how")
    return bind_batch(left, b, b_index, zeros[0], f, (*batch, a.shape[-2], columns))
