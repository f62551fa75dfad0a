"""What follows a product or a convolution and can be computed with it: factors, terms, a residual, an activation.

A product here is a node ``onnxlite.Conv`` or ``onnxlite.MatMul``: its inputs are the image or left matrix, the weights
or right matrix, a bias with an element per filter or column, and a residual of the result's shape.  The kernels compute

    activation(scale * product + bias + residual)   or   activation(scale * product + bias) + residual

while the result is in the cache (`onnxlite.kernels.numba.product.epilogue`).  Each rule below puts one follower into
the node of the product, or answers None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.model.ir import Node
from onnxlite.plan.known_shapes import Shape, are_equal

#: Activations, and which of their attributes are the parameters alpha and beta.
ACTIVATIONS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("Relu", "Sigmoid", "Tanh", "HardSwish", "Mish", "Softplus"), ()),
    **dict.fromkeys(("LeakyRelu", "Elu", "Swish"), ("alpha",)),
    "HardSigmoid": ("alpha", "beta"),
}

#: The largest finite number: a limit of Clip that is left out.
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(slots=True)
class Constants:
    """The initializers that may be read, and those of the graph, to which a rule may add."""

    known: dict[str, Array]
    own: dict[str, Array]

    def add(self, name: str, array: Array) -> str:
        """Add an initializer, and return its name."""
        self.own[name] = self.known[name] = np.ascontiguousarray(array, np.float32)
        return name


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules, with what they need to know of the graph."""

    constants: Constants
    shapes: Mapping[str, Shape]

    def with_follower(self, node: Node, follower: Node) -> Node | None:
        """A product with the only reader of its result in it, or None if that cannot be; the outputs stay as they are.

        Args:
            node: The product.
            follower: The reader.
        """
        rule = _RULES.get(follower.op_type)
        if rule is None or follower.domain or len(follower.outputs) != 1 or node.attributes.get("residual_last"):
            return None
        if follower.inputs.count(node.outputs[0]) != 1 or (is_activated(node) and rule is not _with_sum):
            return None
        return rule(self, node, follower)

    def constant_beside(self, node: Node, follower: Node) -> Array | None:
        """The constant that a follower combines with a product's result, if it is float32 and no larger than that."""
        array = self.constants.known.get(_other(node, follower))
        if array is None or array.dtype != np.float32:
            return None
        return array if array.ndim <= self.least_rank(node) else None

    def least_rank(self, node: Node) -> int:
        """The number of axes that the result of a product has at least."""
        if node.op_type == "Conv":
            return int(self.constants.known[node.inputs[1]].ndim)
        shape = self.shapes[node.outputs[0]]
        if isinstance(shape, str):
            return 0 if self.columns(node) is None else 1
        return len(shape)

    def columns(self, node: Node) -> int | None:
        """The number of filters or columns, if it is known."""
        constant = self.constants.known.get(node.inputs[1])
        weights = self.shapes[node.inputs[1]] if constant is None else constant.shape
        if isinstance(weights, str) or len(weights) < 2:
            return None
        length = weights[_columns_axis(node, len(weights))]
        return length if isinstance(length, int) else None

    def per_column(self, node: Node, array: Array) -> Array | None:
        """A constant as one element for each filter or column, if it is that, or one for all."""
        columns = self.columns(node)
        if columns is None or (array.size != 1 and (array.ndim == 0 or array.shape[-1] != array.size)):
            return None
        return np.broadcast_to(array.reshape(-1), (columns,)) if array.size in (1, columns) else None

    def takes_terms(self, node: Node) -> bool:
        """Whether a factor or a term may follow a product: it has no residual, and its bias is a constant."""
        bias = node.inputs[2] if len(node.inputs) > 2 else ""
        return len(node.inputs) < 4 and (not bias or bias in self.constants.known)

    def bias(self, node: Node) -> Array | None:
        """The bias of a product that takes terms."""
        return self.constants.known.get(node.inputs[2]) if len(node.inputs) > 2 else None


def is_activated(node: Node) -> bool:
    """Whether a product has its activation."""
    return "activation" in node.attributes


def _other(node: Node, follower: Node) -> str:
    return next(name for name in follower.inputs if name != node.outputs[0])


def _columns_axis(node: Node, rank: int) -> int:
    """The axis of the weights that becomes the last one of the result."""
    if node.op_type == "Conv":
        return 0
    perm = node.attributes.get("b_perm")
    return int(perm[-1]) if perm else rank - 1


def _with_activation(rules: Rules, node: Node, follower: Node) -> Node | None:
    parameters = {name: follower.attributes.get(name) for name in ACTIVATIONS[follower.op_type]}
    given = {name: value for name, value in parameters.items() if value is not None}
    return _activated(node, follower.op_type, **given)


def _activated(node: Node, activation: str, **parameters: float) -> Node:
    return replace(node, attributes={**node.attributes, "activation": activation, **parameters})


def _with_gelu(rules: Rules, node: Node, follower: Node) -> Node | None:
    names = {"none": "Gelu", "tanh": "GeluTanh"}
    name = names.get(follower.attributes.get("approximate", "none"))
    return None if name is None else _activated(node, name)


