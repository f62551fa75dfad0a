"""Conv where every filter reads one channel: each position's window times the weights, channel by channel.

Images have the channels last.  A kernel is made for each width, stride and dilation of the windows: it computes some
neighbouring positions at once, so that a column of the image that several windows share is read once, and the sums stay
in registers.  Nothing is padded: rows outside the image are left out, and columns outside are read from zeros.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.geometry import Windows
from onnxlite.kernels.numba.convolution.finish import apply_rest, finish
from onnxlite.kernels.numba.convolution.patch_product import padded_bias
from onnxlite.kernels.numba.convolution.window_block import WindowRow, window_block, window_row
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.memory import address
from onnxlite.kernels.numba.machine.simd import LANES
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.prepared import prepared
from onnxlite.kernels.numba.product.epilogue import Epilogue
from onnxlite.kernels.numba.spec import FLOAT32, ArraySpec, Bound, Input, Output, Pool, Scratch

#: The multiply-adds in one piece of work.
_PIECE_WORK = 1 << 17
#: The widest windows that a kernel is made for: their taps are written out.
WIDEST = 31


class Geometry(NamedTuple):
    """The windows on two spatial axes, in elements; what a kernel is made for is not in it."""

    channels: int
    height: int
    width: int
    kernel_height: int
    stride_height: int
    dilation_height: int
    begin_height: int
    begin_width: int
    output_height: int
    output_width: int


@jit(inline=True)
def rows_inside(g, iy):  # type: ignore[no-untyped-def]
    """The first row of the windows at row ``iy`` that lies inside the image, and the one behind the last."""
    top = max(0, -(iy // g.dilation_height))
    return top, max(top, min(g.kernel_height, (g.height - iy + g.dilation_height - 1) // g.dilation_height))


@functools.cache
def _convolver(row: WindowRow) -> Any:
    """The compiled convolution for windows of a width."""
    sum_windows = window_block(row)
    block, stride, taps, few = row.block, row.stride, row.taps, row.few

    @jit
    def rows_of(start, stop, thread, x, image, g, w, bias, y, target, residual, f, zeros, spare):  # type: ignore[no-untyped-def]
        """Some rows of the output of one image."""
        wide = -(-g.channels // LANES) * LANES
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
                    a = address(x, source + ix * g.channels + c)
                    b = address(w, top * taps * wide + c)
                    at = place + column * g.channels + c
                    others = address(residual, at) if f.added else 0
                    sum_windows(
                        a, step, bottom - top, g.channels, ix, g.width, b, wide, address(bias, c), address(y, at),
                        filled, others, f.added, f.low, f.high, address(zeros, 0),
                        address(spare, thread * spare.shape[1]),
                    )  # fmt: skip
            apply_rest(y, place, 1, g.output_width * g.channels, 0, residual, f)

    @jit
    def convolve_depthwise(pool, x, w, bias, residual, y, images, g, f, zeros, spare):  # type: ignore[no-untyped-def]
        """``y = activation(conv(x, w) + bias + residual)``, all arrays flat, channels last, a filter per channel."""
        work = g.output_width * g.channels * g.kernel_height * taps
        for image in range(images):
            source = image * g.height * g.width * g.channels
            target = image * g.output_height * g.output_width * g.channels
            arguments = (x, source, g, w, bias, y, target, residual, f, zeros, spare)
            parallel_for(pool, rows_of, arguments, g.output_height, max(1, _PIECE_WORK // work))

    return convolve_depthwise


def taps_first(w: Array) -> Array:
    """The weights (channels, 1, kernel...) as taps x channels, with zeros up to whole vectors, flat."""
    channels = w.shape[0]
    taps = w.reshape(channels, -1)
    padded = np.zeros((taps.shape[1], -(-channels // LANES) * LANES), np.float32)
    padded[:, :channels] = taps.T
    return padded.reshape(-1)


def bind_depthwise(
    x: ArraySpec, w: Array, b: Array | None, residual: Array | Input, where: Windows, e: Epilogue
) -> Bound:
    """The convolution with a filter per channel on one or two spatial axes; weights are (channels, 1, kernel...)."""
    channels = w.shape[0]
    row = window_row(where, channels)
    return Bound(
        _convolver(row),
        (
            Pool(),
            Input(0, flat=True),
            prepared(w, taps_first),
            padded_bias(b, channels).reshape(-1),
            residual,
            Output(flat=True),
            x.shape[0],
            geometry(where, channels),
            finish(e, isinstance(residual, Input)),
            np.zeros(LANES, np.float32),
            Scratch((row.block * LANES,), per_thread=True),
        ),
        (ArraySpec((x.shape[0], *where.output, channels), FLOAT32),),
    )


def geometry(where: Windows, channels: int) -> Geometry:
    """The windows on an image with that many channels."""
    missing = 2 - len(where.image)
    ones, zeros = (1,) * missing, (0,) * missing
    image, kernel, strides, dilations = (
        ones + values for values in (where.image, where.kernel, where.strides, where.dilations)
    )
    begins, output = zeros + where.begins, ones + where.output
    return Geometry(channels, *image, kernel[0], strides[0], dilations[0], *begins, *output)  # type: ignore[call-arg]
