"""MatMul and Gemm with one constant or two run-time operands, float32."""

from __future__ import annotations

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numba.jit import jit
from onnxlite.kernels.numba.product import multiply_panels, pack_left, pack_right, packed_columns, packed_rows
from onnxlite.kernels.numba.simd import TILE_COLUMNS, TILE_ROWS
from onnxlite.kernels.numba.spec import FLOAT32, ArraySpec, Bound, Declined, Input, Output, Pool, Scratch
from onnxlite.kernels.numba.table import op
from onnxlite.kernels.numba.threads import parallel_for

#: The columns of the result that one piece of work computes.
_COLUMNS = 8 * TILE_COLUMNS


@jit
def _pack_rows(start: int, stop: int, thread: int, a: Array, rows: int, depth: int, out: Array) -> None:
    for panel in range(start, stop):
        top = panel * TILE_ROWS
        pack_left(a, top * depth, depth, 1, min(TILE_ROWS, rows - top), depth, out[top * depth :])


@jit
def _multiply_columns(  # type: ignore[no-untyped-def]
    start, stop, thread, a, rows, b, columns, depth, c, edges
) -> None:
    for block in range(start, stop):
        left = block * _COLUMNS
        width = min(_COLUMNS, columns - left)
        multiply_panels(a, 0, rows, b, left * depth, width, depth, c, left, columns, edges[thread])


@jit
def multiply_constant(pool, x, packed, columns, y, panels, edges):  # type: ignore[no-untyped-def]
    """``y = x @ w``, with w packed: x is (..., depth), y is (..., columns)."""
    depth = x.shape[-1]
    rows = x.size // depth
    a, c = x.reshape(-1), y.reshape(-1)
    parallel_for(pool, _pack_rows, (a, rows, depth, panels), -(-rows // TILE_ROWS), 8)
    pieces = -(-columns // _COLUMNS)
    parallel_for(pool, _multiply_columns, (panels, rows, packed, columns, depth, c, edges), pieces, 1)


@op("MatMul", since=1)
def matmul(a: ArraySpec, b: ArraySpec) -> Bound | Declined:
    """``a @ b`` with a constant matrix ``b`` (ONNX MatMul-13)."""
    if a.dtype != FLOAT32 or b.value is None or len(b.shape) != 2 or len(a.shape) < 1 or not a.size or not b.size:
        return Declined("only a product of float32 with a constant matrix is compiled")
    depth, columns = b.shape
    rows = a.size // depth
    packed = np.empty(packed_columns(columns) * depth, np.float32)
    pack_right(np.ravel(b.value), 0, columns, depth, columns, packed)
    return Bound(
        multiply_constant,
        (
            Pool(),
            Input(0),
            packed,
            columns,
            Output(),
            Scratch((packed_rows(rows) * depth,)),
            Scratch((TILE_ROWS * TILE_COLUMNS,), per_thread=True),
        ),
        (ArraySpec((*a.shape[:-1], columns), FLOAT32),),
    )
