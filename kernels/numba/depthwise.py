"""Conv where every filter reads one channel: each position's window times the weights, channel by channel."""

from __future__ import annotations

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.geometry import Windows
from onnxlite.kernels.numba.channels_last import Padding, pad_rows, patches
from onnxlite.kernels.numba.epilogue import Epilogue, apply_epilogue
from onnxlite.kernels.numba.jit import jit
from onnxlite.kernels.numba.simd import LANES, TILE_ROWS
from onnxlite.kernels.numba.spec import FLOAT32, ArraySpec, Bound, Input, Output, Pool, Scratch
from onnxlite.kernels.numba.threads import parallel_for
from onnxlite.kernels.numba.vector import fma, load, splat, store

#: The multiply-adds in one piece of work.
_PIECE_WORK = 1 << 18


@jit
def _four_positions(x, starts, first, taps, w, channels, channel, y, target):  # type: ignore[no-untyped-def]
    """LANES channels of four output positions: the weights are read once for all of them."""
    a0 = a1 = a2 = a3 = splat(np.float32(0))
    s0, s1 = starts[first] + channel, starts[first + 1] + channel
    s2, s3 = starts[first + 2] + channel, starts[first + 3] + channel
    for t in range(taps.size):
        weight = load(w, t * channels + channel)
        a0 = fma(load(x, s0 + taps[t]), weight, a0)
        a1 = fma(load(x, s1 + taps[t]), weight, a1)
        a2 = fma(load(x, s2 + taps[t]), weight, a2)
        a3 = fma(load(x, s3 + taps[t]), weight, a3)
    store(y, target, a0)
    store(y, target + channels, a1)
    store(y, target + 2 * channels, a2)
    store(y, target + 3 * channels, a3)


@jit
def _one_position(x, start, taps, w, channels, channel, y, target):  # type: ignore[no-untyped-def]
    """LANES channels of one output position."""
    total = splat(np.float32(0))
    for t in range(taps.size):
        total = fma(load(x, start + taps[t] + channel), load(w, t * channels + channel), total)
    store(y, target, total)


@jit
def _few_channels(x, start, taps, w, channels, y, target):  # type: ignore[no-untyped-def]
    """One output position of less than LANES channels."""
    for channel in range(channels):
        total = np.float32(0)
        for t in range(taps.size):
            total += x[start + taps[t] + channel] * w[t * channels + channel]
        y[target + channel] = total


@jit
def _positions(start, stop, thread, x, starts, taps, w, channels, y, target, bias, residual, e):  # type: ignore[no-untyped-def]
    if channels < LANES:
        for position in range(start, stop):
            _few_channels(x, starts[position], taps, w, channels, y, target + position * channels)
    else:
        for position in range(start, stop, 4):
            whole = position + 4 <= stop
            for block in range(0, channels, LANES):
                # The last vector is moved back to end with the last channel: it computes some channels twice.
                channel = min(block, channels - LANES)
                place = target + position * channels + channel
                if whole:
                    _four_positions(x, starts, position, taps, w, channels, channel, y, place)
                else:
                    for single in range(position, stop):
                        _one_position(
                            x, starts[single], taps, w, channels, channel, y, place + (single - position) * channels
                        )
    apply_epilogue(
        y, target + start * channels, stop - start, channels, channels, bias, 0, e.bias_axis, residual,
        e.activation, e.alpha, e.beta,
    )  # fmt: skip


@jit
def convolve_depthwise(  # type: ignore[no-untyped-def]
    pool, x, w, bias, residual, y, images, image_size, starts, positions, taps, channels, e, padding, padded, piece
):
    """``y = activation(conv(x, w) + bias + residual)``, all arrays flat, channels last, a filter per channel."""
    for image in range(images):
        if padded.size > 0:
            rows = padding.padded_depth * padding.padded_height
            part = max(1, 16384 // (padding.padded_width * padding.channels))
            parallel_for(pool, pad_rows, (x, image * image_size, padding, np.float32(0), padded), rows, part)
        source = padded if padded.size > 0 else x[image * image_size : (image + 1) * image_size]
        target = image * positions * channels
        arguments = (source, starts, taps, w, channels, y, target, bias, residual, e)
        parallel_for(pool, _positions, arguments, positions, piece)


def bind_depthwise(
    x: ArraySpec, w: Array, b: Array | None, residual: Array | Input, where: Windows, e: Epilogue
) -> Bound:
    """The convolution with a filter per channel; the weights are (channels, 1, kernel...)."""
    channels = w.shape[0]
    p = patches(where, channels, 1)
    positions = len(p.starts) - TILE_ROWS
    piece = max(4, _PIECE_WORK // (len(p.taps) * channels) // 4 * 4)
    return Bound(
        convolve_depthwise,
        (
            Pool(),
            Input(0, flat=True),
            np.ascontiguousarray(w.reshape(channels, -1).T).reshape(-1),
            np.zeros(1, np.float32) if b is None else np.ascontiguousarray(b),
            residual,
            Output(flat=True),
            x.shape[0],
            p.image_size,
            p.starts,
            positions,
            p.taps,
            channels,
            e,
            p.padding or Padding(*(0,) * 10),
            Scratch((p.padded_size,)),
            piece,
        ),
        (ArraySpec((x.shape[0], *where.output, channels), FLOAT32),),
    )
