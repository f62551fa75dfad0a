"""The matrix product of float32 in packed panels: what MatMul, Gemm and the convolutions stand on.

A left matrix (rows x depth) is packed into panels of TILE_ROWS rows, each stored column by column; a right matrix
(depth x columns) into panels of TILE_COLUMNS columns, each stored row by row (Goto and van de Geijn, 2008).  Rows and
columns that are missing from the last panel are zeros; a last panel of few rows is packed to half a tile or to one row.
"""

from __future__ import annotations

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numba.jit import jit
from onnxlite.kernels.numba.simd import (
    HALF_ROWS,
    TILE_COLUMNS,
    TILE_ROWS,
    half_tile_product,
    row_product,
    tile_product,
)

#: A product is accumulated in steps of this depth, so that the panels of a step stay in the first two caches.
DEPTH_STEP = 1024


def packed_rows(rows: int) -> int:
    """The rows that the panels of a left matrix take, with padding."""
    return rows // TILE_ROWS * TILE_ROWS + panel_height(rows % TILE_ROWS)


def packed_columns(columns: int) -> int:
    """The columns that the panels of a right matrix take, with padding."""
    return -(-columns // TILE_COLUMNS) * TILE_COLUMNS


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
    for left in range(0, columns, TILE_COLUMNS):
        base = left * depth
        width = min(TILE_COLUMNS, columns - left)
        if width == TILE_COLUMNS:
            for k in range(depth):
                source = b_start + k * row_stride + left
                for column in range(TILE_COLUMNS):
                    out[base + k * TILE_COLUMNS + column] = b[source + column]
        else:
            for k in range(depth):
                source = b_start + k * row_stride + left
                for column in range(TILE_COLUMNS):
                    value = b[source + column] if column < width else np.float32(0)
                    out[base + k * TILE_COLUMNS + column] = value


@jit(inline=True)
def _tile(a, a_start, height, b, b_start, c, c_start, c_stride, depth, accumulate):  # type: ignore[no-untyped-def]
    if height == TILE_ROWS:
        tile_product(a, a_start, b, b_start, c, c_start, c_stride, depth, accumulate)
    elif height == HALF_ROWS:
        half_tile_product(a, a_start, b, b_start, c, c_start, c_stride, depth, accumulate)
    else:
        row_product(a, a_start, b, b_start, c, c_start, c_stride, depth, accumulate)


@jit
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
    for k in range(0, depth, DEPTH_STEP):
        step = min(DEPTH_STEP, depth - k)
        accumulate = 1 if k > 0 else 0
        for left in range(0, columns, TILE_COLUMNS):
            width = min(TILE_COLUMNS, columns - left)
            right = b_start + left * depth + k * TILE_COLUMNS
            for top in range(0, rows, TILE_ROWS):
                height = panel_height(rows - top)
                filled = min(height, rows - top)
                panel = a_start + top * depth + k * height
                target = c_start + top * c_stride + left
                if filled == height and width == TILE_COLUMNS:
                    _tile(a, panel, height, b, right, c, target, c_stride, step, accumulate)
                    continue
                _tile(a, panel, height, b, right, edge, 0, TILE_COLUMNS, step, 0)
                for row in range(filled):
                    for column in range(width):
                        value = edge[row * TILE_COLUMNS + column]
                        place = target + row * c_stride + column
                        c[place] = c[place] + value if accumulate else value
