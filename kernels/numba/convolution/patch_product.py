"""Rows of an image, where they lie, times packed weights: what the convolutions stand on."""

from __future__ import annotations

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numba.convolution.patch import (
    ADD_RESULT,
    half_patch_product,
    narrow_half_patch_product,
    narrow_patch_product,
    narrow_row_patch_product,
    patch_product,
    row_patch_product,
)
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.memory import address
from onnxlite.kernels.numba.machine.sealed import sealed
from onnxlite.kernels.numba.machine.simd import HALF_ROWS, LANES, TILE_COLUMNS, TILE_ROWS


def panel_width(columns: int) -> int:
    """The columns that the last panel of weights takes."""
    rest = columns % TILE_COLUMNS
    return TILE_COLUMNS if rest == 0 or rest > LANES else LANES


def pack_filters(w: Array, groups: int) -> Array:
    """The weights (filters, channels, kernel...) as panels of columns, one group after the other, shape (groups, n).

    Row t * run + k of a panel belongs to tap t and element k of its run; missing columns are zeros.
    """
    filters = w.shape[0] // groups
    rows = np.moveaxis(w, 1, -1).reshape(groups, filters, -1)
    panels = []
    for left in range(0, filters, TILE_COLUMNS):
        width = min(TILE_COLUMNS, filters - left)
        full = TILE_COLUMNS if left + TILE_COLUMNS <= filters else panel_width(filters)
        panel = np.zeros((groups, rows.shape[2], full), np.float32)
        panel[:, :, :width] = rows[:, left : left + width].transpose(0, 2, 1)
        panels.append(panel.reshape(groups, -1))
    return np.concatenate(panels, axis=1)


def padded_bias(b: Array | None, filters: int, groups: int = 1) -> Array:
    """The bias (filters,), or zeros, with zeros up to whole panels for each group, shape (groups, n)."""
    own = filters // groups
    padded = np.zeros((groups, -(-own // TILE_COLUMNS) * TILE_COLUMNS), np.float32)
    if b is not None:
        padded[:, :own] = b.reshape(groups, own)
    return padded


#: A bias of nothing.
_ZEROS = np.zeros(TILE_COLUMNS, np.float32)


@jit(inline=True)
def _tile(  # type: ignore[no-untyped-def]
    height, wide, a, starts, taps, count, run, b, bias, c, stride, rows, columns, residual, added, low, high, spare
):
    if wide:
        if height == TILE_ROWS:
            patch_product(
                a, starts, taps, count, run, b, bias, c, stride, rows, columns, residual, added, low, high, spare
            )
        elif height == HALF_ROWS:
            half_patch_product(
                a, starts, taps, count, run, b, bias, c, stride, rows, columns, residual, added, low, high, spare
            )
        else:
            row_patch_product(
                a, starts, taps, count, run, b, bias, c, stride, rows, columns, residual, added, low, high, spare
            )
    elif height == TILE_ROWS:
        narrow_patch_product(
            a, starts, taps, count, run, b, bias, c, stride, rows, columns, residual, added, low, high, spare
        )
    elif height == HALF_ROWS:
        narrow_half_patch_product(
            a, starts, taps, count, run, b, bias, c, stride, rows, columns, residual, added, low, high, spare
        )
    else:
        narrow_row_patch_product(
            a, starts, taps, count, run, b, bias, c, stride, rows, columns, residual, added, low, high, spare
        )


@sealed
def multiply_patches(
    a: int,
    starts: int,
    rows: int,
    taps: int,
    tap_count: int,
    run: int,
    b: int,
    columns: int,
    left: int,
    right: int,
    c: int,
    stride: int,
    tap_step: int,
    bias: int,
    residual: int,
    then: int,
    low: np.float32,
    high: np.float32,
    spare: int,
) -> None:
    """Rows of patches times the columns ``left`` to ``right`` of packed weights, with what follows the product.

    ``c = clip(patches x weights + bias, low, high)``, with the residual added before the limits or after them as the
    bits ``then`` say (`onnxlite.kernels.numba.convolution.patch`).  All arrays are given by their addresses, 0 is no
    bias or no residual; those of the bias, the result and the residual are of column 0, ``left`` is the start of a
    panel, and a step multiplies ``tap_step`` taps.
    """
    depth = tap_count * run
    for tap in range(0, tap_count, tap_step):
        count = min(tap_step, tap_count - tap)
        added = ADD_RESULT if tap > 0 else 0
        least, most = np.float32(-np.inf), np.float32(np.inf)
        if tap + count == tap_count:
            least, most = low, high
            added |= then
        for column in range(left, right, TILE_COLUMNS):
            width = min(TILE_COLUMNS, columns - column)
            wide = width > LANES
            panel = b + 4 * (column * depth + tap * run * (TILE_COLUMNS if wide else LANES))
            shifts = bias + 4 * column if bias != 0 and tap == 0 else address(_ZEROS, 0)
            for row in range(0, rows, TILE_ROWS):
                left_over = rows - row
                height = TILE_ROWS if left_over > HALF_ROWS else HALF_ROWS if left_over > 1 else 1
                place = 4 * (row * stride + column)
                _tile(
                    height, wide, a, starts + 8 * row, taps + 8 * tap, count, run, panel, shifts, c + place, stride,
                    min(height, left_over), width, residual + place, added, least, most, spare,
                )  # fmt: skip
