"""The pass that makes transposed convolutions ordinary ones: where it may, and the same results."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.compiled import bind_and_run
from onnxlite.conformance.differential import kernel_outputs
from onnxlite.model import Graph, Node
from onnxlite.passes.lower_transposed import lower_transposed

sys.path.append(str(Path(__file__).parents[1] / "graphs"))
from image_graphs import assert_close, made, node, operators, results

SETTINGS = settings(max_examples=150, deadline=None, derandomize=True)
NOISE = np.random.default_rng(0)


def noise(*shape: int) -> Any:
    return NOISE.standard_normal(shape).astype(np.float32)


X, W, B = noise(2, 4, 5, 3), noise(4, 3, 4, 4), noise(3)
UP = node("ConvTranspose", ["x", "w", "b"], ["u"], strides=(2, 2), pads=(1, 1, 1, 1))
ODD = noise(4, 3, 3, 3)


def lowered(
    nodes: Sequence[Node], outputs: Sequence[str], x: Any, constants: dict[str, Any], keep: Sequence[str] = ()
) -> Graph:
    """The rewritten graph, which must give the same results."""
    graph = made(list(nodes), ["x"], outputs, constants)
    after = lower_transposed(graph, frozenset([*outputs, *keep]), {})
    assert_close(results(after, outputs, [x]), results(graph, outputs, [x]), outputs)
    return after


@st.composite
def _layers(draw: st.DrawFn) -> tuple[tuple[int, ...], int, tuple[int, ...], dict[str, Any]]:
    """The shape of an image, filters per group, the kernel and the attributes."""
    rank = draw(st.integers(1, 3))
    group = draw(st.sampled_from([1, 1, 2, 3]))
    image = tuple(draw(st.integers(1, 4)) for _ in range(rank))
    kernel = tuple(draw(st.integers(1, 5)) for _ in range(rank))
    strides = tuple(draw(st.integers(1, 4)) for _ in range(rank))
    dilations = tuple(draw(st.sampled_from([1, 1, 2])) for _ in range(rank))
    attributes: dict[str, Any] = {"strides": strides, "dilations": dilations, "group": group}
    if draw(st.booleans()):
        attributes["output_padding"] = tuple(draw(st.integers(0, 3)) for _ in range(rank))
    if draw(st.booleans()):
        attributes["auto_pad"] = draw(st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID"]))
    else:
        attributes["pads"] = tuple(draw(st.integers(0, 3)) for _ in range(2 * rank))
    return (
        (draw(st.integers(1, 2)), group * draw(st.integers(1, 2)), *image),
        draw(st.integers(1, 3)),
        kernel,
        attributes,
    )


@SETTINGS
@given(_layers())
def test_any_geometry_gives_the_same_results(
    layer: tuple[tuple[int, ...], int, tuple[int, ...], dict[str, Any]],
) -> None:
    shape, filters, kernel, attributes = layer
    constants = {"w": noise(shape[1], filters, *kernel), "b": noise(attributes["group"] * filters)}
    up = node("ConvTranspose", ["x", "w", "b"], ["u"], **attributes)
    try:
        kernel_outputs("ConvTranspose", 11, noise(*shape), constants["w"], **attributes)
    except ValueError:
        return  # the pads leave nothing
    after = lowered([up], ["u"], noise(*shape), constants)
    assert operators(after)["Conv"] == 1
    assert not operators(after)["ConvTranspose"]


@pytest.mark.parametrize("follower", ["Relu", "LeakyRelu", "Tanh", "Sigmoid"])
def test_a_function_of_each_element_comes_before_the_interleaving(follower: str) -> None:
    after = lowered([UP, node(follower, ["u"], ["y"])], ["y"], X, {"w": W, "b": B})
    assert [n.operator for n in after.nodes] == ["Conv", follower, "onnxlite.OverlapAdd"]


def test_so_do_constant_limits() -> None:
    clip = node("Clip", ["u", "", "high"], ["y"])
    after = lowered([UP, clip], ["y"], X, {"w": W, "b": B, "high": np.float32(0.5)})
    assert [n.operator for n in after.nodes] == ["Conv", "Clip", "onnxlite.OverlapAdd"]


def test_a_kernel_that_phases_would_fill_up_too_much_is_added_up_as_a_whole() -> None:
    after = lowered([UP, node("Relu", ["u"], ["y"])], ["y"], X, {"w": ODD, "b": B})
    assert [n.operator for n in after.nodes] == ["Conv", "onnxlite.OverlapAdd", "Relu"]
    assert after.initializers["u/weights"].shape == (27, 4, 1, 1)


def test_a_stride_of_one_is_a_convolution_alone() -> None:
    up = node("ConvTranspose", ["x", "w"], ["u"], pads=(1, 0, 3, 2))
    after = lowered([up, node("Relu", ["u"], ["y"])], ["y"], X, {"w": W})
    assert [n.operator for n in after.nodes] == ["Conv", "Relu"]


def test_other_readers_and_kept_values_see_the_interleaved_result() -> None:
    relu, neg = node("Relu", ["u"], ["y"]), node("Neg", ["u"], ["z"])
    expected = ["Conv", "onnxlite.OverlapAdd", "Relu"]
    after = lowered([UP, relu, neg], ["y", "z"], X, {"w": W, "b": B})
    assert [n.operator for n in after.nodes] == [*expected, "Neg"]
    after = lowered([UP, relu], ["y"], X, {"w": W, "b": B}, keep=["u"])
    assert [n.operator for n in after.nodes] == expected
    after = lowered([UP, relu], ["u", "y"], X, {"w": W, "b": B})
    assert [n.operator for n in after.nodes] == expected


@pytest.mark.parametrize(
    ("up", "constants"),
    [
        (node("ConvTranspose", ["x", "w"], ["u"], output_shape=(10, 6), strides=(2, 2)), {"w": W}),
        (node("ConvTranspose", ["x", "w"], ["u"]), {}),
        (node("ConvTranspose", ["x", "w", "b"], ["u"]), {"w": W}),
        (node("ConvTranspose", ["x", "w"], ["u"]), {"w": W.astype(np.float64)}),
        (node("ConvTranspose", ["x", "w"], ["u"], group=3), {"w": W}),
        (node("ConvTranspose", ["x", "w"], ["u"], kernel_shape=(2, 2)), {"w": W}),
        (node("ConvTranspose", ["x", "w"], ["u"], pads=(1, 1)), {"w": W}),
    ],
)
def test_what_is_left_as_it_is(up: Node, constants: dict[str, Any]) -> None:
    graph = made([up], [name for name in ("x", "w", "b") if name not in constants], ["u"], constants)
    assert lower_transposed(graph, frozenset(["u"]), {}).nodes == graph.nodes


def test_weights_of_the_graph_around() -> None:
    graph = made([node("ConvTranspose", ["x", "w"], ["u"])], ["x"], ["u"], {})
    after = lower_transposed(graph, frozenset(["u"]), {"w": W})
    assert operators(after) == {"Conv": 1}
    assert "w" not in after.initializers


@SETTINGS
@given(_layers(), st.sampled_from([1, 2]), st.booleans())
def test_the_compiled_sum(
    layer: tuple[tuple[int, ...], int, tuple[int, ...], dict[str, Any]], threads: int, apart: bool
) -> None:
    shape, filters, kernel, attributes = layer
    given_attributes = {name: attributes[name] for name in ("strides", "dilations", "group")}
    if apart:
        kernel = given_attributes["strides"]
        given_attributes |= {"group": 1, "dilations": (1,) * len(kernel)}
        attributes = {**attributes, "group": 1}
    x = noise(shape[0], *shape[2:], attributes["group"] * filters * int(np.prod(kernel)))
    bias = None if apart else noise(attributes["group"] * filters)
    least = min(kernel[-1], given_attributes["strides"][-1]) - 1
    crops = (*(0 for _ in kernel[1:]), least // 2, *(0 for _ in kernel[1:]), least // 2 if apart else -1)
    given_attributes |= {"kernel_shape": kernel, "crops": crops, "channels_last": 1}
    expected = kernel_outputs("OverlapAdd", 1, x, bias, domain="onnxlite", **given_attributes)
    actual = bind_and_run(
        "OverlapAdd",
        1,
        x,
        bias,
        domain="onnxlite",
        constants=() if apart else (1,),
        threads=threads,
        **given_attributes,
    )
    np.testing.assert_allclose(actual[0], expected[0], rtol=1e-5, atol=1e-5)
