"""Elementary functions of one float32 that become vector code inside a loop.

They are straight lines of arithmetic and selections, without calls and branches, so that a loop around them runs on all
lanes of a register: call them in any compiled kernel.  The method is the same everywhere: the argument is reduced to a
small interval, where a polynomial whose coefficients are the best for float32 (minimax, Remez) takes over.

Each docstring gives the largest error that was found over all float32 numbers, in units in the last place of the result
(ULP), on processors that multiply and add in one step; on others it is up to half a unit more, and angles are exact to
1e5 only.  Infinities, NaN, signed zeros and subnormal numbers give what the function itself has there, unless a
docstring says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.lanes import (
    bits_of,
    bits_of_double,
    copysign,
    double_from_bits,
    floor,
    from_bits,
    magnitude,
    sqrt,
)


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a function of one element once; LLVM makes it part of every loop that calls it."""
    dispatcher = jit(function)
    dispatcher.targetoptions["forceinline"] = True
    return dispatcher


_F = np.float32
_ZERO, _QUARTER, _HALF, _ONE, _TWO = _F(0), _F(0.25), _F(0.5), _F(1), _F(2)
_INF, _NAN = _F(math.inf), _F(math.nan)

# exp and what is made of it

_LOG2_E = _F(math.log2(math.e))
#: ln 2 in two parts; the first has few bits, so that its product with a small integer is exact.
_LN2_HIGH, _LN2_LOW = _F(0.693359375), _F(math.log(2) - 0.693359375)
#: A sum with so large a number has no room for a fraction: its low bits are the other addend, rounded, plus the low
#: bits of the number.  Those hold the bias of float32's exponent here: shifted to its place, they are a power of two,
_ROUND = _F(1.5 * 2**23 + 127)
#: or half or a quarter of it, whose exponent does not overflow at 2**128.
_ROUND_HALF, _ROUND_QUARTER = _F(1.5 * 2**23 + 126), _F(1.5 * 2**23 + 125)
_EXPONENT_PLACE = np.int32(23)

#: exp(r) = 1 + r + r*r * (_E2 + _E3 r + ...) for abs(r) <= ln(2) / 2.
_E2, _E3, _E4, _E5, _E6 = map(_F, (0.49999994, 0.16666521, 0.041668266, 0.0083686775, 0.0013820734))


@inlined
def _remainder(t, n):  # type: ignore[no-untyped-def]
    """``t - n * ln(2)``."""
    return (t - n * _LN2_HIGH) - n * _LN2_LOW


@inlined
def _power_of_two(biased):  # type: ignore[no-untyped-def]
    """The power of two whose biased exponent is in the low bits of a float."""
    return from_bits(bits_of(biased) << _EXPONENT_PLACE)


@inlined
def _tail(r, scale):  # type: ignore[no-untyped-def]
    """``scale * (exp(r) - 1 - r) / (r * r)``."""
    p = scale * _E6
    p = p * r + scale * _E5
    p = p * r + scale * _E4
    p = p * r + scale * _E3
    return p * r + scale * _E2


@inlined
def _twice_exp(r):  # type: ignore[no-untyped-def]
    return (r * r) * _tail(r, _TWO) + (r * _TWO + _TWO)


@inlined
def exp(x):  # type: ignore[no-untyped-def]
    """``e`` to the power x; 1.3 ULP."""
    t = _F(-104) if x < _F(-104) else x
    t = _F(89) if t > _F(89) else t
    biased = t * _LOG2_E + _ROUND_HALF
    r = _remainder(t, biased - _ROUND_HALF)
    # Where the result may be subnormal, it is made 2**64 times too large first.
    small = t < _F(-86)
    power = from_bits((bits_of(biased) + (np.int32(64) if small else np.int32(0))) << _EXPONENT_PLACE)
    result = _twice_exp(r) * power
    return result * _F(2.0**-64) if small else result


@inlined
def _exp_of_normal(x):  # type: ignore[no-untyped-def]
    """`exp`, but of numbers below -86 that of -86."""
    t = _F(-86) if x < _F(-86) else x
    t = _F(89) if t > _F(89) else t
    biased = t * _LOG2_E + _ROUND_HALF
    return _twice_exp(_remainder(t, biased - _ROUND_HALF)) * _power_of_two(biased)


