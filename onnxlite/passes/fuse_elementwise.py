"""The pass that makes one node of elementwise operators that feed each other: their values never reach memory.

Nodes are joined where the result of one is read by the others of a group only, and has the shape of the group's result:
what has fewer elements would be computed again and again.  Where it is not known whether the shapes are equal, only
operators are joined that cost no more than reading their result would.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.expression import Expression, instruction
from onnxlite.model.ir import Graph, Node
from onnxlite.model.order import reads
from onnxlite.model.specification import version_of
from onnxlite.model.types import TensorType, ValueType
from onnxlite.plan.dependence import is_repeatable
from onnxlite.plan.infer import types_beside
from onnxlite.plan.known_shapes import Shape, are_equal, known_shapes

if TYPE_CHECKING:
    from onnxlite.kernels.numba.elementwise.formula import Trial

#: The operators of one node at most, and its inputs that are no constants.
_MAX_OPERATORS, _MAX_INPUTS = 32, 10

#: What an element may cost, in simple instructions, to be computed again rather than kept.
_CHEAP = 8

#: Rows of fewer elements leave vectors half empty; an operator with such rows does not slow down others.
_SHORT_ROW = 32


def fuse_elementwise(graph: Graph, keep: frozenset[str], outer: Mapping[str, Array] | None = None) -> Graph:
    """The graph with groups of elementwise nodes replaced by nodes ``onnxlite.Elementwise``.

    The attribute ``expression`` of such a node says what it computes (`onnxlite.kernels.expression`).

    Args:
        graph: The graph, its nodes in order; subgraphs of its nodes are left as they are.
        keep: Names of values that must remain.
        outer: The initializers of the graphs around it.
    """
    constants = {**(outer or {}), **graph.initializers}
    candidates = _candidates(graph, constants)
    if len(candidates) < 2:
        return graph
    groups = _grouped(graph, candidates, keep | {value.name for value in graph.outputs}, constants)
    fused: dict[int, Node | None] = {}
    for group in groups:
        members = sorted(group.members)
        if sum(graph.nodes[i].op_type != "Identity" for i in members) > 1:
            fused.update(dict.fromkeys(members))
            fused[members[-1]] = _fused([graph.nodes[i] for i in members])
    nodes = (fused.get(index, node) for index, node in enumerate(graph.nodes))
    return replace(graph, nodes=tuple(node for node in nodes if node is not None)) if fused else graph


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A node that can be joined with others."""

    shape: Shape
    cost: int


@dataclass(slots=True)
class _Group:
    """Nodes that become one: the indices of its members, of which the largest is that of its result."""

    shape: Shape
    members: set[int] = field(default_factory=set)
    inputs: set[str] = field(default_factory=set)


def _candidates(graph: Graph, constants: Mapping[str, Array]) -> dict[int, _Candidate]:
    """The nodes that can be joined with others, by their indices."""
    types = types_beside(graph, constants)
    folded = _depending_on_shapes(graph, constants)
    trials = {
        index: trial
        for index, node in enumerate(graph.nodes)
        if folded.isdisjoint(node.outputs) and (trial := _trial(node, types, constants)) is not None
    }
    if len(trials) < 2:
        return {}
    shapes = known_shapes(graph, types, constants)
    return {
        index: _Candidate(shapes[graph.nodes[index].outputs[0]], trial.cost)
        for index, trial in trials.items()
        if not _has_short_rows(graph.nodes[index], shapes, constants)
    }


def _has_one_scale(node: Node, constants: Mapping[str, Array]) -> bool:
    """Whether a node that quantizes or dequantizes does so with one scale for all elements; true of other nodes."""
    if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
        return True
    return all(name in constants and constants[name].size == 1 for name in node.inputs[1:] if name)


