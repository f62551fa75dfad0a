"""Views of arrays that cost nothing, and copies of bytes: what kernels reach memory with.

Numba's own slices check and adjust their bounds and count references; these do neither.  A view is good for as long as
its array is: the caller of a kernel holds the arrays while the kernel runs.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

_BYTE = ir.IntType(8)


def _vector(dtype: Any, array: Any) -> Any:
    """The type of a one-dimensional view of an array."""
    return types.Array(dtype, 1, "C", readonly=not array.mutable, aligned=True)


def _view(context: Any, builder: Any, view_type: Any, data: Any, count: Any) -> Any:
    """A one-dimensional array that owns nothing."""
    view = context.make_array(view_type)(context, builder)
    item = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(view_type.dtype)))
    populate_array(
        view,
        data=builder.bitcast(data, context.get_data_type(view_type.dtype).as_pointer()),
        shape=cgutils.pack_array(builder, [count]),
        strides=cgutils.pack_array(builder, [item]),
        itemsize=item,
        meminfo=None,
    )
    return view._getvalue()


@intrinsic
def as_bytes(typing_context: Any, array: Any) -> Any:
    """The memory of a contiguous array as a vector of bytes."""
    view_type = _vector(types.uint8, array)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        given = context.make_array(array)(context, builder, arguments[0])
        size = builder.mul(given.nitems, given.itemsize)
        return _view(context, builder, view_type, given.data, size)

    return view_type(array), generate


@intrinsic
def words(typing_context: Any, memory: Any, like: Any) -> Any:
    """A vector of bytes as a vector of numbers of the type of ``like``, a scalar."""
    view_type = _vector(like, memory)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        given = context.make_array(memory)(context, builder, arguments[0])
        item = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(like)))
        return _view(context, builder, view_type, given.data, builder.sdiv(given.nitems, item))

    return view_type(memory, like), generate


@intrinsic
def part(typing_context: Any, vector: Any, start: Any, count: Any) -> Any:
    """``vector[start : start + count]``, which the caller knows to be inside."""
    view_type = _vector(vector.dtype, vector)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        given = context.make_array(vector)(context, builder, arguments[0])
        return _view(context, builder, view_type, builder.gep(given.data, [arguments[1]]), arguments[2])

    return view_type(vector, types.intp, types.intp), generate


@intrinsic
def copy(typing_context: Any, target: Any, target_start: Any, source: Any, source_start: Any, count: Any) -> Any:
    """Copy ``count`` elements from one vector to another of the same type; the two do not overlap."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target, target_start, source, source_start, count = arguments
        target_type, _, source_type, *_ = signature.args
        item = context.get_abi_sizeof(context.get_data_type(target_type.dtype))
        to = builder.gep(context.make_array(target_type)(context, builder, target).data, [target_start])
        source = builder.gep(context.make_array(source_type)(context, builder, source).data, [source_start])
        size = builder.mul(count, context.get_constant(types.intp, item))
        pointer = _BYTE.as_pointer()
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [pointer, pointer, ir.IntType(64), ir.IntType(1)]),
            "llvm.memcpy.p0.p0.i64",
        )
        not_volatile = ir.Constant(ir.IntType(1), 0)
        builder.call(function, [builder.bitcast(to, pointer), builder.bitcast(source, pointer), size, not_volatile])
        return context.get_dummy_value()

    return types.void(target, types.intp, source, types.intp, types.intp), generate
