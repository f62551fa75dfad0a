"""The pass that turns Constant nodes into initializers."""

from __future__ import annotations

from dataclasses import replace

from onnxlite.kernels.numpy import REFERENCE
from onnxlite.kernels.op import Kernel
from onnxlite.model.ir import Graph, Node
from onnxlite.model.specification import version_of


def constants_to_initializers(graph: Graph) -> Graph:
    """The graph with every Constant node replaced by an initializer, in subgraphs too."""
    initializers = dict(graph.initializers)
    nodes: list[Node] = []
    for node in graph.nodes:
        kernel = _constant_kernel(node)
        if kernel is not None and len(node.attributes) == 1 and set(node.attributes) <= set(kernel.attributes):
            initializers[node.outputs[0]] = kernel.function(**node.attributes)
        else:
            nodes.append(_with_bodies(node))
    return replace(graph, nodes=tuple(nodes), initializers=initializers)


def _constant_kernel(node: Node) -> Kernel | None:
    if node.op_type != "Constant" or node.domain:
        return None
    return REFERENCE.find("", "Constant", version_of("", "Constant", node.opset))


def _with_bodies(node: Node) -> Node:
    bodies = {name: constants_to_initializers(graph) for name, graph in node.graphs()}
    return replace(node, attributes={**node.attributes, **bodies}) if bodies else node