@inlined
def _half_exp(x):  # type: ignore[no-untyped-def]
    """``exp(x) / 2`` for x >= -85: finite where half of the power is."""
    t = _F(90) if x > _F(90) else x
    biased = t * _LOG2_E + _ROUND_QUARTER
    return _twice_exp(_remainder(t, biased - _ROUND_QUARTER)) * _power_of_two(biased)


@inlined
def _expm1_within(t):  # type: ignore[no-untyped-def]
    """``exp(t) - 1`` for abs(t) <= 86."""
    biased = t * _LOG2_E + _ROUND
    r = _remainder(t, biased - _ROUND)
    power = _power_of_two(biased)
    return power * ((r * r) * _tail(r, _ONE) + r) + (power - _ONE)


@inlined
def expm1(x):  # type: ignore[no-untyped-def]
    """``exp(x) - 1``, without cancellation near 0; 1.5 ULP."""
    t = _F(-20) if x < _F(-20) else x
    t = _F(89) if t > _F(89) else t
    biased = t * _LOG2_E + _ROUND_HALF
    r = _remainder(t, biased - _ROUND_HALF)
    half = _power_of_two(biased)
    result = _TWO * (half * ((r * r) * _tail(r, _ONE) + r) + (half - _HALF))
    # A tiny number is its own result, and must not be halved.
    return x if magnitude(x) < _F(2.0**-24) else result


@inlined
def sigmoid(x):  # type: ignore[no-untyped-def]
    """``1 / (1 + exp(-x))``; 3 ULP, but 0 below -88.7, where the result is subnormal."""
    return _ONE / (_ONE + _exp_of_normal(-x))


@inlined
def tanh(x):  # type: ignore[no-untyped-def]
    """The hyperbolic tangent, ``expm1(2x) / (expm1(2x) + 2)``; 2.7 ULP."""
    twice = magnitude(x) * _TWO
    growth = _expm1_within(_F(20) if twice > _F(20) else twice)
    return copysign(growth / (growth + _TWO), x)


@inlined
def sinh(x):  # type: ignore[no-untyped-def]
    """The hyperbolic sine; 2.4 ULP."""
    size = magnitude(x)
    growth = _expm1_within(_F(20) if size > _F(20) else size)
    near = _HALF * (growth + growth / (growth + _ONE))
    return copysign(_half_exp(size) if size > _F(19) else near, x)


@inlined
def cosh(x):  # type: ignore[no-untyped-def]
    """The hyperbolic cosine; 1.5 ULP."""
    half = _half_exp(magnitude(x))
    return half + _QUARTER / half


# log and what is made of it

_SMALLEST_NORMAL = _F(2.0**-126)
_BITS_OF_SQRT_HALF = np.int32(0x3F3504F3)

#: log(1 + f) = f - f*f/2 + f*f*f * (_L3 + _L4 f + ...) for 1 + f from sqrt(1/2) to sqrt(2).
_L3, _L4, _L5, _L6 = map(_F, (0.3333333, -0.2500082, 0.20001242, -0.16623409))
_L7, _L8, _L9, _L10 = map(_F, (0.1420158, -0.1315961, 0.12762213, -0.07636428))

#: log(1 + z) = z * (1 + _P1 z + ...) for z from 0 to 1.
_P1, _P2, _P3, _P4, _P5 = map(_F, (-0.4999993145465851, 0.33330464, -0.24958019, 0.19692102, -0.1534488))
_P6, _P7, _P8, _P9 = map(_F, (0.10661128, -0.05745723, 0.020086242, -0.0032904686))


@inlined
def log(x):  # type: ignore[no-untyped-def]
    """The natural logarithm; 0.9 ULP."""
    subnormal = x < _SMALLEST_NORMAL
    bits = bits_of(x * _F(2.0**23) if subnormal else x)
    exponent = np.int32((bits - _BITS_OF_SQRT_HALF) >> _EXPONENT_PLACE)
    f = from_bits(bits - (exponent << _EXPONENT_PLACE)) - _ONE
    n = _F(exponent) - (_F(23) if subnormal else _ZERO)
    p = _L10
    p = p * f + _L9
    p = p * f + _L8
    p = p * f + _L7
    p = p * f + _L6
    p = p * f + _L5
    p = p * f + _L4
    p = p * f + _L3
    square = f * f
    small = n * _LN2_LOW + (square * f) * p - _HALF * square
    result = n * _LN2_HIGH + (f + small)
    result = result if x < _INF else x
    return result if x > _ZERO else (-_INF if x == _ZERO else _NAN)


