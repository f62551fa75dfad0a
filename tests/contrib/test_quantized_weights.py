"""MatMulNBits against onnxruntime, and that its weights stay narrow."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import onnxlite

sys.path.insert(0, str(Path(__file__).parent))
from agreement import agree, contrib_model

RANDOM = np.random.default_rng(3)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


def packed(rows: int, columns: int, bits: int, size: int) -> list[np.ndarray]:
    """B, scales and zero points."""
    blocks = -(-columns // size)
    weights = RANDOM.integers(0, 256, (rows, blocks, size * bits // 8)).astype(np.uint8)
    zeros = RANDOM.integers(0, 256, (rows, -(-blocks * bits // 8))).astype(np.uint8)
    return [weights, np.abs(floats(rows, blocks)) / 10, zeros]


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("columns", "size"), [(32, 32), (70, 16), (96, 32), (100, 64)])
def test_matmul_n_bits(columns: int, size: int, bias: bool, zeros: bool, bits: int) -> None:
    weights, scales, points = packed(24, columns, bits, size)
    agree(
        "MatMulNBits",
        floats(2, 3, columns), weights, scales, points if zeros else None, None, floats(24) if bias else None,
        constants=(1, 2, 3, 5),
        K=columns, N=24, bits=bits, block_size=size, rtol=1e-4, atol=1e-4,
    )  # fmt: skip


def test_zero_points_that_are_floats() -> None:
    weights, scales, _ = packed(24, 64, 4, 16)
    agree("MatMulNBits", floats(3, 64), weights, scales, floats(24, 4) + 8, constants=(1, 2, 3),
          K=64, N=24, bits=4, block_size=16, rtol=1e-4, atol=1e-4)  # fmt: skip


def test_weights_that_are_inputs() -> None:
    agree("MatMulNBits", floats(3, 40), *packed(24, 40, 4, 16), K=40, N=24, bits=4, block_size=16,
          rtol=1e-4, atol=1e-4)  # fmt: skip


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("zeros", [False, True])
def test_weights_stay_narrow_until_they_are_multiplied(zeros: bool, bits: int) -> None:
    weights, scales, points = packed(24, 64, bits, 32)
    inputs = [floats(3, 64), weights, scales, points if zeros else None, None, floats(24)]
    model = contrib_model("MatMulNBits", inputs, constants=(1, 2, 3, 5), K=64, N=24, bits=bits, block_size=32)
    session = onnxlite.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    operators = [step.node.op_type for step in session.plan.steps]
    assert "MatMulQuantizedWeights" in operators
    assert not {"DequantizeLinear", "BitShift", "Transpose", "Cast"} & set(operators)
