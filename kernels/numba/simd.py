"""Vector micro-kernels, written in LLVM's own vector types through Numba's intrinsics.

The widths follow the host's registers, which LLVM names; the same source serves SSE, AVX2, AVX-512 and NEON.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


def _registers() -> tuple[int, int]:
    """The float32 lanes of a vector register, and how many of the registers an accumulator tile may fill."""
    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        return 16, 24
    if features.get("avx"):
        return 8, 12
    return 4, 24 if features.get("neon") else 12


#: float32 lanes of a vector register.
LANES, _ACCUMULATORS = _registers()
#: The vectors in a row of a tile of the matrix product, and the rows of the tile.
TILE_VECTORS = 2
TILE_COLUMNS = LANES * TILE_VECTORS
TILE_ROWS = _ACCUMULATORS // TILE_VECTORS
HALF_ROWS = TILE_ROWS // 2

_FLOAT = ir.FloatType()
_VECTOR = ir.VectorType(_FLOAT, LANES)
_INT = ir.IntType(64)


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, offset: Any) -> Any:
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [offset])


def _constant(value: int) -> Any:
    return ir.Constant(_INT, value)


def _at(builder: Any, pointer: Any, offset: Any) -> Any:
    """The address of a vector of floats."""
    return builder.bitcast(builder.gep(pointer, [offset]), _VECTOR.as_pointer())


def _broadcast(builder: Any, scalar: Any) -> Any:
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    one = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, undefined, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))


def _make_tile_product(rows: int) -> Any:
    """The micro-kernel for tiles of a number of rows."""

    @intrinsic
    def tile_product(
        typing_context: Any,
        a: Any,
        a_offset: Any,
        b: Any,
        b_offset: Any,
        c: Any,
        c_offset: Any,
        c_stride: Any,
        depth: Any,
        accumulate: Any,
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            a, a_offset, b, b_offset, c, c_offset, c_stride, depth, accumulate = arguments
            a_type, _, b_type, _, c_type, *_ = signature.args
            left = _pointer(context, builder, a_type, a, a_offset)
            right = _pointer(context, builder, b_type, b, b_offset)
            target = _pointer(context, builder, c_type, c, c_offset)
            sums = _accumulated(builder, left, right, depth, rows)
            _stored(builder, sums, target, c_stride, accumulate)
            return context.get_dummy_value()

        integers = (types.intp,) * 3
        signature = types.void(a, types.intp, b, types.intp, c, types.intp, *integers)
        return signature, generate

    return tile_product


def _accumulated(builder: Any, left: Any, right: Any, depth: Any, rows: int) -> list[list[Any]]:
    """The loop over the depth: every accumulator stays in a register."""
    multiply_add = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(_VECTOR, [_VECTOR] * 3), f"llvm.fma.v{LANES}f32"
    )
    before, loop, after = builder.block, builder.append_basic_block("depth"), builder.append_basic_block("done")
    builder.branch(loop)
    builder.position_at_end(loop)
    step = builder.phi(_INT)
    step.add_incoming(_constant(0), before)
    sums = [[builder.phi(_VECTOR) for _ in range(TILE_VECTORS)] for _ in range(rows)]
    row_start = builder.mul(step, _constant(TILE_COLUMNS))
    b = [
        builder.load(_at(builder, right, builder.add(row_start, _constant(v * LANES))), align=4)
        for v in range(TILE_VECTORS)
    ]
    column_start = builder.mul(step, _constant(rows))
    results = []
    for row in range(rows):
        element = builder.load(builder.gep(left, [builder.add(column_start, _constant(row))]))
        a = _broadcast(builder, element)
        results.append([builder.call(multiply_add, [a, b[v], sums[row][v]]) for v in range(TILE_VECTORS)])
    following = builder.add(step, _constant(1))
    step.add_incoming(following, loop)
    for row in range(rows):
        for v in range(TILE_VECTORS):
            sums[row][v].add_incoming(ir.Constant(_VECTOR, [0.0] * LANES), before)
            sums[row][v].add_incoming(results[row][v], loop)
    builder.cbranch(builder.icmp_signed("<", following, depth), loop, after)
    builder.position_at_end(after)
    return results


def _stored(builder: Any, sums: list[list[Any]], target: Any, stride: Any, accumulate: Any) -> None:
    with builder.if_else(builder.icmp_signed("!=", accumulate, _constant(0))) as (add, replace):
        for block, adding in ((add, True), (replace, False)):
            with block:
                for row, vectors in enumerate(sums):
                    for v, value in enumerate(vectors):
                        offset = builder.add(builder.mul(stride, _constant(row)), _constant(v * LANES))
                        place = _at(builder, target, offset)
                        total = builder.fadd(value, builder.load(place, align=4)) if adding else value
                        builder.store(total, place, align=4)


#: ``tile_product(a, a_offset, b, b_offset, c, c_offset, c_stride, depth, accumulate)``: the product of a packed column
#: panel of ``a`` (depth x TILE_ROWS) and a packed row panel of ``b`` (depth x TILE_COLUMNS), float32, into (accumulate 0)
#: or added to (1) a tile of ``c`` whose rows are ``c_stride`` elements apart.  The depth is at least 1; offsets are in
#: elements.
tile_product = _make_tile_product(TILE_ROWS)

#: The same for the last rows of a matrix, where half a tile or a single row holds them.
half_tile_product = _make_tile_product(HALF_ROWS)
row_product = _make_tile_product(1)
