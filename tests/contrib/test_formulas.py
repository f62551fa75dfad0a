"""Operators of com.microsoft that onnxruntime does not have on the CPU, against their formulas."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from agreement import gives

RANDOM = np.random.default_rng(2)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


def bytes_(*shape: int) -> np.ndarray:
    return RANDOM.integers(0, 256, shape).astype(np.uint8)


def normalized(x: np.ndarray, scale: np.ndarray, shift: np.ndarray, groups: int, activation: int) -> np.ndarray:
    """Groups of the last axis with mean 0 and variance 1, scaled and shifted, and perhaps through Swish."""
    count, height, width, channels = x.shape
    grouped = x.astype(np.float64).reshape(count, height * width, groups, channels // groups)
    centred = grouped - grouped.mean(axis=(1, 3), keepdims=True)
    normal = centred / np.sqrt((centred**2).mean(axis=(1, 3), keepdims=True) + 1e-5)
    y = normal.reshape(x.shape) * scale + shift
    return (y / (1 + np.exp(-y)) if activation else y).astype(np.float32)


@pytest.mark.parametrize("activation", [0, 1])
@pytest.mark.parametrize("channels_last", [0, 1])
def test_group_norm(activation: int, channels_last: int) -> None:
    x, scale, shift = floats(2, 3, 5, 6), floats(6), floats(6)
    expected = normalized(x, scale, shift, 3, activation)
    if not channels_last:
        x, expected = x.transpose(0, 3, 1, 2), expected.transpose(0, 3, 1, 2)
    attributes = {"activation": activation, "groups": 3, "channels_last": channels_last}
    gives("GroupNorm", expected, np.ascontiguousarray(x), scale, shift, **attributes)


@pytest.mark.parametrize("skip", [(2, 3, 5, 6), (2, 1, 1, 6), (2, 6)])
@pytest.mark.parametrize("bias", [False, True])
def test_skip_group_norm(skip: tuple[int, ...], bias: bool) -> None:
    x, other, scale, shift = floats(2, 3, 5, 6), floats(*skip), floats(6), floats(6)
    added = floats(6) if bias else None
    total = x + other.reshape(2, *(skip[1:3] if len(skip) == 4 else (1, 1)), 6) + (0 if added is None else added)
    expected = normalized(total, scale, shift, 2, 1)
    gives("SkipGroupNorm", expected, x, scale, shift, other, added, activation=1, groups=2)


@pytest.mark.parametrize("residual", [False, True])
def test_convolution_with_the_channels_last(residual: bool) -> None:
    x, w, b = floats(2, 4, 5, 3), floats(7, 3, 1, 1), floats(7)
    z = floats(2, 4, 5, 7) if residual else None
    sums = x @ w.reshape(7, 3).T + b + (0 if z is None else z)
    gives("NhwcFusedConv", np.maximum(sums, 0), x, w, b, z, activation="Relu")


@pytest.mark.parametrize("keepdims", [0, 1])
def test_quantized_mean(keepdims: int) -> None:
    x, zero, scale = bytes_(2, 3, 4, 5), np.array(100, np.uint8), np.array(0.1, np.float32)
    of_y, y_zero = np.array(0.0317, np.float32), np.array(120, np.uint8)
    real = ((x.astype(np.float32) - 100) * scale).mean(axis=(2, 3), keepdims=bool(keepdims))
    expected = np.clip(np.rint(real / of_y) + 120, 0, 255).astype(np.uint8)
    gives("QLinearReduceMean", expected, x, scale, zero, of_y, y_zero, axes=[2, 3], keepdims=keepdims)


@pytest.mark.parametrize("zeros", [False, True])
def test_product_of_bytes(zeros: bool) -> None:
    a, b = bytes_(3, 4), bytes_(1, 4)
    of_a, of_b = (np.array(value, np.uint8) if zeros else None for value in (7, 130))
    moved = a.astype(np.int32) - (7 if zeros else 0), b.astype(np.int32) - (130 if zeros else 0)
    gives("MulInteger", moved[0] * moved[1], a, of_a, b, of_b)


@pytest.mark.parametrize("keepdims", [0, 1])
def test_sum_of_bytes(keepdims: int) -> None:
    x = bytes_(3, 4, 300)
    expected = x.astype(np.int32).sum(axis=2, keepdims=bool(keepdims), dtype=np.int32)
    gives("ReduceSumInteger", expected, x, axes=[2], keepdims=keepdims)
