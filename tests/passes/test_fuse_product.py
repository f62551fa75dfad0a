"""The pass that gives a channels-last convolution what follows it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from onnxlite.model import Graph, Node, Value
from onnxlite.passes.fuse_product import fuse_product
from onnxlite.passes.layout import channels_last

sys.path.append(str(Path(__file__).parents[1] / "graphs"))
from image_graphs import Images, assert_close, made, networks, node, operators, results

SETTINGS = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
NOISE = np.random.default_rng(2)


def noise(*shape: int) -> Any:
    return NOISE.standard_normal(shape).astype(np.float32)


X = noise(2, 5, 6, 3)
CONSTANTS = {"w": noise(4, 3, 1, 1), "b": noise(4), "one": noise(4, 4, 1, 1), "single": noise(1, 3, 1, 1)}


def conv(inputs: Sequence[str], output: str, **attributes: Any) -> Node:
    return Node("Conv", tuple(inputs), (output,), domain="onnxlite", name=f"Conv {output}", attributes=attributes)


CONV = conv(["x", "w", "b"], "c")


def check(graph: Graph, outputs: Sequence[str], *inputs: Any, keep: Sequence[str] = ()) -> Graph:
    after = fuse_product(graph, frozenset([*outputs, *keep]), {})
    assert_close(results(after, outputs, inputs), results(graph, outputs, inputs), outputs)
    return after


def of(*nodes: Node, outputs: Sequence[str] = ("y",), keep: Sequence[str] = (), **constants: Any) -> Graph:
    return check(made(nodes, ["x"], outputs, {**CONSTANTS, **constants}, {"x": X}), outputs, X, keep=keep)


@SETTINGS
@given(networks())
def test_random_networks_give_the_same_results(drawn: tuple[Images, list[str]]) -> None:
    s, outputs = drawn
    graph = s.graph(outputs)
    turned = channels_last(graph, frozenset(outputs), {})
    after = fuse_product(turned, frozenset(outputs), {})
    assert_close(
        results(after, outputs, list(s.inputs.values())), results(graph, outputs, list(s.inputs.values())), outputs
    )
    assert operators(after)["onnxlite.Conv"] == operators(turned)["onnxlite.Conv"]


#: What a convolution takes up: nodes after c, constants, and the activation it has then.
TAKEN: dict[str, tuple[list[Node], dict[str, Any], str]] = {
    "relu": ([node("Relu", ["c"], ["y"])], {}, "Relu"),
    "leaky relu": ([node("LeakyRelu", ["c"], ["y"], alpha=0.3)], {}, "LeakyRelu"),
    "leaky relu by default": ([node("LeakyRelu", ["c"], ["y"])], {}, "LeakyRelu"),
    "sigmoid": ([node("Sigmoid", ["c"], ["y"])], {}, "Sigmoid"),
    "hard sigmoid": ([node("HardSigmoid", ["c"], ["y"], alpha=0.4)], {}, "HardSigmoid"),
    "hard swish": ([node("HardSwish", ["c"], ["y"])], {}, "HardSwish"),
    "clip": ([node("Clip", ["c", "low", "high"], ["y"])], {"low": np.float32(-1), "high": np.float32([0.5])}, "Clip"),
    "clip below": ([node("Clip", ["c", "low"], ["y"])], {"low": np.float32(0)}, "Clip"),
    "clip above": ([node("Clip", ["c", "", "high"], ["y"])], {"high": np.float32(0)}, "Clip"),
    "clip by attributes": ([node("Clip", ["c"], ["y"], opset=6, min=-0.5, max=0.5)], {}, "Clip"),
    "factor": ([node("Mul", ["c", "k"], ["y"])], {"k": noise(1, 1, 1, 4)}, ""),
    "factor of all": ([node("Mul", ["k", "c"], ["y"])], {"k": np.float32(3)}, ""),
    "term": ([node("Add", ["k", "c"], ["y"])], {"k": noise(4)}, ""),
    "term of all": ([node("Sum", ["c", "k"], ["y"])], {"k": noise(1, 1)}, ""),
    "difference": ([node("Sub", ["c", "k"], ["y"])], {"k": noise(4)}, ""),
    "quotient": ([node("Div", ["c", "k"], ["y"])], {"k": noise(1, 4) + 3}, ""),
    "elu": ([node("Elu", ["c"], ["y"], alpha=0.5)], {}, "Elu"),
    "tanh": ([node("Tanh", ["c"], ["y"])], {}, "Tanh"),
    "mish": ([node("Mish", ["c"], ["y"], opset=18)], {}, "Mish"),
    "swish": ([node("Swish", ["c"], ["y"], opset=24, alpha=1.5)], {}, "Swish"),
    "gelu": ([node("Gelu", ["c"], ["y"], opset=20)], {}, "Gelu"),
    "gelu by tanh": ([node("Gelu", ["c"], ["y"], opset=20, approximate="tanh")], {}, "GeluTanh"),
    "one slope": ([node("PRelu", ["c", "k"], ["y"])], {"k": np.full((1, 1, 1), 0.2, np.float32)}, "LeakyRelu"),
    "residual after activation": ([node("Relu", ["c"], ["r"]), node("Add", ["x2", "r"], ["y"])], {}, "Relu"),
    "residual": ([node("Add", ["c", "x2"], ["y"])], {}, ""),
    "residual, first": ([node("Add", ["x2", "c"], ["y"])], {}, ""),
    "residual and activation": ([node("Sum", ["c", "x2"], ["s"]), node("Relu", ["s"], ["y"])], {}, "Relu"),
    "all": (
        [
            node("Mul", ["c", "k"], ["p"]),
            node("Add", ["p", "b"], ["q"]),
            node("Mul", ["q", "k"], ["r"]),
            node("Add", ["x2", "r"], ["s"]),
            node("Clip", ["s"], ["y"]),
        ],
        {"k": noise(4)},
        "Clip",
    ),
}
SECOND = node("Concat", ["x", "head"], ["x2"], axis=3)
HEAD = {"head": noise(2, 5, 6, 1)}


@pytest.mark.parametrize("inputs", [["x", "w", "b"], ["x", "w", ""], ["x", "w"]])
@pytest.mark.parametrize("taken", TAKEN)
def test_a_convolution_takes_up_what_follows_it(taken: str, inputs: list[str]) -> None:
    nodes, constants, activation = TAKEN[taken]
    # Some of them read an image of the convolution's shape that is made before or after it.
    for before, after in (([SECOND], []), ([], [SECOND])):
        fused = of(*before, conv(inputs, "c"), *after, *nodes, **HEAD, **constants)
        assert operators(fused) == {"onnxlite.Conv": 1, "Concat": 1}
        (node_,) = (n for n in fused.nodes if n.op_type == "Conv")
        assert node_.attributes.get("activation", "") == activation
        assert node_.outputs == ("y",)


#: What it does not take up.
LEFT: dict[str, tuple[list[Node], dict[str, Any]]] = {
    "no rule": ([node("Exp", ["c"], ["y"])], {}),
    "two readers": ([node("Relu", ["c"], ["r"]), node("Add", ["r", "c"], ["y"])], {}),
    "sum with itself": ([node("Add", ["c", "c"], ["y"])], {}),
    "a term per place": ([node("Add", ["c", "k"], ["y"])], {"k": noise(5, 6, 4)}),
    "a term per column": ([node("Add", ["c", "k"], ["y"])], {"k": noise(6, 1)}),
    "a factor per column": ([node("Mul", ["c", "k"], ["y"])], {"k": noise(1, 5, 1, 1)}),
    "more axes": ([node("Mul", ["c", "k"], ["y"])], {"k": noise(1, 1, 1, 1, 1)}),
    "a product": ([node("Mul", ["c", "x2"], ["y"])], {}),
    "a difference from a constant": ([node("Sub", ["k", "c"], ["y"])], {"k": noise(4)}),
    "a quotient of a constant": ([node("Div", ["k", "c"], ["y"])], {"k": noise(4)}),
    "a quotient by zero": ([node("Div", ["c", "k"], ["y"])], {"k": np.float32([1, 0, 1, 1])}),
    "three terms": ([node("Sum", ["c", "x2", "x2"], ["y"])], {}),
    "another type": ([node("Cast", ["c"], ["d"], to=11), node("Relu", ["d"], ["y"])], {}),
    "limits that a run tells": (
        [node("ReduceMin", ["x"], ["low"], keepdims=0), node("Clip", ["c", "low"], ["y"])],
        {},
    ),
    "a slope per filter": ([node("PRelu", ["c", "k"], ["y"])], {"k": noise(4)}),
    "what is pooled": (
        [node("ReduceMean", ["x2"], ["m"], axes=(1, 2)), node("Relu", ["m"], ["n"]), node("Add", ["c", "n"], ["y"])],
        {},
    ),
}


@pytest.mark.parametrize("left", LEFT)
def test_what_it_cannot_do_is_left(left: str) -> None:
    nodes, constants = LEFT[left]
    after = of(SECOND, CONV, *nodes, **HEAD, **constants)
    assert after.nodes == (SECOND, CONV, *nodes)


def test_what_a_pass_over_the_elements_does_as_well_is_left_to_it() -> None:
    after = of(CONV, node("Relu", ["c"], ["r"]), node("Add", ["r", "b"], ["s"]), node("Relu", ["s"], ["y"]))
    assert operators(after) == {"onnxlite.Conv": 1, "Add": 1, "Relu": 2}
    after = of(SECOND, CONV, node("Add", ["c", "x2"], ["r"]), node("Mul", ["r", "b"], ["y"]), **HEAD)
    assert operators(after) == {"onnxlite.Conv": 1, "Add": 1, "Mul": 1, "Concat": 1}
    # What costs nothing is taken up all the same.
    after = of(CONV, node("Add", ["c", "b"], ["a"]), node("Relu", ["a"], ["r"]), node("Mul", ["r", "b"], ["y"]))
    assert operators(after) == {"onnxlite.Conv": 1, "Relu": 1, "Mul": 1}


def test_an_activation_before_a_larger_result_is_taken_up() -> None:
    nodes = [conv(["x", "single"], "c"), node("Sigmoid", ["c"], ["r"]), node("Mul", ["r", "x2"], ["y"])]
    after = of(SECOND, *nodes, **HEAD)
    assert operators(after) == {"onnxlite.Conv": 1, "Mul": 1, "Concat": 1}


def test_two_convolutions_that_are_added_are_one_s_residual() -> None:
    nodes = [
        CONV,
        conv(["x", "w"], "d"),
        node("Relu", ["d"], ["e"]),
        node("Add", ["c", "e"], ["s"]),
        node("Relu", ["s"], ["y"]),
    ]
    after = of(*nodes)
    assert operators(after) == {"onnxlite.Conv": 2}
    assert sorted(len(n.inputs) for n in after.nodes) == [2, 4]


def test_a_residual_block_and_the_next() -> None:
    nodes = [
        CONV,
        node("Relu", ["c"], ["r0"]),
        conv(["r0", "one"], "d"),
        node("Add", ["d", "r0"], ["s"]),
        node("Relu", ["s"], ["r1"]),
        conv(["r1", "one"], "e"),
        node("Add", ["r1", "e"], ["t"]),
        node("Relu", ["t"], ["y"]),
    ]
    assert operators(of(*nodes)) == {"onnxlite.Conv": 3}


def test_a_residual_that_broadcasts_gives_the_sum_of_the_larger_shape() -> None:
    nodes = [
        conv(["x", "single"], "c"),
        conv(["x", "w"], "d"),
        node("Exp", ["d"], ["e"]),
        node("Add", ["c", "e"], ["y"]),
    ]
    of(*nodes)
    for shape in ((1, 5, 6, 4), (2, 1, 1, 4), (2, 5, 6, 1), (4,)):
        graph = made([CONV, node("Add", ["c", "z"], ["s"]), node("Relu", ["s"], ["y"])], ["x", "z"], ["y"], CONSTANTS)
        check(graph, ["y"], X, noise(*shape))


def test_outputs_and_values_to_keep_remain() -> None:
    relu = node("Relu", ["c"], ["y"])
    for outputs, keep in ((["c", "y"], []), (["y"], ["c"])):
        assert of(CONV, relu, outputs=outputs, keep=keep).nodes == (CONV, relu)
    after = of(CONV, node("Add", ["c", "b"], ["d"]), node("Relu", ["d"], ["y"]), keep=["d"])
    assert operators(after) == {"onnxlite.Conv": 1, "Relu": 1}


def test_a_subgraph_that_reads_the_convolution_is_a_reader() -> None:
    then = Graph("then", (), (Value("p"),), (node("Relu", ["c"], ["p"]),))
    otherwise = Graph("else", (), (Value("q"),), (node("Relu", ["x"], ["q"]),))
    nodes = [CONV, node("Relu", ["c"], ["y"]), node("If", ["yes"], ["z"], then_branch=then, else_branch=otherwise)]
    assert of(*nodes, outputs=["y", "z"], yes=np.array(True)).nodes == tuple(nodes)


def test_shared_weights_are_not_changed() -> None:
    nodes = [CONV, node("Mul", ["c", "b"], ["y"]), conv(["x", "w", "b"], "z")]
    after = of(*nodes, outputs=["y", "z"])
    np.testing.assert_array_equal(after.initializers["w"], CONSTANTS["w"])


@pytest.mark.parametrize("opset", [6, 11, 13])
@pytest.mark.parametrize("limit", [None, "min", "max"])
def test_a_limit_that_is_left_out_is_finite(opset: int, limit: str | None) -> None:
    x = np.array([[[[np.inf], [-np.inf], [2], [np.nan]]]], np.float32)
    given = {"min": {"min": 1.0}, "max": {"max": 1.0}, None: {}}[limit] if opset < 11 else {}
    inputs = {"min": ["low"], "max": ["", "low"], None: []}[limit] if opset >= 11 else []
    nodes = [conv(["x", "k"], "c"), node("Clip", ["c", *inputs], ["y"], opset=opset, **given)]
    constants = {"k": np.ones((1, 1, 1, 1), np.float32), "low": np.float32(1)}
    after = check(made(nodes, ["x"], ["y"], constants), ["y"], x)
    assert operators(after) == {"onnxlite.Conv": 1}


def test_onnx_s_own_convolution_is_left() -> None:
    nodes = [node("Conv", ["x", "w"], ["c"]), node("Relu", ["c"], ["y"])]
    graph = made(nodes, ["x"], ["y"], CONSTANTS)
    assert fuse_product(graph, frozenset(["y"]), {}).nodes == tuple(nodes)
