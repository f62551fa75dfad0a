"""Functions are replaced by their nodes: names, attributes, subgraphs, overloads, and limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, parser

import onnxlite
from onnxlite.errors import InvalidGraph
from onnxlite.model import Function, Graph, Node, Value, load_model
from onnxlite.passes.inline import inline_functions

X = np.array([1.0, -2.0], np.float32)
HEAD = '<ir_version: 10, opset_import: ["": 17, "mine": 1]>'
MINE = '<domain: "mine", opset_import: ["": 17, "mine": 1]>'


def run(text: str, **feeds: Any) -> list[Any]:
    return onnxlite.InferenceSession(parser.parse_model(text)).run(None, feeds)


def operators(text: str) -> list[str]:
    session = onnxlite.InferenceSession(parser.parse_model(text), providers=["ReferenceExecutionProvider"])
    return [step.node.op_type for step in session.plan.steps]


def test_calls_of_calls() -> None:
    text = f"""{HEAD} g (float[2] x) => (float[2] y) {{ y = mine.Outer (x) }}
        {MINE} Outer (a) => (b) {{ t = mine.Inner (a)  u = mine.Inner (t)  b = Neg (u) }}
        {MINE} Inner (a) => (b) {{ t = Abs (a)  b = Add (t, t) }}"""
    np.testing.assert_array_equal(run(text, x=X)[0], -4 * np.abs(X))
    assert operators(text) == ["Abs", "Add", "Abs", "Add", "Neg"]


def test_inner_names_carry_the_name_of_the_call() -> None:
    text = f"""{HEAD} g (float[2] x) => (float[2] y) {{ [one] t = mine.F (x)  y = mine.F (t) }}
        {MINE} F (a) => (b) {{ t = Abs (a)  b = Neg (t) }}"""
    session = onnxlite.InferenceSession(parser.parse_model(text), providers=["ReferenceExecutionProvider"])
    assert [step.node.outputs for step in session.plan.steps] == [("one/t",), ("t",), ("y/t",), ("y",)]
    np.testing.assert_array_equal(session.run(["one/t"], {"x": X})[0], np.abs(X))


def test_two_calls_of_one_name_stay_apart() -> None:
    text = f"""{HEAD} g (float[2] x) => (float[2] y, float[2] z) {{ [c] y = mine.F (x)  [c] z = mine.F (y) }}
        {MINE} F (a) => (b) {{ t = Exp (a)  b = Neg (t) }}"""
    y, z = run(text, x=X)
    np.testing.assert_allclose(y, -np.exp(X), rtol=1e-6)
    np.testing.assert_allclose(z, -np.exp(y), rtol=1e-6)


def test_a_value_of_the_graph_may_have_the_name_that_an_inner_one_would_get() -> None:
    proto = parser.parse_model(f"""{HEAD} g (float[2] x) => (float[2] y) {{
            w = Exp (x)  [c] t = mine.F (x)  y = Add (t, w) }}
        {MINE} F (a) => (b) {{ t = Abs (a)  b = Neg (t) }}""")
    proto.graph.node[0].output[0] = proto.graph.node[2].input[1] = "c/t"
    (y,) = onnxlite.InferenceSession(proto).run(None, {"x": X})
    np.testing.assert_allclose(y, np.exp(X) - np.abs(X), rtol=1e-6)


def test_names_of_the_call_do_not_meet_those_of_the_body() -> None:
    # The body's inner ``x`` and ``y`` are others than the graph's.
    text = f"""{HEAD} g (float[2] x) => (float[2] y) {{ t = Neg (x)  y = mine.F (t) }}
        {MINE} F (a) => (b) {{ x = Exp (a)  y = Abs (x)  b = Sub (y, a) }}"""
    np.testing.assert_allclose(run(text, x=X)[0], np.exp(-X) + X, rtol=1e-6)


def test_inputs_and_outputs_that_are_left_out() -> None:
    text = f"""{HEAD} g (float[2] x, float h) => (float[2] y, float[2] z) {{
            y = mine.Clipped (x)  , z = mine.Both (x) }}
        {MINE} Clipped (a, low, high) => (b) {{ b = Clip (a, low, high) }}
        {MINE} Both (a) => (p, q) {{ p = Exp (a)  q = Neg (p) }}"""
    y, z = run(text, x=X, h=np.float32(0))
    np.testing.assert_array_equal(y, X)
    np.testing.assert_allclose(z, -np.exp(X), rtol=1e-6)


def test_more_inputs_than_the_function_takes_are_refused() -> None:
    text = f"""{HEAD} g (float[2] x) => (float[2] y) {{ y = mine.F (x, x) }}
        {MINE} F (a) => (b) {{ b = Abs (a) }}"""
    with pytest.raises(InvalidGraph, match="gives 2 inputs to the function F, which takes 1"):
        run(text, x=X)


def test_an_output_that_is_an_input() -> None:
    text = f"""{HEAD} g (float[2] x) => (float[2] y, float[2] z) {{ y, z = mine.F (x) }}
        {MINE} F (a) => (a, b) {{ b = Neg (a) }}"""
    y, z = run(text, x=X)
    np.testing.assert_array_equal(y, X)
    np.testing.assert_array_equal(z, -X)


def test_one_output_given_twice() -> None:
    proto = parser.parse_model(f"""{HEAD} g (float[2] x) => (float[2] y, float[2] z) {{ y, z = mine.F (x) }}
        {MINE} F (a) => (b, c) {{ b = Neg (a)  c = Abs (a) }}""")
    proto.functions[0].output[1] = "b"
    for result in onnxlite.InferenceSession(proto).run(None, {"x": X}):
        np.testing.assert_array_equal(result, -X)


def test_attribute_references_take_the_call_s_value_or_the_default() -> None:
    proto = parser.parse_model(f"""{HEAD} g (float[2] x) => (float[2] y, float[2] z, float[2] w) {{
            y = mine.F (x)  z = mine.F <alpha = 0.5> (x)  w = mine.Outer <slope = 0.25> (x) }}
        {MINE} F <alpha : float = 0.125> (a) => (b) {{ b = LeakyRelu <alpha : float = @alpha> (a) }}
        {MINE} Outer <slope> (a) => (b) {{ b = mine.F <alpha : float = @slope> (a) }}""")
    results = onnxlite.InferenceSession(proto).run(None, {"x": X})
    for result, alpha in zip(results, (0.125, 0.5, 0.25), strict=True):
        np.testing.assert_array_equal(result, np.where(X < 0, alpha * X, X))


def test_a_reference_without_a_value_leaves_the_operator_its_default() -> None:
    text = f"""{HEAD} g (float[2] x) => (float[2] y) {{ y = mine.F (x) }}
        {MINE} F <alpha> (a) => (b) {{ b = LeakyRelu <alpha : float = @alpha> (a) }}"""
    np.testing.assert_array_equal(run(text, x=X)[0], np.where(X < 0, np.float32(0.01) * X, X))


BRANCHES = """b = If (c) <
    then_branch = t () => (float[2] p) { p = LeakyRelu <alpha : float = @alpha> (a) },
    else_branch = e () => (float[2] q) { s = mine.Twice (a)  q = Identity (s) }>"""


def test_references_and_calls_inside_subgraphs_of_a_body() -> None:
    text = f"""{HEAD} g (float[2] x, bool c) => (float[2] y) {{ y = mine.F <alpha = 0.5> (x, c) }}
        {MINE} F <alpha> (a, c) => (b) {{ {BRANCHES} }}
        {MINE} Twice (a) => (b) {{ b = Add (a, a) }}"""
    np.testing.assert_array_equal(run(text, x=X, c=np.array(True))[0], np.where(X < 0, X / 2, X))
    np.testing.assert_array_equal(run(text, x=X, c=np.array(False))[0], 2 * X)


def test_the_overload_decides() -> None:
    proto = parser.parse_model(f"""{HEAD} g (float[2] x) => (float[2] y, float[2] z) {{
            y = mine.F (x)  z = mine.F (x) }}
        {MINE} F (a) => (b) {{ b = Neg (a) }}
        {MINE} F (a) => (b) {{ b = Abs (a) }}""")
    proto.functions[1].overload = proto.graph.node[1].overload = "absolute"
    y, z = onnxlite.InferenceSession(proto).run(None, {"x": X})
    np.testing.assert_array_equal(y, -X)
    np.testing.assert_array_equal(z, np.abs(X))


def test_a_function_has_its_own_opset() -> None:
    # Softmax before version 13 takes all axes from ``axis`` (by default 1) on together.
    text = """<ir_version: 10, opset_import: ["": 17, "mine": 1]>
        g (float[2, 2, 2] x) => (float[2, 2, 2] y) { y = mine.F (x) }
        <domain: "mine", opset_import: ["": 11]> F (a) => (b) { b = Softmax (a) }"""
    x = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    (y,) = run(text, x=x)
    np.testing.assert_allclose(y.sum((1, 2)), 1, rtol=1e-6)


def test_a_function_goes_before_the_operator_of_its_name() -> None:
    text = """<ir_version: 10, opset_import: ["": 17]> g (float[2] x) => (float[2] y) { y = Relu (x) }
        <domain: "", opset_import: ["": 17]> Relu (a) => (b) { b = Neg (a) }"""
    np.testing.assert_array_equal(run(text, x=X)[0], -X)


def doubling(levels: int, last: str) -> str:
    """Functions of which each calls the next twice."""
    functions = "".join(
        f"{MINE} F{i} (a) => (b) {{ t = mine.F{i + 1} (a)  b = mine.F{i + 1} (t) }}\n" for i in range(levels)
    )
    return f"""{HEAD} g (float[2] x) => (float[2] y) {{ y = mine.F0 (x) }}
        {functions} {MINE} F{levels} (a) => (b) {{ {last} }}"""


def test_an_expansion_that_explodes_is_refused_before_it_is_tried() -> None:
    run(doubling(11, "b = Abs (a)"), x=X)
    with pytest.raises(InvalidGraph, match="expand to 3298534883327 nodes and calls, more than 1000000"):
        run(doubling(40, "b = Abs (a)"), x=X)


def test_calls_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxlite.passes.inline.MAX_NODES", 10_000)
    function = Function("mine", "Nothing", "", ("a",), (), ())
    calls = tuple(Node("Nothing", ("x",), (), domain="mine") for _ in range(100))
    many = Function("mine", "Many", "", ("x",), (), calls)
    outer = Graph("g", (Value("x"),), (), tuple(Node("Many", ("x",), (), domain="mine") for _ in range(100)))
    known = {"Nothing": function, "Many": many}
    with pytest.raises(InvalidGraph, match="expand to more than 10000 nodes and calls"):
        inline_functions(outer, lambda node, types: known.get(node.op_type))


def test_calls_nested_too_deeply_are_refused() -> None:
    functions = {f"F{i}": Function("mine", f"F{i}", "", ("a",), ("b",), (call(f"F{i + 1}"),)) for i in range(5000)}
    graph = Graph("g", (Value("a"),), (Value("b"),), (call("F0"),))
    with pytest.raises(InvalidGraph, match="nested too deeply"):
        inline_functions(graph, lambda node, types: functions.get(node.op_type))


def call(name: str) -> Node:
    return Node(name, ("a",), ("b",), domain="mine")


@pytest.mark.parametrize("through", ["F (a)", "G (a)"])
def test_recursion_is_refused(through: str) -> None:
    text = f"""{HEAD} g (float[2] x) => (float[2] y) {{ y = mine.F (x) }}
        {MINE} F (a) => (b) {{ b = mine.{through} }}
        {MINE} G (a) => (b) {{ b = mine.F (a) }}"""
    circle = "F -> F" if through == "F (a)" else "F -> G -> F"
    with pytest.raises(InvalidGraph, match=f"functions call each other in a circle: {circle}"):
        run(text, x=X)


def test_recursion_through_a_subgraph_is_refused() -> None:
    text = f"""{HEAD} g (float[2] x, bool c) => (float[2] y) {{ y = mine.F (x, c) }}
        {MINE} F (a, c) => (b) {{ b = If (c) <then_branch = t () => (float[2] p) {{ p = mine.F (a, c) }},
            else_branch = e () => (float[2] q) {{ q = Identity (a) }}> }}"""
    with pytest.raises(InvalidGraph, match="circle: F -> F"):
        run(text, x=X, c=np.array(True))


def test_graphs_without_calls_are_left_alone() -> None:
    graph = load_model(parser.parse_model(f"{HEAD} g (float[2] x) => (float[2] y) {{ y = Abs (x) }}")).graph
    assert inline_functions(graph, lambda node, types: None) is graph


def test_the_resolver_knows_the_types_at_each_call() -> None:
    proto = parser.parse_model(f"""{HEAD} g (float[2] x, bool c) => (int64[2] y) {{
        i = Cast <to = 7> (x)
        y = If (c) <then_branch = t () => (int64[2] p) {{ k = Neg (i)  p = Abs (k) }},
                    else_branch = e () => (int64[2] q) {{ q = Identity (i) }}> }}""")
    seen: dict[str, str] = {}

    def resolve(node: Node, types: Any) -> None:
        seen[node.op_type] = str(types.get(node.inputs[0]))

    inline_functions(load_model(proto).graph, resolve)
    assert seen == {
        "Cast": "tensor(float)",
        "If": "tensor(bool)",
        "Neg": "tensor(int64)",
        "Abs": "tensor(int64)",
        "Identity": "tensor(int64)",
    }


def test_a_large_graph_is_inlined_in_one_walk() -> None:
    count = 5_000
    nodes = [helper.make_node("F", [f"n{i}"], [f"n{i + 1}"], domain="mine") for i in range(count)]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("n0", 1, [2])],
        [helper.make_tensor_value_info(f"n{count}", 1, [2])],
    )
    body = helper.make_function("mine", "F", ["a"], ["b"], [helper.make_node("Neg", ["a"], ["b"])], [
        helper.make_opsetid("", 17)
    ])  # fmt: skip
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
    model = load_model(helper.make_model(graph, functions=[body], opset_imports=imports, ir_version=10))
    calls = 0

    def resolve(node: Node, types: Any) -> Function | None:
        nonlocal calls
        calls += 1
        return model.functions.get((node.domain, node.op_type, ""))

    assert len(inline_functions(model.graph, resolve).nodes) == count
    assert calls <= 3 * count  # the call and its node, and the node once more to see that nothing is left


def test_onnx_itself_accepts_these_models() -> None:
    text = f"""{HEAD} g (float[2] x, bool c) => (float[2] y) {{ y = mine.F <alpha = 0.5> (x, c) }}
        {MINE} F <alpha> (a, c) => (b) {{ {BRANCHES} }}
        {MINE} Twice (a) => (b) {{ b = Add (a, a) }}"""
    onnx.checker.check_model(parser.parse_model(text))
