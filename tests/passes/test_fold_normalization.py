"""The pass that folds normalisations into the convolutions before them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onnxlite.model import Graph, Node, Value
from onnxlite.passes.fold_normalization import fold_normalization

sys.path.append(str(Path(__file__).parents[1] / "graphs"))
from image_graphs import Images, assert_close, convolution, made, networks, node, normalization, operators, results

SETTINGS = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
NOISE = np.random.default_rng(1)


def noise(*shape: int) -> Any:
    return NOISE.standard_normal(shape).astype(np.float32)


X = noise(2, 3, 5, 6)
CONSTANTS = {
    "w": noise(4, 3, 3, 3),
    "b": noise(4),
    "scale": noise(4),
    "shift": noise(4),
    "mean": noise(4),
    "variance": np.abs(noise(4)) + 1,
}
PARAMETERS = ("scale", "shift", "mean", "variance")
CONV = node("Conv", ["x", "w", "b"], ["c"])
NORM = node("BatchNormalization", ["c", *PARAMETERS], ["y"])


def check(graph: Graph, outputs: Sequence[str], *inputs: Any, keep: Sequence[str] = ()) -> Graph:
    after = fold_normalization(graph, frozenset([*outputs, *keep]), {})
    assert_close(results(after, outputs, inputs), results(graph, outputs, inputs), outputs)
    return after


def of(*nodes: Node, outputs: Sequence[str] = ("y",), keep: Sequence[str] = (), **constants: Any) -> Graph:
    return check(made(nodes, ["x"], outputs, {**CONSTANTS, **constants}), outputs, X, keep=keep)


@SETTINGS
@given(networks())
def test_random_networks_give_the_same_results(drawn: tuple[Images, list[str]]) -> None:
    s, outputs = drawn
    check(s.graph(outputs), outputs, *s.inputs.values())


@SETTINGS
@given(st.data(), st.sampled_from([3, 4, 5]))
def test_every_kind_of_convolution_takes_its_normalization(data: st.DataObject, rank: int) -> None:
    s = Images(17, rank)
    x = s.input(s.noise(2, 4, *(5,) * (rank - 2)))
    y = normalization(data.draw, s, convolution(data.draw, s, x))
    assert operators(check(s.graph([y]), [y], s.inputs[x])) == {"Conv": 1}


@pytest.mark.parametrize("bias", [["b"], [""], []])
@pytest.mark.parametrize("attributes", [{}, {"epsilon": 0.1}, {"momentum": 0.5}])
def test_with_and_without_a_bias(bias: list[str], attributes: dict[str, Any]) -> None:
    norm = node("BatchNormalization", ["c", *PARAMETERS], ["y"], **attributes)
    after = of(node("Conv", ["x", "w", *bias], ["c"], pads=(1, 0, 1, 2)), norm)
    assert operators(after) == {"Conv": 1}
    assert after.nodes[0].outputs == ("y",)
    assert after.nodes[0].attributes == {"pads": (1, 0, 1, 2)}


@pytest.mark.parametrize("opset", [7, 9, 14, 15])
def test_every_version_with_running_statistics(opset: int) -> None:
    assert operators(of(CONV, node("BatchNormalization", NORM.inputs, ["y"], opset=opset))) == {"Conv": 1}


#: What is left alone: nodes, outputs, names to keep.
LEFT: dict[str, tuple[list[Node], list[str], list[str]]] = {
    "an output": ([CONV, NORM], ["c", "y"], []),
    "a value to keep": ([CONV, NORM], ["y"], ["c"]),
    "another reader": ([CONV, NORM, node("Relu", ["c"], ["z"])], ["y", "z"], []),
    "another normalization": (
        [CONV, NORM, node("BatchNormalization", ["c", *PARAMETERS], ["z"])],
        ["y", "z"],
        [],
    ),
    "training": (
        [CONV, node("BatchNormalization", NORM.inputs, ["y", "m", "v"], training_mode=1)],
        ["y", "m"],
        [],
    ),
    "an old version": ([CONV, node("BatchNormalization", NORM.inputs, ["y"], opset=6, is_test=1)], ["y"], []),
    "something between": (
        [CONV, node("Relu", ["c"], ["r"]), node("BatchNormalization", ["r", *PARAMETERS], ["y"])],
        ["y"],
        [],
    ),
    "statistics that a run tells": (
        [
            CONV,
            node("Abs", ["mean"], ["m2"]),
            node("BatchNormalization", ["c", "scale", "shift", "m2", "variance"], ["y"]),
        ],
        ["y"],
        [],
    ),
    "weights that a run tells": ([node("Neg", ["w"], ["w2"]), node("Conv", ["x", "w2"], ["c"]), NORM], ["y"], []),
    "a bias that a run tells": ([node("Neg", ["b"], ["b2"]), node("Conv", ["x", "w", "b2"], ["c"]), NORM], ["y"], []),
}


@pytest.mark.parametrize("left", LEFT)
def test_what_others_need_or_a_run_decides_is_left(left: str) -> None:
    nodes, outputs, keep = LEFT[left]
    after = of(*nodes, outputs=outputs, keep=keep)
    assert after.nodes == tuple(nodes)


def test_a_subgraph_that_reads_the_convolution_is_a_reader() -> None:
    then = Graph("then", (), (Value("p"),), (node("Relu", ["c"], ["p"]),))
    otherwise = Graph("else", (), (Value("q"),), (node("Relu", ["x"], ["q"]),))
    nodes = [CONV, NORM, node("If", ["yes"], ["z"], then_branch=then, else_branch=otherwise)]
    assert operators(of(*nodes, outputs=["y", "z"], yes=np.array(True)))["BatchNormalization"] == 1


def test_several_pairs_and_a_second_normalization() -> None:
    nodes = [
        CONV,
        node("BatchNormalization", ["c", *PARAMETERS], ["n"]),
        node("BatchNormalization", ["n", *PARAMETERS], ["m"]),
        node("Conv", ["m", "one"], ["d"]),
        node("BatchNormalization", ["d", *PARAMETERS], ["y"]),
    ]
    after = of(*nodes, one=noise(4, 4, 1, 1))
    assert operators(after) == {"Conv": 2, "BatchNormalization": 1}


def test_convolutions_may_share_their_weights() -> None:
    nodes = [
        CONV,
        NORM,
        node("Conv", ["x", "w", "b"], ["d"]),
        node("BatchNormalization", ["d", "shift", "scale", "mean", "variance"], ["z"]),
        node("Conv", ["x", "w"], ["e"]),
    ]
    assert operators(of(*nodes, outputs=["y", "z", "e"])) == {"Conv": 3}


def test_initializers_of_graphs_around_are_constants_and_stay_there() -> None:
    graph = made([CONV, NORM], ["x"], ["y"])
    after = fold_normalization(graph, frozenset(["y"]), CONSTANTS)
    assert operators(after) == {"Conv": 1}
    assert len(after.initializers) == 2
    assert not set(after.initializers) & set(CONSTANTS)


def test_large_means_do_not_cost_precision() -> None:
    """A bias and a mean that cancel are subtracted before they are rounded."""
    constants = {"b": np.full(4, 3000.1, np.float32), "mean": np.full(4, 3000.1, np.float32)}
    after = fold_normalization(made([CONV, NORM], ["x"], ["y"], {**CONSTANTS, **constants}), frozenset("y"), {})
    bias = after.initializers[after.nodes[0].inputs[2]]
    np.testing.assert_array_equal(bias, CONSTANTS["shift"])


@pytest.mark.parametrize(
    "change", [{"mean": noise(3)}, {"b": noise(2)}, {"variance": np.ones(4)}, {"scale": noise(1, 4)}]
)
def test_parameters_that_do_not_fit_are_left_for_the_kernel_to_judge(change: dict[str, Any]) -> None:
    graph = made([CONV, NORM], ["x"], ["y"], {**CONSTANTS, **change})
    assert fold_normalization(graph, frozenset("y"), {}).nodes == graph.nodes


@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("bias", [["b"], []])
def test_a_transposed_convolution_takes_its_normalization(group: int, bias: list[str]) -> None:
    up = node("ConvTranspose", ["x", "v", *bias], ["c"], strides=(2, 2), group=group)
    x = noise(2, 6, 3, 4)
    graph = made([up, NORM], ["x"], ["y"], {**CONSTANTS, "v": noise(6, 4 // group, 3, 2)})
    assert operators(check(graph, ["y"], x)) == {"ConvTranspose": 1}
