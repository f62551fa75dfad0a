"""The formulas that exporters write for operators of the specification, and the operators that they stand for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.passes.match import Match
from onnxlite.passes.pattern import Formula, Number, Pattern, Value, call, either
from onnxlite.plan.known_shapes import Shape

#: The shape of a value, by its name.
Shapes: TypeAlias = Callable[[str], Shape]
#: What must hold besides the formula, given the constants and shapes of the graph.
Condition: TypeAlias = Callable[[Match, Mapping[str, Array], Shapes], bool]


@dataclass(frozen=True, slots=True)
class Computed:
    """A new constant that is an input; where the function gives None the rule does not apply."""

    value: Callable[[Match, Mapping[str, Array], Shapes], Array | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """A formula and the operator that computes it.

    Args:
        pattern: The formula.
        operator: The operator of the specification.
        opset: A version of the specification that has it.
        inputs: Its inputs: values of the pattern, or what is computed from the match.
        attributes: Its attributes; a `Number` stands for what the pattern found, a function computes one from that.
        condition: What else must hold.
    """

    pattern: Pattern
    operator: str
    opset: int
    inputs: tuple[Value | Computed, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    condition: Condition = lambda match, constants, shapes: True


x = Value("x")
scale, bias = Value("scale", axes=1), Value("bias", axes=1)
epsilon, alpha, beta, axes, keepdims = map(Number, ("epsilon", "alpha", "beta", "axes", "keepdims"))


def _ones(match: Match, constants: Mapping[str, Array], shapes: Shapes) -> Array | None:
    """A scale of 1 for every element along the last axis."""
    shape = shapes(match.names["x"])
    length = None if isinstance(shape, str) or not shape else shape[-1]
    return np.ones(length, np.float32) if isinstance(length, int) else None


def _per_channel(name: str) -> Computed:
    """A constant that is broadcast along the channels, axis 1 of x, as a vector."""

    def vector(match: Match, constants: Mapping[str, Array], shapes: Shapes) -> Array | None:
        array, shape = constants.get(match.names[name]), shapes(match.names["x"])
        if array is None or isinstance(shape, str) or len(shape) < 3 or not isinstance(shape[1], int):
            return None
        expected = (1, shape[1], *(1 for _ in shape[2:]))
        return array.reshape(-1) if array.shape in (expected, expected[1:]) else None

    return Computed(vector)


def _fits(match: Match, constants: Mapping[str, Array], shapes: Shapes) -> bool:
    """Whether constants along the last axis have its length, as far as that is known."""
    shape = shapes(match.names["x"])
    lengths = {constants[match.names[name]].size for name in ("scale", "bias") if name in match.names}
    if not isinstance(shape, str) and shape and isinstance(shape[-1], int):
        lengths.add(shape[-1])
    return len(lengths) < 2


def _one_axis(match: Match, constants: Mapping[str, Array], shapes: Shapes) -> bool:
    return isinstance(match.names["axes"], tuple) and len(match.names["axes"]) == 1


def _only_axis(match: Match, constants: Mapping[str, Array]) -> int:
    return int(match.names["axes"][0])


def _rank(count: int) -> Condition:
    return lambda match, constants, shapes: len(shapes(match.names["x"])) == count


# Normalisation along the last axis, or of the images of every channel.


def _mean(value: Formula, axes: tuple[int, ...] = (-1,)) -> Pattern:
    return call("ReduceMean", value, axes=axes, keepdims=1)


def _normal(axes: tuple[int, ...]) -> Pattern:
    centred = x - _mean(x, axes)
    variance = _mean(centred**2, axes)
    return centred * (variance + epsilon) ** -0.5


_centred = x - _mean(x)
_factor = scale * (_mean(_centred**2) + epsilon) ** -0.5
_shifted = either(_normal((-1,)) * scale + bias, x * _factor + bias - _mean(x) * _factor)
_root_normal = x * (_mean(x**2) + epsilon) ** -0.5
_LAST = {"axis": -1, "epsilon": epsilon}
_ONES = Computed(_ones)
_channel_scale, _channel_bias = Value("scale"), Value("bias")
_CHANNELS = (x, _per_channel("scale"), _per_channel("bias"))

_NORMALIZATIONS = (
    Rule(_shifted, "LayerNormalization", 17, (x, scale, bias), _LAST, _fits),
    Rule(_normal((-1,)) * scale, "LayerNormalization", 17, (x, scale), _LAST, _fits),
    Rule(_normal((-1,)) + bias, "LayerNormalization", 17, (x, _ONES, bias), _LAST, _fits),
    Rule(_normal((-1,)), "LayerNormalization", 17, (x, _ONES), _LAST),
    Rule(_root_normal * scale, "RMSNormalization", 23, (x, scale), _LAST, _fits),
    Rule(_root_normal, "RMSNormalization", 23, (x, _ONES), _LAST),
    *(
        Rule(
            _normal(spatial) * _channel_scale + _channel_bias,
            *("InstanceNormalization", 6, _CHANNELS, {"epsilon": epsilon}, _rank(2 + len(spatial))),
        )
        for spatial in ((-1,), (-2, -1), (-3, -2, -1))
    ),
)

# Groups of channels: seen as (batch, groups, the rest), their instances are normalised; then channels are scaled.

_grouped = call(
    *("InstanceNormalization", call("Reshape", x, Value("groups", axes=1)), Value("ones", axes=1)),
    *(Value("zeros", axes=1),),
    epsilon=epsilon,
)
_regrouped = call("Reshape", _grouped, either(call("Shape", x), Value("shape", axes=1)))


def _in_groups(match: Match, constants: Mapping[str, Array], shapes: Shapes) -> bool:
    """Whether x is seen as (batch, groups of whole channels, the rest), not scaled, and then gets its shape back."""
    names, of_x = match.names, shapes(match.names["x"])
    groups = constants[names["groups"]].tolist()
    plain = bool((constants[names["ones"]] == 1).all() and (constants[names["zeros"]] == 0).all())
    if not plain or isinstance(of_x, str) or len(of_x) < 2 or len(groups) != 3 or groups[0] not in (0, of_x[0]):
        return False
    if not isinstance(of_x[1], int) or groups[1] < 1 or of_x[1] % groups[1]:
        return False
    shape = constants[names["shape"]].tolist() if "shape" in names else list(of_x)
    told = len(shape) == len(of_x) and shape[0] in (0, of_x[0])
    return told and sum(length != known for length, known in zip(shape[1:], of_x[1:], strict=True)) <= 1


def _group_count(match: Match, constants: Mapping[str, Array]) -> int:
    return int(constants[match.names["groups"]][1])


_GROUPS = Rule(
    _regrouped * _channel_scale + _channel_bias,
    *("GroupNormalization", 21, _CHANNELS, {"epsilon": epsilon, "num_groups": _group_count}, _in_groups),
)

# Activations.


def _clipped(value: Formula, low: float, high: float) -> Pattern:
    return either(call("Clip", value, min=low, max=high), call("Min", call("Max", value, low), high))


_ROOT = math.sqrt(2 / math.pi)
_cubic = either((x + 0.044715 * x**3) * _ROOT, x * _ROOT * (1 + 0.044715 * x**2), _ROOT * x + _ROOT * 0.044715 * x**3)
_softplus = either(call("Softplus", x), call("Log", call("Exp", x) + 1))
_gate = either(_clipped(x + 3, 0.0, 6.0) / 6, _clipped(x / 6 + 0.5, 0.0, 1.0))
_hard_sigmoid = either(_gate, call("HardSigmoid", x, alpha=1 / 6, beta=0.5))

_ACTIVATIONS = (
    Rule(x * (call("Erf", x / math.sqrt(2)) + 1) / 2, "Gelu", 20, (x,), {"approximate": "none"}),
    Rule(x * (call("Tanh", _cubic) + 1) / 2, "Gelu", 20, (x,), {"approximate": "tanh"}),
    Rule(x * call("Sigmoid", alpha * x), "Swish", 24, (x,), {"alpha": alpha}),
    Rule(x / (call("Exp", x * -1) + 1), "Swish", 24, (x,), {"alpha": 1.0}),
    Rule(either(x * _clipped(x + 3, 0.0, 6.0) / 6, x * _hard_sigmoid), "HardSwish", 14, (x,)),
    Rule(_gate, "HardSigmoid", 6, (x,), {"alpha": 1 / 6, "beta": 0.5}),
    Rule(x * call("Tanh", _softplus), "Mish", 18, (x,)),
    Rule((call("Exp", x * -1) + 1) ** -1, "Sigmoid", 13, (x,)),
)

# Exponentials along an axis.

_below = x - call("ReduceMax", x, axes=axes, keepdims=1)
_powers = call("Exp", _below)
_total = call("ReduceSum", _powers, axes=axes, keepdims=1)

_EXPONENTIALS = (
    Rule(_powers / _total, "Softmax", 13, (x,), {"axis": _only_axis}, _one_axis),
    Rule(_below - call("Log", _total), "LogSoftmax", 13, (x,), {"axis": _only_axis}, _one_axis),
)

#: In the order in which they are tried.
RULES = (*_NORMALIZATIONS, _GROUPS, *_ACTIVATIONS, *_EXPONENTIALS)
