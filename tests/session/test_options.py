"""Options: onnxruntime's names, defaults and checks, and what they do."""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import onnxlite
from onnxlite import InferenceSession, OrtValue, RunOptions, SessionOptions
from onnxlite.errors import Fail, InvalidArgument, NotImplemented

#: onnxruntime writes its own name there.
RENAMED = {"profile_file_prefix"}


def attributes(options: Any) -> set[str]:
    return {name for name in dir(options) if not name.startswith("_") and not callable(getattr(options, name))}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(SessionOptions(), onnxruntime.SessionOptions()), (RunOptions(), onnxruntime.RunOptions())],
    ids=["SessionOptions", "RunOptions"],
)
def test_attributes_have_the_names_and_defaults_of_onnxruntime(ours: Any, theirs: Any) -> None:
    assert attributes(theirs) <= attributes(ours)
    for name in attributes(theirs) - RENAMED:
        our, their = getattr(ours, name), getattr(theirs, name)
        assert (getattr(our, "name", our), type(our).__name__) == (getattr(their, "name", their), type(their).__name__)


VALUES = [True, False, None, 0, 1, 7, -1, 2.5, "4", b"4", np.int64(3), [1]]


@pytest.mark.parametrize("name", sorted(attributes(onnxruntime.SessionOptions())))
def test_session_options_take_what_those_of_onnxruntime_take(name: str) -> None:
    ours, theirs = SessionOptions(), onnxruntime.SessionOptions()
    for value in VALUES:
        try:
            setattr(theirs, name, value)
        except TypeError:
            with pytest.raises(TypeError, match=f"SessionOptions.{name} takes"):
                setattr(ours, name, value)
        else:
            setattr(ours, name, value)
            assert getattr(ours, name) == getattr(theirs, name), value


@pytest.mark.parametrize("name", sorted(attributes(onnxruntime.RunOptions())))
def test_run_options_take_what_those_of_onnxruntime_take(name: str) -> None:
    ours, theirs = RunOptions(), onnxruntime.RunOptions()
    for value in VALUES:
        try:
            setattr(theirs, name, value)
        except TypeError:
            with pytest.raises(TypeError, match=f"RunOptions.{name} takes"):
                setattr(ours, name, value)
        else:
            setattr(ours, name, value)
            assert getattr(ours, name) == getattr(theirs, name), value


@pytest.mark.parametrize("options", [SessionOptions(), RunOptions()])
def test_a_misspelt_attribute_is_an_error(options: Any) -> None:
    with pytest.raises(AttributeError):
        options.terminat = True


@pytest.mark.parametrize("enumeration", ["GraphOptimizationLevel", "ExecutionMode", "ExecutionOrder"])
def test_enumerations_have_the_members_of_onnxruntime(enumeration: str) -> None:
    theirs = getattr(onnxruntime, enumeration).__members__
    ours = getattr(onnxlite, enumeration).__members__
    assert {name: int(value) for name, value in ours.items()} == {name: int(value) for name, value in theirs.items()}


@pytest.mark.parametrize(
    ("options", "add", "get"),
    [
        (SessionOptions(), "add_session_config_entry", "get_session_config_entry"),
        (RunOptions(), "add_run_config_entry", "get_run_config_entry"),
    ],
)
def test_configuration_entries(options: Any, add: str, get: str) -> None:
    getattr(options, add)("some.key", "1")
    assert getattr(options, get)("some.key") == "1"
    with pytest.raises(RuntimeError, match="does not have configuration with key: other"):
        getattr(options, get)("other")
    with pytest.raises(TypeError):
        getattr(options, add)("some.key", 1)
    for key, value in (("", "v"), ("k" * 1025, "v"), ("k", "v" * 8193)):
        with pytest.raises(RuntimeError):
            getattr(options, add)(key, value)


def test_options_can_be_copied() -> None:
    options = SessionOptions()
    options.logid, options.random_seed = "a", 3
    options.add_session_config_entry("k", "v")
    other = copy.deepcopy(options)
    options.logid = "b"
    assert (other.logid, other.random_seed, other.get_session_config_entry("k")) == ("a", 3, "v")


RELU = "g (float[N, 2] x) => (float[N, 2] y) { y = Relu(x) }"


