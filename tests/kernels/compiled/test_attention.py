from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.compiled import KernelDeclined, bind_and_run
from onnxlite.conformance.differential import assert_same, kernel_outputs
from onnxlite.kernels.arrays import Array

_SETTINGS = settings(max_examples=60, deadline=None, derandomize=True)


def _random(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def _check(version: int, *inputs: Array | None, **attributes: Any) -> Array:
    expected = kernel_outputs("Attention", version, *inputs, **attributes)[0]
    one, two = (bind_and_run("Attention", version, *inputs, threads=threads, **attributes)[0] for threads in (1, 2))
    assert_same(one, expected, rtol=1e-4, atol=1e-5)
    assert one.tobytes() == two.tobytes()
    return one


@_SETTINGS
@given(
    st.sampled_from([1, 2, 31, 65, 130]),
    st.sampled_from([1, 2, 31, 97, 200]),
    st.sampled_from([(4, 4), (4, 2), (3, 1)]),
    st.sampled_from([1, 8, 32, 33, 64]),
    st.sampled_from([1, 8, 32, 40, 64]),
    st.booleans(),
    st.sampled_from([0, 1]),
    st.sampled_from([None, "keys", "queries", "batch", "heads", "all"]),
    st.booleans(),
    st.sampled_from([23, 24, 25]),
)
def test_attention(
    queries: int,
    keys: int,
    heads: tuple[int, int],
    size: int,
    value_size: int,
    packed: bool,
    is_causal: int,
    mask: str | None,
    boolean: bool,
    version: int,
) -> None:
    shapes = {
        "keys": (keys,),
        "queries": (queries, keys),
        "batch": (2, 1, 1, keys),
        "heads": (1, heads[0], queries, keys),
        "all": (2, heads[0], queries, keys),
    }
    attn_mask = None if mask is None else _random(*shapes[mask])
    if boolean and attn_mask is not None:
        attn_mask = attn_mask > 0
    if packed:
        q, k, v = (
            _random(2, n, h * s)
            for n, h, s in zip(
                (queries, keys, keys), (heads[0], heads[1], heads[1]), (size, size, value_size), strict=True
            )
        )
        _check(version, q, k, v, attn_mask, is_causal=is_causal, q_num_heads=heads[0], kv_num_heads=heads[1])
    else:
        q, k = _random(2, heads[0], queries, size), _random(2, heads[1], keys, size)
        _check(version, q, k, _random(2, heads[1], keys, value_size), attn_mask, is_causal=is_causal)


@pytest.mark.parametrize(("left", "right"), [(-1, 3), (5, -1), (4, 4), (0, 0), (100, 2)])
@pytest.mark.parametrize("is_causal", [0, 1])
def test_windows(left: int, right: int, is_causal: int) -> None:
    q, k, v = _random(1, 2, 150, 16), _random(1, 2, 150, 16), _random(1, 2, 150, 16)
    _check(25, q, k, v, left_window_size=left, right_window_size=right, is_causal=is_causal)


def test_scale_and_softcap() -> None:
    q, k, v = _random(1, 2, 9, 16) * 3, _random(1, 2, 40, 16), _random(1, 2, 40, 16)
    _check(24, q, k, v, scale=0.7, softcap=2.5)


def test_queries_that_see_nothing_give_zeros() -> None:
    q, k, v = _random(1, 1, 5, 8), _random(1, 1, 7, 8), _random(1, 1, 7, 8)
    seen = np.ones((5, 7), np.bool_)
    seen[2] = False
    assert not _check(24, q, k, v, seen)[0, 0, 2].any()
    hidden = np.where(seen, np.float32(0), np.float32(-np.inf))
    assert not _check(24, q, k, v, hidden)[0, 0, 2].any()


def test_large_scores_do_not_overflow() -> None:
    q, k, v = _random(1, 1, 5, 8) * 1e3, _random(1, 1, 300, 8) * 1e2, _random(1, 1, 300, 8)
    _check(24, q, k, v)


def test_nan_stays_in_its_query() -> None:
    q, k, v = _random(1, 1, 70, 8), _random(1, 1, 70, 8), _random(1, 1, 70, 8)
    q[0, 0, 3, 2] = np.nan
    result = _check(24, q, k, v)
    assert np.isnan(result[0, 0, 3]).all()
    assert np.isfinite(np.delete(result, 3, axis=2)).all()


def test_declines_what_is_not_compiled() -> None:
    q = _random(1, 2, 5, 8)
    with pytest.raises(KernelDeclined, match="past"):
        bind_and_run("Attention", 24, q, q, q, None, q, q)
    with pytest.raises(KernelDeclined, match="present"):
        bind_and_run("Attention", 24, q, q, q, output_count=3)
    with pytest.raises(KernelDeclined, match="mask"):
        bind_and_run("Attention", 24, q, q, q, _random(5, 3))


@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize("size", [0, 6])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("with_positions", [False, True])
def test_rotary(interleaved: int, size: int, packed: bool, with_positions: bool) -> None:
    pairs = (size or 40) // 2
    x = _random(2, 5, 3 * 40) if packed else _random(2, 3, 5, 40)
    positions = np.random.default_rng(0).integers(0, 9, (2, 5)) if with_positions else None
    cos, sin = (_random(*((9,) if with_positions else (2, 5)), pairs) * factor for factor in (1, 2))
    attributes = {"interleaved": interleaved, "rotary_embedding_dim": size, "num_heads": 3}
    (expected,) = kernel_outputs("RotaryEmbedding", 23, x, cos, sin, positions, **attributes)
    for threads in (1, 2):
        (actual,) = bind_and_run("RotaryEmbedding", 23, x, cos, sin, positions, threads=threads, **attributes)
        assert_same(actual, expected, rtol=1e-6, atol=1e-6)


def test_rotary_checks_positions() -> None:
    with pytest.raises(IndexError, match="positions"):
        bind_and_run("RotaryEmbedding", 23, _random(1, 2, 3, 4), _random(5, 2), _random(5, 2), np.array([[0, 1, 5]]))
