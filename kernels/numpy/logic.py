"""Truth values, comparisons, selection, and the bits of integers."""

from __future__ import annotations

from onnxlite.kernels.arrays import Array, array_namespace, widen
from onnxlite.kernels.numpy.broadcast import limited
from onnxlite.kernels.numpy.table import op


@op("And", since=7)
def and_(a: Array, b: Array) -> Array:
    """``a and b``, broadcast (ONNX And-7)."""
    return array_namespace(a).logical_and(a, b)


@op("Or", since=7)
def or_(a: Array, b: Array) -> Array:
    """``a or b``, broadcast (ONNX Or-7)."""
    return array_namespace(a).logical_or(a, b)


@op("Xor", since=7)
def xor(a: Array, b: Array) -> Array:
    """Whether exactly one of ``a`` and ``b`` is true, broadcast (ONNX Xor-7)."""
    return array_namespace(a).logical_xor(a, b)


@op("Not")
def not_(x: Array) -> Array:
    """``not x`` (ONNX Not-1)."""
    return array_namespace(x).logical_not(x)


@op("Equal", since=7)
def equal(a: Array, b: Array) -> Array:
    """``a == b``, broadcast; of strings too (ONNX Equal-19)."""
    return array_namespace(a).equal(a, b)


@op("Less", since=7)
def less(a: Array, b: Array) -> Array:
    """``a < b``, broadcast (ONNX Less-13)."""
    return array_namespace(a).less(a, b)


@op("Greater", since=7)
def greater(a: Array, b: Array) -> Array:
    """``a > b``, broadcast (ONNX Greater-13)."""
    return array_namespace(a).greater(a, b)


@op("LessOrEqual", since=12)
def less_or_equal(a: Array, b: Array) -> Array:
    """``a <= b``, broadcast (ONNX LessOrEqual-16)."""
    return array_namespace(a).less_equal(a, b)


@op("GreaterOrEqual", since=12)
def greater_or_equal(a: Array, b: Array) -> Array:
    """``a >= b``, broadcast (ONNX GreaterOrEqual-16)."""
    return array_namespace(a).greater_equal(a, b)


for _name, _binary in (
    ("And", and_),
    ("Or", or_),
    ("Xor", xor),
    ("Equal", equal),
    ("Less", less),
    ("Greater", greater),
):
    op(_name, since=1, until=1)(limited(_binary))


@op("Where", since=9)
def where(condition: Array, x: Array, y: Array) -> Array:
    """``x`` where the condition holds and ``y`` elsewhere, all three broadcast (ONNX Where-16)."""
    return array_namespace(condition).where(condition, x, y)


@op("IsNaN", since=9)
def is_nan(x: Array) -> Array:
    """Whether an element is NaN (ONNX IsNaN-20)."""
    return array_namespace(x).isnan(widen(x))


@op("IsInf", since=10)
def is_inf(x: Array, *, detect_negative: int = 1, detect_positive: int = 1) -> Array:
    """Whether an element is infinite, of the signs to detect (ONNX IsInf-20)."""
    xp = array_namespace(x)
    x = widen(x)
    infinite = xp.isinf(x)
    if not detect_negative:
        infinite = infinite & (x > 0)
    if not detect_positive:
        infinite = infinite & (x < 0)
    return infinite


@op("BitShift", since=11)
def bit_shift(x: Array, y: Array, *, direction: str) -> Array:
    """The bits of ``x`` moved by ``y`` places, broadcast; a signed right shift repeats the sign bit (ONNX BitShift-28).

    A shift below zero, or by the type's width or more, leaves only copies of what is shifted in.
    """
    xp = array_namespace(x)
    if direction not in ("LEFT", "RIGHT"):
        raise ValueError(f"direction must be LEFT or RIGHT, got {direction!r}")
    beyond = (y < 0) | (y >= 8 * x.dtype.itemsize)
    places = xp.where(beyond, xp.zeros_like(y), y)
    if direction == "LEFT":
        return xp.where(beyond, xp.zeros_like(x), xp.left_shift(x, places))
    shifted_in = xp.negative((x < 0).astype(x.dtype))
    return xp.where(beyond, shifted_in, xp.right_shift(x, places))


@op("BitwiseAnd", since=18)
def bitwise_and(a: Array, b: Array) -> Array:
    """``a & b``, broadcast (ONNX BitwiseAnd-18)."""
    return array_namespace(a).bitwise_and(a, b)


@op("BitwiseOr", since=18)
def bitwise_or(a: Array, b: Array) -> Array:
    """``a | b``, broadcast (ONNX BitwiseOr-18)."""
    return array_namespace(a).bitwise_or(a, b)


@op("BitwiseXor", since=18)
def bitwise_xor(a: Array, b: Array) -> Array:
    """``a ^ b``, broadcast (ONNX BitwiseXor-18)."""
    return array_namespace(a).bitwise_xor(a, b)


@op("BitwiseNot", since=18)
def bitwise_not(x: Array) -> Array:
    """``~x`` (ONNX BitwiseNot-18)."""
    return array_namespace(x).bitwise_not(x)
