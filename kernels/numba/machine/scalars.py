"""Functions of single numbers that generated kernels call where neither Python's arithmetic nor vectormath has them."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from onnxlite.kernels.numba.machine import lanes, vectormath
from onnxlite.kernels.numba.machine.lanes import copysign, fmod, quotient
from onnxlite.kernels.numba.machine.vectormath import inlined


@inlined
def maximum(a, b):  # type: ignore[no-untyped-def]
    """The larger of two floats, NaN if one is NaN."""
    return a if (a > b) | (a != a) else b


@inlined
def minimum(a, b):  # type: ignore[no-untyped-def]
    """The smaller of two floats, NaN if one is NaN."""
    return a if (a < b) | (a != a) else b


@inlined
def divide(a, b):  # type: ignore[no-untyped-def]
    """The quotient of two integers, cut toward zero; 0 for a division by 0."""
    return quotient(a, b)


@inlined
def remainder(a, b):  # type: ignore[no-untyped-def]
    """What integer division leaves, with the sign of ``a``; 0 for a division by 0."""
    return a - quotient(a, b) * b if b != 0 else a - a


@inlined
def modulo(a, b):  # type: ignore[no-untyped-def]
    """What integer division toward minus infinity leaves, with the sign of ``b``; 0 for a division by 0."""
    rest = a - quotient(a, b) * b if b != 0 else a - a
    return rest + b if (rest != 0) & ((rest < 0) != (b < 0)) else rest


@inlined
def float_modulo(a, b):  # type: ignore[no-untyped-def]
    """What division of floats toward minus infinity leaves, with the sign of ``b``."""
    rest = fmod(a, b)
    if rest == 0:
        return copysign(rest, b)
    return rest + b if (rest < 0) != (b < 0) else rest


@inlined
def integer_power(x, y):  # type: ignore[no-untyped-def]
    """The exact power of int64 modulo 2**64; a negative exponent leaves 1 of 1, 1 or -1 of -1, and else 0."""
    if y < 0:
        return np.int64(1) if x == 1 else (np.int64(1 - 2 * (y & 1)) if x == -1 else np.int64(0))
    result = np.int64(1)
    while y > 0:
        if y & 1:
            result *= x
        x *= x
        y >>= 1
    return result


@inlined
def uint64_of_float(x):  # type: ignore[no-untyped-def]
    """A float as uint64; a negative one keeps the bits of the signed integer."""
    wide = np.float64(x)
    upper = wide >= 2.0**63
    low = np.uint64(np.int64(wide - 2.0**63 if upper else wide))
    return low ^ np.uint64(2**63) if upper else low


# The functions of vectormath that the C library lacks, for float64.


@inlined
def sigmoid(x):  # type: ignore[no-untyped-def]
    """``1 / (1 + exp(-x))``."""
    return 1 / (1 + math.exp(-x))


@inlined
def softplus(x):  # type: ignore[no-untyped-def]
    """``log(1 + exp(x))``."""
    return (0.0 if x < 0 else x) + math.log1p(math.exp(-math.fabs(x)))


@inlined
def mish(x):  # type: ignore[no-untyped-def]
    """``x * tanh(softplus(x))``."""
    return x * math.tanh(softplus(x))


_TYPES = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64")
_OF_ELEMENTS = ("floor", "ceil", "rint", "sqrt", "magnitude", "quotient", "fmod", "load", "store")
_OF_FLOATS = (
    *("exp", "expm1", "log", "tanh", "sinh", "cosh", "erf", "pow", "sin", "cos", "tan"),
    *("asin", "acos", "atan", "asinh", "acosh", "atanh"),
)


@functools.cache
def namespace() -> dict[str, Any]:
    """The names that the text of a kernel may use."""
    names: dict[str, Any] = {"boolean": np.bool_, "inf": math.inf, "nan": math.nan}
    names |= {name: getattr(np, name) for name in _TYPES}
    names |= {name: getattr(lanes, name) for name in _OF_ELEMENTS}
    names |= {f"{name}_float32": getattr(vectormath, name) for name in (*_OF_FLOATS, "sigmoid", "softplus", "mish")}
    names |= {f"{name}_float64": getattr(math, name) for name in _OF_FLOATS}
    names |= {"sigmoid_float64": sigmoid, "softplus_float64": softplus, "mish_float64": mish}
    names |= {"maximum": maximum, "minimum": minimum, "float_modulo": float_modulo}
    names |= {"divide": divide, "remainder": remainder, "modulo": modulo, "integer_power": integer_power}
    return names | {"uint64_of_float": uint64_of_float}
