"""The pass that computes halves in float32."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import onnxlite
from onnxlite.model import Graph, Node
from onnxlite.passes import widen as module
from onnxlite.passes.widen import widen

sys.path.append(str(Path(__file__).parents[1] / "graphs"))
from image_graphs import made, node, operators, results


@pytest.fixture(scope="module", autouse=True)
def _layers_everywhere() -> Iterator[None]:
    """Small graphs are widened as if they had layers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_is_layer", lambda *_: True)
        yield


IS_LAYER = module._is_layer
HALVES = [np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)]
NOISE = np.random.default_rng(5)


def noise(*shape: int, dtype: Any = np.float16) -> Any:
    return NOISE.standard_normal(shape).astype(dtype)


def of(
    nodes: Sequence[Node], x: Any, outputs: Sequence[str] = ("y",), keep: Sequence[str] = (), **constants: Any
) -> Graph:
    """The widened graph, after its results were compared with the graph's own."""
    graph = made(nodes, ["x"], [*outputs, *keep], constants, {"x": x})
    after = widen(graph, frozenset([*outputs, *keep]), {})
    for one, other in zip(results(after, outputs, [x]), results(graph, outputs, [x]), strict=True):
        assert one.dtype == other.dtype
        # A few roundings to the half's precision, at each operator.
        error = 8 * float(ml_dtypes.finfo(x.dtype).eps)
        wide = other.astype(np.float32)
        np.testing.assert_allclose(one.astype(np.float32), wide, rtol=error, atol=error * (1 + np.abs(wide).max()))
    return after


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_a_chain_is_cast_at_its_ends_alone(dtype: Any) -> None:
    nodes = [
        node("MatMul", ["x", "w"], ["a"], 21),
        node("Add", ["a", "b"], ["c"], 21),
        node("Relu", ["c"], ["d"], 21),
        node("Softmax", ["d"], ["y"], 21),
    ]
    after = of(nodes, noise(3, 4, dtype=dtype), w=noise(4, 5, dtype=dtype), b=noise(5, dtype=dtype))
    assert operators(after) == {"Cast": 2, "MatMul": 1, "Add": 1, "Relu": 1, "Softmax": 1}
    assert after.initializers["w/float32"].dtype == np.float32


def test_nothing_is_rounded_or_overflows_on_the_way() -> None:
    x = np.array([300.0, -300.0], np.float16)
    graph = made([node("Mul", ["x", "x"], ["a"]), node("Sqrt", ["a"], ["y"])], ["x"], ["y"], {}, {"x": x})
    np.testing.assert_array_equal(results(graph, ["y"], [x])[0], [np.inf, np.inf])
    np.testing.assert_array_equal(results(widen(graph, frozenset(["y"]), {}), ["y"], [x])[0], [300, 300])


def test_values_that_are_asked_for_keep_their_type() -> None:
    nodes = [node("Exp", ["x"], ["a"]), node("Neg", ["a"], ["y"])]
    after = of(nodes, noise(7), outputs=("y", "a"))
    assert operators(after) == {"Cast": 3, "Exp": 1, "Neg": 1}


def test_a_cast_rounds_as_ever() -> None:
    x = np.float32([1.0002441, 100.03])
    nodes = [
        node("Cast", ["x"], ["a"], to=int(TensorProto.FLOAT16)),
        node("Mul", ["a", "a"], ["b"]),
        node("Cast", ["b"], ["y"], to=int(TensorProto.FLOAT)),
    ]
    graph = made(nodes, ["x"], ["y"], {}, {"x": x})
    after = widen(graph, frozenset(["y"]), {})
    expected = np.square(x.astype(np.float16).astype(np.float32)).astype(np.float16)
    np.testing.assert_array_equal(results(after, ["y"], [x])[0], expected.astype(np.float32))


@pytest.mark.parametrize(
    "kept",
    [
        node("QuantizeLinear", ["a", "scale"], ["q"], 21),
        node("RandomNormalLike", ["a"], ["q"]),
        node("ConstantOfShape", ["shape"], ["q"], value=np.float16([2])),
        node("Softmax", ["a"], ["q"], 21, axis=0),
    ],
    ids=lambda kept: kept.op_type,
)
def test_operators_that_depend_on_the_type_stay_as_they_are(kept: Node) -> None:
    nodes = [node("Neg", ["x"], ["a"], 21), kept]
    graph = made(nodes, ["x"], ["q"], {"scale": np.float16(0.5), "shape": np.array([3])}, {"x": noise(2, 2)})
    after = widen(graph, frozenset(["q"]), {})
    same = kept in after.nodes
    assert same == (kept.op_type != "Softmax")


