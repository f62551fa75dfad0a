"""MaxPool and AveragePool on one or two spatial axes, channels last, with a kernel for each kind of windows."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.geometry import Windows
from onnxlite.kernels.numba.convolution.depthwise import geometry, rows_inside
from onnxlite.kernels.numba.convolution.window_block import WindowRow, window_row
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.memory import address
from onnxlite.kernels.numba.machine.simd import LANES
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.pooling.block import pool_block
from onnxlite.kernels.numba.spec import FLOAT32, ArraySpec, Bound, Input, Output, Pool, Scratch

#: The most columns of the image that a kernel may hold in registers and on the stack.
_MOST_COLUMNS = 48
#: The elements read in one piece of work.
_PIECE_WORK = 1 << 15


@functools.cache
def _pooler(row: WindowRow, maximum: bool) -> Any:
    """The compiled pooling for windows of a width."""
    pool_windows = pool_block(row, maximum=maximum)
    block, stride, taps, few = row.block, row.stride, row.taps, row.few

    @jit
    def rows_of(start, stop, thread, x, image, g, weights, y, target, outside, spare):  # type: ignore[no-untyped-def]
        """Some rows of the output of one image."""
        for line in range(start, stop):
            iy = line * g.stride_height - g.begin_height
            top, bottom = rows_inside(g, iy)
            source = image + (iy + top * g.dilation_height) * g.width * g.channels
            place = target + line * g.output_width * g.channels
            step = 4 * g.dilation_height * g.width * g.channels
            for column in range(0, g.output_width, block):
                ix = column * stride - g.begin_width
                filled = min(block, g.output_width - column)
                for first in range(0, g.channels, LANES):
                    # The last vector is moved back to end with the last channel: it computes some channels twice.
                    c = 0 if few else min(first, g.channels - LANES)
                    pool_windows(
                        address(x, source + ix * g.channels + c), step, bottom - top, g.channels, ix, g.width,
                        address(y, place + column * g.channels + c), filled,
                        address(weights, line * g.output_width + column), address(outside, 0),
                        address(spare, thread * spare.shape[1]),
                    )  # fmt: skip

    @jit
    def pool_rows(pool, x, y, images, g, weights, outside, spare):  # type: ignore[no-untyped-def]
        """The pooled images, all arrays flat, channels last."""
        work = g.output_width * g.channels * g.kernel_height * taps
        for image in range(images):
            source = image * g.height * g.width * g.channels
            target = image * g.output_height * g.output_width * g.channels
            arguments = (x, source, g, weights, y, target, outside, spare)
            parallel_for(pool, rows_of, arguments, g.output_height, max(1, _PIECE_WORK // work))

    return pool_rows


def bind_windows(x: ArraySpec, where: Windows, weights: Array) -> Bound | None:
    """The pooling of windows that a kernel can be made for, otherwise None; no ``weights`` stand for the maximum.

    ``weights`` holds what the sum of each window is multiplied by, one number for every output position.
    """
    if len(where.image) > 2:
        return None
    channels, maximum = x.shape[-1], weights.size == 0
    row = window_row(where, channels)
    if row.taps > _MOST_COLUMNS or len(row.columns) > _MOST_COLUMNS:
        return None
    return Bound(
        _pooler(row, maximum),
        (
            Pool(),
            Input(0, flat=True),
            Output(flat=True),
            x.shape[0],
            geometry(where, channels),
            np.concatenate([weights.reshape(-1), np.zeros(row.block, np.float32)]),
            np.full(LANES, -np.inf if maximum else 0, np.float32),
            Scratch((row.block * LANES,), per_thread=True),
        ),
        (ArraySpec((x.shape[0], *where.output, channels), FLOAT32),),
    )
