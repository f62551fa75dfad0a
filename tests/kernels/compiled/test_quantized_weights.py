"""Products with weights of 4 and 8 bits that have a scale for each block, against their reference."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.compiled import KernelDeclined, bound_kernel
from onnxlite.kernels.numpy import REFERENCE

sys.path.append(str(Path(__file__).parent))
from guarded_memory import run_alike

_OP = "MatMulQuantizedWeights"


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.sampled_from([ml_dtypes.int4, ml_dtypes.uint4, np.int8, np.uint8]),
    st.sampled_from([1, 2, 5, 13, 30]),
    st.sampled_from([1, 3, 32, 127, 128, 200, 513]),
    st.sampled_from([1, 5, 16, 31, 32, 40, 70]),
    st.sampled_from([1, 16, 32, 128, 600]),
    st.booleans(),
)
def test_like_the_reference(dtype: Any, rows: int, depth: int, columns: int, block: int, zeros: bool) -> None:
    random, limits = np.random.default_rng((rows, depth, columns)), ml_dtypes.iinfo(dtype)
    blocked = (-(-depth // block), columns)

    def integers(shape: tuple[int, ...]) -> Any:
        return random.integers(int(limits.min), int(limits.max), shape, endpoint=True).astype(dtype)

    a = random.standard_normal((2, rows, depth)).astype(np.float32)
    scale = random.random(blocked, np.float32) + np.float32(0.01)
    inputs = [a, integers((depth, columns)), scale, *([integers(blocked)] if zeros else [])]
    kernel = REFERENCE.find("onnxlite", _OP, 1)
    assert kernel is not None
    expected = kernel.function(*inputs, block_size=block)
    constants = tuple(range(1, len(inputs)))
    answer = bound_kernel(_OP, 1, *inputs, constants=constants, domain="onnxlite", block_size=block)
    given = [a, *([None] * (len(inputs) - 1))]
    actual = run_alike(answer, given)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_declines_what_is_not_compiled() -> None:
    a, b, scale = np.ones((2, 4), np.float32), np.ones((4, 3), np.int8), np.ones((2, 3), np.float32)
    with pytest.raises(KernelDeclined, match="constant"):
        bound_kernel(_OP, 1, a, b, scale, constants=(2,), domain="onnxlite", block_size=2)
    with pytest.raises(KernelDeclined, match="scales"):
        bound_kernel(_OP, 1, a, b, scale, constants=(1, 2), domain="onnxlite", block_size=4)
