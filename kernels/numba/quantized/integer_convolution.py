"""ConvInteger and QLinearConv on one or two spatial axes, with constant weights.

The image is copied once, padded, with neighbouring channels together in elements of 32 bits (see `integer_tile`).  Then
a convolution is like one of numbers: the elements that a block of outputs reads are packed in panels, tap by tap, and
multiplied with the weights.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.geometry import Windows, windows
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.memory import address, int8s, int32s, uint8s
from onnxlite.kernels.numba.machine.sealed import sealed
from onnxlite.kernels.numba.machine.simd import TILE_COLUMNS
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.product.tile import copy_row
from onnxlite.kernels.numba.quantized.integer_copy import groups
from onnxlite.kernels.numba.quantized.integer_depthwise import MOST_TAPS, convolve_channels, phase_shape, strip_rows
from onnxlite.kernels.numba.quantized.integer_product import INT8, INT32, UINT8, finish_filter
from onnxlite.kernels.numba.quantized.integer_tile import BYTES, GROUP, multiply_signed_left_tile
from onnxlite.kernels.numba.spec import ArraySpec, Bound, Declined, Input, Output, Pool, Scratch
from onnxlite.kernels.numba.table import op

_INT32 = np.dtype(np.int32)
_BYTES = frozenset(map(np.dtype, (np.uint8, np.int8)))

#: The elements of a block's panels, about: they stay in the second-level cache.
_BLOCK_SIZE = 1 << 15
#: The multiply-adds in a piece of work, at least.
_PIECE_WORK = 2_000_000
#: A panel of outputs that lie in at most this many rows more than one is copied row by row.
_FEW_RUNS = 4
#: The rows of filters that are multiplied and finished together.
_FILTERS = 8


class Layer(NamedTuple):
    """The lengths of a convolution; ``planes`` are those of 32-bit elements of one group, padded.

    ``taps`` is the depth of the product of a group in elements.
    """

    groups: int
    channels: int
    planes: int
    filters: int
    height: int
    width: int
    padded_height: int
    padded_width: int
    top: int
    left: int
    kernel_height: int
    kernel_width: int
    stride_height: int
    stride_width: int
    dilation_height: int
    dilation_width: int
    output_height: int
    output_width: int
    taps: int
    block: int
    signed: int
    kind: int
    zero_point: int
    has_zeros: int


@jit
def _copy_planes(start, stop, thread, image, padded, zero_point, p):  # type: ignore[no-untyped-def]
    """Some planes of the padded image, whose padding is the zero point."""
    size = p.height * p.width
    filler = np.int32(0)
    if BYTES:
        filler = np.int32(np.uint32(np.uint8(zero_point + 128 * p.signed)) * np.uint32(0x01010101))
    for plane in range(start, stop):
        group, number = plane // p.planes, plane % p.planes
        base = padded + 4 * plane * p.padded_height * p.padded_width
        everything = int32s(base, p.padded_height * p.padded_width)
        for i in range(everything.size):
            everything[i] = filler
        # Where channels are missing the weights are zeros: any channel will do.
        first, last = group * p.channels + number * GROUP, group * p.channels + p.channels - 1
        for row in range(min(p.height, p.padded_height - p.top)):
            target = base + 4 * ((row + p.top) * p.padded_width + p.left)
            count = min(p.width, p.padded_width - p.left)
            source = image + row * p.width
            if GROUP == 4:
                _join_four(
                    source + first * size, source + min(first + 1, last) * size, source + min(first + 2, last) * size,
                    source + min(first + 3, last) * size, target, count, 128 * p.signed,
                )  # fmt: skip
            else:
                _join_two(
                    source + first * size, source + min(first + 1, last) * size, target, count, p.signed, zero_point
                )


@sealed
def _join_four(a: int, b: int, c: int, d: int, target: int, count: int, flip: int) -> None:
    """Bytes of four channels side by side."""
    first, second, third, fourth = uint8s(a, count), uint8s(b, count), uint8s(c, count), uint8s(d, count)
    flips, results = np.uint32(flip) * np.uint32(0x01010101), int32s(target, count)
    for i in range(count):
        low = np.uint32(np.uint32(first[i]) | np.uint32(np.uint32(second[i]) << np.uint32(8)))
        high = np.uint32(np.uint32(third[i]) | np.uint32(np.uint32(fourth[i]) << np.uint32(8)))
        results[i] = np.int32(np.uint32(low | np.uint32(high << np.uint32(16))) ^ flips)


@sealed
def _join_two(a: int, b: int, target: int, count: int, signed: int, zero_point: int) -> None:
    """Bytes of two channels less the zero point, as 16-bit integers side by side."""
    results, zero = int32s(target, count), np.int32(zero_point)
    if signed:
        left, right = int8s(a, count), int8s(b, count)
        for i in range(count):
            results[i] = np.int32((np.int32(left[i]) - zero) & 0xFFFF) | np.int32((np.int32(right[i]) - zero) << 16)
    else:
        first, second = uint8s(a, count), uint8s(b, count)
        for i in range(count):
            results[i] = np.int32((np.int32(first[i]) - zero) & 0xFFFF) | np.int32((np.int32(second[i]) - zero) << 16)


@jit
def _convolve_blocks(  # type: ignore[no-untyped-def]
    start, stop, thread, padded, weights, zeros, scales, terms, result, p, panels, products, places
):
    """Blocks of outputs of all groups; ``result`` is the address of the first."""
    positions = p.output_height * p.output_width
    per_group = -(-positions // p.block)
    panel, product = address(panels, thread * panels.shape[1]), address(products, thread * products.shape[1])
    place = places[thread]
    itemsize = 4 if p.kind == INT32 else 1
    for index in range(start, stop):
        group, first = index // per_group, index % per_group * p.block
        count = min(p.block, positions - first)
        image = padded + 4 * group * p.planes * p.padded_height * p.padded_width
        for left in range(0, count, TILE_COLUMNS):
            _find_places(first + left, min(TILE_COLUMNS, count - left), p, place)
            _pack_taps(image, address(place, 0), p.planes, p.padded_height * p.padded_width, p.padded_width,
                       p.kernel_height, p.kernel_width, p.dilation_height, p.dilation_width,
                       panel + 4 * left * p.taps)  # fmt: skip
        group_weights = address(weights, group * (p.filters + 1) * p.taps)
        totals = 0
        if p.has_zeros:
            totals = product + 4 * _FILTERS * p.block
            _multiply_filters(group_weights + 4 * p.filters * p.taps, 1, p.taps, panel, count, totals, p.block)
        for top in range(0, p.filters, _FILTERS):
            rows = min(_FILTERS, p.filters - top)
            _multiply_filters(group_weights + 4 * top * p.taps, rows, p.taps, panel, count, product, p.block)
            for row in range(rows):
                number = group * p.filters + top + row
                finish_filter(
                    product + 4 * row * p.block, count, terms[number], zeros[number], totals, p.kind, scales[number],
                    p.zero_point, result + itemsize * (number * positions + first),
                )  # fmt: skip


@jit
def _find_places(first, count, p, place):  # type: ignore[no-untyped-def]
    """Where in a padded plane the windows of some outputs start; the last output stands for missing ones.

    Behind them stand the numbers of outputs at which neighbours end to be neighbours in memory.
    """
    runs = 0
    for i in range(TILE_COLUMNS):
        position = first + min(i, count - 1)
        row, column = position // p.output_width, position % p.output_width
        place[i] = row * p.stride_height * p.padded_width + column * p.stride_width
        if i > 0 and i < count and place[i] != place[i - 1] + 1:
            place[TILE_COLUMNS + 1 + runs] = i
            runs += 1
    place[TILE_COLUMNS] = runs


@sealed
def _pack_taps(
    image: int,
    places: int,
    planes: int,
    plane_size: int,
    row_size: int,
    kernel_height: int,
    kernel_width: int,
    dilation_height: int,
    dilation_width: int,
    panel: int,
) -> None:
    """What a panel of outputs reads, tap by tap; a few elements behind the panel may be overwritten."""
    place, runs = int32s(places, TILE_COLUMNS), int32s(places + 4 * TILE_COLUMNS, TILE_COLUMNS + 1)
    few = runs[0] <= _FEW_RUNS
    for plane in range(planes):
        for ky in range(kernel_height):
            for kx in range(kernel_width):
                tap = image + 4 * (plane * plane_size + ky * dilation_height * row_size + kx * dilation_width)
                if few:
                    copy_row(tap + 4 * np.int64(place[0]), panel)
                    for run in range(runs[0]):
                        start = np.int64(runs[1 + run])
                        copy_row(tap + 4 * np.int64(place[start]), panel + 4 * start)
                else:
                    elements, target = int32s(tap, plane_size), int32s(panel, TILE_COLUMNS)
                    for i in range(TILE_COLUMNS):
                        target[i] = elements[np.uint32(place[i])]
                panel += 4 * TILE_COLUMNS


@sealed
def _multiply_filters(weights: int, rows: int, taps: int, panels: int, count: int, c: int, c_row: int) -> None:
    for left in range(0, count, TILE_COLUMNS):
        multiply_signed_left_tile(
            rows, weights, taps, panels + 4 * left * taps, TILE_COLUMNS, c + 4 * left, c_row, taps
        )


@jit
def convolve_bytes(  # type: ignore[no-untyped-def]
    pool, x, x_zero_point, weights, sums, zeros, bias, scales, y, images, p, terms, padded, panels, products, places
):
    """``y = finish(conv(x - x_zero_point, weights - zeros) + bias)`` for flat arrays of bytes."""
    zero_point = np.int32(x_zero_point[0])
    shifted = np.int32(zero_point + 128) if BYTES and p.signed else zero_point
    taps = p.channels * p.kernel_height * p.kernel_width
    for number in range(terms.size):
        terms[number] = np.int32(bias[number] + shifted * np.int32(np.int32(taps) * zeros[number] - sums[number]))
    positions = p.output_height * p.output_width
    work = p.block * p.filters * p.taps * GROUP
    for image in range(images):
        source = address(x, image * p.groups * p.channels * p.height * p.width)
        planes = p.groups * p.planes
        copied = max(1, 65536 // (GROUP * p.padded_height * p.padded_width))
        parallel_for(pool, _copy_planes, (source, address(padded, 0), zero_point, p), planes, copied)
        target = address(y, image * p.groups * p.filters * positions)
        arguments = (address(padded, 0), weights, zeros, scales, terms, target, p, panels, products, places)
        blocks = p.groups * -(-positions // p.block)
        parallel_for(pool, _convolve_blocks, arguments, blocks, max(1, _PIECE_WORK // work))


@op("ConvInteger", since=10)
def conv_integer(
    x: ArraySpec,
    w: ArraySpec,
    x_zero_point: ArraySpec | None = None,
    w_zero_point: ArraySpec | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: tuple[int, ...] | None = None,
    group: int = 1,
    kernel_shape: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> Bound | Declined:
    """The int32 convolution of bytes less their zero points (ONNX ConvInteger-10)."""
    if not _fits(x, w, group, kernel_shape):
        return Declined("only bytes with constant weights that fit, on one or two spatial axes, are compiled")
    where = windows(x.shape[2:], w.shape[2:], strides=strides, dilations=dilations, pads=pads, auto_pad=auto_pad)
    return _bind(x, w, x_zero_point, 2, w_zero_point, where, group, INT32, _INT32, None, 0, None)


@op("QLinearConv", since=10)
def qlinear_conv(
    x: ArraySpec,
    x_scale: ArraySpec,
    x_zero_point: ArraySpec,
    w: ArraySpec,
    w_scale: ArraySpec,
    w_zero_point: ArraySpec,
    y_scale: ArraySpec,
    y_zero_point: ArraySpec,
    b: ArraySpec | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: tuple[int, ...] | None = None,
    group: int = 1,
    kernel_shape: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> Bound | Declined:
    """The convolution of quantized tensors, quantized (ONNX QLinearConv-10)."""
    if not _fits(x, w, group, kernel_shape):
        return Declined("only bytes with constant weights that fit, on one or two spatial axes, are compiled")
    parameters = [spec.value for spec in (x_scale, w_scale, y_scale, y_zero_point)]
    if any(value is None for value in parameters) or y_zero_point.dtype not in _BYTES or y_zero_point.size != 1:
        return Declined("only constant scales, and a result of bytes, are compiled")
    if b is not None and (b.value is None or b.shape != w.shape[:1]):
        return Declined("only a constant bias is compiled")
    of_x, of_w, of_y = (np.asarray(value) for value in parameters[:3])
    scale = of_x * of_w / of_y
    if scale.size not in (1, w.shape[0]):
        return Declined("only scales per tensor, and per filter, are compiled")
    where = windows(x.shape[2:], w.shape[2:], strides=strides, dilations=dilations, pads=pads, auto_pad=auto_pad)
    kind = UINT8 if y_zero_point.dtype == np.uint8 else INT8
    zero_point = int(np.asarray(parameters[3]).item())
    bias = None if b is None else np.asarray(b.value)
    return _bind(x, w, x_zero_point, 2, w_zero_point, where, group, kind, y_zero_point.dtype, scale, zero_point, bias)


def _fits(x: ArraySpec, w: ArraySpec, group: int, kernel_shape: tuple[int, ...] | None) -> bool:
    if x.dtype not in _BYTES or w.dtype not in _BYTES or w.value is None or not x.size or not w.size:
        return False
    if len(x.shape) not in (3, 4) or len(w.shape) != len(x.shape) or w.shape[0] % group:
        return False
    return x.shape[1] == w.shape[1] * group and kernel_shape in (None, w.shape[2:])


def _bind(
    x: ArraySpec,
    w: ArraySpec,
    x_zero_point: ArraySpec | None,
    zero_index: int,
    w_zero_point: ArraySpec | None,
    where: Windows,
    group: int,
    kind: int,
    dtype: np.dtype[Any],
    scale: Array | None,
    zero_point: int,
    bias: Array | None,
) -> Bound | Declined:
    """The call of `convolve_bytes`."""
    filters = w.shape[0]
    if x_zero_point is not None and (x_zero_point.size != 1 or x_zero_point.dtype != x.dtype):
        return Declined("only one zero point for the image is compiled")
    if w_zero_point is not None and (w_zero_point.value is None or w_zero_point.size not in (1, filters)):
        return Declined("only constant zero points, one or one per filter, are compiled for the weights")
    if not np.prod(where.output) or min(where.begins) < 0:
        return Declined("empty results and negative pads are not compiled")
    zeros = np.zeros(1) if w_zero_point is None else np.asarray(w_zero_point.value)
    layer = _layer(x, w, where, group, kind, zero_point)
    zero: Any = np.zeros(1, x.dtype)
    if x_zero_point is not None:
        given = x_zero_point.value
        zero = Input(zero_index, flat=True) if given is None else np.array(given).reshape(1)
    shared: tuple[Any, ...] = (
        np.zeros(filters, np.int32) if bias is None else np.array(bias, np.int32),
        np.array(np.broadcast_to(1 if scale is None else scale.reshape(-1), filters), np.float32),
        Output(0, flat=True),
        x.shape[0],
    )
    image = Input(0, flat=True) if x.value is None else np.array(x.value).reshape(-1)
    result = (ArraySpec((x.shape[0], filters, *where.output), dtype),)
    if w.shape[1] == 1 and np.prod(where.kernel) <= MOST_TAPS:
        centred = np.asarray(w.value).reshape(filters, -1) - zeros.reshape(-1, 1).astype(np.float32)
        rows, columns = phase_shape(
            (layer.padded_height, layer.padded_width), (layer.stride_height, layer.stride_width)
        )
        plane = Scratch(((layer.stride_height * layer.stride_width * rows + 1) * columns,), per_thread=True)
        sums = Scratch((2 * columns * min(layer.output_height, strip_rows(columns)),), _INT32, per_thread=True)
        weights = np.array(centred, np.float32).reshape(-1)
        return Bound(convolve_channels, (Pool(), image, zero, weights, *shared, layer, plane, sums), result)
    packed, sums, zeros = _pack_filters(np.asarray(w.value), zeros, group)
    layer = layer._replace(has_zeros=int(zeros.any()))
    return Bound(
        convolve_bytes,
        (
            Pool(),
            image,
            zero,
            packed,
            sums,
            zeros,
            *shared,
            layer,
            Scratch((filters,), _INT32),
            Scratch((group * layer.planes * layer.padded_height * layer.padded_width + TILE_COLUMNS,), _INT32),
            Scratch((layer.block * layer.taps + TILE_COLUMNS,), _INT32, per_thread=True),
            Scratch(((_FILTERS + 1) * layer.block,), _INT32, per_thread=True),
            Scratch((2 * TILE_COLUMNS + 1,), _INT32, per_thread=True),
        ),
        result,
    )


def _layer(x: ArraySpec, w: ArraySpec, where: Windows, group: int, kind: int, zero_point: int) -> Layer:
    def two(values: tuple[int, ...], missing: int) -> tuple[int, int]:
        return (missing, *values) if len(values) == 1 else (values[0], values[1])

    channels = w.shape[1]
    kernel, output = two(where.kernel, 1), two(where.output, 1)
    taps = groups(channels) * kernel[0] * kernel[1]
    panels = max(1, min(8, _BLOCK_SIZE // (taps * TILE_COLUMNS), -(-output[0] * output[1] // TILE_COLUMNS)))
    return Layer(
        group,
        channels,
        groups(channels),
        w.shape[0] // group,
        *two(where.image, 1),
        *two(where.reach, 1),
        *two(where.begins, 0),
        *kernel,
        *two(where.strides, 1),
        *two(where.dilations, 1),
        *output,
        taps,
        panels * TILE_COLUMNS,
        int(x.dtype == np.int8),
        kind,
        zero_point,
        0,
    )


def _pack_filters(w: Array, zeros: Array, group: int) -> tuple[Array, Array, Array]:
    """The weights of each group in 32-bit elements, and behind them a filter of ones; their sums; their zero points."""
    filters, channels = w.shape[:2]
    zeros = np.broadcast_to(zeros.reshape(-1), filters).astype(np.int32)
    shift = 128 if BYTES and w.dtype == np.uint8 else 0
    flat = w.reshape(filters, channels, -1).astype(np.int32)
    values = flat - (shift if BYTES else zeros[:, None, None])
    planes, taps = groups(channels), flat.shape[2]
    dtype = np.int8 if BYTES else np.int16
    padded = np.zeros((group, filters // group + 1, planes * GROUP, taps), dtype)
    padded[:, :-1, :channels] = values.reshape(group, filters // group, channels, taps)
    padded[:, -1, :channels] = 1
    joined = padded.reshape(group, -1, planes, GROUP, taps).swapaxes(3, 4)
    elements = np.ascontiguousarray(joined).reshape(-1).view(np.int32)
    if not BYTES:
        return elements, np.zeros(filters, np.int32), np.zeros(filters, np.int32)
    return elements, values.sum(axis=(1, 2), dtype=np.int32), zeros - np.int32(shift)
