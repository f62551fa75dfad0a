"""What each elementwise operator computes for one element: exponentials, trigonometry, activations.

The formulas of arithmetic are in `formulas`; for what a formula is, see `formula`.
"""

from __future__ import annotations

import math

import numpy as np

from onnxlite.kernels.numba.elementwise.formula import formula
from onnxlite.kernels.numba.elementwise.formulas import absolute, maximum, minimum
from onnxlite.kernels.numba.elementwise.term import Number, Term, require, require_floats, where

# The defaults of attributes are float32 numbers in the specification.
_LEAKY_RELU_ALPHA = float(np.float32(0.01))
_HARD_SIGMOID_ALPHA = float(np.float32(0.2))
_SELU_ALPHA, _SELU_GAMMA = float(np.float32(1.6732632423543772)), float(np.float32(1.0507009873554805))
_SELU_1_ALPHA, _SELU_1_GAMMA = float(np.float32(1.6732)), float(np.float32(1.0507))


# Exponentials and trigonometry


def _register(name: str, function: str, since: int, cost: int) -> None:
    def apply(x: Term) -> Term:
        return x.math(function, cost=cost)

    apply.__doc__ = f"{function} of x."
    formula(name, since=since)(apply)


for _name, _function, _since, _cost in (
    ("Exp", "exp", 6, 12),
    ("Log", "log", 6, 20),
    ("Sigmoid", "sigmoid", 6, 16),
    ("Tanh", "tanh", 6, 16),
    ("Erf", "erf", 9, 24),
    ("Softplus", "softplus", 1, 30),
    ("Mish", "mish", 18, 26),
    ("Sin", "sin", 7, 36),
    ("Cos", "cos", 7, 36),
    ("Tan", "tan", 7, 36),
    ("Asin", "asin", 7, 16),
    ("Acos", "acos", 7, 16),
    ("Atan", "atan", 7, 20),
    ("Sinh", "sinh", 9, 30),
    ("Cosh", "cosh", 9, 16),
    ("Asinh", "asinh", 9, 90),
    ("Acosh", "acosh", 9, 90),
    ("Atanh", "atanh", 9, 60),
):
    _register(_name, _function, _since, _cost)


@formula("Sqrt", since=6)
def sqrt(x: Term) -> Term:
    """The square root, NaN below zero."""
    require_floats(x)
    return x.call("sqrt", cost=8)


# Activations


@formula("Relu", since=6)
def relu(x: Term) -> Term:
    """``max(x, 0)``."""
    return maximum(x, 0)


@formula("LeakyRelu", since=6)
def leaky_relu(x: Term, *, alpha: Number = _LEAKY_RELU_ALPHA) -> Term:
    """x, or ``alpha * x`` below zero."""
    require_floats(x)
    return where(x < 0, x * alpha, x)


@formula("PRelu", since=7)
def prelu(x: Term, slope: Term) -> Term:
    """x, or ``slope * x`` below zero."""
    return where(x < 0, x * slope, x)


@formula("Elu", since=6)
def elu(x: Term, *, alpha: Number = 1.0) -> Term:
    """x, or ``alpha * (exp(x) - 1)`` below zero."""
    return where(x < 0, x.math("expm1") * alpha, x)


@formula("Selu", since=6)
def selu(x: Term, *, alpha: Number = _SELU_ALPHA, gamma: Number = _SELU_GAMMA) -> Term:
    """``gamma * x``, or ``gamma * alpha * (exp(x) - 1)`` below zero."""
    return elu(x, alpha=alpha) * gamma


@formula("Selu", since=1, until=1)
def selu_1(x: Term, *, alpha: Number = _SELU_1_ALPHA, gamma: Number = _SELU_1_GAMMA) -> Term:
    """Selu with its first coefficients."""
    return selu(x, alpha=alpha, gamma=gamma)


@formula("Celu", since=12)
def celu(x: Term, *, alpha: Number = 1.0) -> Term:
    """``max(0, x) + min(0, alpha * (exp(x / alpha) - 1))``."""
    require_floats(x)
    return maximum(x, 0) + minimum((x / alpha).math("expm1") * alpha, 0)


@formula("Gelu", since=20)
def gelu(x: Term, *, approximate: str = "none") -> Term:
    """``x * P(X <= x)`` of a standard normal X, by erf or by its approximation with tanh."""
    require(approximate in ("none", "tanh"), f"approximate must be 'none' or 'tanh', got {approximate!r}")
    if approximate == "none":
        return x * 0.5 * ((x * math.sqrt(0.5)).math("erf", cost=24) + 1)
    inner = (x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)
    return x * 0.5 * (inner.math("tanh") + 1)


@formula("HardSigmoid", since=6)
def hard_sigmoid(x: Term, *, alpha: Number = _HARD_SIGMOID_ALPHA, beta: Number = 0.5) -> Term:
    """``max(0, min(1, alpha * x + beta))``."""
    require_floats(x)
    return minimum(maximum(x * alpha + beta, 0), 1)


@formula("HardSwish", since=14)
def hard_swish(x: Term) -> Term:
    """``x * max(0, min(1, x / 6 + 1 / 2))``."""
    return x * hard_sigmoid(x, alpha=1 / 6, beta=0.5)


@formula("Softsign")
def softsign(x: Term) -> Term:
    """``x / (1 + |x|)``."""
    require_floats(x)
    return x / (absolute(x) + 1)


@formula("Swish", since=24)
def swish(x: Term, *, alpha: Number = 1.0) -> Term:
    """``x * sigmoid(alpha * x)``."""
    require_floats(x)
    return x * (x * alpha).math("sigmoid")


@formula("SwiGLU", since=28)
def swiglu(a: Term, b: Term, *, alpha: Number = 1.0) -> Term:
    """``swish(a) * b``."""
    return swish(a, alpha=alpha) * b


@formula("Shrink", since=9)
def shrink(x: Term, *, bias: Number = 0.0, lambd: Number = 0.5) -> Term:
    """``x + bias`` below ``-lambd``, ``x - bias`` above ``lambd``, else 0."""
    require_floats(x)
    step, edge = x.coerced(bias), x.coerced(lambd)
    return where(x < -edge, x + step, where(x > edge, x - step, 0))


@formula("ThresholdedRelu", since=10)
def thresholded_relu(x: Term, *, alpha: Number = 1.0) -> Term:
    """x above ``alpha``, else 0."""
    require_floats(x)
    return where(x > alpha, x, 0)
