"""The matrix product of float32 block by block: what MatMul, Gemm, convolutions and recurrent layers stand on.

A right matrix (depth x columns) is packed into panels of TILE_COLUMNS columns, each stored row by row (Goto and van de
Geijn, 2008), or used as it is where its rows are few or short.  A left matrix is used as it is: the micro-kernels read
single elements of it, wherever they lie.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.memory import address, floats, read, write
from onnxlite.kernels.numba.machine.sealed import sealed
from onnxlite.kernels.numba.machine.simd import LANES, TILE_COLUMNS, TILE_ROWS
from onnxlite.kernels.numba.product.tile import copy_row, multiply_narrow_tile, multiply_tile

#: A product is accumulated in steps of this depth, so that the panels of a step stay in the first two caches.
DEPTH_STEP = 512
#: The bytes of a cache line, and of the widest vector.
_LINE = 64


def packed_columns(columns: int) -> int:
    """The columns that the panels of a right matrix take, with padding."""
    return -(-columns // TILE_COLUMNS) * TILE_COLUMNS


def aligned(shape: tuple[int, ...], dtype: Any = np.float32) -> Array:
    """Memory for constants, from the start of a cache line on: vectors that cross lines take twice the time to load."""
    itemsize = np.dtype(dtype).itemsize
    block = np.empty(math.prod(shape) * itemsize + _LINE, np.uint8)
    start = -block.ctypes.data % _LINE
    return block[start : start + math.prod(shape) * itemsize].view(dtype).reshape(shape)


@jit
def pack_right(b: Array, b_start: int, row_stride: int, depth: int, columns: int, out: Array) -> None:
    """Pack depth x columns elements of a flat array, rows contiguous, into row panels."""
    pack_panels(address(b, b_start), row_stride, 1, depth, columns, address(out, 0))


@sealed
def pack_panels(b: int, row_stride: int, column_stride: int, depth: int, columns: int, out: int) -> None:
    """Pack depth x columns elements, from an address and with strides, into row panels at another address."""
    for left in range(0, columns, TILE_COLUMNS):
        width = min(TILE_COLUMNS, columns - left)
        source, target = b + 4 * left * column_stride, out + 4 * left * depth
        for _ in range(depth):
            if width == TILE_COLUMNS and column_stride == 1:
                copy_row(source, target)
            else:
                for column in range(width):
                    write(target + 4 * column, read(source + 4 * column * column_stride))
                for column in range(width, TILE_COLUMNS):
                    write(target + 4 * column, np.float32(0))
            source += 4 * row_stride
            target += 4 * TILE_COLUMNS


@sealed
def multiply_block(
    a: int,
    a_row: int,
    a_step: int,
    rows: int,
    b: int,
    b_step: int,
    b_panel: int,
    columns: int,
    depth: int,
    c: int,
    c_row: int,
    accumulate: int,
    edge: int,
) -> None:
    """The product of two matrices, into (accumulate 0) or added to (1) a block.

    Where the right matrix is not packed and its last panel is not full, the panel is taken from further left, so that
    some columns are computed twice: then there must be at least TILE_COLUMNS of them, and nothing to add to.

    Args:
        a: The address of the left matrix.
        a_row: The elements from one of its rows to the next.
        a_step: The elements from one of its columns to the next.
        rows: Its rows.
        b: The address of the right matrix.
        b_step: The elements from one row to the next of a panel: TILE_COLUMNS if it is packed.
        b_panel: The elements from one panel to the next: TILE_COLUMNS if it is not packed.
        columns: Its columns.
        depth: Its rows.
        c: The address of the result.
        c_row: The elements from one of its rows to the next.
        accumulate: Whether to add to the result.
        edge: The address of memory of TILE_ROWS x TILE_COLUMNS elements.
    """
    for left in range(0, columns, TILE_COLUMNS):
        width, first = min(TILE_COLUMNS, columns - left), left
        right = b + 4 * (left // TILE_COLUMNS) * b_panel
        if width % LANES > 0 and b_panel == TILE_COLUMNS and columns >= TILE_COLUMNS and accumulate == 0:
            first, width = columns - TILE_COLUMNS, TILE_COLUMNS
            right = b + 4 * first
        for top in range(0, rows, TILE_ROWS):
            height = min(TILE_ROWS, rows - top)
            panel, place = a + 4 * top * a_row, c + 4 * (top * c_row + first)
            whole = width in (TILE_COLUMNS, LANES)
            target, stride = (place, c_row) if whole else (edge, TILE_COLUMNS)
            adding = accumulate if whole else 0
            if width > LANES:
                multiply_tile(height, panel, a_row, a_step, right, b_step, target, stride, depth, adding)
            else:
                multiply_narrow_tile(height, panel, a_row, a_step, right, b_step, target, stride, depth, adding)
            if not whole:
                _copy_edge(edge, place, c_row, height, width, accumulate)


@jit
def _copy_edge(edge, c, c_row, rows, width, accumulate):  # type: ignore[no-untyped-def]
    """Put a part of a tile into, or add it to, the result."""
    for row in range(rows):
        source, target = edge + 4 * row * TILE_COLUMNS, c + 4 * row * c_row
        for column in range(0, 4 * width, 4):
            value = read(source + column)
            write(target + column, read(target + column) + value if accumulate else value)


@sealed
def multiply_row(a: int, a_step: int, b: int, b_row: int, depth: int, columns: int, c: int) -> None:
    """``c = a @ b`` for one row, reading the rows of b one after the other, four at a time."""
    y = floats(c, columns)
    y[:] = np.float32(0)
    for k in range(0, depth, 4):
        count = min(4, depth - k)
        # Where fewer than four rows are left, the last one stands for the missing ones, times zero.
        a0, b0 = read(a), floats(b, columns)
        a1, b1 = (
            read(a + 4 * a_step) if count > 1 else np.float32(0),
            floats(b + 4 * b_row * min(1, count - 1), columns),
        )
        a2, b2 = (
            read(a + 8 * a_step) if count > 2 else np.float32(0),
            floats(b + 4 * b_row * min(2, count - 1), columns),
        )
        a3, b3 = (
            read(a + 12 * a_step) if count > 3 else np.float32(0),
            floats(b + 4 * b_row * min(3, count - 1), columns),
        )
        for i in range(columns):
            y[i] += (a0 * b0[i] + a1 * b1[i]) + (a2 * b2[i] + a3 * b3[i])
        a += 16 * a_step
        b += 16 * b_row


@sealed(reassociate=True)
def multiply_column(a: int, a_row: int, b: int, depth: int, rows: int, c: int) -> None:
    """``c = a @ b`` for one column; the rows of a, contiguous each, are ``a_row`` elements apart."""
    x = floats(b, depth)
    for row in range(rows):
        line = floats(a + 4 * row * a_row, depth)
        total = np.float32(0)
        for k in range(depth):
            total += line[k] * x[k]
        write(c + 4 * row, total)
