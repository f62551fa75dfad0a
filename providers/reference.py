"""The NumPy provider: every operator of the specification, written to be read."""

from __future__ import annotations

from collections.abc import Mapping

from onnxlite.providers.registry import Provider, TableProvider

NAME = "ReferenceExecutionProvider"


def create(options: Mapping[str, str]) -> Provider:
    """The provider; it has no options."""
    from onnxlite.kernels.numpy import REFERENCE

    return TableProvider(NAME, (REFERENCE,))


REGISTRATION = (NAME, create, lambda: None)
