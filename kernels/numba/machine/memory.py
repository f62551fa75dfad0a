"""Memory by address: what lets one compiled function serve arrays of any rank, layout and mutability."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

_INT = ir.IntType(64)
_FLOAT = ir.FloatType().as_pointer()


@intrinsic
def address(typing_context: Any, array: Any, index: Any) -> Any:
    """The address of an element of a flat array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.ptrtoint(builder.gep(data, [arguments[1]]), _INT)

    return types.intp(array, types.intp), generate


def _view(kind: Any, documentation: str) -> Any:
    """A function that gives the numbers of a type from an address on."""
    array_type = types.Array(kind, 1, "C")
    element = ir.FloatType() if kind == types.float32 else ir.IntType(kind.bitwidth)
    size = ir.Constant(_INT, kind.bitwidth // 8)

    @intrinsic
    def view(typing_context: Any, place: Any, count: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            place, count = arguments
            array = context.make_array(array_type)(context, builder)
            populate_array(
                array,
                data=builder.inttoptr(place, element.as_pointer()),
                shape=cgutils.pack_array(builder, [count]),
                strides=cgutils.pack_array(builder, [size]),
                itemsize=size,
                meminfo=None,
            )
            return array._getvalue()

        return array_type(types.intp, types.intp), generate

    view.__doc__ = documentation
    return view


floats = _view(types.float32, "The float32 numbers from an address on, as an array.")
int64s = _view(types.int64, "The int64 numbers from an address on, as an array.")
int32s = _view(types.int32, "The int32 numbers from an address on, as an array.")
int16s = _view(types.int16, "The int16 numbers from an address on, as an array.")
int8s = _view(types.int8, "The int8 numbers from an address on, as an array.")
uint8s = _view(types.uint8, "The uint8 numbers from an address on, as an array.")


@intrinsic
def read(typing_context: Any, place: Any) -> Any:
    """The float32 at an address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(builder.inttoptr(arguments[0], _FLOAT))

    return types.float32(types.intp), generate


@intrinsic
def write(typing_context: Any, place: Any, value: Any) -> Any:
    """Put a float32 at an address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[1], builder.inttoptr(arguments[0], _FLOAT))
        return context.get_dummy_value()

    return types.void(types.intp, types.float32), generate
