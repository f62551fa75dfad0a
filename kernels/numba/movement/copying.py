"""Copies between places in memory by their addresses, whatever is stored there.

A copy of a block of a tensor is a loop over rows, in which elements lie a fixed number of bytes apart in the source and
in the target.  That is what slices, joins, splits, broadcasts, repetitions and many transpositions are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.memory import address
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.spec import ArraySpec, Bound, Declined, Input, Output, Pool

#: The bytes that one piece of work copies.
_PIECE = 1 << 14

#: An axis is short if it has fewer places than this.
_SHORT = 8

#: The axes around the rows of a copy.
AXES = 5

_INT = ir.IntType(64)
_BYTE = ir.IntType(8).as_pointer()


@intrinsic
def copy_bytes(typing_context: Any, target: Any, source: Any, count: Any) -> Any:
    """Copy a number of bytes from one address to another; the two places do not overlap."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target, source, count = arguments
        kind = ir.FunctionType(ir.VoidType(), [_BYTE, _BYTE, _INT, ir.IntType(1)])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.memcpy.p0.p0.i64")
        places = [builder.inttoptr(place, _BYTE) for place in (target, source)]
        builder.call(function, [*places, count, ir.Constant(ir.IntType(1), 0)])
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), generate


def _mover(size: int) -> Any:
    """A function that copies one element of a size from one address to another."""
    kind = ir.IntType(8 * size).as_pointer()

    @intrinsic
    def move(typing_context: Any, target: Any, source: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            target, source = (builder.inttoptr(place, kind) for place in arguments)
            builder.store(builder.load(source, align=1), target, align=1)
            return context.get_dummy_value()

        return types.void(types.intp, types.intp), generate

    return move


def _filler(size: int) -> Any:
    """A function that copies one element of a size to ``count`` places side by side."""
    kind = ir.IntType(8 * size).as_pointer()

    @intrinsic
    def fill(typing_context: Any, target: Any, source: Any, count: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            target, source, count = arguments
            value = builder.load(builder.inttoptr(source, kind), align=1)
            target = builder.inttoptr(target, kind)
            with cgutils.for_range(builder, count) as loop:
                builder.store(value, builder.gep(target, [loop.index]), align=1)
            return context.get_dummy_value()

        return types.void(types.intp, types.intp, types.intp), generate

    return fill


move_1, move_2, move_4, move_8, move_16 = (_mover(size) for size in (1, 2, 4, 8, 16))
_fill_1, _fill_2, _fill_4, _fill_8, _fill_16 = (_filler(size) for size in (1, 2, 4, 8, 16))


@jit
def fill(target: int, source: int, count: int, size: int) -> None:
    """Copy one element of a size to ``count`` places side by side."""
    if size == 4:
        _fill_4(target, source, count)
    elif size == 8:
        _fill_8(target, source, count)
    elif size == 1:
        _fill_1(target, source, count)
    elif size == 2:
        _fill_2(target, source, count)
    else:
        _fill_16(target, source, count)


@jit
def copy_elements(target: int, target_step: int, source: int, source_step: int, count: int, size: int) -> None:
    """Copy elements of a size that lie some bytes apart."""
    if source_step == 0 and target_step == size:
        fill(target, source, count, size)
    elif size == 4:
        for i in range(count):
            move_4(target + i * target_step, source + i * source_step)
    elif size == 8:
        for i in range(count):
            move_8(target + i * target_step, source + i * source_step)
    elif size == 1:
        for i in range(count):
            move_1(target + i * target_step, source + i * source_step)
    elif size == 2:
        for i in range(count):
            move_2(target + i * target_step, source + i * source_step)
    else:
        for i in range(count):
            move_16(target + i * target_step, source + i * source_step)


@jit
def copy_rows(target: int, target_step: int, source: int, source_step: int, rows: int, length: int) -> None:
    """Copy rows of ``length`` bytes that lie some bytes apart."""
    if length == 4:
        for row in range(rows):
            move_4(target + row * target_step, source + row * source_step)
    elif length == 8:
        for row in range(rows):
            move_8(target + row * target_step, source + row * source_step)
    elif length == 16:
        for row in range(rows):
            move_16(target + row * target_step, source + row * source_step)
    else:
        for row in range(rows):
            copy_bytes(target + row * target_step, source + row * source_step, length)


@dataclass(frozen=True, slots=True)
class Block:
    """Elements of a size (in bytes) in rows along axes, and how far apart they are in source and target (in bytes)."""

    lengths: tuple[int, ...]
    source_steps: tuple[int, ...]
    target_steps: tuple[int, ...]
    size: int
    source_start: int = 0
    target_start: int = 0

    def merged(self) -> Block:
        """The same block with as few axes as possible, and at least one."""
        axes: list[tuple[int, int, int]] = []
        for length, source, target in zip(self.lengths, self.source_steps, self.target_steps, strict=True):
            if length == 1:
                continue
            if axes:
                outer, outer_source, outer_target = axes[-1]
                if (outer_source, outer_target) == (source * length, target * length):
                    axes[-1] = (outer * length, source, target)
                    continue
            axes.append((length, source, target))
        lengths, sources, targets = zip(*axes, strict=True) if axes else ((1,), (self.size,), (self.size,))
        return Block(lengths, sources, targets, self.size, self.source_start, self.target_start)

    def table(self) -> Array | None:
        """The block as the compiled loop reads it: lengths, source steps and target steps, the row last.

        None if the block has too many axes.
        """
        missing = AXES + 1 - len(self.lengths)
        if missing < 0:
            return None
        axes = list(zip(self.lengths, self.source_steps, self.target_steps, strict=True))
        # The axis next to the row is a loop by itself: a short one there gives its place to the longest.
        if len(axes) > 2 and axes[-2][0] < _SHORT:
            longest = max(range(len(axes) - 1), key=lambda axis: axes[axis][0])
            axes[longest], axes[-2] = axes[-2], axes[longest]
        return np.array([(1, 0, 0)] * missing + axes, np.int64).T.copy()


def steps_of(shape: Sequence[int], size: int) -> tuple[int, ...]:
    """The bytes between neighbours along each axis of a contiguous tensor."""
    return tuple(math.prod(shape[axis + 1 :]) * size for axis in range(len(shape)))


@jit
def _copy_block(start, stop, thread, target, source, table, size):  # type: ignore[no-untyped-def]
    lengths, source_steps, target_steps = table[0], table[1], table[2]
    # The place of the first row; the axes count on from there.
    n1, n2, n3, n4 = lengths[1], lengths[2], lengths[3], lengths[4]
    i4, rest = start % n4, start // n4
    i3, rest = rest % n3, rest // n3
    i2, rest = rest % n2, rest // n2
    i1, i0 = rest % n1, rest // n1
    done = start
    while done < stop:
        rows = min(n4 - i4, stop - done)
        to = i0 * target_steps[0] + i1 * target_steps[1] + i2 * target_steps[2] + i3 * target_steps[3]
        of = i0 * source_steps[0] + i1 * source_steps[1] + i2 * source_steps[2] + i3 * source_steps[3]
        to += target + i4 * target_steps[4]
        of += source + i4 * source_steps[4]
        if source_steps[5] == size and target_steps[5] == size:
            copy_rows(to, target_steps[4], of, source_steps[4], rows, lengths[5] * size)
        else:
            for row in range(rows):
                there, here = to + row * target_steps[4], of + row * source_steps[4]
                copy_elements(there, target_steps[5], here, source_steps[5], lengths[5], size)
        done += rows
        i4 = 0
        i3 += 1
        if i3 == n3:
            i3, i2 = 0, i2 + 1
            if i2 == n2:
                i2, i1 = 0, i1 + 1
                if i1 == n1:
                    i1, i0 = 0, i0 + 1


@jit
def copy_block(pool, target, source, table, size, rows, piece):  # type: ignore[no-untyped-def]
    """Copy a block from one address to another."""
    parallel_for(pool, _copy_block, (target, source, table, size), rows, piece)


@jit
def copy_between(pool, x, y, table, size, source_start, target_start, rows, piece):  # type: ignore[no-untyped-def]
    """Copy a block of a tensor into another one."""
    copy_block(pool, address(y, 0) + target_start, address(x, 0) + source_start, table, size, rows, piece)


def is_movable(dtype: np.dtype[Any]) -> bool:
    """Whether compiled functions take arrays of the type: NumPy's own, but no objects and no float16."""
    # Asked of the type: an equal dtype that was made anew, as for a file, says that it is not built in.
    return np.dtype(dtype.type).isbuiltin == 1 and dtype.isnative and dtype.kind in "biufc" and dtype != np.float16


def bind_copy(x: ArraySpec, block: Block, shape: Sequence[int]) -> Bound | Declined:
    """A copy that fills a tensor of a shape with elements of x."""
    if not is_movable(x.dtype):
        return Declined(f"moving elements of {x.dtype} is not compiled")
    block = block.merged()
    table = block.table()
    if table is None:
        return Declined(f"a copy along {len(block.lengths)} axes is not compiled")
    rows = math.prod(block.lengths[:-1]) if math.prod(block.lengths) else 0
    piece = max(1, _PIECE // (block.lengths[-1] * block.size + 32))
    arguments = (
        *(Pool(), Input(0, flat=True), Output(flat=True), table, block.size),
        *(block.source_start, block.target_start, rows, piece),
    )
    return Bound(copy_between, arguments, (ArraySpec(tuple(shape), x.dtype),))
