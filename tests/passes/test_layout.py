"""The pass that puts the channels of images last: the same results, and as few transpositions as can be."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onnxlite.errors import OnnxliteError
from onnxlite.model import Graph, Node, Value
from onnxlite.passes.layout import channels_last
from onnxlite.passes.layout_movement import to_first, to_last

sys.path.append(str(Path(__file__).parents[1] / "graphs"))
from image_graphs import Images, assert_close, made, networks, node, operators, results

SETTINGS = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
NOISE = np.random.default_rng(0)


def noise(*shape: int) -> Any:
    return NOISE.standard_normal(shape).astype(np.float32)


X, W, B, ONE = noise(2, 3, 5, 6), noise(4, 3, 3, 3), noise(4), noise(4, 4, 1, 1)
CONV = node("Conv", ["x", "w", "b"], ["c"])


def check(graph: Graph, outputs: Sequence[str], *inputs: Any, keep: Sequence[str] = ()) -> Graph:
    """The rewritten graph, which must give the same results."""
    after = channels_last(graph, frozenset([*outputs, *keep]), {})
    assert_close(results(after, outputs, inputs), results(graph, outputs, inputs), outputs)
    return after


def after_conv(*nodes: Node, outputs: Sequence[str], constants: dict[str, Any] | None = None) -> Graph:
    """What becomes of nodes that follow a convolution ``c`` of an image ``x``."""
    given = {"w": W, "b": B, "one": ONE, **(constants or {})}
    return check(made([CONV, *nodes], ["x"], outputs, given), outputs, X)


def transposes(graph: Graph) -> int:
    return operators(graph)["Transpose"]


@SETTINGS
@given(networks())
def test_random_networks_give_the_same_results(drawn: tuple[Images, list[str]]) -> None:
    s, outputs = drawn
    graph = s.graph(outputs)
    after = check(graph, outputs, *s.inputs.values())
    constant = [n for n in graph.nodes if n.op_type == "Conv" and n.inputs[1] in s.initializers]
    assert operators(after)["onnxlite.Conv"] == len(constant)


@SETTINGS
@given(networks(), st.data())
def test_values_that_are_to_be_kept_remain_in_their_layout(
    drawn: tuple[Images, list[str]], data: st.DataObject
) -> None:
    s, outputs = drawn
    computed = [name for name in s.values if name not in s.initializers]
    keep = data.draw(st.lists(st.sampled_from(computed), max_size=3))
    graph = s.graph(outputs)
    after = channels_last(graph, frozenset(keep), {})
    wanted = [*outputs, *keep]
    assert_close(results(after, wanted, list(s.inputs.values())), [s.values[name] for name in wanted], wanted)


def test_the_permutations_undo_each_other() -> None:
    for rank in (3, 4, 5):
        shape = tuple(range(2, 2 + rank))
        x = np.empty(shape)
        assert x.transpose(to_last(rank)).shape == (shape[0], *shape[2:], shape[1])
        assert x.transpose(to_last(rank)).transpose(to_first(rank)).shape == shape


def test_a_graph_without_convolutions_stays_as_it_is() -> None:
    graph = made([node("Relu", ["x"], ["y"]), node("MaxPool", ["y"], ["z"], kernel_shape=(2, 2))], ["x"], ["z"])
    assert channels_last(graph, frozenset(["z"]), {}) is graph


#: One of everything that goes along with the layout, as (nodes after c, constants).
FOLLOWERS: dict[str, tuple[list[Node], dict[str, Any]]] = {
    "activation": ([node("Relu", ["c"], ["y"])], {}),
    "clip with limits": ([node("Clip", ["c", "", "high"], ["y"])], {"high": np.float32(0.5)}),
    "cast": ([node("Cast", ["c"], ["y"], to=11)], {}),
    "dropout": ([node("Dropout", ["c"], ["y"])], {}),
    "sum with itself": ([node("Add", ["c", "c"], ["y"])], {}),
    "per channel": ([node("Mul", ["c", "k"], ["y"])], {"k": noise(4, 1, 1)}),
    "per channel, first": ([node("Sub", ["k", "c"], ["y"])], {"k": noise(1, 4, 1, 1)}),
    "per column": ([node("Add", ["c", "k"], ["y"])], {"k": noise(4)}),
    "per place": ([node("Add", ["c", "k"], ["y"])], {"k": noise(3, 4)}),
    "per image": ([node("Add", ["c", "k"], ["y"])], {"k": noise(2, 1, 1, 1)}),
    "whole": ([node("Add", ["c", "k"], ["y"])], {"k": noise(2, 4, 3, 4)}),
    "one number": ([node("Add", ["c", "k"], ["y"])], {"k": np.float32(2)}),
    "several": ([node("Sum", ["c", "k", "c"], ["y"])], {"k": noise(4, 1, 1)}),
    "slope": ([node("PRelu", ["c", "k"], ["y"])], {"k": noise(4, 1, 1)}),
    "normalization": (
        [node("BatchNormalization", ["c", "b", "b", "b", "v"], ["y"], epsilon=1e-3)],
        {"v": np.abs(noise(4)) + 1},
    ),
    "concat": ([node("Concat", ["c", "c"], ["y"], axis=-3)], {}),
    "concat of rows": ([node("Concat", ["c", "c"], ["y"], axis=2)], {}),
    "slice of channels": (
        [node("Slice", ["c", "from", "to", "axis"], ["y"])],
        {"from": np.array([1]), "to": np.array([3]), "axis": np.array([1])},
    ),
    "slice of channels and columns": (
        [node("Slice", ["c", "from", "to", "axes", "steps"], ["y"])],
        {"from": np.array([-1, 1]), "to": np.array([9, 3]), "axes": np.array([-1, -3]), "steps": np.array([-1, 2])},
    ),
    "slice of the first axes": (
        [node("Slice", ["c", "from", "to"], ["y"])],
        {"from": np.array([0, 1]), "to": np.array([1, 3])},
    ),
    "slice by attributes": ([node("Slice", ["c"], ["y"], opset=9, starts=(1,), ends=(3,), axes=(1,))], {}),
    "slice by attributes alone": ([node("Slice", ["c"], ["y"], opset=9, starts=(0, 1), ends=(1, 3))], {}),
    "resize": (
        [node("Resize", ["c", "", "factors"], ["y"], mode="nearest")],
        {"factors": np.float32([1, 1, 2, 3])},
    ),
    "resize to lengths": (
        [node("Resize", ["c", "", "", "lengths"], ["y"], mode="linear")],
        {"lengths": np.array([2, 4, 5, 7])},
    ),
    "resize axes": (
        [node("Resize", ["c", "", "", "lengths"], ["y"], opset=18, mode="linear", axes=(3, 2))],
        {"lengths": np.array([5, 7])},
    ),
    "an old resize": (
        [node("Resize", ["c", "factors"], ["y"], opset=10, mode="nearest")],
        {"factors": np.float32([1, 1, 2, 3])},
    ),
    "upsample": ([node("Upsample", ["c"], ["y"], opset=7, mode="linear", scales=(1.0, 1.0, 2.0, 3.0))], {}),
    "softmax": ([node("Softmax", ["c"], ["y"], axis=1)], {}),
    "softmax of rows": ([node("LogSoftmax", ["c"], ["y"])], {}),
    "max pool": ([node("MaxPool", ["c"], ["y"], kernel_shape=(2, 3), strides=(1, 2), pads=(1, 0, 0, 1))], {}),
    "mean pool": ([node("AveragePool", ["c"], ["y"], kernel_shape=(2, 2), count_include_pad=1, ceil_mode=1)], {}),
    "global mean": ([node("GlobalAveragePool", ["c"], ["y"])], {}),
    "global maximum": ([node("GlobalMaxPool", ["c"], ["y"])], {}),
    "mean by attribute": ([node("ReduceMean", ["c"], ["y"], axes=(2, -1))], {}),
    "mean by input": ([node("ReduceMean", ["c", "a"], ["y"], opset=18)], {"a": np.array([-2, 3])}),
    "mean over channels": ([node("ReduceMax", ["c"], ["y"], axes=(1,))], {}),
    "sum by input": ([node("ReduceSum", ["c", "a"], ["y"], opset=13)], {"a": np.array([2, 3])}),
    "another convolution": ([node("Conv", ["c", "one"], ["y"], strides=(2, 2))], {}),
    "squeeze and excite": (
        [
            node("GlobalAveragePool", ["c"], ["p"]),
            node("Conv", ["p", "one"], ["q"]),
            node("Sigmoid", ["q"], ["r"]),
            node("Mul", ["c", "r"], ["y"]),
        ],
        {},
    ),
}


@pytest.mark.parametrize("follower", FOLLOWERS)
def test_what_follows_a_convolution_goes_along_with_its_layout(follower: str) -> None:
    nodes, constants = FOLLOWERS[follower]
    after = after_conv(*nodes, outputs=["y"], constants=constants)
    # One Transpose at the beginning and one at the end.
    assert transposes(after) == 2
    assert after.nodes[-1].op_type == "Transpose"


#: Readers that need the image in its own layout.
OTHERS: dict[str, tuple[list[Node], dict[str, Any]]] = {
    "no rule": ([node("Flatten", ["c"], ["y"])], {}),
    "indices": ([node("MaxPool", ["c"], ["y", "i"], kernel_shape=(2, 2))], {}),
    "axes dropped": ([node("ReduceMean", ["c"], ["y"], axes=(2, 3), keepdims=0)], {}),
    "all axes": ([node("ReduceMean", ["c"], ["y"])], {}),
    "axes that a run tells": (
        [node("Identity", ["a"], ["a2"]), node("ReduceMean", ["c", "a2"], ["y"], opset=18)],
        {"a": np.array([2, 3])},
    ),
    "a constant of more axes": ([node("Add", ["c", "k"], ["y"])], {"k": noise(2, 1, 1, 1, 1)}),
    "an old softmax": ([node("Softmax", ["c"], ["y"], opset=11)], {}),
    "training": (
        [node("BatchNormalization", ["c", "b", "b", "b", "v"], ["y", "m", "n"], training_mode=1)],
        {"v": np.abs(noise(4)) + 1},
    ),
    "an old sum": ([node("Add", ["c", "k"], ["y"], opset=6, broadcast=1, axis=1)], {"k": noise(4)}),
    "an old slope": ([node("PRelu", ["c", "k"], ["y"], opset=6)], {"k": noise(4)}),
    "an old normalization": (
        [node("BatchNormalization", ["c", "b", "b", "b", "v"], ["y"], opset=6, is_test=1)],
        {"v": np.abs(noise(4)) + 1},
    ),
    "an old pool": ([node("AveragePool", ["c"], ["y"], opset=6, kernel_shape=(2, 2))], {}),
}


@pytest.mark.parametrize("other", OTHERS)
def test_other_readers_get_the_image_in_its_own_layout(other: str) -> None:
    nodes, constants = OTHERS[other]
    after = after_conv(*nodes, outputs=["y"], constants=constants)
    kinds = operators(after)
    assert transposes(after) == 2
    for n in nodes:
        assert kinds[n.op_type] == 1
        assert any(m is n for m in after.nodes)


def test_an_image_that_several_readers_need_is_transposed_once() -> None:
    nodes = [
        node("Relu", ["c"], ["r"]),
        node("Flatten", ["r"], ["f"]),
        node("Shape", ["r"], ["s"]),
        node("CumSum", ["r", "k"], ["q"]),
        node("Conv", ["r", "one"], ["y"]),
    ]
    after = after_conv(*nodes, outputs=["f", "s", "q", "y", "r"], constants={"k": np.int64(1)})
    assert transposes(after) == 3  # x, r and y


def test_convolutions_of_one_image_share_its_transposition() -> None:
    nodes = [node("Conv", ["x", "w"], ["d"]), node("Add", ["c", "d"], ["y"])]
    assert transposes(after_conv(*nodes, outputs=["y"])) == 2


def test_images_that_come_with_the_channels_last_are_taken_as_they_are() -> None:
    """As TensorFlow's exporter writes it: transposed before and after."""
    nodes = [
        node("Transpose", ["x"], ["a"], perm=(0, 3, 1, 2)),
        node("Conv", ["a", "w"], ["c"]),
        node("Relu", ["c"], ["d"]),
        node("Transpose", ["d"], ["e"], perm=(0, 2, 3, 1)),
        node("Add", ["e", "bias"], ["f"]),
        node("Transpose", ["f"], ["g"], perm=(0, 3, 1, 2)),
        node("Conv", ["g", "one"], ["h"]),
        node("Transpose", ["h"], ["y"], perm=(0, 2, 3, 1)),
    ]
    graph = made(nodes, ["x"], ["y"], {"w": W, "one": ONE, "bias": B})
    after = check(graph, ["y"], noise(2, 5, 6, 3))
    assert transposes(after) == 0


