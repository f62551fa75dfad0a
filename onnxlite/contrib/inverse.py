"""The inverse of matrices, by elimination.

Source: onnxruntime, docs/ContribOperators.md.
"""

from __future__ import annotations

from onnxlite.contrib.call import Call, constant, function


@function("Inverse", inputs="X", outputs="Y")
def inverse(call: Call) -> str:
    """The inverse of each matrix (..., n, n): what elimination makes of the unit matrix beside it."""
    return f"""
        shape = Shape(X)
        matrix_shape = Shape<start = -2>(X)
        rest = {constant((-1,))}
        stack_shape = Concat<axis = 0>(rest, matrix_shape)
        stack = Reshape(X, stack_shape)
        zeros = ConstantOfShape(matrix_shape)
        unit = EyeLike(zeros)
        batch = Shape<start = 0, end = 1>(stack)
        units_shape = Concat<axis = 0>(batch, matrix_shape)
        unit_like = CastLike(unit, X)
        units = Expand(unit_like, units_shape)
        both = Concat<axis = 2>(stack, units)
        length = Shape<start = -1>(X)
        scalar = Constant <value = int64[0] {{}}> ()
        count = Reshape(length, scalar)
        zero = {constant(0)}
        one = {constant(1)}
        places = Range(zero, count, one)
        at1 = {constant((1,))}
        at2 = {constant((2,))}
        none_number = {constant(-1.0)}
        none = CastLike(none_number, X)
        done = Loop (count, "", both) <body = step (int64 i, bool go_on, m) => (bool still, following) {{ {_STEP} }}>
        double = Add(length, length)
        inverses = Slice(done, length, double, at2)
        Y = Reshape(inverses, shape)
    """


#: Brings the row with the largest element of column ``i``, at or below the diagonal, to row ``i``, with a 1 in that
#: column, and clears the column in the other rows of ``m`` (batch, n, 2 * n).
_STEP = """
    still = Identity(go_on)
    column = Gather<axis = 2>(m, i)
    sizes = Abs(column)
    is_done = Less(places, i)
    candidates = Where(is_done, none, sizes)
    pivot = ArgMax<axis = 1>(candidates)
    is_pivot_flat = Equal(places, pivot)
    is_pivot = Unsqueeze(is_pivot_flat, at2)
    chosen = Unsqueeze(is_pivot_flat, at1)
    weights = CastLike(chosen, m)
    pivot_row = MatMul(weights, m)
    row_flat = Gather<axis = 1>(m, i)
    row = Unsqueeze(row_flat, at1)
    exchanged = Where(is_pivot, row, m)
    pivot_flat = Gather<axis = 2>(pivot_row, i)
    pivot_element = Unsqueeze(pivot_flat, at2)
    scaled = Div(pivot_row, pivot_element)
    factors_flat = Gather<axis = 2>(exchanged, i)
    factors = Unsqueeze(factors_flat, at2)
    part = Mul(factors, scaled)
    cleared = Sub(exchanged, part)
    is_row_flat = Equal(places, i)
    is_row = Unsqueeze(is_row_flat, at1)
    following = Where(is_row, scaled, cleared)
"""
