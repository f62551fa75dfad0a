"""The pass that makes one node of two that follow each other."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxlite.model import Graph, Node
from onnxlite.passes.chains import merge_chains

sys.path.append(str(Path(__file__).parents[1] / "graphs"))
from image_graphs import made, node, operators, results

X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def merged(*nodes: Node, x: Any = X, outputs: Sequence[str] = ("y",), **constants: Any) -> Graph:
    graph = made(nodes, ["x"], outputs, constants, {"x": x})
    after = merge_chains(graph, frozenset(outputs), {})
    for actual, expected in zip(results(after, outputs, [x]), results(graph, outputs, [x]), strict=True):
        assert actual.dtype == expected.dtype
        np.testing.assert_array_equal(actual, expected)
    return after


@pytest.mark.parametrize("first", list(permutations(range(3))))
@pytest.mark.parametrize("second", list(permutations(range(3))))
def test_transpositions(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    after = merged(
        node("Transpose", ["x"], ["a"], perm=first),
        node("Transpose", ["a"], ["b"], perm=second),
        node("Neg", ["b"], ["y"]),
    )
    cancel = tuple(first[axis] for axis in second) == (0, 1, 2)
    assert operators(after) == ({"Neg": 1} if cancel else {"Transpose": 1, "Neg": 1})


def test_longer_chains() -> None:
    turned = [node("Transpose", [a], [b], perm=(1, 2, 0)) for a, b in zip(["x", "a", "b", "c"], "abcd", strict=True)]
    after = merged(*turned, node("Neg", ["d"], ["y"]))
    assert [dict(n.attributes) for n in after.nodes] == [{"perm": (1, 2, 0)}, {}]
    assert operators(merged(*turned[:3], node("Neg", ["c"], ["y"]))) == {"Neg": 1}


def test_what_others_read_and_outputs_remain() -> None:
    nodes = [
        node("Transpose", ["x"], ["a"], perm=(0, 2, 1)),
        node("Neg", ["a"], ["z"]),
        node("Transpose", ["a"], ["y"], perm=(0, 2, 1)),
    ]
    after = merged(*nodes, outputs=["y", "z"])
    assert operators(after) == {"Transpose": 2, "Neg": 1}


LEFT = {
    "default permutations": [node("Transpose", ["x"], ["a"]), node("Transpose", ["a"], ["b"])],
    "an operator between": [
        node("Transpose", ["x"], ["a"], perm=(0, 2, 1)),
        node("Neg", ["a"], ["c"]),
        node("Transpose", ["c"], ["b"], perm=(0, 2, 1)),
    ],
    "another domain": [
        Node("Transpose", ("x",), ("a",), domain="shielded:", attributes={"perm": (0, 2, 1)}),
        node("Transpose", ["a"], ["b"], perm=(0, 2, 1)),
    ],
    "a shape that refers to the one before": [
        node("Reshape", ["x", "six"], ["a"]),
        node("Reshape", ["a", "same"], ["b"]),
    ],
    "a narrow type": [node("Cast", ["x"], ["a"], to=10), node("Cast", ["a"], ["b"], to=1)],
    "a conversion to an integer": [node("Cast", ["x"], ["a"], to=11), node("Cast", ["a"], ["b"], to=6)],
}
SHAPES = {"six": np.array([6, 4]), "same": np.array([0, 2, 2]), "twelve": np.array([12, -1]), "all": np.array([-1])}


@pytest.mark.parametrize("left", LEFT)
def test_what_is_not_the_same_is_left(left: str) -> None:
    nodes = [*LEFT[left], node("Neg", ["b"], ["y"])]
    graph = made(nodes, ["x"], ["y"], SHAPES, {"x": X})
    assert merge_chains(graph, frozenset(["y"]), {}).nodes == tuple(nodes)


@pytest.mark.parametrize(
    "first",
    [
        node("Reshape", ["x", "six"], ["a"]),
        node("Flatten", ["x"], ["a"]),
        node("Unsqueeze", ["x", "axes"], ["a"]),
        node("Squeeze", ["x"], ["a"]),
    ],
    ids=lambda n: n.op_type,
)
def test_shapes(first: Node) -> None:
    nodes = [first, node("Reshape", ["a", "twelve"], ["b"]), node("Neg", ["b"], ["y"])]
    assert operators(merged(*nodes, axes=np.array([0]), **SHAPES)) == {"Reshape": 1, "Neg": 1}
    chain = [
        first,
        node("Reshape", ["a", "six"], ["b"]),
        node("Reshape", ["b", "all"], ["c"]),
        node("Neg", ["c"], ["y"]),
    ]
    assert operators(merged(*chain, axes=np.array([0]), **SHAPES)) == {"Reshape": 1, "Neg": 1}


#: Types of onnx by number: 1 float, 6 int32, 7 int64, 9 bool, 10 float16, 11 double, 3 int8.
@pytest.mark.parametrize(
    ("dtype", "to", "left"),
    [
        (np.float32, (11, 1), 0),
        (np.float16, (1, 10), 0),
        (np.float16, (1, 11), 1),
        (np.bool_, (1, 9), 0),
        (np.int32, (7, 6), 0),
        (np.int32, (7, 3), 1),
        (np.int32, (11, 6), 0),
        (np.int32, (1, 6), 2),
        (np.int64, (11, 7), 2),
        (np.float32, (11, 7), 2),
    ],
)
def test_types(dtype: Any, to: tuple[int, int], left: int) -> None:
    x = X.astype(dtype)
    after = merged(
        node("Cast", ["x"], ["a"], to=to[0]),
        node("Cast", ["a"], ["b"], to=to[1]),
        node("Concat", ["b"], ["y"], axis=0),
        x=x,
    )
    assert operators(after)["Cast"] == left
