"""The pass that drops nodes whose result is their input, so that other passes see what is beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.model.ir import Graph, Node
from onnxlite.model.order import reads
from onnxlite.model.types import TensorType, ValueType
from onnxlite.passes.aliases import Aliases
from onnxlite.plan.infer import types_beside


def eliminate(graph: Graph, keep: frozenset[str], outer: Mapping[str, Array]) -> Graph:
    """The graph without nodes that compute nothing.

    What the shapes of a run decide, or a rank, is not looked for: there the kernel sees that it has nothing to do.

    Args:
        graph: The graph, its nodes in order.
        keep: Names of values that must remain.
        outer: The initializers of the graphs around it.
    """
    if not any(node.op_type in _RULES and not node.domain for node in graph.nodes):
        return graph
    constants = {**outer, **graph.initializers}
    read = frozenset(keep).union(*map(reads, graph.nodes), (value.name for value in graph.outputs))
    known = _Known(constants, types_beside(graph, constants), read)
    aliases = Aliases.of(graph, keep)
    nodes: list[Node] = []
    for node in graph.nodes:
        rule = _RULES.get(node.op_type) if not node.domain else None
        source = rule(known, node) if rule is not None else None
        if source is None or not aliases.add(node.outputs[0], source):
            nodes.append(aliases.renamed(node))
    return replace(graph, nodes=tuple(nodes)) if len(nodes) < len(graph.nodes) else graph


@dataclass(frozen=True, slots=True)
class _Known:
    """What the rules ask for: initializers, types, and the names that anybody reads."""

    constants: Mapping[str, Array]
    types: Mapping[str, ValueType]
    read: frozenset[str]

    def element(self, name: str) -> np.dtype[np.generic] | None:
        """The element type of a value, if it is known."""
        kind = self.types.get(name)
        return kind.dtype if isinstance(kind, TensorType) else None

    def is_number(self, name: str, *numbers: float) -> bool:
        """Whether a value is a constant without axes, and one of some numbers, the sign of 0 included."""
        array = self.constants.get(name)
        if array is None or array.ndim or array.dtype.kind not in "fiu":
            return False
        return any(array == n and bool(np.signbit(array)) == bool(np.signbit(n)) for n in numbers)


def _identity(known: _Known, node: Node) -> str | None:
    return node.inputs[0]


def _single(known: _Known, node: Node) -> str | None:
    """An operator on any number of inputs, on one."""
    return node.inputs[0] if len(node.inputs) == 1 else None


def _dropout(known: _Known, node: Node) -> str | None:
    """Dropout in inference, its mask not read."""
    if any(name in known.read for name in node.outputs[1:] if name):
        return None
    training = node.inputs[2] if len(node.inputs) > 2 else ""
    if training and (training not in known.constants or bool(np.any(known.constants[training]))):
        return None
    inference = node.opset >= 7 or bool(node.attributes.get("is_test", 0))
    return node.inputs[0] if inference else None


def _cast(known: _Known, node: Node) -> str | None:
    kind, result = known.types.get(node.inputs[0]), known.types.get(node.outputs[0])
    if not isinstance(kind, TensorType) or not isinstance(result, TensorType) or kind.element is None:
        return None
    return node.inputs[0] if kind.element == result.element else None


def _neutral(numbers: Mapping[str, tuple[float, ...]]) -> Callable[[_Known, Node], str | None]:
    """A rule for operators with a neutral element, given by the names of the operators; -0 is that of floats' sums.

    Elements that are not numbers, infinities and the sign of 0 stay as they are.
    """

    def rule(known: _Known, node: Node) -> str | None:
        if node.opset < 7 or known.element(node.inputs[0]) != known.element(node.inputs[1]):
            return None
        neutral = numbers[node.op_type]
        if node.op_type == "Add" and known.element(node.inputs[0]) in _INTEGERS:
            neutral = (0.0,)
        if known.is_number(node.inputs[1], *neutral):
            return node.inputs[0]
        commutes = node.op_type in ("Add", "Mul")
        return node.inputs[1] if commutes and known.is_number(node.inputs[0], *neutral) else None

    return rule


_INTEGERS = frozenset(np.dtype(f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64))
_NEUTRAL = {"Add": (-0.0,), "Sub": (0.0,), "Mul": (1.0,), "Div": (1.0,), "Pow": (1.0,)}

#: What a node's first output is, if it is one of its inputs.
_RULES: dict[str, Callable[[_Known, Node], str | None]] = {
    "Identity": _identity,
    "Dropout": _dropout,
    "Cast": _cast,
    **dict.fromkeys(("Sum", "Max", "Min", "Mean"), _single),
    **dict.fromkeys(_NEUTRAL, _neutral(_NEUTRAL)),
}
