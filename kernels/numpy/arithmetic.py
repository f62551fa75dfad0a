"""Arithmetic element by element: sums, products, powers, rounding, extremes."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from onnxlite.kernels import special
from onnxlite.kernels.arrays import Array, array_namespace, widen
from onnxlite.kernels.casting import finite_range, is_float
from onnxlite.kernels.numpy.broadcast import consuming, limited, same_shapes
from onnxlite.kernels.numpy.table import op


@op("Add", since=7, widen=True)
def add(a: Array, b: Array) -> Array:
    """``a + b``, broadcast (ONNX Add-14)."""
    return array_namespace(a).add(a, b)


@op("Sub", since=7, widen=True)
def sub(a: Array, b: Array) -> Array:
    """``a - b``, broadcast (ONNX Sub-14)."""
    return array_namespace(a).subtract(a, b)


@op("Mul", since=7, widen=True)
def mul(a: Array, b: Array) -> Array:
    """``a * b``, broadcast (ONNX Mul-14)."""
    return array_namespace(a).multiply(a, b)


@op("Div", since=7, widen=True)
def div(a: Array, b: Array) -> Array:
    """``a / b``, broadcast; integers are divided toward zero (ONNX Div-14)."""
    xp = array_namespace(a)
    return xp.divide(a, b) if a.dtype.kind == "f" else _divide_toward_zero(xp, a, b)


def _divide_toward_zero(xp: Any, a: Array, b: Array) -> Array:
    quotient = xp.floor_divide(a, b)
    if a.dtype.kind == "u":
        return quotient
    rounded_down = (quotient * b != a) & ((a < 0) != (b < 0))
    return quotient + rounded_down


@op("Mod", since=28, widen=True)
def mod(a: Array, b: Array, *, fmod: int = 0) -> Array:
    """The remainder with the sign of ``b``, or with ``fmod`` that of ``a``, broadcast (ONNX Mod-28)."""
    xp = array_namespace(a)
    if not fmod:
        return xp.remainder(a, b)
    return xp.fmod(a, b) if a.dtype.kind == "f" else a - _divide_toward_zero(xp, a, b) * b


@op("Mod", since=10, until=13, widen=True)
def mod_10(a: Array, b: Array, *, fmod: int = 0) -> Array:
    """Mod before version 28, where floats have no other remainder than that of ``fmod``."""
    if a.dtype.kind == "f" and not fmod:
        raise ValueError(f"Mod of floats needs fmod=1 before version 28, got fmod=0 and {a.dtype}")
    return mod(a, b, fmod=fmod)


@op("Pow", since=7)
def pow_(x: Array, y: Array) -> Array:
    """``x`` to the power ``y``, broadcast, in the type of ``x`` (ONNX Pow-15)."""
    xp = array_namespace(x)
    if x.dtype.kind == "i" and y.dtype.kind in "iu":
        return _integer_power(xp, x, y)
    if y.size == 1 and y.ndim <= x.ndim and y.item() == 2:
        return xp.square(widen(x)).astype(x.dtype)
    return xp.power(widen(x), widen(y)).astype(x.dtype)


def _integer_power(xp: Any, x: Array, y: Array) -> Array:
    """The exact power modulo the type's range; a negative exponent leaves 1 of 1, 1 or -1 of -1, and else 0."""
    exponent = y.astype(np.int64)
    power = xp.power(x.astype(np.int64), xp.maximum(exponent, 0))
    unit = xp.where(x == 1, 1, xp.where(x == -1, 1 - 2 * (exponent & 1), 0))
    return xp.where(exponent < 0, unit, power).astype(x.dtype)


@op("Neg", since=6, widen=True)
def neg(x: Array) -> Array:
    """``-x`` (ONNX Neg-13)."""
    return array_namespace(x).negative(x)


@op("Abs", since=6, widen=True)
def abs_(x: Array) -> Array:
    """``|x|`` (ONNX Abs-13)."""
    return array_namespace(x).absolute(x)


@op("Reciprocal", since=6, widen=True)
def reciprocal(x: Array) -> Array:
    """``1 / x`` (ONNX Reciprocal-13)."""
    return array_namespace(x).reciprocal(x)


@op("Sqrt", since=6, widen=True)
def sqrt(x: Array) -> Array:
    """The square root, NaN below zero (ONNX Sqrt-13)."""
    return array_namespace(x).sqrt(x)


@op("Exp", since=6, widen=True)
def exp(x: Array) -> Array:
    """``e`` to the power ``x`` (ONNX Exp-13)."""
    return array_namespace(x).exp(x)


@op("Log", since=6, widen=True)
def log(x: Array) -> Array:
    """The natural logarithm (ONNX Log-13)."""
    return array_namespace(x).log(x)


