"""MaxPool, AveragePool and their global forms on images with the channels first, on one to three spatial axes.

Windows of few elements are reduced as they are, a row of windows after the other.  Large ones are reduced along rows
first, and then across: a window of 5 x 5 costs 10 steps, not 25.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.geometry import Ints, Windows, covered, windows
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.machine.vector_code import Combine, add, larger
from onnxlite.kernels.numba.pooling.window_maxima import bind_maxima
from onnxlite.kernels.numba.pooling.window_row import window_row
from onnxlite.kernels.numba.reduction.reduction import REDUCE_MAX, REDUCE_MEAN, bind_reduction
from onnxlite.kernels.numba.spec import ArraySpec, Bound, Declined, Input, Output, Pool, Scratch
from onnxlite.kernels.numba.table import op

#: The elements that one piece of work reads.
_PIECE = 1 << 16

#: Windows with more elements on two axes than this are reduced along one axis first.
_MANY = 12

_FLOATS = frozenset(map(np.dtype, (np.float32, np.float64)))
_INT64 = np.dtype(np.int64)
_BYTES = frozenset(map(np.dtype, (np.int8, np.uint8)))


class _Geometry(NamedTuple):
    """The spatial lengths of image, windows and their row; missing spatial axes have length 1."""

    depth: int
    height: int
    width: int
    out_depth: int
    out_height: int
    out_width: int
    kernel_depth: int
    kernel_height: int
    kernel_width: int
    stride: int
    dilation: int
    begin: int


@jit(inline=True)
def _rows_of_windows(table, g, levels, rows, plane, out_level, out_row, width):  # type: ignore[no-untyped-def]
    """Write where the rows start that a row of windows covers, in rows of a width, and return how many they are."""
    count = 0
    for i in range(g.kernel_depth):
        level = levels[out_level * g.kernel_depth + i]
        if 0 <= level < g.depth:
            for j in range(g.kernel_height):
                row = rows[out_row * g.kernel_height + j]
                if 0 <= row < g.height:
                    table[count] = ((plane * g.depth + level) * g.height + row) * width
                    count += 1
    return count


def _direct(name: str, combine: Combine, stride: int | None, divides: bool, square: int | None = None) -> Any:
    """The pool that reduces windows as they are, perhaps made for square windows of a length."""
    reduce = window_row(combine, stride, keeps_nan=not divides, divides=divides)
    reduce_square = window_row(combine, stride, keeps_nan=not divides, divides=divides, square=square)
    rows_of_square = square or 0

    def pool_rows(start, stop, thread, x, y, identity, g, levels, rows, divisors, tables):  # type: ignore[no-untyped-def]
        table = tables[thread]
        plane, place = start // (g.out_depth * g.out_height), start % (g.out_depth * g.out_height)
        out_level, out_row = place // g.out_height, place % g.out_height
        for out in range(start, stop):
            count = _rows_of_windows(table, g, levels, rows, plane, out_level, out_row, g.width)
            first = (out_level * g.out_height + out_row) * g.out_width
            if count == rows_of_square:
                reduce_square(
                    y, out * g.out_width, g.out_width, x, table, count, g.width, g.kernel_width, g.stride, g.dilation,
                    g.begin, identity, divisors, first,
                )  # fmt: skip
            else:
                reduce(
                    y, out * g.out_width, g.out_width, x, table, count, g.width, g.kernel_width, g.stride, g.dilation,
                    g.begin, identity, divisors, first,
                )  # fmt: skip
            out_row += 1
            if out_row == g.out_height:
                out_level, out_row = out_level + 1, 0
                if out_level == g.out_depth:
                    plane, out_level = plane + 1, 0

    pool_rows = _jit(pool_rows, f"{name}_rows")

    def pool_images(pool, x, y, identity, geometry, levels, rows, divisors, tables, count, piece):  # type: ignore[no-untyped-def]
        arguments = (x, y, identity, geometry, levels, rows, divisors, tables)
        parallel_for(pool, pool_rows, arguments, count, piece)

    return _jit(pool_images, name)


def _by_axes(name: str, combine: Combine, stride: int | None, divides: bool) -> Any:
    """The pool that reduces windows along rows first, then across."""
    along = window_row(combine, stride, keeps_nan=not divides)
    across = window_row(combine, 1, keeps_nan=not divides, divides=divides)

    def pool_planes(start, stop, thread, x, y, identity, g, levels, rows, divisors, tables, lines):  # type: ignore[no-untyped-def]
        table, reduced = tables[thread], lines[thread]
        for plane in range(start, stop):
            for row in range(g.depth * g.height):
                table[0] = (plane * g.depth * g.height + row) * g.width
                along(
                    reduced, row * g.out_width, g.out_width, x, table, 1, g.width, g.kernel_width, g.stride, g.dilation,
                    g.begin, identity, divisors, 0,
                )  # fmt: skip
            for out_level in range(g.out_depth):
                for out_row in range(g.out_height):
                    count = _rows_of_windows(table, g, levels, rows, 0, out_level, out_row, g.out_width)
                    first = (out_level * g.out_height + out_row) * g.out_width
                    place = plane * g.out_depth * g.out_height * g.out_width + first
                    across(
                        y, place, g.out_width, reduced, table, count, g.out_width, 1, 1, 1, 0, identity, divisors, first
                    )

    pool_planes = _jit(pool_planes, f"{name}_planes")

    def pool_images(pool, x, y, identity, geometry, levels, rows, divisors, tables, lines, count, piece):  # type: ignore[no-untyped-def]
        arguments = (x, y, identity, geometry, levels, rows, divisors, tables, lines)
        parallel_for(pool, pool_planes, arguments, count, piece)

    return _jit(pool_images, name)


def _jit(function: Any, name: str) -> Any:
    """The compiled function under a name of its own, which tells the cache one from the other."""
    function.__name__ = function.__qualname__ = name
    return jit(function)


@dataclass(frozen=True, slots=True)
class _Pools:
    """One operation's pools, by stride (None: any): of few elements, of many, and of squares by their length too."""

    few: Mapping[int | None, Any]
    many: Mapping[int | None, Any]
    squares: Mapping[tuple[int, int], Any]


