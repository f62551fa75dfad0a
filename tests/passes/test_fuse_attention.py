"""The pass that makes one node of attention."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper, parser

from onnxlite.model import Graph, Node, load_model
from onnxlite.passes.fuse_attention import fuse_attention
from onnxlite.passes.prepare import prepare

sys.path.append(str(Path(__file__).parents[1] / "graphs"))
from image_graphs import operators, results
from program_graphs import reference

NOISE = np.random.default_rng(2)
LOWEST = float(np.finfo(np.float32).min)
CONSTANTS = {
    "eight": np.float32(8),
    "half": np.float32([0.5]),
    "lowest": np.float32(LOWEST),
    "causal": np.tri(5, 5, dtype=np.bool_)[None, None],
    "additive": NOISE.standard_normal((1, 1, 5, 5)).astype(np.float32),
    "heads": np.array([0, 0, 3, 4]),
    "merged": np.array([0, 0, 12]),
    "flat": np.array([-1, 5, 4]),
    "turned": np.array([2, 3, 4, 5]),
    "three": np.array([0, 0, 3, 3, 4]),
    "ones": np.array([1, 1, 1]),
    "unequal": np.array([1, 2]),
    "none": np.array([0]),
    "one": np.array([1]),
    "two": np.array([2]),
    "much": np.array([99]),
    "first": np.int64(0),
    "second": np.int64(1),
    "third": np.int64(2),
    "zero": np.float32(0),
    "infinite": np.float32(-np.inf),
}
INPUTS = "float[B,5,12] q, float[B,5,12] k, float[B,5,12] v"
SPLIT = """
    qr = Reshape(q, heads)  qt = Transpose<perm=[0,2,1,3]>(qr)
    kr = Reshape(k, heads)  kt = Transpose<perm=[0,2,1,3]>(kr)  kc = Transpose<perm=[0,1,3,2]>(kt)
    vr = Reshape(v, heads)  vt = Transpose<perm=[0,2,1,3]>(vr)
