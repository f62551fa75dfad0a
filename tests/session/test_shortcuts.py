"""Runs after the first: as quick as can be, and still checked, apart from each other, and the caller's own."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto

import onnxlite
from onnxlite import InferenceSession
from onnxlite.errors import InvalidArgument

SUM = "g (float[N, 2] x, float[2] b) => (float[N, 2] y, float[N, 2] z) { t = Add(x, b) y = Relu(t) z = Neg(t) }"


@pytest.fixture
def session(session_of: Callable[..., InferenceSession]) -> InferenceSession:
    """A session that has run twice with one row, so that it has its program."""
    options = onnxlite.SessionOptions()
    options.add_session_config_entry("session.compile", "wait")
    session = session_of(SUM, options=options, providers=["CPUExecutionProvider"])
    for _ in range(2):
        session.run(None, feeds(1))
    return session


def feeds(rows: int) -> dict[str, Any]:
    return {"x": np.full((rows, 2), -3, np.float32), "b": np.array([1, 5], np.float32)}


def programs_used(session: InferenceSession) -> int:
    return len(session._bound._shortcuts._programs)


def test_a_run_like_an_earlier_one_takes_the_shortcut(session: InferenceSession) -> None:
    assert programs_used(session) == 1
    results = session._bound.run_again(None, feeds(1))
    assert results is not None
    np.testing.assert_array_equal(results[0], [[0, 2]])
    np.testing.assert_array_equal(results[1], [[2, -2]])


def test_other_shapes_and_names_are_runs_of_their_own(session: InferenceSession) -> None:
    assert session._bound.run_again(None, feeds(2)) is None
    assert session._bound.run_again(["y"], feeds(1)) is None
    assert session.run(None, feeds(2))[0].shape == (2, 2)
    (z,) = session.run(["z"], feeds(1))
    np.testing.assert_array_equal(z, [[2, -2]])
    (z,) = session.run(["z"], feeds(1))
    np.testing.assert_array_equal(z, [[2, -2]])
    (y,) = session.run(["y"], feeds(1))
    np.testing.assert_array_equal(y, [[0, 2]])


@pytest.mark.parametrize(
    "change",
    [
        {"x": np.zeros((1, 2))},
        {"x": np.zeros((1, 2), ">f4").byteswap()},
        {"x": np.zeros((1, 3), np.float32)},
        {"x": np.zeros(2, np.float32)},
        {"b": "text"},
        {"unknown": np.zeros(2, np.float32)},
    ],
)
def test_feeds_that_do_not_fit_are_refused_after_ones_that_did(
    session: InferenceSession, change: dict[str, Any]
) -> None:
    given = feeds(1) | change
    if getattr(given["x"], "dtype", None) == np.dtype(">f4"):
        np.testing.assert_array_equal(session.run(["y"], given)[0], [[1, 5]])  # another byte order is converted
    else:
        with pytest.raises(InvalidArgument):
            session.run(None, given)


def test_missing_and_renamed_feeds_are_refused(session: InferenceSession) -> None:
    with pytest.raises(InvalidArgument, match="missing"):
        session.run(None, {"x": feeds(1)["x"]})
    with pytest.raises(InvalidArgument, match="missing"):
        session.run(None, {"x": feeds(1)["x"], "c": feeds(1)["b"]})


def test_names_are_still_checked(session: InferenceSession) -> None:
    with pytest.raises(TypeError):
        session.run("y", feeds(1))
    with pytest.raises(InvalidArgument):
        session.run(["nothing"], feeds(1))


def test_what_is_fed_may_lie_anyhow_in_memory(session: InferenceSession) -> None:
    x = np.arange(8, dtype=np.float32).reshape(2, 4)[:1, ::2]
    np.testing.assert_array_equal(session.run(["y"], {"x": x, "b": np.zeros(2, np.float32)})[0], x)
    read_only = feeds(1)
    read_only["x"].flags.writeable = False
    np.testing.assert_array_equal(session.run(None, read_only)[0], [[0, 2]])


def test_results_belong_to_the_caller(session: InferenceSession) -> None:
    first = session.run(["y", "y"], feeds(1))
    session.run(["y", "y"], feeds(1))
    again = session.run(["y", "y"], feeds(1))
    assert not any(np.shares_memory(a, b) for a in first for b in again)
    assert not np.shares_memory(*again)
    assert all(array.flags.writeable and array.flags.owndata for array in again)


def test_constants_and_inputs_as_results_are_copies(session_of: Callable[..., InferenceSession]) -> None:
    session = session_of("g (float[2] x) => (float[2] y) <float[2] w = {1, 2}> { y = Add(x, w) }", providers=None)
    for _ in range(3):
        x = np.zeros(2, np.float32)
        same, w, _ = session.run(["x", "w", "y"], {"x": x})
        same[:] = w[:] = 7
        np.testing.assert_array_equal(x, [0, 0])


def test_many_kinds_of_runs_are_remembered_up_to_a_number(session: InferenceSession) -> None:
    for rows in range(1, 40):
        session.run(None, feeds(rows))
    assert programs_used(session) <= 16
    for rows in (1, 39, 40):
        np.testing.assert_array_equal(session.run(None, feeds(rows))[0], [[0, 2]] * rows)


def test_options_are_heard_after_runs_without(session: InferenceSession) -> None:
    options = onnxlite.RunOptions()
    options.terminate = True
    with pytest.raises(onnxlite.OnnxliteError):
        session.run(None, feeds(1), options)
    with pytest.raises(TypeError):
        session.run(None, feeds(1), "quick")  # type: ignore[arg-type]


@pytest.mark.filterwarnings("error")
def test_steps_of_the_reference_stay_silent(session_of: Callable[..., InferenceSession]) -> None:
    session = session_of("g (float[2] x, string[1] s) => (float[2] y, string[1] t) { y = Log(x) t = Identity(s) }")
    for _ in range(3):
        y, t = session.run(None, {"x": np.array([-1, 0], np.float32), "s": np.array(["a"], object)})
        assert str(y.tolist()) == "[nan, -inf]"
        assert t.tolist() == ["a"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_goes_on_with_it(session: InferenceSession) -> None:
    child = os.fork()
    if child == 0:
        y = session.run(None, feeds(1))[0]
        os._exit(0 if y.tolist() == [[0, 2]] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_maps_and_arrays_as_results(model_of: Callable[..., ModelProto]) -> None:
    graph = """g (float[N, 2] x) => (float[N, 2] y, seq(map(int64, float)) z) {
      y = Neg(x) z = ai.onnx.ml.ZipMap <classlabels_int64s = [7, 5]> (y)
    }"""
    model = model_of(graph, header='<ir_version: 10, opset_import: ["": 18, "ai.onnx.ml": 3]>')
    session = InferenceSession(model.SerializeToString())
    for value in (1.0, 2.0, 3.0):
        y, z = session.run(None, {"x": np.array([[value, 0]], np.float32)})
        assert y.tolist() == [[-value, 0]]
        assert z == [{5: 0.0, 7: -value}]


def test_runs_with_options_and_with_ort_values_take_it_too(
    session: InferenceSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> Any:
        raise AssertionError("the run was checked again")

    session.run(["y"], feeds(1))
    monkeypatch.setattr(session._bound, "run", fail)
    options = onnxlite.RunOptions()
    np.testing.assert_array_equal(session.run(None, feeds(1), options)[0], [[0, 2]])
    values = {name: onnxlite.OrtValue.ortvalue_from_numpy(array) for name, array in feeds(1).items()}
    np.testing.assert_array_equal(session.run_with_ort_values(["y"], values)[0].numpy(), [[0, 2]])
    binding = session.io_binding()
    for name, value in values.items():
        binding.bind_ortvalue_input(name, value)
    binding.bind_output("y")
    session.run_with_iobinding(binding)
    np.testing.assert_array_equal(binding.copy_outputs_to_cpu()[0], [[0, 2]])
