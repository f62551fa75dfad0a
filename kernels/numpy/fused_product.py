"""The reference of the fused matrix product, which plans use where a compiled kernel can be expected."""

from __future__ import annotations

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numpy import linalg
from onnxlite.kernels.numpy.epilogue import finished
from onnxlite.kernels.numpy.table import op


@op("MatMul", domain="onnxlite")
def matmul(
    a: Array,
    b: Array,
    bias: Array | None = None,
    residual: Array | None = None,
    *,
    a_perm: tuple[int, ...] | None = None,
    b_perm: tuple[int, ...] | None = None,
    scale: float = 1.0,
    activation: str = "",
    alpha: float | None = None,
    beta: float | None = None,
    residual_last: int = 0,
) -> Array:
    """``activation(scale * (a @ b) + bias + residual)``, with ``a`` and ``b`` transposed first.

    The bias has an element per column, the residual the result's shape; with ``residual_last``, the residual is added
    to the activation's result.
    """
    left = a if a_perm is None else a.transpose(a_perm)
    right = b if b_perm is None else b.transpose(b_perm)
    y = linalg.matmul(left, right)
    y = y if scale == 1 else y * y.dtype.type(scale)
    y = y if bias is None else y + bias
    return finished(y, residual, activation, alpha, beta, residual_last)
