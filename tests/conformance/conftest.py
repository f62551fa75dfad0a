"""Cases run once a session: the tests of single cases and the test of the scoreboard share the results."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest

from onnxlite.conformance.cases import load_cases
from onnxlite.conformance.engines import ONNXLITE
from onnxlite.conformance.runner import Result, run_case


@pytest.fixture(scope="session")
def result_of() -> Callable[[str, str], Result]:
    """Gives the result of a case, by name, on a provider of onnxlite."""
    cases = {case.name: case for case in load_cases()}

    @functools.cache
    def result(name: str, provider: str) -> Result:
        return run_case(cases[name], ONNXLITE, provider)

    return result
