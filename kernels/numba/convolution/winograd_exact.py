"""The way out for Winograd's convolution where an image holds an infinity or NaN, or sums overflow.

The transforms add and subtract the elements of a tile, so that one infinity makes NaN of all its outputs.  Such an
image is convolved once more, directly, with weights that are transformed back when that happens: it hardly ever does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numba.convolution.direct import Layer, convolve_pieces, piece_count
from onnxlite.kernels.numba.convolution.patch_product import panel_width
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.simd import LANES, TILE_COLUMNS, TILE_ROWS
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.spec import Scratch

_TAPS = 9


def exact_layer(channels: int, filters: int, positions: int) -> Layer:
    """The direct convolution with 3x3 kernels: a run of all channels at each tap."""
    return Layer(1, positions, _TAPS, channels, filters, 1, _TAPS)


#: What makes the three taps of a transformed row of weights, for tiles of 2 and of 4: a left inverse of G.
_TAPS_OF_POINTS = {
    2: np.array([[1, 0, 0, 0], [0, 1, -1, 0], [0, 0, 0, 1]]),
    4: np.array([[4, 0, 0, 0, 0, 0], [0, -3, 3, 0, 0, 0], [0, 0, 0, 0, 0, 1]]),
}


def taps_of_points(size: int) -> Array:
    """What makes the nine taps of transformed weights, for tiles of a size: shape (9, points)."""
    return np.kron(_TAPS_OF_POINTS[size], _TAPS_OF_POINTS[size]).astype(np.float32)


def exact_scratch(channels: int, filters: int, positions: int) -> tuple[Scratch, Scratch, Scratch]:
    """The memory that `convolve_exactly` needs: for weights, starts and taps."""
    last = filters % TILE_COLUMNS
    columns = filters - last + (panel_width(filters) if last else 0)
    int64 = np.dtype(np.int64)
    return (
        Scratch((1, _TAPS * channels * columns)),
        Scratch((positions + TILE_ROWS,), int64),
        Scratch((_TAPS,), int64),
    )


@jit
def _restore(transformed: Array, inverse: Array, channels: int, filters: int, packed: Array) -> None:
    """The weights in panels, as `pack_filters` makes them, from those of all points, which are in panels too."""
    packed[:] = 0
    for left in range(0, filters, TILE_COLUMNS):
        width = TILE_COLUMNS if filters - left > LANES else LANES
        size = channels * width
        for tap in range(_TAPS):
            target = packed[0, left * channels * _TAPS + tap * size : left * channels * _TAPS + (tap + 1) * size]
            for point in range(inverse.shape[1]):
                factor = inverse[tap, point]
                if factor != 0:
                    source = transformed[point, left * channels : left * channels + size]
                    for i in range(size):
                        target[i] += factor * source[i]


@jit
def convolve_exactly(  # type: ignore[no-untyped-def]
    pool, padded, row_length, weights, inverse, bias, residual, y, target, width, layer, f, spare, packed, starts, taps
):
    """One padded image directly: its rows are ``row_length`` positions long, those of the result ``width``."""
    _restore(weights, inverse, layer.run, layer.filters, packed)
    for position in range(starts.size):
        inside = min(position, layer.positions - 1)
        starts[position] = (inside // width * row_length + inside % width) * layer.run
    for tap in range(_TAPS):
        taps[tap] = (tap // 3 * row_length + tap % 3) * layer.run
    nothing = packed[:, :0]
    arguments = (padded, starts, taps, packed, y, target, bias, residual, layer, f, spare, nothing, taps[:0])
    parallel_for(pool, convolve_pieces, arguments, piece_count(layer), 1)


@jit
def any_seen(notes: Any) -> bool:
    """Whether a thread has seen a number that is not finite: its note, a sum of zeros times numbers, is NaN then."""
    total = np.float32(0)
    for thread in range(notes.shape[0]):
        for lane in range(notes.shape[1]):
            total += notes[thread, lane]
    return bool(total != np.float32(0))