@inlined
def _log1p_within(z):  # type: ignore[no-untyped-def]
    """``log(1 + z)`` for z from 0 to 1."""
    p = _P9
    p = p * z + _P8
    p = p * z + _P7
    p = p * z + _P6
    p = p * z + _P5
    p = p * z + _P4
    p = p * z + _P3
    p = p * z + _P2
    p = p * z + _P1
    return (z * z) * p + z


@inlined
def log1p(x):  # type: ignore[no-untyped-def]
    """``log(1 + x)``, without cancellation near 0; 1.5 ULP."""
    total = x + _ONE
    lost = (x - (total - _ONE)) / total
    result = log(total) + lost
    result = result if x < _INF and x > -_ONE else log(total)
    return x if magnitude(x) < _F(2.0**-24) else result


@inlined
def softplus(x):  # type: ignore[no-untyped-def]
    """``log(1 + exp(x))``; 2.1 ULP."""
    return (_ZERO if x < _ZERO else x) + _log1p_within(exp(-magnitude(x)))


@inlined
def mish(x):  # type: ignore[no-untyped-def]
    """``x * tanh(softplus(x))``, which is ``x * n / (n + 2)`` with n = exp(x) * (exp(x) + 2); 4.5 ULP for x > -87."""
    e = exp(_F(20) if x > _F(20) else x)
    n = e * (e + _TWO)
    return x * (n / (n + _TWO))


@inlined
def asinh(x):  # type: ignore[no-untyped-def]
    """The inverse of the hyperbolic sine; 2.2 ULP."""
    size = magnitude(x)
    square = size * size
    near = log1p(size + square / (_ONE + sqrt(square + _ONE)))
    far = log(size) + _F(math.log(2))
    return copysign(far if size > _F(1e4) else near, x)


@inlined
def acosh(x):  # type: ignore[no-untyped-def]
    """The inverse of the hyperbolic cosine, NaN below 1; 2.2 ULP."""
    above = x - _ONE
    near = log1p(above + sqrt(above * _TWO + above * above))
    far = log(x) + _F(math.log(2))
    result = far if x > _F(1e4) else near
    return result if x >= _ONE else _NAN


@inlined
def atanh(x):  # type: ignore[no-untyped-def]
    """The inverse of the hyperbolic tangent, NaN beyond [-1, 1]; 2.5 ULP."""
    size = magnitude(x)
    return copysign(_HALF * log1p(_TWO * size / (_ONE - size)), x) if size <= _ONE else _NAN


# pow, in double precision

_D = np.float64
_DOUBLE_ROUND = _D(1.5 * 2**52)
_DOUBLE_EXPONENT_PLACE = np.int64(52)
_DOUBLE_BIAS = np.int64(1023)

#: log2(m) = s * (_M0 + _M1 s*s + ...) with s = (m - 1) / (m + 1), for m from sqrt(1/2) to sqrt(2).
_M0, _M1, _M2, _M3, _M4 = (
    2.885390081790197,
    0.9617966731864631,
    0.577083616856033,
    0.4116706907222367,
    0.34076952887404666,
)
#: 2**f for abs(f) <= 1/2.
_X0, _X1, _X2, _X3 = 1.000000000555049, 0.6931472057671388, 0.24022646886078844, 0.05550328711806703
_X4, _X5, _X6 = 0.009618489244621763, 0.001339995760529824, 0.00015345788238233898


@inlined
def _log2_double(x):  # type: ignore[no-untyped-def]
    """The binary logarithm of a float32 that is not negative, as a float64."""
    subnormal = x < _SMALLEST_NORMAL
    bits = bits_of(x * _F(2.0**23) if subnormal else x)
    exponent = np.int32((bits - _BITS_OF_SQRT_HALF) >> _EXPONENT_PLACE)
    m = _D(from_bits(bits - (exponent << _EXPONENT_PLACE)))
    s = (m - _D(1)) / (m + _D(1))
    u = s * s
    p = _D(_M4)
    p = p * u + _D(_M3)
    p = p * u + _D(_M2)
    p = p * u + _D(_M1)
    p = p * u + _D(_M0)
    result = _D(exponent) - (_D(23) if subnormal else _D(0)) + s * p
    result = result if x < _INF else _D(x)
    return result if x > _ZERO else _D(-_INF)