def test_sound_with_the_channels_last_is_taken_as_it_is() -> None:
    """On one spatial axis the permutations there and back are the same."""
    nodes = [
        node("Transpose", ["x"], ["a"], perm=(0, 2, 1)),
        node("Conv", ["a", "w"], ["c"]),
        node("Transpose", ["c"], ["e"], perm=(0, 2, 1)),
        node("Tanh", ["e"], ["f"]),
        node("Transpose", ["f"], ["g"], perm=(0, 2, 1)),
        node("Conv", ["g", "one"], ["h"]),
        node("Transpose", ["h"], ["y"], perm=(0, 2, 1)),
    ]
    graph = made(nodes, ["x"], ["y"], {"w": noise(4, 3, 2), "one": noise(4, 4, 1)})
    assert transposes(check(graph, ["y"], noise(2, 7, 3))) == 0


def test_values_of_one_and_three_spatial_axes() -> None:
    for spatial in ((7,), (4, 3, 5)):
        w = noise(4, 3, *(2,) * len(spatial))
        nodes = [CONV, node("Relu", ["c"], ["r"]), node("GlobalMaxPool", ["r"], ["y"])]
        after = check(made(nodes, ["x"], ["y"], {"w": w, "b": B}), ["y"], noise(2, 3, *spatial))
        assert transposes(after) == 2
    # A Conv on more axes, or with weights that a run tells, is left alone.
    x = noise(1, 2, 2, 2, 2, 2)
    graph = made([node("Conv", ["x", "w"], ["y"])], ["x"], ["y"], {"w": noise(2, 2, 1, 1, 1, 1)})
    assert operators(check(graph, ["y"], x)) == {"Conv": 1}


