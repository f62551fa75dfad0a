"""The micro-kernel of depthwise convolutions: the windows of neighbouring positions, for a vector of channels."""

from __future__ import annotations

from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from onnxlite.kernels.geometry import Windows
from onnxlite.kernels.numba.convolution.patch import rows_of_tile, store_tile
from onnxlite.kernels.numba.machine.simd import LANES
from onnxlite.kernels.numba.machine.vector_code import VectorCode

_INT = ir.IntType(64)
_FLOATS = ir.FloatType().as_pointer()


class WindowRow(NamedTuple):
    """What a micro-kernel is made for: the positions that it computes at once, and a row of their windows.

    ``few`` says that the channels do not fill a vector.
    """

    block: int
    taps: int
    stride: int
    dilation: int
    few: bool

    @property
    def columns(self) -> list[int]:
        """The columns that the windows read, counted from the first."""
        return sorted({p * self.stride + t * self.dilation for p in range(self.block) for t in range(self.taps)})


#: How many neighbouring positions a kernel may compute at once, the best first.
_BLOCKS = (8, 7, 4)


def window_row(where: Windows, channels: int) -> WindowRow:
    """The kind of windows on an image; as many positions at once as leave the fewest unused."""
    width = where.output[-1]
    block = min(_BLOCKS, key=lambda block: -(-width // block) * block)
    return WindowRow(block, where.kernel[-1], where.strides[-1], where.dilations[-1], channels < LANES)


def window_block(row: WindowRow) -> Any:
    """The micro-kernel for a row of windows::

        block(x, row_step, rows, channels, column, width, w, w_step, bias, y, filled, residual, added, low, high, zeros,
              spare)

    From address ``x`` on lie the channels of column ``column`` of an image, and ``row_step`` bytes further those of the
    next of ``rows`` rows that a window has; columns are ``channels`` elements apart.  Weights of neighbouring taps are
    ``w_step`` elements apart, row after row.  Position p goes to ``y + p * channels`` and is the bias plus the sum of
    elements times weights; what the bits of ``added`` say is added, and it is cut to the limits, as in
    `onnxlite.kernels.numba.convolution.patch`.  Only ``filled`` positions are written.  Columns outside the image,
    which has ``width`` of them, are read from ``zeros``, a vector.  ``spare`` has room for all positions.
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
        w: Any,
        w_step: Any,
        bias: Any,
        y: Any,
        filled: Any,
        residual: Any,
        added: Any,
        low: Any,
        high: Any,
        zeros: Any,
        spare: Any,
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            x, row_step, rows, channels, column, width, w, w_step, bias, y, filled, residual, added, *rest = arguments
            low, high, zeros, spare = rest
            code = VectorCode(context, builder, types.float32)
            columns = columns_of_windows(builder, row, column, channels, width)
            first = code.load(builder.inttoptr(bias, _FLOATS), _constant(0))
            lanes = channels if row.few else None
            sums = _window_sums(code, row, (x, row_step, rows), columns, zeros, (w, w_step), first, lanes)
            places, residuals = (
                rows_of_tile(builder, place, channels, filled, spare, row.block, 1) for place in (y, residual)
            )
            limits = code.splat(low), code.splat(high)
            store_tile(code, [[value] for value in sums], places, residuals, added, limits, lanes)
            return context.get_dummy_value()

        number, integer = types.float32, types.intp
        return types.void(*(integer,) * 13, number, number, integer, integer), generate

    return block


def _constant(value: int) -> Any:
    return ir.Constant(_INT, value)


def columns_of_windows(
    builder: Any, row: WindowRow, first: Any, channels: Any, width: Any
) -> dict[int, tuple[Any, Any]]:
    """For each column that the windows read, by its distance from the first: the bytes to it, and if it is inside."""
    found = {}
    for distance in row.columns:
        shift = builder.mul(channels, _constant(4 * distance))
        # As an unsigned number, a column before the first one is behind the last one.
        inside = builder.icmp_unsigned("<", builder.add(first, _constant(distance)), width)
        found[distance] = shift, inside
    return found


def read_column(code: VectorCode, line: Any, shift: Any, inside: Any, outside: Any, lanes: Any) -> Any:
    """The channels of a column of a row, or what lies at ``outside``; ``lanes`` of them are read, None: all."""
    builder = code.builder
    pointer = builder.inttoptr(builder.select(inside, builder.add(line, shift), outside), _FLOATS)
    if lanes is None:
        return code.load(pointer, _constant(0))
    return code.load_some(pointer, _constant(0), lanes, ir.Constant(code.vector, [0.0] * LANES))


def _window_sums(
    code: VectorCode,
    row: WindowRow,
    image: tuple[Any, Any, Any],
    columns: dict[int, tuple[Any, Any]],
    zeros: Any,
    weights: tuple[Any, Any],
    first: Any,
    lanes: Any,
) -> list[Any]:
    """The loop over the rows of the windows; every sum stays in a register.  ``lanes`` channels are read, None: all."""
    builder = code.builder
    (x, row_step, rows), (w, w_step) = image, weights
    before = builder.block
    head, body, after = (builder.append_basic_block(name) for name in ("rows", "row", "done"))
    builder.branch(head)
    builder.position_at_end(head)
    number, line, right = builder.phi(_INT), builder.phi(_INT), builder.phi(_INT)
    sums = [builder.phi(code.vector) for _ in range(row.block)]
    builder.cbranch(builder.icmp_signed("<", number, rows), body, after)

    builder.position_at_end(body)
    tap_step = builder.mul(w_step, _constant(4))
    taps = [
        code.load(builder.inttoptr(builder.add(right, builder.mul(tap_step, _constant(tap))), _FLOATS), _constant(0))
        for tap in range(row.taps)
    ]
    results = list(sums)
    for distance, (shift, inside) in columns.items():
        value = read_column(code, line, shift, inside, zeros, lanes)
        for position in range(row.block):
            tap, rest = divmod(distance - position * row.stride, row.dilation)
            if rest == 0 and 0 <= tap < row.taps:
                results[position] = code.call(f"llvm.fma.v{LANES}f32", code.vector, value, taps[tap], results[position])
    following = builder.add(number, _constant(1))
    next_line = builder.add(line, row_step)
    next_right = builder.add(right, builder.mul(tap_step, _constant(row.taps)))
    end = builder.block
    builder.branch(head)
    for phi, start, following_value in (
        (number, _constant(0), following),
        (line, x, next_line),
        (right, w, next_right),
        *((phi, first, result) for phi, result in zip(sums, results, strict=True)),
    ):
        phi.add_incoming(start, before)
        phi.add_incoming(following_value, end)
    builder.position_at_end(after)
    return sums
