"""Sessions go through pickle, to another process too."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import onnxlite
from onnxlite import InferenceSession, SessionOptions
from onnxlite.errors import NotImplemented
from onnxlite.options import PROCESS_OPERATORS

GRAPH = """g (float[2] x, bool c) => (float[2] y, string[1] s, bfloat16[2] h, float[2] k)
<float[2] w = {1, 2}, string[1] text = {"a"}> {
  t = Add(x, w)
  y = If (c) <then_branch = t1 () => (float[2] p) { p = Mul(t, w) },
              else_branch = e1 () => (float[2] q) { q = Identity(t) }>
  s = Identity(text)
  h = Cast <to = 16> (t)
  k = Identity(w)
}"""
FEEDS = {"x": np.array([3, 4], np.float32), "c": np.array(True)}


def again(session: InferenceSession) -> InferenceSession:
    restored: InferenceSession = pickle.loads(pickle.dumps(session))
    return restored


def results(session: InferenceSession) -> list[Any]:
    return [value.tolist() for value in session.run(None, FEEDS)]


def test_a_session_is_the_same_afterwards(session_of: Callable[..., InferenceSession]) -> None:
    options = SessionOptions()
    options.logid = "mine"
    options.add_session_config_entry("k", "v")
    session = session_of(GRAPH, options=options)
    session.disable_fallback()
    for other in (again(session), again(again(session)), copy.deepcopy(session)):
        assert results(other) == results(session)
        assert str(other.get_inputs()) == str(session.get_inputs())
        assert str(other.get_outputs()) == str(session.get_outputs())
        assert other.get_modelmeta() == session.get_modelmeta()
        assert other.get_providers() == session.get_providers()
        assert other.get_session_options().logid == "mine"
        assert other.get_session_options().get_session_config_entry("k") == "v"
        assert repr(other.model) == repr(session.model)


def test_constants_stay_safe_from_the_caller(session_of: Callable[..., InferenceSession]) -> None:
    session = again(session_of(GRAPH))
    session.run(["k"], FEEDS)[0][:] = 100
    session.run(["w"], FEEDS)[0][:] = 100
    assert session.run(["k"], FEEDS)[0].tolist() == [1, 2]


def test_external_data_travels_with_the_session(model_of: Callable[..., onnx.ModelProto], tmp_path: Path) -> None:
    model = model_of("g (float[N] x) => (float[N] y) <float[1] w = {0}> { y = Add(x, w) }")
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(np.ones(256, np.float32), "w"))
    path = tmp_path / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    session = InferenceSession(path, providers=["ReferenceExecutionProvider"])
    data = pickle.dumps(session)
    del session
    path.unlink()
    (tmp_path / "w.bin").unlink()
    restored = pickle.loads(data)
    assert restored.run(None, {"x": np.zeros(256, np.float32)})[0].tolist() == [1] * 256


def test_a_seed_starts_anew(session_of: Callable[..., InferenceSession]) -> None:
    options = SessionOptions()
    options.random_seed = 4
    session = session_of("g () => (float[3] y) { y = RandomUniform <shape = [3]> () }", options=options)
    first = session.run(None, {})[0].tolist()
    assert again(session).run(None, {})[0].tolist() == first


def double(x: Any) -> Any:
    """An operator that can be pickled: a function of a module."""
    return x * 2


DOUBLED = "g (float[2] x) => (float[2] y) { y = my.domain.Double(x) }"
X = np.array([1, 2], np.float32)


def test_operators_of_the_options_travel_with_the_session(session_of: Callable[..., InferenceSession]) -> None:
    options = SessionOptions()
    options.op("my.domain", "Double")(double)
    assert again(session_of(DOUBLED, options=options)).run(None, {"x": X})[0].tolist() == [2, 4]


def test_operators_of_the_process_travel_with_the_sessions_that_use_them(
    session_of: Callable[..., InferenceSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PROCESS_OPERATORS, "_kernels", {})
    onnxlite.op("my.domain", "Double")(double)
    onnxlite.op("my.domain", "Unused")(lambda x: x)  # cannot be pickled, and does not have to be
    data = pickle.dumps(session_of(DOUBLED))
    monkeypatch.setattr(PROCESS_OPERATORS, "_kernels", {})
    with pytest.raises(NotImplemented):
        session_of(DOUBLED)
    session = pickle.loads(data)
    assert session.run(None, {"x": X})[0].tolist() == [2, 4]
    assert again(session).run(None, {"x": X})[0].tolist() == [2, 4]


def test_a_session_goes_to_another_process(session_of: Callable[..., InferenceSession]) -> None:
    session = session_of(GRAPH)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(InferenceSession.get_providers, (session,)) == session.get_providers()
        y = pool.apply(InferenceSession.run, (session, ["y"], FEEDS))[0]
    assert y.tolist() == results(session)[0]


def test_a_process_that_knows_nothing_imports_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "operators.py").write_text(
        textwrap.dedent(
            """
            import onnxlite

            @onnxlite.op("my.domain", "Double")
            def double(x):
                return x * 2
            """
        )
    )
    make = """
        import pickle, sys
        import operators
        import onnxlite
        from onnx import parser

        model = parser.parse_model(
            '<ir_version: 10, opset_import: ["": 18, "my.domain": 1]> '
            'g (float[2] x) => (float[2] y) { y = my.domain.Double(x) }'
        )
        sys.stdout.buffer.write(pickle.dumps(onnxlite.InferenceSession(model)))
    """
    use = """
        import pickle, sys
        import numpy as np

        session = pickle.load(sys.stdin.buffer)
        print(session.run(None, {"x": np.array([1, 2], np.float32)})[0].tolist())
    """
    env = {"PYTHONPATH": str(tmp_path)}
    made = subprocess.run([sys.executable, "-c", textwrap.dedent(make)], capture_output=True, check=True, env=env)
    used = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(use)], input=made.stdout, capture_output=True, check=True, env=env
    )
    assert used.stdout.decode().strip() == "[2.0, 4.0]"
