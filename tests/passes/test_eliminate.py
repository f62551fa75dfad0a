"""The passes that drop nodes: those that compute nothing, and those that compute what another one does."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxlite.model import Graph, Node, Value
from onnxlite.passes.common import share_common
from onnxlite.passes.eliminate import eliminate

sys.path.append(str(Path(__file__).parents[1] / "graphs"))
from image_graphs import made, node, operators, results

X = np.array([[1, -2, 0.0, -0.0, np.nan, np.inf, -np.inf, 1e-42]], np.float32)
INTEGERS = np.array([[3, -4, 0]], np.int64)


def check(run: Callable[[Graph], Graph], graph: Graph, outputs: Sequence[str], *inputs: Any) -> Graph:
    after = run(graph)
    for actual, expected in zip(results(after, outputs, inputs), results(graph, outputs, inputs), strict=True):
        assert (actual.dtype, actual.shape, actual.tobytes()) == (expected.dtype, expected.shape, expected.tobytes())
    return after


def eliminated(*nodes: Node, x: Any = X, outputs: Sequence[str] = ("y",), **constants: Any) -> Graph:
    graph = made(nodes, ["x"], outputs, constants, {"x": x})
    return check(lambda g: eliminate(g, frozenset(outputs), {}), graph, outputs, x)


def shared(*nodes: Node, x: Any = X, outputs: Sequence[str] = ("y",), **constants: Any) -> Graph:
    graph = made(nodes, ["x"], outputs, constants, {"x": x})
    return check(lambda g: share_common(g, frozenset(outputs)), graph, outputs, x)


NEG = node("Neg", ["d"], ["y"])
DROPPED: dict[str, tuple[Node, dict[str, Any]]] = {
    "identity": (node("Identity", ["x"], ["d"]), {}),
    "dropout": (node("Dropout", ["x"], ["d"]), {}),
    "dropout with a ratio": (node("Dropout", ["x", "k"], ["d"]), {"k": np.float32(0.3)}),
    "dropout, not training": (node("Dropout", ["x", "", "no"], ["d"]), {"no": np.array(False)}),
    "dropout with a mask that nobody reads": (node("Dropout", ["x"], ["d", "mask"]), {}),
    "dropout of version 7": (node("Dropout", ["x"], ["d"], opset=7, ratio=0.4), {}),
    "dropout of version 6": (node("Dropout", ["x"], ["d"], opset=6, is_test=1), {}),
    "cast": (node("Cast", ["x"], ["d"], to=1), {}),
    "sum of one": (node("Sum", ["x"], ["d"]), {}),
    "mean of one": (node("Mean", ["x"], ["d"]), {}),
    "largest of one": (node("Max", ["x"], ["d"]), {}),
    "product with 1": (node("Mul", ["x", "k"], ["d"]), {"k": np.float32(1)}),
    "1, multiplied": (node("Mul", ["k", "x"], ["d"]), {"k": np.float32(1)}),
    "quotient by 1": (node("Div", ["x", "k"], ["d"]), {"k": np.float32(1)}),
    "difference from 0": (node("Sub", ["x", "k"], ["d"]), {"k": np.float32(0)}),
    "sum with -0": (node("Add", ["k", "x"], ["d"]), {"k": np.float32(-0.0)}),
    "power of 1": (node("Pow", ["x", "k"], ["d"]), {"k": np.float32(1)}),
}
LEFT: dict[str, tuple[Node, dict[str, Any]]] = {
    "a cast to another type": (node("Cast", ["x"], ["d"], to=11), {}),
    "dropout of version 6 in training": (node("Dropout", ["x"], ["d"], opset=6), {}),
    "dropout in training": (node("Dropout", ["x", "", "yes"], ["d"], seed=1), {"yes": np.array(True)}),
    "a sum of two": (node("Sum", ["x", "x"], ["d"]), {}),
    "a sum with 0, which turns -0 into 0": (node("Add", ["x", "k"], ["d"]), {"k": np.float32(0)}),
    "a difference from -0": (node("Sub", ["x", "k"], ["d"]), {"k": np.float32(-0.0)}),
    "a quotient of 1": (node("Div", ["k", "x"], ["d"]), {"k": np.float32(1)}),
    "a power of x": (node("Pow", ["k", "x"], ["d"]), {"k": np.float32(1)}),
    "more axes": (node("Mul", ["x", "k"], ["d"]), {"k": np.ones((1, 1, 1), np.float32)}),
    "a product with 2": (node("Mul", ["x", "k"], ["d"]), {"k": np.float32(2)}),
    "another domain": (Node("Identity", ("x",), ("d",), domain="shielded:"), {}),
}


@pytest.mark.parametrize("dropped", DROPPED)
def test_what_computes_nothing_is_dropped(dropped: str) -> None:
    before, constants = DROPPED[dropped]
    (left,) = eliminated(before, NEG, **constants).nodes
    assert (left.op_type, left.inputs) == ("Neg", ("x",))


@pytest.mark.parametrize("left", LEFT)
def test_what_computes_something_is_left(left: str) -> None:
    before, constants = LEFT[left]
    graph = made([before, NEG], ["x"], ["y"], constants, {"x": X})
    assert eliminate(graph, frozenset(["y"]), {}).nodes == (before, NEG)


def test_integers_have_one_zero() -> None:
    for op in ("Add", "Sub"):
        after = eliminated(node(op, ["x", "k"], ["d"]), NEG, x=INTEGERS, k=np.int64(0))
        assert operators(after) == {"Neg": 1}
    assert operators(eliminated(node("Cast", ["x"], ["d"], to=7), NEG, x=INTEGERS)) == {"Neg": 1}


def test_a_mask_that_is_read_keeps_its_dropout() -> None:
    after = eliminated(node("Dropout", ["x"], ["d", "mask"]), NEG, outputs=["y", "mask"])
    assert operators(after) == {"Dropout": 1, "Neg": 1}


def test_chains_and_values_that_remain() -> None:
    nodes = [node("Identity", ["x"], ["d"]), node("Dropout", ["d"], ["e"]), node("Neg", ["e"], ["y"])]
    assert eliminated(*nodes).nodes[0].inputs == ("x",)
    assert operators(eliminated(*nodes, outputs=["e", "y"])) == {"Dropout": 1, "Neg": 1}


def test_what_a_subgraph_reads_remains() -> None:
    branches = {
        name: Graph(name, (), (Value(f"{name} y"),), (node("Neg", ["d"], [f"{name} y"]),)) for name in ("then", "else")
    }
    choice = node("If", ["yes"], ["y"], then_branch=branches["then"], else_branch=branches["else"])
    nodes = [node("Identity", ["x"], ["d"]), choice]
    assert operators(eliminated(*nodes, yes=np.array(True))) == {"Identity": 1, "If": 1}
    nodes = [node("Exp", ["x"], ["c"]), node("Exp", ["x"], ["d"]), node("Sum", ["c", "d"], ["z"]), choice]
    assert operators(shared(*nodes, outputs=["y", "z"], yes=np.array(True)))["Exp"] == 2


def test_equal_nodes_become_one() -> None:
    nodes = [
        node("Softmax", ["x"], ["a"], axis=1),
        node("Softmax", ["x"], ["b"], axis=1),
        node("Neg", ["a"], ["c"]),
        node("Neg", ["b"], ["d"]),
        node("Add", ["c", "d"], ["y"]),
    ]
    after = shared(*nodes)
    assert operators(after) == {"Softmax": 1, "Neg": 1, "Add": 1}
    assert after.nodes[-1].inputs == ("c", "c")


DIFFERENT: dict[str, tuple[list[Node], dict[str, Any]]] = {
    "attributes": ([node("LeakyRelu", ["x"], ["a"], alpha=0.1), node("LeakyRelu", ["x"], ["b"], alpha=0.2)], {}),
    "a default": ([node("LeakyRelu", ["x"], ["a"]), node("LeakyRelu", ["x"], ["b"], alpha=0.2)], {}),
    "the sign of zero": ([node("Selu", ["x"], ["a"], gamma=0.0), node("Selu", ["x"], ["b"], gamma=-0.0)], {}),
    "inputs": (
        [node("Add", ["x", "k"], ["a"]), node("Add", ["x", "l"], ["b"])],
        {"k": np.float32(1), "l": np.float32(2)},
    ),
    "versions": ([node("Softmax", ["x"], ["a"], opset=12), node("Softmax", ["x"], ["b"], opset=13)], {}),
    "operators": ([node("Exp", ["x"], ["a"]), node("Abs", ["x"], ["b"])], {}),
    "zeros": (
        [node("Div", ["x", "k"], ["a"]), node("Div", ["x", "l"], ["b"])],
        {"k": np.float32(0.0), "l": np.float32(-0.0)},
    ),
    "types of constants": (
        [node("Pow", ["x", "k"], ["a"]), node("Pow", ["x", "l"], ["b"])],
        {"k": np.float32(2), "l": np.float64(2)},
    ),
}


@pytest.mark.parametrize("different", DIFFERENT)
def test_nodes_that_differ_are_left(different: str) -> None:
    nodes, constants = DIFFERENT[different]
    nodes = [*nodes, node("Sub", ["a", "b"], ["y"])]
    graph = made(nodes, ["x"], ["y"], constants, {"x": X})
    assert share_common(graph, frozenset(["y"])).nodes == tuple(nodes)


def test_random_numbers_are_drawn_by_each_node() -> None:
    drawn = [node("RandomNormalLike", ["x"], [name]) for name in "ab"]
    nodes = [*drawn, node("Sub", ["a", "b"], ["y"])]
    graph = made(nodes, ["x"], ["y"], {}, {"x": X})
    assert share_common(graph, frozenset(["y"])).nodes == tuple(nodes)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_equal_constants_become_one(size: int) -> None:
    large = np.arange(size, dtype=np.float32).reshape(1, size)
    other = large.copy()
    other[0, size // 3] += 1
    nodes = [node("Mul", ["x", k], [f"{k}y"]) for k in ("k", "l", "m")]
    nodes.append(node("Sum", ["ky", "ly", "my"], ["y"]))
    after = shared(*nodes, x=large, k=large, l=large.copy(), m=other)
    assert operators(after) == {"Mul": 2, "Sum": 1}


def test_initializers_that_can_be_given_are_not_shared() -> None:
    nodes = [node("Mul", ["x", "k"], ["a"]), node("Mul", ["x", "l"], ["b"]), node("Sub", ["a", "b"], ["y"])]
    graph = made(nodes, ["x", "k"], ["y"], {"k": np.float32(2), "l": np.float32(2)}, {"x": X})
    assert share_common(graph, frozenset(["y"])).nodes == tuple(nodes)


def test_outputs_keep_their_names() -> None:
    nodes = [node("Exp", ["x"], ["a"]), node("Exp", ["x"], ["y"]), node("Neg", ["a"], ["z"])]
    assert operators(shared(*nodes, outputs=["a", "y", "z"])) == {"Exp": 2, "Neg": 1}
