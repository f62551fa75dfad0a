"""The product of float32 rows with a constant matrix of 4 or 8 bits, which has a scale for each block of a column.

The matrix stays as narrow as it is, packed in panels of columns; a thread dequantizes a stretch of a panel's rows into
its own memory, where they are multiplied with all rows of the left matrix.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.lanes import load, store
from onnxlite.kernels.numba.machine.memory import address, floats, uint8s
from onnxlite.kernels.numba.machine.sealed import sealed
from onnxlite.kernels.numba.machine.simd import TILE_COLUMNS, TILE_ROWS
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.prepared import prepared
from onnxlite.kernels.numba.product.matmul import writable
from onnxlite.kernels.numba.product.product import aligned, multiply_block
from onnxlite.kernels.numba.spec import FLOAT32, ArraySpec, Bound, Declined, Output, Pool, Scratch
from onnxlite.kernels.numba.table import op

_HALF = TILE_COLUMNS // 2
_NARROW = frozenset(map(np.dtype, (ml_dtypes.int4, ml_dtypes.uint4)))
_TYPES = _NARROW | frozenset(map(np.dtype, (np.int8, np.uint8)))

#: The rows of a panel that are dequantized at once: they stay in the first-level cache.
_ROWS = 128
#: The multiply-adds in a piece of work, at least, where every weight counts as some rows more.
_PIECE_WORK, _ROWS_OF_A_WEIGHT = 500_000, 8


class Lengths(NamedTuple):
    """The lengths of the product; ``row_bytes`` are those of a row of a panel."""

    rows: int
    depth: int
    columns: int
    block: int
    blocks: int
    row_bytes: int


@sealed
def dequantize_rows(
    packed: int, scales: int, zeros: int, first: int, count: int, block: int, row_bytes: int, out: int
) -> None:
    """Some rows of a panel in float32; a row of half as many bytes as columns holds two numbers in each."""
    for row in range(first, first + count):
        place = 4 * TILE_COLUMNS * (row // block)
        s, z = floats(scales + place, TILE_COLUMNS), floats(zeros + place, TILE_COLUMNS)
        q, y = uint8s(packed + row * row_bytes, row_bytes), floats(out + 4 * TILE_COLUMNS * (row - first), TILE_COLUMNS)
        if row_bytes == _HALF:
            for i in range(_HALF):
                low, high = np.uint8(load(q, i) & np.uint8(15)), np.uint8(load(q, i) >> np.uint8(4))
                store(y, i, (np.float32(low) - load(z, i)) * load(s, i))
                store(y, _HALF + i, (np.float32(high) - load(z, _HALF + i)) * load(s, _HALF + i))
        else:
            # With a number of steps that it knows, LLVM would make single instructions of this.
            for i in range(row_bytes):
                store(y, i, (np.float32(load(q, i)) - load(z, i)) * load(s, i))


@jit
def _multiply_panels(start, stop, thread, a, packed, scales, zeros, y, p, memory):  # type: ignore[no-untyped-def]
    rows_of_thread = address(memory, thread * memory.shape[1])
    edge = rows_of_thread + 4 * _ROWS * TILE_COLUMNS
    for panel in range(start, stop):
        left = panel * TILE_COLUMNS
        parameters = panel * p.blocks * TILE_COLUMNS
        for first in range(0, p.depth, _ROWS):
            count = min(_ROWS, p.depth - first)
            dequantize_rows(
                address(packed, panel * p.depth * p.row_bytes), address(scales, parameters),
                address(zeros, parameters), first, count, p.block, p.row_bytes, rows_of_thread,
            )  # fmt: skip
            multiply_block(
                address(a, first), p.depth, 1, p.rows, rows_of_thread, TILE_COLUMNS, 0,
                min(TILE_COLUMNS, p.columns - left), count, address(y, left), p.columns, 1 if first > 0 else 0, edge,
            )  # fmt: skip


@jit
def multiply_quantized_weights(pool, a, packed, scales, zeros, y, p, memory):  # type: ignore[no-untyped-def]
    """``y = a @ dequantize(b)``, all arrays flat."""
    work = (p.rows + _ROWS_OF_A_WEIGHT) * p.depth * TILE_COLUMNS
    panels = -(-p.columns // TILE_COLUMNS)
    parallel_for(pool, _multiply_panels, (a, packed, scales, zeros, y, p, memory), panels, max(1, _PIECE_WORK // work))


def pack_narrow(b: Array) -> Array:
    """A matrix (depth, columns) in panels, as numbers without a sign: of 4 bits, two in a byte, or of 8 bits."""
    depth, columns = b.shape
    narrow = b.dtype in _NARROW
    shift = _shift(b.dtype)
    padded = np.zeros((depth, -(-columns // TILE_COLUMNS) * TILE_COLUMNS), np.uint8)
    padded[:, :columns] = (b.astype(np.int16) + shift).astype(np.uint8)
    panels = padded.reshape(depth, -1, TILE_COLUMNS).swapaxes(0, 1)
    if narrow:
        panels = panels[:, :, :_HALF] | panels[:, :, _HALF:] << 4
    packed = aligned((panels.size,), np.uint8)
    packed[:] = panels.reshape(-1)
    return packed


def _shift(dtype: np.dtype[Any]) -> int:
    """What makes the lowest number 0."""
    return {np.dtype(ml_dtypes.int4): 8, np.dtype(np.int8): 128}.get(dtype, 0)


def _parameters(values: Array) -> Array:
    """Scales or zero points (blocks, columns) in panels, as float32."""
    blocks, columns = values.shape
    padded = np.zeros((blocks, -(-columns // TILE_COLUMNS) * TILE_COLUMNS), np.float32)
    padded[:, :columns] = values
    return np.ascontiguousarray(padded.reshape(blocks, -1, TILE_COLUMNS).swapaxes(0, 1)).reshape(-1)


@op("MatMulQuantizedWeights", domain="onnxlite")
def matmul_quantized_weights(
    a: ArraySpec, b: ArraySpec, b_scale: ArraySpec, b_zero_point: ArraySpec | None = None, *, block_size: int
) -> Bound | Declined:
    """``a @ dequantize(b)`` for float32 rows and a constant matrix; see the reference."""
    parameters = [b_scale] if b_zero_point is None else [b_scale, b_zero_point]
    if a.dtype != FLOAT32 or b.dtype not in _TYPES or b_scale.dtype != FLOAT32 or block_size < 1:
        return Declined("only float32 rows and a matrix of integers of 4 or 8 bits are compiled")
    if b.value is None or any(spec.value is None for spec in parameters):
        return Declined("only a constant matrix is compiled")
    if len(b.shape) != 2 or not a.shape or a.shape[-1] != b.shape[0] or not a.size or not b.size:
        return Declined("the shapes do not fit, or are empty: the reference says how")
    depth, columns = b.shape
    blocks = -(-depth // block_size)
    if any(spec.shape != (blocks, columns) for spec in parameters):
        return Declined("the scales or zero points do not fit: the reference says how")
    scales, shift = np.asarray(b_scale.value), _shift(b.dtype)
    zeros = np.zeros((blocks, columns), np.float32)
    if b_zero_point is not None:
        zeros = np.asarray(b_zero_point.value).astype(np.float32)
    row_bytes = _HALF if b.dtype in _NARROW else TILE_COLUMNS
    return Bound(
        multiply_quantized_weights,
        (
            Pool(),
            writable(a, 0),
            prepared(b.value, pack_narrow),
            _parameters(scales),
            _parameters(zeros + np.float32(shift)),
            Output(flat=True),
            Lengths(a.size // depth, depth, columns, block_size, blocks, row_bytes),
            Scratch(((_ROWS + TILE_ROWS) * TILE_COLUMNS,), per_thread=True),
        ),
        (ArraySpec((*a.shape[:-1], columns), FLOAT32),),
    )
