"""The micro-kernel of pooling: the largest elements, or the sums, of neighbouring windows for a vector of channels.

The rows of the windows are combined column by column, and then the columns of each window: what windows share is read
and combined once.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from onnxlite.kernels.numba.convolution.patch import rows_of_tile
from onnxlite.kernels.numba.convolution.window_block import WindowRow, columns_of_windows, read_column
from onnxlite.kernels.numba.machine.vector_code import VectorCode, larger

_INT = ir.IntType(64)
_FLOATS = ir.FloatType().as_pointer()


def pool_block(row: WindowRow, *, maximum: bool) -> Any:
    """The micro-kernel for a row of windows::

        block(x, row_step, rows, channels, column, width, y, filled, weights, outside, spare)

    Arguments are as those of `onnxlite.kernels.numba.convolution.window_block.window_block`.  Position p gets the
    largest element of its window, NaN if there is one, or the sum of its elements times number p of ``weights``, which
    has a number for each position of the block.  Columns outside the image are read from ``outside``, a vector, and
    windows without rows have its elements.
    """

    @intrinsic
    def block(
        typing_context: Any,
        x: Any,
        row_step: Any,
        rows: Any,
        channels: Any,
        column: Any,
        width: Any,
        y: Any,
        filled: Any,
        weights: Any,
        outside: Any,
        spare: Any,
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            x, row_step, rows, channels, column, width, y, filled, weights, outside, spare = arguments
            code = VectorCode(context, builder, types.float32)
            lanes = channels if row.few else None
            combine = _larger if maximum else _added
            found = columns_of_windows(builder, row, column, channels, width)
            columns = _combined_rows(code, found, (x, row_step, rows), outside, lanes, combine)
            for position, place in enumerate(rows_of_tile(builder, y, channels, filled, spare, row.block, 1)):
                total = None
                for tap in range(row.taps):
                    other = columns[position * row.stride + tap * row.dilation]
                    total = other if total is None else combine(code, total, other)
                if not maximum:
                    weight = builder.load(builder.gep(builder.inttoptr(weights, _FLOATS), [_constant(position)]))
                    total = builder.fmul(total, code.splat(weight))
                if lanes is None:
                    code.store(total, place, _constant(0))
                else:
                    code.store_some(total, place, _constant(0), lanes)
            return context.get_dummy_value()

        return types.void(*(types.intp,) * 11), generate

    return block


def _constant(value: int) -> Any:
    return ir.Constant(_INT, value)


def _larger(code: VectorCode, a: Any, b: Any) -> Any:
    """The larger number in each lane; NaN where one is NaN."""
    return code.builder.select(code.is_nan(b), b, larger(code, b, a))


def _added(code: VectorCode, a: Any, b: Any) -> Any:
    return code.builder.fadd(a, b)


def _combined_rows(
    code: VectorCode,
    columns: dict[int, tuple[Any, Any]],
    image: tuple[Any, Any, Any],
    outside: Any,
    lanes: Any,
    combine: Any,
) -> dict[int, Any]:
    """The rows of each column combined; every result stays in a register."""
    builder = code.builder
    x, row_step, rows = image
    nothing = code.load(builder.inttoptr(outside, _FLOATS), _constant(0))
    before = builder.block
    head, body, after = (builder.append_basic_block(name) for name in ("rows", "row", "done"))
    builder.branch(head)
    builder.position_at_end(head)
    number, line = builder.phi(_INT), builder.phi(_INT)
    results = {distance: builder.phi(code.vector) for distance in columns}
    builder.cbranch(builder.icmp_signed("<", number, rows), body, after)

    builder.position_at_end(body)
    following = {}
    for distance, (shift, inside) in columns.items():
        value = read_column(code, line, shift, inside, outside, lanes)
        following[distance] = combine(code, results[distance], value)
    end = builder.block
    next_number, next_line = builder.add(number, _constant(1)), builder.add(line, row_step)
    builder.branch(head)
    for phi, start, next_value in (
        (number, _constant(0), next_number),
        (line, x, next_line),
        *((results[distance], nothing, following[distance]) for distance in columns),
    ):
        phi.add_incoming(start, before)
        phi.add_incoming(next_value, end)
    builder.position_at_end(after)
    return results
