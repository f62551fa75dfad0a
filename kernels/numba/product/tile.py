"""The micro-kernels of the matrix product: tiles of a few rows and two vectors, accumulated in registers.

They take addresses and strides, so that one compiled function serves packed and unpacked matrices of any array type:
element (i, k) of the left matrix is ``i * a_row + k * a_step`` elements behind the address ``a``, row k of the right
one ``k * b_step`` behind ``b``.  They are emitted as LLVM's own vector types through Numba's intrinsics.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.simd import LANES, TILE_ROWS, TILE_VECTORS

_FLOAT = ir.FloatType()
_VECTOR = ir.VectorType(_FLOAT, LANES)
_INT = ir.IntType(64)

#: A multiply-add takes some cycles, of which two may start in each: this many accumulators keep the units busy.
_INDEPENDENT = 8


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """What a product is made of: the type of its elements, and the multiply-add and the sum of vectors of them.

    The functions take an IR builder and vectors: ``multiply_add`` a broadcast element of the left matrix, a vector of
    the right one, and the sum so far.
    """

    element: Any
    multiply_add: Callable[[Any, Any, Any, Any], Any]
    add: Callable[[Any, Any, Any], Any]

    @property
    def vector(self) -> Any:
        """The type of a vector."""
        return ir.VectorType(self.element, LANES)


def _fused(builder: Any, a: Any, b: Any, total: Any) -> Any:
    function_type = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
    fma = cgutils.get_or_insert_function(builder.module, function_type, f"llvm.fma.v{LANES}f32")
    return builder.call(fma, [a, b, total])


_FLOAT32 = Arithmetic(_FLOAT, _fused, lambda builder, a, b: builder.fadd(a, b))


@intrinsic
def copy_row(typing_context: Any, source: Any, target: Any) -> Any:
    """Copy TILE_COLUMNS elements from one address to another."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        read_at, write_at = (builder.inttoptr(place, _FLOAT.as_pointer()) for place in arguments)
        vectors = [_load(builder, read_at, _constant(v * LANES)) for v in range(TILE_VECTORS)]
        for v, vector in enumerate(vectors):
            builder.store(vector, _at(builder, write_at, _constant(v * LANES)), align=4)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), generate


def make_tile(rows: int, arithmetic: Arithmetic, vectors: int = TILE_VECTORS) -> Any:
    """The micro-kernel for tiles of a number of rows and vectors."""

    @intrinsic
    def tile(
        typing_context: Any,
        a: Any,
        a_row: Any,
        a_step: Any,
        b: Any,
        b_step: Any,
        c: Any,
        c_row: Any,
        depth: Any,
        accumulate: Any,
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            a, a_row, a_step, b, b_step, c, c_row, depth, accumulate = arguments
            pointer = arithmetic.element.as_pointer()
            left, right, target = (builder.inttoptr(place, pointer) for place in (a, b, c))
            sums = _accumulated(builder, arithmetic, left, a_row, a_step, right, b_step, depth, (rows, vectors))
            _store(builder, arithmetic, sums, target, c_row, accumulate)
            return context.get_dummy_value()

        return types.void(*(types.intp,) * 9), generate

    return tile


def _accumulated(
    builder: Any,
    arithmetic: Arithmetic,
    left: Any,
    a_row: Any,
    a_step: Any,
    right: Any,
    b_step: Any,
    depth: Any,
    shape: tuple[int, int],
) -> list[list[Any]]:
    """The sums over the depth; a tile of few rows takes several steps at once, each with accumulators of its own."""

    rows, vectors = shape

    def step(left: Any, right: Any, sums: list[Any]) -> list[Any]:
        b = [_load(builder, right, _constant(v * LANES)) for v in range(vectors)]
        results = []
        for row in range(rows):
            element = builder.load(builder.gep(left, [builder.mul(a_row, _constant(row))]))
            a = _broadcast(builder, element)
            results += [arithmetic.multiply_add(builder, a, b[v], sums[row * vectors + v]) for v in range(vectors)]
        return results

    zero = ir.Constant(arithmetic.vector, None)
    size = rows * vectors
    # The same for a narrow tile as for a full one: equal columns get equal sums, wherever they stand.
    unrolled = max(1, _INDEPENDENT // (rows * TILE_VECTORS))
    sums = [zero] * size * unrolled
    rest = depth
    if unrolled > 1:
        groups = builder.udiv(depth, _constant(unrolled))
        rest = builder.urem(depth, _constant(unrolled))

        def steps(left: Any, right: Any, sums: list[Any]) -> list[Any]:
            results = []
            for u in range(unrolled):
                here = builder.gep(left, [builder.mul(a_step, _constant(u))])
                there = builder.gep(right, [builder.mul(b_step, _constant(u))])
                results += step(here, there, sums[u * size : (u + 1) * size])
            return results

        far = (builder.mul(a_step, _constant(unrolled)), builder.mul(b_step, _constant(unrolled)))
        left, right, sums = _loop(builder, groups, left, right, far, sums, steps)
    left, right, first = _loop(builder, rest, left, right, (a_step, b_step), sums[:size], step)
    for u in range(1, unrolled):
        others = sums[u * size : (u + 1) * size]
        first = [arithmetic.add(builder, one, other) for one, other in zip(first, others, strict=True)]
    return [first[row * vectors : (row + 1) * vectors] for row in range(rows)]


def _loop(builder: Any, count: Any, left: Any, right: Any, strides: Any, sums: list[Any], step: Any) -> Any:
    """Take a step ``count`` times, perhaps never, moving the pointers on; gives pointers and sums behind the last."""
    before, loop, after = builder.block, builder.append_basic_block("depth"), builder.append_basic_block("done")
    builder.cbranch(builder.icmp_signed(">", count, _constant(0)), loop, after)
    builder.position_at_end(loop)
    remaining = builder.phi(_INT)
    phis = [builder.phi(value.type) for value in (left, right, *sums)]
    results = step(phis[0], phis[1], phis[2:])
    moved = [builder.gep(phis[0], [strides[0]]), builder.gep(phis[1], [strides[1]])]
    following = builder.sub(remaining, _constant(1))
    remaining.add_incoming(count, before)
    remaining.add_incoming(following, loop)
    for phi, value, result in zip(phis, (left, right, *sums), (*moved, *results), strict=True):
        phi.add_incoming(value, before)
        phi.add_incoming(result, loop)
    builder.cbranch(builder.icmp_signed(">", following, _constant(0)), loop, after)
    builder.position_at_end(after)
    final = []
    for value, result in zip((left, right, *sums), (*moved, *results), strict=True):
        phi = builder.phi(value.type)
        phi.add_incoming(value, before)
        phi.add_incoming(result, loop)
        final.append(phi)
    return final[0], final[1], final[2:]


def _store(
    builder: Any, arithmetic: Arithmetic, sums: list[list[Any]], target: Any, stride: Any, accumulate: Any
) -> None:
    with builder.if_else(builder.icmp_signed("!=", accumulate, _constant(0))) as (add, replace):
        for block, adding in ((add, True), (replace, False)):
            with block:
                for row, vectors in enumerate(sums):
                    line = builder.gep(target, [builder.mul(stride, _constant(row))])
                    for v, value in enumerate(vectors):
                        place = _at(builder, line, _constant(v * LANES))
                        total = arithmetic.add(builder, value, builder.load(place, align=4)) if adding else value
                        builder.store(total, place, align=4)


def _constant(value: int) -> Any:
    return ir.Constant(_INT, value)


def _at(builder: Any, pointer: Any, offset: Any) -> Any:
    vector = ir.VectorType(pointer.type.pointee, LANES)
    return builder.bitcast(builder.gep(pointer, [offset]), vector.as_pointer())


def _load(builder: Any, pointer: Any, offset: Any) -> Any:
    return builder.load(_at(builder, pointer, offset), align=4)


def _broadcast(builder: Any, scalar: Any) -> Any:
    undefined = ir.Constant(ir.VectorType(scalar.type, LANES), ir.Undefined)
    one = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, undefined, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))


