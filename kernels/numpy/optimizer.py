"""The training operators of ai.onnx.preview.training: one step of Adagrad, Adam or Momentum for some tensors at once.

Each takes a learning rate, the number of steps done, and then the tensors, their gradients and their accumulators,
grouped by kind; it gives the new tensors and accumulators, grouped alike.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

from onnxlite.kernels.arrays import Array, array_namespace
from onnxlite.kernels.numpy.table import op

_TRAINING = "ai.onnx.preview.training"


@op("Adagrad", domain=_TRAINING)
def adagrad(
    r: Array, t: Array, *inputs: Array, decay_factor: float = 0.0, epsilon: float = 1e-6, norm_coefficient: float = 0.0
) -> tuple[Array, ...]:
    """``x -= r g / (sqrt(h) + epsilon)``, h the sum of squared gradients g, r decayed by the count (ONNX Adagrad-1)."""
    rate = r.reshape(()) / (1 + int(t.reshape(())) * decay_factor)

    def update(x: Array, gradient: Array, squares: Array) -> tuple[Array, ...]:
        gradient = norm_coefficient * x + gradient
        squares = squares + gradient * gradient
        return x - rate * gradient / (array_namespace(x).sqrt(squares) + epsilon), squares

    return _each(update, inputs, 3)


@op("Adam", domain=_TRAINING)
def adam(
    r: Array,
    t: Array,
    *inputs: Array,
    alpha: float = 0.9,
    beta: float = 0.999,
    epsilon: float = 1e-6,
    norm_coefficient: float = 0.0,
    norm_coefficient_post: float = 0.0,
) -> tuple[Array, ...]:
    """``x -= r v / (sqrt(h) + epsilon)``: v and h average the gradients and their squares (ONNX Adam-1).

    The rate r makes up for averages that start at zero: ``r sqrt(1 - beta**t) / (1 - alpha**t)``, once t is positive.
    """
    count = int(t.reshape(()))
    rate = r.reshape(()) * (sqrt(1 - beta**count) / (1 - alpha**count) if count > 0 else 1.0)

    def update(x: Array, gradient: Array, average: Array, squares: Array) -> tuple[Array, ...]:
        gradient = norm_coefficient * x + gradient
        average = alpha * average + (1 - alpha) * gradient
        squares = beta * squares + (1 - beta) * (gradient * gradient)
        moved = x - rate * average / (array_namespace(x).sqrt(squares) + epsilon)
        return (1 - norm_coefficient_post) * moved, average, squares

    return _each(update, inputs, 4)


@op("Momentum", domain=_TRAINING)
def momentum(
    r: Array, t: Array, *inputs: Array, alpha: float, beta: float, mode: str, norm_coefficient: float
) -> tuple[Array, ...]:
    """``x -= r v`` with ``v = alpha v + beta g``, or with mode nesterov ``x -= r (g + alpha v)`` (ONNX Momentum-1).

    At the first step, when t is 0, beta counts as 1.
    """
    if mode not in ("standard", "nesterov"):
        raise ValueError(f"expected mode standard or nesterov, got {mode!r}")
    rate, weight = r.reshape(()), beta if int(t.reshape(())) > 0 else 1.0

    def update(x: Array, gradient: Array, velocity: Array) -> tuple[Array, ...]:
        gradient = norm_coefficient * x + gradient
        velocity = alpha * velocity + weight * gradient
        return x - rate * (gradient + alpha * velocity if mode == "nesterov" else velocity), velocity

    return _each(update, inputs, 3)


def _each(update: Callable[..., tuple[Array, ...]], inputs: tuple[Array, ...], kinds: int) -> tuple[Array, ...]:
    """Update every tensor with what belongs to it, and give the results grouped by kind, in the tensors' types."""
    if len(inputs) % kinds:
        raise ValueError(f"expected {kinds} inputs for each tensor to optimise, got {len(inputs)} in all")
    count = len(inputs) // kinds
    updated = []
    for index in range(count):
        results = update(*inputs[index::count])
        # A learning rate in double precision would otherwise make its results double.
        updated.append([result.astype(inputs[index].dtype) for result in results])
    return tuple(result for kind in zip(*updated, strict=True) for result in kind)
