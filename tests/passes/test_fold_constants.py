"""The pass that computes what depends on constants alone."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from onnxlite.model import Graph, Node, Value
from onnxlite.passes import fold_constants as module
from onnxlite.passes.fold_constants import fold_constants

sys.path.append(str(Path(__file__).parents[1] / "graphs"))
from image_graphs import made, node, operators, results
from program_graphs import Sketch, reference, sketches

SETTINGS = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
X = np.array([[1, -2, 3], [4, 5, -6]], np.float32)
W = np.array([[2, 0, 1], [-1, 1, 3]], np.float32)


def same(actual: Sequence[Any], expected: Sequence[Any]) -> None:
    for one, other in zip(actual, expected, strict=True):
        if isinstance(other, list):
            same(one, other)
        else:
            np.testing.assert_array_equal(one, other, strict=True)


def folded(*nodes: Node, outputs: Sequence[str] = ("y",), **constants: Any) -> Graph:
    """What becomes of a graph, which must give the same results."""
    graph = made(nodes, ["x"], outputs, constants)
    after = fold_constants(graph, {}, [reference()])
    same(results(after, outputs, [X]), results(graph, outputs, [X]))
    return after


@SETTINGS
@given(sketches())
def test_random_graphs_give_the_same_results(drawn: tuple[Sketch, list[str]]) -> None:
    sketch, outputs = drawn
    graph, given = sketch.graph(outputs), list(sketch.inputs.values())
    after = fold_constants(graph, {}, [reference()])
    same(results(after, outputs, given), results(graph, outputs, given))
    constant = set(sketch.initializers)
    for n in graph.nodes:
        if n.op_type in ("Add", "Mul", "Neg", "Reshape", "Concat", "Gather") and constant.issuperset(n.inputs):
            constant.update(n.outputs)
            assert all(n is not other for other in after.nodes)


def test_chains_of_constants_are_computed() -> None:
    nodes = [
        node("Transpose", ["w"], ["t"]),
        node("Shape", ["t"], ["s"]),
        node("Gather", ["s", "last"], ["n"]),
        node("Cast", ["n"], ["f"], to=1),
        node("MatMul", ["x", "t"], ["p"]),
        node("Mul", ["p", "f"], ["y"]),
    ]
    after = folded(*nodes, w=W, last=np.array([1]))
    assert operators(after) == {"MatMul": 1, "Mul": 1}
    np.testing.assert_array_equal(after.initializers["f"], [2])


def test_several_outputs_and_outputs_left_out() -> None:
    nodes = [
        node("TopK", ["w", "one"], ["most", "where"]),
        node("TopK", ["w", "one"], ["", "place"]),
        node("Split", ["w"], ["left", "right"], axis=0),
        node("Dropout", ["w"], ["kept"]),
        node("Add", ["x", "most"], ["y"]),
    ]
    after = folded(*nodes, outputs=["y", "where", "place", "left", "right", "kept"], w=W, one=np.array([1]))
    # Dropout may draw random numbers.
    assert operators(after) == {"Add": 1, "Dropout": 1}


def test_optional_inputs_that_are_left_out() -> None:
    after = folded(node("Clip", ["w", "", "one"], ["c"]), node("Add", ["x", "c"], ["y"]), w=W, one=np.float32(1))
    assert operators(after) == {"Add": 1}


def test_results_are_read_only_as_initializers_are() -> None:
    after = folded(node("Neg", ["w"], ["c"]), node("Identity", ["w"], ["i"]), node("Add", ["x", "c"], ["y"]), w=W)
    for name in ("c", "i"):
        assert not after.initializers[name].flags.writeable


#: Nodes on constants that are left, with a reader of their results.
LEFT: dict[str, tuple[list[Node], dict[str, Any]]] = {
    "random numbers": (
        [node("RandomUniformLike", ["w"], ["r"]), node("Shape", ["r"], ["s"]), node("Expand", ["one", "s"], ["y"])],
        {"one": np.float32(1)},
    ),
    "a large result of few numbers": ([node("Expand", ["w", "shape"], ["y"])], {"shape": np.array([5, 2, 3])}),
    "a range": (
        [node("Range", ["zero", "many", "one"], ["y"])],
        {"zero": np.int64(0), "many": np.int64(9), "one": np.int64(1)},
    ),
    "a sequence": (
        [node("SequenceConstruct", ["w", "w"], ["s"]), node("SequenceAt", ["s", "zero"], ["y"])],
        {"zero": np.int64(0)},
    ),
    "nothing constant": ([node("Neg", ["x"], ["y"])], {}),
    "no inputs": ([node("Constant", [], ["y"], value_float=2.0)], {}),
}


@pytest.mark.parametrize("left", LEFT)
def test_what_is_left(left: str) -> None:
    nodes, constants = LEFT[left]
    graph = made(nodes, ["x"], ["y"], {"w": W, **constants})
    assert fold_constants(graph, {}, [reference()]).nodes == tuple(nodes)


def test_an_operator_of_another_domain_is_left() -> None:
    mine = Node("Neg", ("w",), ("y",), domain="mine")
    assert fold_constants(made([mine], [], ["y"], {"w": W}), {}, [reference()]).nodes == (mine,)


def test_what_fails_is_left_for_the_run_to_say() -> None:
    wrong = [
        node("Gather", ["w", "far"], ["y"]),
        node("Reshape", ["w", "far"], ["z"]),
        node("ConstantOfShape", ["below"], ["u"]),
        node("ConstantOfShape", ["one"], ["v"]),
    ]
    constants = {"w": W, "far": np.array([7]), "below": np.array([-1]), "one": np.int64(3)}
    after = fold_constants(made(wrong, [], ["y"], constants), {}, [reference()])
    assert after.nodes[:3] == tuple(wrong[:3])


def test_a_subgraph_is_left_and_what_it_takes_is_folded() -> None:
    then = Graph("then", (), (Value("p"),), (node("Mul", ["c", "x"], ["p"]),))
    otherwise = Graph("else", (), (Value("q"),), (node("Add", ["c", "x"], ["q"]),))
    nodes = [node("Neg", ["w"], ["c"]), node("If", ["yes"], ["y"], then_branch=then, else_branch=otherwise)]
    after = folded(*nodes, w=W, yes=np.array(True))
    assert after.nodes == (nodes[1],)


def test_initializers_of_graphs_around_are_constants() -> None:
    graph = made([node("Neg", ["w"], ["c"]), node("Add", ["x", "c"], ["y"])], ["x"], ["y"])
    after = fold_constants(graph, {"w": W}, [reference()])
    assert operators(after) == {"Add": 1}
    assert set(after.initializers) == {"c"}


def test_no_more_is_computed_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_BYTES", 100)
    nodes = [
        node("Neg", ["w"], ["a"]),  # 24 bytes
        node("Concat", ["w", "w", "w", "w"], ["b"], axis=0),  # 96
        node("Abs", ["w"], ["c"]),  # 24
        node("ConstantOfShape", ["shape"], ["d"]),  # 8 * 7, as the size of an element is not looked up
        node("ConstantOfShape", ["small"], ["e"]),
        node("Sum", ["a", "c", "x"], ["y"]),
    ]
    after = folded(*nodes, outputs=["y", "b", "d", "e"], w=W, shape=np.array([7]), small=np.array([3]))
    assert [n.outputs[0] for n in after.nodes] == ["b", "d", "y"]
