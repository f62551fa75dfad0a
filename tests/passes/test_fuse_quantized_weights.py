"""Weights with a scale for each block stay narrow where they are multiplied, and mean the same."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from onnxlite.kernels.arrays import Array
from onnxlite.model import Node

sys.path.append(str(Path(__file__).parents[1] / "graphs"))
from quantized_graphs import check, floats, graph, node

TYPES = [ml_dtypes.int4, ml_dtypes.uint4, np.int8, np.uint8]


def weights(shape: tuple[int, ...], dtype: Any) -> Array:
    limits = ml_dtypes.iinfo(dtype)
    values = np.random.default_rng(shape).integers(int(limits.min), int(limits.max), shape, endpoint=True)
    return values.astype(dtype)


def left(nodes: list[Node], shape: tuple[int, ...], axis: int, dtype: Any, zeros: bool = True) -> list[str]:
    """The operators that are left of a graph whose w has blocks of 16 along an axis."""
    blocked = tuple(-(-length // 16) if number == axis else length for number, length in enumerate(shape))
    constants = {"w": weights(shape, dtype), "s": np.abs(floats(blocked)) + np.float32(0.1)}
    if zeros:
        constants["z"] = weights(blocked, dtype)
    before = node("DequantizeLinear", "w s z" if zeros else "w s", "d", opset=21, axis=axis, block_size=16)
    return check(graph([before, *nodes], {"x": (np.float32, ("N", 40))}, **constants), [floats((3, 40))], 0)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("zeros", [False, True])
def test_matmul(dtype: Any, zeros: bool) -> None:
    assert left([node("MatMul", "x d", "y")], (40, 50), 0, dtype, zeros) == ["MatMulQuantizedWeights"]


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Gemm", "x d", "y", transB=1)],
        [node("Transpose", "d", "t", perm=(1, 0)), node("MatMul", "x t", "y")],
        [node("Transpose", "d", "t"), node("MatMul", "x t", "y")],
    ],
)
def test_weights_that_are_transposed(nodes: list[Node]) -> None:
    assert left(nodes, (50, 40), 1, ml_dtypes.int4) == ["MatMulQuantizedWeights"]


@pytest.mark.parametrize(
    ("nodes", "shape", "axis"),
    [
        ([node("MatMul", "x d", "y")], (40, 50), 1),
        ([node("Gemm", "x d", "y", transB=1)], (50, 40), 0),
        ([node("Gemm", "x d", "y", alpha=2.0)], (40, 50), 0),
        ([node("Tanh", "d", "e"), node("MatMul", "x e", "y")], (40, 50), 0),
    ],
)
def test_other_uses_are_dequantized_once(nodes: list[Node], shape: tuple[int, ...], axis: int) -> None:
    operators = left(nodes, shape, axis, np.int8)
    assert "MatMulQuantizedWeights" not in operators
    assert "DequantizeLinear" not in operators
