"""Conv where every filter reads one channel: each position's window times the weights, channel by channel.

Images have the channels last.  Nothing is padded: at the borders, the taps that fall outside are left out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.geometry import Windows
from onnxlite.kernels.numba.epilogue import Epilogue, apply_epilogue
from onnxlite.kernels.numba.jit import jit
from onnxlite.kernels.numba.prepared import prepared
from onnxlite.kernels.numba.simd import LANES
from onnxlite.kernels.numba.spec import FLOAT32, ArraySpec, Bound, Input, Output, Pool
from onnxlite.kernels.numba.threads import parallel_for
from onnxlite.kernels.numba.vector import fma, load, store

#: The multiply-adds in one piece of work.
_PIECE_WORK = 1 << 17


class Geometry(NamedTuple):
    """The windows on two spatial axes, in elements; the last three are the columns whose windows need no border."""

    channels: int
    height: int
    width: int
    kernel_height: int
    kernel_width: int
    stride_height: int
    stride_width: int
    dilation_height: int
    dilation_width: int
    begin_height: int
    begin_width: int
    output_height: int
    output_width: int
    inner_start: int
    inner_stop: int


@jit(inline=True)
def _first_tap(position: int, dilation: int) -> int:
    """The first tap that does not fall before the image, for a window that starts at a position."""
    return max(0, -(position // dilation))


@jit(inline=True)
def _last_tap(position: int, dilation: int, length: int, taps: int) -> int:
    """The tap behind the last one that does not fall behind the image."""
    return max(0, min(taps, (length - position + dilation - 1) // dilation))


@jit(inline=True)
def _four(x, origin, top, bottom, g, w, start, channel, y, target):  # type: ignore[no-untyped-def]
    """LANES channels at four neighbouring positions: the weights are read once for all of them."""
    a0 = a1 = a2 = a3 = start
    step = g.stride_width * g.channels
    for i in range(top, bottom):
        line = origin + i * g.dilation_height * g.width * g.channels
        for j in range(g.kernel_width):
            at = line + j * g.dilation_width * g.channels
            weight = load(w, (i * g.kernel_width + j) * g.channels + channel)
            a0 = fma(load(x, at), weight, a0)
            a1 = fma(load(x, at + step), weight, a1)
            a2 = fma(load(x, at + 2 * step), weight, a2)
            a3 = fma(load(x, at + 3 * step), weight, a3)
    store(y, target, a0)
    store(y, target + g.channels, a1)
    store(y, target + 2 * g.channels, a2)
    store(y, target + 3 * g.channels, a3)


@jit
def _one(x, origin, top, bottom, left, right, g, w, start, channel, y, target):  # type: ignore[no-untyped-def]
    """LANES channels at one position, with the taps top to bottom and left to right."""
    total = start
    for i in range(top, bottom):
        line = origin + i * g.dilation_height * g.width * g.channels
        for j in range(left, right):
            weight = load(w, (i * g.kernel_width + j) * g.channels + channel)
            total = fma(load(x, line + j * g.dilation_width * g.channels), weight, total)
    store(y, target, total)


@jit
def _few_channels(x, origin, top, bottom, left, right, g, w, bias, y, target):  # type: ignore[no-untyped-def]
    """One position of an image with less than LANES channels."""
    for channel in range(g.channels):
        total = bias[channel]
        for i in range(top, bottom):
            line = origin + i * g.dilation_height * g.width * g.channels + channel
            for j in range(left, right):
                weight = w[(i * g.kernel_width + j) * g.channels + channel]
                total += x[line + j * g.dilation_width * g.channels] * weight
        y[target + channel] = total


@jit
def _rows(start, stop, thread, x, image, g, w, bias, y, target, residual, e):  # type: ignore[no-untyped-def]
    """Some rows of the output of one image."""
    for row in range(start, stop):
        iy = row * g.stride_height - g.begin_height
        top = _first_tap(iy, g.dilation_height)
        bottom = _last_tap(iy, g.dilation_height, g.height, g.kernel_height)
        line = image + iy * g.width * g.channels
        place = target + row * g.output_width * g.channels
        column = 0
        while column < g.output_width:
            ix = column * g.stride_width - g.begin_width
            origin, at = line + ix * g.channels, place + column * g.channels
            whole = g.inner_start <= column and column + 4 <= g.inner_stop and g.channels >= LANES
            if whole:
                for block in range(0, g.channels, LANES):
                    # The last vector is moved back to end with the last channel: it computes some channels twice.
                    c = min(block, g.channels - LANES)
                    _four(x, origin + c, top, bottom, g, w, load(bias, c), c, y, at + c)
            else:
                left = _first_tap(ix, g.dilation_width)
                right = _last_tap(ix, g.dilation_width, g.width, g.kernel_width)
                if g.channels >= LANES:
                    for block in range(0, g.channels, LANES):
                        c = min(block, g.channels - LANES)
                        _one(x, origin + c, top, bottom, left, right, g, w, load(bias, c), c, y, at + c)
                else:
                    _few_channels(x, origin, top, bottom, left, right, g, w, bias, y, at)
            done = 4 if whole else 1
            if e.activation or residual.size > 0:
                apply_epilogue(y, at, 1, done * g.channels, 0, bias, 0, 0, residual, e.activation, e.alpha, e.beta)
            column += done


@jit
def convolve_depthwise(pool, x, w, bias, residual, y, images, g, e):  # type: ignore[no-untyped-def]
    """``y = activation(conv(x, w) + bias + residual)``, all arrays flat, channels last, a filter per channel."""
    work = g.output_width * g.channels * g.kernel_height * g.kernel_width
    for image in range(images):
        source = image * g.height * g.width * g.channels
        target = image * g.output_height * g.output_width * g.channels
        arguments = (x, source, g, w, bias, y, target, residual, e)
        parallel_for(pool, _rows, arguments, g.output_height, max(1, _PIECE_WORK // work))


def taps_first(w: Array) -> Array:
    """The weights (channels, 1, kernel...) as taps x channels, flat."""
    return np.array(w.reshape(w.shape[0], -1).T, order="C").reshape(-1)


def bind_depthwise(
    x: ArraySpec, w: Array, b: Array | None, residual: Array | Input, where: Windows, e: Epilogue
) -> Bound:
    """The convolution with a filter per channel on one or two spatial axes; weights are (channels, 1, kernel...)."""
    channels = w.shape[0]
    return Bound(
        convolve_depthwise,
        (
            Pool(),
            Input(0, flat=True),
            prepared(w, taps_first),
            np.zeros(channels, np.float32) if b is None else np.array(b),
            residual,
            Output(flat=True),
            x.shape[0],
            _geometry(where, channels),
            e,
        ),
        (ArraySpec((x.shape[0], *where.output, channels), FLOAT32),),
    )


def _geometry(where: Windows, channels: int) -> Geometry:
    missing = 2 - len(where.image)
    ones, zeros = (1,) * missing, (0,) * missing
    image, kernel, strides, dilations = (
        ones + values for values in (where.image, where.kernel, where.strides, where.dilations)
    )
    begins, output = zeros + where.begins, ones + where.output
    inner = -(-begins[1] // strides[1])
    last = (image[1] + begins[1] - (kernel[1] - 1) * dilations[1] - 1) // strides[1] + 1
    sizes = (*image, *kernel, *strides, *dilations, *begins, *output)
    return Geometry(channels, *sizes, inner, max(inner, min(last, output[1])))  # type: ignore[call-arg]
