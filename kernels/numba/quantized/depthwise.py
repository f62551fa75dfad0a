"""The convolution of quantized images, channels last, with one channel per group: vectors of channels over the taps."""

from __future__ import annotations

import math

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.geometry import Windows
from onnxlite.kernels.numba.convolution.channels_last import patches
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.lanes import load, store
from onnxlite.kernels.numba.machine.memory import address, int16s, int32s, int64s, uint8s
from onnxlite.kernels.numba.machine.sealed import sealed
from onnxlite.kernels.numba.machine.simd import TILE_ROWS
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.prepared import prepared
from onnxlite.kernels.numba.quantized.binding import INTEGER, Finish, Left, copy_of, spread
from onnxlite.kernels.numba.quantized.integer_copy import UNIT, groups
from onnxlite.kernels.numba.quantized.integer_tile import BYTES, GROUP
from onnxlite.kernels.numba.quantized.product import (
    FLOAT,
    INT8,
    INT32,
    UINT8,
    Product,
    copy_image,
    find_terms,
    finish_row,
)
from onnxlite.kernels.numba.spec import ArraySpec, Bound, Output, Pool, Scratch

#: The multiply-adds in a piece of work, about.
_PIECE_WORK = 1 << 18
#: The elements of a stretch of outputs, about.
_STRETCH = 1 << 9


@sealed
def _add_taps(image: int, taps: int, tap_count: int, count: int, weights: int, weight_row: int, sums: int) -> None:
    """The sums of all taps for every element of a stretch of channels; there are whole threes or nines of taps.

    The places of the taps are in elements of the image; row t of the weights starts ``t * weight_row`` elements behind
    their address.
    """
    totals = int32s(sums, count)
    for tap in range(0, tap_count, 9 if tap_count % 9 == 0 else 3):
        shifts, factors = int64s(taps + 8 * tap, 9), int16s(weights + 2 * tap * weight_row, 9 * weight_row)
        if tap_count % 9 == 0:
            if BYTES:
                _add_nine(uint8s(image, count), shifts, factors, weight_row, totals, tap)
            else:
                _add_nine(int16s(image, count), shifts, factors, weight_row, totals, tap)
        elif BYTES:
            _add_three(uint8s(image, count), shifts, factors, weight_row, totals, tap)
        else:
            _add_three(int16s(image, count), shifts, factors, weight_row, totals, tap)


@jit
def _add_three(x, shifts, a, row, totals, adding):  # type: ignore[no-untyped-def]
    s, t, u = shifts[0], shifts[1], shifts[2]
    before = np.int32(-1 if adding else 0)
    for i in range(totals.size):
        total = _product(x, s + i, a, i) + _product(x, t + i, a, row + i) + _product(x, u + i, a, 2 * row + i)
        store(totals, i, np.int32((load(totals, i) & before) + total))


@jit
def _add_nine(x, shifts, a, row, totals, adding):  # type: ignore[no-untyped-def]
    """The taps of the most common window in one go, added to what is there or instead of it."""
    s, t, u = shifts[0], shifts[1], shifts[2]
    v, w, y = shifts[3], shifts[4], shifts[5]
    f, g, h = shifts[6], shifts[7], shifts[8]
    before = np.int32(-1 if adding else 0)
    for i in range(totals.size):
        total = _product(x, s + i, a, i) + _product(x, t + i, a, row + i) + _product(x, u + i, a, 2 * row + i)
        total += _product(x, v + i, a, 3 * row + i) + _product(x, w + i, a, 4 * row + i)
        total += _product(x, y + i, a, 5 * row + i) + _product(x, f + i, a, 6 * row + i)
        total += _product(x, g + i, a, 7 * row + i) + _product(x, h + i, a, 8 * row + i)
        store(totals, i, np.int32((load(totals, i) & before) + total))


@jit(inline=True)
def _product(x, i, a, k):  # type: ignore[no-untyped-def]
    return np.int32(np.int32(load(x, i)) * np.int32(load(a, k)))


@jit
def _convolve_some(  # type: ignore[no-untyped-def]
    start, stop, thread, image, stretches, taps, weights, terms, factors, addends, result, p, sums
):
    """Some stretches of outputs; all arrays are given by their addresses."""
    size = 4 if p.kind in (INT32, FLOAT) else 1
    own = sums + 4 * thread * p.columns
    for stretch in range(start, stop):
        first, count, place = _numbers(stretches + 24 * stretch)
        _add_taps(image + first, taps, p.taps, count, weights, p.columns, own)
        finish_row(
            own, terms, count, p.kind, factors, addends, p.zero_point, p.low, p.high, result + size * place
        )  # fmt: skip


@jit
def _numbers(table):  # type: ignore[no-untyped-def]
    numbers = int64s(table, 3)
    return numbers[0], numbers[1], numbers[2]


