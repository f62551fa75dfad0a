"""One row of a pool: the windows along a row are reduced in vectors, a window to a lane."""

from __future__ import annotations

import functools
import math
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from onnxlite.kernels.numba.machine.vector_code import Accumulator, Combine, VectorCode

_INT = ir.IntType(64)
_INDEX = ir.IntType(32)


def window_row(
    combine: Combine,
    stride: int | None,
    *,
    keeps_nan: bool = False,
    divides: bool = False,
    square: int | None = None,
) -> Any:
    """The function that reduces a row of windows.

    ``f(target, place, count, source, starts, rows, width, kernel, stride, dilation, begin, identity, divisors, first)``
    writes ``count`` elements of the target, from ``place`` on.  Window o covers ``rows`` rows of the source, which
    start where ``starts`` says and are ``width`` long, and in each row the elements ``o * stride - begin + k *
    dilation`` for k below ``kernel``, as far as they exist.

    Args:
        combine: The operation that reduces windows.
        stride: The stride, 1 or 2, if the function is made for a single one.
        keeps_nan: The operation is an extreme that is NaN where an element is NaN.
        divides: Divide each result by one of the divisors, from ``first`` on.
        square: The function is made for windows of so many rows and columns, without dilation, and a stride.
    """

    @intrinsic
    def reduce(
        typing_context: Any,
        target: Any,
        place: Any,
        count: Any,
        source: Any,
        starts: Any,
        rows: Any,
        width: Any,
        kernel: Any,
        any_stride: Any,
        dilation: Any,
        begin: Any,
        identity: Any,
        divisors: Any,
        first: Any,
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            to, place, count, data, table, *sizes, identity, by, first = arguments
            data, table, to, by = (
                context.make_array(kind)(context, builder, value).data
                for kind, value in ((source, data), (starts, table), (target, to), (divisors, by))
            )
            code = VectorCode(context, builder, source.dtype)
            row: _WindowRow | _SquareRow
            if square is None or stride is None:
                row = _WindowRow(code, combine, keeps_nan, stride, data, table, identity, *sizes)
            else:
                _, width, _, _, _, begin = sizes
                row = _SquareRow(code, combine, keeps_nan, stride, square, data, table, width, begin, identity)
            to, by = builder.gep(to, [place]), builder.gep(by, [first])
            zero, lanes = ir.Constant(_INT, 0), ir.Constant(_INT, code.lanes)
            with cgutils.for_range_slice(builder, zero, count, lanes, inc=True) as (window, _):
                result = row.result(window)
                rest = builder.sub(count, window)
                with builder.if_else(builder.icmp_signed(">=", rest, lanes)) as (whole, partial):
                    with whole:
                        full = builder.fdiv(result, code.load(by, window)) if divides else result
                        code.store(full, to, window)
                    with partial:
                        ones = ir.Constant(code.vector, [1.0] * code.lanes) if divides else None
                        some = builder.fdiv(result, code.load_some(by, window, rest, ones)) if divides else result
                        code.store_some(some, to, window, rest)
            return context.get_dummy_value()

        sizes = (types.intp,) * 6
        arrays = (target, types.intp, types.intp, source, starts)
        return types.void(*arrays, *sizes, source.dtype, divisors, types.intp), generate

    return reduce


class _WindowRow:
    """The code that reduces as many windows as a vector has lanes."""

    def __init__(
        self,
        code: VectorCode,
        combine: Combine,
        keeps_nan: bool,
        stride: int | None,
        data: Any,
        table: Any,
        identity: Any,
        rows: Any,
        width: Any,
        kernel: Any,
        any_stride: Any,
        dilation: Any,
        begin: Any,
    ) -> None:
        self._code, self._builder = code, code.builder
        self._stride, self._any_stride = stride, any_stride
        self._data, self._table, self._rows, self._width = data, table, rows, width
        self._kernel, self._dilation, self._begin = kernel, dilation, begin
        self._identity = code.splat(identity)
        self._total = Accumulator(code, combine, self._identity, keeps_nan)
        # With a stride of 2, every other of the elements in two neighbouring vectors belongs to the windows.
        self._parts = [Accumulator(code, combine, self._identity, keeps_nan) for _ in range(2)] if stride == 2 else []

    def result(self, window: Any) -> Any:
        """The results of the windows from a number on; lanes of windows that do not exist hold anything."""
        builder, code = self._builder, self._code
        self._total.clear()
        origin = builder.sub(builder.mul(window, self._any_stride), self._begin)
        with cgutils.for_range(builder, self._kernel) as tap:
            offset = builder.add(origin, builder.mul(tap.index, self._dilation))
            for part in self._parts:
                part.clear()
            if self._stride is None:
                self._take_rows(offset, masked=True)
            else:
                reach = builder.add(offset, ir.Constant(_INT, code.lanes * self._stride))
                low = builder.icmp_signed(">=", offset, ir.Constant(_INT, 0))
                high = builder.icmp_signed("<=", reach, self._width)
                with builder.if_else(builder.and_(low, high)) as (inside, edge):
                    with inside:
                        self._take_rows(offset, masked=False)
                    with edge:
                        self._take_rows(offset, masked=True)
            if self._parts:
                low, high = (part.result() for part in self._parts)
                evens = ir.Constant(ir.VectorType(_INDEX, code.lanes), [2 * lane for lane in range(code.lanes)])
                self._total.take(builder.shuffle_vector(low, high, evens))
        return self._total.result()

    def _take_rows(self, offset: Any, *, masked: bool) -> None:
        """Combine the elements from an offset on of all rows."""
        builder, code = self._builder, self._code
        parts = self._parts or [self._total]
        places = [self._places(offset, part) for part in range(len(parts))] if masked else []
        masks = [builder.icmp_unsigned("<", p, code.splat(builder.trunc(self._width, _INDEX))) for p in places]
        with cgutils.for_range(builder, self._rows) as row:
            start = builder.load(builder.gep(self._table, [row.index]))
            for number, part in enumerate(parts):
                here = builder.add(builder.add(start, offset), ir.Constant(_INT, number * code.lanes))
                if not masked:
                    vector = code.load(self._data, here)
                elif self._stride is None:
                    vector = code.gather(
                        builder.gep(self._data, [start]), places[number], masks[number], self._identity
                    )
                else:
                    vector = code.load_where(self._data, here, masks[number], self._identity)
                part.take(vector)

    def _places(self, offset: Any, part: int) -> Any:
        """Where in a row the lanes lie; an unsigned comparison with its length says which lie inside."""
        builder, code = self._builder, self._code
        lanes = ir.Constant(ir.VectorType(_INDEX, code.lanes), list(range(code.lanes)))
        if self._stride is None:
            lanes = builder.mul(lanes, code.splat(builder.trunc(self._any_stride, _INDEX)))
        first = builder.add(offset, ir.Constant(_INT, part * code.lanes))
        return builder.add(lanes, code.splat(builder.trunc(first, _INDEX)))


class _SquareRow:
    """The code that reduces as many square windows as a vector has lanes, all their elements in one go."""

    def __init__(
        self,
        code: VectorCode,
        combine: Combine,
        keeps_nan: bool,
        stride: int,
        length: int,
        data: Any,
        table: Any,
        width: Any,
        begin: Any,
        identity: Any,
    ) -> None:
        builder = code.builder
        self._code, self._builder, self._combine = code, builder, combine
        self._keeps_nan = keeps_nan and code.floating
        self._stride, self._length, self._width, self._begin = stride, length, width, begin
        self._identity = code.splat(identity)
        self._rows = [
            builder.gep(data, [builder.load(builder.gep(table, [ir.Constant(_INT, row)]))]) for row in range(length)
        ]
        self._result = cgutils.alloca_once(builder, code.vector)

    def result(self, window: Any) -> Any:
        """The results of the windows from a number on; lanes of windows that do not exist hold anything."""
        builder = self._builder
        origin = builder.sub(builder.mul(window, ir.Constant(_INT, self._stride)), self._begin)
        # With a stride of 2 the last pair of vectors starts at an even element of the windows.
        last = self._length - 1 if self._stride == 1 else (self._length - 1) // 2 * 2
        reach = builder.add(origin, ir.Constant(_INT, last + self._code.lanes * self._stride))
        low = builder.icmp_signed(">=", origin, ir.Constant(_INT, 0))
        high = builder.icmp_signed("<=", reach, self._width)
        with builder.if_else(builder.and_(low, high)) as (inside, edge):
            for block, masked in ((inside, False), (edge, True)):
                with block:
                    vectors = self._neighbours(origin, masked) if self._stride == 1 else self._pairs(origin, masked)
                    builder.store(self._combined(vectors), self._result)
        return builder.load(self._result)

    def _neighbours(self, origin: Any, masked: bool) -> list[Any]:
        """The elements of all windows, one vector for each place in the window."""
        return [vector for place in range(self._length) for vector in self._column(origin, place, masked)]

    def _pairs(self, origin: Any, masked: bool) -> list[Any]:
        """The columns of the windows, one vector for each, of windows that lie 2 elements apart."""
        builder, lanes = self._builder, self._code.lanes
        vectors = []
        for place in range(0, self._length, 2):
            low, high = (self._combined(self._column(origin, start, masked)) for start in (place, place + lanes))
            for offset in range(min(2, self._length - place)):
                chosen = ir.Constant(ir.VectorType(_INDEX, lanes), [2 * lane + offset for lane in range(lanes)])
                vectors.append(builder.shuffle_vector(low, high, chosen))
        return vectors

    def _column(self, origin: Any, offset: int, masked: bool) -> list[Any]:
        """Vectors of neighbours from one element on, of each row."""
        builder, code = self._builder, self._code
        place = builder.add(origin, ir.Constant(_INT, offset))
        if not masked:
            return [code.load(row, place) for row in self._rows]
        lanes = ir.Constant(ir.VectorType(_INDEX, code.lanes), list(range(code.lanes)))
        places = builder.add(lanes, code.splat(builder.trunc(place, _INDEX)))
        mask = builder.icmp_unsigned("<", places, code.splat(builder.trunc(self._width, _INDEX)))
        return [code.load_where(row, place, mask, self._identity) for row in self._rows]

    def _combined(self, vectors: list[Any]) -> Any:
        """The vectors combined, and NaN where one has NaN if that is to be kept."""
        result = functools.reduce(functools.partial(self._combine, self._code), vectors)
        if not self._keeps_nan:
            return result
        builder = self._builder
        # One comparison looks at two vectors.
        seen = [
            builder.fcmp_unordered("uno", first, second)
            for first, second in zip(vectors[::2], [*vectors[1::2], vectors[-1]], strict=False)
        ]
        nan = ir.Constant(self._code.vector, [math.nan] * self._code.lanes)
        return builder.select(functools.reduce(builder.or_, seen), nan, result)