@op("Floor", since=6, widen=True)
def floor(x: Array) -> Array:
    """The largest integer not above ``x`` (ONNX Floor-13)."""
    return array_namespace(x).floor(x)


@op("Ceil", since=6, widen=True)
def ceil(x: Array) -> Array:
    """The smallest integer not below ``x`` (ONNX Ceil-13)."""
    return array_namespace(x).ceil(x)


@op("Round", since=11, widen=True)
def round_(x: Array) -> Array:
    """The nearest integer, halves to the even one (ONNX Round-22)."""
    return array_namespace(x).rint(x)


@op("Sign", since=9, widen=True)
def sign(x: Array) -> Array:
    """-1, 0 or 1 by the sign of ``x``; NaN stays NaN (ONNX Sign-13)."""
    return array_namespace(x).sign(x)


@op("Erf", since=9, widen=True)
def erf(x: Array) -> Array:
    """The error function (ONNX Erf-13); of an integer (Erf-9), its whole part."""
    return special.erf(x) if x.dtype.kind == "f" else special.erf(x.astype(np.float64)).astype(x.dtype)


@op("Max", since=8, widen=True)
def max_(*xs: Array) -> Array:
    """The largest of the inputs, broadcast; NaN if one is NaN (ONNX Max-13)."""
    return functools.reduce(array_namespace(*xs).maximum, xs)


@op("Min", since=8, widen=True)
def min_(*xs: Array) -> Array:
    """The smallest of the inputs, broadcast; NaN if one is NaN (ONNX Min-13)."""
    return functools.reduce(array_namespace(*xs).minimum, xs)


@op("Sum", since=8, widen=True)
def sum_(*xs: Array) -> Array:
    """The sum of the inputs, broadcast (ONNX Sum-13)."""
    return functools.reduce(array_namespace(*xs).add, xs)


@op("Mean", since=8, widen=True)
def mean(*xs: Array) -> Array:
    """The mean of the inputs, broadcast (ONNX Mean-13)."""
    return sum_(*xs) / len(xs)


@op("Clip", since=11)
def clip(x: Array, minimum: Array | None = None, maximum: Array | None = None) -> Array:
    """``min(max(x, minimum), maximum)``; an absent bound is the type's lowest or highest finite value (Clip-13)."""
    xp = array_namespace(x)
    lowest, highest = finite_range(x.dtype)
    if minimum is not None or is_float(x.dtype):
        x = xp.maximum(x, _bound(xp, x, minimum, lowest))
    if maximum is not None or is_float(x.dtype):
        x = xp.minimum(x, _bound(xp, x, maximum, highest))
    return x


def _bound(xp: Any, x: Array, bound: Array | None, default: float) -> Array:
    if bound is None:
        return xp.asarray(default, dtype=x.dtype)
    if bound.size != 1:
        raise ValueError(f"a bound of Clip must be a scalar, got shape {bound.shape}")
    return bound.reshape(())


_LARGEST = float(np.finfo(np.float32).max)


@op("Clip", since=6, until=6)
def clip_6(x: Array, *, min: float = -_LARGEST, max: float = _LARGEST) -> Array:
    """Clip with its bounds as attributes; the defaults stand for the limits of the type of ``x`` (ONNX Clip-6)."""
    xp = array_namespace(x)
    minimum = None if min == -_LARGEST else xp.asarray(min, dtype=x.dtype)
    maximum = None if max == _LARGEST else xp.asarray(max, dtype=x.dtype)
    return clip(x, minimum, maximum)


@op("Clip", since=1, until=1)
@consuming
def clip_1(x: Array, *, min: float | None = None, max: float | None = None) -> Array:
    """Clip with its bounds as attributes (ONNX Clip-1)."""
    return clip_6(x, min=-_LARGEST if min is None else min, max=_LARGEST if max is None else max)


for _name, _unary in (
    ("Neg", neg),
    ("Abs", abs_),
    ("Reciprocal", reciprocal),
    ("Sqrt", sqrt),
    ("Exp", exp),
    ("Log", log),
    ("Floor", floor),
    ("Ceil", ceil),
):
    op(_name, since=1, until=1, widen=True)(consuming(_unary))

for _name, _binary in (("Add", add), ("Sub", sub), ("Mul", mul), ("Div", div)):
    op(_name, since=6, until=6, widen=True)(limited(_binary))
    op(_name, since=1, until=1, widen=True)(consuming(limited(_binary)))

op("Pow", since=1, until=1)(limited(pow_))

for _name, _variadic in (("Max", max_), ("Min", min_), ("Sum", sum_), ("Mean", mean)):
    op(_name, since=6, until=6, widen=True)(same_shapes(_variadic))
    op(_name, since=1, until=1, widen=True)(consuming(same_shapes(_variadic)))