@inlined
def _exp2_double(z):  # type: ignore[no-untyped-def]
    """2 to the power z, as a float32."""
    t = _D(-160) if z < _D(-160) else z
    t = _D(160) if t > _D(160) else t
    shifted = t + _DOUBLE_ROUND
    f = t - (shifted - _DOUBLE_ROUND)
    p = _D(_X6)
    p = p * f + _D(_X5)
    p = p * f + _D(_X4)
    p = p * f + _D(_X3)
    p = p * f + _D(_X2)
    p = p * f + _D(_X1)
    p = p * f + _D(_X0)
    return _F(p * double_from_bits((bits_of_double(shifted) + _DOUBLE_BIAS) << _DOUBLE_EXPONENT_PLACE))


@inlined
def pow(x, y):  # type: ignore[no-untyped-def]
    """x to the power y, with all the special cases of C's powf; 0.6 ULP."""
    size = magnitude(x)
    result = _exp2_double(_D(y) * _log2_double(size))
    result = _ONE if size == _ONE and y == y else result
    whole = floor(y) == y
    half = y * _HALF
    odd = whole and floor(half) != half
    # The sign bit of x, zero included.
    result = copysign(result, x) if odd else result
    result = _NAN if x < _ZERO and x > -_INF and not whole else result
    result = _NAN if x != x else result
    return _ONE if y == _ZERO or x == _ONE else result


# erf

#: erf(a) = -expm1(-a * (_G0 + _G1 a + ...)) for a from 0 to 3.93, where erf rounds to 1.
_G0, _G1, _G2, _G3 = map(_F, (1.1283792, 0.6366152763366699, 0.10282658785581589, -0.019366424530744553))
_G4, _G5, _G6, _G7 = map(
    _F, (0.0002806936972774565, 0.0011900534154847264, -0.00035688982461579144, 3.715035200002603e-05)
)


@inlined
def erf(x):  # type: ignore[no-untyped-def]
    """The error function; 3.2 ULP."""
    size = magnitude(x)
    a = _F(3.93) if size > _F(3.93) else size
    p = _G7
    p = p * a + _G6
    p = p * a + _G5
    p = p * a + _G4
    p = p * a + _G3
    p = p * a + _G2
    p = p * a + _G1
    p = p * a + _G0
    return copysign(-_expm1_within(-(a * p)), x)


# sin, cos, tan

_TWO_OVER_PI = _D(2 / math.pi)
#: pi / 2 in two doubles.
_HALF_PI_HIGH, _HALF_PI_LOW = _D(math.pi / 2), _D(6.123233995736766e-17)

#: sin(r) = r + r**3 * (_S0 + _S1 r*r + ...) and cos(r) = 1 - r*r/2 + r**4 * (_C0 + _C1 r*r + ...), abs(r) <= pi / 4.
_S0, _S1, _S2 = map(_F, (-0.16666655242443085, 0.008332187309861183, -0.000195179003640078))
_C0, _C1, _C2 = map(_F, (0.04166664555668831, -0.0013887309469282627, 2.4432327336398885e-05))
#: tan(r) = r + r**3 * (_T0 + _T1 r*r + ...).
_T0, _T1, _T2, _T3 = map(_F, (0.33333349227905273, 0.1333267241716385, 0.05405943840742111, 0.02128286100924015))
_T4, _T5, _T6 = map(_F, (0.010837319307029247, 8.4535131463781e-05, 0.004379944875836372))


@inlined
def _quadrant(x):  # type: ignore[no-untyped-def]
    """What is left of an angle after multiples of pi / 2, and the lowest bits of their number."""
    wide = _D(x)
    shifted = wide * _TWO_OVER_PI + _DOUBLE_ROUND
    n = shifted - _DOUBLE_ROUND
    r = _F((wide - n * _HALF_PI_HIGH) - n * _HALF_PI_LOW)
    r = _F(0.79) if r > _F(0.79) else r
    r = _F(-0.79) if r < _F(-0.79) else r
    return r, np.int32(bits_of_double(shifted))