def with_denotation(model: onnx.ModelProto) -> onnx.ModelProto:
    model.graph.input[0].type.tensor_type.shape.dim[0].denotation = "DATA_BATCH"
    return model


@pytest.mark.parametrize("by", ["name", "denotation"])
def test_free_dimensions_can_be_fixed_as_in_onnxruntime(model_of: Callable[..., onnx.ModelProto], by: str) -> None:
    model = with_denotation(model_of(RELU)).SerializeToString()
    described = []
    for module in (onnxlite, onnxruntime):
        options = module.SessionOptions()
        options.log_severity_level = 4
        if by == "name":
            options.add_free_dimension_override_by_name("N", 3)
        else:
            options.add_free_dimension_override_by_denotation("DATA_BATCH", 3)
        session = module.InferenceSession(model, options)
        described.append([str(v) for v in (*session.get_inputs(), *session.get_outputs())])
        session.run(None, {"x": np.ones((3, 2), np.float32)})
        with pytest.raises(Exception, match="index: 0 Got: 2 Expected: 3"):
            session.run(None, {"x": np.ones((2, 2), np.float32)})
    assert described[0] == described[1]


def test_dimensions_are_fixed_inside_subgraphs_and_sequences(model_of: Callable[..., onnx.ModelProto]) -> None:
    model = model_of(
        """g (bool c, seq(float[N]) s) => (float[N] y) <int64 zero = {0}> {
          y = If (c) <then_branch = t () => (float[N] p) { p = SequenceAt(s, zero) },
                      else_branch = e () => (float[N] q) { q = SequenceAt(s, zero) }>
        }"""
    )
    options = SessionOptions()
    options.add_free_dimension_override_by_name("N", 4)
    session = InferenceSession(model, options, providers=["ReferenceExecutionProvider"])
    assert "N" not in repr(session.model).replace("SequenceAt", "")
    with pytest.raises(InvalidArgument, match="index: 0 Got: 5 Expected: 4"):
        session.run(None, {"c": True, "s": [np.ones(5, np.float32)]})


@pytest.mark.parametrize("value", ["3", 2.5, None])
def test_lengths_are_integers(value: Any) -> None:
    for add in (
        SessionOptions().add_free_dimension_override_by_name,
        SessionOptions().add_free_dimension_override_by_denotation,
    ):
        with pytest.raises(TypeError):
            add("N", value)


WEIGHTED = "g (float[2] x) => (float[2] y) <float[2] w = {1, 2}> { y = Add(x, w) }"


def test_an_initializer_can_be_given(model_of: Callable[..., onnx.ModelProto]) -> None:
    shared = np.array([10, 20], np.float32)
    options = SessionOptions()
    options.add_initializer("w", OrtValue.ortvalue_from_numpy(shared))
    options.add_initializer("not in this model", OrtValue.ortvalue_from_numpy(shared))
    for _ in range(2):
        session = InferenceSession(model_of(WEIGHTED), options, providers=["ReferenceExecutionProvider"])
        assert session.run(None, {"x": np.zeros(2, np.float32)})[0].tolist() == [10, 20]
    (w,) = session.run(["w"], {"x": np.zeros(2, np.float32)})
    w[:] = 0
    assert shared.tolist() == [10, 20]


def test_a_given_initializer_has_to_fit(model_of: Callable[..., onnx.ModelProto]) -> None:
    for array in (np.zeros(3, np.float32), np.zeros(2, np.int64)):
        options = SessionOptions()
        options.add_initializer("w", OrtValue.ortvalue_from_numpy(array))
        with pytest.raises(InvalidArgument, match=r"given for the initializer 'w' is .*, expected float\[2\]"):
            InferenceSession(model_of(WEIGHTED), options)
    with pytest.raises(TypeError, match="the initializer 'w' is given as ndarray, expected an OrtValue"):
        SessionOptions().add_initializer("w", np.zeros(2, np.float32))  # type: ignore[arg-type]


def with_external_weight(model: onnx.ModelProto) -> onnx.ModelProto:
    tensor = model.graph.initializer[0]
    tensor.CopyFrom(onnx.TensorProto(name="w", data_type=1, dims=[2], data_location=onnx.TensorProto.EXTERNAL))
    tensor.external_data.add(key="location", value="w.bin")
    return model


