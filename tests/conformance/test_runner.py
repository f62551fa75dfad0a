from __future__ import annotations

import sys
from pathlib import Path

import pytest

from onnxlite.conformance.cases import load_cases
from onnxlite.conformance.runner import Outcome, Result, run_case, run_cases
from onnxlite.conformance.workers import run_isolated

sys.path.insert(0, str(Path(__file__).parent))  # workers look the engine up by this path too
from fake_engine import ENGINE, FAKE, fake_case

REASONS = {
    "right": (Outcome.PASS, ""),
    "wrong value": (Outcome.FAIL, "output 0: 3 of 3 elements differ; at [0] expected 1.0, got 2.0"),
    "wrong dtype": (Outcome.FAIL, "output 0: expected the element type float32, got float64"),
    "wrong shape": (Outcome.FAIL, "output 0: expected the shape (3,), got (1, 3)"),
    "too many": (Outcome.FAIL, "expected 1 outputs, got 2"),
    "raise": (Outcome.FAIL, "ValueError: the kernel failed"),
    "decline": (Outcome.SKIP, "NotImplementedError: no kernel for Relu"),
}

ENDINGS = {
    "crash": (Outcome.FAIL, "the engine ended the process (SIGSEGV)"),
    "exit": (Outcome.FAIL, "the engine ended the process (exit code 3)"),
    "hang": (Outcome.FAIL, "no answer within 1 seconds"),
}


@pytest.mark.parametrize("behaviour", REASONS)
def test_outcomes(behaviour: str) -> None:
    assert run_case(fake_case(behaviour), FAKE, "FakeProvider") == Result(f"test {behaviour}", *REASONS[behaviour])


def test_cases_run_in_order() -> None:
    results = run_cases(map(fake_case, REASONS), FAKE, "FakeProvider")
    assert [result.case for result in results] == [f"test {behaviour}" for behaviour in REASONS]


@pytest.mark.parametrize("jobs", [1, 2])
def test_workers_survive_crashes_and_hangs(jobs: int) -> None:
    expected = REASONS | ENDINGS
    behaviours = [*ENDINGS, *REASONS]
    results = list(run_isolated(map(fake_case, behaviours), ENGINE, "FakeProvider", jobs=jobs, timeout=1))
    found = {result.case.removeprefix("test "): (result.outcome, result.reason) for result in results}
    assert len(results) == len(behaviours)
    assert found == expected


def test_a_worker_that_cannot_start_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="did not start"):
        list(run_isolated([fake_case("right")], "no_such_module:ENGINE", "FakeProvider"))
    assert "no_such_module" in capfd.readouterr().err


def test_workers_and_this_process_agree() -> None:
    """Cases of every source travel to a worker: generated ones, folders and light models."""
    names = {"test_add", "test_cast_FLOAT_to_BFLOAT16", "test_sequence_model1", "test_Linear", "test_squeezenet"}
    cases = [case for case in load_cases() if case.name in names]
    assert len(cases) == len(names)
    results = list(run_isolated(cases, "onnxlite", "ReferenceExecutionProvider"))
    assert {result.case: result.outcome for result in results} == dict.fromkeys(names, Outcome.PASS)
