"""The reference of the fused matrix product, which plans use where a compiled kernel can be expected."""

from __future__ import annotations

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numpy import linalg
from onnxlite.kernels.numpy.channels_last import activate
from onnxlite.kernels.numpy.table import op


@op("MatMul", domain="onnxlite")
def matmul(
    a: Array,
    b: Array,
    bias: Array | None = None,
    residual: Array | None = None,
    *,
    activation: str = "",
    alpha: float | None = None,
    beta: float | None = None,
) -> Array:
    """``activation(a @ b + bias + residual)``; the bias has an element per column, the residual the result's shape."""
    y = linalg.matmul(a, b)
    for addend in (bias, residual):
        y = y if addend is None else y + addend
    return activate(y, activation, alpha, beta)
