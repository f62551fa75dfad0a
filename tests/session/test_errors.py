"""Errors: onnxruntime's names in onnxruntime's situations, each saying what is wrong and where."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import onnxruntime.capi.onnxruntime_pybind11_state as their_module
import pytest

import onnxlite.capi.onnxruntime_pybind11_state as our_module
from onnxlite import InferenceSession, OnnxliteError

GRAPH = "g (float[2] x) => (float[2] y) { t = Relu(x) y = Neg(t) }"


def changed(model: onnx.ModelProto, change: Callable[[onnx.ModelProto], Any]) -> bytes:
    change(model)
    return bytes(model.SerializeToString())


def twice(model: onnx.ModelProto) -> None:
    model.graph.node.add().CopyFrom(model.graph.node[0])


#: What is done to the model, the error here, and that of onnxruntime where it has another name for it.
BROKEN: dict[str, tuple[Callable[[onnx.ModelProto], Any], str, str]] = {
    "no such operator": (
        lambda m: setattr(m.graph.node[0], "op_type", "Nope"),
        r"NotImplemented: .*node '-> t'.*Nope \(opset 18\)",
        "InvalidGraph",
    ),
    "domain is not imported": (
        lambda m: setattr(m.graph.node[0], "domain", "other"),
        r"InvalidGraph: .*node '-> t' \(other.Relu\): the domain 'other' is not imported",
        "InvalidGraph",
    ),
    "no opset": (
        lambda m: m.ClearField("opset_import"),
        "InvalidGraph: .*the domain 'ai.onnx' is not imported",
        "Fail",
    ),
    "opset 0": (
        lambda m: setattr(m.opset_import[0], "version", 0),
        "InvalidGraph: .*the domain 'ai.onnx' is imported in version 0",
        "InvalidGraph",
    ),
    "opset of the future": (
        lambda m: setattr(m.opset_import[0], "version", 999),
        "NotImplemented: .*imports version 999 of the domain 'ai.onnx'",
        "Fail",
    ),
    "IR of the future": (lambda m: setattr(m, "ir_version", 999), "NotImplemented: .*IR version 999", "Fail"),
    "undefined value": (
        lambda m: m.graph.node[1].input.__setitem__(0, "nothing"),
        r"InvalidGraph: .*node '-> y' \(Neg\) reads 'nothing'",
        "InvalidArgument",
    ),
    "value defined twice": (twice, r"InvalidGraph: .*makes 't', which is defined already", "Fail"),
    "cycle": (
        lambda m: m.graph.node[0].input.__setitem__(0, "y"),
        "InvalidGraph: .*has a cycle: Relu '-> t' <- Neg '-> y' <- Relu '-> t'",
        "Fail",
    ),
    "output that nobody makes": (
        lambda m: setattr(m.graph.output[0], "name", "q"),
        "InvalidGraph: .*no node makes the output 'q'",
        "Fail",
    ),
    "input without a type": (
        lambda m: m.graph.input[0].ClearField("type"),
        "InvalidGraph: .*the input 'x' has no type",
        "Fail",
    ),
    "too many inputs": (
        lambda m: m.graph.node[0].input.append("x"),
        r"InvalidGraph: node '-> t' \(Relu, opset 18\) has 2 inputs, expected 1",
        "InvalidGraph",
    ),
    "unknown attribute": (
        lambda m: m.graph.node[0].attribute.append(onnx.helper.make_attribute("slope", 1.0)),
        r"InvalidGraph: node '-> t' .* has the attribute 'slope'",
        "InvalidGraph",
    ),
    "no graph": (lambda m: m.ClearField("graph"), "NoModel: No graph was found in the protobuf", "InvalidArgument"),
}


@pytest.mark.parametrize(("change", "ours", "theirs"), BROKEN.values(), ids=BROKEN)
def test_a_broken_model_is_refused_by_both(
    model_of: Callable[..., onnx.ModelProto],
    change: Callable[[onnx.ModelProto], Any],
    ours: str,
    theirs: str,
) -> None:
    data = changed(model_of(GRAPH), change)
    with pytest.raises(OnnxliteError) as caught:
        InferenceSession(data, providers=["ReferenceExecutionProvider"])
    name, _, message = ours.partition(": ")
    assert type(caught.value).__name__ == name
    assert caught.match(message)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    with pytest.raises(Exception, match=r".") as raised:
        onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    assert type(raised.value).__name__ == theirs


@pytest.mark.parametrize(
    ("content", "error"),
    [(b"", "InvalidArgument"), (b"garbage", "InvalidProtobuf"), (b"\x00" * 100, "InvalidProtobuf")],
)
def test_what_is_no_model_is_refused_by_both(tmp_path: Path, content: bytes, error: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    for source in (content, str(path)):
        with pytest.raises(getattr(our_module, error)):
            InferenceSession(source)
        with pytest.raises(getattr(their_module, error)):
            onnxruntime.InferenceSession(source)


def test_a_path_that_leads_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "none.onnx"
    with pytest.raises(our_module.NoSuchFile, match=r"none\.onnx' does not exist") as caught:
        InferenceSession(path)
    assert isinstance(caught.value, FileNotFoundError)
    with pytest.raises(their_module.NoSuchFile):
        onnxruntime.InferenceSession(path)
    with pytest.raises(our_module.NoSuchFile, match="is not a file"):
        InferenceSession(tmp_path)


def test_the_exceptions_are_found_where_onnxruntime_has_them() -> None:
    ours = set(importlib.import_module("onnxlite.capi.onnxruntime_pybind11_state").__all__)
    assert ours <= set(dir(their_module))
    for name in ours:
        assert issubclass(getattr(our_module, name), OnnxliteError)


def test_each_error_is_a_built_in_one_too() -> None:
    expected = {
        "Fail": RuntimeError,
        "InvalidArgument": ValueError,
        "NoSuchFile": FileNotFoundError,
        "NoModel": our_module.InvalidArgument,
        "InvalidProtobuf": ValueError,
        "InvalidGraph": ValueError,
        "NotImplemented": NotImplementedError,
        "RuntimeException": RuntimeError,
        "EPFail": RuntimeError,
    }
    for name, base in expected.items():
        assert issubclass(getattr(our_module, name), base)


def test_a_kernel_that_fails_is_located(session_of: Callable[..., InferenceSession]) -> None:
    session = session_of("g (float[N] a, float[M] b) => (float[K] c) { t = Neg(a) c = Add(t, b) }")
    with pytest.raises(our_module.RuntimeException) as caught:
        session.run(None, {"a": np.ones(2, np.float32), "b": np.ones(3, np.float32)})
    message = str(caught.value)
    for part in ("node '-> c' (Add, opset 18)", "t: float[2], b: float[3]", "(ReferenceExecutionProvider)"):
        assert part in message


def test_a_failure_inside_a_subgraph_names_both_nodes(session_of: Callable[..., InferenceSession]) -> None:
    session = session_of(
        """g (bool c, float[N] a, float[M] b) => (float[K] y) {
          y = If (c) <then_branch = t () => (float[K] p) { p = Add(a, b) },
                      else_branch = e () => (float[K] q) { q = Identity(a) }>
        }"""
    )
    feeds = {"c": np.array(True), "a": np.ones(2, np.float32), "b": np.ones(3, np.float32)}
    with pytest.raises(our_module.RuntimeException, match="node '-> p'") as caught:
        session.run(None, feeds)
    assert any("in node '-> y' (If)" in note for note in caught.value.__notes__)
