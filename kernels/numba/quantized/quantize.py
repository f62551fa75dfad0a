"""QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear between float32 and integers of 8 and 16 bits."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.axes import normalize_axis
from onnxlite.kernels.dtypes import dtype_of
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.lanes import bits_of, from_bits, load, rint, store
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.spec import FLOAT32, ArraySpec, Bound, Declined, Input, Output, Pool, Scratch
from onnxlite.kernels.numba.table import op

_UINT8 = np.dtype(np.uint8)
_INT32 = np.dtype(np.int32)
_QUANTIZED = frozenset(map(np.dtype, (np.uint8, np.int8, np.uint16, np.int16)))

#: The elements in a piece of work, about.
_PIECE = 1 << 15


class Grid(NamedTuple):
    """A tensor of ``size`` elements as rows, the last one perhaps shorter.

    Row r has the scale ``r % scales``, or the columns have a scale each (``by_column``).
    """

    size: int
    columns: int
    scales: int
    by_column: int


@jit
def _quantize_rows(start, stop, thread, x, y, scales, zero_points, low, high, g):  # type: ignore[no-untyped-def]
    for row in range(start, stop):
        first = row * g.columns
        count = min(g.columns, g.size - first)
        if g.by_column:
            for i in range(count):
                moved = rint(load(x, first + i) / load(scales, i)) + load(zero_points, i)
                # In this order, NaN becomes the lowest.
                moved = moved if moved > low else low
                store(y, first + i, np.int32(high if moved > high else moved))
            continue
        scale, zero_point = scales[row % g.scales], zero_points[row % g.scales]
        for i in range(count):
            moved = rint(load(x, first + i) / scale) + zero_point
            moved = moved if moved > low else low
            store(y, first + i, np.int32(high if moved > high else moved))


@jit
def quantize(pool, x, y, scales, zero_points, low, high, g):  # type: ignore[no-untyped-def]
    """``y = saturate(rint(x / scale) + zero_point)``."""
    arguments = (x, y, scales, zero_points, low, high, g)
    parallel_for(pool, _quantize_rows, arguments, -(-g.size // g.columns), max(1, _PIECE // g.columns))


@jit
def _dequantize_rows(start, stop, thread, x, y, scales, zero_points, g):  # type: ignore[no-untyped-def]
    for row in range(start, stop):
        first = row * g.columns
        count = min(g.columns, g.size - first)
        if g.by_column:
            for i in range(count):
                store(y, first + i, np.float32(np.int32(load(x, first + i)) - load(zero_points, i)) * load(scales, i))
            continue
        scale, zero_point = scales[row % g.scales], zero_points[row % g.scales]
        for i in range(count):
            store(y, first + i, np.float32(np.int32(np.int32(load(x, first + i)) - zero_point)) * scale)


@jit
def dequantize(pool, x, y, scales, zero_points, g):  # type: ignore[no-untyped-def]
    """``y = (x - zero_point) * scale``; the zero points are int32."""
    arguments = (x, y, scales, zero_points, g)
    parallel_for(pool, _dequantize_rows, arguments, -(-g.size // g.columns), max(1, _PIECE // g.columns))


@jit(inline=True)
def _ordered(bits: np.int32) -> np.int32:
    """The bits of a float32 as an integer with the order of the floats, and back."""
    return np.int32(bits ^ (np.int32(bits >> np.int32(31)) & np.int32(0x7FFFFFFF)))


@jit
def _find_range(start, stop, thread, x, lows, highs):  # type: ignore[no-untyped-def]
    """The lowest and the highest of each piece of elements, and of 0: integers, whose order LLVM may choose."""
    for piece in range(start, stop):
        low, high = np.int32(0), np.int32(0)
        for i in range(piece * _PIECE, min((piece + 1) * _PIECE, x.size)):
            value = _ordered(bits_of(load(x, i)))
            low = value if value < low else low
            high = value if value > high else high
        lows[piece], highs[piece] = from_bits(_ordered(low)), from_bits(_ordered(high))


@jit
def quantize_dynamically(pool, x, y, y_scale, y_zero_point, lows, highs, zero_points, g):  # type: ignore[no-untyped-def]
    """The scale and zero point of the range of x and 0, and x quantized with them."""
    parallel_for(pool, _find_range, (x, lows, highs), -(-x.size // _PIECE), 1)
    low, high = np.float32(0), np.float32(0)
    for i in range(lows.size):
        low, high = min(low, lows[i]), max(high, highs[i])
    scale = (high - low) / np.float32(255)
    scale = np.float32(1) if scale == 0 else scale
    zero_point = rint(min(max(-low / scale, np.float32(0)), np.float32(255)))
    y_scale[0], y_zero_point[0], zero_points[0] = scale, np.uint8(zero_point), zero_point
    quantize(pool, x, y, y_scale, zero_points, np.float32(0), np.float32(255), g)


def _grid(shape: tuple[int, ...], parameter: tuple[int, ...], axis: int) -> Grid | None:
    """The tensor as rows; None where the parameter is neither one number nor one for each index of the axis."""
    size = math.prod(shape)
    if math.prod(parameter) == 1:
        return Grid(size, min(size, _PIECE), 1, 0)
    axis = normalize_axis(axis, len(shape))
    if parameter != (shape[axis],):
        return None
    inner = math.prod(shape[axis + 1 :])
    return Grid(size, shape[axis] if inner == 1 else inner, shape[axis], int(inner == 1))


@op("QuantizeLinear", since=23)
def quantize_linear(
    x: ArraySpec,
    y_scale: ArraySpec,
    y_zero_point: ArraySpec | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
    precision: int = 0,
    saturate: int = 1,
) -> Bound | Declined:
    """QuantizeLinear with constant scales, per tensor or axis (ONNX QuantizeLinear-23)."""
    dtype = dtype_of(output_dtype) if output_dtype else _UINT8
    if y_zero_point is not None:
        dtype = y_zero_point.dtype
    if x.dtype != FLOAT32 or y_scale.dtype != FLOAT32 or dtype not in _QUANTIZED or precision not in (0, 1):
        return Declined("only float32 to integers of 8 and 16 bits is compiled")
    if y_scale.value is None or (y_zero_point is not None and y_zero_point.value is None):
        return Declined("only constant scales and zero points are compiled")
    grid = None if block_size or not x.size else _grid(x.shape, y_scale.shape, axis)
    if grid is None or (y_zero_point is not None and y_zero_point.shape != y_scale.shape):
        return Declined("blocks, empty tensors, and shapes that do not fit are not compiled")
    if output_dtype and dtype != dtype_of(output_dtype):
        return Declined("output_dtype is not the type of the zero point: the reference says how")
    zero_points = np.zeros(grid.scales) if y_zero_point is None else y_zero_point.value
    limits = np.iinfo(dtype)
    return Bound(
        quantize,
        (
            Pool(),
            _writable(x, 0),
            Output(0, flat=True),
            _copy(y_scale.value, FLOAT32),
            _copy(zero_points, FLOAT32),
            np.float32(limits.min),
            np.float32(limits.max),
            grid,
        ),
        (ArraySpec(x.shape, dtype),),
    )


@op("QuantizeLinear", since=21, until=21)
def quantize_linear_21(
    x: ArraySpec,
    y_scale: ArraySpec,
    y_zero_point: ArraySpec | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
    saturate: int = 1,
) -> Bound | Declined:
    """QuantizeLinear without a precision of its own (ONNX QuantizeLinear-21)."""
    return quantize_linear(x, y_scale, y_zero_point, axis=axis, block_size=block_size, output_dtype=output_dtype)


@op("QuantizeLinear", since=19, until=19)
def quantize_linear_19(
    x: ArraySpec, y_scale: ArraySpec, y_zero_point: ArraySpec | None = None, *, axis: int = 1, saturate: int = 1
) -> Bound | Declined:
    """QuantizeLinear without blocks (ONNX QuantizeLinear-19)."""
    return quantize_linear(x, y_scale, y_zero_point, axis=axis)


@op("QuantizeLinear", since=13, until=13)
def quantize_linear_13(
    x: ArraySpec, y_scale: ArraySpec, y_zero_point: ArraySpec | None = None, *, axis: int = 1
) -> Bound | Declined:
    """QuantizeLinear per tensor or axis (ONNX QuantizeLinear-13)."""
    return quantize_linear(x, y_scale, y_zero_point, axis=axis)


@op("QuantizeLinear", since=10, until=10)
def quantize_linear_10(x: ArraySpec, y_scale: ArraySpec, y_zero_point: ArraySpec | None = None) -> Bound | Declined:
    """QuantizeLinear with one scale (ONNX QuantizeLinear-10)."""
    return quantize_linear(x, y_scale, y_zero_point)


@op("DequantizeLinear", since=23)
def dequantize_linear(
    x: ArraySpec,
    x_scale: ArraySpec,
    x_zero_point: ArraySpec | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
) -> Bound | Declined:
    """DequantizeLinear with constant scales, per tensor or axis (ONNX DequantizeLinear-23)."""
    if x.dtype not in _QUANTIZED | {_INT32} or x_scale.dtype != FLOAT32 or output_dtype not in (0, 1):
        return Declined("only integers of 8 and 16 bits, and int32, to float32 are compiled")
    if x_scale.value is None or (x_zero_point is not None and x_zero_point.value is None):
        return Declined("only constant scales and zero points are compiled")
    grid = None if block_size or not x.size else _grid(x.shape, x_scale.shape, axis)
    if grid is None or (x_zero_point is not None and x_zero_point.shape != x_scale.shape):
        return Declined("blocks, empty tensors, and shapes that do not fit are not compiled")
    zero_points = np.zeros(grid.scales) if x_zero_point is None else x_zero_point.value
    return Bound(
        dequantize,
        (
            Pool(),
            _writable(x, 0),
            Output(0, flat=True),
            _copy(x_scale.value, FLOAT32),
            _copy(zero_points, _INT32),
            grid,
        ),
        (ArraySpec(x.shape, FLOAT32),),
    )


@op("DequantizeLinear", since=21, until=21)
def dequantize_linear_21(
    x: ArraySpec,
    x_scale: ArraySpec,
    x_zero_point: ArraySpec | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
) -> Bound | Declined:
    """DequantizeLinear to the scale's type (ONNX DequantizeLinear-21)."""
    return dequantize_linear(x, x_scale, x_zero_point, axis=axis, block_size=block_size)


