"""``onnxlite.OverlapAdd`` with the channels last: what positions give to their kernels' places, added up."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from onnxlite.kernels.geometry import span
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.lanes import load, store
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.spec import FLOAT32, ArraySpec, Bound, Declined, Input, Output, Pool
from onnxlite.kernels.numba.table import op

Ints = tuple[int, ...]

#: The elements that one piece of work adds.
_PIECE = 1 << 15
#: Where a pixel has fewer channels than this, a channel is added along a row, not a pixel at once.
_FEW = 8


class _Axis(NamedTuple):
    """The lengths of an axis before and after, and the kernel on it: places, stride, dilation, what is cut off."""

    source: int
    target: int
    kernel: int
    stride: int
    dilation: int
    crop: int


class _Places(NamedTuple):
    """The geometry: the last three axes, groups, the channels of one group, and whether nothing overlaps or is left
    out in one group: rows then are copied."""

    depth: _Axis
    height: _Axis
    width: _Axis
    groups: int
    channels: int
    apart: int


@jit
def _position(place, tap, axis):  # type: ignore[no-untyped-def]
    """The position whose kernel has a tap at a place of the output; -1 if there is none."""
    distance = place + axis.crop - tap * axis.dilation
    if distance < 0 or distance % axis.stride != 0 or distance // axis.stride >= axis.source:
        return -1
    return distance // axis.stride


@jit
def _add_line(x, source, step, y, target, stride, count, channels):  # type: ignore[no-untyped-def]
    """Add pixels of x, ``step`` elements apart, to pixels of y, ``stride`` elements apart."""
    # What is added here was stored before: plain accesses, of indices that are not negative.
    if channels < _FEW:
        for channel in range(channels):
            for i in range(count):
                y[np.uint64(target + i * stride + channel)] += load(x, source + i * step + channel)
        return
    for i in range(count):
        to, of = target + i * stride, source + i * step
        for channel in range(channels):
            y[np.uint64(to + channel)] += load(x, of + channel)


@jit
def _copy_row(x, source, step, y, target, axis, channels):  # type: ignore[no-untyped-def]
    """Copy what the positions of a row of x give, from ``source`` on, to their places side by side in a row of y."""
    if axis.stride * channels < _FEW:
        for element in range(axis.stride * channels):
            shift = axis.crop - element // channels
            low = max(0, -(-shift // axis.stride))
            high = min(axis.source, (axis.target - 1 + shift) // axis.stride + 1)
            to = target + element - axis.crop * channels
            for position in range(low, high):
                value = load(x, source + position * step + element)
                store(y, to + position * axis.stride * channels, value)
        return
    for position in range(axis.source):
        place = position * axis.stride - axis.crop
        first, last = max(0, place), min(axis.target, place + axis.stride)
        to, of = target + first * channels, source + position * step + (first - place) * channels
        for i in range((last - first) * channels):
            store(y, to + i, load(x, of + i))


@jit
def _add_row(x, source, tap, y, target, p):  # type: ignore[no-untyped-def]
    """Add what the positions of a row of x, which begins at ``source``, give to a row of y."""
    axis, m = p.width, p.channels
    taps = p.depth.kernel * p.height.kernel * axis.kernel
    pixel = p.groups * taps * m
    if p.apart:
        _copy_row(x, source + tap * axis.kernel * m, pixel, y, target, axis, m)
        return
    for k in range(axis.kernel):
        # Position i gives to the place i * stride + k * dilation - crop.
        shift = axis.crop - k * axis.dilation
        low = max(0, -(-shift // axis.stride))
        high = min(axis.source, (axis.target - 1 + shift) // axis.stride + 1)
        if high <= low:
            continue
        place = low * axis.stride - shift
        for group in range(p.groups):
            first = source + low * pixel + (group * taps + tap * axis.kernel + k) * m
            to = target + (place * p.groups + group) * m
            _add_line(x, first, pixel, y, to, axis.stride * p.groups * m, high - low, m)


@jit
def _fill_row(b, y, target, pixels, channels):  # type: ignore[no-untyped-def]
    for i in range(pixels):
        for channel in range(channels):
            store(y, target + i * channels + channel, load(b, channel))


@jit
def _fill_rows(start, stop, thread, x, b, y, p):  # type: ignore[no-untyped-def]
    """Some rows of the output: the bias, and what the kernels of the rows of x around it have there."""
    pixel = p.groups * p.channels
    pixels = pixel * p.depth.kernel * p.height.kernel * p.width.kernel
    for row in range(start, stop):
        rest, oh = row // p.height.target, row % p.height.target
        image, od = rest // p.depth.target, rest % p.depth.target
        target = row * p.width.target * pixel
        if not p.apart:
            _fill_row(b, y, target, p.width.target, pixel)
        for kd in range(p.depth.kernel):
            depth = _position(od, kd, p.depth)
            for kh in range(p.height.kernel):
                height = _position(oh, kh, p.height)
                if depth >= 0 and height >= 0:
                    source = ((image * p.depth.source + depth) * p.height.source + height) * p.width.source * pixels
                    _add_row(x, source, kd * p.height.kernel + kh, y, target, p)


@jit
def add_overlapping(pool, x, b, y, p, rows, piece):  # type: ignore[no-untyped-def]
    """Add up what the positions of all images give."""
    parallel_for(pool, _fill_rows, (x, b, y, p), rows, piece)


@op("OverlapAdd", domain="onnxlite", since=1)
def overlap_add(
    x: ArraySpec,
    b: ArraySpec | None = None,
    *,
    kernel_shape: Ints,
    strides: Ints,
    dilations: Ints,
    crops: Ints,
    group: int = 1,
    channels_last: int = 0,
) -> Bound | Declined:
    """The sums at each place; see the reference."""
    rank = len(strides)
    if not channels_last or x.dtype != FLOAT32 or not 1 <= rank <= 3 or not x.size or (b and b.value is None):
        return Declined("only float32 with the channels last, and a constant bias, are compiled")
    image, filters = x.shape[1:-1], x.shape[-1] // math.prod(kernel_shape)
    numbers = zip(image, kernel_shape, strides, dilations, crops[:rank], crops[rank:], strict=True)
    target = [s * (length - 1) + span(k, d) - begin - end for length, k, s, d, begin, end in numbers]
    if min(target) < 1:
        return Declined("nothing is left of the image: the reference says how")
    axes = [_Axis(1, 1, 1, 1, 1, 0)] * (3 - rank)
    axes += [
        _Axis(*numbers) for numbers in zip(image, target, kernel_shape, strides, dilations, crops[:rank], strict=True)
    ]
    bias = np.zeros(filters, np.float32) if b is None or b.value is None else np.array(b.value, np.float32)
    rows, row = x.shape[0] * math.prod(target[:-1]), target[-1] * filters
    full = all(begin >= 0 and end >= 0 for begin, end in zip(crops[:rank], crops[rank:], strict=True))
    apart = group == 1 and b is None and full and kernel_shape == strides and set(dilations) == {1}
    places = _Places(axes[0], axes[1], axes[2], group, filters // group, int(apart))
    arguments = (Pool(), Input(0, flat=True), bias, Output(flat=True), places, rows, max(1, _PIECE // row))
    return Bound(add_overlapping, arguments, (ArraySpec((x.shape[0], *target, filters), FLOAT32),))
