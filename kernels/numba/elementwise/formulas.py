"""What each elementwise operator computes for one element: arithmetic, comparisons, truth values, bits, types.

The formulas of other functions are in `functions`; for what a formula is, see `formula`.

NaN, infinities and the conversions of types are those of the reference kernels in `onnxlite.kernels.numpy`.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from onnxlite.kernels.casting import finite_range
from onnxlite.kernels.dtypes import dtype_of
from onnxlite.kernels.numba.elementwise.formula import formula
from onnxlite.kernels.numba.elementwise.term import (
    BOOL,
    TYPES,
    Number,
    Operand,
    Parameter,
    Term,
    require,
    require_floats,
    where,
)

_LARGEST = float(np.finfo(np.float32).max)


# Arithmetic


@formula("Add", since=7)
def add(a: Term, b: Term) -> Term:
    """``a + b``."""
    return a + b


@formula("Sub", since=7)
def sub(a: Term, b: Term) -> Term:
    """``a - b``."""
    return a - b


@formula("Mul", since=7)
def mul(a: Term, b: Term) -> Term:
    """``a * b``."""
    return a * b


@formula("Div", since=7)
def div(a: Term, b: Term) -> Term:
    """``a / b``; integers toward zero."""
    return a / b if a.dtype.kind == "f" else a.call("divide", b, cost=16)


@formula("Mod", since=28)
def mod(a: Term, b: Term, *, fmod: int = 0) -> Term:
    """The remainder with the sign of b, or with ``fmod`` that of a."""
    if a.dtype.kind != "f":
        return a.call("remainder" if fmod else "modulo", b, cost=20)
    return a.call("fmod" if fmod else "float_modulo", b, cost=60)


@formula("Mod", since=10, until=13)
def mod_10(a: Term, b: Term, *, fmod: int = 0) -> Term:
    """Mod before floats had the other remainder."""
    require(bool(fmod) or a.dtype.kind != "f", "Mod of floats needs fmod before version 28")
    return mod(a, b, fmod=fmod)


@formula("Pow", since=7)
def power(x: Term, y: Term) -> Term:
    """x to the power y; squares, roots and the like without logarithms."""
    if x.dtype.kind != "f":
        require(x.dtype.kind == "i" and y.dtype.kind in "iu", "a power of integers by floats is not compiled")
        wide = np.dtype(np.int64)
        return x.cast(wide).call("integer_power", y.cast(wide), cost=40).cast(x.dtype)
    simple = None if y.value is None else _SIMPLE_POWERS.get(float(y.value))
    return simple(x) if simple else x.math("pow", y.cast(x.dtype), cost=60)


_SIMPLE_POWERS = {
    1.0: lambda x: x,
    2.0: lambda x: x * x,
    3.0: lambda x: x * x * x,
    -1.0: lambda x: 1.0 / x,
    0.5: lambda x: x.call("sqrt", cost=8),
}


@formula("Neg", since=6)
def neg(x: Term) -> Term:
    """``-x``."""
    return -x


@formula("Abs", since=6)
def absolute(x: Term) -> Term:
    """``|x|``."""
    if x.dtype.kind == "f":
        return x.call("magnitude")
    return x if x.dtype.kind == "u" else where(x < 0, -x, x)


@formula("Reciprocal", since=6)
def reciprocal(x: Term) -> Term:
    """``1 / x``."""
    require_floats(x)
    return 1.0 / x


@formula("Sum", since=8)
def total(*xs: Term) -> Term:
    """The sum of all inputs."""
    return functools.reduce(add, xs)


@formula("Mean", since=8)
def mean(*xs: Term) -> Term:
    """The mean of all inputs."""
    require_floats(*xs)
    return total(*xs) / len(xs)


# Extremes and rounding


def _extreme(name: str, symbol: str, a: Term, b: Operand) -> Term:
    """The larger or smaller of two, NaN if one is NaN."""
    other = a.coerced(b)
    if a.dtype.kind == "f" and other.value is None:
        return a.call(name, other, cost=3)
    # Where the other one is not NaN, a comparison that is false keeps NaN.
    beyond = other > a if symbol == ">" else other < a
    return where(beyond, other, a)


def maximum(a: Term, b: Operand) -> Term:
    """The larger of two, NaN if one is NaN."""
    return _extreme("maximum", ">", a, b)


def minimum(a: Term, b: Operand) -> Term:
    """The smaller of two, NaN if one is NaN."""
    return _extreme("minimum", "<", a, b)


@formula("Max", since=8)
def largest(*xs: Term) -> Term:
    """The largest of all inputs, NaN if one is NaN."""
    return functools.reduce(maximum, xs)


@formula("Min", since=8)
def smallest(*xs: Term) -> Term:
    """The smallest of all inputs, NaN if one is NaN."""
    return functools.reduce(minimum, xs)


@formula("Clip", since=11)
def clip(x: Term, low: Term | None = None, high: Term | None = None) -> Term:
    """``min(max(x, low), high)``; of floats, a bound that is left out is the largest finite number."""
    lowest, highest = finite_range(x.dtype)
    if low is not None or x.dtype.kind == "f":
        x = maximum(x, lowest if low is None else low)
    if high is not None or x.dtype.kind == "f":
        x = minimum(x, highest if high is None else high)
    return x


@formula("Clip", since=1, until=6)
def clip_6(x: Term, *, min: Number = -_LARGEST, max: Number = _LARGEST) -> Term:
    """Clip with bounds that are attributes."""
    low = None if _number(min) == -_LARGEST else x.coerced(min)
    high = None if _number(max) == _LARGEST else x.coerced(max)
    return clip(x, low, high)


def _number(attribute: Number) -> float:
    return float(attribute.value if isinstance(attribute, Parameter) else attribute)


def _rounding(name: str, x: Term) -> Term:
    require_floats(x)
    return x.call(name)


@formula("Floor", since=6)
def floor(x: Term) -> Term:
    """The largest integer not above x."""
    return _rounding("floor", x)


@formula("Ceil", since=6)
def ceil(x: Term) -> Term:
    """The smallest integer not below x."""
    return _rounding("ceil", x)


@formula("Round", since=11)
def rint(x: Term) -> Term:
    """The nearest integer, halves to the even one."""
    return _rounding("rint", x)


@formula("Sign", since=9)
def sign(x: Term) -> Term:
    """-1, 0 or 1; NaN stays NaN."""
    positive = where(x > 0, x.coerced(1), x if x.dtype.kind == "f" else x.coerced(0))
    return positive if x.dtype.kind == "u" else where(x < 0, x.coerced(-1), positive)


# Truth values, comparisons, bits


def _booleans(*terms: Term) -> None:
    require(all(x.dtype == BOOL for x in terms), f"the operator takes truth values, not {terms[0].dtype}")


@formula("And", since=7)
def and_(a: Term, b: Term) -> Term:
    """``a and b``."""
    _booleans(a, b)
    return a & b


@formula("Or", since=7)
def or_(a: Term, b: Term) -> Term:
    """``a or b``."""
    _booleans(a, b)
    return a | b


@formula("Xor", since=7)
def xor(a: Term, b: Term) -> Term:
    """Whether exactly one is true."""
    _booleans(a, b)
    return a.differs(b)


@formula("Not")
def not_(x: Term) -> Term:
    """``not x``."""
    _booleans(x)
    return x.differs(True)


@formula("Equal", since=7)
def equal(a: Term, b: Term) -> Term:
    """``a == b``."""
    return a.equals(b)


@formula("Less", since=7)
def less(a: Term, b: Term) -> Term:
    """``a < b``."""
    return a < b


@formula("Greater", since=7)
def greater(a: Term, b: Term) -> Term:
    """``a > b``."""
    return a > b


@formula("LessOrEqual", since=12)
def less_or_equal(a: Term, b: Term) -> Term:
    """``a <= b``."""
    return a <= b


@formula("GreaterOrEqual", since=12)
def greater_or_equal(a: Term, b: Term) -> Term:
    """``a >= b``."""
    return a >= b


@formula("Where", since=9)
def select(condition: Term, x: Term, y: Term) -> Term:
    """x where the condition holds, else y."""
    _booleans(condition)
    return where(condition, x, y)


@formula("IsNaN", since=9)
def is_nan(x: Term) -> Term:
    """Whether x is NaN."""
    require_floats(x)
    return x.differs(x)


@formula("IsInf", since=10)
def is_inf(x: Term, *, detect_negative: int = 1, detect_positive: int = 1) -> Term:
    """Whether x is infinite, of the signs to detect."""
    require_floats(x)
    if detect_negative and detect_positive:
        return x.call("magnitude").equals(math.inf)
    if not detect_negative and not detect_positive:
        return x < -math.inf
    return x.equals(math.inf if detect_positive else -math.inf)


@formula("BitwiseAnd", since=18)
def bitwise_and(a: Term, b: Term) -> Term:
    """``a & b``."""
    return a & b


@formula("BitwiseOr", since=18)
def bitwise_or(a: Term, b: Term) -> Term:
    """``a | b``."""
    return a | b


@formula("BitwiseXor", since=18)
def bitwise_xor(a: Term, b: Term) -> Term:
    """``a ^ b``."""
    return a ^ b


@formula("BitwiseNot", since=18)
def bitwise_not(x: Term) -> Term:
    """``~x``."""
    return x ^ (-1 if x.dtype.kind == "i" else np.iinfo(x.dtype).max)


@formula("BitShift", since=11)
def bit_shift(x: Term, y: Term, *, direction: str) -> Term:
    """The bits of x moved by y places; beyond the type's width nothing is left but copies of the sign bit."""
    require(direction in ("LEFT", "RIGHT"), f"direction must be LEFT or RIGHT, got {direction!r}")
    width = 8 * x.dtype.itemsize
    beyond = y >= width if y.dtype.kind == "u" else (y < 0) | (y >= width)
    places = where(beyond, y.coerced(0), y)
    if direction == "LEFT":
        return where(beyond, x.coerced(0), x << places)
    return where(beyond, x.coerced(0) if x.dtype.kind == "u" else x >> (width - 1), x >> places)


# Types


@formula("Identity")
def identity(x: Term) -> Term:
    """x."""
    return x


@formula("Cast", since=19)
def cast(x: Term, *, to: int, saturate: int = 1, round_mode: str = "up") -> Term:
    """x in another type, as C converts it."""
    dtype = dtype_of(to)
    require(dtype in TYPES, f"a cast to {dtype} is not compiled")
    return x.cast(dtype)


@formula("Cast", since=6, until=13)
def cast_6(x: Term, *, to: int) -> Term:
    """Cast before there were float8 types."""
    return cast(x, to=to)
