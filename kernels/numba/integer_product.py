"""The product of 8-bit integers less their zero points, in int32, and what it becomes: int32, or quantized again.

Both matrices are packed in elements of 32 bits (see `integer_tile`).  Where those hold bytes, the left ones have no
sign and the right ones have one; what that, and the zero points, change is put right with the sums of the columns of
the right matrix and the rows of the left one.  Where they hold 16-bit integers, the zero points are subtracted while
packing, and there is nothing to put right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numba.integer_tile import BYTES, GROUP, multiply_integer_tile
from onnxlite.kernels.numba.jit import jit
from onnxlite.kernels.numba.lanes import rint
from onnxlite.kernels.numba.memory import address, floats, int8s, int16s, int32s, uint8s
from onnxlite.kernels.numba.product import aligned
from onnxlite.kernels.numba.sealed import sealed
from onnxlite.kernels.numba.simd import TILE_COLUMNS
from onnxlite.kernels.numba.threads import parallel_for

#: What the sums become: they stay int32, or are scaled and rounded to unsigned or signed bytes.
INT32, UINT8, INT8 = range(3)

#: The rows that are packed, multiplied and finished together.
BLOCK_ROWS = 48
#: The multiply-adds in a piece of work, at least.
_PIECE_WORK = 4_000_000


@dataclass(frozen=True, slots=True)
class RightIntegers:
    """A right matrix (depth x columns), packed; the sums and zero points of its columns, as they are packed."""

    panels: Array
    sums: Array
    zeros: Array


def groups(depth: int) -> int:
    """The 32-bit elements along a depth."""
    return -(-depth // GROUP)


def pack_right_integers(b: Array, zero_point: Array | None) -> RightIntegers:
    """Pack a matrix of bytes, with one zero point or one for each column."""
    depth, columns = b.shape
    zeros = np.broadcast_to(np.zeros(1) if zero_point is None else zero_point.reshape(-1), columns).astype(np.int32)
    shift = 128 if BYTES and b.dtype == np.uint8 else 0
    values = b.astype(np.int32) - (shift if BYTES else zeros)
    zeros = zeros - shift if BYTES else np.zeros_like(zeros)
    padded = np.zeros(
        (groups(depth) * GROUP, -(-columns // TILE_COLUMNS) * TILE_COLUMNS), np.int8 if BYTES else np.int16
    )
    padded[:depth, :columns] = values
    by_panel = padded.reshape(groups(depth), GROUP, -1, TILE_COLUMNS).transpose(2, 0, 3, 1)
    sums = values.sum(axis=0, dtype=np.int32) if BYTES else np.zeros(columns, np.int32)
    panels = aligned((by_panel.size // GROUP,), np.int32)
    panels.view(padded.dtype)[:] = by_panel.reshape(-1)
    return RightIntegers(panels, sums, zeros.astype(np.int32))


@sealed
def pack_left_integers(
    a: int, signed: int, zero_point: int, rows: int, depth: int, a_row: int, out: int, sums: int
) -> None:
    """Pack rows of bytes that are ``a_row`` bytes apart; their sums, as packed, go to ``sums`` unless that is 0."""
    width = -(-depth // GROUP)
    for row in range(rows):
        place = out + 4 * row * width
        int32s(place, width)[width - 1] = np.int32(0)
        if BYTES:
            source, target, flip = uint8s(a + row * a_row, depth), uint8s(place, depth), np.uint8(128 * signed)
            for k in range(depth):
                target[k] = source[k] ^ flip
            if sums != 0:
                total = np.int32(0)
                for k in range(depth):
                    total += np.int32(target[k])
                int32s(sums, rows)[row] = total
        elif signed:
            _centre(int8s(a + row * a_row, depth), zero_point, int16s(place, depth))
        else:
            _centre(uint8s(a + row * a_row, depth), zero_point, int16s(place, depth))


@jit
def _centre(source, zero_point, target):  # type: ignore[no-untyped-def]
    for k in range(source.size):
        target[k] = np.int16(np.int32(source[k]) - np.int32(zero_point))


@sealed
def multiply_integers(a: int, rows: int, depth: int, b: int, columns: int, c: int, c_row: int) -> None:
    """The product of packed matrices into int32, whole panels of columns; the depth is in 32-bit elements."""
    for left in range(0, columns, TILE_COLUMNS):
        for top in range(0, rows, 8):
            multiply_integer_tile(
                min(8, rows - top), a + 4 * top * depth, depth, b + 4 * left * depth, TILE_COLUMNS,
                c + 4 * (top * c_row + left), c_row, depth,
            )  # fmt: skip


@sealed
def finish_integers(
    c: int, terms: int, zeros: int, total: int, count: int, kind: int, scales: int, zero_point: int, out: int
) -> None:
    """Finish a row of a product: ``c + terms - zeros * total``, stored or scaled, rounded and saturated.

    Args:
        c: The sums, int32.
        terms: What is added to them, int32.
        zeros: What is subtracted for each unit of ``total``, int32; 0 for nothing.
        total: A factor for the row.
        count: The length of the row.
        kind: INT32, UINT8 or INT8.
        scales: What the sums are multiplied by before they are rounded, float32.
        zero_point: What is added after that.
        out: The results.
    """
    sums, addends = int32s(c, count), int32s(terms, count)
    if zeros != 0:
        weights, factor = int32s(zeros, count), np.int32(total)
        for i in range(count):
            sums[i] -= np.int32(weights[i] * factor)
    if kind == INT32:
        results = int32s(out, count)
        for i in range(count):
            results[i] = np.int32(sums[i] + addends[i])
        return
    factors = floats(scales, count)
    low, high, shift = np.float32(0), np.float32(255), np.float32(zero_point)
    if kind == INT8:
        low, high = np.float32(-128), np.float32(127)
    bytes_out = uint8s(out, count)
    for i in range(count):
        value = rint(np.float32(np.int32(sums[i] + addends[i])) * factors[i]) + shift
        value = value if value > low else low
        bytes_out[i] = np.int32(high if value > high else value)


@sealed
def finish_filter(
    c: int,
    count: int,
    term: int,
    zero: int,
    totals: int,
    kind: int,
    scale: np.float32,
    zero_point: int,
    out: int,
) -> None:
    """Finish outputs of one filter: ``c + term - zero * totals``, stored or scaled, rounded and saturated."""
    sums, addend, weight = int32s(c, count), np.int32(term), np.int32(zero)
    if totals != 0 and zero != 0:
        factors = int32s(totals, count)
        for i in range(count):
            sums[i] -= np.int32(factors[i] * weight)
    if kind == INT32:
        results = int32s(out, count)
        for i in range(count):
            results[i] = np.int32(sums[i] + addend)
        return
    low, high, shift = np.float32(0), np.float32(255), np.float32(zero_point)
    if kind == INT8:
        low, high = np.float32(-128), np.float32(127)
    bytes_out = uint8s(out, count)
    for i in range(count):
        value = rint(np.float32(np.int32(sums[i] + addend)) * scale) + shift
        value = value if value > low else low
        bytes_out[i] = np.int32(high if value > high else value)


class IntegerProduct(NamedTuple):
    """The lengths of a product of bytes, and what its results become."""

    rows: int
    columns: int
    depth: int
    signed: int
    block_columns: int
    kind: int
    zero_point: int
    has_zeros: int


@jit
def multiply_bytes(  # type: ignore[no-untyped-def]
    pool, a, a_zero_point, b, sums, zeros, bias, scales, y, p, terms, packed, totals, products
):
    """``y = finish((a - a_zero_point) @ (b - zeros) + bias)`` for a flat array of bytes ``a`` and a packed ``b``."""
    zero_point = np.int32(a_zero_point[0])
    shifted = np.int32(zero_point + 128) if BYTES and p.signed else zero_point
    for column in range(p.columns):
        correction = np.int32(shifted * np.int32(np.int32(p.depth) * zeros[column] - sums[column]))
        terms[column] = np.int32(bias[column] + correction)
    rows = (address(a, 0), p.signed, zero_point, p.depth, address(packed, 0), address(totals, 0) if p.has_zeros else 0)
    parallel_for(pool, _pack_rows, rows, p.rows, max(1, 65536 // p.depth))
    across, down = -(-p.columns // p.block_columns), -(-p.rows // BLOCK_ROWS)
    work = BLOCK_ROWS * p.block_columns * p.depth
    parallel_for(
        pool,
        _multiply_blocks,
        (packed, totals, b, zeros, scales, y, p, terms, products, down),
        across * down,
        max(1, _PIECE_WORK // work),
    )


@jit
def _pack_rows(start, stop, thread, a, signed, zero_point, depth, packed, totals):  # type: ignore[no-untyped-def]
    target = packed + 4 * start * -(-depth // GROUP)
    pack_left_integers(
        a + start * depth, signed, zero_point, stop - start, depth, depth, target, totals + 4 * start if totals else 0
    )


@jit
def _multiply_blocks(start, stop, thread, packed, totals, b, zeros, scales, y, p, terms, products, down):  # type: ignore[no-untyped-def]
    width = -(-p.depth // GROUP)
    memory = address(products, thread * products.shape[1])
    for block in range(start, stop):
        left, top = block // down * p.block_columns, block % down * BLOCK_ROWS
        columns, rows = min(p.block_columns, p.columns - left), min(BLOCK_ROWS, p.rows - top)
        multiply_integers(
            address(packed, top * width), rows, width, address(b, left * width), columns, memory, p.block_columns
        )
        for row in range(rows):
            finish_integers(
                memory + 4 * row * p.block_columns, address(terms, left), address(zeros, left) if p.has_zeros else 0,
                totals[top + row], columns, p.kind, address(scales, left), p.zero_point,
                address(y, (top + row) * p.columns + left),
            )  # fmt: skip
