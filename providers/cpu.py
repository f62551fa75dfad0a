"""The compiled CPU provider: Numba kernels; what they do not serve falls to the next provider."""

from __future__ import annotations

from collections.abc import Mapping

from onnxlite.providers.registry import Provider, TableProvider

NAME = "CPUExecutionProvider"


def create(options: Mapping[str, str]) -> Provider:
    """The provider; it has no options."""
    from onnxlite.kernels.numba import COMPILED

    return TableProvider(NAME, (COMPILED,))


REGISTRATION = (NAME, create, lambda: None)
