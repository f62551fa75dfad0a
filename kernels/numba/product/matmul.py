"""Products of float32 matrices: one compiled function for constant and run-time operands, batches and single rows.

The result is computed in blocks, each of which a thread finishes, epilogue included, while it is in the cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.mapped import forget
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.memory import address, floats
from onnxlite.kernels.numba.machine.sealed import sealed
from onnxlite.kernels.numba.machine.simd import LANES, TILE_COLUMNS, TILE_ROWS
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.product.epilogue import COLUMN_BIAS, NO_BIAS, NONE, ROW_BIAS, Epilogue, apply_epilogue
from onnxlite.kernels.numba.product.product import (
    DEPTH_STEP,
    aligned,
    multiply_block,
    multiply_column,
    multiply_row,
    pack_panels,
    packed_columns,
)
from onnxlite.kernels.numba.spec import FLOAT32, ArraySpec, Bound, Input, Output, Pool, Scratch

#: How a right matrix is used: packed beforehand, packed block by block, as it is, or by single rows and columns.
_PACKED, _PACK, _DIRECT, _ROW, _COLUMN = range(5)

#: The multiply-adds of a block of the result, about; and the largest block, in columns and rows.
_BLOCK_WORK, _BLOCK_COLUMNS, _BLOCK_ROWS = 500_000, 8 * TILE_COLUMNS, 8 * TILE_ROWS
#: The multiply-adds in a piece of work, at least.
_PIECE_WORK = 1_000_000
#: A right matrix of at most this many elements is used as it is: its rows stay in the first two caches.
_DIRECT_SIZE = 1 << 15
#: Rows that lie a multiple of this many bytes apart share the same few lines of the first cache, which cannot hold the
#: rows of a tile then: they are copied, each a little further from the next, for blocks of twice as many columns.
_ALIAS, _COPIED_ROW = 4096, DEPTH_STEP + LANES
#: The columns of a row that are computed at a time: they stay in the first cache while the right matrix streams past.
_LINE = 512

#: Where the bias of a transposed product lies.
_TURNED = {NO_BIAS: NO_BIAS, ROW_BIAS: COLUMN_BIAS, COLUMN_BIAS: ROW_BIAS}

#: Stand for no bias and for no residual.
NOTHING = np.zeros(1, np.float32)
EMPTY = np.zeros(0, np.float32)


class Product(NamedTuple):
    """The lengths of a product, in elements; the strides of one of its left and of its right matrices."""

    rows: int
    columns: int
    depth: int
    a_row: int
    a_step: int
    b_row: int
    b_column: int
    mode: int
    block_rows: int
    block_columns: int
    copies_rows: int


class Scale(NamedTuple):
    """What a product is multiplied by before the bias is added, and after."""

    before: np.float32
    after: np.float32


@jit
def _multiply_items(  # type: ignore[no-untyped-def]
    start, stop, thread, a, b, y, a_starts, b_starts, p, scale, bias, residual, e, edges, panels, rows
):
    """The blocks ``start`` to ``stop`` of the results of all pairs of matrices, block rows going first."""
    across = max(1, p.columns // p.block_columns)
    down = -(-p.rows // p.block_rows)
    for index in range(start, stop):
        item, block = index // (across * down), index % (across * down)
        left, top = block // down * p.block_columns, block % down * p.block_rows
        width = p.block_columns if block // down < across - 1 else p.columns - left
        height = min(p.block_rows, p.rows - top)
        place = (item * p.rows + top) * p.columns + left
        first, second, target = (
            address(a, a_starts[item] + top * p.a_row),
            address(b, b_starts[item]),
            address(y, place),
        )
        if p.mode == _ROW:
            multiply_row(first, p.a_step, second + 4 * left, p.b_row, p.depth, width, target)
        elif p.mode == _COLUMN:
            multiply_column(first, p.depth, second, p.depth, height, target)
        else:
            edge, memory = address(edges, thread * edges.shape[1]), address(panels, thread * panels.shape[1])
            copies = address(rows, thread * rows.shape[1]) if p.copies_rows else 0
            _multiply_matrix(
                first, p.a_row, p.a_step, height, second, p.b_row, p.b_column, p.mode, left, width, p.depth,
                target, p.columns, edge, memory, copies,
            )  # fmt: skip
        if scale.before != 1:
            multiply_by(target, height, width, p.columns, scale.before)
        bias_start = top if e.bias_axis == ROW_BIAS else left
        apply_epilogue(
            y, place, height, width, p.columns, bias, bias_start, e.bias_axis, residual, e.activation, e.alpha, e.beta
        )
        if scale.after != 1:
            multiply_by(target, height, width, p.columns, scale.after)


@sealed
def _multiply_matrix(
    a: int,
    a_row: int,
    a_step: int,
    rows: int,
    b: int,
    b_row: int,
    b_column: int,
    mode: int,
    left: int,
    width: int,
    depth: int,
    c: int,
    c_row: int,
    edge: int,
    panels: int,
    copies: int,
) -> None:
    """A block of a result at the address ``c``: ``rows`` rows, ``width`` columns from ``left`` on.

    ``copies`` is the address of memory for the rows of the left matrix, 0 to use them where they are.
    """
    for k in range(0, depth, DEPTH_STEP):
        step = min(DEPTH_STEP, depth - k)
        right, b_step, b_panel = b + 4 * left, b_row, TILE_COLUMNS
        if mode == _PACKED:
            right, b_step, b_panel = b + 4 * (left * depth + k * TILE_COLUMNS), TILE_COLUMNS, depth * TILE_COLUMNS
        elif mode == _PACK:
            pack_panels(b + 4 * (k * b_row + left * b_column), b_row, b_column, step, width, panels)
            right, b_step, b_panel = panels, TILE_COLUMNS, step * TILE_COLUMNS
        first, first_row = a + 4 * k * a_step, a_row
        if copies != 0:
            for row in range(rows):
                floats(copies + 4 * row * _COPIED_ROW, step)[:] = floats(first + 4 * row * a_row, step)
            first, first_row = copies, _COPIED_ROW
        multiply_block(
            first, first_row, a_step, rows, right, b_step, b_panel, width, step, c, c_row,
            1 if k > 0 else 0, edge,
        )  # fmt: skip


@sealed
def multiply_by(c: int, rows: int, columns: int, stride: int, factor: np.float32) -> None:
    """Multiply a block in place."""
    for row in range(rows):
        line = floats(c + 4 * row * stride, columns)
        for i in range(columns):
            line[i] *= factor


@jit
def multiply(pool, a, b, y, a_starts, b_starts, p, scale, bias, residual, e, edges, panels, rows):  # type: ignore[no-untyped-def]
    """``y = epilogue(a @ b)`` for pairs of matrices, the starts of which in flat arrays are given."""
    blocks = max(1, p.columns // p.block_columns) * -(-p.rows // p.block_rows)
    work = p.depth * p.block_rows * p.block_columns
    parallel_for(
        pool,
        _multiply_items,
        (a, b, y, a_starts, b_starts, p, scale, bias, residual, e, edges, panels, rows),
        blocks * a_starts.size,
        max(1, _PIECE_WORK // work),
    )


@dataclass(frozen=True, slots=True)
class Operand:
    """Matrices to multiply: where their memory comes from, where in it each one starts, and their strides."""

    array: Any
    starts: Array
    row: int
    column: int


def bind_product(
    a: Operand,
    b: Operand,
    size: tuple[int, int, int],
    shape: tuple[int, ...],
    *,
    packed: bool = False,
    scale: Scale | None = None,
    bias: Any = NOTHING,
    residual: Any = EMPTY,
    epilogue: Epilogue | None = None,
) -> Bound:
    """The call of `multiply` for operands of ``size`` (rows, columns, depth), giving an output of ``shape``.

    ``packed`` says that the right matrices are packed in panels.
    """
    rows, columns, depth = size
    e = epilogue or Epilogue(NO_BIAS, NONE, np.float32(0), np.float32(0))
    if rows == 1 and not packed and b.row == a.column == 1 != b.column:
        # A row times columns that are contiguous each: the columns are the rows of a product with one column.
        a, b = Operand(b.array, b.starts, b.column, 1), Operand(a.array, a.starts, 1, 1)
        rows, columns = columns, 1
        e = e._replace(bias_axis=_TURNED[e.bias_axis])
    mode = _PACKED if packed else _mode(b, rows, columns, depth)
    if mode == _COLUMN and a.column != 1:
        mode = _PACK
    copies = a.column == 1 and mode not in (_ROW, _COLUMN) and rows >= TILE_ROWS and 4 * a.row % _ALIAS == 0
    block_rows, block_columns = _blocks(rows, columns, depth, mode, 2 * _BLOCK_COLUMNS if copies else _BLOCK_COLUMNS)
    p = Product(rows, columns, depth, a.row, a.column, b.row, b.column, mode, block_rows, block_columns, int(copies))
    panels = DEPTH_STEP * packed_columns(min(columns, 2 * block_columns)) if mode == _PACK else 1
    return Bound(
        multiply,
        (
            Pool(),
            a.array,
            b.array,
            Output(0, flat=True),
            a.starts,
            b.starts,
            p,
            scale or Scale(np.float32(1), np.float32(1)),
            bias,
            residual,
            e,
            Scratch((TILE_ROWS * TILE_COLUMNS,), per_thread=True),
            Scratch((panels,), per_thread=True),
            Scratch((block_rows * _COPIED_ROW if copies else 1,), per_thread=True),
        ),
        (ArraySpec(shape, FLOAT32),),
    )


def _mode(b: Operand, rows: int, columns: int, depth: int) -> int:
    """How right matrices that are not packed are best used."""
    if columns == 1 and b.row == 1:
        return _COLUMN
    if b.column != 1:
        return _PACK
    if rows == 1:
        return _ROW
    whole = columns >= TILE_COLUMNS and depth <= DEPTH_STEP
    return _DIRECT if whole and (columns * depth <= _DIRECT_SIZE or rows <= TILE_ROWS) else _PACK


def _blocks(rows: int, columns: int, depth: int, mode: int, most_columns: int) -> tuple[int, int]:
    """The rows and columns of a block: of equal size, about, and as much work as a block should be."""
    if mode == _COLUMN:
        return max(1, min(rows, _BLOCK_WORK // (8 * depth))), 1
    if mode == _ROW:
        return 1, min(columns, _LINE)
    if rows == 1:
        width = max(TILE_COLUMNS, _BLOCK_WORK // (8 * depth) // TILE_COLUMNS * TILE_COLUMNS)
        return 1, min(width, packed_columns(columns))
    width = min(packed_columns(columns), most_columns)
    limit = 4 * _BLOCK_ROWS if mode == _PACK else _BLOCK_ROWS
    height = max(TILE_ROWS, min(limit, _BLOCK_WORK // (depth * width)))
    if mode == _PACK:
        height = limit
    parts = -(-rows // height)
    return -(-rows // (parts * TILE_ROWS)) * TILE_ROWS, width


#: About how many elements of a constant matrix are read at a time while it is packed.
_PACKED_AT_ONCE = 1 << 20


def pack_constant(matrices: Array, transposed: bool = False, factor: float = 1.0) -> Array:
    """Right matrices (count, depth, columns), perhaps given transposed, times a factor, in panels.

    A large matrix is read piece by piece, and not kept in memory if it is in a file.
    """
    count, depth, columns = (matrices.shape[axis] for axis in ((0, 2, 1) if transposed else (0, 1, 2)))
    packed = aligned((count, packed_columns(columns) * depth))
    packed[...] = 0
    step = max(1, _PACKED_AT_ONCE // (TILE_COLUMNS * matrices.shape[2])) * TILE_COLUMNS
    for matrix, panels in zip(matrices, packed.reshape(count, -1, depth, TILE_COLUMNS), strict=True):
        for start in range(0, len(matrix), step):
            rows = matrix[start : start + step]
            values = np.array(rows, np.float32) * np.float32(factor)
            if transposed:
                _fill(panels[start // TILE_COLUMNS :], values.T)
            else:
                _fill(panels[:, start : start + step], values)
            forget([rows])
    return packed.reshape(-1)


def _fill(panels: Array, matrix: Array) -> None:
    """Put a matrix (depth, columns) into the first of some panels (count, depth, TILE_COLUMNS)."""
    whole, rest = divmod(matrix.shape[1], TILE_COLUMNS)
    columns = whole * TILE_COLUMNS
    panels[:whole] = matrix[:, :columns].reshape(len(matrix), whole, TILE_COLUMNS).swapaxes(0, 1)
    if rest:
        panels[whole, :, :rest] = matrix[:, columns:]


def writable(spec: ArraySpec, index: int) -> Any:
    """An input as the compiled functions take it, flat: constants as copies, since read-only is a type of its own."""
    return Input(index, flat=True) if spec.value is None else np.array(spec.value, np.float32).reshape(-1)
