"""What a measurement depends on besides the code: the processor and the versions."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from pathlib import Path
from typing import Any

_PACKAGES = ("onnxlite", "onnxruntime", "onnx", "numpy", "numba", "llvmlite")
#: The vector extensions that kernels choose by.
_FEATURES = (
    "avx2",
    "fma",
    "f16c",
    "avx512f",
    "avx512vnni",
    "avxvnni",
    "avx512bf16",
    "amx-int8",
    "neon",
    "dotprod",
    "i8mm",
)


def environment() -> dict[str, Any]:
    """The processor, the system, and the versions of everything that takes part."""
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    return {
        "processor": _processor(),
        "architecture": llvm.get_host_cpu_name(),
        "features": [name for name in _FEATURES if features.get(name)],
        "processors": _usable_processors(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
    }


def described(content: dict[str, Any]) -> str:
    """One sentence for a person."""
    versions = ", ".join(f"{name} {version}" for name, version in content["versions"].items())
    return (
        f"{content['processor']} ({content['architecture']}: {', '.join(content['features'])}), "
        f"{content['processors']} processors, {content['system']}; Python {content['python']}, {versions}"
    )


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _usable_processors() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
