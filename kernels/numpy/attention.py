"""Scaled dot-product attention by heads, and rotary positions.

Q, K and V are worked on as (batch, heads, sequence, head size); narrow floats are computed in float32.
"""

from __future__ import annotations

import functools
import math
import operator

import ml_dtypes
import numpy as np

from onnxlite.kernels.arrays import Array, array_namespace, widen
from onnxlite.kernels.dtypes import dtype_of
from onnxlite.kernels.numpy.softmax import softmax
from onnxlite.kernels.numpy.table import op

#: The types that `softmax_precision` may name.
_SOFTMAX_DTYPES = frozenset(map(np.dtype, (np.float32, np.float16, np.float64, ml_dtypes.bfloat16)))


@op("Attention", since=25)
def attention(
    query: Array,
    key: Array,
    value: Array,
    attn_mask: Array | None = None,
    past_key: Array | None = None,
    past_value: Array | None = None,
    nonpad_kv_seqlen: Array | None = None,
    *,
    is_causal: int = 0,
    kv_num_heads: int | None = None,
    left_window_size: int = -1,
    q_num_heads: int | None = None,
    qk_matmul_output_mode: int = 0,
    right_window_size: int = -1,
    scale: float | None = None,
    softcap: float = 0.0,
    softmax_precision: int | None = None,
) -> tuple[Array, Array, Array, Array]:
    """``softmax(softcap(scale Q Kᵀ) + bias) V``, the present keys and values, and the scores (ONNX Attention-25).

    Q is (batch, heads, sequence, size) or (batch, sequence, heads * size).  A query that may see no key gives zeros.
    """
    if not 0 <= qk_matmul_output_mode <= 3:
        raise ValueError(f"qk_matmul_output_mode must be in [0, 3], got {qk_matmul_output_mode}")
    packed = query.ndim == 3
    if packed:
        query = split_heads(query, q_num_heads, "q_num_heads")
        key, value = (split_heads(x, kv_num_heads, "kv_num_heads") for x in (key, value))
    past_length = 0 if past_key is None else past_key.shape[2]
    present_key, present_value = _with_past(key, past_key), _with_past(value, past_value)
    _check_cache(past_key, past_value, nonpad_kv_seqlen, query.shape[0])

    raw = grouped_scores(widen(query), widen(present_key), scale)
    capped = softcap * array_namespace(raw).tanh(raw / softcap) if softcap else raw
    offset = past_length if nonpad_kv_seqlen is None else _per_batch(nonpad_kv_seqlen) - query.shape[2]
    visible = _visible(raw, offset, nonpad_kv_seqlen, is_causal, left_window_size, right_window_size)
    bias = _bias(raw, attn_mask, visible)
    biased = capped if bias is None else capped + bias
    probabilities = _zero_where_nothing_is_seen(_probabilities(biased, softmax_precision), bias)
    result = grouped_average(probabilities, widen(present_value)).astype(query.dtype, copy=False)
    scores = (raw, capped, biased, probabilities)[qk_matmul_output_mode].astype(query.dtype, copy=False)
    return join_heads(result) if packed else result, present_key, present_value, scores


@op("Attention", since=24, until=24)
def attention_24(
    query: Array,
    key: Array,
    value: Array,
    attn_mask: Array | None = None,
    past_key: Array | None = None,
    past_value: Array | None = None,
    nonpad_kv_seqlen: Array | None = None,
    *,
    is_causal: int = 0,
    kv_num_heads: int | None = None,
    q_num_heads: int | None = None,
    qk_matmul_output_mode: int = 0,
    scale: float | None = None,
    softcap: float = 0.0,
    softmax_precision: int | None = None,
) -> tuple[Array, Array, Array, Array]:
    """Attention without windows (ONNX Attention-24)."""
    return attention(
        query,
        key,
        value,
        attn_mask,
        past_key,
        past_value,
        nonpad_kv_seqlen,
        is_causal=is_causal,
        kv_num_heads=kv_num_heads,
        q_num_heads=q_num_heads,
        qk_matmul_output_mode=qk_matmul_output_mode,
        scale=scale,
        softcap=softcap,
        softmax_precision=softmax_precision,
    )


