"""Sums and extremes of elements that lie side by side, taken in vectors.

Each function takes a contiguous array, the first element, and how many there are (none gives the identity).  They are
written out for LLVM because its own vectorisation pays for rows of many hundreds of elements only: most rows of a model
are shorter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from onnxlite.kernels.numba.machine.vector_code import Accumulator, Combine, VectorCode, add, larger, multiply, smaller

_INT = ir.IntType(64)

#: The accumulators of a long row: their chains of additions overlap.
_CHAINS = 4


Term = Callable[[VectorCode, Any, Any], Any]


def _element(code: VectorCode, x: Any, shift: Any) -> Any:
    return x


def _square(code: VectorCode, x: Any, shift: Any) -> Any:
    return code.builder.fmul(x, x, flags=("contract",))


def _magnitude(code: VectorCode, x: Any, shift: Any) -> Any:
    return code.call(f"llvm.fabs.v{code.lanes}{code.name}", code.vector, x)


def _squared_deviation(code: VectorCode, x: Any, shift: Any) -> Any:
    return _square(code, code.builder.fsub(x, shift), shift)


def _reduction(term: Term, combine: Combine, keeps_nan: bool = False) -> Any:
    """The function ``reduce(array, first, count, identity, shift)``; all but one ignore the shift."""

    @intrinsic
    def reduce(typing_context: Any, array: Any, first: Any, count: Any, identity: Any, shift: Any) -> Any:
        element = array.dtype

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array_value, first, count, identity, shift = arguments
            data = context.make_array(signature.args[0])(context, builder, array_value).data
            code = VectorCode(context, builder, element)
            return _reduced(code, term, combine, keeps_nan, data, first, count, code.splat(identity), code.splat(shift))

        return element(array, types.intp, types.intp, element, element), generate

    return reduce


def _reduced(
    code: VectorCode,
    term: Term,
    combine: Combine,
    keeps_nan: bool,
    data: Any,
    first: Any,
    count: Any,
    identity: Any,
    shift: Any,
) -> Any:
    """The number that a row is reduced to: chains of whole vectors, whole vectors, the rest of a vector."""
    builder = code.builder
    chains = [Accumulator(code, combine, identity, keeps_nan) for _ in range(_CHAINS)]
    lanes, stride = ir.Constant(_INT, code.lanes), ir.Constant(_INT, code.lanes * _CHAINS)
    wide_end = builder.add(first, builder.sub(count, builder.srem(count, stride)))
    with builder.if_then(builder.icmp_signed(">=", count, stride)):
        with cgutils.for_range_slice(builder, first, wide_end, stride, inc=True) as (index, _):
            for number, chain in enumerate(chains):
                place = builder.add(index, ir.Constant(_INT, number * code.lanes))
                chain.take(term(code, code.load(data, place), shift))
        for other in chains[1:]:
            chains[0].take(other.result())
    rest = builder.srem(count, lanes)
    full_end = builder.sub(builder.add(first, count), rest)
    with cgutils.for_range_slice(builder, wide_end, full_end, lanes, inc=True) as (index, _):
        chains[0].take(term(code, code.load(data, index), shift))
    with builder.if_then(builder.icmp_signed(">", rest, ir.Constant(_INT, 0))):
        # Lanes that the row does not fill hold what changes nothing: the identity, or no deviation.
        fill = shift if term is _squared_deviation else identity
        chains[0].take(term(code, code.load_some(data, full_end, rest, fill), shift))
    return chains[0].folded()


sum_of = _reduction(_element, add)
sum_of_squares = _reduction(_square, add)
sum_of_magnitudes = _reduction(_magnitude, add)
#: The sum of ``(x - shift)**2``.
sum_of_squared_deviations = _reduction(_squared_deviation, add)
product_of = _reduction(_element, multiply)
#: The largest float, but of a row with NaN any: where NaN shows otherwise, this is the quicker one.
largest_of = _reduction(_element, larger)
#: NaN if one is NaN.
maximum_of = _reduction(_element, larger, keeps_nan=True)
#: NaN if one is NaN.
minimum_of = _reduction(_element, smaller, keeps_nan=True)
