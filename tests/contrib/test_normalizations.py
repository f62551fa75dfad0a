"""Normalizations of com.microsoft against onnxruntime."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from agreement import agree

RANDOM = np.random.default_rng(1)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("beta", [False, True])
@pytest.mark.parametrize("skip", [(2, 3, 8), (1, 3, 8), (3, 8)])
def test_skip_layer_normalization(skip: tuple[int, ...], beta: bool, bias: bool) -> None:
    inputs = [floats(2, 3, 8), floats(*skip), floats(8), floats(8) if beta else None, floats(8) if bias else None]
    agree("SkipLayerNormalization", *inputs, outputs=["y", "", "", "sum"], epsilon=1e-5)
    agree("SkipLayerNormalization", *inputs)


@pytest.mark.parametrize("bias", [False, True])
def test_skip_simplified_layer_normalization(bias: bool) -> None:
    inputs = [floats(2, 3, 8), floats(2, 3, 8), floats(8), floats(8) if bias else None]
    agree("SkipSimplifiedLayerNormalization", *inputs, outputs=["y", "", "", "sum"], epsilon=1e-5)
    agree("SkipSimplifiedLayerNormalization", *inputs)


@pytest.mark.parametrize("axis", [-1, 1])
def test_simplified_layer_normalization_in_the_default_domain(axis: int) -> None:
    shape = (2, 3, 5)
    agree("SimplifiedLayerNormalization", floats(*shape), floats(*shape[axis:]), axis=axis, domain="", version=17)
    agree("SimplifiedLayerNormalization", floats(*shape), floats(*shape[axis:]), axis=axis, domain="", version=13,
          outputs=2)  # fmt: skip


def test_layer_normalization_before_ai_onnx_has_it() -> None:
    agree("LayerNormalization", floats(2, 3, 5), floats(5), floats(5), domain="", version=13, epsilon=1e-4)


WORDS = RANDOM.integers(0, 11, (2, 4)).astype(np.int32)
SEGMENTS = RANDOM.integers(0, 2, (2, 4)).astype(np.int32)
MASK = np.array([[1, 1, 1, 0], [1, 0, 0, 0]], np.int32)
PLACES = RANDOM.integers(0, 6, (2, 4)).astype(np.int32)


@pytest.mark.parametrize("mask", [None, MASK])
@pytest.mark.parametrize("segments", [False, True])
@pytest.mark.parametrize("places", [None, PLACES, PLACES[:1]])
def test_embed_layer_normalization(mask: np.ndarray | None, segments: bool, places: np.ndarray | None) -> None:
    of_segments = [SEGMENTS, floats(2, 8)] if segments else [None, None]
    agree(
        "EmbedLayerNormalization",
        WORDS, of_segments[0], floats(11, 8), floats(6, 8), of_segments[1], floats(8), floats(8), mask, places,
        outputs=3,
        mask_index_type=1,
    )  # fmt: skip
