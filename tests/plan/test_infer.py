"""Element types of inner values: from declarations, schemas, attributes and the bodies of control flow."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import parser

from onnxlite.conformance.cases import load_cases
from onnxlite.model import Graph, Model, Node, TensorType, Value, load_model
from onnxlite.plan.infer import body_types, infer_types


def loaded(text: str, opset: int = 18) -> Model:
    return load_model(parser.parse_model(f'<ir_version: 10, opset_import: ["": {opset}, "mine": 1]> {text}'))


def types_of(text: str, opset: int = 18) -> dict[str, str]:
    return {name: str(kind) for name, kind in infer_types(loaded(text, opset).graph, {}).items()}


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("y = Neg (x)", "tensor(float)"),
        ("t = Neg (x) y = Exp (t)", "tensor(float)"),
        ("y = Shape (x)", "tensor(int64)"),
        ("y = Equal (x, x)", "tensor(bool)"),
        ("y = Cast <to = 11> (x)", "tensor(double)"),
        ("y = CastLike (x, i)", "tensor(int64)"),
        ("i2 = ArgMax (x) y = Add (i2, i)", "tensor(int64)"),
        ("t, y = TopK (x, i)", "tensor(int64)"),
        ("y, t = TopK (x, i)", "tensor(float)"),
        ("y = Constant <value = int8[1] {1}> ()", "tensor(int8)"),
        ("y = Constant <value_float = 1.0> ()", "tensor(float)"),
        ("y = Constant <value_ints = [1, 2]> ()", "tensor(int64)"),
        ('y = Constant <value_string = "a"> ()', "tensor(string)"),
        ("y = ConstantOfShape (i)", "tensor(float)"),
        ("y = ConstantOfShape <value = uint8[1] {1}> (i)", "tensor(uint8)"),
        ("y = EyeLike <dtype = 7> (x)", "tensor(int64)"),
        ("y = EyeLike (x)", "tensor(float)"),
        ("y = Bernoulli (x)", "tensor(float)"),
        ("y = Multinomial (x)", "tensor(int32)"),
        ("y = HannWindow (i)", "tensor(float)"),
        ("y = RandomNormal <dtype = 11, shape = [1]> ()", "tensor(double)"),
        ("y = OneHot (i, i, x)", "tensor(float)"),
        ("y = Where (b, i, i)", "tensor(int64)"),
        ("y = DequantizeLinear (q, x)", "tensor(float)"),
        ("q2, s, y = DynamicQuantizeLinear (x)", "tensor(uint8)"),
        ("y = SequenceConstruct (x, x)", "seq(tensor(float))"),
        ("s = SequenceConstruct (i) y = SequenceAt (s, i)", "tensor(int64)"),
        ("s = SequenceConstruct (x) y = SequenceInsert (s, x)", "seq(tensor(float))"),
        ("s = SequenceConstruct (x) y = ConcatFromSequence <axis = 0> (s)", "tensor(float)"),
        ("y = SplitToSequence (x)", "seq(tensor(float))"),
        ("y = Dropout (x)", "tensor(float)"),
        ("t, y = Dropout (x)", "tensor(bool)"),
    ],
)
def test_outputs_of_operators(nodes: str, expected: str) -> None:
    types = types_of(f"g (float[2] x, int64[1] i, bool[2] b, uint8[2] q) => (y) {{ {nodes} }}")
    assert types["y"] == expected


def test_what_cannot_be_told_is_absent() -> None:
    types = types_of("g (float[2] x) => (y) { t = mine.Custom (x) u = Neg (t) y = Shape (u) }")
    assert types == {"x": "tensor(float)", "y": "tensor(int64)"}


def test_declared_types_go_before_inferred_ones_and_keep_their_shapes() -> None:
    types = infer_types(loaded("g (float[2] x) => (float[N] y) <float[2] t> { t = Neg (x) y = mine.F (t) }").graph, {})
    assert {name: repr(kind) for name, kind in types.items()} == {"x": "float[2]", "t": "float[2]", "y": "float[N]"}


def test_a_declaration_without_an_element_type_is_completed() -> None:
    neg = Node("Neg", ("x",), ("y",), opset=13)
    (x,) = loaded("g (float[2] x) => (float[2] y) { y = Neg (x) }").graph.inputs
    graph = Graph("g", (x,), (Value("y", TensorType(None, (2,))),), (neg,))
    assert str(infer_types(graph, {})["y"]) == "tensor(float)"


def test_initializers_have_their_own_type() -> None:
    graph = Graph("g", (), (), (), {"w": np.zeros((2, 3), np.float16)})
    assert repr(infer_types(graph, {})["w"]) == "float16[2,3]"


def test_results_of_control_flow() -> None:
    types = types_of("""g (float[2] x, int64 n, bool c) => (a, s, all, z, scanned) {
        a = If (c) <then_branch = t () => (p) { p = Shape (x) }, else_branch = e () => (q) { q = Shape (x) }>
        s, all = Loop (n, c, x) <body = b (int64 i, bool k, v) => (k2, v2, e) {
            k2 = Identity (k)  v2 = Neg (v)  e = Size (v) }>
        z, scanned = Scan <num_scan_inputs = 1, body = b2 (u, w) => (u2, e2) {
            u2 = Add (u, w)  e2 = Greater (u, w) }> (x, x) }""")
    assert [types[name] for name in ("a", "s", "all", "z", "scanned")] == [
        "tensor(int64)",
        "tensor(float)",
        "tensor(int64)",
        "tensor(float)",
        "tensor(bool)",
    ]


def test_inputs_of_bodies() -> None:
    graph = loaded("""g (float[2, 3] x, double[2] d, int64[1] n, bool c) => (r) {
        s = SequenceConstruct (d)
        l = Loop (n, c, x, s) <body = loop (i, k, v, w) => (k, v, w) { }>
        q = Scan <num_scan_inputs = 1, body = scan (u, w2) => (u, w2) { }> (d, x)
        r = SequenceMap (s, x) <body = each (e, f) => (e) { }> }""").graph
    types = infer_types(graph, {})
    told = {}
    for node in graph.nodes:
        for _, body in node.graphs():
            seen = body_types(node, body, types)
            told[body.name] = [repr(seen.get(value.name)) for value in body.inputs]
    assert told == {
        "loop": ["int64[...]", "bool[...]", "float[...]", "seq(double[...])"],
        "scan": ["double[...]", "float[...]"],
        "each": ["double[...]", "float[...]"],
    }


def test_scan_8_starts_with_the_lengths_of_the_sequences() -> None:
    graph = loaded(
        "g (int64[1] n, float[1, 2] u, double[1, 3, 2] w) => (r) {"
        " r, q = Scan <num_scan_inputs = 1, body = scan (a, b) => (a, b) { }> (n, u, w) }",
        opset=8,
    ).graph
    (node,) = graph.nodes
    ((_, body),) = node.graphs()
    seen = body_types(node, body, infer_types(graph, {}))
    assert [str(seen[name]) for name in ("a", "b")] == ["tensor(float)", "tensor(double)"]


def test_agrees_with_what_the_node_cases_of_onnx_declare() -> None:
    wrong = []
    for case in load_cases():
        if case.kind != "node":
            continue
        graph = load_model(case.model).graph
        untyped = Graph(graph.name, graph.inputs, (), graph.nodes, graph.initializers)
        types = infer_types(untyped, {})
        for value in graph.outputs:
            kind = types.get(value.name)
            if kind is not None and value.type is not None and str(kind) != str(value.type):
                wrong.append(f"{case.name}: {value.name} is {value.type}, not {kind}")
    assert wrong == []
