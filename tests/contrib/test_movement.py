"""Operators of com.microsoft that move elements, against onnxruntime."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from agreement import agree

RANDOM = np.random.default_rng(6)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


def test_expand_dims() -> None:
    agree("ExpandDims", floats(2, 3), np.array(1, np.int32))
    agree("ExpandDims", floats(2, 3), np.array(-1, np.int32))


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_gather_nd(dtype: type) -> None:
    agree("GatherND", floats(2, 3, 4), np.array([[0, 1], [1, 2]], dtype))


def test_range() -> None:
    agree("Range", np.array(1, np.int32), np.array(7, np.int32), np.array(2, np.int32))
    agree("Range", np.array([1], np.float32), np.array([5], np.float32))


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
def test_pad(mode: str) -> None:
    value = [np.array([3], np.float32)] if mode == "constant" else []
    agree("Pad", floats(3, 4), np.array([1, 0, 0, 2], np.int64), *value, mode=mode)
    agree("Pad", floats(3, 4), np.array([[0, 2, 1, 0]], np.int64), mode=mode)


def test_trilu() -> None:
    agree("Trilu", floats(2, 4, 5))
    agree("Trilu", floats(2, 4, 5), np.array(1, np.int64), upper=0)


def test_unique() -> None:
    agree("Unique", np.array([2, 1, 1, 3, 4, 3], np.float32), outputs=3)


def test_nhwc_max_pool() -> None:
    x = RANDOM.integers(0, 256, (2, 7, 5, 3)).astype(np.uint8)
    agree("NhwcMaxPool", x, kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 0])
