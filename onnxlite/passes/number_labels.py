"""The pass that takes text out of classifiers (ai.onnx.ml): they choose a number, which a Gather then names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.model.ir import Graph, Node

_ML = "ai.onnx.ml"

#: Classifiers, and the attribute that holds labels which are numbers.
_NUMBERS = {
    "LinearClassifier": "classlabels_ints",
    "SVMClassifier": "classlabels_ints",
    "TreeEnsembleClassifier": "classlabels_int64s",
}


def number_labels(graph: Graph, keep: frozenset[str], outer: Mapping[str, Array]) -> Graph:
    """The graph with classifiers whose labels are the numbers of their classes.

    Args:
        graph: The graph.
        keep: Names of values that must remain.
        outer: The initializers of the graphs around it.
    """
    if not any(node.domain == _ML and node.op_type in _NUMBERS for node in graph.nodes):
        return graph
    initializers = dict(graph.initializers)
    nodes: list[Node] = []
    for node in graph.nodes:
        labels = _texts(node)
        if not labels:
            nodes.append(node)
            continue
        name = node.outputs[0]
        initializers[f"{name}/labels"] = np.array(labels, np.object_)
        attributes = {key: value for key, value in node.attributes.items() if key != "classlabels_strings"}
        attributes[_NUMBERS[node.op_type]] = tuple(range(len(labels)))
        nodes.append(replace(node, outputs=(f"{name}/number", *node.outputs[1:]), attributes=attributes))
        inputs = (f"{name}/labels", f"{name}/number")
        nodes.append(Node("Gather", inputs, (name,), name=name, opset=13, attributes={"axis": 0}))
    return replace(graph, nodes=tuple(nodes), initializers=initializers)


def _texts(node: Node) -> tuple[str, ...]:
    """The labels of a classifier, if they are texts and stand for as many classes; none otherwise."""
    if node.domain != _ML or node.op_type not in _NUMBERS or not node.outputs or not node.outputs[0]:
        return ()
    labels = tuple(node.attributes.get("classlabels_strings") or ())
    # One score with other than two labels chooses between "0" and "1", which are none of them.
    if len(labels) < 2 or node.attributes.get(_NUMBERS[node.op_type]):
        return ()
    return labels if len(labels) == 2 or _scores(node, len(labels)) == len(labels) else ()


def _scores(node: Node, labels: int) -> int:
    """How many classes have a score, as far as the attributes say."""
    if node.op_type == "LinearClassifier":
        return len(node.attributes.get("intercepts") or ())
    if node.op_type == "TreeEnsembleClassifier":
        return int(max(node.attributes.get("class_ids") or (0,))) + 1
    return labels