def test_images_that_broadcast_do_so_in_either_layout() -> None:
    for shape in ((1, 4, 3, 4), (2, 1, 3, 4), (2, 4, 1, 1), (1, 1, 1, 1)):
        nodes = [CONV, node("Add", ["c", "z"], ["y"]), node("Conv", ["z", "v"], ["u"]), node("Mul", ["u", "c"], ["q"])]
        constants = {"w": W, "b": B, "v": noise(4, shape[1], 1, 1)}
        check(made(nodes, ["x", "z"], ["y", "q"], constants), ["y", "q"], X, noise(*shape))


def test_outputs_in_the_middle_keep_their_names_and_layout() -> None:
    nodes = [node("Relu", ["c"], ["r"]), node("Conv", ["r", "one"], ["y"])]
    after = after_conv(*nodes, outputs=["c", "r", "y", "x"])
    assert transposes(after) == 4


def test_a_subgraph_that_takes_an_image_gets_it_in_its_own_layout() -> None:
    then = Graph("then", (), (Value("p"),), (node("Flatten", ["c"], ["p"]),))
    otherwise = Graph("else", (), (Value("q"),), (node("Flatten", ["x"], ["q"]),))
    nodes = [
        node("ReduceMax", ["x"], ["m"], keepdims=0),
        node("Greater", ["m", "zero"], ["positive"]),
        node("If", ["positive"], ["y"], then_branch=then, else_branch=otherwise),
    ]
    after = after_conv(*nodes, outputs=["y"], constants={"zero": np.float32(0)})
    assert transposes(after) == 2


