"""The pass that asks for shapes before a tensor is transposed, so that the transposition may go to what follows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.model.ir import Graph, Node


def move_shape(graph: Graph) -> Graph:
    """The graph with the shape of every transposed tensor as the reordered shape of what is transposed."""
    transpositions = {
        node.outputs[0]: node
        for node in graph.nodes
        if node.op_type == "Transpose" and not node.domain and node.attributes.get("perm")
    }
    nodes: list[Node] = []
    added: dict[str, Array] = {}
    for node in graph.nodes:
        transposition = transpositions.get(node.inputs[0]) if node.op_type == "Shape" and not node.domain else None
        nodes.extend([node] if transposition is None else _moved(node, transposition, transpositions, added))
    return replace(graph, nodes=tuple(nodes), initializers={**graph.initializers, **added}) if added else graph


def _moved(
    node: Node, transposition: Node, transpositions: Mapping[str, Node], added: dict[str, Array]
) -> tuple[Node, Node]:
    """The nodes that take the place of a Shape."""
    source, perm = transposition.inputs[0], tuple(transposition.attributes["perm"])
    while source in transpositions:
        before = transpositions[source]
        source, perm = before.inputs[0], tuple(before.attributes["perm"][axis] for axis in perm)
    name = node.outputs[0]
    whole, axes = f"{name}/before", f"{name}/axes"
    added[axes] = np.array(perm[node.attributes.get("start", 0) : node.attributes.get("end")], np.int64)
    return (
        replace(node, inputs=(source,), outputs=(whole,), attributes={}),
        Node("Gather", (whole, axes), (name,), name=node.name, opset=13, attributes={"axis": 0}),
    )
