"""Attention, rotary positions and linear attention against onnxruntime and against loops over single positions."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.differential import assert_same, kernel_outputs, node_model, onnxruntime_outputs

quick = settings(max_examples=25, deadline=None, derandomize=True)
random = np.random.default_rng(7)


@pytest.fixture(autouse=True)
def same_numbers_in_any_order() -> None:
    global random
    random = np.random.default_rng(7)


def normal(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return random.standard_normal(shape).astype(dtype)


def plain_attention(q: Any, k: Any, v: Any, bias: Any, scale: float, softcap: float = 0.0) -> np.ndarray:
    """The definition, one query of one head at a time, in float64."""
    batch, heads, queries, _ = q.shape
    out = np.zeros((batch, heads, queries, v.shape[3]))
    bias = np.broadcast_to(bias, (batch, heads, queries, k.shape[2])).astype(np.float64)
    for b, h, i in np.ndindex(batch, heads, queries):
        shared = h // (heads // k.shape[1])
        scores = k[b, shared].astype(np.float64) @ q[b, h, i].astype(np.float64) * scale
        scores = softcap * np.tanh(scores / softcap) if softcap else scores
        seen = bias[b, h, i] != -np.inf
        if seen.any():
            weights = np.exp(scores[seen] + bias[b, h, i][seen])
            out[b, h, i] = weights / weights.sum() @ v[b, shared][seen].astype(np.float64)
    return out


@quick
@given(data=st.data(), version=st.sampled_from([23, 24, 25]), group=st.sampled_from([1, 2, 3]))
def test_attention_agrees_with_onnxruntime(data: st.DataObject, version: int, group: int) -> None:
    queries, keys, past = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 5)), data.draw(st.integers(0, 3))
    q, k, v = normal(2, 2 * group, queries, 4), normal(2, 2, keys, 4), normal(2, 2, keys, 6)
    total = keys + past
    # onnxruntime broadcasts a mask over batch and heads only.
    shapes = [(queries, total), (2, 1, queries, total), (1, 2 * group, queries, total)]
    mask_shape = data.draw(st.sampled_from(shapes))
    mask = data.draw(st.sampled_from([None, normal(*mask_shape), normal(*mask_shape) > -0.5]))
    cache = [normal(2, 2, past, 4), normal(2, 2, past, 6)] if past else [None, None]
    attributes: dict[str, Any] = {
        "is_causal": data.draw(st.integers(0, 1)),
        "qk_matmul_output_mode": data.draw(st.integers(0, 3)),
        "softcap": data.draw(st.sampled_from([0.0, 1.5])),
    }
    if data.draw(st.booleans()):
        attributes["scale"] = 0.3
    if version == 25:
        attributes["left_window_size"] = data.draw(st.integers(-1, 2))
        attributes["right_window_size"] = data.draw(st.integers(-1, 2))
    inputs = [q, k, v, mask, *cache]
    model = node_model("Attention", inputs, opset=version, outputs=4, **attributes)
    expected = onnxruntime_outputs(model, inputs)
    actual = list(kernel_outputs("Attention", version, *inputs, **attributes))
    if attributes["qk_matmul_output_mode"] == 2:
        # Hidden keys are -inf by the specification; onnxruntime adds the lowest float instead.
        actual[3] = np.maximum(actual[3], np.float32(-1e30))
        expected[3] = np.maximum(expected[3], np.float32(-1e30))
    assert_same(actual, expected, rtol=1e-4, atol=1e-5)


@quick
@given(lengths=st.lists(st.integers(0, 5), min_size=2, max_size=2), causal=st.booleans(), left=st.integers(-1, 2))
def test_a_cache_of_declared_lengths_hides_its_padding(lengths: list[int], causal: bool, left: int) -> None:
    q, k, v = normal(2, 2, 3, 4), normal(2, 2, 5, 4), normal(2, 2, 5, 4)
    nonpad = np.array(lengths)
    keys, position = np.arange(5), np.arange(3)[:, None] + nonpad.reshape(2, 1, 1, 1) - 3
    seen = keys < nonpad.reshape(2, 1, 1, 1)
    seen = seen & (keys <= position) if causal else seen
    seen = seen & (keys >= position - left) if left >= 0 else seen
    y, *_ = kernel_outputs(
        "Attention", 25, q, k, v, None, None, None, nonpad, is_causal=int(causal), left_window_size=left
    )
    np.testing.assert_allclose(y, plain_attention(q, k, v, np.where(seen, 0.0, -np.inf), 0.5), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
@pytest.mark.parametrize("precision", [None, 1, 10, 11, 16])
def test_the_outputs_have_the_types_of_their_inputs(dtype: Any, precision: int | None) -> None:
    q, k = normal(1, 4, 3, 8, dtype=dtype), normal(1, 2, 5, 8, dtype=dtype)
    v, past_key, past_value = normal(1, 2, 5, 8), normal(1, 2, 2, 8, dtype=dtype), normal(1, 2, 2, 8)
    attributes = {} if precision is None else {"softmax_precision": precision}
    y, present_key, present_value, scores = kernel_outputs(
        "Attention", 25, q, k, v, None, past_key, past_value, qk_matmul_output_mode=3, **attributes
    )
    assert (y.dtype, present_key.dtype, present_value.dtype, scores.dtype) == (dtype, dtype, np.float32, dtype)
    expected = plain_attention(q, present_key, present_value, 0.0, 1 / math.sqrt(8))
    narrow = dtype in (np.float16, ml_dtypes.bfloat16) or precision in (10, 16)
    np.testing.assert_allclose(y.astype(np.float64), expected, atol=3e-2 if narrow else 1e-5)


def test_packed_heads_are_the_same_attention() -> None:
    q, k, v = normal(2, 4, 3, 8), normal(2, 2, 5, 8), normal(2, 2, 5, 6)
    pack = [np.swapaxes(x, 1, 2).reshape(2, x.shape[2], -1) for x in (q, k, v)]
    y, present_key, present_value, scores = kernel_outputs("Attention", 23, q, k, v)
    packed = kernel_outputs("Attention", 23, *pack, q_num_heads=4, kv_num_heads=2)
    assert_same(packed, (np.swapaxes(y, 1, 2).reshape(2, 3, 24), present_key, present_value, scores))
    assert_same([present_key, present_value], [k, v])


def test_a_short_mask_hides_the_other_keys_since_version_24() -> None:
    q, k, v = normal(1, 1, 3, 4), normal(1, 1, 5, 4), normal(1, 1, 5, 4)
    mask = normal(3, 1)
    later = np.concatenate([mask, np.full((3, 4), -np.inf)], axis=1)
    for version, bias in ((23, mask), (24, later), (25, later)):
        y, *_ = kernel_outputs("Attention", version, q, k, v, mask)
        np.testing.assert_allclose(y, plain_attention(q, k, v, bias, 0.5), rtol=1e-4, atol=1e-6)
    for boolean in (np.array([True, False]), np.array([[[True], [False], [True]]])):
        bias = np.full((3, 5), -np.inf)
        bias[:, : boolean.shape[-1]] = np.where(boolean, 0.0, -np.inf)
        y, *_ = kernel_outputs("Attention", 24, q, k, v, boolean)
        np.testing.assert_allclose(y, plain_attention(q, k, v, bias, 0.5), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.float64])
def test_a_mask_of_numbers_is_added(dtype: Any) -> None:
    q, k, v = normal(1, 1, 3, 4), normal(1, 1, 5, 4), normal(1, 1, 5, 4)
    mask = np.arange(5).astype(dtype)
    y, *_ = kernel_outputs("Attention", 25, q, k, v, mask)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, plain_attention(q, k, v, np.arange(5.0), 0.5), rtol=1e-4)


def test_a_query_that_sees_nothing_gives_zeros() -> None:
    q, k, v = normal(1, 1, 3, 4), normal(1, 1, 5, 4), normal(1, 1, 5, 4)
    mask = np.array([[True] * 5, [False] * 5, [True] * 5])
    for bias in (mask, np.where(mask, 0, -np.inf).astype(np.float32)):
        y, _, _, probabilities = kernel_outputs("Attention", 23, q, k, v, bias, qk_matmul_output_mode=3)
        assert not y[0, 0, 1].any()
        assert not probabilities[0, 0, 1].any()
        np.testing.assert_allclose(probabilities[0, 0, ::2].sum(axis=-1), 1, rtol=1e-6)


def test_raw_scores_are_those_before_the_softcap() -> None:
    q, k, v = normal(1, 1, 3, 4), normal(1, 1, 5, 4), normal(1, 1, 5, 4)
    *_, raw = kernel_outputs("Attention", 25, q, k, v, softcap=0.5, qk_matmul_output_mode=0)
    np.testing.assert_allclose(raw, q @ np.swapaxes(k, 2, 3) / 2, rtol=1e-5, atol=1e-6)


def test_empty_sequences() -> None:
    q, k, v = normal(1, 2, 3, 4), normal(1, 2, 0, 4), normal(1, 2, 0, 6)
    y, *_ = kernel_outputs("Attention", 25, q, k, v, is_causal=1)
    assert_same(y, np.zeros((1, 2, 3, 6), np.float32))
    y, *_ = kernel_outputs("Attention", 25, q[:, :, :0], normal(1, 2, 5, 4), normal(1, 2, 5, 6))
    assert y.shape == (1, 2, 0, 6)


@pytest.mark.parametrize(
    ("inputs", "attributes", "message"),
    [
        ([(1, 3, 4, 8), (1, 2, 5, 8), (1, 2, 5, 8)], {}, "a divisor of 3"),
        ([(1, 2, 4, 8), (1, 2, 5, 7), (1, 2, 5, 8)], {}, "expected K"),
        ([(1, 2, 4, 8), (1, 2, 5, 8), (1, 2, 6, 8)], {}, "expected V"),
        ([(1, 4, 8), (1, 5, 8), (1, 5, 8)], {"q_num_heads": 3, "kv_num_heads": 2}, "q_num_heads must divide"),
        ([(1, 4, 8), (1, 5, 8), (1, 5, 8)], {"q_num_heads": 2}, "kv_num_heads must divide"),
        ([(1, 2, 4, 8), (1, 2, 5, 8), (1, 2, 5, 8)], {"left_window_size": -2}, "window size"),
        ([(1, 2, 4, 8), (1, 2, 5, 8), (1, 2, 5, 8)], {"softmax_precision": 7}, "softmax_precision"),
        ([(1, 2, 4, 8), (1, 2, 5, 8), (1, 2, 5, 8)], {"qk_matmul_output_mode": 4}, "qk_matmul_output_mode"),
        ([(1, 2, 4, 8), (1, 2, 5, 8), (1, 2, 5, 8), (3, 5)], {}, "attn_mask must broadcast"),
        ([(1, 2, 4, 8), (1, 2, 5, 8), (1, 2, 5, 8), (4, 6)], {}, "attn_mask must broadcast"),
        ([(1, 2, 4, 8), (1, 2, 5, 8), (1, 2, 5, 8), None, (1, 2, 3, 8)], {}, "given together"),
    ],
)
def test_inputs_that_do_not_fit_are_errors(inputs: list[Any], attributes: dict[str, Any], message: str) -> None:
    arrays = [None if shape is None else normal(*shape) for shape in inputs]
    with pytest.raises(ValueError, match=message):
        kernel_outputs("Attention", 25, *arrays, **attributes)


@quick
@given(
    interleaved=st.integers(0, 1),
    packed=st.booleans(),
    partial=st.sampled_from([0, 4]),
    by_position=st.booleans(),
    dtype=st.sampled_from([np.float32, np.float16]),
)
def test_rotary_embedding_agrees_with_onnxruntime(
    interleaved: int, packed: bool, partial: int, by_position: bool, dtype: Any
) -> None:
    x = normal(2, 3, 24, dtype=dtype) if packed else normal(2, 3, 5, 8, dtype=dtype)
    steps, pairs = x.shape[1] if packed else 5, (partial or 8) // 2
    caches = [normal(*((9,) if by_position else (2, steps)), pairs, dtype=dtype) for _ in range(2)]
    positions = [random.integers(0, 9, (2, steps))] if by_position else []
    attributes = {"interleaved": interleaved, "rotary_embedding_dim": partial}
    if packed:
        attributes["num_heads"] = 3
    elif partial:
        attributes["num_heads"] = 3  # onnxruntime asks for it where only a part turns
    inputs = [x, *caches, *positions]
    expected = onnxruntime_outputs(node_model("RotaryEmbedding", inputs, opset=23, **attributes), inputs)
    actual = kernel_outputs("RotaryEmbedding", 23, *inputs, **attributes)
    assert_same(
        list(actual), expected, rtol=2e-3 if dtype == np.float16 else 1e-5, atol=5e-3 if dtype == np.float16 else 1e-6
    )


def test_rotary_embedding_keeps_lengths() -> None:
    x, angles = normal(2, 3, 5, 8, dtype=ml_dtypes.bfloat16), normal(2, 5, 4)
    cos, sin = np.cos(angles).astype(x.dtype), np.sin(angles).astype(x.dtype)
    (y,) = kernel_outputs("RotaryEmbedding", 23, x, cos, sin)
    assert y.dtype == x.dtype
    norms = [np.linalg.norm(t.astype(np.float32), axis=-1) for t in (x, y)]
    np.testing.assert_allclose(norms[1], norms[0], rtol=2e-2)


@pytest.mark.parametrize("position", [-1, 4])
def test_rotary_positions_out_of_range_are_errors(position: int) -> None:
    cache, positions = normal(4, 4), np.array([[0, position]])
    with pytest.raises(IndexError, match=r"must be in \[0, 3\]"):
        kernel_outputs("RotaryEmbedding", 23, normal(1, 1, 2, 8), cache, cache, positions)


def test_rotary_caches_must_fit() -> None:
    with pytest.raises(ValueError, match=r"\(1, 2, 4\) at the positions, got \(1, 2, 3\)"):
        kernel_outputs("RotaryEmbedding", 23, normal(1, 1, 2, 8), normal(1, 2, 3), normal(1, 2, 3))
    with pytest.raises(ValueError, match="even number"):
        kernel_outputs("RotaryEmbedding", 23, normal(1, 1, 2, 7), normal(1, 2, 3), normal(1, 2, 3))


@quick
@given(
    rule=st.sampled_from(["linear", "gated", "delta", "gated_delta"]),
    group=st.sampled_from([1, 2]),
    per_key=st.booleans(),
    shared_beta=st.booleans(),
    with_past=st.booleans(),
    steps=st.integers(0, 4),
    scale=st.sampled_from([0.0, 0.7]),
)
def test_linear_attention_is_its_recurrence(
    rule: str, group: int, per_key: bool, shared_beta: bool, with_past: bool, steps: int, scale: float
) -> None:
    batch, heads, dk, dv = 2, 2, 3, 4
    query, key, value = (normal(batch, steps, n) for n in (heads * group * dk, heads * dk, heads * dv))
    decay = -np.abs(normal(batch, steps, heads * dk if per_key else heads)) if rule.startswith("gated") else None
    beta = np.abs(normal(batch, steps, 1 if shared_beta else heads)) if rule.endswith("delta") else None
    past = normal(batch, heads, dk, dv) if with_past else None
    output, present = kernel_outputs(
        "LinearAttention",
        27,
        query,
        key,
        value,
        past,
        decay,
        beta,
        q_num_heads=heads * group,
        kv_num_heads=heads,
        update_rule=rule,
        scale=scale,
    )
    expected = np.zeros((batch, steps, heads * group, dv))
    for b, h in np.ndindex(batch, heads):
        state = np.zeros((dk, dv)) if past is None else past[b, h].astype(np.float64)
        for t in range(steps):
            k, v = key[b, t].reshape(heads, dk)[h], value[b, t].reshape(heads, dv)[h]
            if decay is not None:
                state = np.exp(decay[b, t].reshape(heads, -1)[h])[:, None] * state
            new = v if beta is None else beta[b, t, 0 if shared_beta else h] * (v - state.T @ k)
            state = state + np.outer(k, new)
            for g in range(group):
                q = query[b, t].reshape(heads * group, dk)[h * group + g]
                expected[b, t, h * group + g] = (scale or 1 / math.sqrt(dk)) * (q @ state)
        np.testing.assert_allclose(present[b, h], state, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(output, expected.reshape(output.shape), rtol=1e-4, atol=1e-5)


def test_the_states_of_linear_attention_have_their_own_type() -> None:
    q, k, v = (normal(1, 2, 4, dtype=np.float16) for _ in range(3))
    attributes = {"q_num_heads": 2, "kv_num_heads": 2, "update_rule": "linear"}
    output, present = kernel_outputs("LinearAttention", 27, q, k, v, normal(1, 2, 2, 2), **attributes)
    assert (output.dtype, present.dtype) == (np.float16, np.float32)
    output, present = kernel_outputs("LinearAttention", 27, q, k, v, **attributes)
    assert (output.dtype, present.dtype) == (np.float16, np.float16)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"update_rule": "gated"}, "needs input decay"),
        ({"update_rule": "fast"}, "must be one of"),
        ({"update_rule": "linear", "q_num_heads": 3}, "multiple of kv_num_heads"),
        ({"update_rule": "linear", "kv_num_heads": 4, "q_num_heads": 4}, "must divide"),
    ],
)
def test_linear_attention_rejects_what_does_not_fit(attributes: dict[str, Any], message: str) -> None:
    q = normal(1, 2, 6)
    with pytest.raises(ValueError, match=message):
        kernel_outputs("LinearAttention", 27, q, q, q, **{"q_num_heads": 2, "kv_num_heads": 2, **attributes})


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
def test_flex_attention_modifies_scores_and_probabilities(dtype: Any) -> None:
    q, k, v = normal(2, 4, 3, 8, dtype=dtype), normal(2, 2, 5, 8, dtype=dtype), normal(2, 2, 5, 6, dtype=dtype)
    bias = normal(3, 5)
    types = []

    def score_mod(scores: Any) -> tuple[Any]:
        types.append(scores.dtype)
        return ((scores + bias).astype(scores.dtype),)

    def prob_mod(probabilities: Any) -> tuple[Any]:
        return (probabilities * probabilities.dtype.type(2),)

    attributes = {"score_mod": score_mod, "prob_mod": prob_mod, "scale": 0.25}
    (y,) = kernel_outputs("FlexAttention", 1, q, k, v, domain="ai.onnx.preview", **attributes)
    assert y.dtype == dtype
    assert types == [np.float64 if dtype is np.float64 else np.float32]
    tolerance = 5e-2 if np.dtype(dtype).itemsize == 2 else 1e-5
    np.testing.assert_allclose(y.astype(np.float64), 2 * plain_attention(q, k, v, bias, 0.25), atol=tolerance)


def test_flex_attention_rejects_what_does_not_fit() -> None:
    q = normal(1, 2, 3, 4)
    with pytest.raises(ValueError, match="rank 4"):
        kernel_outputs("FlexAttention", 1, q[0], q, q, domain="ai.onnx.preview")
    with pytest.raises(ValueError, match="score_mod must keep"):
        kernel_outputs("FlexAttention", 1, q, q, q, domain="ai.onnx.preview", score_mod=lambda s: (s[..., :1],))