def _pools(name: str, combine: Combine, divides: bool) -> _Pools:
    strides = (1, 2, None)
    return _Pools(
        {stride: _direct(f"{name}_stride_{stride}", combine, stride, divides) for stride in strides},
        {stride: _by_axes(f"large_{name}_stride_{stride}", combine, stride, divides) for stride in strides},
        {
            (length, stride): _direct(f"{name}_{length}_stride_{stride}", combine, stride, divides, length)
            for length, stride in ((2, 2), (3, 1), (3, 2))
        },
    )


_MAXIMA = _pools("max_pool", larger, divides=False)
_MEANS = _pools("average_pool", add, divides=True)


def _bind(pools: _Pools, x: ArraySpec, where: Windows, identity: float, divisors: Array) -> Bound:
    missing = 3 - len(where.image)
    image, kernel, output = ((1,) * missing + lengths for lengths in (where.image, where.kernel, where.output))
    stride = where.strides[-1]
    geometry = _Geometry(*(*image, *output, *kernel, stride, where.dilations[-1], where.begins[-1]))
    levels, rows = ([np.zeros((1, 1), np.int64)] * missing + [where.positions(axis) for axis in range(3 - missing)])[:2]
    arrays = (Pool(), Input(0, flat=True), Output(flat=True), x.dtype.type(identity), geometry)
    tables = (levels.reshape(-1), rows.reshape(-1), divisors, Scratch((kernel[0] * kernel[1],), _INT64, True))
    result = ArraySpec((*x.shape[:2], *where.output), x.dtype)
    planes = x.shape[0] * x.shape[1]
    kind = stride if stride in (1, 2) else None
    if math.prod(kernel) > _MANY and kernel[0] * kernel[1] > 1 and kernel[2] > 1:
        lines = Scratch((image[0] * image[1] * output[2],), x.dtype, per_thread=True)
        return Bound(pools.many[kind], (*arrays, *tables, lines, planes, max(1, _PIECE // math.prod(image))), (result,))
    piece = max(1, _PIECE // (kernel[0] * kernel[1] * image[2]))
    square = kernel[0] == 1 and kernel[1] == kernel[2] and where.dilations[-1] == 1
    function = pools.squares.get((kernel[2], stride)) if square else None
    return Bound(function or pools.few[kind], (*arrays, *tables, planes * output[0] * output[1], piece), (result,))


def _max(
    x: ArraySpec, kernel_shape: Ints, output_count: int = 1, storage_order: int = 0, **geometry: Any
) -> Bound | Declined:
    if x.dtype not in _FLOATS | _BYTES or not 3 <= len(x.shape) <= 5 or not x.size:
        return Declined("only floats and bytes on one to three spatial axes are compiled")
    identity = -math.inf if x.dtype in _FLOATS else np.iinfo(x.dtype).min
    where = windows(x.shape[2:], kernel_shape, **geometry)
    if output_count > 1:
        return bind_maxima(x, where, column_major=bool(storage_order))
    if _is_global(where) and x.dtype in _FLOATS:
        return bind_reduction(REDUCE_MAX, x, tuple(range(2, len(x.shape))), keepdims=True)
    return _bind(_MAXIMA, x, where, identity, np.empty(0, x.dtype))


def _average(x: ArraySpec, kernel_shape: Ints, count_include_pad: int = 0, **geometry: Any) -> Bound | Declined:
    if x.dtype not in _FLOATS or not 3 <= len(x.shape) <= 5 or not x.size:
        return Declined("only floats on one to three spatial axes are compiled")
    where = windows(x.shape[2:], kernel_shape, **geometry)
    if _is_global(where):
        return bind_reduction(REDUCE_MEAN, x, tuple(range(2, len(x.shape))), keepdims=True)
    counts = np.broadcast_to(covered(where, with_padding=bool(count_include_pad)), where.output)
    return _bind(_MEANS, x, where, 0, counts.astype(x.dtype).reshape(-1))


def _is_global(where: Windows) -> bool:
    """Whether there is one window, the image."""
    return where.kernel == where.image and set(where.output) == {1} and not any(where.begins + where.ends)


@op("MaxPool", since=10)
def max_pool(
    x: ArraySpec,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Ints | None = None,
    kernel_shape: Ints,
    pads: Ints | None = None,
    storage_order: int = 0,
    strides: Ints | None = None,
    output_count: int,
) -> Bound | Declined:
    """The maximum of every window (ONNX MaxPool-22)."""
    return _max(
        x,
        kernel_shape,
        output_count,
        storage_order,
        strides=strides,
        dilations=dilations,
        pads=pads,
        auto_pad=auto_pad,
        ceil_mode=ceil_mode,
    )


@op("MaxPool", since=8, until=8)
def max_pool_8(
    x: ArraySpec,
    *,
    auto_pad: str = "NOTSET",
    kernel_shape: Ints,
    pads: Ints | None = None,
    storage_order: int = 0,
    strides: Ints | None = None,
    output_count: int,
) -> Bound | Declined:
    """MaxPool without dilations and ceil mode (ONNX MaxPool-8)."""
    return _max(x, kernel_shape, output_count, storage_order, strides=strides, pads=pads, auto_pad=auto_pad)


@op("MaxPool", since=1, until=1)
def max_pool_1(
    x: ArraySpec,
    *,
    auto_pad: str = "NOTSET",
    kernel_shape: Ints,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Bound | Declined:
    """MaxPool without indices (ONNX MaxPool-1)."""
    return _max(x, kernel_shape, strides=strides, pads=pads, auto_pad=auto_pad)


@op("AveragePool", since=19)
def average_pool(
    x: ArraySpec,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: Ints | None = None,
    kernel_shape: Ints,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Bound | Declined:
    """The mean of every window (ONNX AveragePool-22)."""
    return _average(
        x,
        kernel_shape,
        count_include_pad,
        strides=strides,
        dilations=dilations,
        pads=pads,
        auto_pad=auto_pad,
        ceil_mode=ceil_mode,
    )


@op("AveragePool", since=10, until=11)
def average_pool_10(
    x: ArraySpec,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    kernel_shape: Ints,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Bound | Declined:
    """AveragePool without dilations (ONNX AveragePool-10 and 11)."""
    return _average(
        x, kernel_shape, count_include_pad, strides=strides, pads=pads, auto_pad=auto_pad, ceil_mode=ceil_mode
    )


@op("AveragePool", since=7, until=7)
def average_pool_7(
    x: ArraySpec,
    *,
    auto_pad: str = "NOTSET",
    count_include_pad: int = 0,
    kernel_shape: Ints,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Bound | Declined:
    """AveragePool without dilations and ceil mode (ONNX AveragePool-7)."""
    return _average(x, kernel_shape, count_include_pad, strides=strides, pads=pads, auto_pad=auto_pad)


@op("AveragePool", since=1, until=1)
def average_pool_1(
    x: ArraySpec,
    *,
    auto_pad: str = "NOTSET",
    kernel_shape: Ints,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Bound | Declined:
    """AveragePool of the elements that are no padding (ONNX AveragePool-1)."""
    return _average(x, kernel_shape, strides=strides, pads=pads, auto_pad=auto_pad)


@op("GlobalAveragePool")
def global_average_pool(x: ArraySpec) -> Bound | Declined:
    """The mean over the spatial axes (ONNX GlobalAveragePool-22)."""
    return bind_reduction(REDUCE_MEAN, x, tuple(range(2, len(x.shape))), keepdims=True)


@op("GlobalMaxPool")
def global_max_pool(x: ArraySpec) -> Bound | Declined:
    """The maximum over the spatial axes (ONNX GlobalMaxPool-22)."""
    return bind_reduction(REDUCE_MAX, x, tuple(range(2, len(x.shape))), keepdims=True)