def _with_slope(rules: Rules, node: Node, follower: Node) -> Node | None:
    """PRelu with one slope for all."""
    slope = rules.constants.known.get(follower.inputs[1])
    if slope is None or slope.size != 1 or slope.ndim > rules.least_rank(node):
        return None
    return _activated(node, "LeakyRelu", alpha=float(slope.item()))


def _with_clip(rules: Rules, node: Node, follower: Node) -> Node | None:
    given = {
        "alpha": float(follower.attributes.get("min", -_LARGEST)),
        "beta": float(follower.attributes.get("max", _LARGEST)),
    }
    for key, name in zip(given, follower.inputs[1:], strict=False):
        if name and (name not in rules.constants.known or rules.constants.known[name].size != 1):
            return None
        if name:
            given[key] = float(rules.constants.known[name].item())
    return _activated(node, "Clip", **given)


def _with_sum(rules: Rules, node: Node, follower: Node) -> Node | None:
    """A term per filter or column, or a residual."""
    if follower.opset < 7 or len(follower.inputs) != 2 or len(node.inputs) > 3:
        return None
    constant = None if is_activated(node) else rules.constant_beside(node, follower)
    term = None if constant is None else rules.per_column(node, constant)
    if term is not None:
        return _with_term(rules, node, follower, term)
    other = _other(node, follower)
    equal = _are_alike(rules.shapes[other], rules.shapes[node.outputs[0]], other in rules.constants.known)
    if not equal:
        return None
    attributes = {**node.attributes, "residual_last": 1} if is_activated(node) else node.attributes
    return replace(node, inputs=(*node.inputs, *("",) * (3 - len(node.inputs)), other), attributes=attributes)


def _are_alike(residual: Shape, product: Shape, constant: bool) -> bool:
    """Whether two shapes are equal, as far as is known; a length of 1 beside an unknown one says that they are not."""
    equal = are_equal(residual, product)
    if equal is not None or constant:
        return equal is True
    if isinstance(residual, str) or isinstance(product, str):
        return True
    return all(m == n or 1 not in (m, n) for m, n in zip(residual, product, strict=True))


def _with_difference(rules: Rules, node: Node, follower: Node) -> Node | None:
    constant = rules.constant_beside(node, follower)
    if constant is None or follower.opset < 7 or follower.inputs[0] != node.outputs[0]:
        return None
    term = rules.per_column(node, -constant)
    return None if term is None else _with_term(rules, node, follower, term)


def _with_term(rules: Rules, node: Node, follower: Node, term: Array) -> Node | None:
    if not rules.takes_terms(node):
        return None
    bias = rules.bias(node)
    name = rules.constants.add(f"{follower.outputs[0]}/bias", term if bias is None else bias + term)
    return replace(node, inputs=(*node.inputs[:2], name))


def _with_product(rules: Rules, node: Node, follower: Node) -> Node | None:
    constant = rules.constant_beside(node, follower)
    return None if constant is None or follower.opset < 7 else _with_factor(rules, node, follower, constant)


def _with_quotient(rules: Rules, node: Node, follower: Node) -> Node | None:
    constant = rules.constant_beside(node, follower)
    if constant is None or follower.opset < 7 or follower.inputs[0] != node.outputs[0]:
        return None
    with np.errstate(all="ignore"):
        factor = 1 / constant
    # The reciprocals of tiny and of huge numbers, and of 0, are not what the quotients would be.
    normal = np.isfinite(factor) & (np.abs(factor) >= np.finfo(np.float32).tiny)
    return _with_factor(rules, node, follower, factor) if bool(np.all(normal)) else None


def _with_factor(rules: Rules, node: Node, follower: Node, constant: Array) -> Node | None:
    """A factor for all, or one per filter or column, in the weights and the bias."""
    if not rules.takes_terms(node):
        return None
    if node.op_type == "MatMul" and constant.size == 1:
        scale = float(node.attributes.get("scale", 1.0)) * float(constant.item())
        scaled: Node | None = replace(node, attributes={**node.attributes, "scale": scale})
        factors: Array | None = constant.reshape(-1)
    else:
        factors = rules.per_column(node, constant)
        scaled = None if factors is None else _with_scaled_weights(rules, node, follower, factors)
    bias = rules.bias(node)
    if scaled is None or bias is None:
        return scaled
    return replace(
        scaled, inputs=(*scaled.inputs[:2], rules.constants.add(f"{follower.outputs[0]}/bias", bias * factors))
    )


def _with_scaled_weights(rules: Rules, node: Node, follower: Node, factors: Array) -> Node | None:
    weights = rules.constants.known.get(node.inputs[1])
    if weights is None:
        return None
    axis = _columns_axis(node, weights.ndim)
    shape = [-1 if index == axis else 1 for index in range(weights.ndim)]
    name = rules.constants.add(f"{follower.outputs[0]}/weights", weights * factors.reshape(shape))
    return replace(node, inputs=(node.inputs[0], name, *node.inputs[2:]))


_RULES: dict[str, Callable[[Rules, Node, Node], Node | None]] = {
    **dict.fromkeys(ACTIVATIONS, _with_activation),
    "Gelu": _with_gelu,
    "PRelu": _with_slope,
    "Clip": _with_clip,
    "Add": _with_sum,
    "Sum": _with_sum,
    "Sub": _with_difference,
    "Mul": _with_product,
    "Div": _with_quotient,
}
