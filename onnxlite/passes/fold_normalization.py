"""The pass that folds a BatchNormalization into the convolution, transposed or not, before it.

With constant statistics, normalisation scales and shifts each channel; so do scaled weights and a shifted bias.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.model.ir import Graph, Node
from onnxlite.model.order import reads

_CONVOLUTIONS = frozenset({"Conv", "ConvTranspose"})


def fold_normalization(graph: Graph, keep: frozenset[str], outer: Mapping[str, Array]) -> Graph:
    """The graph with every such pair as one convolution.

    Args:
        graph: The graph.
        keep: Names of values that must remain.
        outer: The initializers of the graphs around it.
    """
    uses = Counter(name for node in graph.nodes for name in reads(node))
    producers = {output: node for node in graph.nodes for output in node.outputs if node.op_type in _CONVOLUTIONS}
    initializers = {**outer, **graph.initializers}
    replaced: dict[int, Node | None] = {}
    for node in graph.nodes:
        conv = producers.get(node.inputs[0]) if _is_inference(node) else None
        if conv is None or uses[node.inputs[0]] != 1 or node.inputs[0] in keep:
            continue
        folded = _folded(conv, node, initializers)
        if folded is not None:
            replaced[id(conv)] = None
            replaced[id(node)] = folded
    nodes = tuple(n for node in graph.nodes if (n := replaced.get(id(node), node)) is not None)
    own = {name: array for name, array in initializers.items() if name not in outer or name in graph.initializers}
    return replace(graph, nodes=nodes, initializers=own)


def _is_inference(node: Node) -> bool:
    """Whether the node is a BatchNormalization with running statistics, one per channel."""
    if node.op_type != "BatchNormalization" or node.domain or node.opset < 7 or len(node.outputs) != 1:
        return False
    return not node.attributes.get("training_mode", 0) and bool(node.attributes.get("spatial", 1))


def _folded(conv: Node, node: Node, initializers: dict[str, Array]) -> Node | None:
    """The convolution with the normalisation in its weights, which are added to the initializers."""
    names = (*conv.inputs[1:3], *node.inputs[1:5])
    if conv.domain or any(name not in initializers for name in names if name):
        return None
    weights, *arrays = (initializers[name] for name in (conv.inputs[1], *node.inputs[1:5]))
    bias = initializers[conv.inputs[2]] if len(conv.inputs) > 2 and conv.inputs[2] else np.zeros_like(arrays[0])
    if any(a.shape != (_filters(conv, weights),) for a in (bias, *arrays)):
        return None
    if any(a.dtype != np.float32 for a in (weights, bias, *arrays)):
        return None
    before, scale, shift, mean, variance = (array.astype(np.float64) for array in (bias, *arrays))
    with np.errstate(all="ignore"):
        factor = scale / np.sqrt(variance + float(node.attributes.get("epsilon", 1e-5)))
        new = {
            "weights": _scaled(conv, weights, factor).astype(np.float32),
            "bias": ((before - mean) * factor + shift).astype(np.float32),
        }
    added = {f"{node.outputs[0]}/{name}": array for name, array in new.items()}
    initializers.update(added)
    return replace(conv, inputs=(conv.inputs[0], *added), outputs=node.outputs)


def _filters(conv: Node, weights: Array) -> int:
    """The channels of the result."""
    if conv.op_type == "Conv":
        return int(weights.shape[0])
    return int(weights.shape[1]) * int(conv.attributes.get("group", 1))


def _scaled(conv: Node, weights: Array, factor: Array) -> Array:
    """The weights, those of each channel of the result times its factor."""
    spatial = (1,) * (weights.ndim - 2)
    if conv.op_type == "Conv":
        return weights * factor.reshape(-1, 1, *spatial)
    # Weights (C, M/group, kernel...): each group has rows and channels of its own.
    rows = weights.reshape(int(conv.attributes.get("group", 1)), -1, *weights.shape[1:])
    return (rows * factor.reshape(len(rows), 1, -1, *spatial)).reshape(weights.shape)
