"""Products and convolutions of 8-bit integers with what follows them: scales, a bias, and quantization again.

A product of matrices is a convolution of an image of one row, whose pixels are the rows of the left matrix.  The image
is read where it lies, or else copied into the form that the micro-kernel reads (`integer_copy`); blocks of its windows
are multiplied with panels of weights into int32, and finished while those are in the cache.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.lanes import bits_of, load, store
from onnxlite.kernels.numba.machine.memory import address, floats, int8s, int32s, int64s
from onnxlite.kernels.numba.machine.sealed import sealed
from onnxlite.kernels.numba.machine.simd import TILE_COLUMNS, TILE_ROWS
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.quantized.integer_copy import copy_rows, pack_matrix
from onnxlite.kernels.numba.quantized.integer_tile import BYTES
from onnxlite.kernels.numba.quantized.integer_window import multiply_windows

#: What the sums become: they stay int32, or they are scaled, and rounded to unsigned or signed bytes or left as floats.
INT32, UINT8, INT8, FLOAT = range(4)

#: The rows of a block, about, and its columns at most: its sums stay in the first caches.
BLOCK_ROWS, BLOCK_COLUMNS = 4 * TILE_ROWS, 4 * TILE_COLUMNS
#: A float32 whose neighbours are the integers: a small number added to it is rounded to its last bits, halves to even.
_ROUNDER = np.float32(3 << 22)
#: The multiply-adds in a piece of work, at least.
_PIECE_WORK = 4_000_000


class Product(NamedTuple):
    """The lengths of a product, and what becomes of its results.

    There are ``items`` products (groups of a convolution, or matrices of a batch) of ``rows`` windows with ``columns``
    columns.  A table of int64 says where the parts of each start: in the image, in bytes; in the panels, in elements;
    among the numbers of all columns; in the result, in elements.  ``run`` is in elements, ``summed`` the number of
    products that a result sums, without padding.
    """

    items: int
    rows: int
    columns: int
    taps: int
    run: int
    summed: int
    block: int
    splits: int
    signed: int
    result_row: int
    kind: int
    zero_point: int
    low: np.float32
    high: np.float32


@sealed
def subtract_row(sums: int, zeros: int, total: int, count: int) -> None:
    """``sums -= zeros * total`` for a row of int32."""
    x, z, factor = int32s(sums, count), int32s(zeros, count), np.int32(total)
    for i in range(count):
        x[i] -= np.int32(z[i] * factor)


@sealed
def finish_row(
    sums: int,
    terms: int,
    count: int,
    kind: int,
    factors: int,
    addends: int,
    zero_point: int,
    low: np.float32,
    high: np.float32,
    out: int,
) -> None:
    """Finish a row of a product.

    Args:
        sums: The sums, int32.
        terms: What is added to them, int32, unless they become bytes.
        count: The length of the row.
        kind: INT32, UINT8, INT8 or FLOAT.
        factors: What the sums are multiplied by, float32.
        addends: What is added after that, float32; for bytes with what the terms are times the factors.
        zero_point: What is added to the rounded number.
        low: The lowest number, before the zero point is added.
        high: The highest one.
        out: The results.
    """
    x, t, f, a = int32s(sums, count), int32s(terms, count), floats(factors, count), floats(addends, count)
    if kind == INT32:
        integers = int32s(out, count)
        for i in range(count):
            store(integers, i, np.int32(load(x, i) + load(t, i)))
    elif kind == FLOAT:
        reals = floats(out, count)
        for i in range(count):
            store(reals, i, np.float32(np.int32(load(x, i) + load(t, i))) * load(f, i) + load(a, i))
    else:
        shift = np.int32(zero_point)
        # Unsigned bytes have the bits of those with a sign.
        bytes_out = int8s(out, count)
        for i in range(count):
            value = np.float32(load(x, i)) * load(f, i) + load(a, i)
            value = value if value > low else low
            value = value if value < high else high
            store(bytes_out, i, np.int8(np.int32(bits_of(np.float32(value + _ROUNDER)) + shift)))


@sealed
def find_terms(
    count: int, zero_point: int, scale: np.float32, summed: int, sums: int, zeros: int, scales: int, addends: int,
    in_addends: int, terms: int, factors: int, moved: int,
) -> None:  # fmt: skip
    """What the zero point and the scale of the left operand make of the constants of the columns.

    The ``terms`` come to be added to the sums; ``in_addends`` says that they are part of the addends instead, times the
    factors, as ``moved``: that is quicker, and precise enough for bytes.
    """
    s, z, zero, length = int32s(sums, count), int32s(zeros, count), np.int32(zero_point), np.int32(summed)
    t, of_columns, f = int32s(terms, count), floats(scales, count), floats(factors, count)
    given, a = floats(addends, count), floats(moved, count)
    for i in range(count):
        t[i] = np.int32(zero * np.int32(np.int32(length * z[i]) - s[i]))
        f[i] = scale * of_columns[i]
        a[i] = given[i] + (np.float32(t[i]) * f[i] if in_addends else np.float32(0))


@jit
def _multiply_pieces(  # type: ignore[no-untyped-def]
    start,
    stop,
    thread,
    image,
    starts,
    taps,
    panels,
    ones,
    zeros,
    terms,
    factors,
    addends,
    result,
    items,
    p,
    sums,
    totals,
):
    """Some of the (item, part of the columns, block of rows) pieces; all arrays are given by their addresses."""
    blocks, panel_count = -(-p.rows // p.block), -(-p.columns // TILE_COLUMNS)
    size = 4 if p.kind in (INT32, FLOAT) else 1
    own = sums + 4 * thread * (p.block + TILE_ROWS) * BLOCK_COLUMNS
    own_totals = totals + 4 * thread * (p.block + TILE_ROWS) * TILE_COLUMNS
    for piece in range(start, stop):
        first, part = piece % blocks * p.block, piece // blocks % p.splits
        table = items + 32 * (piece // blocks // p.splits)
        place, offset, column, out = _item(table)
        rows = min(p.block, p.rows - first)
        lines = starts + 8 * first
        if ones != 0:
            multiply_windows(
                image + place, lines, rows, taps, p.taps, p.run, ones, TILE_COLUMNS, own_totals, TILE_COLUMNS
            )
        right = min(p.columns, (part + 1) * panel_count // p.splits * TILE_COLUMNS)
        for left in range(part * panel_count // p.splits * TILE_COLUMNS, right, BLOCK_COLUMNS):
            count = min(BLOCK_COLUMNS, right - left)
            multiply_windows(
                image + place, lines, rows, taps, p.taps, p.run, panels + 4 * (offset + left * p.taps * p.run), count,
                own, BLOCK_COLUMNS,
            )  # fmt: skip
            behind = 4 * (column + left)
            for row in range(rows):
                sums_of_row = own + 4 * row * BLOCK_COLUMNS
                if ones != 0:
                    total = int32s(own_totals + 4 * row * TILE_COLUMNS, 1)[0]
                    subtract_row(sums_of_row, zeros + behind, total, count)
                finish_row(
                    sums_of_row, terms + behind, count, p.kind, factors + behind, addends + behind, p.zero_point,
                    p.low, p.high, result + size * (out + (first + row) * p.result_row + left),
                )  # fmt: skip


@jit
def _item(table):  # type: ignore[no-untyped-def]
    numbers = int64s(table, 4)
    return numbers[0], numbers[1], numbers[2], numbers[3]


@jit
def _multiply(  # type: ignore[no-untyped-def]
    pool, image, zero_point, scale, starts, taps, panels, ones, sums, zeros, scales, addends, result, items, p, terms,
    factors, moved, products, totals,
):  # fmt: skip
    """All pieces of a product; ``image``, ``panels``, ``sums`` and ``result`` are addresses."""
    shifted = zero_point + 128 if p.signed else zero_point
    find_terms(
        terms.size, shifted if BYTES else 0, scale, p.summed, sums, address(zeros, 0), address(scales, 0),
        address(addends, 0), p.kind in (UINT8, INT8), address(terms, 0), address(factors, 0), address(moved, 0),
    )  # fmt: skip
    summing = address(ones, 0) if ones.size > 0 else 0
    arguments = (
        image, address(starts, 0), address(taps, 0), panels, summing, address(zeros, 0), address(terms, 0),
        address(factors, 0), address(moved, 0), result, address(items, 0), p, address(products, 0),
        address(totals, 0),
    )  # fmt: skip
    pieces = p.items * p.splits * -(-p.rows // p.block)
    work = p.block * p.columns * p.summed // p.splits
    parallel_for(pool, _multiply_pieces, arguments, pieces, max(1, _PIECE_WORK // max(1, work)))


@jit
def copy_image(pool, image, copied, zero_point, c):  # type: ignore[no-untyped-def]
    """The copy of an image: both are addresses."""
    piece = max(1, 65536 // (c.padded_width * c.groups * c.group_size))
    parallel_for(pool, copy_rows, (image, copied, zero_point, c), c.padded_depth * c.padded_height, piece)


@jit
def convolve_quantized(  # type: ignore[no-untyped-def]
    pool, x, x_scale, x_zero_point, panels, ones, sums, zeros, scales, addends, y, images, image_size, starts, taps,
    items, p, copy, copied, terms, factors, moved, products, totals,
):  # fmt: skip
    """The convolution of flat images, or the product of rows, with packed weights."""
    zero_point = np.int64(x_zero_point[0])
    size = 4 if p.kind in (INT32, FLOAT) else 1
    for image in range(images):
        source = address(x, image * image_size)
        if copied.size > 0:
            copy_image(pool, source, address(copied, 0), zero_point, copy)
            source = address(copied, 0)
        _multiply(
            pool, source, zero_point, x_scale[0], starts, taps, address(panels, 0), ones, address(sums, 0), zeros,
            scales, addends, address(y, 0) + size * image * p.rows * p.result_row, items, p, terms, factors, moved,
            products, totals,
        )  # fmt: skip


@jit
def _pack_some(start, stop, thread, b, signed, zero_point, depth, columns, panels, size, sums):  # type: ignore[no-untyped-def]
    for number in range(start, stop):
        pack_matrix(
            b + number * depth * columns, signed, zero_point, depth, columns, panels + 4 * number * size,
            sums + 4 * number * columns,
        )  # fmt: skip


@jit
def multiply_quantized(  # type: ignore[no-untyped-def]
    pool, a, a_scale, a_zero_point, b, b_signed, b_zero_point, b_count, ones, zeros, scales, addends, y, starts, taps,
    items, p, copy, copied, panels, sums, terms, factors, moved, products,
    totals,
):  # fmt: skip
    """The products of matrices of a batch, both of them given on the run."""
    zero_point, source = np.int64(a_zero_point[0]), address(a, 0)
    size = -(-p.columns // TILE_COLUMNS) * TILE_COLUMNS * p.taps * p.run
    arguments = (
        address(b, 0), b_signed, b_zero_point, p.summed, p.columns, address(panels, 0), size, address(sums, 0),
    )  # fmt: skip
    parallel_for(pool, _pack_some, arguments, b_count, max(1, 65536 // (p.summed * p.columns)))
    if copied.size > 0:
        copy_image(pool, source, address(copied, 0), zero_point, copy)
        source = address(copied, 0)
    _multiply(
        pool, source, zero_point, a_scale[0], starts, taps, address(panels, 0), ones, address(sums, 0), zeros, scales,
        addends, address(y, 0), items, p, terms, factors, moved, products, totals,
    )  # fmt: skip