def test_external_initializers_can_be_given(model_of: Callable[..., onnx.ModelProto]) -> None:
    model = with_external_weight(model_of(WEIGHTED))
    array = np.array([5, 6], np.float32)
    given, in_memory = SessionOptions(), SessionOptions()
    given.add_external_initializers(["w"], [OrtValue.ortvalue_from_numpy(array)])
    content = array.tobytes() + b"more"
    in_memory.add_external_initializers_from_files_in_memory(["w.bin"], [content], [8])
    for options in (given, in_memory):
        session = InferenceSession(model.SerializeToString(), options, providers=["ReferenceExecutionProvider"])
        assert session.run(None, {"x": np.zeros(2, np.float32)})[0].tolist() == [5, 6]


def test_the_folder_of_external_data_can_be_given(model_of: Callable[..., onnx.ModelProto], tmp_path: Path) -> None:
    model = with_external_weight(model_of(WEIGHTED)).SerializeToString()
    (tmp_path / "w.bin").write_bytes(np.array([7, 8], np.float32).tobytes())
    with pytest.raises(onnxlite.OnnxliteError, match="has no folder"):
        InferenceSession(model)
    options = SessionOptions()
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(tmp_path))
    session = InferenceSession(model, options, providers=["ReferenceExecutionProvider"])
    assert session.run(None, {"x": np.zeros(2, np.float32)})[0].tolist() == [7, 8]


@pytest.mark.parametrize(
    ("name", "value"), [("enable_profiling", True), ("optimized_model_filepath", "optimized.onnx")]
)
def test_what_a_session_cannot_do_is_refused(model_of: Callable[..., onnx.ModelProto], name: str, value: Any) -> None:
    options = SessionOptions()
    setattr(options, name, value)
    with pytest.raises(NotImplemented, match=name):
        InferenceSession(model_of(RELU), options)


def test_compiled_operators_and_the_other_format_are_refused(model_of: Callable[..., onnx.ModelProto]) -> None:
    with pytest.raises(NotImplemented, match=r"library 'ops\.so' of compiled operators cannot be loaded"):
        SessionOptions().register_custom_ops_library("ops.so")
    options = SessionOptions()
    options.add_session_config_entry("session.load_model_format", "ORT")
    with pytest.raises(NotImplemented, match=r"session\.load_model_format"):
        InferenceSession(model_of(RELU), options)


def test_providers_can_be_in_the_options(model_of: Callable[..., onnx.ModelProto]) -> None:
    options = SessionOptions()
    assert not options.has_providers()
    options.add_provider("ReferenceExecutionProvider", {"a": "b"})
    assert options.has_providers()
    session = InferenceSession(model_of(RELU), options)
    assert session.get_provider_options() == {"ReferenceExecutionProvider": {"a": "b"}}
    session = InferenceSession(model_of(RELU), options, providers=["CPUExecutionProvider"])
    assert session.get_providers()[0] == "CPUExecutionProvider"


def test_advisory_options_change_nothing(model_of: Callable[..., onnx.ModelProto]) -> None:
    options = SessionOptions()
    options.enable_cpu_mem_arena = options.enable_mem_pattern = options.enable_mem_reuse = False
    options.intra_op_num_threads, options.inter_op_num_threads = -1, 2
    options.execution_mode = onnxlite.ExecutionMode.ORT_PARALLEL
    options.execution_order = onnxlite.ExecutionOrder.PRIORITY_BASED
    options.add_session_config_entry("session.set_denormal_as_zero", "0")
    session = InferenceSession(model_of(RELU), options)
    assert session.get_session_options() is options
    assert session.run(None, {"x": np.array([[-1, 2]], np.float32)})[0].tolist() == [[0, 2]]


RANDOM = "g () => (float[4] y) { y = RandomNormal <shape = [4]> () }"


def draws(session: InferenceSession) -> list[Any]:
    return [session.run(None, {})[0].tolist() for _ in range(2)]


def test_a_seed_makes_sessions_repeatable(model_of: Callable[..., onnx.ModelProto]) -> None:
    options = SessionOptions()
    options.random_seed = 5
    first, second = (draws(InferenceSession(model_of(RANDOM), options)) for _ in range(2))
    assert first == second
    assert first[0] != first[1]
    options.random_seed = 6
    assert draws(InferenceSession(model_of(RANDOM), options)) != first
    assert draws(InferenceSession(model_of(RANDOM))) != draws(InferenceSession(model_of(RANDOM)))


