"""``onnxlite.Interleave`` with the channels last: the phases of a transposed convolution, put between each other."""

from __future__ import annotations

import math
from typing import NamedTuple

from onnxlite.kernels.numba.jit import jit
from onnxlite.kernels.numba.lanes import load, store
from onnxlite.kernels.numba.spec import FLOAT32, ArraySpec, Bound, Declined, Input, Output, Pool
from onnxlite.kernels.numba.table import op
from onnxlite.kernels.numba.threads import parallel_for

#: The elements that one piece of work copies.
_PIECE = 1 << 15


class _Axis(NamedTuple):
    """The lengths of an axis before and after, its stride, and what is cut off before it."""

    source: int
    target: int
    stride: int
    crop: int


class _Places(NamedTuple):
    """The geometry: the last three axes, groups, and the channels of one phase of one group."""

    depth: _Axis
    height: _Axis
    width: _Axis
    groups: int
    channels: int


@jit
def _copy(x, source, y, target, count):  # type: ignore[no-untyped-def]
    for i in range(count):
        store(y, target + i, load(x, source + i))


@jit
def _fill_rows(start, stop, thread, x, y, p):  # type: ignore[no-untyped-def]
    """Some rows of the output, each of which takes its pixels from one row of the input."""
    m, stride = p.channels, p.width.stride
    phases = p.depth.stride * p.height.stride * stride
    pixel = p.groups * phases * m
    for row in range(start, stop):
        rest, oh = row // p.height.target, row % p.height.target + p.height.crop
        image, od = rest // p.depth.target, rest % p.depth.target + p.depth.crop
        source = (image * p.depth.source + od // p.depth.stride) * p.height.source + oh // p.height.stride
        source *= p.width.source * pixel
        phase = (od % p.depth.stride * p.height.stride + oh % p.height.stride) * stride
        target = row * p.width.target * p.groups * m
        column = 0
        while column < p.width.target:
            place = column + p.width.crop
            # The phases of one position lie side by side in both where there is one group.
            count = min(stride - place % stride, p.width.target - column) if p.groups == 1 else 1
            first = source + place // stride * pixel + (phase + place % stride) * m
            for group in range(p.groups):
                _copy(x, first + group * phases * m, y, target + (column * p.groups + group) * m, count * m)
            column += count


@jit
def interleave_phases(pool, x, y, p, rows, piece):  # type: ignore[no-untyped-def]
    """Put the phases of all images in their places."""
    parallel_for(pool, _fill_rows, (x, y, p), rows, piece)


@op("Interleave", domain="onnxlite", since=1)
def interleave(
    x: ArraySpec, *, strides: tuple[int, ...], crops: tuple[int, ...], group: int = 1, channels_last: int = 0
) -> Bound | Declined:
    """The phases put between each other; see the reference."""
    rank = len(strides)
    if not channels_last or x.dtype != FLOAT32 or not 1 <= rank <= 3 or not x.size:
        return Declined("only float32 with the channels last is compiled")
    image = x.shape[1:-1]
    target = [
        length * stride - begin - end
        for length, stride, begin, end in zip(image, strides, crops[:rank], crops[rank:], strict=True)
    ]
    if min(target) < 1:
        return Declined("nothing is left of the image: the reference says how")
    channels = x.shape[-1] // (group * math.prod(strides))
    axes = [_Axis(1, 1, 1, 0)] * (3 - rank)
    axes += [_Axis(*numbers) for numbers in zip(image, target, strides, crops[:rank], strict=True)]
    places = _Places(*axes, group, channels)
    row = target[-1] * group * channels
    rows = x.shape[0] * math.prod(target[:-1])
    arguments = (Pool(), Input(0, flat=True), Output(flat=True), places, rows, max(1, _PIECE // row))
    return Bound(interleave_phases, arguments, (ArraySpec((x.shape[0], *target, group * channels), FLOAT32),))
