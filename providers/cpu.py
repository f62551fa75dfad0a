"""The compiled CPU provider: Numba kernels; what they do not serve falls to the next provider."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping

from onnxlite.providers.registry import Provider, TableProvider

NAME = "CPUExecutionProvider"


def create(options: Mapping[str, str]) -> Provider:
    """The provider; it has no options."""
    from onnxlite.kernels.numba import COMPILED

    return TableProvider(NAME, (COMPILED,), compiles=True)


def unavailable() -> str | None:
    """Why there are no compiled kernels, or None."""
    return "Numba is not installed (pip install numba)" if importlib.util.find_spec("numba") is None else None


REGISTRATION = (NAME, create, unavailable)