@inlined
def _sine(r):  # type: ignore[no-untyped-def]
    square = r * r
    return (square * r) * ((_S2 * square + _S1) * square + _S0) + r


@inlined
def _cosine(r):  # type: ignore[no-untyped-def]
    square = r * r
    return (square * square) * ((_C2 * square + _C1) * square + _C0) + (_ONE - _HALF * square)


@inlined
def _wave(r, quadrant):  # type: ignore[no-untyped-def]
    value = _cosine(r) if quadrant & np.int32(1) else _sine(r)
    return -value if quadrant & np.int32(2) else value


@inlined
def sin(x):  # type: ignore[no-untyped-def]
    """The sine; 1.6 ULP for abs(x) < 2**31, some number in [-1, 1] for those that lie far apart, beyond 1e15."""
    r, quadrant = _quadrant(x)
    return x if x == _ZERO else _wave(r, quadrant)


@inlined
def cos(x):  # type: ignore[no-untyped-def]
    """The cosine; with the errors of `sin`."""
    r, quadrant = _quadrant(x)
    return _wave(r, quadrant + np.int32(1))


@inlined
def tan(x):  # type: ignore[no-untyped-def]
    """The tangent; 2.5 ULP for abs(x) < 2**31, some number beyond 1e15."""
    r, quadrant = _quadrant(x)
    square = r * r
    p = _T6
    p = p * square + _T5
    p = p * square + _T4
    p = p * square + _T3
    p = p * square + _T2
    p = p * square + _T1
    p = p * square + _T0
    value = (square * r) * p + r
    value = -_ONE / value if quadrant & np.int32(1) else value
    return x if x == _ZERO else value


# asin, acos, atan

_PI, _HALF_PI, _QUARTER_PI = _F(math.pi), _F(math.pi / 2), _F(math.pi / 4)
#: asin(x) = x + x**3 * (_A0 + _A1 x*x + ...) for abs(x) <= 1/2.
_A0, _A1, _A2, _A3, _A4 = map(_F, (0.166667521, 0.074953094124794, 0.04546914994716644, 0.024184780, 0.042158298))
#: atan(x) = x + x**3 * (_B0 + _B1 x*x + ...) for abs(x) <= tan(pi / 8).
_B0, _B1, _B2, _B3, _B4 = map(_F, (-0.33333316445, 0.1999852806, -0.14244391, 0.10599166154, -0.06090037152171135))


@inlined
def _arc_sine(x):  # type: ignore[no-untyped-def]
    """The inverse of the sine for abs(x) <= 1/2."""
    u = x * x
    p = _A4
    p = p * u + _A3
    p = p * u + _A2
    p = p * u + _A1
    p = p * u + _A0
    return (u * x) * p + x


@inlined
def asin(x):  # type: ignore[no-untyped-def]
    """The inverse of the sine, NaN beyond [-1, 1]; 2.5 ULP."""
    size = magnitude(x)
    steep = size > _HALF
    angle = _arc_sine(sqrt(_HALF * (_ONE - size)) if steep else size)
    return copysign(_HALF_PI - _TWO * angle if steep else angle, x)


@inlined
def acos(x):  # type: ignore[no-untyped-def]
    """The inverse of the cosine, NaN beyond [-1, 1]; 1.3 ULP."""
    size = magnitude(x)
    steep = size > _HALF
    angle = _arc_sine(sqrt(_HALF * (_ONE - size)) if steep else x)
    near_end = _PI - _TWO * angle if x < _ZERO else _TWO * angle
    return near_end if steep else _HALF_PI - angle


@inlined
def atan(x):  # type: ignore[no-untyped-def]
    """The inverse of the tangent; 2.6 ULP."""
    size = magnitude(x)
    steep, middle = size > _F(2.4142135), size > _F(0.41421357)
    above = _ONE if steep else (size - _ONE if middle else size)
    below = size if steep else (size + _ONE if middle else _ONE)
    t = above / below
    t = -t if steep else t
    u = t * t
    p = _B4
    p = p * u + _B3
    p = p * u + _B2
    p = p * u + _B1
    p = p * u + _B0
    start = _HALF_PI if steep else (_QUARTER_PI if middle else _ZERO)
    return copysign(start + ((u * t) * p + t), x)
