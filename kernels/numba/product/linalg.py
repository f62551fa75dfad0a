"""MatMul and Gemm of float32, alone or with what plans add to a product."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numba.machine.simd import TILE_COLUMNS
from onnxlite.kernels.numba.prepared import prepared, reads_files
from onnxlite.kernels.numba.product.epilogue import COLUMN_BIAS, NO_BIAS, NONE, ROW_BIAS, Epilogue, activation_code
from onnxlite.kernels.numba.product.matmul import EMPTY, NOTHING, Operand, Scale, bind_product, pack_constant, writable
from onnxlite.kernels.numba.product.product import packed_columns
from onnxlite.kernels.numba.spec import FLOAT32, ArraySpec, Bound, Declined, Input
from onnxlite.kernels.numba.table import op


@dataclass(frozen=True, slots=True)
class _Matrices:
    """A stack of matrices in a flat array: its shape, and the elements from one index of each axis to the next."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def batch(self) -> tuple[int, ...]:
        """The lengths of the axes before the matrices'."""
        return self.shape[:-2]

    def merged(self) -> _Matrices:
        """One matrix of all rows of all matrices, if they lie one after the other at one distance."""
        axes = [pair for pair in zip(self.shape[:-1], self.strides[:-1], strict=True) if pair[0] != 1]
        distances = {stride / math.prod(n for n, _ in axes[i + 1 :]) for i, (_, stride) in enumerate(axes)}
        if len(distances) > 1:
            return self
        row = axes[-1][1] if axes else self.shape[-1]
        return _Matrices((math.prod(self.shape[:-1]), self.shape[-1]), (row, self.strides[-1]))

    def starts(self, batch: tuple[int, ...]) -> Array:
        """Where the matrices start, in the order of the batch that they are broadcast to."""
        offsets = np.zeros(self.batch, np.int64)
        for axis, (length, stride) in enumerate(zip(self.batch, self.strides, strict=False)):
            steps = np.arange(length, dtype=np.int64) * stride
            offsets += steps.reshape(-1, *(1,) * (len(self.batch) - axis - 1))
        return np.ascontiguousarray(np.broadcast_to(offsets, batch)).reshape(-1)


def _matrices(shape: tuple[int, ...], perm: tuple[int, ...] | None) -> _Matrices:
    """How an array of a shape lies in memory after a transposition, which moves nothing."""
    steps = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    order = range(len(shape)) if perm is None else perm
    return _Matrices(tuple(shape[axis] for axis in order), tuple(steps[axis] for axis in order))


def _is_permutation(perm: tuple[int, ...] | None, rank: int) -> bool:
    return perm is None or sorted(perm) == list(range(rank))


@op("MatMul", since=1)
def matmul(a: ArraySpec, b: ArraySpec) -> Bound | Declined:
    """``a @ b`` for float32 operands of any rank, constant or not (ONNX MatMul-13)."""
    return fused_matmul(a, b)


@op("MatMul", domain="onnxlite")
def fused_matmul(
    a: ArraySpec,
    b: ArraySpec,
    bias: ArraySpec | None = None,
    residual: ArraySpec | None = None,
    *,
    a_perm: tuple[int, ...] | None = None,
    b_perm: tuple[int, ...] | None = None,
    scale: float = 1.0,
    activation: str = "",
    alpha: float | None = None,
    beta: float | None = None,
    residual_last: int = 0,
) -> Bound | Declined:
    """``activation(scale * (a @ b) + bias + residual)``, with ``a`` and ``b`` transposed first.

    The bias has an element per column, the residual the result's shape; with ``residual_last``, the residual is added
    to the activation's result.
    """
    if a.dtype != FLOAT32 or b.dtype != FLOAT32:
        return Declined(f"only float32 is compiled, not {a.dtype} and {b.dtype}")
    if not _is_permutation(a_perm, len(a.shape)) or not _is_permutation(b_perm, len(b.shape)):
        return Declined("a permutation does not fit the shape: the reference says how")
    left, right = _matrices(a.shape, a_perm), _matrices(b.shape, b_perm)
    if not left.shape or not right.shape or left.shape[-1] != right.shape[-2 if len(right.shape) > 1 else -1]:
        return Declined("the shapes do not fit: the reference says how")
    if not a.size or not b.size:
        return Declined("an empty product is not compiled")
    try:
        batch = np.broadcast_shapes(left.batch, right.batch)
    except ValueError:
        return Declined("the batches do not broadcast: the reference says how")
    columns = right.shape[-1:] if len(right.shape) > 1 else ()
    shape = (*batch, *left.shape[-2:-1], *columns)
    code = activation_code(activation, alpha, beta, residual_last=residual_last)
    if code is None or not _are_addends(bias, residual, shape) or (bias is not None and not columns):
        return Declined(f"an addend of another shape, or the activation {activation}, is not compiled")
    return _bind(a, b, left, right, scale, bias, residual, code, shape)


