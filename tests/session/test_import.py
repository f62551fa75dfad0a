"""What ``import onnxlite`` loads: nothing that is slow to load, and nothing under a name that is not its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {
    "numba",
    "llvmlite",
    "cupy",
    "PIL",
    "re2",
    "onnxruntime",
    "scipy",
    "rich",
    "hypothesis",
    "pytest",
    "onnx.reference",
}
FOREIGN = {"kernels", "providers", "conformance"}


def loaded_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["onnxlite", "onnxlite.capi.onnxruntime_pybind11_state", "onnxlite.providers"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    loaded = loaded_after(f"import {module}")
    assert loaded.isdisjoint(HEAVY | FOREIGN)
    assert "onnxlite.kernels.numpy" not in loaded


SESSION = """
import numpy as np
import onnxlite
from onnx import parser

model = parser.parse_model('<ir_version: 10, opset_import: ["": 18]> g (float[2] x) => (float[2] y) { y = Neg(x) }')
session = onnxlite.InferenceSession(model, providers=["ReferenceExecutionProvider"])
session.run(None, {"x": np.zeros(2, np.float32)})
"""


def test_a_session_on_the_reference_loads_no_compiler() -> None:
    assert loaded_after(SESSION).isdisjoint({"numba", "llvmlite", "cupy", "onnxruntime", *FOREIGN})


def test_asking_for_providers_loads_no_compiler() -> None:
    loaded = loaded_after("import onnxlite; onnxlite.get_available_providers(); onnxlite.get_device()")
    assert loaded.isdisjoint({"numba", "llvmlite", "onnxruntime", *FOREIGN})