@op("DequantizeLinear", since=13, until=19)
def dequantize_linear_13(
    x: ArraySpec, x_scale: ArraySpec, x_zero_point: ArraySpec | None = None, *, axis: int = 1
) -> Bound | Declined:
    """DequantizeLinear per tensor or axis (ONNX DequantizeLinear-13)."""
    return dequantize_linear(x, x_scale, x_zero_point, axis=axis)


@op("DequantizeLinear", since=10, until=10)
def dequantize_linear_10(x: ArraySpec, x_scale: ArraySpec, x_zero_point: ArraySpec | None = None) -> Bound | Declined:
    """DequantizeLinear with one scale (ONNX DequantizeLinear-10)."""
    return dequantize_linear(x, x_scale, x_zero_point)


@op("DynamicQuantizeLinear", since=11)
def dynamic_quantize_linear(x: ArraySpec) -> Bound | Declined:
    """uint8 with the scale and zero point that fit the tensor's range and 0 (ONNX DynamicQuantizeLinear-11)."""
    if x.dtype != FLOAT32 or not x.size:
        return Declined("only float32, and no empty tensor, is compiled")
    partial = Scratch((-(-x.size // _PIECE),))
    grid = Grid(x.size, min(x.size, _PIECE), 1, 0)
    outputs = (ArraySpec(x.shape, _UINT8), ArraySpec((), FLOAT32), ArraySpec((), _UINT8))
    results = (Output(0, flat=True), Output(1, flat=True), Output(2, flat=True))
    return Bound(
        quantize_dynamically, (Pool(), _writable(x, 0), *results, partial, partial, Scratch((1,)), grid), outputs
    )


def _writable(spec: ArraySpec, index: int) -> Any:
    return Input(index, flat=True) if spec.value is None else _copy(spec.value, spec.dtype)


def _copy(values: Array, dtype: np.dtype[Any]) -> Array:
    return np.array(values, dtype).reshape(-1)
