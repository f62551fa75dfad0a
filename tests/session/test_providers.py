"""Providers: the registry, a request for them, one of a third party, and telling where nodes run."""

from __future__ import annotations

import importlib.util
import logging
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import onnxlite
from onnxlite import InferenceSession, SessionOptions
from onnxlite.errors import EPFail, Fail
from onnxlite.kernels.op import KernelTable
from onnxlite.providers import Declined, Operator, TableProvider, create_provider, registry

GRAPH = "g (float[2] x) => (float[2] y) { t = Relu(x) y = Neg(t) }"
X = np.array([-1, 2], np.float32)
REFERENCE, CPU = "ReferenceExecutionProvider", "CPUExecutionProvider"
SessionMaker = Callable[..., InferenceSession]


class Marking:
    """A provider for Neg alone, whose results are 100 lower."""

    name = "MarkingExecutionProvider"

    def __init__(self, options: Mapping[str, str], device: str = "cpu") -> None:
        self.offset = np.float32(options.get("offset", "100"))
        self.device = device

    def choose(self, operator: Operator) -> Any:
        if operator.name != "Neg":
            return Declined("it only does Neg")
        table = KernelTable()

        @table.op("Neg")
        def neg(x: Any) -> Any:
            return -x - self.offset

        return table.find("", "Neg", operator.version)


@pytest.fixture
def marking(monkeypatch: pytest.MonkeyPatch) -> str:
    onnxlite.get_all_providers()
    monkeypatch.setattr(registry, "_REGISTERED", dict(registry._REGISTERED))
    onnxlite.register_provider(Marking.name, Marking)
    return Marking.name


def test_the_built_in_providers_are_registered_in_their_order() -> None:
    names = onnxlite.get_all_providers()
    assert [name for name in names if name in ("CUDAExecutionProvider", CPU, REFERENCE)] == [
        "CUDAExecutionProvider",
        CPU,
        REFERENCE,
    ]
    available = onnxlite.get_available_providers()
    assert {CPU, REFERENCE} <= set(available) <= set(names)


def test_the_reference_and_the_cpu_come_last_without_being_asked_for(session_of: SessionMaker, marking: str) -> None:
    for asked, expected in {
        (): [CPU, REFERENCE],
        (CPU,): [CPU, REFERENCE],
        (REFERENCE,): [REFERENCE],
        (marking,): [marking, CPU, REFERENCE],
        (marking, REFERENCE): [marking, REFERENCE],
        (REFERENCE, CPU): [REFERENCE, CPU],
    }.items():
        assert session_of(GRAPH, providers=list(asked)).get_providers() == expected
    built_in = [name for name in onnxlite.get_available_providers() if name != marking]
    assert session_of(GRAPH, providers=None).get_providers() == built_in
    assert session_of(GRAPH, providers=CPU).get_providers() == [CPU, REFERENCE]


def test_a_provider_that_is_not_there_is_a_warning_with_the_reason(session_of: SessionMaker) -> None:
    with pytest.warns(UserWarning, match="Specified provider 'NopeExecutionProvider' is not in available") as caught:
        session = session_of(GRAPH, providers=["NopeExecutionProvider", REFERENCE])
    assert session.get_providers() == [REFERENCE]
    message = str(caught[0].message)
    assert CPU in message
    assert "no provider of that name is registered" in message


def test_warnings_point_to_the_program(model_of: Callable[..., onnx.ModelProto]) -> None:
    with pytest.warns(UserWarning, match="is not in available") as caught:
        session = InferenceSession(model_of(GRAPH), providers=["NopeExecutionProvider"])
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="is not in available") as caught:
        session.set_providers(["NopeExecutionProvider"])
    assert caught[0].filename == __file__


@pytest.mark.skipif("CUDAExecutionProvider" in onnxlite.get_available_providers(), reason="there is a device")
def test_cuda_without_a_device_says_what_is_missing(session_of: SessionMaker) -> None:
    with pytest.warns(UserWarning, match="'CUDAExecutionProvider' is not in available .*CuPy"):
        session = session_of(GRAPH, providers=["CUDAExecutionProvider", CPU])
    assert session.get_providers() == [CPU, REFERENCE]
    assert onnxlite.get_device() == "CPU"


def test_a_provider_that_is_named_twice_is_a_warning(session_of: SessionMaker) -> None:
    with pytest.warns(UserWarning, match=f"Duplicate provider '{REFERENCE}' encountered, ignoring"):
        assert session_of(GRAPH, providers=[REFERENCE, REFERENCE]).get_providers() == [REFERENCE]


BAD_REQUESTS: dict[str, tuple[Any, Any, str]] = {
    "no sequence": ({CPU}, None, "'providers' should be a sequence"),
    "a number": ([3], None, "must be either strings or"),
    "a name alone in a tuple": ([(CPU,)], None, "must be either strings or"),
    "options that are no dict": ([(CPU, 3)], None, "must be either strings or"),
    "too many options": ([CPU], [{}, {}], "should be the same length"),
    "options twice": ([(CPU, {})], [{}], "Only string values"),
    "options that are no list": ([CPU], {"a": 1}, "'provider_options' should be a sequence"),
    "options that are no dicts": ([CPU], [3], "'provider_options' values must be dicts"),
}


