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


@pytest.mark.parametrize("queries", [1, 3, 70])
@pytest.mark.parametrize("given", [{}, {"is_causal": 1}, {"is_causal": 1, "left_window_size": 5}])
@pytest.mark.parametrize("mask", [None, (3, 1, 1, 200)])
def test_sentences_with_numbers_of_keys_of_their_own(
    mask: tuple[int, ...] | None, given: dict[str, int], queries: int
) -> None:
    counts = np.array([200, 75, 40])
    bias = None if mask is None else _random(*mask)
    key, value = _random(3, 2, 200, 8), _random(3, 2, 200, 8)
    _check(25, _random(3, 4, queries, 8), key, value, bias, None, None, counts, **given)


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


_Perms = dict[str, tuple[int, ...]]


def _check_fused(*inputs: Array | None, constants: tuple[int, ...] = (), **attributes: Any) -> Array:
    """Attention as the pass makes it, against its reference."""
    given: Any = {"domain": "onnxlite", **attributes}
    expected = kernel_outputs("Attention", 1, *inputs, **given)[0]
    one, two = (bind_and_run("Attention", 1, *inputs, constants=constants, threads=n, **given)[0] for n in (1, 2))
    assert_same(one, expected, rtol=1e-4, atol=1e-5)
    assert one.tobytes() == two.tobytes()
    return one


@_SETTINGS
@given(
    st.sampled_from([1, 3, 31, 65, 130]),
    st.sampled_from([1, 2, 31, 97, 200]),
    st.sampled_from([1, 8, 33, 64]),
    st.sampled_from(["heads first", "split", "keys as columns", "keys shared"]),
    st.sampled_from([None, "add", "keep", "hide"]),
    st.sampled_from([(1, 1, 1, 0), (2, 1, 1, 0), (1, 3, 1, 0), (1, 1, 0, 0), (2, 3, 0, 1)]),
    st.booleans(),
)
def test_fused(
    queries: int, keys: int, size: int, layout: str, masking: str | None, ones: tuple[int, ...], merged: bool
) -> None:
    batch, heads = 2, 3
    split = {"query_perm": (0, 2, 1, 3), "key_perm": (0, 2, 3, 1), "value_perm": (0, 2, 1, 3)}
    perms: dict[str, _Perms] = {"split": split, "keys as columns": {}}
    attributes: dict[str, Any] = dict(perms.get(layout, {"key_perm": (0, 1, 3, 2)}))
    own = 1 if layout == "keys shared" else heads
    if layout == "split":
        q, k, v = (_random(batch, length, heads, size) for length in (queries, keys, keys))
    else:
        q, v = _random(batch, heads, queries, size), _random(batch, own, keys, size)
        k = _random(batch, own, size, keys) if layout == "keys as columns" else _random(batch, own, keys, size)
    scores = (batch, heads, queries, keys)
    mask = None if masking is None else _random(*(n if one == 0 else one for n, one in zip(scores, ones, strict=True)))
    if mask is not None and masking != "add":
        mask = mask > 0
        attributes |= {"masking": masking, "hidden": float(np.finfo(np.float32).min)}
    if merged:
        attributes["perm"] = (0, 2, 1, 3)
    y = _check_fused(q, k, v, mask, scale=0.3, **attributes)
    assert y.shape == ((batch, queries, heads, size) if merged else (batch, heads, queries, size))


@pytest.mark.parametrize("rank", [2, 3])
def test_fused_with_fewer_axes(rank: int) -> None:
    q, k, v = _random(2, 9, 16), _random(2, 16, 11), _random(2, 11, 16)
    _check_fused(*((x[0] if rank == 2 else x) for x in (q, k, v)), scale=0.25)


@pytest.mark.parametrize("queries", [1, 70])
def test_fused_with_queries_keys_and_values_that_lie_together(queries: int) -> None:
    x = _random(2, queries, 3, 4, 16)
    straight, turned = (0, 3, 1, 4), (0, 3, 4, 1)
    perms = {"query_perm": straight, "key_perm": turned, "value_perm": straight, "perm": (0, 2, 1, 3)}
    y = _check_fused(x, x, x, query_at=0, key_at=1, value_at=2, **perms)
    q, k, v = (np.ascontiguousarray(x[:, :, i]) for i in range(3))
    split = {"query_perm": (0, 2, 1, 3), "key_perm": (0, 2, 3, 1), "value_perm": (0, 2, 1, 3), "perm": (0, 2, 1, 3)}
    assert_same(y, _check_fused(q, k, v, **split))


def test_fused_scales_by_constants() -> None:
    q, k, v = _random(2, 9, 16), _random(2, 16, 11), _random(2, 11, 16)
    _check_fused(q, k, v, None, np.float32(0.5), np.float32([0.25]), constants=(4, 5), scale=2.0)
    with pytest.raises(KernelDeclined, match="scale"):
        bind_and_run("Attention", 1, q, k, v, None, np.float32(0.5), domain="onnxlite")


def _causal(queries: int, keys: int) -> Array:
    return np.tri(queries, keys, keys - queries, dtype=np.bool_)


@pytest.mark.parametrize(("queries", "keys"), [(1, 7), (5, 7), (130, 130), (100, 333)])
@pytest.mark.parametrize("masking", ["add", "keep", "hide"])
@pytest.mark.parametrize("number", [float(np.finfo(np.float32).min), -np.inf, -1e4])
def test_constant_masks(queries: int, keys: int, masking: str, number: float) -> None:
    q, k, v = _random(2, queries, 16), _random(2, 16, keys), _random(2, keys, 16)
    seen = _causal(queries, keys)[None]
    mask = np.where(seen, np.float32(0), np.float32(number)) if masking == "add" else seen == (masking == "keep")
    hidden = {} if masking == "add" else {"hidden": number}
    _check_fused(q, k, v, mask, constants=(3,), masking=masking, **hidden)


def test_queries_of_which_everything_is_hidden() -> None:
    """All scores are the same number, or, where that is infinite, there is none."""
    q, k, v = _random(1, 70, 8), _random(1, 8, 30), _random(1, 30, 8)
    seen = np.ones((70, 30), np.bool_)
    seen[3] = False
    y = _check_fused(q, k, v, seen, masking="keep", hidden=-1e30)
    np.testing.assert_allclose(y[0, 3], v[0].mean(0), rtol=1e-5)
    assert np.isnan(_check_fused(q, k, v, seen, masking="keep", hidden=-np.inf)[0, 3]).all()


@pytest.mark.parametrize("queries", [1, 70])
def test_safe_attention_gives_zeros_for_undefined_probabilities(queries: int) -> None:
    q, k, v = _random(2, queries, 8), _random(2, 8, 30), _random(2, 30, 8)
    q[0, 0, 3] = np.nan
    mask = np.zeros((2, queries, 30), np.float32)
    mask[1, -1] = -np.inf
    y = _check_fused(q, k, v, mask, safe=1)
    assert not y[0, 0].any()
    assert not y[1, -1].any()


def test_fused_declines_masks_that_enlarge_the_result() -> None:
    q, k, v = _random(1, 2, 5, 8), _random(1, 2, 8, 5), _random(1, 2, 5, 8)
    with pytest.raises(KernelDeclined, match="mask"):
        bind_and_run("Attention", 1, q, k, v, _random(3, 1, 5, 5), domain="onnxlite")
    with pytest.raises(KernelDeclined, match="mask"):
        bind_and_run("Attention", 1, q[0], k[0], v[0], _random(1, 1, 5, 5), domain="onnxlite")
