"""An If whose condition follows from shapes: its branch becomes part of the program."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import parser

import onnxlite

HEAD = '<ir_version: 8, opset_import: ["": 17]>'


def session(body: str, branches: str) -> onnxlite.InferenceSession:
    text = f"""{HEAD} g (float[N, 3] x, float[3] b) => (float[M, K] y) {{
        zero = Constant <value = int64 {{0}}> ()  two = Constant <value = int64 {{2}}> ()
        shape = Shape (x)  rows = Gather (shape, zero)  many = Greater (rows, two)
        {body} y = If (many) <{branches}> }}"""
    return onnxlite.InferenceSession(parser.parse_model(text), providers=["CPUExecutionProvider"])


def program_operators(s: onnxlite.InferenceSession) -> list[set[str]]:
    programs: Any = s.plan.programs
    return [{command.step.node.op_type for command in program.commands} for program in programs.programs()]


@pytest.mark.parametrize("rows", [1, 2, 3, 5])
def test_a_branch_that_the_shape_decides_is_part_of_the_program(rows: int) -> None:
    s = session(
        "h = Mul (x, b)",
        """then_branch = t () => (float[A, C] p) { p0 = Add (h, b) p = Relu (p0) },
           else_branch = e () => (float[A, C] q) { q = Neg (h) }""",
    )
    generator = np.random.default_rng(rows)
    x, b = generator.standard_normal((rows, 3), np.float32), generator.standard_normal(3, np.float32)
    expected = np.maximum(x * b + b, 0) if rows > 2 else -(x * b)
    for _ in range(3):
        np.testing.assert_allclose(s.run(None, {"x": x, "b": b})[0], expected, rtol=1e-5)
    (operators,) = program_operators(s)
    assert "If" not in operators


@pytest.mark.parametrize("rows", [2, 4])
def test_a_branch_may_give_back_what_it_captures_or_what_only_a_run_knows(rows: int) -> None:
    s = session(
        "h = Abs (x)",
        """then_branch = t () => (float[A, C] p) { p = Identity (h) },
           else_branch = e () => (float[A, C] q) { n = NonZero (x) q = Cast <to = 1> (n) }""",
    )
    x = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3) - 2
    expected = np.abs(x) if rows > 2 else np.stack(np.nonzero(x)).astype(np.float32)
    for _ in range(3):
        np.testing.assert_array_equal(s.run(None, {"x": x, "b": np.zeros(3, np.float32)})[0], expected)


def test_an_error_in_the_branch_names_the_node_and_the_if() -> None:
    s = session(
        "five = Constant <value_ints = [5]> ()",
        """then_branch = t () => (float[A, C] p) { p = Reshape (x, five) },
           else_branch = e () => (float[A, C] q) { q = Neg (x) }""",
    )
    with pytest.raises(onnxlite.OnnxliteError, match="Reshape") as caught:
        s.run(None, {"x": np.zeros((3, 3), np.float32), "b": np.zeros(3, np.float32)})
    assert any("(If)" in note for note in caught.value.__notes__)
