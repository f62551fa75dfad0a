"""Attention of com.microsoft against onnxruntime."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxlite.conformance.differential import assert_same

sys.path.insert(0, str(Path(__file__).parent))
from agreement import PROVIDERS, agree, contrib_model, onnxruntime_outputs, ours

RANDOM = np.random.default_rng(4)
BATCH, QUERIES, HEADS, SIZE, PAST = 2, 5, 2, 4, 3
HIDDEN = HEADS * SIZE


def floats(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


def masks(keys: int) -> dict[str, np.ndarray | None]:
    """The kinds of masks; every query sees a key, since nothing but rounding decides where it sees none."""
    of_queries = RANDOM.integers(0, 2, (BATCH, QUERIES, keys)).astype(np.int32)
    of_queries[:, :, 0] = 1
    ends = np.array([keys, keys - 2], np.int32)
    return {
        "none": None,
        "ends": ends,
        "ends and starts": np.concatenate([ends, np.array([0, 1], np.int32)]),
        "keys": (np.arange(keys) < ends[:, None]).astype(np.int32),
        "keys of queries": of_queries,
    }


@pytest.mark.parametrize("mask", masks(QUERIES))
@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize(("past", "biased"), [(False, False), (True, False), (False, True)])
def test_attention(mask: str, causal: int, past: bool, biased: bool) -> None:
    keys = QUERIES + PAST * past
    before = floats(2, BATCH, HEADS, PAST, SIZE) if past else None
    bias = floats(BATCH, HEADS, QUERIES, keys) if biased else None
    agree(
        "Attention",
        floats(BATCH, QUERIES, 6), floats(6, 3 * HIDDEN), floats(3 * HIDDEN), masks(keys)[mask], before, bias,
        outputs=2 if past else 1, constants=(1, 2), num_heads=HEADS, unidirectional=causal,
    )  # fmt: skip


def test_attention_with_sizes_and_scale() -> None:
    agree("Attention", floats(BATCH, QUERIES, 6), floats(6, 8 + 8 + 12), floats(28), num_heads=HEADS, scale=0.3,
          qkv_hidden_sizes=[8, 8, 12])  # fmt: skip


@pytest.mark.parametrize("mask", ["ends", "keys", "keys of queries"])
def test_attention_with_a_mask_of_unknown_rank(mask: str) -> None:
    inputs = [floats(BATCH, QUERIES, 6), floats(6, 3 * HIDDEN), floats(3 * HIDDEN), masks(QUERIES)[mask]]
    model = contrib_model("Attention", inputs, num_heads=HEADS)
    expected = onnxruntime_outputs(model, inputs)
    for value in model.graph.input:
        value.type.tensor_type.ClearField("shape")
    feeds = {f"x{index}": value for index, value in enumerate(inputs)}
    for provider in PROVIDERS:
        assert_same(ours(model, feeds, provider)[0], expected[0], 1e-5, 1e-5)


@pytest.mark.parametrize("mask", ["none", "ends", "keys", "keys of queries"])
@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("past", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_multi_head_attention(mask: str, causal: int, past: bool, bias: bool) -> None:
    keys = QUERIES + PAST * past
    before = [floats(BATCH, HEADS, PAST, SIZE), floats(BATCH, HEADS, PAST, SIZE)] if past else [None, None]
    padding: Any = masks(keys)[mask]
    agree(
        "MultiHeadAttention",
        floats(BATCH, QUERIES, HIDDEN), floats(BATCH, QUERIES, HIDDEN), floats(BATCH, QUERIES, HIDDEN),
        floats(3 * HIDDEN) if bias else None, padding, floats(1, HEADS, QUERIES, keys), *before,
        outputs=3, num_heads=HEADS, unidirectional=causal,
    )  # fmt: skip


def test_multi_head_attention_to_another_sequence() -> None:
    given = {"num_heads": HEADS, "scale": 0.4}
    agree("MultiHeadAttention", floats(BATCH, QUERIES, HIDDEN), floats(BATCH, 7, HIDDEN), floats(BATCH, 7, 6), **given)
    agree("MultiHeadAttention", floats(BATCH, QUERIES, HIDDEN), floats(BATCH, 7, HIDDEN), floats(BATCH, 7, HIDDEN),
          floats(3 * HIDDEN), **given)  # fmt: skip
    agree("MultiHeadAttention", floats(BATCH, QUERIES, HIDDEN), floats(BATCH, HEADS, 7, SIZE),
          floats(BATCH, HEADS, 7, SIZE), **given)  # fmt: skip


def test_multi_head_attention_of_what_is_packed() -> None:
    query, key, value = (floats(BATCH, QUERIES, HEADS, SIZE) for _ in range(3))
    flat = [x.reshape(BATCH, QUERIES, HIDDEN) for x in (query, key, value)]
    expected = onnxruntime_outputs(contrib_model("MultiHeadAttention", flat, num_heads=HEADS), flat)[0]
    all_packed, keys_packed = np.stack([query, key, value], 3), np.stack([key, value], 3)
    for inputs in ([all_packed], [flat[0], keys_packed]):
        model = contrib_model("MultiHeadAttention", inputs, num_heads=HEADS)
        feeds = {f"x{index}": array for index, array in enumerate(inputs)}
        for provider in PROVIDERS:
            assert_same(ours(model, feeds, provider)[0], expected, 1e-5, 1e-5)


@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("by_heads", [False, True])
def test_rotary_embedding(interleaved: int, first: bool, by_heads: bool) -> None:
    x = floats(BATCH, HEADS, QUERIES, 8) if by_heads else floats(BATCH, QUERIES, HEADS * 8)
    positions = np.array([3], np.int64) if first else RANDOM.integers(0, 16, (BATCH, QUERIES))
    agree("RotaryEmbedding", x, positions, floats(16, 4), floats(16, 4), constants=(2, 3), interleaved=interleaved)


def test_rotary_embedding_of_a_part_of_each_head() -> None:
    positions = RANDOM.integers(0, 16, (BATCH, QUERIES))
    agree("RotaryEmbedding", floats(BATCH, QUERIES, HEADS * 8), positions, floats(16, 2), floats(16, 2),
          num_heads=HEADS, rotary_embedding_dim=4)  # fmt: skip
