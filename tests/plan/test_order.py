"""Topological order: nodes may come in any order, cycles are spelled out; and what a graph reads from outside."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import parser

import onnxlite
from onnxlite.errors import InvalidGraph
from onnxlite.model import Graph, Node, Value, load_model
from onnxlite.model.order import captures, topological_order

quick = settings(max_examples=50, deadline=None, derandomize=True)


def node(output: str, *inputs: str, **attributes: object) -> Node:
    return Node("Sum", inputs, (output,), opset=13, attributes=attributes)


@st.composite
def acyclic(draw: st.DrawFn) -> list[Node]:
    """Nodes in topological order, each reading some of those before it."""
    count = draw(st.integers(1, 12))
    return [
        node(f"n{i}", *draw(st.lists(st.sampled_from(["x", *(f"n{j}" for j in range(i))]), min_size=1, max_size=3)))
        for i in range(count)
    ]


def is_ordered(nodes: tuple[Node, ...]) -> bool:
    made = {output for n in nodes for output in n.outputs}
    seen: set[str] = set()
    for n in nodes:
        if any(name in made and name not in seen for name in n.inputs):
            return False
        seen.update(n.outputs)
    return True


@quick
@given(st.data(), acyclic())
def test_shuffled_nodes_come_into_order(data: st.DataObject, nodes: list[Node]) -> None:
    ordered = topological_order(data.draw(st.permutations(nodes)), "graph")
    assert set(ordered) == set(nodes)
    assert is_ordered(ordered)


@quick
@given(acyclic())
def test_ordered_nodes_stay_as_they_are(nodes: list[Node]) -> None:
    assert topological_order(nodes, "graph") == tuple(nodes)


def test_the_given_order_decides_between_independent_nodes() -> None:
    a, b, c, d = node("a", "d"), node("b", "x"), node("c", "x"), node("d", "x")
    assert topological_order([a, b, c, d], "graph") == (b, c, d, a)


@quick
@given(st.data(), acyclic())
def test_shuffled_models_compute_the_same(data: st.DataObject, nodes: list[Node]) -> None:
    def result(ordered: list[Node]) -> np.ndarray:
        body = " ".join(f"{n.outputs[0]} = Sum ({', '.join(n.inputs)})" for n in ordered)
        proto = parser.parse_model(
            f'<ir_version: 8, opset_import: ["": 17]> g (float x) => (float {nodes[-1].outputs[0]}) {{ {body} }}'
        )
        return onnxlite.InferenceSession(proto).run(None, {"x": np.float32(1.5)})[0]

    assert result(data.draw(st.permutations(nodes))) == result(nodes)


def test_a_cycle_is_spelled_out() -> None:
    nodes = [node("a", "x"), node("b", "a", "d"), node("c", "b"), node("d", "c"), node("e", "d")]
    with pytest.raises(InvalidGraph, match=r"graph 'g' has a cycle: (Sum '-> .'( <- )?){4}$") as caught:
        topological_order(nodes, "graph 'g'")
    text = str(caught.value)
    assert [f"-> {name}" in text for name in "abcde"] == [False, True, True, True, False]


def test_a_node_that_reads_itself_is_a_cycle() -> None:
    with pytest.raises(InvalidGraph, match="cycle: Sum '-> a' <- Sum '-> a'"):
        topological_order([node("a", "a")], "graph")


def test_a_cycle_through_a_subgraph_is_found() -> None:
    body = Graph("body", (), (Value("inner"),), (node("inner", "late"),))
    nodes = [node("early", "c", then_branch=body), node("late", "early")]
    with pytest.raises(InvalidGraph, match="cycle"):
        topological_order(nodes, "graph")


def test_nodes_that_a_subgraph_reads_come_first() -> None:
    body = Graph("body", (), (Value("inner"),), (node("inner", "late"),))
    reader, late = node("early", "c", then_branch=body), node("late", "x")
    assert topological_order([reader, late], "graph") == (late, reader)


def test_captures_are_names_from_outside_in_the_order_of_first_use() -> None:
    deepest = Graph("deepest", (Value("i"),), (Value("far"),), (node("r", "i", "here", "near"),))
    body = Graph(
        name="body",
        inputs=(Value("i"),),
        outputs=(Value("r"), Value("passed")),
        nodes=(node("here", "i", "w", "near"), node("r", "here", "", body=deepest)),
        initializers={"w": np.zeros(1)},
    )
    assert captures(body) == ("near", "far", "passed")


def test_chains_longer_than_the_recursion_limit() -> None:
    count = 5000
    nodes = [node(f"n{i}", f"n{i - 1}" if i else "x") for i in range(count)]
    assert topological_order(nodes[::-1], "graph") == tuple(nodes)


def test_the_loader_orders_functions_too() -> None:
    model = load_model(
        parser.parse_model("""
        <ir_version: 10, opset_import: ["": 17, "mine": 1]> g (float x) => (float y) { y = mine.F (x) }
        <domain: "mine", opset_import: ["": 17]> F (a) => (c) { c = Exp (b) b = Neg (a) }""")
    )
    (function,) = model.functions.values()
    assert [n.op_type for n in function.nodes] == ["Neg", "Exp"]
