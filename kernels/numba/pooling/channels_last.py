"""MaxPool and AveragePool on images with the channels last: vectors of channels over the taps of each window."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.geometry import Windows, covered, windows
from onnxlite.kernels.numba.convolution.channels_last import Padding, pad_image, patches
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.simd import LANES, TILE_ROWS
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.machine.vector import load, maximum, splat, store
from onnxlite.kernels.numba.pooling.integer_pooling import bind_byte_maxima
from onnxlite.kernels.numba.pooling.windows import bind_windows
from onnxlite.kernels.numba.spec import FLOAT32, ArraySpec, Bound, Declined, Input, Output, Pool, Scratch
from onnxlite.kernels.numba.table import op

_BYTES = (np.dtype(np.uint8), np.dtype(np.int8))

#: The elements read in one piece of work.
_PIECE_WORK = 1 << 16


@jit
def _maxima(start, stop, thread, x, starts, taps, channels, y, target):  # type: ignore[no-untyped-def]
    for position in range(start, stop):
        first, place = starts[position], target + position * channels
        if channels >= LANES:
            for block in range(0, channels, LANES):
                # The last vector is moved back to end with the last channel: it computes some channels twice.
                channel = min(block, channels - LANES)
                largest = load(x, first + taps[0] + channel)
                for t in range(1, taps.size):
                    largest = maximum(largest, load(x, first + taps[t] + channel))
                store(y, place + channel, largest)
        else:
            for channel in range(channels):
                most = x[first + taps[0] + channel]
                for t in range(1, taps.size):
                    value = x[first + taps[t] + channel]
                    if value > most or value != value:
                        most = value
                y[place + channel] = most


@jit
def _means(start, stop, thread, x, starts, taps, channels, weights, y, target):  # type: ignore[no-untyped-def]
    for position in range(start, stop):
        first, place, weight = starts[position], target + position * channels, weights[position]
        if channels >= LANES:
            for block in range(0, channels, LANES):
                channel = min(block, channels - LANES)
                total = load(x, first + taps[0] + channel)
                for t in range(1, taps.size):
                    total = total + load(x, first + taps[t] + channel)
                store(y, place + channel, total * splat(weight))
        else:
            for channel in range(channels):
                amount = x[first + taps[0] + channel]
                for t in range(1, taps.size):
                    amount += x[first + taps[t] + channel]
                y[place + channel] = amount * weight


@jit
def pool_images(  # type: ignore[no-untyped-def]
    pool, x, y, images, image_size, starts, positions, taps, channels, weights, padding, fill, padded
):
    """The largest element (``weights`` empty) or the weighted sum of every window, all arrays flat, channels last."""
    piece = max(1, _PIECE_WORK // (taps.size * channels))
    for image in range(images):
        if padded.size > 0:
            pad_image(pool, x, image * image_size, padding, fill, padded)
        source = padded if padded.size > 0 else x[image * image_size : (image + 1) * image_size]
        target = image * positions * channels
        if weights.size > 0:
            parallel_for(pool, _means, (source, starts, taps, channels, weights, y, target), positions, piece)
        else:
            parallel_for(pool, _maxima, (source, starts, taps, channels, y, target), positions, piece)


def _bind(x: ArraySpec, where: Windows, weights: Array, fill: float) -> Bound:
    made = bind_windows(x, where, weights)
    if made is not None:
        return made
    channels = x.shape[-1]
    p = patches(where, channels, 1, merge=False)
    return Bound(
        pool_images,
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
            weights,
            p.padding or Padding(*(0,) * 10),
            np.float32(fill),
            Scratch((p.padded_size,)),
        ),
        (ArraySpec((x.shape[0], *where.output, channels), FLOAT32),),
    )


def _serves(x: ArraySpec, *others: np.dtype[Any]) -> bool:
    return x.dtype in (FLOAT32, *others) and 3 <= len(x.shape) <= 5 and x.size > 0 and x.value is None


@op("MaxPool", domain="onnxlite")
def max_pool(
    x: ArraySpec,
    *,
    kernel_shape: tuple[int, ...],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    storage_order: int = 0,
    strides: tuple[int, ...] | None = None,
) -> Bound | Declined:
    """The largest element of each window (ONNX MaxPool-22), channels last."""
    if not _serves(x, *_BYTES):
        return Declined("only float32 and bytes on one to three spatial axes, not constant, are compiled")
    where = windows(
        x.shape[1:-1], kernel_shape, strides=strides, dilations=dilations, pads=pads, auto_pad=auto_pad,
        ceil_mode=ceil_mode,
    )  # fmt: skip
    if x.dtype in _BYTES:
        return bind_byte_maxima(x, where)
    return _bind(x, where, np.empty(0, np.float32), -np.inf)


@op("AveragePool", domain="onnxlite")
def average_pool(
    x: ArraySpec,
    *,
    kernel_shape: tuple[int, ...],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> Bound | Declined:
    """The mean of each window (ONNX AveragePool-22), channels last."""
    if not _serves(x):
        return Declined("only float32 on one to three spatial axes, not constant, is compiled")
    where = windows(
        x.shape[1:-1], kernel_shape, strides=strides, dilations=dilations, pads=pads, auto_pad=auto_pad,
        ceil_mode=ceil_mode,
    )  # fmt: skip
    return _bind(x, where, _weights(where, bool(count_include_pad)), 0.0)


def _weights(where: Windows, include_padding: bool) -> Array:
    """One over the number of elements that each window counts."""
    counts = covered(where, with_padding=include_padding).reshape(-1)
    with np.errstate(divide="ignore"):
        return (1.0 / counts).astype(np.float32)
