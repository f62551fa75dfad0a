"""The GPU provider: CuPy kernels; available where CuPy is installed and finds a device."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping

from onnxlite.providers.registry import Provider, TableProvider

NAME = "CUDAExecutionProvider"


def create(options: Mapping[str, str]) -> Provider:
    """The provider; it has no options."""
    from onnxlite.kernels.cupy import CUDA

    return TableProvider(NAME, (CUDA,), device="cuda")


def unavailable() -> str | None:
    """Why CUDA cannot be used on this machine, or None."""
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed (pip install 'onnxlite[cuda12]' or 'onnxlite[cuda13]')"
    try:
        import cupy  # type: ignore[import-not-found,unused-ignore]

        count = int(cupy.cuda.runtime.getDeviceCount())
    except Exception as error:  # CuPy raises its own kinds for a missing driver, library or device.
        return f"CuPy finds no usable device: {error}"
    return None if count else "CuPy finds no CUDA device"


REGISTRATION = (NAME, create, unavailable)
