"""Views of arrays that cost nothing.

Numba's own slices check and adjust their bounds and count references; these do neither.  A view is good for as long as
its array is: the caller of a kernel holds the arrays while the kernel runs.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array


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
def part(typing_context: Any, vector: Any, start: Any, count: Any) -> Any:
    """``vector[start : start + count]``, which the caller knows to be inside."""
    view_type = _vector(vector.dtype, vector)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        given = context.make_array(vector)(context, builder, arguments[0])
        return _view(context, builder, view_type, builder.gep(given.data, [arguments[1]]), arguments[2])

    return view_type(vector, types.intp, types.intp), generate
