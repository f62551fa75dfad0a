"""The steps of sums and extremes, for scalars in loops: LLVM makes vector instructions of them.

Python's ``+`` and ``max`` fix an order of evaluation, which keeps a loop from being vectorised; these leave it open.
Being single instructions, they leave the arithmetic around them exact.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


def _extreme(name: str, float_name: str, comparison: str) -> Any:
    """A scalar function of two numbers of one type."""

    @intrinsic
    def extreme(typing_context: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            kind = arguments[0].type
            if isinstance(a, types.Float):
                function = cgutils.get_or_insert_function(
                    builder.module, ir.FunctionType(kind, [kind, kind]), f"{float_name}.f{a.bitwidth}"
                )
                return builder.call(function, arguments, fastmath=("nsz",))
            compare = builder.icmp_signed if getattr(a, "signed", False) else builder.icmp_unsigned
            return builder.select(compare(comparison, *arguments), *arguments)

        return a(a, a), generate

    extreme.__name__ = name
    return extreme


def _arithmetic(name: str, float_name: str, integer_name: str) -> Any:
    @intrinsic
    def arithmetic(typing_context: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            if isinstance(a, types.Float):
                return getattr(builder, float_name)(*arguments, flags=("reassoc", "contract"))
            return getattr(builder, integer_name)(*arguments)

        return a(a, a), generate

    arithmetic.__name__ = name
    return arithmetic


#: The larger of two numbers, NaN if one is NaN; of the zeros, either.
maximum = _extreme("maximum", "llvm.maximum", ">=")

#: The smaller of two numbers, NaN if one is NaN; of the zeros, either.
minimum = _extreme("minimum", "llvm.minimum", "<=")

#: A sum whose terms may be added in any order.
plus = _arithmetic("plus", "fadd", "add")

#: A product whose factors may be multiplied in any order.
times = _arithmetic("times", "fmul", "mul")
