"""The pass that finds what exporters decompose, a normalisation or an activation, and makes one node of it again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.model.ir import Graph, Node
from onnxlite.model.order import reads
from onnxlite.model.types import TensorType, ValueType
from onnxlite.plan.infer import infer_types
from onnxlite.plan.known_shapes import Shape, known_shapes, tensor_type
from onnxlite.plan.pattern import Match, Matcher, Number, Value, operators, root_operators
from onnxlite.plan.recognize_rules import RULES, Rule


def recognize(graph: Graph, keep: frozenset[str], outer: Mapping[str, Array]) -> Graph:
    """The graph with formulas of float32 that are operators of the specification replaced by these.

    A formula's inner values must be read nowhere else.

    Args:
        graph: The graph, its nodes in order.
        keep: Names of values that must remain.
        outer: The initializers of the graphs around it.
    """
    present = {node.op_type for node in graph.nodes if not node.domain}
    rules = [rule for rule in RULES if any(needed <= present for needed in operators(rule.pattern))]
    if not rules:
        return graph
    facts = Facts(graph, keep, {**outer, **graph.initializers})
    added: dict[str, Array] = {}
    replaced: dict[int, Node | None] = {}
    # From the last node on: what is part of a larger formula must not be taken for a smaller one.
    for node in reversed(graph.nodes):
        if id(node) in replaced or node.domain:
            continue
        found = next((found for rule in rules if (found := _applied(rule, node, facts, replaced, added))), None)
        if found is not None:
            match, new = found
            replaced.update((id(inner), None) for inner in match.nodes)
            replaced[id(node)] = new
    nodes = tuple(n for node in graph.nodes if (n := replaced.get(id(node), node)) is not None)
    return replace(graph, nodes=nodes, initializers={**graph.initializers, **added})


@dataclass
class Facts:
    """What is known of a graph: who makes and reads a value, its type, its shape."""

    graph: Graph
    keep: frozenset[str]
    constants: Mapping[str, Array]

    @cached_property
    def matcher(self) -> Matcher:
        """Finds patterns in the graph."""
        producers = {name: node for node in self.graph.nodes for name in node.outputs if name}
        return Matcher(producers, self.constants, self.rank)

    @cached_property
    def readers(self) -> Mapping[str, list[Node]]:
        """The nodes that read a value."""
        readers: dict[str, list[Node]] = defaultdict(list)
        for node in self.graph.nodes:
            for name in set(reads(node)):
                readers[name].append(node)
        return readers

    @cached_property
    def types(self) -> Mapping[str, ValueType]:
        """The types of the values."""
        return infer_types(self.graph, {name: tensor_type(array) for name, array in self.constants.items()})

    @cached_property
    def _shapes(self) -> Mapping[str, Shape]:
        return known_shapes(self.graph, self.types, self.constants)

    def shape(self, name: str) -> Shape:
        """The shape of a value."""
        return self._shapes.get(name, "?")

    def rank(self, name: str) -> int | None:
        """The number of a value's axes, if it is known."""
        shape = self.shape(name)
        return None if isinstance(shape, str) else len(shape)

    def is_float32(self, name: str) -> bool:
        """Whether a value is known to be a tensor of float32."""
        kind = self.types.get(name)
        return isinstance(kind, TensorType) and kind.dtype == np.float32

    def is_inside(self, nodes: Iterable[Node], last: Node) -> bool:
        """Whether nobody but the nodes reads what they make, but for the result of the last one."""
        inside = {id(node) for node in nodes}
        names = [name for node in nodes if node is not last for name in node.outputs if name]
        kept = self.keep.union(value.name for value in self.graph.outputs)
        return kept.isdisjoint(names) and all(id(reader) in inside for name in names for reader in self.readers[name])


def _applied(
    rule: Rule, node: Node, facts: Facts, replaced: Mapping[int, Node | None], added: dict[str, Array]
) -> tuple[Match, Node] | None:
    """A match of a rule whose result is the node's, and the node that takes its place."""
    if node.op_type not in root_operators(rule.pattern) or not facts.is_float32(node.outputs[0]):
        return None
    for match in facts.matcher.matches(rule.pattern, node.outputs[0]):
        fresh = node in match.nodes and not any(id(inner) in replaced for inner in match.nodes)
        if fresh and facts.is_inside(match.nodes, node) and rule.condition(match, facts.constants, facts.shape):
            new = _replacement(rule, node, match, facts, added)
            if new is not None:
                return match, new
    return None


def _replacement(rule: Rule, node: Node, match: Match, facts: Facts, added: dict[str, Array]) -> Node | None:
    """The node that computes what the match does; constants that it needs are added."""
    inputs: list[str] = []
    new: dict[str, Array] = {}
    for position, given in enumerate(rule.inputs):
        if isinstance(given, Value):
            inputs.append(match.names[given.name])
            continue
        array = given.value(match, facts.constants, facts.shape)
        if array is None:
            return None
        inputs.append(f"{node.outputs[0]}/{rule.operator}/{position}")
        new[inputs[-1]] = array
    added.update(new)
    return Node(
        op_type=rule.operator,
        inputs=tuple(inputs),
        outputs=node.outputs[:1],
        name=node.name,
        opset=rule.opset,
        attributes={name: _attribute(value, match, facts.constants) for name, value in rule.attributes.items()},
        description=" ".join(f"{inner.op_type} '{inner.label}'" for inner in match.nodes),
    )


def _attribute(value: Any, match: Match, constants: Mapping[str, Array]) -> Any:
    if isinstance(value, Number):
        return match.names[value.name]
    return value(match, constants) if callable(value) else value
