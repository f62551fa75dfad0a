"""MaxPool of bytes with the channels last: the taps of a window one after the other, all channels at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxlite.kernels.geometry import Windows
from onnxlite.kernels.numba.convolution.channels_last import Padding, pad_rows, patches
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.lanes import load, store
from onnxlite.kernels.numba.machine.simd import TILE_ROWS
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.spec import ArraySpec, Bound, Input, Output, Pool, Scratch

#: The elements read in one piece of work.
_PIECE_WORK = 1 << 18


@jit
def _maxima(start, stop, thread, x, starts, taps, channels, y, target):  # type: ignore[no-untyped-def]
    for position in range(start, stop):
        first, place = starts[position], target + position * channels
        if taps.size == 9:
            _nine(x, first, taps, channels, y, place)
            continue
        y[place : place + channels] = x[first + taps[0] : first + taps[0] + channels]
        for t in range(1, taps.size):
            source = first + taps[t]
            for channel in range(channels):
                value, most = x[source + channel], y[place + channel]
                y[place + channel] = value if value > most else most


@jit(inline=True)
def _larger(x, y):  # type: ignore[no-untyped-def]
    return x if x > y else y


@jit
def _nine(x, first, taps, channels, y, place):  # type: ignore[no-untyped-def]
    """The largest of the nine taps of the most common window."""
    a, b, c = first + taps[0], first + taps[1], first + taps[2]
    d, e, f = first + taps[3], first + taps[4], first + taps[5]
    g, h, i = first + taps[6], first + taps[7], first + taps[8]
    for channel in range(channels):
        top = _larger(_larger(load(x, a + channel), load(x, b + channel)), load(x, c + channel))
        middle = _larger(_larger(load(x, d + channel), load(x, e + channel)), load(x, f + channel))
        bottom = _larger(_larger(load(x, g + channel), load(x, h + channel)), load(x, i + channel))
        store(y, place + channel, _larger(_larger(top, middle), bottom))


@jit
def pool_bytes(pool, x, y, images, image_size, starts, positions, taps, channels, padding, fill, padded):  # type: ignore[no-untyped-def]
    """The largest element of every window, all arrays flat, channels last; ``fill`` has the lowest one."""
    piece = max(1, _PIECE_WORK // (taps.size * channels))
    for image in range(images):
        if padded.size > 0:
            rows = padding.padded_depth * padding.padded_height
            part = max(1, 65536 // (padding.padded_width * padding.channels))
            parallel_for(pool, pad_rows, (x, image * image_size, padding, fill[0], padded), rows, part)
        source = padded if padded.size > 0 else x[image * image_size : (image + 1) * image_size]
        target = image * positions * channels
        parallel_for(pool, _maxima, (source, starts, taps, channels, y, target), positions, piece)


def bind_byte_maxima(x: ArraySpec, where: Windows) -> Bound:
    """The largest byte of each window, channels last."""
    channels = x.shape[-1]
    p = patches(where, channels, 1, merge=False)
    lowest: Any = np.iinfo(x.dtype).min
    return Bound(
        pool_bytes,
        (
            Pool(),
            Input(0, flat=True),
            Output(flat=True),
            x.shape[0],
            p.image_size,
            p.starts,
            len(p.starts) - TILE_ROWS,
            p.taps,
            channels,
            p.padding or Padding(*(0,) * 10),
            np.full(1, lowest, x.dtype),
            Scratch((p.padded_size,), x.dtype),
        ),
        (ArraySpec((x.shape[0], *where.output, channels), x.dtype),),
    )
