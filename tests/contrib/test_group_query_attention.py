"""GroupQueryAttention against onnxruntime."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from agreement import PROVIDERS, agree, contrib_model, onnxruntime_outputs, ours

RANDOM = np.random.default_rng(5)
HEADS, GROUPS, SIZE = 4, 2, 16


def floats(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


def operands(batch: int, tokens: int, room: int | None, packed: bool = False, past: int = 6) -> list[Any]:
    """Queries, keys and values, and the cache if there is one, with room behind the past."""
    if packed:
        new = [floats(batch, tokens, (HEADS + 2 * GROUPS) * SIZE), None, None]
    else:
        new = [floats(batch, tokens, HEADS * SIZE), *(floats(batch, tokens, GROUPS * SIZE) for _ in range(2))]
    cache = [None, None] if room is None else [floats(batch, GROUPS, room, SIZE) for _ in range(2)]
    for array in cache if room is not None else []:
        array[:, :, past:] = 0
    return new + cache


def lengths(*counts: int) -> list[np.ndarray]:
    """How many keys each sentence has after the step, less one, and the most of these."""
    return [np.array(counts, np.int32) - 1, np.array(max(counts), np.int32)]


ROTATIONS = [floats(32, SIZE // 2), floats(32, SIZE // 2)]
GIVEN = {"num_heads": HEADS, "kv_num_heads": GROUPS}


@pytest.mark.parametrize("rotary", [0, 1])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("room", [None, 0, 12])
def test_first_prompt(room: int | None, packed: bool, rotary: int) -> None:
    inputs = [*operands(1, 6, room, packed, past=0), *lengths(6)]
    agree("GroupQueryAttention", *inputs, *(ROTATIONS if rotary else []), outputs=3, **GIVEN, do_rotary=rotary)


@pytest.mark.parametrize("rotary", [0, 1])
@pytest.mark.parametrize("room", [5, 12])
@pytest.mark.parametrize("given", [{}, {"local_window_size": 3}, {"softcap": 2.0, "scale": 0.5}])
def test_next_token(given: dict[str, Any], room: int, rotary: int) -> None:
    inputs = [*operands(1, 1, room), *lengths(6)]
    agree("GroupQueryAttention", *inputs, *(ROTATIONS if rotary else []), outputs=3, **GIVEN, do_rotary=rotary, **given)


@pytest.mark.parametrize("interleaved", [0, 1])
def test_sentences_of_different_lengths(interleaved: int) -> None:
    inputs = [*operands(3, 1, 12, past=8), *lengths(6, 3, 9), *ROTATIONS]
    model = contrib_model(
        "GroupQueryAttention", inputs, 3, (7, 8), **GIVEN, do_rotary=1, rotary_interleaved=interleaved
    )
    expected = onnxruntime_outputs(model, inputs[:7])
    feeds = {f"x{index}": array for index, array in enumerate(inputs[:7])}
    for provider in PROVIDERS:
        mine = ours(model, feeds, provider)
        np.testing.assert_allclose(mine[0], expected[0], 1e-5, 1e-5)
        # What lies behind the end of a sentence in its cache is nobody's.
        for index, end in enumerate((6, 3, 9)):
            for i in (1, 2):
                np.testing.assert_allclose(mine[i][index, :, :end], expected[i][index, :, :end], 1e-5, 1e-5)


@pytest.mark.parametrize("causal", [0, 1])
def test_first_prompts_of_different_lengths(causal: int) -> None:
    inputs = [*operands(2, 6, 12, past=0), *lengths(4, 6)]
    inputs[5][:] = 3, 5
    model = contrib_model("GroupQueryAttention", inputs, **GIVEN, causal=causal)
    expected = onnxruntime_outputs(model, inputs)[0]
    feeds = {f"x{index}": array for index, array in enumerate(inputs)}
    for provider in PROVIDERS:
        mine = ours(model, feeds, provider)[0]
        np.testing.assert_allclose(mine[0, :4], expected[0, :4], 1e-5, 1e-5)
        np.testing.assert_allclose(mine[1], expected[1], 1e-5, 1e-5)


def test_several_next_tokens() -> None:
    agree("GroupQueryAttention", *operands(1, 3, 12), *lengths(9), *ROTATIONS, outputs=3, **GIVEN, do_rotary=1)


def test_positions_that_are_given() -> None:
    positions = np.arange(6, 9).reshape(1, 3)
    agree("GroupQueryAttention", *operands(1, 3, 12), *lengths(9), *ROTATIONS, positions, outputs=3, **GIVEN,
          do_rotary=1)  # fmt: skip


@pytest.mark.parametrize("room", [5, 12])
def test_biases_of_scores(room: int) -> None:
    inputs = [*operands(1, 1, room), *lengths(6), None, None, None, floats(1, HEADS, 1, 6)]
    agree("GroupQueryAttention", *inputs, outputs=3, **GIVEN)


@pytest.mark.parametrize("tokens", [1, 3])
@pytest.mark.parametrize("given", [{}, {"local_window_size": 3}])
@pytest.mark.parametrize("biased", [False, True])
def test_sinks(biased: bool, given: dict[str, Any], tokens: int) -> None:
    bias = floats(1, HEADS, tokens, 6) if biased else None
    inputs = [*operands(1, tokens, 12), *lengths(6), None, None, None, bias]
    agree("GroupQueryAttention", *inputs, floats(HEADS), outputs=3, **GIVEN, **given)
    agree("GroupQueryAttention", *inputs, outputs=3, **GIVEN, **given, smooth_softmax=1)