def _trial(node: Node, types: Mapping[str, ValueType], constants: Mapping[str, Array]) -> Trial | None:
    """What a compiled kernel of the node is like, if there is one for its types that works in vectors."""
    # Imported here: without a provider that compiles, nobody pays for Numba.
    from onnxlite.kernels.numba.elementwise.formula import tried
    from onnxlite.kernels.numba.elementwise.term import Unserved

    outputs = [name for name in node.outputs if name]
    if node.domain or len(outputs) != 1 or not node.outputs[0] or any(node.graphs()):
        return None
    if not _has_one_scale(node, constants):
        return None
    kinds = [types.get(name) if name else None for name in node.inputs]
    dtypes = [kind.dtype if isinstance(kind, TensorType) else None for kind in kinds]
    if any(dtype is None for name, dtype in zip(node.inputs, dtypes, strict=True) if name):
        return None
    try:
        operands = [f"x{index}" if name else "" for index, name in enumerate(node.inputs)]
        trial = tried(instruction(node.op_type, _version(node), operands, node.attributes), dtypes)
    except Unserved:
        return None
    return trial if trial.in_vectors else None


def _version(node: Node) -> int:
    return version_of(node.domain, node.op_type, node.opset)


def _depending_on_shapes(graph: Graph, constants: Mapping[str, Array]) -> set[str]:
    """The values that constants and the shapes of the inputs decide: they are computed once for all runs."""
    decided: set[str] = set()
    for node in graph.nodes:
        inputs = [name for name in node.inputs if name]
        by_shape = not node.domain and node.op_type in ("Shape", "Size")
        by_inputs = inputs and is_repeatable(node) and all(name in decided or name in constants for name in inputs)
        if by_shape or by_inputs:
            decided.update(node.outputs)
    return decided


def _has_short_rows(node: Node, shapes: Mapping[str, Shape], constants: Mapping[str, Array]) -> bool:
    """Whether an input is broadcast along rows of few elements."""
    shape = shapes[node.outputs[0]]
    if isinstance(shape, str) or not shape or not isinstance(shape[-1], int) or shape[-1] >= _SHORT_ROW:
        return False
    given = [shapes[name] for name in node.inputs if name and name not in constants]
    return any(are_equal(other, shape) is False and set(other) - {1} for other in given)


def _grouped(
    graph: Graph, candidates: Mapping[int, _Candidate], keep: frozenset[str], constants: Mapping[str, Array]
) -> list[_Group]:
    """The candidates in groups.

    Going backwards, each joins the group that all readers of its result are in.  So a group has one result, and what it
    reads exists before its last member.
    """
    readers: dict[str, set[int]] = defaultdict(set)
    for index, node in enumerate(graph.nodes):
        for name in reads(node):
            readers[name].add(index)
    groups: list[_Group] = []
    group_of: dict[int, _Group] = {}
    for index in sorted(candidates, reverse=True):
        candidate, node = candidates[index], graph.nodes[index]
        output = node.outputs[0]
        around = {id(group_of[i]) if i in group_of else None for i in readers[output]}
        group = group_of[next(iter(readers[output]))] if len(around) == 1 and None not in around else None
        if group is None or output in keep or not _fits(candidate, node, group, constants):
            group = _Group(candidate.shape)
            groups.append(group)
        group.members.add(index)
        group.inputs.discard(output)
        group.inputs.update(name for name in node.inputs if name and name not in constants)
        group_of[index] = group
    return groups


def _fits(candidate: _Candidate, node: Node, group: _Group, constants: Mapping[str, Array]) -> bool:
    equal = are_equal(candidate.shape, group.shape)
    if equal is False or (equal is None and candidate.cost > _CHEAP):
        return False
    inputs = group.inputs - set(node.outputs) | {name for name in node.inputs if name and name not in constants}
    return len(group.members) < _MAX_OPERATORS and len(inputs) <= _MAX_INPUTS


def _fused(nodes: list[Node]) -> Node:
    """One node in place of several, given in order; its result is that of the last one."""
    operands = {"": ""}
    inputs: list[str] = []
    steps: list[Expression] = []
    for position, node in enumerate(nodes):
        for name in node.inputs:
            if name not in operands:
                operands[name] = f"x{len(inputs)}"
                inputs.append(name)
        given = [operands[name] for name in node.inputs]
        steps.append(instruction(node.op_type, _version(node), given, node.attributes))
        operands[node.outputs[0]] = f"t{position}"
    last = nodes[-1]
    return Node(
        op_type="Elementwise",
        domain="onnxlite",
        opset=1,
        inputs=tuple(inputs),
        outputs=last.outputs,
        name=last.name,
        attributes={"expression": tuple(steps)},
        description=" ".join(f"{node.op_type} '{node.label}'" for node in nodes),
    )
