"""Shapes that are known before a run: never two that are called equal and are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from onnxlite.kernels.dtypes import element_type
from onnxlite.model import Graph, Node, Value
from onnxlite.model.types import TensorType
from onnxlite.plan.infer import infer_types
from onnxlite.plan.known_shapes import Shape, are_equal, known_shapes

FLOAT = element_type(np.float32)


def shapes_of(nodes: list[Node], constants: dict[str, Any] | None = None, **inputs: Any) -> dict[str, Shape]:
    arrays = {name: np.asarray(value) for name, value in (constants or {}).items()}
    values = tuple(Value(name, TensorType(FLOAT, shape)) for name, shape in inputs.items())
    graph = Graph("g", values, (), tuple(nodes), arrays)
    return known_shapes(graph, infer_types(graph, {}), arrays)


def node(op_type: str, inputs: str, outputs: str = "y", opset: int = 21, **attributes: Any) -> Node:
    return Node(op_type, tuple(inputs.split()), tuple(outputs.split()), opset=opset, attributes=attributes)


def test_what_is_declared() -> None:
    shapes = shapes_of([], {"c": np.zeros((2, 3))}, a=(1, "N", 3), b=(1, None), c2=(None,), d=None, e=None)
    assert shapes["a"] == (1, "N", 3)
    assert shapes["c"] == (2, 3)
    assert shapes["b"][0] == 1
    assert shapes["b"][1:] != shapes["c2"], "lengths that are not known differ"
    assert shapes["d"] != shapes["e"]


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((2, 1), (3,), (2, 3)),
        (("N", 1), ("N", 4), ("N", 4)),
        (("N", 4), (1, 4), ("N", 4)),
        (("N", 4), (4,), ("N", 4)),
        ((7, 4), ("N", 4), (7, 4)),
        ((), ("N",), ("N",)),
    ],
)
def test_broadcasting(a: Any, b: Any, expected: Any) -> None:
    assert shapes_of([node("Add", "a b")], a=a, b=b)["y"] == expected
    assert shapes_of([node("Add", "b a")], a=a, b=b)["y"] == expected


def test_lengths_with_two_names_give_a_third() -> None:
    shapes = shapes_of([node("Add", "a b")], a=("N", 4), b=("M", 4))
    assert shapes["y"][1] == 4
    assert shapes["y"][0] not in ("N", "M", 1)


def test_a_shape_that_is_not_known_goes_along() -> None:
    nodes = [node("Exp", "a", "b"), node("Mul", "a b", "c"), node("Add", "c bias", "d"), node("Add", "d e", "f")]
    shapes = shapes_of(nodes, {"bias": np.zeros(4, np.float32)}, a=None, e=None)
    assert shapes["a"] == shapes["b"] == shapes["c"] == shapes["d"]
    assert shapes["f"] not in (shapes["a"], shapes["e"])


def test_other_operators_by_the_inference_of_the_specification() -> None:
    nodes = [
        node("MatMul", "a w", "b"),
        node("Reshape", "b target", "c"),
        node("Transpose", "a", "d", perm=(1, 0)),
        node("Concat", "a a", "e", axis=1),
        node("Own", "a", "f"),
    ]
    constants = {"w": np.zeros((4, 6), np.float32), "target": np.array([-1, 3])}
    shapes = shapes_of(nodes, constants, a=("N", 4))
    assert shapes["b"] == ("N", 6)
    assert shapes["c"][1] == 3
    assert shapes["d"] == (4, "N")
    assert shapes["e"] == ("N", 8)
    assert isinstance(shapes["f"], str)


def test_private_operators_by_those_that_they_stand_for() -> None:
    def private(op_type: str, inputs: str, output: str, **attributes: Any) -> Node:
        return Node(op_type, tuple(inputs.split()), (output,), domain="onnxlite", opset=1, attributes=attributes)

    nodes = [
        private("Conv", "x w bias r", "a", kernel_shape=(3, 3), strides=(2, 2), activation="Relu"),
        private("MaxPool", "a", "b", kernel_shape=(2, 2)),
        private("MatMul", "m n bias", "c", activation="Clip", alpha=0.0, beta=6.0),
        private("Conv", "u w", "d", kernel_shape=(3, 3)),
        private("Other", "x", "e"),
    ]
    constants = {"w": np.zeros((8, 4, 3, 3), np.float32), "bias": np.zeros(8, np.float32)}
    shapes = shapes_of(nodes, constants, x=("N", 15, 17, 4), r=None, m=("N", 5), n=(5, 8), u=None)
    assert shapes["a"] == ("N", 7, 8, 8)
    assert shapes["b"] == ("N", 6, 7, 8)
    assert shapes["c"] == ("N", 8)
    assert isinstance(shapes["d"], str)
    assert isinstance(shapes["e"], str)


def test_versions_that_broadcast_on_request() -> None:
    assert shapes_of([node("Add", "a b", opset=6)], a=(3, 4), b=(3, 4))["y"] == (3, 4)
    assert shapes_of([node("Add", "a b", opset=6, broadcast=1, axis=0)], a=(3, 4), b=(3,))["y"] == (3, 4)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((2, "N"), (2, "N"), True),
        ((2, "N"), (2, "M"), None),
        ((2, "N"), (3, "N"), False),
        ((2,), (2, 1), False),
        ("?1", (2,), None),
        ("?1", "?2", None),
        ("?1", "?1", True),
        ((2, "N"), (2, 5), None),
    ],
)
def test_equality(a: Shape, b: Shape, expected: bool | None) -> None:
    assert are_equal(a, b) is expected


def test_parts_of_a_tensor() -> None:
    parts = shapes_of([node("Split", "a s", "p q", axis=-1)], {"s": [1, 3]}, a=(2, "N", 4))
    assert (parts["p"], parts["q"]) == ((2, "N", 1), (2, "N", 3))
    parts = shapes_of([node("Split", "a", "p q", opset=11, axis=0, split=(1, 1))], a=(2, "N"))
    assert parts["p"] == parts["q"] == (1, "N")
    parts = shapes_of([node("Split", "a", "p q", axis=0, num_outputs=2)], a=(3, "N"))
    assert parts["p"] != parts["q"], "the last part may be shorter"
    assert parts["p"][1] == parts["q"][1] == "N"


def test_numbers_of_axes_that_older_versions_tell() -> None:
    shapes = shapes_of(
        [node("Reshape", "a s", opset=11), node("Transpose", "b", "z", perm=(1, 0))], a=(None,), s=(3,), b=None
    )
    assert (len(shapes["y"]), len(shapes["z"])) == (3, 2)
    assert len(set(shapes["y"])) == 3
