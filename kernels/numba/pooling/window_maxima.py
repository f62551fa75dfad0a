"""MaxPool with the places of the maxima, its inverse MaxUnpool, and LpPool: window by window."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from onnxlite.kernels.geometry import Ints, Windows, per_axis, windows
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.lanes import load
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.spec import ArraySpec, Bound, Declined, Input, Output, Pool
from onnxlite.kernels.numba.table import op

#: The elements that one piece of work reads.
_PIECE = 1 << 15

_FLOATS = frozenset(map(np.dtype, (np.float32, np.float64)))
_INT64 = np.dtype(np.int64)


class _Axis(NamedTuple):
    """An axis: its length, the windows on it, and how far an index in an image moves with each of its elements."""

    length: int
    output: int
    kernel: int
    stride: int
    dilation: int
    begin: int
    step: int


class _Image(NamedTuple):
    """The last three axes."""

    depth: _Axis
    height: _Axis
    width: _Axis


def _image(where: Windows, column_major: bool = False) -> _Image:
    missing = 3 - len(where.image)
    axes = [_Axis(1, 1, 1, 1, 1, 0, 0)] * missing
    for number, length in enumerate(where.image):
        others = where.image[:number] if column_major else where.image[number + 1 :]
        numbers = (where.output[number], where.kernel[number], where.strides[number], where.dilations[number])
        axes.append(_Axis(length, *numbers, where.begins[number], math.prod(others)))
    return _Image(axes[0], axes[1], axes[2])


@jit(inline=True)
def _find(x, corner, od, oh, ow, g):  # type: ignore[no-untyped-def]
    """The first maximum of a window, where NaN is higher than every number, and its index in the image."""
    best, index, found = x[corner], np.int64(0), False
    for i in range(g.depth.kernel):
        d = od * g.depth.stride - g.depth.begin + i * g.depth.dilation
        if d < 0 or d >= g.depth.length:
            continue
        for j in range(g.height.kernel):
            h = oh * g.height.stride - g.height.begin + j * g.height.dilation
            if h < 0 or h >= g.height.length:
                continue
            line = corner + (d * g.height.length + h) * g.width.length
            for k in range(g.width.kernel):
                w = ow * g.width.stride - g.width.begin + k * g.width.dilation
                if w < 0 or w >= g.width.length:
                    continue
                value = load(x, line + w)
                if not found or (best == best and (value > best or value != value)):
                    best, index = value, d * g.depth.step + h * g.height.step + w * g.width.step
                    found = True
    return best, index


@jit
def _find_maxima(start, stop, thread, x, y, places, g):  # type: ignore[no-untyped-def]
    size = g.depth.length * g.height.length * g.width.length
    for row in range(start, stop):
        plane = row // (g.depth.output * g.height.output)
        od, oh = row // g.height.output % g.depth.output, row % g.height.output
        for ow in range(g.width.output):
            best, index = _find(x, plane * size, od, oh, ow, g)
            y[row * g.width.output + ow] = best
            places[row * g.width.output + ow] = plane * size + index


@jit
def find_maxima(pool, x, y, places, g, rows, piece):  # type: ignore[no-untyped-def]
    """The maxima of all windows and their places."""
    parallel_for(pool, _find_maxima, (x, y, places, g), rows, piece)


def bind_maxima(x: ArraySpec, where: Windows, column_major: bool) -> Bound | Declined:
    """MaxPool with indices, which count in column-major order over the spatial axes if that is asked for."""
    if x.dtype not in _FLOATS or 0 in where.output:
        return Declined(f"the places of the maxima of {x.dtype} are not compiled")
    shape = (*x.shape[:2], *where.output)
    rows = math.prod(shape[:-1])
    arrays = (Pool(), Input(0, flat=True), Output(0, flat=True), Output(1, flat=True))
    piece = max(1, _PIECE // (where.output[-1] * math.prod(where.kernel)))
    outputs = (ArraySpec(shape, x.dtype), ArraySpec(shape, _INT64))
    return Bound(find_maxima, (*arrays, _image(where, column_major), rows, piece), outputs)


@jit
def put_back(x, indices, y, low, high, image, output):  # type: ignore[no-untyped-def]
    """Zeros with the elements of x at indices that count in images of another shape."""
    y[:] = 0
    for i in range(x.size):
        index = np.int64(indices[i])
        if index < low or index >= high:
            raise IndexError("expected indices within the images, got one outside")
        place, scale, rest = np.int64(0), np.int64(1), index
        for axis in range(image.size - 1, -1, -1):
            place += rest % image[axis] * scale
            rest //= image[axis]
            scale *= output[axis]
        y[rest * scale + place] = x[i]


@op("MaxUnpool", since=9)
def max_unpool(
    x: ArraySpec,
    indices: ArraySpec,
    output_shape: ArraySpec | None = None,
    *,
    kernel_shape: Ints,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Bound | Declined:
    """Zeros with the elements of x at the indices that MaxPool gave (ONNX MaxUnpool-22)."""
    rank = len(x.shape) - 2
    if x.dtype not in _FLOATS or rank < 1 or indices.shape != x.shape or indices.dtype != _INT64:
        return Declined(f"putting {x.dtype}{list(x.shape)} back is not compiled")
    kernel, steps = per_axis("kernel_shape", kernel_shape, rank, 1), per_axis("strides", strides, rank, 1)
    edges = per_axis("pads", pads, 2 * rank, 0, least=0)
    lengths = zip(x.shape[2:], steps, kernel, edges[:rank], edges[rank:], strict=True)
    image = tuple((length - 1) * s + k - b - e for length, s, k, b, e in lengths)
    result = (*x.shape[:2], *image)
    if output_shape is not None:
        if output_shape.value is None:
            return Declined("an output shape that is not known before the model runs is not compiled")
        result = tuple(int(length) for length in output_shape.value.reshape(-1))
    larger = len(result) == len(x.shape) and result[:2] == x.shape[:2]
    if not larger or min(image) < 1 or any(m < n for m, n in zip(result[2:], image, strict=True)):
        return Declined("the output's shape does not fit: the reference says how")
    arrays = (Input(0, flat=True), Input(1, flat=True), Output(flat=True))
    shapes = (np.array(image, np.int64), np.array(result[2:], np.int64))
    arguments = (*arrays, 0, math.prod(x.shape[:2]) * math.prod(image), *shapes)
    return Bound(put_back, arguments, (ArraySpec(result, x.dtype),))


@jit(inline=True)
def _norm(x, corner, od, oh, ow, g, p):  # type: ignore[no-untyped-def]
    total = x.dtype.type(0)
    for i in range(g.depth.kernel):
        d = od * g.depth.stride - g.depth.begin + i * g.depth.dilation
        for j in range(g.height.kernel):
            h = oh * g.height.stride - g.height.begin + j * g.height.dilation
            for k in range(g.width.kernel):
                w = ow * g.width.stride - g.width.begin + k * g.width.dilation
                if 0 <= d < g.depth.length and 0 <= h < g.height.length and 0 <= w < g.width.length:
                    value = abs(load(x, corner + (d * g.height.length + h) * g.width.length + w))
                    total += value * value if p == 2 else value if p == 1 else value**p
    return np.sqrt(total) if p == 2 else total if p == 1 else total ** (1 / p)


@jit
def _find_norms(start, stop, thread, x, y, g, p):  # type: ignore[no-untyped-def]
    size = g.depth.length * g.height.length * g.width.length
    for row in range(start, stop):
        plane = row // (g.depth.output * g.height.output)
        od, oh = row // g.height.output % g.depth.output, row % g.height.output
        for ow in range(g.width.output):
            y[row * g.width.output + ow] = _norm(x, plane * size, od, oh, ow, g, p)


@jit
def find_norms(pool, x, y, g, p, rows, piece):  # type: ignore[no-untyped-def]
    """The p-norms of all windows."""
    parallel_for(pool, _find_norms, (x, y, g, p), rows, piece)


def _lp(x: ArraySpec, kernel_shape: Ints | None, p: float, **geometry: Any) -> Bound | Declined:
    if x.dtype not in _FLOATS or not 3 <= len(x.shape) <= 5 or not x.size or not kernel_shape:
        return Declined("only floats on one to three spatial axes are compiled")
    where = windows(x.shape[2:], kernel_shape, **geometry)
    shape = (*x.shape[:2], *where.output)
    piece = max(1, _PIECE // (where.output[-1] * math.prod(where.kernel)))
    arguments = (Pool(), Input(0, flat=True), Output(flat=True), _image(where), float(p), math.prod(shape[:-1]), piece)
    return Bound(find_norms, arguments, (ArraySpec(shape, x.dtype),))


@op("LpPool", since=18)
def lp_pool(
    x: ArraySpec,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Ints | None = None,
    kernel_shape: Ints,
    p: int = 2,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Bound | Declined:
    """The p-norm of every window (ONNX LpPool-22)."""
    geometry = {"strides": strides, "dilations": dilations, "pads": pads, "auto_pad": auto_pad, "ceil_mode": ceil_mode}
    return _lp(x, kernel_shape, p, **geometry)


@op("LpPool", since=2, until=11)
def lp_pool_2(
    x: ArraySpec,
    *,
    auto_pad: str = "NOTSET",
    kernel_shape: Ints,
    p: int = 2,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Bound | Declined:
    """LpPool without dilations and ceil mode (ONNX LpPool-2 and 11)."""
    return _lp(x, kernel_shape, p, strides=strides, pads=pads, auto_pad=auto_pad)


@op("GlobalLpPool", since=2)
def global_lp_pool(x: ArraySpec, *, p: int = 2) -> Bound | Declined:
    """The p-norm over the spatial axes (ONNX GlobalLpPool-22)."""
    return _lp(x, x.shape[2:], p)
