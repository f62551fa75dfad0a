"""Which nodes are Gradient nodes; apart from the pass, so that a model without any does not wait for the rules."""

from __future__ import annotations

from onnxlite.model.ir import Graph, Node


def is_gradient(node: Node) -> bool:
    """Whether a node is the operator Gradient of ai.onnx.preview.training."""
    return node.op_type == "Gradient" and node.domain == "ai.onnx.preview.training"


def has_gradients(graph: Graph) -> bool:
    """Whether a graph or one inside it has a Gradient node."""
    return any(is_gradient(n) or any(has_gradients(body) for _, body in n.graphs()) for n in graph.nodes)
