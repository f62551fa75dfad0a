"""The micro-kernel of products and convolutions of 8-bit integers: windows of rows that lie anywhere, times panels.

Elements have 32 bits and hold several neighbours along the depth (see `integer_tile`).  It is emitted as LLVM's own
vector types through Numba's intrinsics; every accumulator stays in a register.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from onnxlite.kernels.numba.machine.sealed import sealed
from onnxlite.kernels.numba.machine.simd import HALF_ROWS, LANES, TILE_COLUMNS, TILE_ROWS, TILE_VECTORS
from onnxlite.kernels.numba.quantized.integer_tile import INTEGERS

_LONG = ir.IntType(64)
_ELEMENT = ir.IntType(32)
_VECTOR = ir.VectorType(_ELEMENT, LANES)
_BYTE = ir.IntType(8)


def _number(value: int) -> Any:
    return ir.Constant(_LONG, value)


def _behind(builder: Any, pointer: Any, distance: Any, kind: Any) -> Any:
    """The pointer to a type that many bytes behind a pointer to bytes."""
    return builder.bitcast(builder.gep(pointer, [distance]), kind.as_pointer())


def _broadcast(builder: Any, element: Any) -> Any:
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    one = builder.insert_element(undefined, element, ir.Constant(_ELEMENT, 0))
    return builder.shuffle_vector(one, undefined, ir.Constant(_VECTOR, [0] * LANES))


def _make_window_product(rows: int) -> Any:
    """The micro-kernel for a number of rows and TILE_COLUMNS columns."""

    @intrinsic
    def window_product(
        typing_context: Any,
        image: Any,
        starts: Any,
        taps: Any,
        tap_count: Any,
        run: Any,
        panel: Any,
        target: Any,
        target_row: Any,
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            image, starts, taps, tap_count, run, panel, target, target_row = arguments
            bytes_, table = _BYTE.as_pointer(), _LONG.as_pointer()
            base, first = builder.inttoptr(image, bytes_), builder.inttoptr(starts, table)
            lines = [builder.gep(base, [builder.load(builder.gep(first, [_number(row)]))]) for row in range(rows)]
            sums = _window_sums(
                builder, lines, builder.inttoptr(taps, table), tap_count, run, builder.inttoptr(panel, bytes_)
            )
            out = builder.inttoptr(target, bytes_)
            for row, vectors in enumerate(sums):
                for v, value in enumerate(vectors):
                    distance = builder.add(builder.mul(target_row, _number(4 * row)), _number(4 * v * LANES))
                    builder.store(value, _behind(builder, out, distance, _VECTOR), align=4)
            return context.get_dummy_value()

        return types.void(*(types.intp,) * 8), generate

    return window_product


def _window_sums(builder: Any, lines: list[Any], taps: Any, tap_count: Any, run: Any, panel: Any) -> list[list[Any]]:
    """The loops over taps and the elements of a run."""
    rows = len(lines)
    size = 4 * TILE_COLUMNS
    before = builder.block
    outer, inner, following_tap, after = (builder.append_basic_block(n) for n in ("tap", "run", "next", "done"))
    length = builder.mul(run, _number(4))
    builder.branch(outer)

    builder.position_at_end(outer)
    tap, outer_panel = builder.phi(_LONG), builder.phi(panel.type)
    outer_sums = [[builder.phi(_VECTOR) for _ in range(TILE_VECTORS)] for _ in range(rows)]
    shift = builder.load(builder.gep(taps, [tap]))
    end = builder.add(shift, length)
    builder.branch(inner)

    builder.position_at_end(inner)
    place, inner_panel = builder.phi(_LONG), builder.phi(panel.type)
    sums = [[builder.phi(_VECTOR) for _ in range(TILE_VECTORS)] for _ in range(rows)]
    right = [
        builder.load(_behind(builder, inner_panel, _number(4 * v * LANES), _VECTOR), align=4)
        for v in range(TILE_VECTORS)
    ]
    results = []
    for row, line in enumerate(lines):
        left = _broadcast(builder, builder.load(_behind(builder, line, place, _ELEMENT), align=1))
        results.append([INTEGERS.multiply_add(builder, left, right[v], sums[row][v]) for v in range(TILE_VECTORS)])
    further, further_panel = builder.add(place, _number(4)), builder.gep(inner_panel, [_number(size)])
    builder.cbranch(builder.icmp_signed("<", further, end), inner, following_tap)

    builder.position_at_end(following_tap)
    next_tap = builder.add(tap, _number(1))
    builder.cbranch(builder.icmp_signed("<", next_tap, tap_count), outer, after)

    for phi, first, later in ((tap, _number(0), next_tap), (outer_panel, panel, further_panel)):
        phi.add_incoming(first, before)
        phi.add_incoming(later, following_tap)
    for phi, first, later in ((place, shift, further), (inner_panel, outer_panel, further_panel)):
        phi.add_incoming(first, outer)
        phi.add_incoming(later, inner)
    zero = ir.Constant(_VECTOR, None)
    for row in range(rows):
        for v in range(TILE_VECTORS):
            outer_sums[row][v].add_incoming(zero, before)
            outer_sums[row][v].add_incoming(results[row][v], following_tap)
            sums[row][v].add_incoming(outer_sums[row][v], outer)
            sums[row][v].add_incoming(results[row][v], inner)
    builder.position_at_end(after)
    return results


_full, _half, _one = (_make_window_product(rows) for rows in (TILE_ROWS, HALF_ROWS, 1))


@sealed
def multiply_windows(
    image: int,
    starts: int,
    rows: int,
    taps: int,
    tap_count: int,
    run: int,
    panels: int,
    columns: int,
    sums: int,
    sums_row: int,
) -> None:
    """The sums, as int32, of products of windows and packed weights.

    Row r is the sum over the taps t and the ``run`` elements k behind each of them of the element at
    ``image + starts[r] + taps[t] + 4 k`` times row ``t * run + k`` of a panel.

    Args:
        image: The address of the image.
        starts: The address of int64 numbers, in bytes; there are TILE_ROWS more than rows.
        rows: The number of windows.
        taps: The address of int64 numbers, in bytes.
        tap_count: The number of taps, at least 1.
        run: The 32-bit elements of each, at least 1.
        panels: The address of panels of TILE_COLUMNS columns.
        columns: The columns, whole panels.
        sums: The address of the results; rows up to the next multiple of TILE_ROWS are overwritten.
        sums_row: The elements from one row of the results to the next.
    """
    for left in range(0, columns, TILE_COLUMNS):
        panel = panels + 4 * left * tap_count * run
        row = 0
        while row < rows:
            first, place = starts + 8 * row, sums + 4 * (row * sums_row + left)
            if rows - row > HALF_ROWS:
                _full(image, first, taps, tap_count, run, panel, place, sums_row)
                row += TILE_ROWS
            elif rows - row > 1:
                _half(image, first, taps, tap_count, run, panel, place, sums_row)
                row += HALF_ROWS
            else:
                _one(image, first, taps, tap_count, run, panel, place, sums_row)
                row += 1
