"""The pass that turns Constant nodes into initializers."""

from __future__ import annotations

from dataclasses import replace

from onnxlite.kernels.arrays import Array, is_array
from onnxlite.model.ir import Graph, Node
from onnxlite.model.specification import version_of


def constants_to_initializers(graph: Graph) -> Graph:
    """The graph with every Constant node replaced by an initializer, in subgraphs too."""
    initializers = dict(graph.initializers)
    nodes: list[Node] = []
    for node in graph.nodes:
        array = _constant(node)
        if array is None:
            nodes.append(_with_bodies(node))
        else:
            initializers[node.outputs[0]] = array
    return replace(graph, nodes=tuple(nodes), initializers=initializers)


def _constant(node: Node) -> Array | None:
    """What a Constant node makes; None for other nodes, and for one that binding will find a fault in."""
    if node.op_type != "Constant" or node.domain or len(node.attributes) != 1 or len(node.outputs) != 1:
        return None
    # Imported here: `import onnxlite` does not wait for the kernels.
    from onnxlite.kernels.numpy import REFERENCE

    kernel = REFERENCE.find("", "Constant", version_of("", "Constant", node.opset))
    if kernel is None or not set(node.attributes) <= set(kernel.attributes):
        return None
    array = kernel.function(**node.attributes)
    return array if is_array(array) else None


def _with_bodies(node: Node) -> Node:
    bodies = {name: constants_to_initializers(graph) for name, graph in node.graphs()}
    return replace(node, attributes={**node.attributes, **bodies}) if bodies else node
