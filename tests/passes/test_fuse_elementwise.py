"""Joining elementwise nodes: the same results, what must remain remains, and nothing becomes more work."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.differential import assert_same
from onnxlite.kernels.dtypes import element_type
from onnxlite.kernels.expression import operator_of
from onnxlite.model import Graph, Node, Value
from onnxlite.model.types import TensorType
from onnxlite.passes.fuse_elementwise import fuse_elementwise
from onnxlite.plan import Binding, bind, execute, run_plan
from onnxlite.providers import create_provider

OPSET = 21


def node(op_type: str, inputs: str, output: str, opset: int = OPSET, **attributes: Any) -> Node:
    """A node; the names of its inputs are separated by spaces."""
    return Node(op_type, tuple(inputs.split()), (output,), name=output, opset=opset, attributes=attributes)


def graph(
    nodes: Sequence[Node],
    shapes: Mapping[str, tuple[int | str, ...] | None],
    outputs: str = "y",
    constants: Mapping[str, Any] | None = None,
) -> Graph:
    """A graph of float32 inputs of some shapes (None: of unknown rank)."""
    inputs = tuple(Value(name, TensorType(element_type(np.float32), shape)) for name, shape in shapes.items())
    arrays = {name: np.asarray(value) for name, value in (constants or {}).items()}
    return Graph("g", inputs, tuple(map(Value, outputs.split())), tuple(nodes), arrays)


def operators(fused: Graph) -> list[list[str]]:
    """For each node that is left, the operators in it."""
    return [
        [str(step[0]) if step[0] == "Constant" else operator_of(step)[0] for step in n.attributes["expression"]]
        if n.op_type == "Elementwise"
        else [n.op_type]
        for n in fused.nodes
    ]


def fuse(*arguments: Any, keep: str = "", **more: Any) -> list[list[str]]:
    return operators(fuse_elementwise(graph(*arguments, **more), frozenset(keep.split())))


def check(original: Graph, inputs: Sequence[Any], keep: str = "") -> Graph:
    """The fused graph gives what the reference gives of the original, compiled and by its own reference."""
    fused = fuse_elementwise(original, frozenset(keep.split()))
    wanted = [value.name for value in original.outputs] + keep.split()
    reference = create_provider("ReferenceExecutionProvider", {})
    providers = [create_provider("CPUExecutionProvider", {}), reference]
    with np.errstate(all="ignore"):
        expected = execute(bind(original, wanted, Binding([reference])), inputs)
        slow = execute(bind(fused, wanted, Binding([reference])), inputs)
        plan = bind(fused, wanted, Binding(providers, threads=1, wait_for_compiler=True))
        runs = [run_plan(plan, inputs) for _ in range(2)]
    for actual in (slow, *runs):
        for got, right in zip(actual, expected, strict=True):
            assert_same(got, right, rtol=1e-4, atol=1e-5)
    return fused


SOFT = [node("Exp", "x", "a"), node("Add", "a one", "b"), node("Log", "b", "y")]


def test_a_chain_becomes_one_node() -> None:
    original = graph(SOFT, {"x": ("N", 4)}, constants={"one": np.float32(1)})
    fused = check(original, [np.ones((3, 4), np.float32)])
    (only,) = fused.nodes
    assert only.domain == "onnxlite"
    assert only.inputs == ("x", "one")
    assert only.outputs == ("y",)
    assert only.attributes["expression"] == (("Exp-13", "x0"), ("Add-14", "t0", "x1"), ("Log-13", "t1"))
    assert only.description == "Exp 'a' Add 'b' Log 'y'"


def test_a_node_that_stays_alone_is_left_as_it_is() -> None:
    original = graph([node("MatMul", "x x", "a"), node("Exp", "a", "b"), node("MatMul", "b x", "y")], {"x": (3, 3)})
    assert fuse_elementwise(original, frozenset()) is original


@pytest.mark.parametrize("keep", ["a", "b"])
def test_values_to_keep_remain(keep: str) -> None:
    original = graph(SOFT, {"x": ("N", 4)}, constants={"one": np.float32(1)})
    fused = check(original, [np.ones((3, 4), np.float32)], keep)
    assert keep in {name for n in fused.nodes for name in n.outputs}
    assert operators(fused) == ([["Exp"], ["Add", "Log"]] if keep == "a" else [["Exp", "Add"], ["Log"]])


def test_outputs_of_the_graph_remain() -> None:
    assert fuse(SOFT, {"x": ("N",)}, "b y", {"one": np.float32(1)}) == [["Exp", "Add"], ["Log"]]


def test_what_others_read_remains() -> None:
    nodes = [*SOFT[:2], node("Log", "b", "c"), node("MatMul", "b c", "y")]
    assert fuse(nodes, {"x": (4, 4)}, constants={"one": np.float32(1)}) == [["Exp", "Add"], ["Log"], ["MatMul"]]


def test_what_a_subgraph_reads_remains() -> None:
    body = Graph("body", (), (Value("b2"),), (node("Neg", "a", "b2"),))
    choice = Node("If", ("c",), ("z",), opset=OPSET, attributes={"then_branch": body, "else_branch": body})
    original = graph([node("Exp", "x", "a"), node("Log", "a", "y"), choice], {"x": (4,), "c": ()}, "y z")
    assert operators(fuse_elementwise(original, frozenset())) == [["Exp"], ["Log"], ["If"]]


def test_readers_inside_the_group_are_no_hindrance() -> None:
    nodes = [node("Add", "x x", "a"), node("Sigmoid", "a", "b"), node("Mul", "a b", "c"), node("Sub", "c a", "y")]
    original = graph(nodes, {"x": None})
    (only,) = check(original, [np.linspace(-3, 3, 7, dtype=np.float32)]).nodes
    assert only.inputs == ("x",)


def test_a_group_stands_where_its_last_member_stood() -> None:
    """The first member may come before nodes that the last one needs."""
    nodes = [node("Exp", "x", "a"), node("MatMul", "x x", "m"), node("Add", "a m", "b"), node("Neg", "b", "y")]
    fused = check(graph(nodes, {"x": (3, 3)}), [np.eye(3, dtype=np.float32)])
    assert operators(fused) == [["MatMul"], ["Exp", "Add", "Neg"]]


def test_two_groups_that_need_each_other_stay_apart() -> None:
    """Exp and Neg cannot be one node: the product between them reads the one and feeds the other."""
    nodes = [node("Exp", "x", "a"), node("MatMul", "a x", "m"), node("Add", "a m", "b"), node("Neg", "b", "y")]
    assert fuse(nodes, {"x": (3, 3)}) == [["Exp"], ["MatMul"], ["Add", "Neg"]]


@pytest.mark.parametrize(
    ("x", "row", "expected"),
    [
        # An exponential of a row would be computed again for every row of the output.
        (("N", 400), (1, 400), [["Exp"], ["Add", "Log"]]),
        ((8, 400), (400,), [["Exp"], ["Add", "Log"]]),
        ((8, 400), (8, 400), [["Exp", "Add", "Log"]]),
        (("N", "M"), ("N", "M"), [["Exp", "Add", "Log"]]),
        # Where nothing is known, only what is cheap is joined.
        (None, None, [["Exp"], ["Add", "Log"]]),
        (("N", 400), (None, 400), [["Exp"], ["Add", "Log"]]),
    ],
)
def test_nothing_is_computed_for_more_elements_than_it_has(x: Any, row: Any, expected: Any) -> None:
    nodes = [node("Exp", "row", "a"), node("Add", "x a", "b"), node("Log", "b", "y")]
    assert fuse(nodes, {"x": x, "row": row}) == expected


def test_cheap_operators_are_joined_where_shapes_are_not_known() -> None:
    nodes = [node("Mul", "z h", "a"), node("Mul", "r n", "b"), node("Add", "a b", "y")]
    assert fuse(nodes, dict.fromkeys("zhrn")) == [["Mul", "Mul", "Add"]]


def test_constants_do_not_hide_that_shapes_are_equal() -> None:
    nodes = [node("MatMul", "x w", "m"), node("Add", "m bias", "a"), node("Tanh", "a", "b"), node("Mul", "b m", "y")]
    constants = {"w": np.ones((4, 6), np.float32), "bias": np.ones(6, np.float32)}
    for shape in (("N", 4), None):
        assert fuse(nodes, {"x": shape}, constants=constants) == [["MatMul"], ["Add", "Tanh", "Mul"]]


def test_short_rows_do_not_slow_down_others() -> None:
    nodes = [node("Mul", "x column", "a"), node("Exp", "a", "b"), node("Tanh", "b", "y")]
    assert fuse(nodes, {"x": ("N", 4), "column": ("N", 1)}) == [["Mul"], ["Exp", "Tanh"]]
    assert fuse(nodes, {"x": ("N", 400), "column": ("N", 1)}) == [["Mul", "Exp", "Tanh"]]


def test_what_shapes_decide_is_left_to_be_folded() -> None:
    nodes = [
        node("Shape", "x", "s"),
        node("Mul", "s two", "d"),
        node("Add", "d two", "e"),
        node("Expand", "x e", "y"),
    ]
    assert fuse(nodes, {"x": ("N", 4)}, constants={"two": np.array([2, 2])}) == [
        ["Shape"],
        ["Mul"],
        ["Add"],
        ["Expand"],
    ]


def test_versions_that_broadcast_along_an_axis_are_left_alone() -> None:
    nodes = [node("Add", "x b", "a", 6, broadcast=1, axis=0), node("Exp", "a", "c", 6), node("Sqrt", "c", "y", 6)]
    assert fuse(nodes, {"x": (3, 4), "b": (3,)}) == [["Add"], ["Exp", "Sqrt"]]


def test_types_without_compiled_kernels_are_left_alone() -> None:
    nodes = [node("Cast", "x", "h", to=10), node("Exp", "h", "a"), node("Neg", "a", "b"), node("Cast", "b", "y", to=1)]
    assert len(fuse(nodes, {"x": (4,)})) == 4
    unknown = [node("Own", "x", "o"), node("Exp", "o", "a"), node("Neg", "a", "y")]
    assert fuse(unknown, {"x": (4,)}) == [["Own"], ["Exp"], ["Neg"]]


def test_operators_that_work_one_by_one_do_not_hold_up_others() -> None:
    nodes = [node("Mod", "x x", "a", fmod=1), node("Exp", "a", "b"), node("Neg", "b", "y")]
    assert fuse(nodes, {"x": (4,)}) == [["Mod"], ["Exp", "Neg"]]


def test_the_types_of_operators_without_a_schema_are_those_of_their_inputs() -> None:
    product = Node("MatMul", ("x", "w"), ("m",), domain="onnxlite", opset=1)
    nodes = [product, node("Exp", "m", "a"), node("Neg", "a", "y")]
    assert fuse(nodes, {"x": (4, 4), "w": (4, 4)}) == [["MatMul"], ["Exp", "Neg"]]


def test_groups_have_an_end() -> None:
    names = ["x", *(f"t{i}" for i in range(99)), "y"]
    nodes = [node("Neg", source, target) for source, target in itertools.pairwise(names)]
    sizes = [len(group) for group in fuse(nodes, {"x": (4,)})]
    assert sum(sizes) == 100
    assert max(sizes) <= 32


def test_constants_of_the_graphs_around_are_constants() -> None:
    original = graph([node("Add", "x c", "a"), node("Exp", "a", "b"), node("Mul", "b x", "y")], {"x": None})
    fused = fuse_elementwise(original, frozenset(), {"c": np.float32(2)})
    assert operators(fused) == [["Add", "Exp", "Mul"]]


# Random graphs.

UNARY = ("Neg", "Abs", "Sigmoid", "Tanh", "Relu", "LeakyRelu", "Erf", "Identity", "Floor", "Softplus")
BINARY = ("Add", "Sub", "Mul", "Max", "Min")


@st.composite
def random_graphs(draw: st.DrawFn) -> tuple[Graph, list[Any], str]:
    """A graph over inputs of shapes that broadcast together, the inputs, and names of values to keep."""
    shapes = draw(st.lists(st.sampled_from([(3, 4), (1, 4), (3, 1), (4,), ()]), min_size=1, max_size=3))
    names = [f"x{i}" for i in range(len(shapes))]
    constants = {"c0": np.float32(0.5), "c1": np.linspace(-1, 1, 4, dtype=np.float32)}
    truths: list[str] = []
    nodes: list[Node] = []
    for index in range(draw(st.integers(1, 14))):
        values = st.sampled_from([*names, *constants])
        recent = st.sampled_from(names[-3:])
        kind = draw(st.sampled_from(["unary", "binary", "binary", "compare", "where", "cast", "barrier"]))
        output = f"v{index}"
        if kind == "compare":
            nodes.append(node("Less", f"{draw(recent)} {draw(values)}", output))
            truths.append(output)
            continue
        if kind == "where" and truths:
            nodes.append(node("Where", f"{draw(st.sampled_from(truths))} {draw(recent)} {draw(values)}", output))
        elif kind == "cast" and truths:
            nodes.append(node("Cast", draw(st.sampled_from(truths)), output, to=1))
        elif kind == "barrier":
            nodes.append(node("CumSum", f"{draw(recent)} zero", output))
            if not _has_axis(nodes[-1], dict(zip(names, shapes, strict=False))):
                nodes.pop()
                continue
        elif kind == "unary":
            nodes.append(node(draw(st.sampled_from(UNARY)), draw(recent), output))
        else:
            nodes.append(node(draw(st.sampled_from(BINARY)), f"{draw(recent)} {draw(values)}", output))
        names.append(output)
    results = names[-1:] if nodes else names
    keep = draw(st.lists(st.sampled_from(names[len(shapes) :] or results), max_size=2, unique=True))
    known = draw(st.booleans())
    declared = {f"x{i}": shape if known else None for i, shape in enumerate(shapes)}
    built = graph(nodes, declared, " ".join(results), {**constants, "zero": np.array(0)})
    generator = np.random.default_rng(draw(st.integers(0, 99)))
    inputs = [generator.standard_normal(shape).astype(np.float32) for shape in shapes]
    return built, inputs, " ".join(name for name in keep if name not in results)


def _has_axis(barrier: Node, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether the input is one of the graph's that has an axis: what is computed may have none."""
    return len(shapes.get(barrier.inputs[0], ())) > 0


@settings(max_examples=30, deadline=None, derandomize=True)
@given(random_graphs())
def test_random_graphs_give_the_same(case: tuple[Graph, list[Any], str]) -> None:
    original, inputs, keep = case
    fused = check(original, inputs, keep)
    assert len(fused.nodes) <= len(original.nodes)
    made = {name for n in fused.nodes for name in n.outputs}
    for name in (*keep.split(), *(value.name for value in original.outputs)):
        assert name in made or not original.nodes
