"""Sessions: what they are made from, what they say about their model, and what a run gives back."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

import onnxlite
from onnxlite import InferenceSession, NodeArg
from onnxlite.conformance.cases import load_cases
from onnxlite.errors import InvalidArgument

SUM = "g (float[N, 2] x, float[2] b) => (float[N, 2] y, float[N, 2] z) { t = Add(x, b) y = Relu(t) z = Neg(t) }"
LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


def feeds() -> dict[str, Any]:
    return {"x": np.array([[1, -5], [2, 3]], np.float32), "b": np.array([1, 2], np.float32)}


@pytest.mark.parametrize("names", [None, [], ()])
def test_no_names_mean_all_outputs(session_of: Callable[..., InferenceSession], names: Any) -> None:
    y, z = session_of(SUM).run(names, feeds())
    np.testing.assert_array_equal(y, [[2, 0], [3, 5]])
    np.testing.assert_array_equal(z, [[-2, 3], [-3, -5]])


def test_names_select_and_order_the_outputs(session_of: Callable[..., InferenceSession]) -> None:
    z, y, again = session_of(SUM).run(["z", "y", "z"], feeds())
    np.testing.assert_array_equal(y, [[2, 0], [3, 5]])
    np.testing.assert_array_equal(z, again)
    z[:] = 7
    assert not (again == 7).any()


def test_inner_values_can_be_asked_for(session_of: Callable[..., InferenceSession]) -> None:
    (t,) = session_of(SUM).run(["t"], feeds())
    np.testing.assert_array_equal(t, [[2, -3], [3, 5]])


def test_inputs_and_initializers_can_be_asked_for(session_of: Callable[..., InferenceSession]) -> None:
    session = session_of("g (float[2] x) => (float[2] y) <float[2] w = {1, 2}> { y = Add(x, w) }")
    x, w = session.run(["x", "w"], {"x": np.zeros(2, np.float32)})
    np.testing.assert_array_equal(x, [0, 0])
    np.testing.assert_array_equal(w, [1, 2])


FUNCTION = """
<domain: "my.domain", opset_import: ["": 18]>
f (a) => (c) { b = Neg(a) c = Relu(b) }
"""


def test_values_inside_function_calls_have_the_name_of_the_call(session_of: Callable[..., InferenceSession]) -> None:
    session = session_of("g (float[2] x) => (float[2] y) { y = my.domain.f(x) }", FUNCTION)
    (b,) = session.run(["y/b"], {"x": np.array([1, -2], np.float32)})
    np.testing.assert_array_equal(b, [-1, 2])
    with pytest.raises(InvalidArgument, match=r"Invalid output name: b; inside function calls .*\['y/b'\]"):
        session.run(["b"], {"x": np.zeros(2, np.float32)})


BRANCHES = """g (bool c, float[2] x) => (float[2] y) {
  y = If (c) <then_branch = t () => (float[2] p) { inner = Neg(x) p = Relu(inner) },
              else_branch = e () => (float[2] q) { q = Identity(x) }>
}"""


def test_a_name_inside_a_subgraph_is_refused_and_located(session_of: Callable[..., InferenceSession]) -> None:
    session = session_of(BRANCHES)
    with pytest.raises(InvalidArgument, match=r"inner; it is a value inside the then_branch of the node '-> y' \(If\)"):
        session.run(["inner"], {"c": np.array(True), "x": np.zeros(2, np.float32)})


def test_outputs_are_the_callers_own(session_of: Callable[..., InferenceSession]) -> None:
    session = session_of(
        """g (float[2, 3] x)
        => (float[2, 3] same, float[3, 2] turned, float[6] flat, float[2] constant, float[2] again)
        <float[2] w = {1, 2}, int64[1] shape = {-1}>
        { same = Identity(x) turned = Transpose(x) flat = Reshape(x, shape)
          constant = Identity(w) again = Identity(w) }"""
    )
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    before = x.copy()
    first = session.run(None, {"x": x})
    for index, result in enumerate(first):
        assert result.flags.writeable
        assert result.flags.c_contiguous
        others = [x, *first[:index], *first[index + 1 :]]
        assert not any(np.shares_memory(result, other) for other in others)
        result[...] = -1
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(session.run(["constant"], {"x": x})[0], [1, 2])


def test_elements_of_sequences_are_the_callers_own(session_of: Callable[..., InferenceSession]) -> None:
    session = session_of(
        "g (seq(float[2]) s, float[2] x) => (seq(float[2]) t) { u = SequenceInsert(s, x) t = SequenceInsert(u, x) }"
    )
    first, x = np.ones(2, np.float32), np.zeros(2, np.float32)
    given = [first]
    (t,) = session.run(None, {"s": given, "x": x})
    assert len(given) == 1
    assert len(t) == 3
    for item in t:
        item += 5
    assert [item.tolist() for item in t] == [[6, 6], [5, 5], [5, 5]]
    assert first.tolist() == [1, 1]
    assert x.tolist() == [0, 0]


def test_a_session_is_made_from_whatever_holds_a_model(
    model_of: Callable[..., onnx.ModelProto], tmp_path: Path
) -> None:
    proto = model_of(SUM)
    data = proto.SerializeToString()
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    for source in (data, bytearray(data), str(path), path, io.BytesIO(data), proto):
        session = InferenceSession(source, providers=["ReferenceExecutionProvider"])
        assert [value.name for value in session.get_inputs()] == ["x", "b"]


@pytest.mark.parametrize("source", [None, 3, [1, 2]])
def test_what_cannot_hold_a_model_is_a_type_error(source: Any) -> None:
    with pytest.raises(TypeError, match="a model is a path, bytes"):
        InferenceSession(source)


def test_keywords_of_onnxruntime_are_accepted_and_others_are_not(model_of: Callable[..., onnx.ModelProto]) -> None:
    data = model_of(SUM).SerializeToString()
    InferenceSession(data, disabled_optimizers=["ConstantFolding"], enable_fallback=0, read_config_from_model=0)
    with pytest.raises(TypeError, match="unexpected keyword argument 'provider'"):
        InferenceSession(data, provider="CPUExecutionProvider")
    with pytest.raises(TypeError, match=r"sess_options is an onnxlite\.SessionOptions, not dict"):
        InferenceSession(data, {})
    with pytest.raises(TypeError, match=r"run_options is an onnxlite\.RunOptions, not int"):
        InferenceSession(data).run(None, feeds(), 3)


def described(session: Any) -> list[str]:
    groups = (session.get_inputs(), session.get_outputs(), session.get_overridable_initializers())
    return [str(value) for group in groups for value in group]


def plain_onnxruntime(model: Any) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("path", sorted(LIGHT.glob("*.onnx")), ids=lambda path: path.stem)
def test_models_are_described_as_by_onnxruntime(path: Path) -> None:
    ours = InferenceSession(path, providers=["ReferenceExecutionProvider"])
    theirs = plain_onnxruntime(str(path))
    assert described(ours) == described(theirs)
    fields = ("producer_name", "graph_name", "domain", "description", "graph_description", "version")
    for field in (*fields, "custom_metadata_map"):
        assert getattr(ours.get_modelmeta(), field) == getattr(theirs.get_modelmeta(), field), field


def test_values_of_every_type_are_described_as_by_onnxruntime() -> None:
    compared = 0
    for case in load_cases()[::23]:
        model = case.model_bytes
        try:
            theirs = plain_onnxruntime(model)
        except Exception:
            continue
        assert described(InferenceSession(model, providers=["ReferenceExecutionProvider"])) == described(theirs), (
            case.name
        )
        compared += 1
    assert compared > 40


OPEN_TYPES = {
    "no shape": helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
    "no type": onnx.ValueInfoProto(name="y"),
    "no dimensions": helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, None]),
    "another symbol": helper.make_tensor_value_info("y", TensorProto.FLOAT, ["M", 3]),
    "a negative dimension": helper.make_tensor_value_info("y", TensorProto.FLOAT, [-1, None]),
}


@pytest.mark.parametrize("output", OPEN_TYPES.values(), ids=OPEN_TYPES)
def test_what_an_output_leaves_open_is_inferred(output: onnx.ValueInfoProto) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])
    nodes = [helper.make_node("Relu", ["x"], ["t"]), helper.make_node("Neg", ["t"], ["y"])]
    graph = helper.make_graph(nodes, "g", [x], [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()
    ours = InferenceSession(model, providers=["ReferenceExecutionProvider"])
    assert described(ours) == described(plain_onnxruntime(model))


def test_a_node_arg_prints_as_in_onnxruntime() -> None:
    assert str(NodeArg("x", "tensor(float)", ["N", None, 2])) == (
        "NodeArg(name='x', type='tensor(float)', shape=['N', None, 2])"
    )


def test_metadata(model_of: Callable[..., onnx.ModelProto]) -> None:
    proto = model_of(SUM)
    proto.producer_name, proto.domain, proto.doc_string, proto.model_version = "someone", "some.domain", "what for", 7
    proto.graph.doc_string = "the graph"
    proto.metadata_props.add(key="k", value="v")
    meta = InferenceSession(proto, providers=["ReferenceExecutionProvider"]).get_modelmeta()
    assert meta == onnxlite.ModelMetadata("someone", "g", "some.domain", "what for", "the graph", 7, {"k": "v"})


def test_a_model_without_a_version_has_that_of_onnxruntime(model_of: Callable[..., onnx.ModelProto]) -> None:
    model = model_of(SUM).SerializeToString()
    ours = InferenceSession(model, providers=["ReferenceExecutionProvider"])
    assert ours.get_modelmeta().version == plain_onnxruntime(model).get_modelmeta().version


def test_initializers_with_an_input_of_their_name_can_be_fed(session_of: Callable[..., InferenceSession]) -> None:
    session = session_of("g (float[2] x, float[2] w = {1, 2}) => (float[2] y) { y = Add(x, w) }")
    assert [value.name for value in session.get_inputs()] == ["x"]
    assert [value.name for value in session.get_overridable_initializers()] == ["w"]
    x = np.zeros(2, np.float32)
    np.testing.assert_array_equal(session.run(None, {"x": x})[0], [1, 2])
    np.testing.assert_array_equal(session.run(None, {"x": x, "w": np.array([5, 6], np.float32)})[0], [5, 6])
    np.testing.assert_array_equal(session.run(None, {"x": x})[0], [1, 2])


def test_run_async_calls_back_with_results_or_an_error(session_of: Callable[..., InferenceSession]) -> None:
    session = session_of(SUM)
    calls: list[tuple[Any, Any, str]] = []
    called = threading.Event()

    def callback(results: Any, user_data: Any, error: str) -> None:
        calls.append((results, user_data, error))
        called.set()

    session.run_async(["y"], feeds(), callback, "mine")
    assert called.wait(30)
    results, user_data, error = calls.pop()
    np.testing.assert_array_equal(results[0], [[2, 0], [3, 5]])
    assert (user_data, error) == ("mine", "")

    called.clear()
    session.run_async(["y"], {**feeds(), "b": np.zeros(3, np.float32)}, callback, None)
    assert called.wait(30)
    results, _, error = calls.pop()
    assert results == []
    assert "Got invalid dimensions for input: b" in error

    with pytest.raises(ValueError, match="missing from input feed"):
        session.run_async(["y"], {}, callback, None)


def test_profiling_is_as_in_onnxruntime_without_it(session_of: Callable[..., InferenceSession]) -> None:
    session = session_of(SUM)
    assert session.end_profiling() == ""
    assert session.get_profiling_start_time_ns() == 0


def test_a_session_prints_what_it_is(session_of: Callable[..., InferenceSession]) -> None:
    assert repr(session_of(SUM)) == (
        "InferenceSession(g: (x: float[N,2], b: float[2]) -> (y: float[N,2], z: float[N,2]) "
        "on ReferenceExecutionProvider)"
    )


def test_many_sets_of_outputs_keep_working(session_of: Callable[..., InferenceSession]) -> None:
    count = 40
    nodes = " ".join(f"t{i} = Add(t{i - 1}, x)" for i in range(1, count))
    session = session_of(f"g (float x) => (float t{count - 1}) {{ t0 = Identity(x) {nodes} }}")
    for _ in range(2):
        for i in range(count):
            assert session.run([f"t{i}"], {"x": np.float32(1)})[0] == i + 1


def test_scalars_and_narrow_floats_go_in_and_out(session_of: Callable[..., InferenceSession]) -> None:
    session = session_of("g (bfloat16 x) => (bfloat16 y) { y = Neg(x) }")
    (y,) = session.run(None, {"x": np.array(1.5, ml_dtypes.bfloat16)})
    assert y.dtype == ml_dtypes.bfloat16
    assert y.shape == ()
    assert float(y) == -1.5
