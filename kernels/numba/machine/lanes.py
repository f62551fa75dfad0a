"""What loops need of LLVM so that they vectorise: plain loads and stores, and its functions of one element.

``array[index]`` is not plain in compiled code: an index that may be negative counts from the end, which turns a vector
load into a gather, and an output that may overlap an input keeps the loop from being vectorised, or sends it to a slow
path when both are the same memory.  `load` and `store` take an index as it is, and promise that what a loop stores is
nothing that it loads later: each element of an output depends on inputs' elements of the same place at most.

The functions of one element work on float32 and float64, keep NaN, and become one instruction of every lane.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


def _place(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [index])


def _mark(builder: Any, instruction: Any, own: str, other: str) -> None:
    """Tell LLVM that accesses of the kind ``own`` and of the kind ``other`` never meet."""
    module = builder.module
    domain = module.add_metadata(["onnxlite"])
    scopes = {kind: module.add_metadata([module.add_metadata([kind, domain])]) for kind in (own, other)}
    instruction.set_metadata("alias.scope", scopes[own])
    instruction.set_metadata("noalias", scopes[other])


@intrinsic
def load(typing_context: Any, array: Any, index: Any) -> Any:
    """``array[index]`` of a contiguous array; the index is not negative and within bounds."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array_type = signature.args[0]
        value = builder.load(_place(context, builder, array_type, *arguments))
        _mark(builder, value, "load", "store")
        return context.data_model_manager[array_type.dtype].from_data(builder, value)

    return array.dtype(array, types.intp), generate


@intrinsic
def store(typing_context: Any, array: Any, index: Any, value: Any) -> Any:
    """``array[index] = value`` of a contiguous array; the index is not negative and within bounds."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array_type = signature.args[0]
        data = context.data_model_manager[array_type.dtype].as_data(builder, arguments[2])
        _mark(builder, builder.store(data, _place(context, builder, array_type, *arguments[:2])), "store", "load")
        return context.get_dummy_value()

    return types.void(array, types.intp, array.dtype), generate


def _float_function(name: str, count: int) -> Any:
    """LLVM's intrinsic function of a name, of a number of floats."""

    def call(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = context.get_value_type(signature.return_type)
        suffix = "f32" if signature.return_type == types.float32 else "f64"
        function = cgutils.get_or_insert_function(
            builder.module, cgutils.ir.FunctionType(kind, [kind] * count), f"llvm.{name}.{suffix}"
        )
        return builder.call(function, arguments)

    if count == 1:

        @intrinsic
        def unary(typing_context: Any, x: Any) -> Any:
            return x(x), call

        return unary

    @intrinsic
    def binary(typing_context: Any, x: Any, y: Any) -> Any:
        return x(x, x), call

    return binary


floor = _float_function("floor", 1)
ceil = _float_function("ceil", 1)
trunc = _float_function("trunc", 1)
#: The nearest integer, halves to the even one.
rint = _float_function("rint", 1)
sqrt = _float_function("sqrt", 1)
magnitude = _float_function("fabs", 1)
#: ``copysign(x, y)``: the magnitude of x with the sign of y.
copysign = _float_function("copysign", 2)


@intrinsic
def quotient(typing_context: Any, a: Any, b: Any) -> Any:
    """The quotient of two integers of one type, cut toward zero; 0 for a division by 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, b = arguments
        zero, one = (cgutils.ir.Constant(a.type, number) for number in (0, 1))
        # The processor's division traps where it has no result.
        none = builder.icmp_unsigned("==", b, zero)
        if not signature.return_type.signed:
            return builder.select(none, zero, builder.udiv(a, builder.select(none, one, b)))
        negated = builder.icmp_unsigned("==", b, cgutils.ir.Constant(a.type, -1))
        result = builder.sdiv(a, builder.select(builder.or_(none, negated), one, b))
        return builder.select(none, zero, builder.select(negated, builder.neg(a), result))

    return a(a, a), generate


@intrinsic
def fmod(typing_context: Any, a: Any, b: Any) -> Any:
    """What the division of two floats toward zero leaves, with the sign of ``a``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.frem(*arguments)

    return a(a, a), generate


def _reinterpret(source: Any, target: Any, documentation: str) -> Any:
    """A function that reads the bits of one type as another."""

    def call(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(target))

    @intrinsic
    def reinterpret(typing_context: Any, x: Any) -> Any:
        return target(source), call

    reinterpret.__doc__ = documentation
    return reinterpret


bits_of = _reinterpret(types.float32, types.int32, "The bits of a float32.")
from_bits = _reinterpret(types.int32, types.float32, "The float32 of the bits in the low half of an integer.")
bits_of_double = _reinterpret(types.float64, types.int64, "The bits of a float64.")
double_from_bits = _reinterpret(types.int64, types.float64, "The float64 of the bits in an integer.")