def test_initializers_of_graphs_around_are_constants_too() -> None:
    graph = made([node("Conv", ["x", "w", "b"], ["c"]), node("Mul", ["c", "k"], ["y"])], ["x"], ["y"])
    outer = {"w": W, "b": B, "k": noise(4, 1, 1)}
    after = channels_last(graph, frozenset(["y"]), outer)
    assert operators(after) == {"onnxlite.Conv": 1, "Mul": 1, "Transpose": 2}
    # What was brought into place for this graph is its own.
    assert not set(after.initializers) & set(outer)
    full = made(graph.nodes, ["x"], ["y"], outer)
    moved = made(after.nodes, ["x"], ["y"], {**outer, **after.initializers})
    assert_close(results(moved, ["y"], [X]), results(full, ["y"], [X]), ["y"])


def test_a_constant_image_is_transposed_beforehand() -> None:
    nodes = [node("Conv", ["k", "w"], ["c"]), node("Add", ["c", "x"], ["y"])]
    after = check(made(nodes, ["x"], ["y"], {"k": X, "w": W}), ["y"], noise(1))
    assert transposes(after) == 1


#: What no layout makes right: the error is that of the node, with its name.
WRONG: dict[str, tuple[list[Node], dict[str, Any]]] = {
    "axis of a reduction": ([node("ReduceMean", ["c"], ["y"], axes=(7,))], {}),
    "axis of a softmax": ([node("Softmax", ["c"], ["y"], axis=5)], {}),
    "axis of a concat": ([node("Concat", ["c", "c"], ["y"], axis=-6)], {}),
    "rank of a constant image": ([node("Conv", ["b", "one"], ["y"])], {}),
    "shape of statistics": ([node("BatchNormalization", ["c", "b", "b", "k", "b"], ["y"])], {"k": noise(2)}),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_stays_wrong(wrong: str) -> None:
    nodes, constants = WRONG[wrong]
    graph = made([CONV, *nodes], ["x"], ["y"], {"w": W, "b": B, "one": ONE, **constants})
    messages = []
    for version in (graph, channels_last(graph, frozenset(["y"]), {})):
        with pytest.raises(OnnxliteError) as raised:
            results(version, ["y"], [X])
        messages.append(str(raised.value).split("\n")[0])
    assert messages[0] == messages[1]
    assert f"'{nodes[-1].op_type} y'" in messages[0]


def test_training_draws_for_the_elements_in_their_own_order() -> None:
    """A seeded Dropout is repeatable, whatever the layout."""
    for n in (
        node("Dropout", ["c", "ratio", "training"], ["y"], seed=3),
        node("Dropout", ["c"], ["y"], opset=6, ratio=0.5),
    ):
        constants = {"w": W, "b": B, "ratio": np.float32(0.5), "training": np.array(True)}
        after = channels_last(made([CONV, n], ["x"], ["y"], constants), frozenset(["y"]), {})
        assert any(m is n for m in after.nodes)


def test_a_normalization_in_another_type_is_left_to_its_own_kernel() -> None:
    nodes = [
        node("Cast", ["c"], ["d"], to=11),
        node("BatchNormalization", ["d", "k", "k", "k", "v"], ["y"]),
    ]
    constants = {"k": noise(4).astype(np.float64), "v": np.abs(noise(4)).astype(np.float64) + 1}
    after = after_conv(*nodes, outputs=["y"], constants=constants)
    assert operators(after)["BatchNormalization"] == 1