@pytest.mark.parametrize(("providers", "provider_options", "message"), BAD_REQUESTS.values(), ids=BAD_REQUESTS)
def test_a_request_of_another_form_is_an_error(
    session_of: SessionMaker, providers: Any, provider_options: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        session_of(GRAPH, providers=providers, provider_options=provider_options)


def test_options_reach_the_provider_as_text(session_of: SessionMaker, marking: str) -> None:
    for request in (
        {"providers": [(marking, {"offset": 5})]},
        {"providers": [marking], "provider_options": [{"offset": 5}]},
    ):
        session = session_of(GRAPH, **request)
        assert session.get_provider_options()[marking] == {"offset": "5"}
        assert session.run(None, {"x": X})[0].tolist() == [-5, -7]


def test_a_third_partys_provider_serves_what_it_can(session_of: SessionMaker, marking: str) -> None:
    session = session_of(GRAPH, providers=[marking, REFERENCE])
    assert session.run(None, {"x": X})[0].tolist() == [-100, -102]
    relu, neg = session.explain_placement()
    assert (relu.provider, neg.provider) == (REFERENCE, marking)
    assert relu.declined == ((marking, "it only does Neg"),)
    assert str(relu) == (
        f"-> t (Relu-14) -> {REFERENCE}: {relu.kernel.where}; {marking} declined: it only does Neg"  # type: ignore[union-attr]
    )


def test_the_order_of_providers_is_that_of_preference(session_of: SessionMaker, marking: str) -> None:
    assert session_of(GRAPH, providers=[REFERENCE, marking]).run(None, {"x": X})[0].tolist() == [0, -2]


def test_set_providers_binds_the_session_anew(session_of: SessionMaker, marking: str) -> None:
    session = session_of(GRAPH, providers=[REFERENCE])
    session.set_providers([marking, REFERENCE])
    assert session.get_providers() == [marking, REFERENCE]
    assert session.run(None, {"x": X})[0].tolist() == [-100, -102]
    session.set_providers([REFERENCE])
    assert session.run(None, {"x": X})[0].tolist() == [0, -2]


def test_explain_placement_goes_into_subgraphs(session_of: SessionMaker) -> None:
    session = session_of(
        """g (bool c, float[2] x) => (float[2] y) {
          y = If (c) <then_branch = t () => (float[2] p) { p = Relu(x) },
                      else_branch = e () => (float[2] q) { q = Neg(x) }>
        }"""
    )
    assert [placement.node.op_type for placement in session.explain_placement()] == ["If", "Relu", "Neg"]


def test_a_provider_that_cannot_run_is_not_created(marking: str) -> None:
    onnxlite.register_provider("AwayExecutionProvider", Marking, lambda: "it is away")
    assert "AwayExecutionProvider" in onnxlite.get_all_providers()
    assert "AwayExecutionProvider" not in onnxlite.get_available_providers()
    with pytest.raises(EPFail, match="'AwayExecutionProvider' is not available: it is away"):
        create_provider("AwayExecutionProvider", {})


def failing(options: Mapping[str, str]) -> Any:
    raise EPFail("it will not start")


def test_a_provider_that_fails_to_start_falls_back_unless_that_is_off(
    session_of: SessionMaker, marking: str, caplog: pytest.LogCaptureFixture
) -> None:
    onnxlite.register_provider("FailingExecutionProvider", failing)
    with caplog.at_level(logging.WARNING, "onnxlite"):
        session = session_of(GRAPH, providers=["FailingExecutionProvider", REFERENCE])
    assert session.get_providers() == [REFERENCE]
    assert "it will not start" in caplog.text
    with pytest.raises(EPFail, match="it will not start"):
        session_of(GRAPH, providers=["FailingExecutionProvider", REFERENCE], enable_fallback=0)


class Breaking:
    """A provider whose kernel fails when it runs."""

    name = "BreakingExecutionProvider"

    def __init__(self, options: Mapping[str, str]) -> None:
        self.table = KernelTable()
        self.table.op("Neg")(self.neg)

    @staticmethod
    def neg(x: Any) -> Any:
        raise EPFail("the device is gone")

    def choose(self, operator: Operator) -> Any:
        return self.table.find("", operator.name, operator.version) or Declined("it only does Neg")


def test_a_provider_that_fails_in_a_run_falls_back_unless_that_is_off(
    session_of: SessionMaker, marking: str, caplog: pytest.LogCaptureFixture
) -> None:
    onnxlite.register_provider(Breaking.name, Breaking)
    session = session_of(GRAPH, providers=[Breaking.name, REFERENCE])
    session.disable_fallback()
    with pytest.raises(EPFail, match="the device is gone"):
        session.run(None, {"x": X})
    session.enable_fallback()
    with caplog.at_level(logging.ERROR, "onnxlite"):
        assert session.run(None, {"x": X})[0].tolist() == [0, -2]
    assert "the device is gone" in caplog.text
    assert session.get_providers() == [CPU, REFERENCE]


@pytest.fixture
def device(marking: str) -> str:
    """A provider on another device."""
    name = "DeviceExecutionProvider"

    class OnDevice(Marking):
        def __init__(self, options: Mapping[str, str]) -> None:
            super().__init__(options, device="cuda")

    OnDevice.name = name
    onnxlite.register_provider(name, OnDevice)
    return name


def test_falling_from_a_device_to_the_cpu_is_a_warning_that_names_the_nodes(
    session_of: SessionMaker, device: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "onnxlite"):
        session = session_of(GRAPH, providers=[device, REFERENCE])
        session.run(None, {"x": X})
        session.run(["t"], {"x": X})
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == f"1 nodes that {device} has no kernel for run on the CPU: -> t (Relu)"


def test_that_warning_can_be_turned_off_or_into_an_error(
    session_of: SessionMaker, device: str, caplog: pytest.LogCaptureFixture
) -> None:
    options = SessionOptions()
    options.log_severity_level = 3
    session_of(GRAPH, options=options, providers=[device, REFERENCE])
    assert not caplog.records
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    with pytest.raises(Fail, match=r"-> t .*disable_cpu_ep_fallback' forbids"):
        session_of(GRAPH, options=options, providers=[device, REFERENCE])
    session_of("g (float[2] x) => (float[2] y) { y = Neg(x) }", options=options, providers=[device, REFERENCE])


def test_falling_to_the_reference_is_information(
    session_of: SessionMaker, marking: str, caplog: pytest.LogCaptureFixture
) -> None:
    options = SessionOptions()
    session_of(GRAPH, options=options, providers=[marking, REFERENCE])
    assert not caplog.records
    options.log_severity_level, options.logid = 1, "mine"
    session_of(GRAPH, options=options, providers=[marking, REFERENCE])
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert record.getMessage() == f"[mine] 1 nodes that {marking} has no kernel for run on {REFERENCE}: -> t (Relu)"


def test_no_message_where_the_reference_was_asked_for(
    session_of: SessionMaker, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "onnxlite"), warnings.catch_warnings():
        warnings.simplefilter("error")
        session_of(GRAPH, providers=[REFERENCE])
    assert not caplog.records


def test_a_table_provider_asks_its_tables_in_order() -> None:
    first, second = KernelTable(), KernelTable()

    @first.op("Neg")
    def one(x: Any) -> Any:
        return x

    @second.op("Neg")
    @second.op("Abs")
    def other(x: Any) -> Any:
        return x

    provider = TableProvider("P", (first, second))
    assert provider.choose(Operator("", "Neg", 13)).source is one  # type: ignore[union-attr]
    assert provider.choose(Operator("", "Abs", 13)).source is other  # type: ignore[union-attr]
    assert provider.choose(Operator("", "Relu", 14)) == Declined("no kernel for Relu-14")


def test_an_entry_point_announces_a_provider(tmp_path: Path) -> None:
    (tmp_path / "announced.py").write_text(
        textwrap.dedent(
            """
            from onnxlite.kernels.op import KernelTable
            from onnxlite.providers import TableProvider

            TABLE = KernelTable()

            @TABLE.op("Neg")
            def neg(x):
                return -x * 2

            def create(options):
                return TableProvider("AnnouncedExecutionProvider", (TABLE,))
            """
        )
    )
    info = tmp_path / "announced-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: announced\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[{registry.ENTRY_POINT_GROUP}]\nAnnouncedExecutionProvider = announced:create\n"
    )
    code = textwrap.dedent(
        """
        import sys
        import numpy as np
        import onnxlite
        from onnx import parser

        assert "AnnouncedExecutionProvider" in onnxlite.get_available_providers()
        assert "announced" not in sys.modules, "it is imported when it is asked for"
        model = parser.parse_model(
            '<ir_version: 10, opset_import: ["": 18]> g (float[2] x) => (float[2] y) { y = Neg(x) }'
        )
        session = onnxlite.InferenceSession(model, providers=["AnnouncedExecutionProvider"])
        print(session.run(None, {"x": np.array([1, 2], np.float32)})[0].tolist())
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={"PYTHONPATH": str(tmp_path)}
    )
    assert done.stdout.strip() == "[-2.0, -4.0]", done.stderr


def test_without_numba_the_reference_serves_alone(session_of: SessionMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.warns(UserWarning, match=f"'{CPU}' is not in available .*Numba is not installed"):
        session = session_of(GRAPH, providers=[CPU])
    assert session.get_providers() == [REFERENCE]
    assert session.run(None, {"x": X})[0].tolist() == [0, -2]
