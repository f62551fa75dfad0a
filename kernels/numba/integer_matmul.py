"""MatMulInteger and QLinearMatMul with a constant right matrix."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxlite.kernels.numba.integer_product import (
    BLOCK_ROWS,
    INT8,
    INT32,
    UINT8,
    IntegerProduct,
    groups,
    multiply_bytes,
    pack_right_integers,
)
from onnxlite.kernels.numba.simd import TILE_COLUMNS
from onnxlite.kernels.numba.spec import ArraySpec, Bound, Declined, Input, Output, Pool, Scratch
from onnxlite.kernels.numba.table import op

_INT32 = np.dtype(np.int32)
_BYTES = frozenset(map(np.dtype, (np.uint8, np.int8)))


@op("MatMulInteger", since=10)
def matmul_integer(
    a: ArraySpec, b: ArraySpec, a_zero_point: ArraySpec | None = None, b_zero_point: ArraySpec | None = None
) -> Bound | Declined:
    """The int32 product of bytes less their zero points (ONNX MatMulInteger-10)."""
    return _bind(a, b, a_zero_point, 2, b_zero_point, INT32, _INT32, None, 0)


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
    scales = [spec.value for spec in (a_scale, b_scale, y_scale)]
    if any(value is None for value in scales) or y_zero_point.value is None or y_zero_point.dtype not in _BYTES:
        return Declined("only constant scales, and a result of bytes, are compiled")
    of_a, of_b, of_y = (np.asarray(value).astype(np.float32) for value in scales)
    if of_a.size != 1 or of_y.size != 1 or y_zero_point.size != 1 or of_b.ndim > 1:
        return Declined("only scales per tensor, and per column of b, are compiled")
    kind = UINT8 if y_zero_point.dtype == np.uint8 else INT8
    scale = of_a.reshape(()) * of_b / of_y.reshape(())
    return _bind(a, b, a_zero_point, 2, b_zero_point, kind, y_zero_point.dtype, scale, int(y_zero_point.value.item()))


def _bind(
    a: ArraySpec,
    b: ArraySpec,
    a_zero_point: ArraySpec | None,
    a_zero_index: int,
    b_zero_point: ArraySpec | None,
    kind: int,
    dtype: np.dtype[Any],
    scale: Any,
    zero_point: int,
) -> Bound | Declined:
    if a.dtype not in _BYTES or b.dtype not in _BYTES or b.value is None or len(b.shape) != 2:
        return Declined("only bytes, and a constant matrix on the right, are compiled")
    if not a.shape or a.shape[-1] != b.shape[0] or not a.size or not b.size:
        return Declined("the shapes do not fit, or are empty: the reference says how")
    depth, columns = b.shape
    if a_zero_point is not None and (a_zero_point.size != 1 or a_zero_point.dtype != a.dtype):
        return Declined("only one zero point for the left matrix is compiled")
    if b_zero_point is not None and (b_zero_point.value is None or b_zero_point.shape not in ((), (1,), (columns,))):
        return Declined("only constant zero points, one or one per column, are compiled for the right matrix")
    if scale is not None and scale.size not in (1, columns):
        return Declined("only scales per tensor, and per column of b, are compiled")
    rows = a.size // depth
    right = pack_right_integers(np.asarray(b.value), None if b_zero_point is None else np.asarray(b_zero_point.value))
    block = min(-(-columns // TILE_COLUMNS), 8) * TILE_COLUMNS
    zero: Any = np.zeros(1, a.dtype)
    if a_zero_point is not None:
        zero = Input(a_zero_index, flat=True) if a_zero_point.value is None else np.array(a_zero_point.value).reshape(1)
    scales = np.broadcast_to(np.float32(1) if scale is None else scale.reshape(-1), columns)
    return Bound(
        multiply_bytes,
        (
            Pool(),
            Input(0, flat=True) if a.value is None else np.array(a.value).reshape(-1),
            zero,
            right.panels,
            right.sums,
            right.zeros,
            np.zeros(columns, np.int32),
            np.array(scales, np.float32),
            Output(0, flat=True),
            IntegerProduct(
                rows, columns, depth, int(a.dtype == np.int8), block, kind, zero_point, int(right.zeros.any())
            ),
            Scratch((columns,), _INT32),
            Scratch((rows * groups(depth),), _INT32),
            Scratch((rows,), _INT32),
            Scratch((BLOCK_ROWS * block,), _INT32, per_thread=True),
        ),
        (ArraySpec((*a.shape[:-1], columns), dtype),),
    )
