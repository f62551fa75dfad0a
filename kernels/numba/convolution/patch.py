"""The micro-kernel of convolutions: rows that lie anywhere in an image times a packed panel of weights.

It is emitted as LLVM's own vector types through Numba's intrinsics; every accumulator stays in a register, from the
bias that it starts with to the limits that it is cut to.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from onnxlite.kernels.numba.machine.simd import HALF_ROWS, LANES, TILE_ROWS
from onnxlite.kernels.numba.machine.vector_code import VectorCode, larger, smaller

_INT = ir.IntType(64)
_FLOATS = ir.FloatType().as_pointer()
_INTS = _INT.as_pointer()

#: What is added to the sums of a tile, as bits: what the memory of the result holds, the residual before the limits, or
#: the residual after them.
ADD_RESULT, ADD_RESIDUAL, ADD_RESIDUAL_LAST = 1, 2, 4


def _constant(value: int) -> Any:
    return ir.Constant(_INT, value)


def _make_patch_product(rows: int, vectors: int) -> Any:
    """The micro-kernel for a number of rows and of vectors of columns."""

    @intrinsic
    def patch_product(
        typing_context: Any,
        a: Any,
        starts: Any,
        taps: Any,
        tap_count: Any,
        run: Any,
        b: Any,
        bias: Any,
        c: Any,
        stride: Any,
        filled_rows: Any,
        filled_columns: Any,
        residual: Any,
        added: Any,
        low: Any,
        high: Any,
        spare: Any,
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            a, starts, taps, tap_count, run, b, bias, c, stride, filled_rows, filled_columns, residual, added, *rest = (
                arguments
            )
            code = VectorCode(context, builder, types.float32)
            image, start = builder.inttoptr(a, _FLOATS), builder.inttoptr(starts, _INTS)
            lines = [builder.gep(image, [builder.load(builder.gep(start, [_constant(row)]))]) for row in range(rows)]
            shifts = builder.inttoptr(bias, _FLOATS)
            first = [code.load(shifts, _constant(v * LANES)) for v in range(vectors)]
            sums = _patch_sums(
                code, lines, builder.inttoptr(taps, _INTS), tap_count, run, builder.inttoptr(b, _FLOATS), first
            )
            low, high, spare = rest
            places, residuals = (
                rows_of_tile(builder, p, stride, filled_rows, spare, rows, vectors) for p in (c, residual)
            )
            limits = code.splat(low), code.splat(high)
            whole = builder.icmp_signed(">=", filled_columns, _constant(vectors * LANES))
            with builder.if_else(whole) as (then, otherwise):
                with then:
                    store_tile(code, sums, places, residuals, added, limits, None)
                with otherwise:
                    left_over = builder.sub(filled_columns, _constant((vectors - 1) * LANES))
                    store_tile(code, sums, places, residuals, added, limits, left_over)
            return context.get_dummy_value()

        number, integer = types.float32, types.intp
        return types.void(*(integer,) * 13, number, number, integer), generate

    return patch_product


def _patch_sums(
    code: VectorCode, lines: list[Any], taps: Any, tap_count: Any, run: Any, right: Any, first: list[Any]
) -> list[list[Any]]:
    """The loops over taps and the elements of a run; every accumulator stays in a register."""
    builder, vectors = code.builder, len(first)
    before = builder.block
    outer, inner, next_tap, after = (builder.append_basic_block(n) for n in ("tap", "element", "next", "done"))
    builder.branch(outer)

    builder.position_at_end(outer)
    tap = builder.phi(_INT)
    outer_b = builder.phi(right.type)
    outer_sums = [[builder.phi(code.vector) for _ in range(vectors)] for _ in lines]
    shift = builder.load(builder.gep(taps, [tap]))
    end = builder.add(shift, run)
    builder.branch(inner)

    builder.position_at_end(inner)
    index = builder.phi(_INT)
    inner_b = builder.phi(right.type)
    sums = [[builder.phi(code.vector) for _ in range(vectors)] for _ in lines]
    b = [code.load(inner_b, _constant(v * LANES)) for v in range(vectors)]
    results = []
    for row, line in enumerate(lines):
        a = code.splat(builder.load(builder.gep(line, [index])))
        results.append([code.call(f"llvm.fma.v{LANES}f32", code.vector, a, b[v], sums[row][v]) for v in range(vectors)])
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
    for row in range(len(lines)):
        for v in range(vectors):
            outer_sums[row][v].add_incoming(first[v], before)
            outer_sums[row][v].add_incoming(results[row][v], next_tap)
            sums[row][v].add_incoming(outer_sums[row][v], outer)
            sums[row][v].add_incoming(results[row][v], inner)
    builder.position_at_end(after)
    return results


def rows_of_tile(builder: Any, place: Any, stride: Any, filled: Any, spare: Any, rows: int, vectors: int) -> list[Any]:
    """The addresses of the rows of a tile; those that are not filled lie in spare memory."""
    step = builder.mul(stride, _constant(4))
    addresses = [place]
    for row in range(1, rows):
        inside = builder.add(place, builder.mul(step, _constant(row)))
        outside = builder.add(spare, _constant(4 * row * vectors * LANES))
        addresses.append(builder.select(builder.icmp_signed("<", _constant(row), filled), inside, outside))
    return [builder.inttoptr(address, _FLOATS) for address in addresses]


def store_tile(
    code: VectorCode, sums: list[list[Any]], places: list[Any], residuals: list[Any], added: Any, limits: Any, last: Any
) -> None:
    """Add, cut and store; of the last vector of each row only ``last`` lanes, or all if that is None."""
    low, high = limits
    sums = _added(code, sums, places, added, ADD_RESULT, last)
    sums = _added(code, sums, residuals, added, ADD_RESIDUAL, last)
    sums = [[smaller(code, high, larger(code, low, value)) for value in row] for row in sums]
    sums = _added(code, sums, residuals, added, ADD_RESIDUAL_LAST, last)
    for row, place in zip(sums, places, strict=True):
        for v, value in enumerate(row):
            if last is None or v + 1 < len(row):
                code.store(value, place, _constant(v * LANES))
            else:
                code.store_some(value, place, _constant(v * LANES), last)


def _added(code: VectorCode, sums: list[list[Any]], places: list[Any], added: Any, bit: int, last: Any) -> Any:
    """The sums, plus what lies at the places if the bit is set."""
    builder = code.builder
    before = builder.block
    add, after = builder.append_basic_block("add"), builder.append_basic_block("added")
    builder.cbranch(builder.icmp_signed("!=", builder.and_(added, _constant(bit)), _constant(0)), add, after)
    builder.position_at_end(add)
    zeros = ir.Constant(code.vector, [0.0] * LANES)
    totals = []
    for row, place in zip(sums, places, strict=True):
        masked = [last is not None and v + 1 == len(row) for v in range(len(row))]
        others = [
            code.load_some(place, _constant(v * LANES), last, zeros) if some else code.load(place, _constant(v * LANES))
            for v, some in enumerate(masked)
        ]
        totals.append([builder.fadd(value, other) for value, other in zip(row, others, strict=True)])
    end = builder.block
    builder.branch(after)
    builder.position_at_end(after)
    return [
        [_merged(code, (value, before), (total, end)) for value, total in zip(row, added, strict=True)]
        for row, added in zip(sums, totals, strict=True)
    ]


def _merged(code: VectorCode, *ways: tuple[Any, Any]) -> Any:
    """A vector that has one of several values, by the block that was left."""
    merged = code.builder.phi(code.vector)
    for value, block in ways:
        merged.add_incoming(value, block)
    return merged


#: The micro-kernels, by the rows and the vectors of columns of the tile that they compute:
#:
#:     patch_product(a, starts, taps, tap_count, run, b, bias, c, stride, filled_rows, filled_columns, residual, added,
#:                   low, high, spare)
#:
#: Row r of the tile is the bias plus the sum, over ``tap_count`` taps t and ``run`` elements k, of
#: ``a[starts[r] + taps[t] + k]`` times row ``t * run + k`` of the packed panel ``b``.  What the bits of ``added`` say
#: is added to it, and it is cut to the limits; NaN stays NaN.  It goes to ``c[r * stride]`` and the elements after it:
#: only ``filled_columns`` elements, of ``filled_rows`` rows.  ``residual`` is laid out as ``c``.  Arrays are given by
#: the addresses of their first elements; the tables are int64; counts are at least 1.  The bias has an element for
#: each column of the tile, and ``spare`` has room for a tile.
patch_product = _make_patch_product(TILE_ROWS, 2)
half_patch_product = _make_patch_product(HALF_ROWS, 2)
row_patch_product = _make_patch_product(1, 2)
narrow_patch_product = _make_patch_product(TILE_ROWS, 1)
narrow_half_patch_product = _make_patch_product(HALF_ROWS, 1)
narrow_row_patch_product = _make_patch_product(1, 1)
