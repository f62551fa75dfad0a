"""The pass that gives convolutions and pools the padding before them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.model import Graph, Node
from onnxlite.passes.fold_padding import fold_padding

sys.path.append(str(Path(__file__).parents[1] / "graphs"))
from image_graphs import assert_close, made, node, operators, results

NOISE = np.random.default_rng(7)


def noise(*shape: int) -> Any:
    return NOISE.standard_normal(shape).astype(np.float32)


X = noise(2, 3, 6, 7)
INFINITE = np.float32(-np.inf)
CONSTANTS = {"w": noise(4, 3, 3, 3), "amounts": np.array([0, 0, 1, 0, 0, 0, 2, 1]), "lowest": INFINITE}
PAD = node("Pad", ["x", "amounts"], ["p"])
CONV = node("Conv", ["p", "w"], ["y"])


def folded(*nodes: Node, x: Any = X, **constants: Any) -> Graph:
    graph = made(nodes, ["x"], ["y"], {**CONSTANTS, **constants}, {"x": x})
    after = fold_padding(graph, frozenset(["y"]), {})
    assert_close(results(after, ["y"], [x]), results(graph, ["y"], [x]), ["y"])
    return after


def pool(op: str, **attributes: Any) -> Node:
    return node(op, ["p"], ["y"], **{"kernel_shape": (3, 3), **attributes})


LOWEST = node("Pad", ["x", "amounts", "lowest"], ["p"])
FOLDED: dict[str, list[Node]] = {
    "convolution": [PAD, CONV],
    "convolution with padding": [PAD, node("Conv", ["p", "w"], ["y"], pads=(1, 2, 0, 1), strides=(2, 1))],
    "convolution without padding": [PAD, node("Conv", ["p", "w"], ["y"], auto_pad="VALID")],
    "an old pad": [node("Pad", ["x"], ["p"], opset=10, pads=(0, 0, 1, 0, 0, 0, 2, 1)), CONV],
    "a number": [node("Pad", ["x", "amounts", "zero"], ["p"]), CONV],
    "mean": [PAD, pool("AveragePool")],
    "mean of all": [PAD, pool("AveragePool", pads=(0, 1, 0, 1), count_include_pad=1)],
    "maximum": [LOWEST, pool("MaxPool", strides=(2, 2))],
    "maximum with padding": [LOWEST, pool("MaxPool", pads=(1, 1, 0, 0))],
    "maximum of what is not negative": [
        node("Relu", ["x"], ["r"]),
        node("Pad", ["r", "amounts"], ["p"]),
        pool("MaxPool"),
    ],
    "maximum of what is clipped": [
        node("Clip", ["x", "zero"], ["r"]),
        node("Pad", ["r", "amounts"], ["p"]),
        pool("MaxPool"),
    ],
}
LEFT: dict[str, list[Node]] = {
    "another number": [node("Pad", ["x", "amounts", "one"], ["p"]), CONV],
    "a reflection": [node("Pad", ["x", "amounts"], ["p"], mode="reflect"), CONV],
    "channels": [node("Pad", ["x", "channels"], ["p"]), node("Conv", ["p", "five"], ["y"])],
    "cropping": [node("Pad", ["x", "cropping"], ["p"]), CONV],
    "padding like the image": [PAD, node("Conv", ["p", "w"], ["y"], auto_pad="SAME_UPPER")],
    "axes": [node("Pad", ["x", "two", "", "axes"], ["p"], opset=18), CONV],
    "a mean without padding": [PAD, pool("AveragePool", pads=(1, 1, 1, 1))],
    "zeros that may be the maximum": [PAD, pool("MaxPool")],
    "zeros beside numbers below a limit": [
        node("Clip", ["x", "", "one"], ["r"]),
        node("Pad", ["r", "amounts"], ["p"]),
        pool("MaxPool"),
    ],
    "windows without image": [LOWEST, pool("MaxPool", kernel_shape=(2, 2))],
    "incomplete windows": [LOWEST, pool("MaxPool", ceil_mode=1, strides=(2, 2))],
    "another operator": [PAD, node("LpPool", ["p"], ["y"], kernel_shape=(3, 3))],
    "another domain": [Node("Pad", ("x", "amounts"), ("p",), domain="shielded:", opset=17), CONV],
}
MORE = {
    "zero": np.float32(0),
    "one": np.float32(1),
    "channels": np.array([0, 2, 0, 0, 0, 0, 0, 0]),
    "five": noise(4, 5, 3, 3),
    "cropping": np.array([0, 0, -1, 0, 0, 0, 1, 1]),
    "two": np.array([1, 1]),
    "axes": np.array([2]),
}


@pytest.mark.parametrize("name", FOLDED)
def test_padding_goes_into_what_reads_it(name: str) -> None:
    assert "Pad" not in operators(folded(*FOLDED[name], **MORE))


@pytest.mark.parametrize("name", LEFT)
def test_padding_that_is_another_one_is_left(name: str) -> None:
    graph = made(LEFT[name], ["x"], ["y"], {**CONSTANTS, **MORE}, {"x": X})
    assert fold_padding(graph, frozenset(["y"]), {}).nodes == tuple(LEFT[name])


def test_other_types_are_left() -> None:
    graph = made([PAD, CONV], ["x"], ["y"], CONSTANTS, {"x": X.astype(np.float64)})
    assert fold_padding(graph, frozenset(["y"]), {}).nodes == (PAD, CONV)


def test_a_pad_that_others_read_remains() -> None:
    nodes = [PAD, node("Conv", ["p", "w"], ["c"]), node("ReduceMean", ["p"], ["m"]), node("Add", ["c", "m"], ["y"])]
    after = folded(*nodes)
    assert operators(after)["Pad"] == 1
    assert after.nodes[1].inputs == ("x", "w")


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.data())
def test_random_padding(data: st.DataObject) -> None:
    spatial = data.draw(st.integers(1, 3))
    sizes = [data.draw(st.integers(1, 5)) for _ in range(spatial)]
    kernel = tuple(data.draw(st.integers(1, 3)) for _ in sizes)
    amounts = [data.draw(st.integers(0, 2)) for _ in range(2 * spatial)]
    own = tuple(data.draw(st.integers(0, 1)) for _ in range(2 * spatial))
    padded = [n + a + b for n, a, b in zip(sizes, amounts[:spatial], amounts[spatial:], strict=True)]
    for op, fill in (("Conv", 0.0), ("AveragePool", 0.0), ("MaxPool", -np.inf)):
        attributes: dict[str, Any] = {"kernel_shape": kernel}
        if data.draw(st.booleans()):
            attributes["pads"] = own
        if op == "AveragePool":
            attributes["count_include_pad"] = data.draw(st.integers(0, 1))
        total = [n + sum(attributes.get("pads", (0,) * 2 * spatial)[i::spatial]) for i, n in enumerate(padded)]
        if any(k > n for k, n in zip(kernel, total, strict=True)):
            continue
        if op != "Conv" and any(p >= k for p, k in zip(attributes.get("pads", ()), kernel * 2, strict=False)):
            continue
        reader = node(op, ["p", "w"] if op == "Conv" else ["p"], ["y"], **attributes)
        constants = {
            "w": noise(2, 3, *kernel),
            "amounts": np.array([0, 0, *amounts[:spatial], 0, 0, *amounts[spatial:]]),
            "fill": np.float32(fill),
        }
        folded(node("Pad", ["x", "amounts", "fill"], ["p"]), reader, x=noise(1, 3, *sizes), **constants)
