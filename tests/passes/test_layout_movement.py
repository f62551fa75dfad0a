"""How the layout pass cuts, splits and resizes images with the channels last, and asks for their shape."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxlite.model import Graph, Node
from onnxlite.passes.layout import channels_last

sys.path.append(str(Path(__file__).parents[1] / "graphs"))
from image_graphs import assert_close, made, node, operators, results

NOISE = np.random.default_rng(4)


def noise(*shape: int) -> Any:
    return NOISE.standard_normal(shape).astype(np.float32)


X, W, B = noise(2, 3, 5, 6), noise(4, 3, 3, 3), noise(4)
CONV = node("Conv", ["x", "w", "b"], ["c"])


def check(graph: Graph, outputs: Sequence[str], *inputs: Any) -> Graph:
    """The rewritten graph, which must give the same results."""
    after = channels_last(graph, frozenset(outputs), {})
    assert_close(results(after, outputs, inputs), results(graph, outputs, inputs), outputs)
    return after


def after_conv(*nodes: Node, outputs: Sequence[str], constants: dict[str, Any] | None = None) -> Graph:
    """What becomes of nodes that follow a convolution ``c`` of an image ``x``."""
    return check(made([CONV, *nodes], ["x"], outputs, {"w": W, "b": B, **(constants or {})}), outputs, X)


def transposes(graph: Graph) -> int:
    return operators(graph)["Transpose"]


def test_a_split_and_what_joins_again() -> None:
    nodes = [
        node("Split", ["c", "lengths"], ["p", "q"], axis=1),
        node("Neg", ["q"], ["r"]),
        node("Concat", ["p", "r"], ["y"], axis=1),
    ]
    after = after_conv(*nodes, outputs=["y"], constants={"lengths": np.array([1, 3])})
    assert transposes(after) == 2
    after = after_conv(node("Split", ["c"], ["p", "q"], opset=2, axis=-1), outputs=["p"])
    assert transposes(after) == 2
    assert operators(after)["Split"] == 1


def test_the_shape_of_an_image_moves_nothing() -> None:
    for attributes in ({}, {"start": 1}, {"start": -2, "end": 9}, {"end": -1}):
        after = after_conv(node("Shape", ["c"], ["y"], **attributes), outputs=["y"])
        assert transposes(after) == 1


def test_lengths_that_a_run_tells_are_put_in_order_once() -> None:
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Mul", ["s", "factor"], ["lengths"]),
        node("Relu", ["c"], ["d"]),
        node("Resize", ["c", "", "", "lengths"], ["p"], mode="nearest"),
        node("Resize", ["d", "", "", "lengths"], ["q"], mode="nearest"),
        node("Add", ["p", "q"], ["y"]),
    ]
    graph = made(
        [node("Conv", ["x", "one"], ["c"]), *nodes],
        ["x"],
        ["y"],
        {"one": noise(3, 3, 1, 1), "factor": np.array([1, 1, 2, 2])},
    )
    after = check(graph, ["y"], X)
    assert operators(after)["Gather"] == 1
    assert transposes(after) == 2


def test_cuts_along_axes_that_only_a_run_tells_are_left() -> None:
    nodes = [node("Slice", ["c", "from", "to", "axis"], ["y"])]
    graph = made([CONV, *nodes], ["x", "axis"], ["y"], {"w": W, "b": B, "from": np.array([1]), "to": np.array([3])})
    after = check(graph, ["y"], X, np.array([1]))
    assert after.nodes[-1] is nodes[0]


@pytest.mark.parametrize(
    "wrong",
    [
        node("Slice", ["c", "from", "from", "nowhere"], ["y"]),
        node("Split", ["c"], ["y"], axis=4),
        node("Resize", ["c", "", "from"], ["y"]),
    ],
)
def test_what_breaks_its_operator_s_rules_is_left_to_say_so(wrong: Node) -> None:
    given = {"w": W, "b": B, "from": np.array([1]), "nowhere": np.array([4])}
    after = channels_last(made([CONV, wrong], ["x"], ["y"], given), frozenset(["y"]), {})
    assert after.nodes[-1] is wrong