@jit
def convolve_quantized_channels(  # type: ignore[no-untyped-def]
    pool, x, x_scale, x_zero_point, weights, weight_sums, zeros, scales, addends, y, images, image_size, result_size,
    stretches, taps, p, copy, copied, terms, factors, moved, sums,
):  # fmt: skip
    """The convolution of flat images, every channel with its own filter."""
    zero_point = np.int64(x_zero_point[0])
    shifted = zero_point + 128 if p.signed else zero_point
    find_terms(
        p.columns, shifted if BYTES else 0, x_scale[0], p.summed, address(weight_sums, 0), address(zeros, 0),
        address(scales, 0), address(addends, 0), p.kind in (UINT8, INT8), address(terms, 0), address(factors, 0),
        address(moved, 0),
    )  # fmt: skip
    size = 4 if p.kind in (INT32, FLOAT) else 1
    for image in range(images):
        source = address(x, image * image_size)
        if copied.size > 0:
            copy_image(pool, source, address(copied, 0), zero_point, copy)
            source = address(copied, 0)
        arguments = (
            source, address(stretches, 0), address(taps, 0), address(weights, 0), address(terms, 0),
            address(factors, 0), address(moved, 0), address(y, 0) + size * image * result_size, p, address(sums, 0),
        )  # fmt: skip
        parallel_for(pool, _convolve_some, arguments, p.rows, max(1, _PIECE_WORK // (p.taps * p.columns)))


def pack_channels(w: Array, zero_points: tuple[int, ...], repeats: int) -> tuple[Array, Array]:
    """The weights (channels, 1, kernel...) less their zero points, tap by tap in whole threes or nines; their sums.

    All channels are repeated, one time for each output of a stretch.
    """
    channels = w.shape[0]
    centred = w.reshape(channels, -1).astype(np.int16) - np.reshape(np.array(zero_points, np.int16), (-1, 1))
    packed = np.zeros((_whole(centred.shape[1]), repeats * channels), np.int16)
    packed[: centred.shape[1]] = np.tile(centred.T, repeats)
    return packed.reshape(-1), np.tile(centred.sum(axis=1, dtype=np.int32), repeats)


def _whole(taps: int) -> int:
    """The taps that are added, with some that meet zeros: a few, or whole nines."""
    together = 9 if taps > 6 else 3
    return -(-taps // together) * together


def _stretches(starts: Array, row: int, repeats: int, channels: int) -> Array:
    """Where stretches of outputs start in the image, in bytes; their elements; and where they go.

    Each has some outputs that are neighbours in a row of the result.
    """
    firsts = [first for top in range(0, len(starts), row) for first in range(top, top + row, repeats)]
    counts = [min(repeats, row - first % row) for first in firsts]
    table = [starts[firsts], np.array(counts) * channels, np.array(firsts) * channels]
    return np.ascontiguousarray(np.stack(table, axis=1), np.int64).reshape(-1)


def bind_channels(left: Left, w: Array, w_zeros: tuple[int, ...], where: Windows, f: Finish) -> Bound:
    """A convolution with constant weights (channels, 1, kernel...)."""
    x, channels = left.x, w.shape[0]
    pixel = groups(channels) * GROUP * UNIT
    p = patches(where, pixel, 1, merge=False)
    positions, signed = len(p.starts) - TILE_ROWS, int(x.dtype == np.int8)
    copy = copy_of(p.padding, where.image, 1, channels, signed)
    in_place = p.padding is None and BYTES and not signed and pixel == channels
    # Where neighbours read neighbouring pixels, several are like one with more channels.
    adjoining = where.strides[-1] == 1 and pixel == channels * UNIT
    repeats = max(1, min(where.output[-1], _STRETCH // channels)) if adjoining else 1
    weights, sums = prepared(w, pack_channels, w_zeros, repeats)
    columns = repeats * channels
    stretches = _stretches(p.starts[:positions], where.output[-1], repeats, channels)
    # Where taps are missing, the last one is read again and meets zeros.
    taps = np.concatenate([p.taps, np.repeat(p.taps[-1:], _whole(len(p.taps)) - len(p.taps))]) // UNIT
    product = Product(
        1, len(stretches) // 3, columns, len(taps), 1, math.prod(where.kernel), 1, 1, signed, columns, f.kind,
        f.zero_point, *f.bounds,
    )  # fmt: skip
    return Bound(
        convolve_quantized_channels,
        (
            Pool(),
            *left.arguments(),
            weights,
            sums,
            np.zeros(columns, np.int32),
            np.tile(spread(f.scales, channels), repeats),
            np.tile(spread(f.addends, channels), repeats),
            Output(flat=True),
            x.shape[0],
            x.size // x.shape[0],
            positions * channels,
            stretches,
            taps,
            product,
            copy,
            Scratch((0 if in_place else copy.size,), np.dtype(np.uint8)),
            Scratch((columns,), INTEGER),
            Scratch((columns,)),
            Scratch((columns,)),
            Scratch((columns,), INTEGER, per_thread=True),
        ),
        (ArraySpec((x.shape[0], *where.output, channels), f.dtype),),
    )
