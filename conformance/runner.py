"""Runs cases on an engine, in this process, and says of each whether it passed, failed or was declined."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from onnxlite.conformance.cases import Case
from onnxlite.conformance.compare import MismatchError, compare_outputs
from onnxlite.conformance.engines import Engine
from onnxlite.conformance.randomness import check_distribution, is_random


class Outcome(StrEnum):
    """How a case ended; only an engine's own "not implemented" error makes a skip."""

    PASS = "pass"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one case, and why where it is no pass."""

    case: str
    outcome: Outcome
    reason: str = ""


def run_case(case: Case, engine: Engine, provider: str) -> Result:
    """Run one case; whatever the engine raises becomes part of the result."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            check_case(case, engine, provider)
    except MismatchError as mismatch:
        return Result(case.name, Outcome.FAIL, str(mismatch))
    except Exception as error:
        outcome = Outcome.SKIP if engine.declined(error) else Outcome.FAIL
        return Result(case.name, outcome, f"{type(error).__name__}: {' '.join(str(error).split())}")
    return Result(case.name, Outcome.PASS)


def check_case(case: Case, engine: Engine, provider: str) -> None:
    """Run one case; raise MismatchError where an output is not as expected, and pass on what the engine raises."""
    if is_random(case):
        check_distribution(case, lambda model: engine.prepare(model, provider))
        return
    prepared = engine.prepare(case.model_bytes, provider)
    for data_set in case.data_sets:
        compare_outputs(prepared(data_set.inputs), data_set.outputs, case.rtol, case.atol)


def run_cases(cases: Iterable[Case], engine: Engine, provider: str) -> Iterator[Result]:
    """Run cases one after the other; a crash of the engine takes this process with it."""
    for case in cases:
        yield run_case(case, engine, provider)
