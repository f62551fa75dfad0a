"""What follows a product or a convolution while its result is still in the cache: bias, residual and activation.

A kernel that computes its result block by block calls `apply_epilogue` on each block.  An activation is a small integer
and two numbers, so that one compiled function serves them all; the choice is made once per row.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.memory import address, floats
from onnxlite.kernels.numba.machine.sealed import sealed
from onnxlite.kernels.numba.machine.vectormath import erf, expm1, mish, sigmoid, softplus, tanh

#: Where the bias lies: none, one element per row of the block, or one per column.
NO_BIAS, ROW_BIAS, COLUMN_BIAS = 0, 1, 2

#: The activations.  LEAKY_RELU has a slope ``alpha``, CLIP the limits ``alpha`` and ``beta``, HARD_SIGMOID is
#: ``clip(alpha x + beta, 0, 1)``, SWISH ``x sigmoid(alpha x)``; GELU_TANH is Gelu with the approximation by tanh.
NONE, RELU, LEAKY_RELU, CLIP, SIGMOID, TANH, HARD_SIGMOID, HARD_SWISH, SWISH, GELU, GELU_TANH, MISH = range(12)
ELU, SOFTPLUS = 12, 13

#: Added to an activation's code where the residual comes after it.
RESIDUAL_LAST = 32

#: The activations by the names of ONNX's operators, each with the defaults of its two parameters.
_NAMED = {
    "": (NONE, 0.0, 0.0),
    "Relu": (RELU, 0.0, 0.0),
    "LeakyRelu": (LEAKY_RELU, 0.01, 0.0),
    "Clip": (CLIP, -math.inf, math.inf),
    "Relu6": (CLIP, 0.0, 6.0),
    "Sigmoid": (SIGMOID, 0.0, 0.0),
    "Tanh": (TANH, 0.0, 0.0),
    "HardSigmoid": (HARD_SIGMOID, 0.2, 0.5),
    "HardSwish": (HARD_SWISH, 0.0, 0.0),
    "Swish": (SWISH, 1.0, 0.0),
    "Gelu": (GELU, 0.0, 0.0),
    "GeluTanh": (GELU_TANH, 0.0, 0.0),
    "Mish": (MISH, 0.0, 0.0),
    "Elu": (ELU, 1.0, 0.0),
    "Softplus": (SOFTPLUS, 0.0, 0.0),
}


def activation_code(
    name: str, alpha: float | None = None, beta: float | None = None, *, residual_last: int = 0
) -> tuple[int, np.float32, np.float32] | None:
    """The code and the two parameters of an activation, or None for a name that is not among them.

    ``residual_last`` says that a residual is added to the activation's result, not to its argument.
    """
    if name not in _NAMED:
        return None
    code, default_alpha, default_beta = _NAMED[name]
    chosen = (default_alpha if alpha is None else alpha, default_beta if beta is None else beta)
    return code + (RESIDUAL_LAST if residual_last else 0), np.float32(chosen[0]), np.float32(chosen[1])


class Epilogue(NamedTuple):
    """What follows a product, but for the arrays: the arguments of `apply_epilogue` of these names."""

    bias_axis: int
    activation: int
    alpha: np.float32
    beta: np.float32


@jit(inline=True)
def apply_epilogue(
    c: Array,
    start: int,
    rows: int,
    columns: int,
    stride: int,
    bias: Array,
    bias_start: int,
    bias_axis: int,
    residual: Array,
    activation: int,
    alpha: np.float32,
    beta: np.float32,
) -> None:
    """``activation(c + bias + residual)`` or ``activation(c + bias) + residual`` in place over a block of a flat array.

    Args:
        c: The flat array that holds the block, from element ``start`` on.
        start: See ``c``.
        rows: The rows of the block.
        columns: The columns of the block.
        stride: The elements from one row of the block to the next.
        bias: A flat array, from element ``bias_start`` on: one element per row or per column of the block.
        bias_start: See ``bias``.
        bias_axis: NO_BIAS, ROW_BIAS or COLUMN_BIAS.
        residual: A flat array that is laid out as ``c``, or an empty one for none.
        activation: One of this module's codes, plus RESIDUAL_LAST for the second formula.
        alpha: The activation's first parameter.
        beta: Its second one.
    """
    _apply(
        address(c, start), rows, columns, stride, address(bias, bias_start), bias_axis,
        address(residual, start) if residual.size > 0 else 0, activation, alpha, beta,
    )  # fmt: skip


@sealed
def _apply(
    c: int,
    rows: int,
    columns: int,
    stride: int,
    bias: int,
    bias_axis: int,
    residual: int,
    activation: int,
    alpha: np.float32,
    beta: np.float32,
) -> None:
    """`apply_epilogue` by addresses; the address 0 is no residual."""
    last = activation >= RESIDUAL_LAST
    code = activation - RESIDUAL_LAST if last else activation
    if bias_axis == ROW_BIAS:
        for row in range(rows):
            line, shift = floats(c + 4 * row * stride, columns), floats(bias + 4 * row, 1)[0]
            for i in range(columns):
                line[i] += shift
    elif bias_axis == COLUMN_BIAS:
        for row in range(rows):
            _add(c + 4 * row * stride, bias, columns)
    if residual != 0 and not last:
        for row in range(rows):
            _add(c + 4 * row * stride, residual + 4 * row * stride, columns)
    if stride == columns:
        activate_rows(c, 1, rows * columns, 0, code, alpha, beta)
    else:
        activate_rows(c, rows, columns, stride, code, alpha, beta)
    if residual != 0 and last:
        for row in range(rows):
            _add(c + 4 * row * stride, residual + 4 * row * stride, columns)


@jit
def _add(place: int, other: int, count: int) -> None:
    """Add numbers from an address on to those from another one on."""
    x, y = floats(place, count), floats(other, count)
    for i in range(count):
        x[i] += y[i]


@jit(inline=True)
def activate(place: int, count: int, activation: int, alpha: np.float32, beta: np.float32) -> None:
    """An activation in place over numbers from an address on."""
    activate_rows(place, 1, count, 0, activation, alpha, beta)


@sealed
def activate_rows(
    place: int, rows: int, columns: int, stride: int, activation: int, alpha: np.float32, beta: np.float32
) -> None:
    """An activation in place over rows of numbers from an address on, ``stride`` numbers from one to the next.

    Each activation has a loop over the rows of its own: what is the same for all rows is prepared once.
    """
    one, half = np.float32(1), np.float32(0.5)
    if activation == RELU:
        for row in range(rows):
            x = floats(place + 4 * row * stride, columns)
            for i in range(columns):
                x[i] = np.float32(0) if x[i] < np.float32(0) else x[i]
    elif activation == LEAKY_RELU:
        for row in range(rows):
            x = floats(place + 4 * row * stride, columns)
            for i in range(columns):
                x[i] = x[i] * alpha if x[i] < np.float32(0) else x[i]
    elif activation == CLIP:
        for row in range(rows):
            x = floats(place + 4 * row * stride, columns)
            for i in range(columns):
                x[i] = _clip(x[i], alpha, beta)
    elif activation == SIGMOID:
        for row in range(rows):
            x = floats(place + 4 * row * stride, columns)
            for i in range(columns):
                x[i] = sigmoid(x[i])
    elif activation == TANH:
        for row in range(rows):
            x = floats(place + 4 * row * stride, columns)
            for i in range(columns):
                x[i] = tanh(x[i])
    elif activation == HARD_SIGMOID:
        for row in range(rows):
            x = floats(place + 4 * row * stride, columns)
            for i in range(columns):
                x[i] = _clip(alpha * x[i] + beta, np.float32(0), one)
    elif activation == HARD_SWISH:
        for row in range(rows):
            x = floats(place + 4 * row * stride, columns)
            for i in range(columns):
                x[i] = x[i] * _clip(x[i] * np.float32(1 / 6) + half, np.float32(0), one)
    elif activation == SWISH:
        for row in range(rows):
            x = floats(place + 4 * row * stride, columns)
            for i in range(columns):
                x[i] = x[i] * sigmoid(alpha * x[i])
    elif activation == GELU:
        for row in range(rows):
            x = floats(place + 4 * row * stride, columns)
            for i in range(columns):
                x[i] = half * x[i] * (one + erf(x[i] * np.float32(math.sqrt(0.5))))
    elif activation == GELU_TANH:
        for row in range(rows):
            x = floats(place + 4 * row * stride, columns)
            for i in range(columns):
                inner = x[i] + np.float32(0.044715) * x[i] * x[i] * x[i]
                x[i] = half * x[i] * (one + tanh(np.float32(math.sqrt(2 / math.pi)) * inner))
    elif activation == MISH:
        for row in range(rows):
            x = floats(place + 4 * row * stride, columns)
            for i in range(columns):
                x[i] = mish(x[i])
    elif activation == ELU:
        for row in range(rows):
            x = floats(place + 4 * row * stride, columns)
            for i in range(columns):
                x[i] = alpha * expm1(x[i]) if x[i] < np.float32(0) else x[i]
    elif activation == SOFTPLUS:
        for row in range(rows):
            x = floats(place + 4 * row * stride, columns)
            for i in range(columns):
                x[i] = softplus(x[i])


@jit(inline=True)
def _clip(x: np.float32, low: np.float32, high: np.float32) -> np.float32:
    """``min(max(x, low), high)``; NaN stays NaN."""
    raised = low if x < low else x
    return high if raised > high else raised
