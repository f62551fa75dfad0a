"""How products and convolutions of 8-bit integers are bound to shapes: what `product` is called with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.geometry import Windows
from onnxlite.kernels.numba.convolution.channels_last import Padding, patches
from onnxlite.kernels.numba.machine.simd import TILE_COLUMNS, TILE_ROWS
from onnxlite.kernels.numba.prepared import prepared
from onnxlite.kernels.numba.quantized.integer_copy import (
    UNIT,
    Copy,
    Right,
    groups,
    pack_constant_matrix,
    pack_filters,
    pack_weights,
)
from onnxlite.kernels.numba.quantized.integer_tile import BYTES, GROUP
from onnxlite.kernels.numba.quantized.product import (
    BLOCK_COLUMNS,
    BLOCK_ROWS,
    FLOAT,
    INT8,
    INT32,
    UINT8,
    Product,
    convolve_quantized,
    multiply_quantized,
)
from onnxlite.kernels.numba.spec import FLOAT32, ArraySpec, Bound, Declined, Input, Output, Pool, Scratch

INTEGER = np.dtype(np.int32)
BYTE_TYPES = frozenset(map(np.dtype, (np.uint8, np.int8)))


_DTYPES: dict[int, np.dtype[Any]] = {
    INT32: INTEGER,
    UINT8: np.dtype(np.uint8),
    INT8: np.dtype(np.int8),
    FLOAT: FLOAT32,
}


@dataclass(frozen=True, slots=True)
class Finish:
    """What the int32 sums of a product become.

    Args:
        kind: INT32, UINT8, INT8 or FLOAT.
        scales: What they are multiplied by, beside the left operand's scale: a number, or one for each column.
        addends: What is added then: a number, or one for each column.
        zero_point: What is added once they are rounded.
        limits: The lowest and highest result.
    """

    kind: int
    scales: Array
    addends: Array
    zero_point: int = 0
    limits: tuple[int, int] = (0, 0)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the results."""
        return _DTYPES[self.kind]

    @property
    def bounds(self) -> tuple[np.float32, np.float32]:
        """The limits before the zero point is added."""
        low, high = (np.float32(limit - self.zero_point) for limit in self.limits)
        return low, high


#: The sums as they are.
SUMS = Finish(INT32, np.ones(1, np.float32), np.zeros(1, np.float32))


@dataclass(frozen=True, slots=True)
class Left:
    """A left operand of bytes: its scale and zero point are constants or inputs."""

    x: ArraySpec
    scale: ArraySpec | None
    zero_point: ArraySpec | None
    indices: tuple[int, int, int]

    def refusal(self) -> Declined | None:
        """Why it cannot be compiled."""
        if self.x.dtype not in BYTE_TYPES or not self.x.size:
            return Declined("only bytes, and no empty tensor, are compiled")
        if self.zero_point is not None and (self.zero_point.size != 1 or self.zero_point.dtype != self.x.dtype):
            return Declined("only one zero point of the left operand's type is compiled")
        if self.scale is not None and (self.scale.size != 1 or self.scale.dtype != FLOAT32):
            return Declined("only one float32 scale is compiled for the left operand")
        return None

    def arguments(self) -> tuple[Any, Any, Any]:
        """The operand, its scale and its zero point as arguments."""
        scale = ArraySpec((1,), FLOAT32, np.ones(1, np.float32)) if self.scale is None else self.scale
        zero = ArraySpec((1,), self.x.dtype, np.zeros(1, self.x.dtype)) if self.zero_point is None else self.zero_point
        of_x, of_scale, of_zero = self.indices
        return _argument(self.x, of_x), _argument(scale, of_scale), _argument(zero, of_zero)


def _argument(spec: ArraySpec, index: int) -> Any:
    return Input(index, flat=True) if spec.value is None else np.array(spec.value).reshape(-1)


