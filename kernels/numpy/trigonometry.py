"""Trigonometric and hyperbolic functions and their inverses, element by element."""

from __future__ import annotations

from onnxlite.kernels.arrays import Array, array_namespace
from onnxlite.kernels.numpy.broadcast import consuming
from onnxlite.kernels.numpy.table import op


@op("Sin", since=7, widen=True)
def sin(x: Array) -> Array:
    """The sine of an angle in radians (ONNX Sin-22)."""
    return array_namespace(x).sin(x)


@op("Cos", since=7, widen=True)
def cos(x: Array) -> Array:
    """The cosine of an angle in radians (ONNX Cos-22)."""
    return array_namespace(x).cos(x)


@op("Tan", since=7, widen=True)
def tan(x: Array) -> Array:
    """The tangent of an angle in radians (ONNX Tan-22)."""
    return array_namespace(x).tan(x)


@op("Asin", since=7, widen=True)
def asin(x: Array) -> Array:
    """The angle in [-pi/2, pi/2] whose sine is ``x``, NaN beyond [-1, 1] (ONNX Asin-22)."""
    return array_namespace(x).arcsin(x)


@op("Acos", since=7, widen=True)
def acos(x: Array) -> Array:
    """The angle in [0, pi] whose cosine is ``x``, NaN beyond [-1, 1] (ONNX Acos-22)."""
    return array_namespace(x).arccos(x)


@op("Atan", since=7, widen=True)
def atan(x: Array) -> Array:
    """The angle in [-pi/2, pi/2] whose tangent is ``x`` (ONNX Atan-22)."""
    return array_namespace(x).arctan(x)


@op("Sinh", since=9, widen=True)
def sinh(x: Array) -> Array:
    """The hyperbolic sine (ONNX Sinh-22)."""
    return array_namespace(x).sinh(x)


@op("Cosh", since=9, widen=True)
def cosh(x: Array) -> Array:
    """The hyperbolic cosine (ONNX Cosh-22)."""
    return array_namespace(x).cosh(x)


@op("Tanh", since=6, widen=True)
def tanh(x: Array) -> Array:
    """The hyperbolic tangent (ONNX Tanh-13)."""
    return array_namespace(x).tanh(x)


op("Tanh", since=1, until=1, widen=True)(consuming(tanh))


@op("Asinh", since=9, widen=True)
def asinh(x: Array) -> Array:
    """The inverse of the hyperbolic sine (ONNX Asinh-22)."""
    return array_namespace(x).arcsinh(x)


@op("Acosh", since=9, widen=True)
def acosh(x: Array) -> Array:
    """The inverse of the hyperbolic cosine, NaN below 1 (ONNX Acosh-22)."""
    return array_namespace(x).arccosh(x)


@op("Atanh", since=9, widen=True)
def atanh(x: Array) -> Array:
    """The inverse of the hyperbolic tangent, NaN beyond [-1, 1] (ONNX Atanh-22)."""
    return array_namespace(x).arctanh(x)
