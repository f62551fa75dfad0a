"""The first answer of a process whose cache of compiled kernels is empty."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_BEFORE = """
import sys, time
import numpy as np, onnx
import onnxlite

def session_of(text, **more):
    return onnxlite.InferenceSession(onnx.parser.parse_model(text), providers=["CPUExecutionProvider"], **more)

MODEL = '<ir_version: 8, opset_import: ["": 17]> g (float[N,3] x) => (float[N,3] y) { a = Exp(x) y = Neg(a) }'
RANDOM = '<ir_version: 8, opset_import: ["": 17]> g (float[2,3] x) => (float[2,3] y) { y = RandomNormalLike(x) }'
x = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
loaded = lambda: "onnxlite.kernels.numba" in sys.modules

def until(condition):
    for _ in range(600):
        if condition():
            return True
        time.sleep(0.1)
"""


def printed(program: str, folder: Path, **environment: str) -> str:
    """What a program prints in a process of its own with an empty cache."""
    variables = {**os.environ, "ONNXLITE_CACHE_DIR": str(folder), "ONNXLITE_COMPILE": "background", **environment}
    command = [sys.executable, "-c", _BEFORE + program]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_numpy_answers_first_and_compiled_kernels_later(tmp_path: Path) -> None:
    program = """
session = session_of(MODEL)
(first,) = session.run(None, {"x": x})
print(loaded(), session.get_providers())
def compiled():
    (y,) = session.run(None, {"x": x})
    assert np.allclose(y, -np.exp(x)) and np.allclose(first, y)
    plan = session._bound.main_plan
    programs = () if plan.programs is None else plan.programs.programs()
    return any(command.bound is not None for program in programs for command in program.commands)
print(until(compiled), len(session.plan.steps))
"""
    assert printed(program, tmp_path).splitlines() == [
        "False ['CPUExecutionProvider', 'ReferenceExecutionProvider']",
        "True 1",
    ]


def test_dropout_that_drops_nothing_draws_no_numbers(tmp_path: Path) -> None:
    program = """
session = session_of('<ir_version: 8, opset_import: ["": 17]> g (float[2,3] x) => (float[2,3] y) { y = Dropout(x) }')
print(np.array_equal(session.run(None, {"x": x})[0], x), loaded())
"""
    assert printed(program, tmp_path) == "True False"


def test_whoever_asks_for_the_plan_gets_the_compiled_one(tmp_path: Path) -> None:
    program = """
session = session_of(MODEL)
print(loaded(), [placement.node.operator for placement in session.explain_placement()], loaded())
print(len(session.plan.steps), np.allclose(session.run(None, {"x": x})[0], -np.exp(x)))
"""
    assert printed(program, tmp_path).splitlines() == ["False ['onnxlite.Elementwise'] True", "1 True"]


def test_other_providers_are_not_overwritten(tmp_path: Path) -> None:
    program = """
session = session_of(MODEL)
session.run(None, {"x": x})
session.set_providers(["ReferenceExecutionProvider"])
until(loaded), time.sleep(1)
print(session.get_providers(), len(session.plan.steps), np.allclose(session.run(None, {"x": x})[0], -np.exp(x)))
"""
    assert printed(program, tmp_path) == "['ReferenceExecutionProvider'] 2 True"


@pytest.mark.parametrize(
    "reason", ["it waits for the compiler", "random numbers come from one plan", "files are there"]
)
def test_numba_is_loaded_at_once_where_it_makes_sense(reason: str, tmp_path: Path) -> None:
    environment = {"ONNXLITE_COMPILE": "wait"} if reason == "it waits for the compiler" else {}
    if reason == "files are there":
        (tmp_path / "some.kernel").touch()
    model = "RANDOM" if reason == "random numbers come from one plan" else "MODEL"
    assert printed(f"session_of({model}); print(loaded())", tmp_path, **environment) == "True"
