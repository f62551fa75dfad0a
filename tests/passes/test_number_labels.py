"""The pass that takes text out of classifiers: the same labels and scores."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxlite.model import Graph, Node
from onnxlite.passes.number_labels import number_labels

sys.path.append(str(Path(__file__).parents[1] / "graphs"))
from image_graphs import made, operators, results

ML = "ai.onnx.ml"
X = np.random.default_rng(0).standard_normal((20, 2)).astype(np.float32)
LINEAR = {"coefficients": (1.0, 2.0, -1.0, 0.5, 0.0, 1.0), "intercepts": (0.1, 0.2, 0.3)}
TREE = {
    "nodes_treeids": (0, 0, 0),
    "nodes_nodeids": (0, 1, 2),
    "nodes_modes": ("BRANCH_LEQ", "LEAF", "LEAF"),
    "nodes_featureids": (0, 0, 0),
    "nodes_values": (0.0, 0.0, 0.0),
    "nodes_truenodeids": (1, 0, 0),
    "nodes_falsenodeids": (2, 0, 0),
    "class_treeids": (0, 0, 0),
    "class_nodeids": (1, 2, 2),
    "class_ids": (0, 1, 2),
    "class_weights": (1.0, 0.5, 0.75),
}
SVM = {
    "coefficients": (1.0, -1.0),
    "support_vectors": (1.0, 0.0, -1.0, 0.5),
    "vectors_per_class": (1, 1),
    "rho": (0.1,),
    "kernel_type": "RBF",
    "kernel_params": (0.5, 0.0, 3.0),
}


def graph_of(op_type: str, labels: tuple[str, ...], attributes: dict[str, Any]) -> Graph:
    attributes = {**attributes, "classlabels_strings": labels}
    classifier = Node(op_type, ("x",), ("label", "scores"), ML, name="c", opset=1, attributes=attributes)
    return made([classifier], ["x"], ["label", "scores"], types={"x": X})


@pytest.mark.parametrize(
    ("op_type", "labels", "attributes"),
    [
        ("LinearClassifier", ("a", "b", "c"), LINEAR),
        ("LinearClassifier", ("no", "yes"), {"coefficients": (1.0, 2.0), "intercepts": (0.1,)}),
        ("LinearClassifier", ("no", "yes"), {"coefficients": (1.0, 2.0)}),
        ("TreeEnsembleClassifier", ("a", "b", "c"), TREE),
        ("SVMClassifier", ("a", "b"), SVM),
    ],
)
def test_the_labels_are_gathered(op_type: str, labels: tuple[str, ...], attributes: dict[str, Any]) -> None:
    graph = graph_of(op_type, labels, attributes)
    after = number_labels(graph, frozenset(["label", "scores"]), {})
    assert operators(after) == {f"{ML}.{op_type}": 1, "Gather": 1}
    expected, actual = (results(g, ["label", "scores"], [X]) for g in (graph, after))
    assert actual[0].tolist() == expected[0].tolist()
    assert set(expected[0].tolist()) <= set(labels)
    np.testing.assert_array_equal(actual[1], expected[1])


@pytest.mark.parametrize(
    ("op_type", "labels", "attributes"),
    [
        ("LinearClassifier", ("only",), {"coefficients": (1.0, 2.0)}),
        ("LinearClassifier", ("a", "b", "c"), {"coefficients": (1.0, 2.0), "intercepts": (0.1,)}),
        ("LinearClassifier", (), LINEAR),
        ("TreeEnsembleClassifier", ("a", "b", "c", "d"), TREE),
    ],
)
def test_what_is_left_as_it_is(op_type: str, labels: tuple[str, ...], attributes: dict[str, Any]) -> None:
    graph = graph_of(op_type, labels, attributes)
    assert number_labels(graph, frozenset(["label", "scores"]), {}).nodes == graph.nodes