@op("Attention", since=23, until=23)
def attention_23(
    query: Array,
    key: Array,
    value: Array,
    attn_mask: Array | None = None,
    past_key: Array | None = None,
    past_value: Array | None = None,
    *,
    is_causal: int = 0,
    kv_num_heads: int | None = None,
    q_num_heads: int | None = None,
    qk_matmul_output_mode: int = 0,
    scale: float | None = None,
    softcap: float = 0.0,
    softmax_precision: int | None = None,
) -> tuple[Array, Array, Array, Array]:
    """Attention whose mask broadcasts over the keys; later versions hide what it does not reach (ONNX Attention-23)."""
    keys = key.shape[-2] + (0 if past_key is None else past_key.shape[2])
    if attn_mask is not None and attn_mask.shape[-1:] != (keys,):
        shape = (*attn_mask.shape[:-1], keys)
        attn_mask = array_namespace(attn_mask).broadcast_to(attn_mask, shape)
    return attention_24(
        query,
        key,
        value,
        attn_mask,
        past_key,
        past_value,
        is_causal=is_causal,
        kv_num_heads=kv_num_heads,
        q_num_heads=q_num_heads,
        qk_matmul_output_mode=qk_matmul_output_mode,
        scale=scale,
        softcap=softcap,
        softmax_precision=softmax_precision,
    )


