"""The matrix product of float32 block by block: what MatMul, Gemm, convolutions and recurrent layers stand on.

A right matrix (depth x columns) is packed into panels of TILE_COLUMNS columns, each stored row by row, or used as it
is.  A left matrix (rows x depth) may be packed into panels of TILE_ROWS rows, each stored column by column (Goto and
van de Geijn, 2008); rows and columns that are missing from the last panel are zeros, and a last panel of few rows is
packed to half a tile or to one row.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numba.jit import jit
from onnxlite.kernels.numba.memory import address, floats, read, write
from onnxlite.kernels.numba.sealed import sealed
from onnxlite.kernels.numba.simd import HALF_ROWS, LANES, TILE_COLUMNS, TILE_ROWS
from onnxlite.kernels.numba.tile import copy_row, multiply_narrow_tile, multiply_tile

#: A product is accumulated in steps of this depth, so that the panels of a step stay in the first two caches.
DEPTH_STEP = 512
#: The bytes of a cache line, and of the widest vector.
_LINE = 64


def packed_rows(rows: int) -> int:
    """The rows that the panels of a left matrix take, with padding."""
    return int(rows // TILE_ROWS * TILE_ROWS + panel_height(rows % TILE_ROWS))


def packed_columns(columns: int) -> int:
    """The columns that the panels of a right matrix take, with padding."""
    return -(-columns // TILE_COLUMNS) * TILE_COLUMNS


def aligned(shape: tuple[int, ...], dtype: Any = np.float32) -> Array:
    """Memory for constants, from the start of a cache line on: vectors that cross lines take twice the time to load."""
    itemsize = np.dtype(dtype).itemsize
    block = np.empty(math.prod(shape) * itemsize + _LINE, np.uint8)
    start = -block.ctypes.data % _LINE
    return block[start : start + math.prod(shape) * itemsize].view(dtype).reshape(shape)


@jit(inline=True)
def panel_height(rows: int) -> int:
    """The height of a panel for this many rows."""
    if rows >= TILE_ROWS:
        return TILE_ROWS
    if rows > HALF_ROWS:
        return TILE_ROWS
    if rows > 1:
        return HALF_ROWS
    return rows


@jit
def pack_left(a: Array, a_start: int, row_stride: int, column_stride: int, rows: int, depth: int, out: Array) -> None:
    """Pack rows x depth elements of a flat array, from a start and with strides, into column panels."""
    for top in range(0, rows, TILE_ROWS):
        height = panel_height(rows - top)
        base = top * depth
        filled = min(height, rows - top)
        for row in range(filled):
            source = a_start + (top + row) * row_stride
            for k in range(depth):
                out[base + k * height + row] = a[source + k * column_stride]
        for row in range(filled, height):
            for k in range(depth):
                out[base + k * height + row] = np.float32(0)


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


@jit(inline=True)
def multiply_panels(
    a: Array,
    a_start: int,
    rows: int,
    b: Array,
    b_start: int,
    columns: int,
    depth: int,
    c: Array,
    c_start: int,
    c_stride: int,
    edge: Array,
) -> None:
    """The product of packed panels into rows x columns elements of a flat array whose rows are ``c_stride`` apart.

    Args:
        a: The packed left matrix, from element ``a_start`` on.
        a_start: See ``a``.
        rows: The rows of the left matrix, without padding.
        b: The packed right matrix, from element ``b_start`` on.
        b_start: See ``b``.
        columns: The columns of the right matrix, without padding.
        depth: Columns of the left and rows of the right matrix; at least 1.
        c: The result, from element ``c_start`` on.
        c_start: See ``c``.
        c_stride: The elements from one row of the result to the next.
        edge: Memory of TILE_ROWS x TILE_COLUMNS elements.
    """
    _multiply_panels(
        address(a, a_start), rows, address(b, b_start), columns, depth, address(c, c_start), c_stride, address(edge, 0)
    )


@sealed
def _multiply_panels(a: int, rows: int, b: int, columns: int, depth: int, c: int, c_row: int, edge: int) -> None:
    """`multiply_panels` by addresses: all full tiles of rows, then the rest of the rows."""
    full = rows // TILE_ROWS * TILE_ROWS
    for k in range(0, depth, DEPTH_STEP):
        step, accumulate = min(DEPTH_STEP, depth - k), 1 if k > 0 else 0
        right = b + 4 * k * TILE_COLUMNS
        height, top, count = TILE_ROWS, 0, full
        while count > 0:
            left = a + 4 * (top * depth + k * height)
            multiply_block(
                left, 1, height, height * depth, count, right, TILE_COLUMNS, TILE_COLUMNS * depth, columns, step,
                c + 4 * top * c_row, c_row, accumulate, edge,
            )  # fmt: skip
            height, top, count = panel_height(rows - full), full, rows - full if top < full else 0


@sealed
def multiply_block(
    a: int,
    a_row: int,
    a_step: int,
    a_tile: int,
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
        a_tile: The elements from one tile of TILE_ROWS rows to the next.
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
            panel, place = a + 4 * (top // TILE_ROWS) * a_tile, c + 4 * (top * c_row + first)
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
