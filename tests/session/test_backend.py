"""The backend interface, by hand and under onnx's own runner."""

from __future__ import annotations

import inspect
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.backend.base
import onnx.backend.test
import pytest
from onnx import helper

import onnxlite.backend as backend
from onnxlite import InferenceSession
from onnxlite.errors import InvalidArgument

GRAPH = "g (float[2] x, float[2] b) => (float[2] y, float[2] z) { y = Add(x, b) z = Sub(x, b) }"
X, B = np.array([1, 2], np.float32), np.array([3, 5], np.float32)


@pytest.fixture
def model(model_of: Callable[..., onnx.ModelProto]) -> onnx.ModelProto:
    return model_of(GRAPH)


def test_the_classes_and_functions_are_those_of_the_interface() -> None:
    assert issubclass(backend.OnnxliteBackend, onnx.backend.base.Backend)
    assert issubclass(backend.OnnxliteBackendRep, onnx.backend.base.BackendRep)
    for name, member in inspect.getmembers(onnx.backend.base.Backend, inspect.ismethod):
        if not name.startswith("_"):
            ours = inspect.signature(getattr(backend, name)).parameters
            assert set(inspect.signature(member).parameters) <= set(ours), name


@pytest.mark.parametrize("inputs", [[X, B], (X, B), {"x": X, "b": B}], ids=["list", "tuple", "dict"])
def test_a_prepared_model_runs(model: onnx.ModelProto, inputs: Any) -> None:
    prepared = backend.prepare(model)
    assert isinstance(prepared, onnx.backend.base.BackendRep)
    y, z = prepared.run(inputs)
    assert y.tolist() == [4, 7]
    assert z.tolist() == [-2, -3]


def test_a_model_is_prepared_from_all_that_holds_one(model: onnx.ModelProto, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    session = InferenceSession(model)
    prepared = backend.prepare(session)
    assert prepared.session is session
    assert backend.prepare(prepared) is prepared
    for source in (model, model.SerializeToString(), path, str(path), prepared):
        assert backend.run_model(source, [X, B])[0].tolist() == [4, 7]


def test_a_single_array_is_the_one_input(model_of: Callable[..., onnx.ModelProto]) -> None:
    assert backend.run(model_of("g (float[2] x) => (float[2] y) { y = Neg(x) }"), X)[0].tolist() == [-1, -2]


def test_inputs_with_a_default_come_last_and_may_be_left_out(model_of: Callable[..., onnx.ModelProto]) -> None:
    prepared = backend.prepare(model_of("g (float[2] w = {1, 1}, float[2] x) => (float[2] y) { y = Sub(x, w) }"))
    assert prepared.run([X])[0].tolist() == [0, 1]
    assert prepared.run([X, B])[0].tolist() == [-2, -3]
    with pytest.raises(InvalidArgument, match="3 values are given for the 2 inputs"):
        prepared.run([X, B, B])


def test_keywords_are_options(model: onnx.ModelProto) -> None:
    prepared = backend.prepare(model, providers=["ReferenceExecutionProvider"], logid="mine", random_seed=3)
    assert prepared.session.get_providers() == ["ReferenceExecutionProvider"]
    options = prepared.session.get_session_options()
    assert (options.logid, options.random_seed) == ("mine", 3)
    prepared.run([X, B], logid="one run")
    with pytest.raises(AttributeError):
        backend.prepare(model, no_such_option=1)


def test_devices(model: onnx.ModelProto) -> None:
    assert backend.supports_device("CPU")
    assert not backend.supports_device("ABACUS")
    if not backend.supports_device("CUDA"):
        with pytest.raises(InvalidArgument, match="the device 'CUDA' is not there"):
            backend.prepare(model, "CUDA")


def test_compatibility(model: onnx.ModelProto) -> None:
    assert backend.is_compatible(model)
    assert backend.is_opset_supported(model) == (True, "")
    model.opset_import[0].version = 999
    assert not backend.is_compatible(model)
    supported, reason = backend.is_opset_supported(model)
    assert not supported
    assert "999" in reason
    assert "'ai.onnx'" in reason


def test_a_node_runs() -> None:
    outputs = backend.run_node(helper.make_node("Add", ["x", "b"], ["sum"]), [X, B])
    assert outputs.sum.tolist() == [4, 7]
    assert outputs[0].tolist() == [4, 7]


def test_a_node_of_an_old_version_runs() -> None:
    node = helper.make_node("Add", ["x", "b"], ["y"], broadcast=1, axis=0)
    (y,) = backend.run_node(node, [np.zeros((2, 3), np.float32), B], opset_version=6)
    assert y.tolist() == [[3, 3, 3], [5, 5, 5]]


def test_a_node_leaves_inputs_and_outputs_out() -> None:
    clip = helper.make_node("Clip", ["x", "", "most"], ["y"])
    most = np.array(1.5, np.float32)
    for inputs in ([X, most], [X, None, most]):
        assert backend.run_node(clip, inputs).y.tolist() == [1, 1.5]
    top = helper.make_node("TopK", ["x", "k"], ["", "indices"])
    assert backend.run_node(top, [X, np.array([1])]).indices.tolist() == [1]


def test_a_node_gets_what_is_known_of_its_outputs() -> None:
    node = helper.make_node("Cast", ["x"], ["y"], to=onnx.TensorProto.INT64)
    (y,) = backend.run_node(node, [X], outputs_info=[(np.dtype(np.int64), (2,))])
    assert y.dtype == np.int64


def test_nodes_of_other_domains_and_sequences_run() -> None:
    node = helper.make_node("Binarizer", ["x"], ["y"], domain="ai.onnx.ml", threshold=1.5)
    assert backend.run_node(node, X).y.tolist() == [0, 1]
    node = helper.make_node("SequenceLength", ["s"], ["n"])
    assert backend.run_node(node, [[X, B, X]]).n == 3


@pytest.mark.filterwarnings("ignore::RuntimeWarning:onnx")  # the suite overflows and divides by zero on purpose
def test_onnx_runs_its_suite_on_the_module() -> None:
    suite = onnx.backend.test.BackendTest(backend, __name__)
    suite.include(
        r"^test_(add_bcast|softmax_axis_1|if_seq|loop13_seq|string_concat|sequence_insert_at_back)_(cpu|cuda)$"
    )
    suite.include(r"^test_(Conv2d|PReLU_1d|GLU)_cpu$")
    result = unittest.TestResult()
    suite.test_suite.run(result)
    assert not result.errors + result.failures
    passed = result.testsRun - len(result.skipped)
    assert passed >= 9