"""
MERGE = "rt = Transpose<perm=[0,2,1,3]>(r)  y = Reshape(rt, merged)"


def graph_of(body: str, inputs: str = INPUTS, opset: int = 17, kind: str = "float") -> Graph:
    text = f'<ir_version: 8, opset_import: ["": {opset}]> g ({inputs}) => ({kind} y) {{ {body} }}'
    model = parser.parse_model(text.replace("float[", f"{kind}["))
    read = {name for node in model.graph.node for name in node.input}
    for name in sorted(read & set(CONSTANTS)):
        array = np.asarray(CONSTANTS[name])
        array = array.astype(np.float64) if kind == "double" and array.dtype == np.float32 else array
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    return prepare(load_model(model), [reference()])


def check(graph: Graph, *expected: str, keep: tuple[str, ...] = ()) -> Node:
    """Fuse, compare operators and results, and give the node of attention, if there is one."""
    after = fuse_attention(graph, frozenset(["y", *keep]), {})
    assert sorted(operators(after).elements()) == sorted(expected)
    generator = np.random.default_rng(0)
    inputs: list[Any] = []
    for value in graph.inputs:
        shape = tuple(n if isinstance(n, int) else 2 for n in value.type.shape)  # type: ignore[union-attr]
        given = generator.standard_normal(shape)
        inputs.append(given.astype(value.type.element.dtype) if value.name != "flags" else given > -0.5)  # type: ignore[union-attr]
    outputs = ["y", *keep]
    for one, other in zip(results(after, outputs, inputs), results(graph, outputs, inputs), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6, strict=True)
    return next((node for node in after.nodes if node.op_type == "Attention"), after.nodes[0])


FUSED = ("onnxlite.Attention", *["Reshape"] * 4)


@pytest.mark.parametrize(
    ("middle", "scale"),
    [
        ("s = MatMul(qt, kc)  p = Softmax<axis=-1>(s)", 1.0),
        ("s = MatMul(qt, kc)  d = Div(s, eight)  p = Softmax<axis=-1>(d)", 0.125),
        ("s = MatMul(qt, kc)  d = Mul(half, s)  p = Softmax<axis=3>(d)", 0.5),
        ("a = Mul(qt, half)  b = Mul(kc, half)  s = MatMul(a, b)  p = Softmax<axis=-1>(s)", 0.25),
        ("a = Div(qt, eight)  s = MatMul(a, kc)  p = Softmax<axis=-1>(s)", 0.125),
    ],
)
def test_heads_are_read_and_written_where_they_lie(middle: str, scale: float) -> None:
    node = check(graph_of(f"{SPLIT} {middle} r = MatMul(p, vt) {MERGE}"), *FUSED)
    assert node.inputs == ("qr", "kr", "vr")
    assert node.attributes["scale"] == pytest.approx(scale)
    assert node.attributes["query_perm"] == node.attributes["value_perm"] == node.attributes["perm"] == (0, 2, 1, 3)
    assert node.attributes["key_perm"] == (0, 2, 3, 1)


@pytest.mark.parametrize(
    ("middle", "masking"),
    [
        ("m = Add(d, additive)", "add"),
        ("m = Add(additive, d)", "add"),
        ("m = Where(causal, d, lowest)", "keep"),
        ("c = Not(flags)  m = Where(c, lowest, d)", "hide"),
    ],
)
def test_masks(middle: str, masking: str) -> None:
    inputs = INPUTS + (", bool[B,1,1,5] flags" if "flags" in middle else "")
    body = f"{SPLIT} s = MatMul(qt, kc) d = Div(s, eight) {middle} p = Softmax<axis=-1>(m) r = MatMul(p, vt) {MERGE}"
    node = check(graph_of(body, inputs), *FUSED, *(["Not"] if "flags" in middle else []))
    assert node.attributes["masking"] == masking
    assert node.attributes.get("hidden", LOWEST) == LOWEST


def test_a_mask_that_a_run_computes_keeps_its_name() -> None:
    inputs = f"{INPUTS}, float[B,1,1,5] given"
    body = f"{SPLIT} n = Mul(given, eight) s = MatMul(qt, kc) d = Div(s, eight) m = Add(d, n)"
    node = check(graph_of(f"{body} p = Softmax<axis=-1>(m) r = MatMul(p, vt) {MERGE}", inputs), *FUSED, "Mul")
    assert node.inputs[3] == "n"


def test_a_scale_that_depends_on_shapes_is_an_input() -> None:
    scale = """
        z = Shape<start=-1>(qt)  i = Squeeze(z)  f = Cast<to=1>(i)  u = Sqrt(f)  w = Reciprocal(u)  x = Sqrt(w)
        a = Mul(qt, x)  b = Mul(kc, x)  s = MatMul(a, b)  p = Softmax<axis=-1>(s)
    """
    graph = graph_of(f"{SPLIT} {scale} r = MatMul(p, vt) {MERGE}")
    rest = ("Shape", "Gather", "Squeeze", "Cast", "Sqrt", "Reciprocal", "Sqrt")
    assert check(graph, *FUSED, *rest).inputs == ("qr", "kr", "vr", "", "x", "x")


def test_keys_may_be_kept() -> None:
    """What a key/value cache goes on with is still made, but the transposed keys are not read from it."""
    graph = graph_of(f"{SPLIT} s = MatMul(qt, kc) p = Softmax<axis=-1>(s) r = MatMul(p, vt) {MERGE}")
    assert check(graph, *FUSED, "Transpose", keep=("kt",)).inputs[1] == "kr"


def test_undefined_probabilities_may_become_zeros() -> None:
    """As in what recent PyTorch exports of masks that may hide everything."""
    body = """
        s = MatMul(qt, kc)  w = Where(flags, zero, infinite)  m = Add(s, w)  p = Softmax<axis=-1>(m)
        u = IsNaN(p)  f = Where(u, zero, p)  r = MatMul(f, vt)
    """
    node = check(graph_of(f"{SPLIT} {body} {MERGE}", f"{INPUTS}, bool[B,1,1,5] flags"), *FUSED, "Where")
    assert node.attributes["safe"] == 1


def test_keys_may_be_turned_while_batch_and_heads_are_one_axis() -> None:
    body = """
        kr = Reshape(k, heads)  kt = Transpose<perm=[0,2,1,3]>(kr)  km = Reshape(kt, flat)
        ku = Transpose<perm=[0,2,1]>(km)  kc = Reshape(ku, turned)  vt = Transpose<perm=[0,2,1,3]>(kr)
        qr = Reshape(q, heads)  qt = Transpose<perm=[0,2,1,3]>(qr)
        s = MatMul(qt, kc)  p = Softmax<axis=-1>(s)  r = MatMul(p, vt)  y = Identity(r)
    """
    graph = graph_of(body, "float[2,5,12] q, float[2,5,12] k")
    node = check(graph, "onnxlite.Attention", "Reshape", "Reshape", "Identity")
    assert node.inputs == ("qr", "kr", "kr")
    assert node.attributes["key_perm"] == (0, 2, 3, 1)


TOGETHER = "t = Reshape(x, three)  u = Transpose<perm=[2,0,3,1,4]>(t)"


@pytest.mark.parametrize(
    ("parts", "opset"),
    [
        ("qt = Gather<axis=0>(u, first)  kt = Gather<axis=0>(u, second)  vt = Gather<axis=0>(u, third)", 17),
        ("a, b, c = Split<axis=0>(u, ones)  qt = Squeeze(a, none)  kt = Squeeze(b, none)  vt = Squeeze(c, none)", 17),
        (
            "a, b, c = Split<axis=0, split=[1,1,1]>(u)"
            "qt = Squeeze<axes=[0]>(a)  kt = Squeeze<axes=[0]>(b)  vt = Squeeze<axes=[0]>(c)",
            11,
        ),
        (
            "a = Slice(u, none, one, none)  b = Slice(u, one, two, none)  c = Slice(u, two, much, none)"
            "qt = Squeeze<axes=[0]>(a)  kt = Squeeze<axes=[0]>(b)  vt = Squeeze<axes=[0]>(c)",
            11,
        ),
    ],
)
def test_queries_keys_and_values_that_lie_together(parts: str, opset: int) -> None:
    body = f"{TOGETHER} {parts} kc = Transpose<perm=[0,1,3,2]>(kt) a_ = Mul(qt, half) s = MatMul(a_, kc)"
    graph = graph_of(f"{body} p = Softmax<axis=3>(s) r = MatMul(p, vt) {MERGE}", "float[2,5,36] x", opset)
    node = check(graph, "onnxlite.Attention", "Reshape", "Reshape")
    assert node.inputs == ("t", "t", "t")
    assert [node.attributes[f"{name}_at"] for name in ("query", "key", "value")] == [0, 1, 2]
    assert node.attributes["query_perm"] == node.attributes["value_perm"] == (0, 3, 1, 4)
    assert node.attributes["key_perm"] == (0, 3, 4, 1)


def test_part_of_an_index_is_no_index() -> None:
    parts = "a, b = Split<axis=0>(u, unequal)  qt = Squeeze(a, none)  kt = Gather<axis=0>(b, first)  vt = Identity(kt)"
    body = f"{TOGETHER} {parts} kc = Transpose<perm=[0,1,3,2]>(kt) s = MatMul(qt, kc)"
    graph = graph_of(f"{body} p = Softmax<axis=-1>(s) r = MatMul(p, vt) {MERGE}", "float[2,5,36] x")
    node = check(
        graph, "onnxlite.Attention", *["Reshape", "Transpose", "Split", "Squeeze", "Identity", "Reshape"], "Gather"
    )
    assert node.inputs == ("qt", "b", "vt")


def test_older_versions() -> None:
    body = f"{SPLIT} s = MatMul(qt, kc) p = Softmax<axis=3>(s) r = MatMul(p, vt) {MERGE}"
    check(graph_of(body, opset=11), *FUSED)
    flattening = body.replace("axis=3", "axis=2")
    assert operators(fuse_attention(graph_of(flattening, opset=11), frozenset(["y"]), {}))["Softmax"] == 1


def test_fewer_axes() -> None:
    inputs = "float[B,5,12] q, float[B,12,7] k, float[B,7,3] v"
    check(graph_of("s = MatMul(q, k) p = Softmax<axis=-1>(s) y = MatMul(p, v)", inputs), "onnxlite.Attention")


@pytest.mark.parametrize(
    "middle",
    [
        "s = MatMul(qt, kc)  p = Softmax<axis=-2>(s)",
        "s = MatMul(qt, kc)  d = Add(s, eight)  e = Mul(d, additive)  p = Softmax<axis=-1>(e)",
        "s = MatMul(qt, kc)  p = Sigmoid(s)",
    ],
)
def test_what_is_no_attention(middle: str) -> None:
    graph = graph_of(f"{SPLIT} {middle} r = MatMul(p, vt) {MERGE}")
    assert operators(fuse_attention(graph, frozenset(["y"]), {})) == operators(graph)


def test_scores_that_are_wanted_stay() -> None:
    body = f"{SPLIT} s = MatMul(qt, kc) p = Softmax<axis=-1>(s) r = MatMul(p, vt) {MERGE}"
    before = (*["Reshape"] * 4, *["Transpose"] * 5, *["MatMul"] * 2, "Softmax")
    check(graph_of(body), *before, keep=("p",))
    check(
        graph_of(f"{body.replace('y = ', 'z = ')} t = ReduceMax<keepdims=0>(p) y = Add(z, t)"),
        *before,
        "ReduceMax",
        "Add",
    )


def test_a_result_that_is_wanted_is_not_transposed() -> None:
    graph = graph_of(f"{SPLIT} s = MatMul(qt, kc) p = Softmax<axis=-1>(s) r = MatMul(p, vt) {MERGE}")
    assert "perm" not in check(graph, *FUSED, "Transpose", keep=("r",)).attributes


def test_other_types_stay() -> None:
    graph = graph_of(f"{SPLIT} s = MatMul(qt, kc) p = Softmax<axis=-1>(s) r = MatMul(p, vt) {MERGE}", kind="double")
    assert operators(fuse_attention(graph, frozenset(["y"]), {})) == operators(graph)