def finish(
    columns: int,
    b_scale: ArraySpec,
    bias: ArraySpec | None,
    y_scale: ArraySpec | None,
    y_zero_point: ArraySpec | None,
    limits: tuple[int | None, int | None],
) -> Finish | Declined:
    """What becomes of a product by a scale of its right operand, a bias, and a scale and zero point of its result."""
    given = [spec for spec in (b_scale, bias, y_scale, y_zero_point) if spec is not None]
    if any(spec.value is None for spec in given):
        return Declined("only constant scales, zero points and biases are compiled")
    for spec in (b_scale, bias, y_scale):
        if spec is not None and spec.dtype != FLOAT32:
            return Declined("only float32 scales and biases are compiled")
    if any(spec is not None and spec.size != 1 and spec.shape[-1:] != (spec.size,) for spec in (b_scale, bias)):
        return Declined("only scales and biases along the last axis are compiled")
    if any(spec is not None and spec.size not in (1, columns) for spec in (b_scale, bias)):
        return Declined("only one scale or bias, or one for each column, is compiled")
    scales = np.asarray(b_scale.value).reshape(-1)
    addends = np.zeros(1, np.float32) if bias is None else np.asarray(bias.value).reshape(-1)
    if y_scale is None:
        return Finish(FLOAT, scales, addends)
    dtype = np.dtype(np.uint8) if y_zero_point is None else y_zero_point.dtype
    if dtype not in BYTE_TYPES or y_scale.size != 1 or (y_zero_point is not None and y_zero_point.size != 1):
        return Declined("only a result of bytes with one scale is compiled")
    zero_point = 0 if y_zero_point is None else int(np.asarray(y_zero_point.value).item())
    unit = np.asarray(y_scale.value).reshape(())
    range_ = np.iinfo(dtype)
    low, high = (
        whole if limit is None else limit for whole, limit in zip((range_.min, range_.max), limits, strict=True)
    )
    kind = UINT8 if dtype == np.uint8 else INT8
    return Finish(kind, scales / unit, addends / unit, zero_point, (low, high))


