"""Activations of com.microsoft against onnxruntime."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from agreement import agree, gives

RANDOM = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("op_type", ["Gelu", "FastGelu", "QuickGelu"])
@pytest.mark.parametrize("shape", [(3, 5, 7), (1,), (0, 4)])
def test_activation(op_type: str, shape: tuple[int, ...]) -> None:
    agree(op_type, floats(*shape))


def test_activation_with_parameters() -> None:
    agree("QuickGelu", floats(3, 5), alpha=1.5)
    agree("FastGelu", floats(3, 5), floats(5))
    agree("BiasGelu", floats(2, 3, 5), floats(5))


# onnxruntime has the operators below on GPUs alone.


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    flat = np.exp(x.reshape(*x.shape[:axis], -1) - x.max())
    return (flat / flat.sum(-1, keepdims=True)).reshape(x.shape)


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_bias_softmax_repeats_the_bias_along_the_first_axes(axis: int) -> None:
    data, bias = floats(2, 3, 4, 5), floats(*(1,) * axis, *(2, 3, 4, 5)[axis:])
    gives("BiasSoftmax", softmax(data + bias, axis), data, bias, axis=axis, is_inner_broadcast=0)


@pytest.mark.parametrize("axis", [2, 3])
def test_bias_softmax_repeats_the_bias_along_inner_axes(axis: int) -> None:
    data, bias = floats(2, 3, 4, 5), floats(2, *(3, 4, 5)[axis - 1 :])
    aligned = bias.reshape(2, *(1,) * (axis - 1), *bias.shape[1:])
    gives("BiasSoftmax", softmax(data + aligned, axis), data, bias, axis=axis, is_inner_broadcast=1)


def test_additions() -> None:
    x, bias, skip = floats(2, 3, 6), floats(6), floats(2, 3, 6)
    gives("BiasAdd", x + bias + skip, x, bias, skip)
    left, right = np.split(x + bias, 2, axis=-1)
    gelu = right * (1 + np.vectorize(math.erf)(right / math.sqrt(2))) / 2
    gives("BiasSplitGelu", (left * gelu).astype(np.float32), x, bias)
    gives("BiasDropout", x + bias + skip, x, bias, skip)
