"""The forms in which products of 8-bit integers read their operands: copies of images and rows, panels of weights.

Elements have 32 bits and hold GROUP neighbours along the depth (see `integer_tile`).  Where those are bytes, the left
ones have no sign and the right ones have one: a byte of the other kind is flipped, ``x ^ 128``, which moves its zero
point along.  Where they are 16-bit integers, the zero points are subtracted, and missing neighbours are anything: they
meet weights of 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.memory import int8s, int16s, int32s, uint8s
from onnxlite.kernels.numba.machine.sealed import sealed
from onnxlite.kernels.numba.machine.simd import TILE_COLUMNS
from onnxlite.kernels.numba.product.product import aligned
from onnxlite.kernels.numba.quantized.integer_tile import BYTES, GROUP

#: The bytes of a neighbour in an element.
UNIT = 4 // GROUP


def groups(depth: int) -> int:
    """The 32-bit elements along a depth."""
    return -(-depth // GROUP)


class Copy(NamedTuple):
    """How an image, or a matrix as one row of pixels, is copied: padded, and every group of channels in whole elements.

    A copied pixel has ``groups`` times ``group_size`` bytes.
    """

    depth: int
    height: int
    width: int
    begin_depth: int
    begin_height: int
    begin_width: int
    padded_depth: int
    padded_height: int
    padded_width: int
    groups: int
    channels: int
    group_size: int
    signed: int

    @property
    def size(self) -> int:
        """The bytes of a copy."""
        return self.padded_depth * self.padded_height * self.padded_width * self.groups * self.group_size


@jit
def copy_rows(start, stop, thread, image, copied, zero_point, c):  # type: ignore[no-untyped-def]
    """Some rows of the copy of an image: both are addresses."""
    pixel, source_pixel = c.groups * c.group_size, c.groups * c.channels
    for row in range(start, stop):
        z, y = row // c.padded_height - c.begin_depth, row % c.padded_height - c.begin_height
        target = copied + row * c.padded_width * pixel
        if z < 0 or z >= c.depth or y < 0 or y >= c.height:
            _fill(target, c.padded_width * pixel, zero_point + 128 * c.signed)
            continue
        _fill(target, c.begin_width * pixel, zero_point + 128 * c.signed)
        source = image + (z * c.height + y) * c.width * source_pixel
        target += c.begin_width * pixel
        copy_groups(source, c.width * c.groups, c.channels, c.group_size, zero_point, c.signed, target)
        after = c.padded_width - c.begin_width - c.width
        _fill(target + c.width * pixel, after * pixel, zero_point + 128 * c.signed)


@jit
def _fill(target, size, zero_point):  # type: ignore[no-untyped-def]
    filler = np.uint8(zero_point if BYTES else 0)
    memory = uint8s(target, size)
    for i in range(size):
        memory[i] = filler


@sealed
def copy_groups(
    source: int, count: int, channels: int, group_size: int, zero_point: int, signed: int, target: int
) -> None:
    """Copy groups of channels to where they are ``group_size`` bytes apart."""
    if group_size == channels * UNIT:
        # Without gaps, all groups are one.
        channels, group_size, count = channels * count, group_size * count, 1
    for group in range(count):
        place, origin = target + group * group_size, source + group * channels
        if BYTES:
            read_from, write_to, flip = uint8s(origin, channels), uint8s(place, channels), np.uint8(128 * signed)
            for i in range(channels):
                write_to[i] = read_from[i] ^ flip
        elif signed:
            _centre(int8s(origin, channels), zero_point, int16s(place, channels))
        else:
            _centre(uint8s(origin, channels), zero_point, int16s(place, channels))


@jit
def _centre(source, zero_point, target):  # type: ignore[no-untyped-def]
    zero = np.int32(zero_point)
    for k in range(source.size):
        target[k] = np.int16(np.int32(source[k]) - zero)


@sealed
def pack_matrix(b: int, signed: int, zero_point: int, depth: int, columns: int, panels: int, sums: int) -> None:
    """Pack a right matrix of bytes into panels; the sums of its columns, as packed, go to ``sums``."""
    flip = np.uint8(0 if signed else 128)
    totals = int32s(sums, columns)
    totals[:] = np.int32(0)
    for left in range(0, columns, TILE_COLUMNS):
        width = min(TILE_COLUMNS, columns - left)
        for row in range(0, depth, GROUP):
            elements = int32s(panels, TILE_COLUMNS)
            elements[:] = np.int32(0)
            for part in range(min(GROUP, depth - row)):
                line = b + (row + part) * columns + left
                if BYTES:
                    _add_bytes(uint8s(line, width), flip, np.uint32(8 * part), elements, int32s(sums + 4 * left, width))
                elif signed:
                    _add_shorts(int8s(line, width), zero_point, np.uint32(16 * part), elements)
                else:
                    _add_shorts(uint8s(line, width), zero_point, np.uint32(16 * part), elements)
            panels += 4 * TILE_COLUMNS


@jit
def _add_bytes(line, flip, shift, elements, totals):  # type: ignore[no-untyped-def]
    for i in range(line.size):
        byte = np.uint8(line[i] ^ flip)
        elements[i] |= np.int32(np.uint32(byte) << shift)
        totals[i] += np.int32(np.int8(byte))


@jit
def _add_shorts(line, zero_point, shift, elements):  # type: ignore[no-untyped-def]
    zero = np.int32(zero_point)
    for i in range(line.size):
        elements[i] |= np.int32(np.uint32((np.int32(line[i]) - zero) & 0xFFFF) << shift)


@dataclass(frozen=True, slots=True)
class Right:
    """Packed weights of all groups, and for all their columns the sums and zero points as packed.

    ``ones`` is a panel that gives the sums of what the weights meet, empty where no zero point asks for them.
    """

    panels: Array
    sums: Array
    zeros: Array
    ones: Array


def pack_constant_matrix(b: Array, zero_points: tuple[int, ...]) -> Right:
    """Pack a matrix (depth, columns) of bytes, with one zero point or one for each column."""
    return pack_weights(b.T, zero_points, 1)


def pack_filters(w: Array, zero_points: tuple[int, ...], group: int, together: int) -> Right:
    """Pack the filters of groups, of which some neighbouring ones become one with as many times the channels.

    What filters have at the channels of others is their zero point, which counts for nothing.
    """
    if together == 1:
        return pack_weights(w, zero_points, group)
    count, (filters, channels) = w.shape[0] // group, w.shape[:2]
    joined = np.empty((filters, together, channels, *w.shape[2:]), w.dtype)
    joined[...] = np.broadcast_to(zero_points, filters).reshape(-1, *(1,) * w.ndim)
    numbers = np.arange(filters)
    joined[numbers, numbers // count % together] = w
    return pack_weights(joined.reshape(filters, together * channels, *w.shape[2:]), zero_points, group // together)


def pack_weights(w: Array, zero_points: tuple[int, ...], group: int) -> Right:
    """Pack weights (filters, channels, kernel...) of bytes, with one zero point or one for each filter.

    A panel has TILE_COLUMNS filters; its rows go through the taps, and the channels of each in whole elements.
    """
    filters, channels = w.shape[0] // group, w.shape[1]
    zeros = np.array(np.broadcast_to(zero_points, w.shape[0]), np.int32)
    shift = np.int32(128 if BYTES and w.dtype == np.uint8 else 0)
    flat = np.moveaxis(w.reshape(w.shape[0], channels, -1), 1, -1).astype(np.int32)
    values = flat - (shift if BYTES else zeros[:, None, None])
    taps, planes = flat.shape[1], groups(channels)
    dtype = np.dtype(np.int8 if BYTES else np.int16)
    padded = np.zeros((group, -(-filters // TILE_COLUMNS) * TILE_COLUMNS, taps, planes * GROUP), dtype)
    padded[:, :filters, :, :channels] = values.reshape(group, filters, taps, channels)
    ones = np.zeros((TILE_COLUMNS, taps, planes * GROUP), dtype)
    ones[0, :, :channels] = 1
    if not BYTES:
        nothing = np.zeros(w.shape[0], np.int32)
        return Right(_panels(padded), nothing, nothing, np.zeros(0, np.int32))
    zeros = zeros - shift
    summing = _panels(ones[None]) if zeros.any() else np.zeros(0, np.int32)
    return Right(_panels(padded), values.sum(axis=(1, 2), dtype=np.int32), zeros, summing)


def _panels(padded: Array) -> Array:
    """The panels of (groups, filters, taps, channels), as 32-bit elements."""
    count, filters = padded.shape[:2]
    by_panel = padded.reshape(count, filters // TILE_COLUMNS, TILE_COLUMNS, -1, GROUP).swapaxes(2, 3)
    elements = aligned((by_panel.size // GROUP,), np.int32)
    elements.view(padded.dtype)[:] = by_panel.reshape(-1)
    return elements