def _are_addends(bias: ArraySpec | None, residual: ArraySpec | None, shape: tuple[int, ...]) -> bool:
    """Whether a bias has an element per column of a result, and a residual its shape."""
    fits = bias is None or (bias.dtype == FLOAT32 and bias.shape == shape[-1:])
    return fits and (residual is None or (residual.dtype == FLOAT32 and residual.shape == shape))


def _bind(
    a: ArraySpec,
    b: ArraySpec,
    left: _Matrices,
    right: _Matrices,
    scale: float,
    bias: ArraySpec | None,
    residual: ArraySpec | None,
    code: tuple[int, np.float32, np.float32],
    shape: tuple[int, ...],
) -> Bound:
    """The call for operands that fit; ``left`` and ``right`` say how they lie in memory."""
    left = left if len(left.shape) > 1 else _Matrices((1, *left.shape), (left.shape[-1], *left.strides))
    right = right if len(right.shape) > 1 else _Matrices((*right.shape, 1), (*right.strides, 1))
    if len(right.shape) > 2 and math.prod(right.batch) == 1 and len(right.shape) <= len(left.shape):
        right = _Matrices(right.shape[-2:], right.strides[-2:])
    if len(right.shape) == 2 and len(left.shape) > 2:
        left = left.merged()
    batch = np.broadcast_shapes(left.batch, right.batch)
    rows, depth, columns = left.shape[-2], left.shape[-1], right.shape[-1]
    packed = b.value is not None and columns > 1
    if packed:
        item = packed_columns(columns) * depth
        panels, numbers = _panels(b, right, scale, item)
        second = Operand(panels, numbers.starts(batch), TILE_COLUMNS, 1)
    else:
        second = Operand(writable(b, 1), right.starts(batch), *right.strides[-2:])
    first = Operand(writable(a, 0), left.starts(batch), *left.strides[-2:])
    return bind_product(
        first,
        second,
        (rows, columns, depth),
        shape,
        packed=packed,
        scale=Scale(np.float32(1 if packed else scale), np.float32(1)),
        bias=NOTHING if bias is None else writable(bias, 2),
        residual=EMPTY if residual is None else writable(residual, 3),
        epilogue=Epilogue(NO_BIAS if bias is None else COLUMN_BIAS, *code),
    )


def _panels(b: ArraySpec, right: _Matrices, scale: float, item: int) -> tuple[Array, _Matrices]:
    """Constant matrices in panels, times a factor, and how these lie: each matrix takes ``item`` elements."""
    assert b.value is not None
    panels = prepared(b.value, _packed_matrices, right, scale)
    steps = [item * math.prod(right.batch[axis + 1 :]) for axis in range(len(right.batch))]
    return panels, _Matrices(right.shape, (*steps, 0, 0))


@reads_files
def _packed_matrices(b: Array, right: _Matrices, scale: float) -> Array:
    """The matrices that lie so in an array, in panels, times a factor."""
    strides = [4 * stride for stride in right.strides]
    matrices = np.ndarray(right.shape, b.dtype, b, strides=strides)
    return pack_constant(matrices.reshape(-1, *right.shape[-2:]), factor=scale)


