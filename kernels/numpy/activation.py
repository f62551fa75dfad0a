"""Activation functions, element by element."""

from __future__ import annotations

import math

import numpy as np

from onnxlite.kernels import special
from onnxlite.kernels.arrays import Array, array_namespace
from onnxlite.kernels.numpy.broadcast import align, consuming
from onnxlite.kernels.numpy.table import op

# The defaults of attributes are float32 numbers in the specification: 0.01 is 0.009999999776482582.
_LEAKY_RELU_ALPHA = float(np.float32(0.01))
_HARD_SIGMOID_ALPHA = float(np.float32(0.2))
_SELU_ALPHA, _SELU_GAMMA = float(np.float32(1.6732632423543772)), float(np.float32(1.0507009873554805))
_SELU_1_ALPHA, _SELU_1_GAMMA = float(np.float32(1.6732)), float(np.float32(1.0507))


@op("Relu", since=6, widen=True)
def relu(x: Array) -> Array:
    """``max(x, 0)`` (ONNX Relu-14)."""
    return array_namespace(x).maximum(x, 0)


@op("LeakyRelu", since=6, widen=True)
def leaky_relu(x: Array, *, alpha: float = _LEAKY_RELU_ALPHA) -> Array:
    """``x``, or ``alpha * x`` below zero (ONNX LeakyRelu-16)."""
    return array_namespace(x).where(x < 0, alpha * x, x)


@op("PRelu", since=7, widen=True)
def prelu(x: Array, slope: Array) -> Array:
    """``x``, or ``slope * x`` below zero, the slope broadcast to the shape of ``x`` (ONNX PRelu-16)."""
    xp = array_namespace(x)
    try:
        slope = xp.broadcast_to(slope, x.shape)
    except ValueError:
        raise ValueError(f"slope must broadcast to the input's shape {x.shape}, got {slope.shape}") from None
    return xp.where(x < 0, slope * x, x)


@op("PRelu", since=6, until=6, widen=True)
def prelu_6(x: Array, slope: Array) -> Array:
    """PRelu with one slope, or one for each channel: for each index of axis 1 (ONNX PRelu-6)."""
    return prelu(x, align(x, slope, min(1, x.ndim - 1)) if slope.ndim == 1 else slope)


@op("Elu", since=6, widen=True)
def elu(x: Array, *, alpha: float = 1.0) -> Array:
    """``x``, or ``alpha * (exp(x) - 1)`` below zero (ONNX Elu-22)."""
    xp = array_namespace(x)
    return xp.where(x < 0, alpha * xp.expm1(x), x)


@op("Selu", since=6, widen=True)
def selu(x: Array, *, alpha: float = _SELU_ALPHA, gamma: float = _SELU_GAMMA) -> Array:
    """``gamma * x``, or ``gamma * alpha * (exp(x) - 1)`` below zero (ONNX Selu-22)."""
    return gamma * elu(x, alpha=alpha)


@op("Selu", since=1, until=1, widen=True)
@consuming
def selu_1(x: Array, *, alpha: float = _SELU_1_ALPHA, gamma: float = _SELU_1_GAMMA) -> Array:
    """Selu whose coefficients have four decimals (ONNX Selu-1)."""
    return selu(x, alpha=alpha, gamma=gamma)


@op("Celu", since=12, widen=True)
def celu(x: Array, *, alpha: float = 1.0) -> Array:
    """``max(0, x) + min(0, alpha * (exp(x / alpha) - 1))`` (ONNX Celu-28)."""
    xp = array_namespace(x)
    return xp.maximum(x, 0) + xp.minimum(alpha * xp.expm1(x / alpha), 0)


@op("Gelu", since=20, widen=True)
def gelu(x: Array, *, approximate: str = "none") -> Array:
    """``x * P(X <= x)`` of a standard normal X, by erf or by its approximation with tanh (ONNX Gelu-20)."""
    if approximate == "none":
        return 0.5 * x * (1 + special.erf(x * math.sqrt(0.5)))
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)
        return 0.5 * x * (1 + array_namespace(x).tanh(inner))
    raise ValueError(f"approximate must be 'none' or 'tanh', got {approximate!r}")


@op("Sigmoid", since=6, widen=True)
def sigmoid(x: Array) -> Array:
    """``1 / (1 + exp(-x))`` (ONNX Sigmoid-13)."""
    return 1 / (1 + array_namespace(x).exp(-x))


@op("HardSigmoid", since=6, widen=True)
def hard_sigmoid(x: Array, *, alpha: float = _HARD_SIGMOID_ALPHA, beta: float = 0.5) -> Array:
    """``max(0, min(1, alpha * x + beta))`` (ONNX HardSigmoid-22)."""
    return array_namespace(x).clip(alpha * x + beta, 0, 1)


@op("HardSwish", since=14, widen=True)
def hard_swish(x: Array) -> Array:
    """``x * max(0, min(1, x / 6 + 1 / 2))`` (ONNX HardSwish-22)."""
    return x * hard_sigmoid(x, alpha=1 / 6, beta=0.5)


@op("Mish", since=18, widen=True)
def mish(x: Array) -> Array:
    """``x * tanh(log(1 + exp(x)))`` (ONNX Mish-22)."""
    return x * array_namespace(x).tanh(softplus(x))


@op("Softplus", widen=True)
def softplus(x: Array) -> Array:
    """``log(1 + exp(x))``, written so that exp cannot overflow (ONNX Softplus-22)."""
    xp = array_namespace(x)
    return xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.abs(x)))


@op("Softsign", widen=True)
def softsign(x: Array) -> Array:
    """``x / (1 + |x|)`` (ONNX Softsign-22)."""
    return x / (1 + array_namespace(x).abs(x))


@op("Swish", since=24, widen=True)
def swish(x: Array, *, alpha: float = 1.0) -> Array:
    """``x * sigmoid(alpha * x)`` (ONNX Swish-24)."""
    return x * sigmoid(alpha * x)


@op("SwiGLU", since=28, widen=True)
def swiglu(a: Array, b: Array, *, alpha: float = 1.0) -> Array:
    """The value ``b`` times the gate ``swish(a)``, without broadcasting (ONNX SwiGLU-28)."""
    if a.shape != b.shape:
        raise ValueError(f"the gate and the value must have one shape, got {a.shape} and {b.shape}")
    return swish(a, alpha=alpha) * b


@op("Shrink", since=9, widen=True)
def shrink(x: Array, *, bias: float = 0.0, lambd: float = 0.5) -> Array:
    """``x + bias`` below ``-lambd``, ``x - bias`` above ``lambd``, else 0, in the type of ``x`` (ONNX Shrink-9)."""
    xp = array_namespace(x)
    return xp.where(x < -lambd, x + bias, xp.where(x > lambd, x - bias, 0)).astype(x.dtype)


@op("ThresholdedRelu", since=10, widen=True)
def thresholded_relu(x: Array, *, alpha: float = 1.0) -> Array:
    """``x`` above ``alpha``, else 0 (ONNX ThresholdedRelu-22)."""
    return array_namespace(x).where(x > alpha, x, 0)


for _name, _function in (
    ("Relu", relu),
    ("LeakyRelu", leaky_relu),
    ("PRelu", prelu_6),
    ("Elu", elu),
    ("Sigmoid", sigmoid),
    ("HardSigmoid", hard_sigmoid),
):
    op(_name, since=1, until=1, widen=True)(consuming(_function))
