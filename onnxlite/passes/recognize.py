"""The pass that finds what exporters decompose, a normalisation or an activation, and makes one node of it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from onnxlite.kernels.arrays import Array
from onnxlite.model.ir import Graph, Node
from onnxlite.passes.facts import Facts
from onnxlite.passes.match import Match
from onnxlite.passes.pattern import Number, Value, operators, root_operators
from onnxlite.passes.recognize_rules import RULES, Rule


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
        if id(node) in replaced or node.domain or not node.outputs:
            continue
        found = next((found for rule in rules if (found := _applied(rule, node, facts, replaced, added))), None)
        if found is not None:
            match, new = found
            replaced.update((id(inner), None) for inner in match.nodes)
            replaced[id(node)] = new
    nodes = tuple(n for node in graph.nodes if (n := replaced.get(id(node), node)) is not None)
    return replace(graph, nodes=nodes, initializers={**graph.initializers, **added})


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
