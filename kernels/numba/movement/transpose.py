"""Transpose of any rank and type of element: copies of rows, or of square tiles that are turned in registers."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.memory import address
from onnxlite.kernels.numba.machine.simd import LANES
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.movement.copying import Block, bind_copy, is_movable, steps_of
from onnxlite.kernels.numba.movement.narrow_transpose import NARROW, narrow_transposer
from onnxlite.kernels.numba.spec import ArraySpec, Bound, Declined, Input, Output, Pool, View
from onnxlite.kernels.numba.table import op

#: The bytes that one piece of work moves.
_PIECE = 1 << 13

#: The axes around the planes whose tiles are turned.
_AXES = 4

_INT = ir.IntType(64)
_INDEX = ir.IntType(32)


def tile_length(size: int) -> int:
    """The rows and columns of a tile of elements of a size: what vector registers hold, and no more than 16."""
    return min(16, LANES * 4 // size)


def turner(size: int) -> Any:
    """``turn(target, target_step, source, source_step, rows, columns)`` for elements of a size.

    It transposes a tile of ``rows`` x ``columns`` elements; steps are bytes from one row to the next.
    """
    length = tile_length(size)
    element = ir.IntType(8 * size)
    vector = ir.VectorType(element, length)

    @intrinsic
    def turn(
        typing_context: Any, target: Any, target_step: Any, source: Any, source_step: Any, rows: Any, columns: Any
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            target, target_step, source, source_step, rows, columns = arguments

            def row(start: Any, step: Any, number: int) -> Any:
                place = builder.add(start, builder.mul(step, ir.Constant(_INT, number)))
                return builder.inttoptr(place, vector.as_pointer())

            def whole() -> None:
                lines = [builder.load(row(source, source_step, i), align=1) for i in range(length)]
                for i, line in enumerate(_turned(builder, lines, length)):
                    builder.store(line, row(target, target_step, i), align=1)

            def partial() -> None:
                slots = [cgutils.alloca_once_value(builder, ir.Constant(vector, [0] * length)) for _ in range(length)]
                within = _first_lanes(builder, columns, length)
                for i, slot in enumerate(slots):
                    with builder.if_then(builder.icmp_signed("<", ir.Constant(_INT, i), rows)):
                        builder.store(_masked_load(builder, vector, row(source, source_step, i), within), slot)
                lines = _turned(builder, [builder.load(slot) for slot in slots], length)
                below = _first_lanes(builder, rows, length)
                for i, line in enumerate(lines):
                    with builder.if_then(builder.icmp_signed("<", ir.Constant(_INT, i), columns)):
                        _masked_store(builder, line, row(target, target_step, i), below)

            full = builder.and_(
                builder.icmp_signed("==", rows, ir.Constant(_INT, length)),
                builder.icmp_signed("==", columns, ir.Constant(_INT, length)),
            )
            with builder.if_else(full) as (then, otherwise):
                with then:
                    whole()
                with otherwise:
                    partial()
            return context.get_dummy_value()

        return types.void(*(types.intp,) * 6), generate

    return turn


def _turned(builder: Any, lines: list[Any], length: int) -> list[Any]:
    """The transposed tile: each round interleaves line i with line i + length / 2, as a riffle shuffles cards."""
    half = length // 2
    index = ir.VectorType(_INDEX, length)
    low = ir.Constant(index, [i // 2 + i % 2 * length for i in range(length)])
    high = ir.Constant(index, [half + i // 2 + i % 2 * length for i in range(length)])
    for _ in range(length.bit_length() - 1):
        pairs = [(lines[i], lines[i + half]) for i in range(half)]
        lines = [builder.shuffle_vector(a, b, order) for a, b in pairs for order in (low, high)]
    return lines


def _first_lanes(builder: Any, count: Any, length: int) -> Any:
    index = ir.VectorType(_INDEX, length)
    one = builder.insert_element(ir.Constant(index, ir.Undefined), builder.trunc(count, _INDEX), ir.Constant(_INDEX, 0))
    counts = builder.shuffle_vector(one, ir.Constant(index, ir.Undefined), ir.Constant(index, [0] * length))
    return builder.icmp_signed("<", ir.Constant(index, list(range(length))), counts)


def _masked_load(builder: Any, vector: Any, place: Any, mask: Any) -> Any:
    name = f"llvm.masked.load.v{vector.count}i{vector.element.width}.p0"
    align, zeros = ir.Constant(_INDEX, 1), ir.Constant(vector, [0] * vector.count)
    kind = ir.FunctionType(vector, [place.type, align.type, mask.type, vector])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [place, align, mask, zeros])


def _masked_store(builder: Any, value: Any, place: Any, mask: Any) -> None:
    name = f"llvm.masked.store.v{value.type.count}i{value.type.element.width}.p0"
    align = ir.Constant(_INDEX, 1)
    kind = ir.FunctionType(ir.VoidType(), [value.type, place.type, align.type, mask.type])
    builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [value, place, align, mask])


@functools.cache
def _transposer(size: int) -> Any:
    """The transposition of planes of elements of a size."""
    turn = turner(size)
    length = tile_length(size)

    def turn_strips(start, stop, thread, target, source, table, rows, columns, source_step, target_step):  # type: ignore[no-untyped-def]
        lengths, source_steps, target_steps = table[0], table[1], table[2]
        strips = -(-columns // length)
        for number in range(start, stop):
            left, plane = number % strips * length, number // strips
            of, to = source + left * size, target + left * target_step
            for axis in range(_AXES - 1, -1, -1):
                place = plane % lengths[axis]
                plane //= lengths[axis]
                of += place * source_steps[axis]
                to += place * target_steps[axis]
            width = min(length, columns - left)
            # Down the rows: what is written goes on where the tile before ended, row by row.
            for top in range(0, rows, length):
                turn(to + top * size, target_step, of + top * source_step, source_step, min(length, rows - top), width)

    turn_strips.__name__ = turn_strips.__qualname__ = f"turn_strips_{size}"
    turn_strips = jit(turn_strips)

    def transpose_planes(pool, x, y, table, rows, columns, source_step, target_step, strips, piece):  # type: ignore[no-untyped-def]
        arguments = (address(y, 0), address(x, 0), table, rows, columns, source_step, target_step)
        parallel_for(pool, turn_strips, arguments, strips, piece)

    transpose_planes.__name__ = transpose_planes.__qualname__ = f"transpose_planes_{size}"
    return jit(transpose_planes)


#: The sizes of the elements that are turned in registers.
_SIZES = (1, 2, 4, 8)


@op("Transpose", since=1)
def transpose(data: ArraySpec, *, perm: Sequence[int] | None = None) -> Bound | View | Declined:
    """Dimensions in the order ``perm``, by default reversed (ONNX Transpose-1)."""
    rank = len(data.shape)
    order = tuple(range(rank))[::-1] if perm is None else tuple(perm)
    if sorted(order) != list(range(rank)):
        return Declined(f"expected perm to order the {rank} axes of {data.shape}, got {list(order)}")
    return bind_transpose(data.dtype, data.shape, order, tuple(data.shape[axis] for axis in order))


def bind_transpose(
    dtype: np.dtype[Any], shape: Sequence[int], order: Sequence[int], result: tuple[int, ...]
) -> Bound | View | Declined:
    """A tensor of a shape with its axes in another order, given the shape ``result``."""
    data = ArraySpec(tuple(shape), dtype)
    lengths, axes = _merged(shape, order)
    if len(axes) < 2 or not data.size:
        return View(result)
    size = dtype.itemsize
    source_steps = steps_of(lengths, size)
    turned = tuple(lengths[axis] for axis in axes)
    if axes[-1] == len(axes) - 1 or size not in _SIZES:
        steps = tuple(source_steps[axis] for axis in axes)
        return bind_copy(data, Block(turned, steps, steps_of(turned, size), size), result)
    return _turning(data, result, lengths, axes)


def _merged(shape: Sequence[int], order: Sequence[int]) -> tuple[list[int], list[int]]:
    """The lengths and the order of the axes, without those of length 1, and neighbours that stay neighbours as one."""
    groups: list[list[int]] = []
    for axis in (a for a in order if shape[a] != 1):
        previous = [a for a in range(axis) if shape[a] != 1][-1:]
        if groups and groups[-1][-1:] == previous:
            groups[-1].append(axis)
        else:
            groups.append([axis])
    ranks = sorted(range(len(groups)), key=lambda group: groups[group][0])
    lengths = [math.prod(shape[axis] for axis in groups[group]) for group in ranks]
    return lengths, [ranks.index(group) for group in range(len(groups))]


def _turning(data: ArraySpec, result: tuple[int, ...], lengths: Sequence[int], axes: Sequence[int]) -> Bound | Declined:
    """The transposition of the plane of the last axes of input and output, for every place along the other axes."""
    if not is_movable(data.dtype):
        return Declined(f"moving elements of {data.dtype} is not compiled")
    size, last = data.dtype.itemsize, len(axes) - 1
    source_steps = steps_of(lengths, size)
    target_steps = dict(zip(axes, steps_of([lengths[axis] for axis in axes], size), strict=True))
    others = [axis for axis in axes[:-1] if axis != last]
    if len(others) > _AXES:
        return Declined(f"a transposition of {len(axes)} axes is not compiled")
    rows, columns = lengths[axes[-1]], lengths[last]
    if list(axes) == [*range(last - 1), last, last - 1] and min(rows, columns) in NARROW:
        return _narrow(data, result, rows, columns)
    missing = _AXES - len(others)
    table = np.array(
        [
            [1] * missing + [lengths[axis] for axis in others],
            [0] * missing + [source_steps[axis] for axis in others],
            [0] * missing + [target_steps[axis] for axis in others],
        ],
        np.int64,
    )
    strips = math.prod(lengths[axis] for axis in others) * -(-columns // tile_length(size))
    arguments = (
        *(Pool(), Input(0, flat=True), Output(flat=True), table, rows, columns),
        *(source_steps[axes[-1]], target_steps[last], strips, max(1, _PIECE // (tile_length(size) * rows * size))),
    )
    return Bound(_transposer(size), arguments, (ArraySpec(result, data.dtype),))


def _narrow(data: ArraySpec, result: tuple[int, ...], rows: int, columns: int) -> Bound:
    """The transposition of matrices of which one side is short."""
    function = narrow_transposer(data.dtype.itemsize, min(rows, columns), rows < columns)
    arguments = (Pool(), Input(0, flat=True), Output(flat=True), data.size // (rows * columns), max(rows, columns))
    return Bound(function, arguments, (ArraySpec(result, data.dtype),))
