"""Rows of an image, where they lie, times packed weights: what the convolutions stand on."""

from __future__ import annotations

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numba.jit import jit
from onnxlite.kernels.numba.patch import (
    half_patch_product,
    narrow_half_patch_product,
    narrow_patch_product,
    narrow_row_patch_product,
    patch_product,
    row_patch_product,
)
from onnxlite.kernels.numba.simd import HALF_ROWS, LANES, TILE_COLUMNS, TILE_ROWS


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


@jit(inline=True)
def _tile(height, wide, a, starts, row, taps, tap, count, run, b, b_at, c, c_at, c_stride, adds):  # type: ignore[no-untyped-def]
    if wide:
        if height == TILE_ROWS:
            patch_product(a, starts, row, taps, tap, count, run, b, b_at, c, c_at, c_stride, adds)
        elif height == HALF_ROWS:
            half_patch_product(a, starts, row, taps, tap, count, run, b, b_at, c, c_at, c_stride, adds)
        else:
            row_patch_product(a, starts, row, taps, tap, count, run, b, b_at, c, c_at, c_stride, adds)
    elif height == TILE_ROWS:
        narrow_patch_product(a, starts, row, taps, tap, count, run, b, b_at, c, c_at, c_stride, adds)
    elif height == HALF_ROWS:
        narrow_half_patch_product(a, starts, row, taps, tap, count, run, b, b_at, c, c_at, c_stride, adds)
    else:
        narrow_row_patch_product(a, starts, row, taps, tap, count, run, b, b_at, c, c_at, c_stride, adds)


@jit
def multiply_patches(  # type: ignore[no-untyped-def]
    a, starts, first, rows, taps, run, b, columns, left, right, c, target, c_stride, tap_step, edge
):
    """Rows of patches times the columns ``left`` to ``right`` of packed weights, into a flat array.

    Row ``first + r`` goes to the elements from ``target + r * c_stride + left`` on; ``left`` is the start of a panel.
    """
    depth = taps.size * run
    for tap in range(0, taps.size, tap_step):
        count = min(tap_step, taps.size - tap)
        adds = 1 if tap > 0 else 0
        for column in range(left, right, TILE_COLUMNS):
            width = min(TILE_COLUMNS, columns - column)
            wide = width > LANES
            lanes = TILE_COLUMNS if wide else LANES
            b_at = column * depth + tap * run * lanes
            for row in range(0, rows, TILE_ROWS):
                left_over = rows - row
                height = TILE_ROWS if left_over > HALF_ROWS else HALF_ROWS if left_over > 1 else 1
                filled = min(height, left_over)
                c_at = target + row * c_stride + column
                if filled == height and width == lanes:
                    _tile(height, wide, a, starts, first + row, taps, tap, count, run, b, b_at, c, c_at, c_stride, adds)
                    continue
                _tile(height, wide, a, starts, first + row, taps, tap, count, run, b, b_at, edge, 0, lanes, 0)
                for i in range(filled):
                    for j in range(width):
                        value = edge[i * lanes + j]
                        c[c_at + i * c_stride + j] = c[c_at + i * c_stride + j] + value if adds else value