def test_the_process_can_have_a_seed(model_of: Callable[..., onnx.ModelProto], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxlite.process._seed", None)
    onnxlite.set_seed(11)
    first, second = (draws(InferenceSession(model_of(RANDOM))) for _ in range(2))
    assert first == second
    with pytest.raises(TypeError):
        onnxlite.set_seed("a")  # type: ignore[arg-type]


ENDLESS = """g (float x) => (float y) <int64 most = {9223372036854775807}, bool yes = {1}> {
  y = Loop (most, yes, x) <body = b (int64 i, bool c, float state) => (bool d, float next)
    { d = Identity(c) next = Identity(state) }>
}"""


def test_a_run_that_was_told_to_stop_does_not_start(session_of: Callable[..., InferenceSession]) -> None:
    options = RunOptions()
    options.terminate = True
    session = session_of(RELU)
    x = np.ones((1, 2), np.float32)
    with pytest.raises(Fail, match="terminate flag"):
        session.run(None, {"x": x}, options)
    options.terminate = False
    session.run(None, {"x": x}, options)


def test_an_endless_loop_can_be_stopped_from_another_thread(session_of: Callable[..., InferenceSession]) -> None:
    session = session_of(ENDLESS)
    options, other = RunOptions(), RunOptions()
    errors: list[Exception] = []

    def work() -> None:
        try:
            session.run(None, {"x": np.float32(1)}, options)
        except Fail as error:
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    other.terminate = True
    thread.join(0.2)
    assert thread.is_alive(), "options of other runs do not matter"
    options.terminate = True
    thread.join(30)
    assert not thread.is_alive()
    assert "terminate flag" in str(errors[0])


def test_a_stop_reaches_the_sessions_that_operators_run(session_of: Callable[..., InferenceSession]) -> None:
    inner = session_of(ENDLESS)
    options = SessionOptions()
    run_options = RunOptions()

    @options.op("my.domain", "RunInner")
    def run_inner(x: Any) -> Any:
        run_options.terminate = True
        return inner.run(None, {"x": x})[0]

    outer = session_of("g (float x) => (float y) { y = my.domain.RunInner(x) }", options=options)
    with pytest.raises(Fail, match="terminate flag"):
        outer.run(None, {"x": np.float32(1)}, run_options)


def test_own_operators_belong_to_the_options(model_of: Callable[..., onnx.ModelProto]) -> None:
    model = model_of("g (float[2] x) => (float[2] y) { y = my.domain.Scale <factor = 3.0> (x) }")
    options = SessionOptions()

    @options.op("my.domain", "Scale")
    def scale(x: Any, *, factor: float = 1.0) -> Any:
        return x * np.float32(factor)

    session = InferenceSession(model, options, providers=["ReferenceExecutionProvider"])
    assert session.run(None, {"x": np.array([1, 2], np.float32)})[0].tolist() == [3, 6]
    with pytest.raises(NotImplemented, match=r"my\.domain\.Scale .* register it with onnxlite\.op"):
        InferenceSession(model, providers=["ReferenceExecutionProvider"])


def test_own_operators_can_replace_those_of_the_specification(model_of: Callable[..., onnx.ModelProto]) -> None:
    options = SessionOptions()

    @options.op("", "Relu")
    def relu(x: Any) -> Any:
        return x + np.float32(100)

    x = np.zeros((1, 2), np.float32)
    assert InferenceSession(model_of(RELU), options).run(None, {"x": x})[0].tolist() == [[100, 100]]
    assert InferenceSession(model_of(RELU)).run(None, {"x": x})[0].tolist() == [[0, 0]]


def test_severities_are_levels_of_pythons_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = logging.getLogger("onnxlite")
    monkeypatch.setattr(logger, "level", logger.level)
    for severity, level in enumerate((logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)):
        onnxlite.set_default_logger_severity(severity)
        assert logger.level == level
    for severity in (-1, 5):
        with pytest.raises(RuntimeError, match="no log severity"):
            onnxlite.set_default_logger_severity(severity)
    logger.setLevel(logging.NOTSET)