@op("RotaryEmbedding", since=23, widen=True)
def rotary_embedding(
    x: Array,
    cos_cache: Array,
    sin_cache: Array,
    position_ids: Array | None = None,
    *,
    interleaved: int = 0,
    num_heads: int | None = None,
    rotary_embedding_dim: int = 0,
) -> Array:
    """Pairs of elements of each head turned by the angle of their position (ONNX RotaryEmbedding-23).

    ``x`` is (batch, heads, sequence, size) or (batch, sequence, heads * size).  A pair is two neighbours if
    ``interleaved``, else one element of each half; only the first ``rotary_embedding_dim`` elements (0: all) turn.
    """
    xp = array_namespace(x)
    heads = split_heads(x, num_heads, "num_heads") if x.ndim == 3 else x
    size = rotary_embedding_dim or heads.shape[3]
    if heads.ndim != 4 or size % 2 or size > heads.shape[3]:
        raise ValueError(f"expected heads with at least an even number {size} of elements, got {x.shape} as the input")
    cos, sin = (_angles(cache, position_ids, heads, size // 2) for cache in (cos_cache, sin_cache))
    turning, rest = heads[..., :size], heads[..., size:]
    if interleaved:
        first, second = turning[..., 0::2], turning[..., 1::2]
    else:
        first, second = turning[..., : size // 2], turning[..., size // 2 :]
    turned = (cos * first - sin * second, sin * first + cos * second)
    joined = xp.stack(turned, axis=-1).reshape(turning.shape) if interleaved else xp.concatenate(turned, axis=-1)
    result = xp.concatenate([joined, rest], axis=-1)
    return join_heads(result) if x.ndim == 3 else result


def _angles(cache: Array, position_ids: Array | None, heads: Array, pairs: int) -> Array:
    """The cosines or sines as (batch, 1, sequence, pairs)."""
    if position_ids is not None:
        if position_ids.size and not 0 <= int(position_ids.min()) <= int(position_ids.max()) < cache.shape[0]:
            low, high = int(position_ids.min()), int(position_ids.max())
            raise IndexError(f"the positions must be in [0, {cache.shape[0] - 1}], got some from {low} to {high}")
        cache = cache[position_ids]
    expected = (heads.shape[0], heads.shape[2], pairs)
    if cache.shape != expected:
        raise ValueError(f"the cosines and sines must have the shape {expected} at the positions, got {cache.shape}")
    return cache[:, None]


def split_heads(x: Array, heads: int | None, attribute: str) -> Array:
    """(batch, sequence, heads * size) as (batch, heads, sequence, size)."""
    if not heads or x.ndim != 3 or x.shape[2] % heads:
        raise ValueError(f"{attribute} must divide the last dimension of a tensor of rank 3, got {heads} for {x.shape}")
    batch, sequence, hidden = x.shape
    return array_namespace(x).swapaxes(x.reshape(batch, sequence, heads, hidden // heads), 1, 2)


def join_heads(x: Array) -> Array:
    """(batch, heads, sequence, size) as (batch, sequence, heads * size)."""
    batch, heads, sequence, size = x.shape
    return array_namespace(x).swapaxes(x, 1, 2).reshape(batch, sequence, heads * size)


def grouped_scores(query: Array, key: Array, scale: float | None) -> Array:
    """``scale Q Kᵀ``, each head of K shared by a group of neighbouring heads of Q: (batch, heads, queries, keys)."""
    batch, heads, queries, size = query.shape
    key_heads, keys = key.shape[1:3]
    if key.shape != (batch, key_heads, keys, size) or not key_heads or heads % key_heads:
        raise ValueError(
            f"expected K of shape ({batch}, a divisor of {heads}, sequence, {size}) for Q of shape {query.shape}, "
            f"got {key.shape}"
        )
    factor = 1 / math.sqrt(size or 1) if scale is None else scale
    grouped = (query * factor).reshape(batch, key_heads, heads // key_heads * queries, size)
    scores = grouped @ array_namespace(key).swapaxes(key, 2, 3)
    return scores.reshape(batch, heads, queries, keys)


def grouped_average(probabilities: Array, value: Array) -> Array:
    """``P V``, each head of V shared by a group of neighbouring heads of P: (batch, heads, queries, size)."""
    batch, heads, queries, keys = probabilities.shape
    value_heads, size = value.shape[1], value.shape[3]
    if value.shape != (batch, value_heads, keys, size) or not value_heads or heads % value_heads:
        raise ValueError(
            f"expected V of shape ({batch}, a divisor of {heads}, {keys}, size) for {keys} keys, got {value.shape}"
        )
    grouped = probabilities.reshape(batch, value_heads, heads // value_heads * queries, keys)
    return (grouped @ value).reshape(batch, heads, queries, size)


def softmax_dtype(code: int) -> np.dtype[np.generic]:
    """The type that `softmax_precision` names."""
    dtype = dtype_of(code)
    if dtype not in _SOFTMAX_DTYPES:
        raise ValueError(f"softmax_precision must be a type of float with 16, 32 or 64 bits, got {dtype}")
    return dtype


def _probabilities(scores: Array, precision: int | None) -> Array:
    """The softmax over the keys, computed and rounded in the type that `precision` names."""
    if precision is None:
        return softmax(scores)
    dtype = softmax_dtype(precision)
    return softmax(widen(scores.astype(dtype))).astype(dtype).astype(scores.dtype, copy=False)


def _with_past(x: Array, past: Array | None) -> Array:
    return x if past is None else array_namespace(x).concatenate([past, x], axis=2)


def _check_cache(past_key: Array | None, past_value: Array | None, nonpad: Array | None, batch: int) -> None:
    if (past_key is None) != (past_value is None):
        raise ValueError("past_key and past_value must be given together, got one of them")
    if nonpad is not None and (past_key is not None or nonpad.shape != (batch,)):
        raise ValueError(
            f"nonpad_kv_seqlen must have the shape ({batch},) and come without past_key, got {nonpad.shape} "
            f"{'without' if past_key is None else 'with'} past_key"
        )


def _per_batch(lengths: Array) -> Array:
    return lengths.reshape(-1, 1, 1, 1)


def _visible(
    scores: Array, offset: Array | int, nonpad: Array | None, causal: int, left: int, right: int
) -> Array | None:
    """Which keys each query may see, (batch or 1, 1, queries, keys); None if all.

    Query ``i`` stands at the position ``i + offset`` among the keys; a window of -1 is unbounded.
    """
    if min(left, right) < -1:
        raise ValueError(f"a window size must be -1 or more, got {left} to the left and {right} to the right")
    xp = array_namespace(scores)
    queries, keys = scores.shape[2:]
    position = xp.arange(queries).reshape(1, 1, queries, 1) + offset
    key = xp.arange(keys)
    conditions = []
    if causal:
        conditions.append(key <= position)
    if left >= 0:
        conditions.append(key >= position - left)
    if right >= 0:
        conditions.append(key <= position + right)
    if nonpad is not None:
        conditions.append(key < _per_batch(nonpad))
    return functools.reduce(operator.and_, conditions) if conditions else None


def _bias(scores: Array, mask: Array | None, visible: Array | None) -> Array | None:
    """What is added to the scores: a mask of numbers, and -inf at the keys that a query may not see."""
    xp = array_namespace(scores)
    hidden = scores.dtype.type(-np.inf)
    addend: Array = scores.dtype.type(0)
    if mask is not None:
        boolean = mask.dtype == np.bool_
        mask = _all_keys(mask if boolean else mask.astype(scores.dtype), scores.shape, False if boolean else hidden)
        if boolean:
            visible = mask if visible is None else visible & mask
        else:
            addend = mask
    return (None if mask is None else addend) if visible is None else xp.where(visible, addend, hidden)


def _all_keys(mask: Array, shape: tuple[int, ...], filler: object) -> Array:
    """The mask, filled up where it is shorter than the keys."""
    missing = shape[-1] - mask.shape[-1] if mask.ndim else 0
    if missing > 0:
        widths = [(0, 0)] * (mask.ndim - 1) + [(0, missing)]
        mask = array_namespace(mask).pad(mask, widths, constant_values=filler)
    if mask.ndim > 4 or any(n not in (1, limit) for n, limit in zip(mask.shape[::-1], shape[::-1], strict=False)):
        raise ValueError(f"attn_mask must broadcast to the shape {shape}, got {mask.shape}")
    return mask


def _zero_where_nothing_is_seen(probabilities: Array, bias: Array | None) -> Array:
    """A softmax over nothing but -inf is NaN; such a query attends to nothing."""
    if bias is None:
        return probabilities
    xp = array_namespace(probabilities)
    seen = xp.any(bias != -np.inf, axis=-1, keepdims=True)
    return xp.where(seen, probabilities, probabilities.dtype.type(0))