@reads_files
def _packed_matrix(b: Array, transposed: bool, factor: float) -> Array:
    """A matrix in panels, times a factor."""
    return pack_constant(b[None], transposed, factor)


@op("Gemm", since=7)
def gemm(
    a: ArraySpec,
    b: ArraySpec,
    c: ArraySpec | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,  # noqa: N803
    transB: int = 0,  # noqa: N803
) -> Bound | Declined:
    """``alpha * A' @ B' + beta * C`` in float32 (ONNX Gemm-13)."""
    if a.dtype != FLOAT32 or b.dtype != FLOAT32:
        return Declined(f"only float32 is compiled, not {a.dtype} and {b.dtype}")
    if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[0 if transA else 1] != b.shape[1 if transB else 0]:
        return Declined("the shapes do not fit: the reference says how")
    if not a.size or not b.size:
        return Declined("an empty product is not compiled")
    rows, depth = a.shape[::-1] if transA else a.shape
    columns = b.shape[0 if transB else 1]
    zero = np.zeros(1, np.int64)
    first = Operand(writable(a, 0), zero, 1 if transA else depth, rows if transA else 1)
    packed = b.value is not None and columns > 1
    if b.value is not None and packed:
        second = Operand(prepared(b.value, _packed_matrix, bool(transB), alpha), zero, TILE_COLUMNS, 1)
    else:
        second = Operand(writable(b, 1), zero, 1 if transB else columns, depth if transB else 1)
    product_scale = 1.0 if packed else alpha
    addend = _addend(c if beta else None, rows, columns, beta)
    if addend is None:
        return Declined("a C of one run-time number, or of a type or shape that does not fit, is not compiled")
    bias, residual, axis, after = addend
    return bind_product(
        first,
        second,
        (rows, columns, depth),
        (rows, columns),
        packed=packed,
        scale=Scale(np.float32(product_scale / after), np.float32(after)),
        bias=bias,
        residual=residual,
        epilogue=Epilogue(axis, NONE, np.float32(0), np.float32(0)),
    )


@op("Gemm", since=1, until=6)
def gemm_1(
    a: ArraySpec,
    b: ArraySpec,
    c: ArraySpec,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    broadcast: int = 0,
    transA: int = 0,  # noqa: N803
    transB: int = 0,  # noqa: N803
) -> Bound | Declined:
    """As version 7, C having the product's shape unless ``broadcast`` is set (ONNX Gemm-6)."""
    bound = gemm(a, b, c, alpha=alpha, beta=beta, transA=transA, transB=transB)
    if isinstance(bound, Bound) and not broadcast and c.shape != bound.outputs[0].shape:
        return Declined("C does not have the shape of the product: the reference says how")
    return bound


def _addend(c: ArraySpec | None, rows: int, columns: int, beta: float) -> tuple[Any, Any, int, float] | None:
    """The addend of a Gemm as bias, residual and axis of the bias, and the factor that is left for the sum."""
    if c is None:
        return NOTHING, EMPTY, NO_BIAS, 1.0
    shape = (1,) * (2 - len(c.shape)) + c.shape
    if c.dtype != FLOAT32 or shape not in ((rows, columns), (1, columns), (rows, 1), (1, 1)):
        return None
    if c.value is not None:
        after, values = 1.0, np.asarray(c.value).reshape(shape) * np.float32(beta)
        array: Any = np.array(np.broadcast_to(values, (rows, 1) if shape[1] == 1 else shape)).reshape(-1)
    else:
        after, array = beta, Input(2, flat=True)
        if shape == (1, 1) and rows * columns > 1:
            return None
    if shape == (1, columns):
        return array, EMPTY, COLUMN_BIAS, after
    if shape[1] == 1:
        return array, EMPTY, ROW_BIAS, after
    return NOTHING, array, NO_BIAS, after
