"""A vector of float32 as a type of compiled code: kernels that use it read as arithmetic on numbers.

    acc = splat(0.0)
    for t in range(taps):
        acc = fma(load(x, start + t * LANES), load(w, t * LANES), acc)
    store(y, place, acc)

``load(array, index)`` reads LANES elements from an index of a flat float32 array on, ``store`` writes them; ``+``,
``-`` and ``*`` work lane by lane.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

from onnxlite.kernels.numba.machine.simd import LANES
from onnxlite.kernels.numba.machine.vector_code import VectorCode, larger, smaller

VECTOR = ir.VectorType(ir.FloatType(), LANES)


def _place(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    """The address of a vector of floats, at an index of a flat array."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), VECTOR.as_pointer())


class _VectorType(types.Type):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__(name=f"float32x{LANES}")


vector_type = _VectorType()


@register_model(_VectorType)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, data_model_manager: Any, kind: Any) -> None:
        super().__init__(data_model_manager, kind, VECTOR)


@intrinsic
def load(typing_context: Any, array: Any, index: Any) -> Any:
    """LANES elements of a flat array, from an index on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_place(context, builder, signature.args[0], *arguments), align=4)

    return vector_type(array, types.intp), generate


@intrinsic
def store(typing_context: Any, array: Any, index: Any, value: Any) -> Any:
    """Write LANES elements of a flat array, from an index on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, index, value = arguments
        builder.store(value, _place(context, builder, signature.args[0], array, index), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector_type), generate


@intrinsic
def splat(typing_context: Any, value: Any) -> Any:
    """A vector with one number in all lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return VectorCode(context, builder, types.float32).splat(arguments[0])

    return vector_type(types.float32), generate


@intrinsic
def fma(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """``a * b + c``, rounded once."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        function_type = ir.FunctionType(VECTOR, [VECTOR] * 3)
        name = f"llvm.fma.v{LANES}f32"
        return builder.call(cgutils.get_or_insert_function(builder.module, function_type, name), arguments)

    return vector_type(vector_type, vector_type, vector_type), generate


@intrinsic
def maximum(typing_context: Any, a: Any, b: Any) -> Any:
    """The larger number in each lane, NaN where one is NaN."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, b = arguments
        larger = builder.select(builder.fcmp_unordered(">", b, a), b, a)
        # An unordered comparison takes b where a is NaN; a is put back there.
        return builder.select(builder.fcmp_unordered("uno", a, a), a, larger)

    return vector_type(vector_type, vector_type), generate


@intrinsic
def limited(typing_context: Any, x: Any, low: Any, high: Any) -> Any:
    """The lanes cut to the limits, numbers; NaN stays NaN."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        code = VectorCode(context, builder, types.float32)
        x, low, high = arguments
        return smaller(code, code.splat(high), larger(code, code.splat(low), x))

    return vector_type(vector_type, types.float32, types.float32), generate


def _lane_by_lane(python_operator: Any, instruction: str) -> None:
    @intrinsic
    def apply(typing_context: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(builder, instruction)(*arguments)

        return vector_type(vector_type, vector_type), generate

    @overload(python_operator)
    def implement(a, b):  # type: ignore[no-untyped-def]  # Numba compares it with what it returns.
        if a == vector_type and b == vector_type:
            return lambda a, b: apply(a, b)
        return None


_lane_by_lane(operator.add, "fadd")
_lane_by_lane(operator.sub, "fsub")
_lane_by_lane(operator.mul, "fmul")
