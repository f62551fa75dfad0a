"""The pass that makes one node of what exporters decompose."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper, parser

from onnxlite.kernels.dtypes import element_type
from onnxlite.model import Graph, Value, load_model
from onnxlite.model.types import TensorType
from onnxlite.passes.prepare import prepare
from onnxlite.passes.recognize import recognize

sys.path.append(str(Path(__file__).parents[1] / "graphs"))
from image_graphs import operators, results
from program_graphs import reference

NOISE = np.random.default_rng(1)
WEIGHTS = {
    "scale": NOISE.standard_normal(8).astype(np.float32),
    "bias": NOISE.standard_normal(8).astype(np.float32),
    "channel_scale": NOISE.standard_normal((4, 1, 1)).astype(np.float32),
    "channel_bias": NOISE.standard_normal((4, 1, 1)).astype(np.float32),
    "three": np.ones((3, 1, 1), np.float32),
    "ones": np.ones(2, np.float32),
    "zeros": np.zeros(2, np.float32),
    "three_scales": NOISE.standard_normal(3).astype(np.float32),
}


def graph_of(body: str, shape: str = "N,3,8", opset: int = 17, kind: str = "float", result: str = "y") -> Graph:
    """A graph of x and y; numbers in the text are constants of shape [], and those in brackets of shape [1]."""
    text = f'<ir_version: 8, opset_import: ["": {opset}]> g ({kind}[{shape}] x) => ({kind} {result}) {{ {body} }}'
    model = parser.parse_model(text)
    read = {name for node in model.graph.node for name in node.input}
    made = {name for node in model.graph.node for name in node.output}
    for name in sorted(read - made - {"x", ""}):
        model.graph.initializer.append(numpy_helper.from_array(_constant(name, kind), name))
    return prepare(load_model(model), [reference()])


def _constant(name: str, kind: str) -> Any:
    """``c0_5`` is 0.5, ``m1_0`` is -1.0, ``v2_0`` is [2.0], ``i1_2`` is the integers [1, 2]."""
    dtype = {"float": np.float32, "double": np.float64}[kind]
    if name in WEIGHTS:
        return WEIGHTS[name].astype(dtype)
    numbers = name[1:].replace("m", "-")
    if name[0] == "i":
        return np.array([int(number) for number in numbers.split("_")], np.int64)
    value = np.array(float(numbers.replace("_", ".")), dtype)
    return {"c": value, "m": -value, "v": value.reshape(1)}[name[0]]


def check(graph: Graph, *expected: str, shape: tuple[int, ...] = (2, 3, 8), keep: tuple[str, ...] = ()) -> Graph:
    """Recognize what is in a graph, and compare the operators and the results."""
    after = recognize(graph, frozenset(["y", *keep]), {})
    assert sorted(operators(after).elements()) == sorted(expected)
    kind = np.float32 if graph.inputs[0].type.element.onnx == "float" else np.float64  # type: ignore[union-attr]
    x = (3 * np.random.default_rng(0).standard_normal(shape)).astype(kind)
    x.reshape(-1)[-1] = 100
    outputs = ["y", *keep]
    for one, other in zip(results(after, outputs, [x]), results(graph, outputs, [x]), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=2e-6, strict=True)
    return after


MEAN = "m = ReduceMean<axes=[-1]>(x)  d = Sub(x, m)"
VARIANCE = "q = Pow(d, c2)  v = ReduceMean<axes=[-1]>(q)  w = Add(v, c0_00001)"


@pytest.mark.parametrize(
    "body",
    [
        # PyTorch before opset 17
        f"{MEAN} {VARIANCE} s = Sqrt(w) n = Div(d, s) t = Mul(n, scale) y = Add(t, bias)",
        # the mean subtracted twice, operands the other way around, an exponent and an epsilon of shape [1]
        "m = ReduceMean<axes=[2]>(x) d = Sub(x, m) e = Sub(x, m) q = Pow(d, v2) v = ReduceMean<axes=[2]>(q)"
        "w = Add(v0_00001, v) s = Sqrt(w) n = Div(e, s) t = Mul(scale, n) y = Add(bias, t)",
        # a square as a product, a root to multiply by
        f"{MEAN} q = Mul(d, d) v = ReduceMean<axes=[-1]>(q) w = Add(v, c0_00001) s = Sqrt(w) r = Reciprocal(s)"
        "n = Mul(d, r) t = Mul(n, scale) y = Add(t, bias)",
        # Keras by way of tf2onnx: a factor and a shift for each row
        f"{MEAN} {VARIANCE} s = Sqrt(w) r = Reciprocal(s) f = Mul(r, scale) a = Mul(x, f) b = Mul(m, f)"
        "c = Sub(bias, b) y = Add(a, c)",
        # a negative power
        f"{MEAN} {VARIANCE} r = Pow(w, m0_5) n = Mul(d, r) t = Mul(n, scale) y = Add(t, bias)",
    ],
)
def test_layer_normalization(body: str) -> None:
    after = check(graph_of(body), "LayerNormalization")
    (node,) = after.nodes
    assert node.inputs == ("x", "scale", "bias")
    assert node.attributes["epsilon"] == pytest.approx(1e-5)
    assert node.opset == 17


def test_axes_may_be_an_input() -> None:
    body = MEAN.replace("<axes=[-1]>(x)", "(x, im1)") + " q = Mul(d, d) v = ReduceMean(q, im1)"
    check(graph_of(body + " w = Add(v, c0_1) s = Sqrt(w) y = Div(d, s)", opset=18), "LayerNormalization")


@pytest.mark.parametrize("end", ["y = Div(d, s)", "n = Div(d, s) y = Mul(scale, n)", "n = Div(d, s) y = Add(n, bias)"])
def test_layer_normalization_without_scale_or_bias(end: str) -> None:
    check(graph_of(f"{MEAN} {VARIANCE} s = Sqrt(w) {end}"), "LayerNormalization")


@pytest.mark.parametrize(
    "body",
    [
        f"{MEAN} {VARIANCE} s = Sqrt(w) y = Div(d, s)".replace("[-1]>(q)", "[-2]>(q)"),
        f"{MEAN} {VARIANCE} s = Sqrt(w) y = Div(d, s)".replace("[-1]", "[1]"),
        f"{MEAN} {VARIANCE} s = Sqrt(w) y = Div(d, s)".replace("c2", "c3"),
        f"{MEAN} {VARIANCE} s = Sqrt(w) y = Div(x, s)",
        f"{MEAN} {VARIANCE} s = Sqrt(w) y = Div(d, s)".replace("ReduceMean", "ReduceMax"),
    ],
)
def test_what_is_no_layer_normalization(body: str) -> None:
    graph = graph_of(body)
    assert operators(recognize(graph, frozenset(["y"]), {})) == operators(graph)


def test_a_scale_of_another_length_stays_outside() -> None:
    body = f"{MEAN} {VARIANCE} s = Sqrt(w) n = Div(d, s) y = Mul(n, three_scales)"
    graph = graph_of(body, shape="N,3,1")
    check(graph, "LayerNormalization", "Mul", shape=(2, 3, 1))


@pytest.mark.parametrize("end", ["s = Sqrt(w) n = Div(x, s)", "s = Sqrt(w) r = Reciprocal(s) n = Mul(x, r)"])
def test_root_mean_square_normalization(end: str) -> None:
    body = f"q = Pow(x, c2) v = ReduceMean<axes=[-1]>(q) w = Add(v, c0_01) {end} y = Mul(scale, n)"
    check(graph_of(body), "RMSNormalization")
    check(graph_of(body.replace(" y = Mul(scale, n)", "").replace("n = ", "y = ")), "RMSNormalization")


ERF = "e = Erf(d) a = Add(e, c1)"
CUBE = "q = Mul(x, x) k = Mul(x, q) l = Mul(c0_044715, k) m = Add(x, l) n = Mul(c0_7978846, m)"


@pytest.mark.parametrize(
    "body",
    [
        f"d = Div(x, c1_4142135) {ERF} b = Mul(x, a) y = Mul(b, c0_5)",
        f"d = Mul(x, v0_70710677) {ERF} b = Mul(v0_5, a) y = Mul(x, b)",
        f"d = Div(x, c1_41421) {ERF} h = Mul(c0_5, x) y = Mul(h, a)",
        f"d = Div(x, c1_4142135) {ERF} b = Mul(a, x) y = Div(b, c2)",
        f"{CUBE} t = Tanh(n) a = Add(c1, t) b = Mul(x, a) y = Mul(c0_5, b)",
        "k = Pow(x, c3) l = Mul(k, c0_044715) m = Add(l, x) n = Mul(m, c0_7978846) t = Tanh(n) a = Add(t, c1)"
        "h = Mul(x, c0_5) y = Mul(h, a)",
        "q = Pow(x, c2) l = Mul(c0_044715, q) m = Add(c1, l) r = Mul(x, c0_7978846) n = Mul(r, m) t = Tanh(n)"
        "a = Add(t, c1) h = Mul(x, c0_5) y = Mul(h, a)",
    ],
)
def test_gelu(body: str) -> None:
    after = check(graph_of(body), "Gelu")
    assert after.nodes[0].attributes["approximate"] == ("tanh" if "Tanh" in body else "none")
    assert after.nodes[0].opset == 20


def test_another_constant_is_no_gelu() -> None:
    graph = graph_of(f"d = Div(x, c1_4143) {ERF} b = Mul(x, a) y = Mul(b, c0_5)")
    check(graph, "Div", "Erf", "Add", "Mul", "Mul")


POWERS = "m = ReduceMax<axes=[-1]>(x) d = Sub(x, m) e = Exp(d)"


@pytest.mark.parametrize(
    ("body", "operator"),
    [
        ("s = Sigmoid(x) y = Mul(x, s)", "Swish"),
        ("a = Mul(x, c1_702) s = Sigmoid(a) y = Mul(s, x)", "Swish"),
        ("n = Neg(x) e = Exp(n) f = Add(e, c1) y = Div(x, f)", "Swish"),
        ("a = Add(x, c3) c = Clip(a, c0, c6) b = Mul(x, c) y = Div(b, c6)", "HardSwish"),
        ("a = Add(x, v3) c = Clip(a, c0, c6) b = Mul(c, x) y = Mul(b, v0_1666667)", "HardSwish"),
        ("a = Add(c3, x) l = Max(a, c0) c = Min(c6, l) b = Div(c, c6) y = Mul(x, b)", "HardSwish"),
        ("h = HardSigmoid<alpha=0.16666667, beta=0.5>(x) y = Mul(x, h)", "HardSwish"),
        ("a = Add(x, c3) c = Clip(a, c0, c6) y = Div(c, c6)", "HardSigmoid"),
        ("a = Softplus(x) b = Tanh(a) y = Mul(x, b)", "Mish"),
        ("e = Exp(x) f = Add(e, c1) a = Log(f) b = Tanh(a) y = Mul(b, x)", "Mish"),
        ("n = Neg(x) e = Exp(n) f = Add(c1, e) y = Div(c1, f)", "Sigmoid"),
        ("n = Neg(x) e = Exp(n) f = Add(e, c1) y = Reciprocal(f)", "Sigmoid"),
        (f"{POWERS} s = ReduceSum(e, im1) y = Div(e, s)", "Softmax"),
        (f"{POWERS} s = ReduceSum(e, i1) y = Div(e, s)".replace("[-1]", "[1]"), "Softmax"),
        (f"{POWERS} s = ReduceSum(e, im1) l = Log(s) y = Sub(d, l)", "LogSoftmax"),
    ],
)
def test_activations(body: str, operator: str) -> None:
    check(graph_of(body), operator)


@pytest.mark.parametrize(
    "body",
    [
        "a = Mul(x, scale) s = Sigmoid(a) y = Mul(x, s)",
        "s = Sigmoid(x) y = Add(x, s)",
        "a = Add(x, c3) c = Clip(a, c0, c6) b = Mul(x, c) y = Div(b, c5)",
        "a = Add(x, c3) c = Clip(a, c0) b = Mul(x, c) y = Div(b, c6)",
        f"{POWERS} s = ReduceSum(e, i1) y = Div(e, s)",
        f"{POWERS} s = ReduceSum(e, i1_2) y = Div(e, s)".replace("[-1]", "[1,2]"),
    ],
)
def test_what_is_no_activation(body: str) -> None:
    graph = graph_of(body)
    assert operators(recognize(graph, frozenset(["y"]), {})) == operators(graph)


@pytest.mark.parametrize(
    "back", ["z = Shape(x) f = Reshape(n, z)", "f = Reshape(n, i2_4_5_6)", "f = Reshape(n, i0_4_m1_6)"]
)
def test_group_normalization(back: str) -> None:
    normal = "r = Reshape(x, i0_2_m1) n = InstanceNormalization<epsilon=0.001>(r, ones, zeros)"
    body = f"{normal} {back} t = Mul(f, channel_scale) y = Add(t, channel_bias)"
    after = check(graph_of(body, shape="2,4,5,6"), "GroupNormalization", shape=(2, 4, 5, 6))
    assert after.nodes[0].attributes["num_groups"] == 2


@pytest.mark.parametrize(
    "change", [("ones, zeros", "zeros, zeros"), ("i2_4_5_6", "i2_4_6_5"), ("i0_2_m1", "i2_2_2_m1")]
)
def test_what_is_no_group_normalization(change: tuple[str, str]) -> None:
    body = "r = Reshape(x, i0_2_m1) n = InstanceNormalization<epsilon=0.001>(r, ones, zeros) f = Reshape(n, i2_4_5_6)"
    graph = graph_of(f"{body} t = Mul(f, channel_scale) y = Add(t, channel_bias)".replace(*change), shape="2,4,5,6")
    assert operators(recognize(graph, frozenset(["y"]), {})) == operators(graph)


def test_instance_normalization() -> None:
    body = f"{MEAN} {VARIANCE} s = Sqrt(w) n = Div(d, s) t = Mul(n, channel_scale) y = Add(t, channel_bias)"
    graph = graph_of(body.replace("[-1]", "[2,3]"), shape="N,4,5,6")
    check(graph, "InstanceNormalization", shape=(2, 4, 5, 6))


def test_a_value_that_is_wanted_or_read_elsewhere_stays() -> None:
    graph = graph_of("s = Sigmoid(x) y = Mul(x, s)")
    check(graph, "Sigmoid", "Mul", keep=("s",))
    check(graph_of("s = Sigmoid(x) t = Mul(x, s) y = Sub(t, s)"), "Sigmoid", "Mul", "Sub")


def test_other_types_stay() -> None:
    check(graph_of("s = Sigmoid(x) y = Mul(x, s)", kind="double"), "Sigmoid", "Mul")


def test_a_formula_inside_a_larger_product_is_found() -> None:
    check(graph_of("s = Sigmoid(x) t = Mul(x, s) g = Mul(t, scale) y = Add(g, bias)"), "Swish", "Mul", "Add")


def test_a_constant_may_not_give_the_result_more_axes() -> None:
    graph = graph_of("a = Mul(x, v1_702) s = Sigmoid(a) y = Mul(s, x)")
    number = TensorType(element_type(np.float32), ())
    graph = replace(graph, inputs=(Value("x", number),), outputs=(Value("y", number),))
    assert "Swish" not in operators(recognize(graph, frozenset(["y"]), {}))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.booleans())
def test_shapes(shape: list[int], known: bool) -> None:
    declared = ",".join(map(str, shape)) if known else ",".join("abcd"[: len(shape)])
    normal = f"{MEAN} {VARIANCE} s = Sqrt(w) n = Div(d, s)"
    gelu = "g = Div(n, c1_4142135) e = Erf(g) a = Add(e, c1) b = Mul(n, a) y = Mul(b, c0_5)"
    # Without the last length there is no scale of ones for it.
    expected = ["LayerNormalization"] if known else ["ReduceMean", "Sub", "Pow", "ReduceMean", "Add", "Sqrt", "Div"]
    check(graph_of(normal + gelu, shape=declared), *expected, "Gelu", shape=tuple(shape))


@pytest.mark.parametrize(
    "body", ["y = Mul(x)", "s = Sigmoid(x, x) y = Mul(x, s)", "s = Pow(x) y = Mul(s, x)", "y = Neg()"]
)
def test_nodes_that_break_their_rules_are_left_to_binding(body: str) -> None:
    text = f'<ir_version: 8, opset_import: ["": 17]> g (float[N] x) => (float y) {{ e = Erf(x) t = Sigmoid(x) {body} }}'
    graph = load_model(parser.parse_model(text)).graph
    assert operators(recognize(graph, frozenset(["y"]), {})) == operators(graph)


def test_groups_that_cut_channels_are_no_group_normalization() -> None:
    body = "r = Reshape(x, i0_2_m1) n = InstanceNormalization(r, ones, zeros) z = Shape(x) f = Reshape(n, z)"
    graph = graph_of(f"{body} t = Mul(f, three) y = Add(t, three)", shape="2,3,4,5")
    assert operators(recognize(graph, frozenset(["y"]), {})) == operators(graph)
