"""The pass that makes one node of attention: no matrix of all scores is kept, and no head is moved.

The transpositions that split heads before it and merge them after it become attributes: the kernel reads the queries,
keys and values where the projections wrote them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from onnxlite.kernels.arrays import Array
from onnxlite.model.ir import Graph, Node
from onnxlite.passes.facts import Facts
from onnxlite.passes.match import Match
from onnxlite.passes.move_shape import move_shape
from onnxlite.passes.origin import ROWS, ROWS_OR_COLUMNS, traced
from onnxlite.passes.pattern import Number, Pattern, Value, call
from onnxlite.plan.bind import needed_nodes

query, key, value, mask = map(Value, ("query", "key", "value", "mask"))
scale, hidden = Number("scale"), Number("hidden")

_scores = scale * call("MatMul", query, key)

#: What the softmax may be taken of, with what the mask does.
_MASKED = (
    ("keep", call("Where", mask, _scores, hidden)),
    ("hide", call("Where", mask, hidden, _scores)),
    ("add", _scores + mask),
    ("", _scores),
)


def fuse_attention(graph: Graph, keep: frozenset[str], outer: Mapping[str, Array]) -> Graph:
    """The graph with ``softmax(Q Kᵀ) V`` of float32 as nodes ``onnxlite.Attention``, with scale and mask.

    Args:
        graph: The graph, its nodes in order.
        keep: Names of values that must remain.
        outer: The initializers of the graphs around it.
    """
    if not any(node.op_type == "Softmax" for node in graph.nodes):
        return graph
    facts = Facts(graph, keep, {**outer, **graph.initializers})
    replaced: dict[int, Node | None] = {}
    for node in graph.nodes:
        is_product = node.op_type == "MatMul" and not node.domain and len(node.inputs) == 2
        found = _found(node, facts) if is_product else None
        if found is not None:
            match, new, last = found
            replaced.update((id(inner), None) for inner in (*match.nodes, last))
            replaced[id(last)] = new
    if not replaced:
        return graph
    nodes = tuple(n for node in graph.nodes if (n := replaced.get(id(node), node)) is not None)
    wanted = keep.union(value.name for value in graph.outputs)
    made = [name for node in nodes for name in node.outputs if name in wanted]
    graph = move_shape(replace(graph, nodes=nodes))
    # Nobody may be left to read what moved or scaled the heads.
    return replace(graph, nodes=tuple(needed_nodes(graph, made)))


def _formulas() -> Iterator[tuple[dict[str, Any], Pattern]]:
    """What attention may be, with the attributes that say so."""
    for masking, masked in _MASKED:
        probabilities = call("Softmax", masked, axis=-1)
        attributes = {"masking": masking} if masking else {}
        yield attributes, call("MatMul", probabilities, value)
        # Where all is hidden by infinities, recent exporters want zeros.
        safe = call("Where", call("IsNaN", probabilities), 0.0, probabilities)
        yield {**attributes, "safe": 1}, call("MatMul", safe, value)


_FORMULAS = tuple(_formulas())
_LARGEST_RANK = 4


def _found(node: Node, facts: Facts) -> tuple[Match, Node, Node] | None:
    """Attention whose result is the node's: the match, the new node, and the node whose output that makes."""
    before = facts.producers.get(node.inputs[0])
    if before is None or before.op_type not in ("Softmax", "Where") or not facts.is_float32(node.outputs[0]):
        return None
    for attributes, formula in _FORMULAS:
        for match in facts.matcher.matches(formula, node.outputs[0]):
            if facts.is_inside(match.nodes, node) and (facts.rank(node.outputs[0]) or 0) <= _LARGEST_RANK:
                last = _merging(node, facts)
                return match, _attention(match, attributes, node, last, facts), last
    return None


def _merging(node: Node, facts: Facts) -> Node:
    """The transposition that alone reads the result and leaves its last axis where it is, or else the node itself."""
    result, readers = node.outputs[0], facts.readers[node.outputs[0]]
    if result in facts.kept or len(readers) != 1 or readers[0].domain or readers[0].op_type != "Transpose":
        return node
    perm = readers[0].attributes.get("perm")
    return readers[0] if perm and perm[-1] == len(perm) - 1 else node


def _attention(match: Match, given: Mapping[str, Any], node: Node, last: Node, facts: Facts) -> Node:
    q = traced(match.names["query"], facts, ROWS, scaled=True)
    k = traced(match.names["key"], facts, ROWS_OR_COLUMNS, scaled=True)
    v = traced(match.names["value"], facts, ROWS, scaled=False)
    layout: dict[str, Any] = {"perm": last.attributes["perm"] if last is not node else None}
    for name, origin in (("query", q), ("key", k), ("value", v)):
        layout |= {f"{name}_perm": origin.perm, f"{name}_at": origin.at}
    attributes: dict[str, Any] = {**given, "scale": match.names["scale"] * q.scale * k.scale}
    if "hidden" in match.names:
        attributes["hidden"] = match.names["hidden"]
    inputs = [q.name, k.name, v.name]
    if "masking" in given or q.factors or k.factors:
        inputs += [match.names.get("mask", ""), *q.factors, *k.factors]
    return Node(
        op_type="Attention",
        domain="onnxlite",
        opset=1,
        inputs=tuple(inputs),
        outputs=last.outputs,
        name=node.name,
        attributes={**attributes, **{name: given for name, given in layout.items() if given is not None}},
        description=" ".join(f"{inner.op_type} '{inner.label}'" for inner in match.nodes),
    )
