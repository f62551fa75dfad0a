"""Every case of the onnx backend suite on every provider that can run here."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from onnxlite import get_available_providers
from onnxlite.conformance.cases import load_cases
from onnxlite.conformance.runner import Outcome, Result

NAMES = [case.name for case in load_cases()]
PROVIDERS = [
    pytest.param(provider, marks=pytest.mark.gpu if provider.startswith("CUDA") else ())
    for provider in get_available_providers()
]


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("name", NAMES)
def test_case(name: str, provider: str, result_of: Callable[[str, str], Result]) -> None:
    result = result_of(name, provider)
    # No skips: every operator of the specification has an implementation.
    assert result.outcome is Outcome.PASS, result.reason