_full, _eight, _four, _two, _one = (make_tile(rows, _FLOAT32) for rows in (TILE_ROWS, 8, 4, 2, 1))
_narrow, _narrow_four, _narrow_one = (make_tile(rows, _FLOAT32, 1) for rows in (TILE_ROWS, 4, 1))


@jit
def multiply_tile(
    rows: int,
    a: int,
    a_row: int,
    a_step: int,
    b: int,
    b_step: int,
    c: int,
    c_row: int,
    depth: int,
    accumulate: int,
) -> None:
    """The product of up to TILE_ROWS rows and TILE_COLUMNS columns, into (accumulate 0) or added to (1) a tile of c.

    Args:
        rows: The rows of the left matrix and of the tile.
        a: The address of the left matrix.
        a_row: The elements from one of its rows to the next.
        a_step: The elements from one of its columns to the next.
        b: The address of the right matrix, whose rows are TILE_COLUMNS contiguous elements.
        b_step: The elements from one of its rows to the next.
        c: The address of the tile.
        c_row: The elements from one of its rows to the next.
        depth: The columns of the left and rows of the right matrix.
        accumulate: Whether to add to what is in the tile.
    """
    if rows == TILE_ROWS:
        _full(a, a_row, a_step, b, b_step, c, c_row, depth, accumulate)
        return
    while rows > 0:
        if TILE_ROWS > 8 and rows >= 8:
            height = 8
            _eight(a, a_row, a_step, b, b_step, c, c_row, depth, accumulate)
        elif rows >= 4:
            height = 4
            _four(a, a_row, a_step, b, b_step, c, c_row, depth, accumulate)
        elif rows >= 2:
            height = 2
            _two(a, a_row, a_step, b, b_step, c, c_row, depth, accumulate)
        else:
            height = 1
            _one(a, a_row, a_step, b, b_step, c, c_row, depth, accumulate)
        rows -= height
        a += 4 * height * a_row
        c += 4 * height * c_row


@jit
def multiply_narrow_tile(rows, a, a_row, a_step, b, b_step, c, c_row, depth, accumulate):  # type: ignore[no-untyped-def]
    """`multiply_tile` for LANES columns."""
    if rows == TILE_ROWS:
        _narrow(a, a_row, a_step, b, b_step, c, c_row, depth, accumulate)
        return
    while rows > 0:
        if rows >= 4:
            height = 4
            _narrow_four(a, a_row, a_step, b, b_step, c, c_row, depth, accumulate)
        else:
            height = 1
            _narrow_one(a, a_row, a_step, b, b_step, c, c_row, depth, accumulate)
        rows -= height
        a += 4 * height * a_row
        c += 4 * height * c_row
