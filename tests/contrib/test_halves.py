"""Operators of com.microsoft on float16 against onnxruntime."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from agreement import agree

RANDOM = np.random.default_rng(9)


def halves(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float16)


CACHE = [halves(1, 2, 12, 16) * (np.arange(12) < 5)[:, None].astype(np.float16) for _ in range(2)]
CACHED = [halves(1, 1, 64), halves(1, 1, 32), halves(1, 1, 32), *CACHE, np.array([5], np.int32), np.array(6, np.int32)]
CASES: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "BiasGelu": ([halves(3, 4), halves(4)], {}),
    "FastGelu": ([halves(3, 4)], {}),
    "FusedMatMul": ([halves(3, 4), halves(4, 5)], {"alpha": 0.5}),
    "GroupQueryAttention": (
        [*CACHED, halves(32, 8), halves(32, 8)],
        {"num_heads": 4, "kv_num_heads": 2, "do_rotary": 1, "outputs": 3},
    ),
    "MatMulNBits": (
        [halves(3, 64), RANDOM.integers(0, 256, (24, 4, 8)).astype(np.uint8), np.abs(halves(24, 4))],
        {"K": 64, "N": 24, "bits": 4, "block_size": 16, "constants": (1, 2)},
    ),
    "QuickGelu": ([halves(3, 4)], {}),
    "RotaryEmbedding": (
        [halves(2, 5, 16), RANDOM.integers(0, 16, (2, 5)), halves(16, 4), halves(16, 4)],
        {"num_heads": 2},
    ),
    "SkipLayerNormalization": ([halves(2, 3, 8), halves(2, 3, 8), halves(8), halves(8)], {}),
    "SkipSimplifiedLayerNormalization": ([halves(2, 3, 8), halves(2, 3, 8), halves(8)], {}),
}


@pytest.mark.parametrize("op_type", CASES)
def test_halves(op_type: str) -> None:
    inputs, given = CASES[op_type]
    agree(op_type, *inputs, rtol=2e-2, atol=2e-2, **given)