def _lengths(rows: int, columns: int, items: int) -> tuple[int, int]:
    """The rows of a block, and the parts that the columns are divided in so that there is work for some threads."""
    blocks = max(1, round(rows / BLOCK_ROWS))
    block = -(-rows // (blocks * TILE_ROWS)) * TILE_ROWS
    panels = -(-columns // TILE_COLUMNS)
    return block, max(1, min(panels, 8 // (-(-rows // block) * items)))


def _scratch(p: Product, columns: int) -> tuple[Scratch, ...]:
    """The memory for terms, factors and addends of all columns, and the sums of a block and of its rows."""
    rows = p.block + TILE_ROWS
    return (
        Scratch((columns,), INTEGER),
        Scratch((columns,)),
        Scratch((columns,)),
        Scratch((rows * BLOCK_COLUMNS,), INTEGER, per_thread=True),
        Scratch((rows * TILE_COLUMNS,), INTEGER, per_thread=True),
    )


def spread(values: Array, count: int) -> Array:
    """A number, or one for each column, as numbers of all columns."""
    return np.array(np.broadcast_to(values, (count,)), np.float32)


def _table(items: list[tuple[int, int, int, int]]) -> Array:
    return np.array(items, np.int64).reshape(-1)


def bind_windows(left: Left, w: Array, w_zeros: tuple[int, ...], where: Windows, group: int, f: Finish) -> Bound:
    """A convolution of images with the channels last, with constant weights (filters, channels, kernel...)."""
    x = left.x
    together = _groups_together(group, w.shape[0] // group)
    right: Right = prepared(w, pack_filters, w_zeros, group, together)
    group //= together
    images, channels, filters = x.shape[0], w.shape[1] * together, w.shape[0] // group
    group_size = groups(channels) * GROUP * UNIT
    pixel = group * group_size
    p = patches(where, pixel, group_size)
    signed = int(x.dtype == np.int8)
    copy = copy_of(p.padding, where.image, group, channels, signed)
    in_place = p.padding is None and BYTES and not signed and group_size == channels
    positions = len(p.starts) - TILE_ROWS
    block, splits = _lengths(positions, filters, group)
    product = Product(
        group, positions, filters, len(p.taps), p.run // 4, channels * math.prod(where.kernel), block, splits, signed,
        group * filters, f.kind, f.zero_point, *f.bounds,
    )  # fmt: skip
    size = right.panels.size // group
    table = _table([(g * group_size, g * size, g * filters, g * filters) for g in range(group)])
    shape = (images, *where.output, w.shape[0])
    return _bound(left, right, f, p.starts, p.taps, table, product, copy, in_place, images, shape)


def _groups_together(group: int, filters: int) -> int:
    """How many groups are multiplied together, so that their filters fill a panel that they would leave empty."""
    return max((n for n in range(1, group + 1) if group % n == 0 and n * filters <= TILE_COLUMNS), default=1)


def copy_of(padding: Padding | None, image: tuple[int, ...], group: int, channels: int, signed: int) -> Copy:
    """How an image is copied for a kernel with some groups of channels."""
    whole = (1,) * (3 - len(image)) + image
    lengths = (*whole, 0, 0, 0, *whole)
    if padding is not None:
        lengths = (*padding[:3], *padding[4:])
    return Copy(*lengths, group, channels, groups(channels) * GROUP * UNIT, signed)  # type: ignore[call-arg]


def _bound(
    left: Left, right: Right, f: Finish, starts: Array, taps: Array, table: Array, p: Product, copy: Copy,
    in_place: bool, images: int, shape: tuple[int, ...],
) -> Bound:  # fmt: skip
    columns = p.items * p.columns
    x, scale, zero = left.arguments()
    return Bound(
        convolve_quantized,
        (
            Pool(),
            x,
            scale,
            zero,
            right.panels,
            right.ones,
            right.sums,
            right.zeros,
            spread(f.scales, columns),
            spread(f.addends, columns),
            Output(flat=True),
            images,
            left.x.size // images,
            starts,
            taps,
            table,
            p,
            copy,
            Scratch((0 if in_place else copy.size,), np.dtype(np.uint8)),
            *_scratch(p, columns),
        ),
        (ArraySpec(shape, f.dtype),),
    )


def bind_rows(left: Left, b: Array, b_zeros: tuple[int, ...], f: Finish, shape: tuple[int, ...]) -> Bound:
    """The product of the rows of the left operand with a constant matrix (depth, columns), in a shape."""
    depth, columns = b.shape
    rows, row_size = left.x.size // depth, groups(depth) * GROUP * UNIT
    signed = int(left.x.dtype == np.int8)
    block, splits = _lengths(rows, columns, 1)
    p = Product(
        1, rows, columns, 1, groups(depth), depth, block, splits, signed, columns, f.kind, f.zero_point,
        *f.bounds,
    )  # fmt: skip
    copy = Copy(1, rows, 1, 0, 0, 0, 1, rows, 1, 1, depth, row_size, signed)
    in_place = BYTES and not signed and row_size == depth
    right: Right = prepared(b, pack_constant_matrix, b_zeros)
    starts, taps, table = _row_starts(rows, row_size), np.zeros(1, np.int64), _table([(0, 0, 0, 0)])
    return _bound(left, right, f, starts, taps, table, p, copy, in_place, 1, shape)


def _row_starts(rows: int, size: int) -> Array:
    """Where rows start; the last one is repeated for whole tiles."""
    return np.minimum(np.arange(rows + TILE_ROWS, dtype=np.int64), rows - 1) * size


def bind_batch(left: Left, b: ArraySpec, b_index: int, b_zero_point: int, f: Finish, shape: tuple[int, ...]) -> Bound:
    """The products of matrices (..., rows, depth) and (..., depth, columns) of a batch, both given on the run.

    The batches are broadcast together; ``shape`` is that of the result.
    """
    a = left.x
    rows, depth, columns = a.shape[-2], a.shape[-1], b.shape[-1]
    batch = shape[:-2]
    signed, row_size = int(a.dtype == np.int8), groups(depth) * GROUP * UNIT
    items, count = math.prod(batch), math.prod(b.shape[:-2])
    block, splits = _lengths(rows, columns, items)
    p = Product(
        items, rows, columns, 1, groups(depth), depth, block, splits, signed, columns, f.kind, f.zero_point,
        *f.bounds,
    )  # fmt: skip
    size = -(-columns // TILE_COLUMNS) * TILE_COLUMNS * groups(depth)
    of_a, of_b = _numbers(a.shape[:-2], batch), _numbers(b.shape[:-2], batch)
    numbers = zip(of_a, of_b, range(items), strict=True)
    table = _table([(i * rows * row_size, j * size, j * columns, n * rows * columns) for i, j, n in numbers])
    height = a.size // depth
    copy = Copy(1, height, 1, 0, 0, 0, 1, height, 1, 1, depth, row_size, signed)
    in_place = BYTES and not signed and row_size == depth
    zero = b_zero_point - (128 if b.dtype == np.uint8 else 0) if BYTES else 0
    ones = np.zeros(0, np.int32)
    if zero:
        ones = pack_weights(np.ones((1, depth), np.int8), (1,), 1).ones
    x, scale, a_zero = left.arguments()
    return Bound(
        multiply_quantized,
        (
            Pool(),
            x,
            scale,
            a_zero,
            Input(b_index, flat=True),
            int(b.dtype == np.int8),
            b_zero_point,
            count,
            ones,
            np.full(count * columns, zero, np.int32),
            spread(np.broadcast_to(f.scales, (count, columns)).reshape(-1), count * columns),
            spread(np.broadcast_to(f.addends, (count, columns)).reshape(-1), count * columns),
            Output(flat=True),
            _row_starts(rows, row_size),
            np.zeros(1, np.int64),
            table,
            p,
            copy,
            Scratch((0 if in_place else copy.size,), np.dtype(np.uint8)),
            Scratch((count * size,), INTEGER),
            Scratch((count * columns,), INTEGER),
            *_scratch(p, count * columns),
        ),
        (ArraySpec(shape, f.dtype),),
    )


def _numbers(batch: tuple[int, ...], broadcast: tuple[int, ...]) -> list[int]:
    """The numbers of the matrices of a batch, in the order of the batch that it is broadcast to."""
    numbers: list[int] = np.broadcast_to(np.arange(math.prod(batch)).reshape(batch), broadcast).reshape(-1).tolist()
    return numbers
