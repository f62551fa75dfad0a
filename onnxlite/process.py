"""What holds for the whole process, and what it says about itself."""

from __future__ import annotations

import operator

import onnx

from onnxlite.providers import get_available_providers

__version__ = "0.1.0"

_seed: int | None = None


def set_seed(seed: int) -> None:
    """Make random operators repeatable in the sessions that are made from now on, unless their options have a seed."""
    global _seed
    _seed = operator.index(seed)


def default_seed() -> int | None:
    """The seed of sessions whose options have none."""
    return _seed


def get_device() -> str:
    """``GPU`` where the CUDA provider can run, else ``CPU``."""
    return "GPU" if "CUDAExecutionProvider" in get_available_providers() else "CPU"


def get_version_string() -> str:
    """The version of onnxlite."""
    return __version__


def get_build_info() -> str:
    """What this is, in a line."""
    return f"onnxlite {__version__}, onnx {onnx.__version__}"