def test_operators_of_other_domains_and_subgraphs_read_halves() -> None:
    body = made([node("Neg", ["a"], ["z"])], [], ["z"])
    nodes = [
        node("Exp", ["x"], ["a"]),
        node("Greater", ["a", "one"], ["positive"]),
        node("ReduceMax", ["positive_number"], ["most"], keepdims=0),
        node("Cast", ["positive"], ["positive_number"], to=int(TensorProto.INT32)),
        node("Cast", ["most"], ["any"], to=int(TensorProto.BOOL)),
        node("If", ["any"], ["y"], then_branch=body, else_branch=body),
    ]
    nodes[2], nodes[3] = nodes[3], nodes[2]
    after = of(nodes, noise(6), one=np.float16(1))
    assert operators(after) == {"Exp": 1, "Greater": 1, "Cast": 4, "ReduceMax": 1, "If": 1}


def test_a_graph_without_halves_is_left_alone() -> None:
    graph = made([node("Exp", ["x"], ["y"])], ["x"], ["y"], {}, {"x": noise(3, dtype=np.float32)})
    assert widen(graph, frozenset(["y"]), {}) is graph


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.sampled_from(HALVES))
def test_random_networks_agree(data: st.DataObject, dtype: Any) -> None:
    x, nodes, constants, names = noise(2, 3, 6, 6, dtype=dtype), [], {}, ["x"]
    for number in range(data.draw(st.integers(1, 6))):
        kind = data.draw(st.sampled_from(["Conv", "Add", "Mul", "Relu", "Sigmoid", "Transpose", "Identity"]))
        source = names[data.draw(st.integers(max(0, len(names) - 3), len(names) - 1))]
        name, inputs, attributes = f"v{number}", [source], {}
        if kind == "Conv":
            constants[f"w{number}"] = (noise(3, 3, 3, 3, dtype=np.float32) / 5).astype(dtype)
            inputs, attributes = [source, f"w{number}"], {"pads": (1, 1, 1, 1)}
        elif kind == "Transpose":
            attributes = {"perm": (0, 1, 3, 2)}
        elif kind in ("Add", "Mul"):
            constants[f"w{number}"] = noise(3, 1, 1, dtype=dtype)
            inputs = [source, f"w{number}"]
        nodes.append(node(kind, inputs, [name], 22, **attributes))
        names.append(name)
    kept = data.draw(st.sets(st.sampled_from(names[1:])))
    of(nodes, x, outputs=(names[-1],), keep=sorted(kept - {names[-1]}), **constants)


@pytest.mark.parametrize("constant", [False, True])
def test_a_graph_without_layers_is_left_alone(monkeypatch: pytest.MonkeyPatch, constant: bool) -> None:
    monkeypatch.setattr(module, "_is_layer", IS_LAYER)
    x, w = noise(3, 4), noise(4, 5)
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Softmax", ["a"], ["y"])]
    graph = made(nodes, ["x"] if constant else ["x", "w"], ["y"], {"w": w} if constant else {}, {"x": x, "w": w})
    assert (widen(graph, frozenset(["y"]), {}) is graph) != constant


def test_a_session_computes_a_model_of_halves_in_float32() -> None:
    w = noise(64, 64)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["a"]),
            helper.make_node("Gelu", ["a"], ["b"]),
            helper.make_node("MatMul", ["b", "w"], ["y"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT16, ["N", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT16, ["N", 64])],
        [numpy_helper.from_array(w, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model)
    session = onnxlite.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = noise(5, 64)
    wide = onnxlite.InferenceSession(model.SerializeToString(), providers=["ReferenceExecutionProvider"])
    expected = wide.run(None, {"x": x})[0]
    for _ in range(2):
        actual = session.run(None, {"x": x})[0]
        assert actual.dtype == np.float16
        scale = np.abs(expected.astype(np.float32)).max()
        np.testing.assert_allclose(actual.astype(np.float32), expected.astype(np.float32), rtol=2e-2, atol=2e-3 * scale)
    steps = [placement.node.op_type for placement in session.explain_placement()]
    assert steps.count("Cast") == 2
