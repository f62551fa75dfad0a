"""Linear algebra: matrix products, sums of products and determinants."""

from __future__ import annotations

from onnxlite.kernels.arrays import Array, array_namespace
from onnxlite.kernels.numpy.table import op


@op("MatMul", since=1, widen=True)
def matmul(a: Array, b: Array) -> Array:
    """The matrix product of the last two axes, the others broadcast; vectors as in numpy.matmul (ONNX MatMul-13)."""
    if a.ndim == 0 or b.ndim == 0 or a.shape[-1] != b.shape[-2 if b.ndim > 1 else -1]:
        raise ValueError(
            f"expected as many columns in A as rows in B, got the shapes {tuple(a.shape)} and {tuple(b.shape)}"
        )
    return array_namespace(a).matmul(a, b)


@op("Gemm", since=7, widen=True)
def gemm(
    a: Array,
    b: Array,
    c: Array | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,  # noqa: N803
    transB: int = 0,  # noqa: N803
) -> Array:
    """``alpha * A' @ B' + beta * C``: A' (M, K), B' (K, N), C broadcast to (M, N) (ONNX Gemm-13).

    C is not read where beta is 0, as in BLAS.
    """
    if a.ndim != 2 or b.ndim != 2:
        raise ValueError(f"expected two matrices, got the shapes {tuple(a.shape)} and {tuple(b.shape)}")
    product = _scaled(matmul(a.T if transA else a, b.T if transB else b), alpha)
    if c is None or beta == 0:
        return product
    xp = array_namespace(a)
    return product + xp.broadcast_to(_scaled(c, beta), product.shape)


@op("Gemm", since=1, until=6, widen=True)
def gemm_1(
    a: Array,
    b: Array,
    c: Array,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    broadcast: int = 0,
    transA: int = 0,  # noqa: N803
    transB: int = 0,  # noqa: N803
) -> Array:
    """As version 7, C having the product's shape unless ``broadcast`` is set (ONNX Gemm-6)."""
    result = gemm(a, b, c, alpha=alpha, beta=beta, transA=transA, transB=transB)
    if not broadcast and c.shape != result.shape:
        raise ValueError(f"expected C to have the shape {tuple(result.shape)}, or broadcast=1, got {tuple(c.shape)}")
    return result


@op("Einsum", since=12, widen=True)
def einsum(*operands: Array, equation: str) -> Array:
    """The sum of products that an equation such as ``"bij,bjk->bik"`` describes (ONNX Einsum-28)."""
    # With optimize, NumPy turns the sums into matrix products where it can.
    return array_namespace(*operands).einsum(equation, *operands, optimize=True)


@op("Det", since=11, widen=True)
def det(x: Array) -> Array:
    """The determinants of the square matrices in the last two axes (ONNX Det-22)."""
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ValueError(f"expected square matrices in the last two axes, got the shape {tuple(x.shape)}")
    return array_namespace(x).linalg.det(x)


def _scaled(x: Array, factor: float) -> Array:
    return x if factor == 1 else (x * factor).astype(x.dtype)
