"""What the fused products and convolutions do to their result: bias, residual and activation."""

from __future__ import annotations

from typing import Any

from onnxlite.kernels.arrays import Array, array_namespace
from onnxlite.kernels.numpy import activation as activations


def finished(
    y: Array,
    residual: Array | None,
    activation: str,
    alpha: float | None,
    beta: float | None,
    residual_last: int,
) -> Array:
    """``activation(y + residual)``, or ``activation(y) + residual`` where ``residual_last`` is set."""
    if residual is None:
        return activate(y, activation, alpha, beta)
    if residual_last:
        return activate(y, activation, alpha, beta) + residual
    return activate(y + residual, activation, alpha, beta)


def activate(x: Array, activation: str, alpha: float | None, beta: float | None) -> Array:
    """An activation by its operator's name; None stands for the operator's default of a parameter."""
    xp = array_namespace(x)
    if activation == "":
        return x
    if activation == "Clip":
        return xp.clip(x, alpha, beta)
    if activation == "Tanh":
        return xp.tanh(x)
    if activation == "GeluTanh":
        return activations.gelu(x, approximate="tanh")
    function, names = _ACTIVATIONS[activation]
    given = {name: value for name, value in zip(names, (alpha, beta), strict=False) if value is not None}
    return function(x, **given)


_ACTIVATIONS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "Relu": (activations.relu, ()),
    "LeakyRelu": (activations.leaky_relu, ("alpha",)),
    "Elu": (activations.elu, ("alpha",)),
    "Sigmoid": (activations.sigmoid, ()),
    "HardSigmoid": (activations.hard_sigmoid, ("alpha", "beta")),
    "HardSwish": (activations.hard_swish, ()),
    "Swish": (activations.swish, ("alpha",)),
    "Gelu": (activations.gelu, ()),
    "Mish": (activations.mish, ()),
    "Softplus": (activations.softplus, ()),
}
