"""ConvInteger and QLinearConv with one channel per group.

Each channel is copied, padded, as float32 less its zero point (sums of a few hundred products of bytes are exact),
and split into the parts that the taps read with a stride: so each tap is a multiply-add along the whole plane.
"""

from __future__ import annotations

import numpy as np

from onnxlite.kernels.numba.machine.block import clear
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.memory import address, floats, int8s, int32s, uint8s
from onnxlite.kernels.numba.machine.sealed import sealed
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.quantized.integer_product import INT32, finish_filter

#: Up to this many taps, sums of products of two differences of bytes are exact in float32.
MOST_TAPS = 2**24 // 255**2

#: The elements in a piece of work, about.
_PIECE = 1 << 14
#: The elements of a strip of rows, about.
_STRIP = 1 << 11


def phase_shape(padded: tuple[int, int], strides: tuple[int, int]) -> tuple[int, int]:
    """The rows and columns of a part of a padded plane."""
    return -(-padded[0] // strides[0]), -(-padded[1] // strides[1])


@jit(inline=True)
def strip_rows(columns: int) -> int:
    """The rows of outputs that are computed together: as many as stay in the first cache."""
    return max(1, _STRIP // columns)


@jit
def convolve_channels(pool, x, x_zero_point, weights, bias, scales, y, images, p, planes, sums):  # type: ignore[no-untyped-def]
    """``y = finish(conv(x - x_zero_point, weights) + bias)``; the weights are float32 less their zero points."""
    zero_point = np.int32(x_zero_point[0])
    positions = p.output_height * p.output_width
    for image in range(images):
        source = address(x, image * p.groups * p.height * p.width)
        target = address(y, image * p.groups * p.filters * positions)
        arguments = (source, zero_point, weights, bias, scales, target, p, planes, sums)
        taps = p.kernel_height * p.kernel_width
        parallel_for(pool, _convolve_some, arguments, p.groups, max(1, _PIECE * 9 // (positions * taps)))


@jit
def _convolve_some(start, stop, thread, image, zero_point, weights, bias, scales, result, p, planes, sums):  # type: ignore[no-untyped-def]
    rows = -(-p.padded_height // p.stride_height)
    columns = -(-p.padded_width // p.stride_width)
    plane, total = address(planes, thread * planes.shape[1]), address(sums, thread * sums.shape[1])
    itemsize = 4 if p.kind == INT32 else 1
    positions = p.output_height * p.output_width
    taps = p.kernel_height * p.kernel_width
    strip = strip_rows(columns)
    for group in range(start, stop):
        clear(plane, planes.shape[1])
        _split(
            image + group * p.height * p.width, p.signed, zero_point, min(p.height, p.padded_height - p.top),
            min(p.width, p.padded_width - p.left), p.width, p.top, p.left, p.stride_height, p.stride_width, rows,
            columns, plane,
        )  # fmt: skip
        for number in range(group * p.filters, (group + 1) * p.filters):
            for top in range(0, p.output_height, strip):
                height = min(strip, p.output_height - top)
                count = height * columns
                _add_taps(
                    plane + 4 * top * columns, rows, columns, address(weights, number * taps), p.kernel_height,
                    p.kernel_width, p.stride_height, p.stride_width, p.dilation_height, p.dilation_width, count, total,
                )  # fmt: skip
                finished = total + 4 * count
                finish_filter(total, count, bias[number], 0, 0, p.kind, scales[number], p.zero_point, finished)
                target = result + (number * positions + top * p.output_width) * itemsize
                _join_rows(finished, columns * itemsize, target, p.output_width * itemsize, height)


@sealed
def _split(
    image: int,
    signed: int,
    zero_point: int,
    height: int,
    width: int,
    row_size: int,
    top: int,
    left: int,
    stride_height: int,
    stride_width: int,
    rows: int,
    columns: int,
    planes: int,
) -> None:
    """A channel less its zero point, row r and column c going to part (r % stride_height, c % stride_width)."""
    zero = np.float32(zero_point)
    for row in range(height):
        y = row + top
        for part in range(stride_width):
            first = (part - left) % stride_width
            number = y % stride_height * stride_width + part
            place = planes + 4 * ((number * rows + y // stride_height) * columns + (first + left) // stride_width)
            count = max(0, -(-(width - first) // stride_width))
            if signed:
                _take_less(int8s(image + row * row_size + first, width), stride_width, zero, floats(place, count))
            else:
                _take_less(uint8s(image + row * row_size + first, width), stride_width, zero, floats(place, count))


@jit
def _take_less(source, stride, zero, target):  # type: ignore[no-untyped-def]
    """Every ``stride``-th number less the zero point; a stride that LLVM knows makes vectors."""
    if stride == 1:
        for i in range(target.size):
            target[i] = np.float32(source[i]) - zero
    elif stride == 2:
        for i in range(target.size):
            target[i] = np.float32(source[2 * i]) - zero
    else:
        for i in range(target.size):
            target[i] = np.float32(source[i * stride]) - zero


@sealed
def _add_taps(
    planes: int,
    rows: int,
    columns: int,
    weights: int,
    kernel_height: int,
    kernel_width: int,
    stride_height: int,
    stride_width: int,
    dilation_height: int,
    dilation_width: int,
    count: int,
    total: int,
) -> None:
    """The sums of all taps as int32, at all columns of the parts; those beyond the output's width mean nothing."""
    factors, sums = floats(weights, kernel_height * kernel_width), floats(total, count)
    taps = kernel_height * kernel_width
    for first in range(0, taps, 3):
        # Three taps at a time; where fewer are left, the last one stands for the missing ones, times zero.
        a, b, c = first, min(first + 1, taps - 1), min(first + 2, taps - 1)
        shape = (rows, columns, kernel_width, stride_height, stride_width, dilation_height, dilation_width)
        x = floats(planes + _place(a, *shape), count)
        y = floats(planes + _place(b, *shape), count)
        z = floats(planes + _place(c, *shape), count)
        f = factors[a]
        g = factors[b] if first + 1 < taps else np.float32(0)
        h = factors[c] if first + 2 < taps else np.float32(0)
        if first == 0:
            for i in range(count):
                sums[i] = f * x[i] + g * y[i] + h * z[i]
        else:
            for i in range(count):
                sums[i] += f * x[i] + g * y[i] + h * z[i]
    results = int32s(total, count)
    for i in range(count):
        results[i] = np.int32(sums[i])


@jit
def _place(tap, rows, columns, kernel_width, stride_height, stride_width, dilation_height, dilation_width):  # type: ignore[no-untyped-def]
    """How far behind the start of the parts the elements of a tap start, in bytes."""
    y, x = tap // kernel_width * dilation_height, tap % kernel_width * dilation_width
    part = y % stride_height * stride_width + x % stride_width
    return 4 * ((part * rows + y // stride_height) * columns + x // stride_width)


@sealed
def _join_rows(source: int, source_row: int, target: int, target_row: int, rows: int) -> None:
    """Copy rows of bytes to where they follow each other."""
    for row in range(rows):
        read_from, write_to = (
            uint8s(source + row * source_row, target_row),
            uint8s(target + row * target_row, target_row),
        )
        for i in range(target_row):
            write_to[i] = read_from[i]
