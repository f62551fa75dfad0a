"""LLVM code for vectors as wide as a register, of any type of element: what intrinsics are written with."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

from llvmlite import ir
from numba import types
from numba.core import cgutils

from onnxlite.kernels.numba.machine.simd import LANES

_INDEX = ir.IntType(32)


class VectorCode:
    """Instructions on vectors as wide as a register, for one type of element."""

    def __init__(self, context: Any, builder: Any, element: Any) -> None:
        self.builder = builder
        self.floating = isinstance(element, types.Float)
        self.signed = getattr(element, "signed", True)
        self.scalar = context.get_value_type(element)
        self.lanes = LANES * 32 // element.bitwidth
        self.vector = ir.VectorType(self.scalar, self.lanes)
        self.name = f"{'f' if self.floating else 'i'}{element.bitwidth}"

    def call(self, name: str, result: Any, *arguments: Any, flags: tuple[str, ...] = ()) -> Any:
        """Call an intrinsic function of LLVM."""
        kind = ir.FunctionType(result, [argument.type for argument in arguments])
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(function, arguments, fastmath=flags)

    def splat(self, scalar: Any) -> Any:
        """A vector with the scalar in all lanes."""
        vector = ir.VectorType(scalar.type, self.lanes)
        undefined = ir.Constant(vector, ir.Undefined)
        one = self.builder.insert_element(undefined, scalar, ir.Constant(_INDEX, 0))
        zeros = ir.Constant(ir.VectorType(_INDEX, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(one, undefined, zeros)

    def load(self, data: Any, index: Any) -> Any:
        """The vector whose first element is at the index."""
        place = self.builder.gep(data, [index])
        return self.builder.load(self.builder.bitcast(place, self.vector.as_pointer()), align=1)

    def load_some(self, data: Any, index: Any, count: Any, fill: Any) -> Any:
        """The first ``count`` lanes of such a vector, and those of ``fill`` in the others."""
        return self.load_where(data, index, self.first_lanes(count), fill)

    def load_where(self, data: Any, index: Any, mask: Any, fill: Any) -> Any:
        """The lanes of such a vector where the mask is set, and those of ``fill`` elsewhere."""
        place = self.builder.bitcast(self.builder.gep(data, [index]), self.vector.as_pointer())
        name = f"llvm.masked.load.v{self.lanes}{self.name}.p0"
        return self.call(name, self.vector, place, ir.Constant(_INDEX, 1), mask, fill)

    def gather(self, data: Any, places: Any, mask: Any, fill: Any) -> Any:
        """The elements at the places where the mask is set, and those of ``fill`` elsewhere; place 0 can be read."""
        builder = self.builder
        places = builder.select(mask, places, ir.Constant(places.type, [0] * self.lanes))
        vector = ir.Constant(self.vector, ir.Undefined)
        for lane in range(self.lanes):
            number = ir.Constant(_INDEX, lane)
            element = builder.load(builder.gep(data, [builder.extract_element(places, number)]))
            vector = builder.insert_element(vector, element, number)
        return builder.select(mask, vector, fill)

    def store(self, vector: Any, data: Any, index: Any) -> None:
        """Write a vector whose first element goes to the index."""
        place = self.builder.gep(data, [index])
        self.builder.store(vector, self.builder.bitcast(place, self.vector.as_pointer()), align=1)

    def store_some(self, vector: Any, data: Any, index: Any, count: Any) -> None:
        """Write the first ``count`` lanes of a vector."""
        place = self.builder.bitcast(self.builder.gep(data, [index]), self.vector.as_pointer())
        name = f"llvm.masked.store.v{self.lanes}{self.name}.p0"
        self.call(name, ir.VoidType(), vector, place, ir.Constant(_INDEX, 1), self.first_lanes(count))

    def first_lanes(self, count: Any) -> Any:
        """A mask of the first ``count`` lanes."""
        counts = self.splat(self.builder.trunc(count, _INDEX))
        numbers = ir.Constant(counts.type, list(range(self.lanes)))
        return self.builder.icmp_signed("<", numbers, counts)

    def is_nan(self, x: Any) -> Any:
        """Which lanes are NaN."""
        return self.builder.fcmp_unordered("uno", x, x)


#: An operation on two vectors.
Combine: TypeAlias = Callable[[VectorCode, Any, Any], Any]


def add(code: VectorCode, a: Any, b: Any) -> Any:
    """The sum."""
    return code.builder.fadd(a, b, flags=("contract",)) if code.floating else code.builder.add(a, b)


def multiply(code: VectorCode, a: Any, b: Any) -> Any:
    """The product."""
    return code.builder.fmul(a, b) if code.floating else code.builder.mul(a, b)


def larger(code: VectorCode, a: Any, b: Any) -> Any:
    """The larger number; the second where one is NaN: one instruction."""
    return _chosen(code, ">", a, b)


def smaller(code: VectorCode, a: Any, b: Any) -> Any:
    """The smaller number; the second where one is NaN: one instruction."""
    return _chosen(code, "<", a, b)


def _chosen(code: VectorCode, comparison: str, a: Any, b: Any) -> Any:
    builder = code.builder
    if code.floating:
        return builder.select(builder.fcmp_ordered(comparison, a, b), a, b)
    compare = builder.icmp_signed if code.signed else builder.icmp_unsigned
    return builder.select(compare(comparison, a, b), a, b)


class Accumulator:
    """A vector in which others are combined, lane by lane.

    Extremes that keep NaN note which lanes have seen one: that is quicker than to compare with care each time.
    """

    def __init__(self, code: VectorCode, combine: Combine, identity: Any, keeps_nan: bool = False) -> None:
        self._code, self._combine, self._identity = code, combine, identity
        self._value = cgutils.alloca_once_value(code.builder, identity)
        self._none = ir.Constant(ir.VectorType(ir.IntType(1), code.lanes), [0] * code.lanes)
        self._nans = cgutils.alloca_once_value(code.builder, self._none) if keeps_nan and code.floating else None

    def clear(self) -> None:
        """Start again."""
        self._code.builder.store(self._identity, self._value)
        if self._nans is not None:
            self._code.builder.store(self._none, self._nans)

    def take(self, vector: Any) -> None:
        """Combine another vector."""
        builder = self._code.builder
        builder.store(self._combine(self._code, builder.load(self._value), vector), self._value)
        if self._nans is not None:
            builder.store(builder.or_(builder.load(self._nans), self._code.is_nan(vector)), self._nans)

    def result(self) -> Any:
        """The vector."""
        builder = self._code.builder
        value = builder.load(self._value)
        if self._nans is None:
            return value
        nan = ir.Constant(self._code.vector, [math.nan] * self._code.lanes)
        return builder.select(builder.load(self._nans), nan, value)

    def folded(self) -> Any:
        """The lanes combined into one number: the halves of the vector, then theirs, and so on."""
        builder, width = self._code.builder, self._code.lanes
        vector = builder.load(self._value)
        while width > 1:
            width //= 2
            low, high = (
                builder.shuffle_vector(
                    vector, vector, ir.Constant(ir.VectorType(_INDEX, width), list(range(start, start + width)))
                )
                for start in (0, width)
            )
            vector = self._combine(self._code, low, high)
        number = builder.extract_element(vector, ir.Constant(_INDEX, 0))
        if self._nans is None:
            return number
        name = f"llvm.vector.reduce.or.v{self._code.lanes}i1"
        seen = self._code.call(name, ir.IntType(1), builder.load(self._nans))
        return builder.select(seen, ir.Constant(self._code.scalar, math.nan), number)
