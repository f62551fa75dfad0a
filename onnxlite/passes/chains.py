"""The pass that makes one node of two that follow each other: transpositions, changes of shape, changes of type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.model.ir import Graph, Node
from onnxlite.model.types import TensorType, ValueType
from onnxlite.passes.aliases import Aliases
from onnxlite.plan.bind import needed_nodes
from onnxlite.plan.infer import types_beside

#: Operators that only give their first input another shape.
_RESHAPING = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze"})


def merge_chains(graph: Graph, keep: frozenset[str], outer: Mapping[str, Array]) -> Graph:
    """The graph with each such node reading what the one before it reads; where both cancel, neither is left.

    Args:
        graph: The graph, its nodes in order.
        keep: Names of values that must remain.
        outer: The initializers of the graphs around it.
    """
    producers = {name: node for node in graph.nodes for name in node.outputs if node.op_type in _CHAINS}
    if not any(node.inputs and node.inputs[0] in producers for node in producers.values()):
        return graph
    constants = {**outer, **graph.initializers}
    types = types_beside(graph, constants)
    aliases = Aliases.of(graph, keep)
    nodes: list[Node] = []
    for original in graph.nodes:
        node = aliases.renamed(original)
        before = producers.get(node.inputs[0]) if node.op_type in _CHAINS and node.inputs else None
        if before is not None and not node.domain and not before.domain:
            merged = _CHAINS[node.op_type](before, node, constants, types)
            if isinstance(merged, str) and aliases.add(node.outputs[0], merged):
                continue
            node = merged if isinstance(merged, Node) else node
            producers[node.outputs[0]] = node
        nodes.append(node)
    merged_graph = replace(graph, nodes=tuple(nodes))
    wanted = sorted(keep.union(value.name for value in graph.outputs))
    return replace(merged_graph, nodes=tuple(needed_nodes(merged_graph, wanted)))


#: A rule: of two nodes, the second of which reads the first, the node that does both, or what the second's result is.
_Rule: TypeAlias = Callable[[Node, Node, Mapping[str, Array], Mapping[str, ValueType]], Node | str | None]


def _transposes(
    before: Node, node: Node, constants: Mapping[str, Array], types: Mapping[str, ValueType]
) -> Node | str | None:
    """Two transpositions are one, or none."""
    first, second = before.attributes.get("perm"), node.attributes.get("perm")
    if before.op_type != "Transpose" or first is None or second is None:
        return None
    order = list(range(len(first)))
    if sorted(first) != order or sorted(second) != order:
        return None
    perm = tuple(first[axis] for axis in second)
    if list(perm) == order:
        return before.inputs[0]
    return replace(node, inputs=before.inputs, attributes={"perm": perm})


def _reshapes(
    before: Node, node: Node, constants: Mapping[str, Array], types: Mapping[str, ValueType]
) -> Node | str | None:
    """A Reshape to a shape that does not refer to its input's hides what shape that had."""
    shape = constants.get(node.inputs[1]) if len(node.inputs) > 1 else None
    if before.op_type not in _RESHAPING or shape is None or node.opset < 5:
        return None
    if not np.all(shape) and not node.attributes.get("allowzero", 0):
        return None
    return replace(node, inputs=(before.inputs[0], node.inputs[1]))


def _casts(
    before: Node, node: Node, constants: Mapping[str, Array], types: Mapping[str, ValueType]
) -> Node | str | None:
    """A type that holds every number of the type before it is only passed through."""
    kinds = [types.get(name) for name in (before.inputs[0], before.outputs[0], node.outputs[0])]
    first, second, third = (kind.dtype if isinstance(kind, TensorType) else None for kind in kinds)
    if before.op_type != "Cast" or first is None or second is None or third is None or not _holds(second, first):
        return None
    if first == third:
        return before.inputs[0]
    return replace(node, inputs=before.inputs) if first.kind == second.kind == third.kind else None


def _holds(wide: np.dtype[np.generic], narrow: np.dtype[np.generic]) -> bool:
    """Whether a type has all numbers of another one, among NumPy's own types of bools, integers and floats."""
    if not (wide.isbuiltin == narrow.isbuiltin == 1) or wide.kind not in "iuf" or narrow.kind not in "biuf":
        return False
    exact = wide.kind != "f" or narrow.kind not in "iu" or narrow.itemsize < wide.itemsize
    return exact and bool(np.can_cast(narrow, wide, "safe"))


_CHAINS: dict[str, _Rule] = {"Transpose": _transposes, "Reshape": _reshapes, "Cast": _casts}
_CHAINS |= dict.fromkeys(_RESHAPING - {"Reshape"}, lambda *_: None)
