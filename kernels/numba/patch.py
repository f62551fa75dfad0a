"""The micro-kernel of convolutions: rows that lie anywhere in an image times a packed panel of weights.

It is emitted as LLVM's own vector types through Numba's intrinsics; every accumulator stays in a register.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from onnxlite.kernels.numba.simd import HALF_ROWS, LANES, TILE_ROWS

VECTOR = ir.VectorType(ir.FloatType(), LANES)
_INT = ir.IntType(64)


def address(context: Any, builder: Any, array_type: Any, array: Any, offset: Any) -> Any:
    """The address of an element of a flat array."""
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [offset])


def vector_address(builder: Any, pointer: Any, offset: Any = None) -> Any:
    """The address of a vector of floats, at a pointer to a float or some elements after it."""
    return builder.bitcast(pointer if offset is None else builder.gep(pointer, [offset]), VECTOR.as_pointer())


def broadcast(builder: Any, scalar: Any) -> Any:
    """A vector with one number in all lanes."""
    undefined = ir.Constant(VECTOR, ir.Undefined)
    one = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, undefined, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))


def _constant(value: int) -> Any:
    return ir.Constant(_INT, value)


def _multiply_add(builder: Any) -> Any:
    function_type = ir.FunctionType(VECTOR, [VECTOR] * 3)
    return cgutils.get_or_insert_function(builder.module, function_type, f"llvm.fma.v{LANES}f32")


def _make_patch_product(rows: int, vectors: int) -> Any:
    """The micro-kernel for a number of rows and of vectors of columns."""

    @intrinsic
    def patch_product(
        typing_context: Any,
        a: Any,
        row_starts: Any,
        first_row: Any,
        taps: Any,
        first_tap: Any,
        tap_count: Any,
        channels: Any,
        b: Any,
        b_offset: Any,
        c: Any,
        c_offset: Any,
        c_stride: Any,
        accumulate: Any,
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            a, starts, first_row, taps, first_tap, tap_count, channels, b, b_offset, c, c_offset, c_stride, adds = (
                arguments
            )
            a_type, starts_type, _, taps_type, *_ = signature.args
            b_type, c_type = signature.args[7], signature.args[9]
            start = address(context, builder, starts_type, starts, first_row)
            image = context.make_array(a_type)(context, builder, a).data
            lines = [builder.gep(image, [builder.load(builder.gep(start, [_constant(row)]))]) for row in range(rows)]
            tap = address(context, builder, taps_type, taps, first_tap)
            right = address(context, builder, b_type, b, b_offset)
            sums = _patch_sums(builder, lines, tap, tap_count, channels, right, vectors)
            _stored(builder, sums, address(context, builder, c_type, c, c_offset), c_stride, adds)
            return context.get_dummy_value()

        integer = types.intp
        signature = types.void(a, row_starts, integer, taps, *(integer,) * 3, b, integer, c, *(integer,) * 3)
        return signature, generate

    return patch_product


def _patch_sums(
    builder: Any, lines: list[Any], taps: Any, tap_count: Any, channels: Any, right: Any, vectors: int
) -> list[list[Any]]:
    """The loops over taps and channels; every accumulator stays in a register."""
    rows = len(lines)
    multiply_add = _multiply_add(builder)
    zero = ir.Constant(VECTOR, [0.0] * LANES)
    before = builder.block
    outer, inner, next_tap, after = (builder.append_basic_block(n) for n in ("tap", "channel", "next", "done"))
    builder.branch(outer)

    builder.position_at_end(outer)
    tap = builder.phi(_INT)
    outer_b = builder.phi(right.type)
    outer_sums = [[builder.phi(VECTOR) for _ in range(vectors)] for _ in range(rows)]
    shift = builder.load(builder.gep(taps, [tap]))
    end = builder.add(shift, channels)
    builder.branch(inner)

    builder.position_at_end(inner)
    index = builder.phi(_INT)
    inner_b = builder.phi(right.type)
    sums = [[builder.phi(VECTOR) for _ in range(vectors)] for _ in range(rows)]
    b = [builder.load(vector_address(builder, inner_b, _constant(v * LANES)), align=4) for v in range(vectors)]
    results = []
    for row, line in enumerate(lines):
        a = broadcast(builder, builder.load(builder.gep(line, [index])))
        results.append([builder.call(multiply_add, [a, b[v], sums[row][v]]) for v in range(vectors)])
    following = builder.add(index, _constant(1))
    following_b = builder.gep(inner_b, [_constant(vectors * LANES)])
    builder.cbranch(builder.icmp_signed("<", following, end), inner, next_tap)

    builder.position_at_end(next_tap)
    further = builder.add(tap, _constant(1))
    builder.cbranch(builder.icmp_signed("<", further, tap_count), outer, after)

    tap.add_incoming(_constant(0), before)
    tap.add_incoming(further, next_tap)
    outer_b.add_incoming(right, before)
    outer_b.add_incoming(following_b, next_tap)
    index.add_incoming(shift, outer)
    index.add_incoming(following, inner)
    inner_b.add_incoming(outer_b, outer)
    inner_b.add_incoming(following_b, inner)
    for row in range(rows):
        for v in range(vectors):
            outer_sums[row][v].add_incoming(zero, before)
            outer_sums[row][v].add_incoming(results[row][v], next_tap)
            sums[row][v].add_incoming(outer_sums[row][v], outer)
            sums[row][v].add_incoming(results[row][v], inner)
    builder.position_at_end(after)
    return results


def _stored(builder: Any, sums: list[list[Any]], target: Any, stride: Any, accumulate: Any) -> None:
    with builder.if_else(builder.icmp_signed("!=", accumulate, _constant(0))) as (add, replace):
        for block, adding in ((add, True), (replace, False)):
            with block:
                for row, vectors in enumerate(sums):
                    for v, value in enumerate(vectors):
                        offset = builder.add(builder.mul(stride, _constant(row)), _constant(v * LANES))
                        place = vector_address(builder, target, offset)
                        total = builder.fadd(value, builder.load(place, align=4)) if adding else value
                        builder.store(total, place, align=4)


#: The micro-kernels, by the rows and the vectors of columns of the tile that they compute:
#:
#:     patch_product(a, row_starts, first_row, taps, first_tap, tap_count, channels,
#:                   b, b_offset, c, c_offset, c_stride, accumulate)
#:
#: Row r of the tile is the sum, over ``tap_count`` taps t and ``channels`` elements k, of
#: ``a[row_starts[first_row + r] + taps[first_tap + t] + k]`` times row ``t * channels + k`` of the packed panel that
#: starts at ``b[b_offset]``.  It goes to ``c[c_offset + r * c_stride]`` and the elements after it, or (accumulate 1) is
#: added there.  A plain matrix product has one tap.  All arrays are flat, the tables int64; counts are at least 1.
patch_product = _make_patch_product(TILE_ROWS, 2)
half_patch_product = _make_patch_product(HALF_ROWS, 2)
row_patch_product = _make_patch_product(1, 2)
narrow_patch_product = _make_patch_product(TILE_ROWS, 1)
narrow_half_patch_product = _make_patch_product(HALF_ROWS, 1)
narrow_row_patch_product = _make_patch_product(1, 1)
