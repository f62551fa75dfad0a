"""The table of onnxruntime's own operators, models that it optimized, and the errors of what there is not."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, parser
from onnxruntime.capi import onnxruntime_pybind11_state as native

import onnxlite
from onnxlite.conformance.differential import assert_same
from onnxlite.contrib import contrib_names
from onnxlite.contrib.call import DEFINITIONS, DOMAIN, Definition

sys.path.insert(0, str(Path(__file__).parent))
from agreement import PROVIDERS, contrib_model, ours

RANDOM = np.random.default_rng(8)
SCHEMAS = {schema.name: schema for schema in native.get_all_operator_schema() if schema.domain == DOMAIN}
OF_CONTRIB = [d for (domain, _), d in sorted(DEFINITIONS.items()) if domain == DOMAIN and d.name in SCHEMAS]


def floats(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("definition", OF_CONTRIB, ids=lambda d: d.name)
def test_definitions_are_those_of_onnxruntime(definition: Definition) -> None:
    schema = SCHEMAS[definition.name]
    assert len(definition.inputs) == len(schema.inputs)
    assert len(definition.outputs) == len(schema.outputs)
    assert set(definition.attributes) == set(schema.attributes)
    for name, default in definition.attributes.items():
        declared = schema.attributes[name]
        assert (default is inspect.Parameter.empty) == declared.required, name
        if declared._default_value:
            stated = helper.get_attribute_value(onnx.AttributeProto.FromString(declared._default_value))
            stated = stated.decode() if isinstance(stated, bytes) else stated
            assert default == pytest.approx(stated), name


def test_an_unknown_operator_is_named_with_those_that_there_are() -> None:
    model = contrib_model("Sampler", [floats(2)])
    with pytest.raises(onnxlite.errors.NotImplemented, match=r"com.microsoft.Sampler .*there are .*FusedMatMul"):
        onnxlite.InferenceSession(model.SerializeToString())


def test_a_layout_of_one_machine_is_named() -> None:
    model = contrib_model("Conv", [floats(1, 8, 4, 4), floats(8, 8, 1, 1)], domain="com.microsoft.nchwc")
    with pytest.raises(onnxlite.errors.NotImplemented, match="ORT_ENABLE_EXTENDED"):
        onnxlite.InferenceSession(model.SerializeToString())


def test_the_documentation_lists_the_operators() -> None:
    text = (Path(__file__).parents[2] / "docs" / "onnxruntime_operators.md").read_text(encoding="utf-8")
    rows = [line.split("|")[2] for line in text.splitlines() if line.startswith("| ")][1:]
    listed = [word for row in rows for word in re.findall(r"[A-Z]\w+", row)]
    assert sorted(listed) == contrib_names()


def test_what_an_operator_cannot_do_is_said() -> None:
    model = contrib_model("Attention", [floats(2, 3, 4), floats(4, 12), floats(12)], num_heads=2, do_rotary=1)
    with pytest.raises(onnxlite.errors.NotImplemented, match=r"com.microsoft.Attention with rotations"):
        onnxlite.InferenceSession(model.SerializeToString())


@pytest.mark.parametrize(
    ("given", "message"),
    [({"K": 1}, "lacks the required attribute 'N'"), ({"N": 1, "K": 1, "block_size": 16, "M": 1}, "the attribute 'M'")],
)
def test_attributes_are_checked(given: dict[str, int], message: str) -> None:
    node = helper.make_node("MatMulNBits", ["a", "b", "c"], ["y"], domain=DOMAIN, **given)
    values = [helper.make_tensor_value_info(name, 1, None) for name in "abcy"]
    graph = helper.make_graph([node], "g", values[:3], values[3:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid(DOMAIN, 1)])
    with pytest.raises(onnxlite.errors.InvalidGraph, match=message):
        onnxlite.InferenceSession(model.SerializeToString())


def test_a_function_of_the_model_comes_first() -> None:
    model = contrib_model("QuickGelu", [floats(3)])
    text = f'<domain: "{DOMAIN}", opset_import: ["": 21]> QuickGelu (X) => (Y) {{ Y = Neg(X) }}'
    model.functions.append(parser.parse_function(text))
    x = floats(3)
    assert_same(ours(model, {"x0": x}, "ReferenceExecutionProvider")[0], -x)


def block(weights: dict[str, np.ndarray]) -> onnx.ModelProto:
    """A layer of a transformer as exporters write it: opset 17, no operator of onnxruntime's."""
    text = """
        <ir_version: 9, opset_import: ["": 17]>
        block (int64[2, 6] words, int64[2, 6] attention_mask) => (float[2, 6, 16] y) {
            embedded = Gather(table, words)
            x = LayerNormalization<axis = -1>(embedded, ones, bias)
            float_mask = Cast<to = 1>(attention_mask)
            mask_axes = Constant<value_ints = [1, 2]>()
            wide_mask = Unsqueeze(float_mask, mask_axes)
            one = Constant<value_float = 1.0>()
            hidden = Sub(one, wide_mask)
            least = Constant<value_float = -10000.0>()
            mask = Mul(hidden, least)
            q0 = MatMul(x, wq)
            q1 = Add(q0, bias)
            k0 = MatMul(x, wk)
            k1 = Add(k0, bias)
            v0 = MatMul(x, wv)
            v1 = Add(v0, bias)
            heads = Constant<value_ints = [0, 0, 2, 8]>()
            q2 = Reshape(q1, heads)
            k2 = Reshape(k1, heads)
            v2 = Reshape(v1, heads)
            q = Transpose<perm = [0, 2, 1, 3]>(q2)
            k = Transpose<perm = [0, 2, 3, 1]>(k2)
            v = Transpose<perm = [0, 2, 1, 3]>(v2)
            raw = MatMul(q, k)
            root = Constant<value_float = 2.8284271>()
            scaled = Div(raw, root)
            masked = Add(scaled, mask)
            scores = Softmax<axis = -1>(masked)
            mixed = MatMul(scores, v)
            turned = Transpose<perm = [0, 2, 1, 3]>(mixed)
            flat = Constant<value_ints = [0, 0, 16]>()
            joined = Reshape(turned, flat)
            projected = MatMul(joined, wo)
            with_bias = Add(projected, bias)
            first = Add(with_bias, x)
            x1 = LayerNormalization<axis = -1>(first, ones, bias)
            up = MatMul(x1, w1)
            up_bias = Add(up, b1)
            sqrt2 = Constant<value_float = 1.4142135>()
            divided = Div(up_bias, sqrt2)
            erf = Erf(divided)
            shifted = Add(erf, one)
            product = Mul(up_bias, shifted)
            half = Constant<value_float = 0.5>()
            gelu = Mul(product, half)
            down = MatMul(gelu, w2)
            down_bias = Add(down, bias)
            second = Add(down_bias, x1)
            y = LayerNormalization<axis = -1>(second, ones, bias)
        }
    """
    model = parser.parse_model(text)
    model.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in weights.items())
    return model


def test_a_model_that_onnxruntime_optimized(tmp_path: Path) -> None:
    shapes = {"table": (20, 16), "wq": (16, 16), "wk": (16, 16), "wv": (16, 16), "wo": (16, 16), "w1": (16, 32)}
    weights = {name: floats(*shape) for name, shape in (shapes | {"w2": (32, 16), "b1": (32,), "bias": (16,)}).items()}
    model = block(weights | {"ones": np.ones(16, np.float32)})
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    mask = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]], np.int64)
    feeds: dict[str, Any] = {"words": RANDOM.integers(0, 20, (2, 6)), "attention_mask": mask}
    expected = session.run(None, feeds)[0]
    optimized = onnx.load(tmp_path / "optimized.onnx")
    assert {node.op_type for node in optimized.graph.node if node.domain == DOMAIN}
    for provider in PROVIDERS:
        assert_same(ours(optimized, feeds, provider)[0], expected, 1e-4, 1e-4)
        assert_same(ours(model, feeds, provider)[0], expected, 1e-4, 1e-4)
