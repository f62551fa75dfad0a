"""Linear attention: a state per head instead of scores per pair of positions."""

from __future__ import annotations

import math

import numpy as np

from onnxlite.kernels.arrays import Array, array_namespace
from onnxlite.kernels.numpy.attention import split_heads
from onnxlite.kernels.numpy.table import op

#: Whether the update rules use a decay, and whether they use beta.
_RULES = {"linear": (False, False), "gated": (True, False), "delta": (False, True), "gated_delta": (True, True)}


@op("LinearAttention", since=27)
def linear_attention(
    query: Array,
    key: Array,
    value: Array,
    past_state: Array | None = None,
    decay: Array | None = None,
    beta: Array | None = None,
    *,
    q_num_heads: int,
    kv_num_heads: int,
    chunk_size: int = 64,
    scale: float = 0.0,
    update_rule: str = "gated_delta",
) -> tuple[Array, Array]:
    """``o_t = scale q_tᵀ S_t`` where ``S_t`` adds ``k_t ⊗ v_t`` to ``S_(t-1)`` by a rule (ONNX LinearAttention-27).

    All but the states (batch, heads, key size, value size) is (batch, sequence, heads * size).  The states are computed
    in float32, one position after the other, so that ``chunk_size`` has no meaning.
    """
    xp = array_namespace(query)
    _check(update_rule, decay, beta, q_num_heads, kv_num_heads)
    batch, steps, _ = query.shape
    group = q_num_heads // kv_num_heads
    q = _by_step(query, kv_num_heads)
    q = q.reshape(steps, batch, kv_num_heads, group, q.shape[-1] // group)
    k, v = (_by_step(x, kv_num_heads)[..., None, :] for x in (key, value))
    k_column = xp.swapaxes(k, -1, -2)
    factor = None if decay is None else xp.exp(_by_step(decay, kv_num_heads))[..., None]
    rate = None if beta is None else _by_step(beta, beta.shape[-1])[..., None]
    state = _first_state(past_state, (batch, kv_num_heads, k.shape[-1], v.shape[-1]), xp)
    output = xp.empty((*q.shape[:-1], v.shape[-1]), dtype=np.float32)
    for step in range(steps):
        if factor is not None:
            state = state * factor[step]
        update = v[step] if rate is None else rate[step] * (v[step] - k[step] @ state)
        state = state + k_column[step] * update
        output[step] = q[step] @ state
    output *= scale or 1 / math.sqrt(q.shape[-1] or 1)
    joined = xp.moveaxis(output, 0, 1).reshape(batch, steps, q_num_heads * v.shape[-1])
    return joined.astype(query.dtype), state.astype(query.dtype if past_state is None else past_state.dtype)


def _check(update_rule: str, decay: Array | None, beta: Array | None, q_num_heads: int, kv_num_heads: int) -> None:
    if update_rule not in _RULES:
        raise ValueError(f"update_rule must be one of {', '.join(_RULES)}, got {update_rule!r}")
    for name, given, needed in zip(("decay", "beta"), (decay, beta), _RULES[update_rule], strict=True):
        if (given is not None) != needed:
            raise ValueError(f"the update rule {update_rule!r} {'needs' if needed else 'takes no'} input {name}")
    if kv_num_heads < 1 or q_num_heads < 1 or q_num_heads % kv_num_heads:
        raise ValueError(f"q_num_heads must be a multiple of kv_num_heads, got {q_num_heads} and {kv_num_heads}")


def _by_step(x: Array, heads: int) -> Array:
    """(batch, sequence, heads * size) as (sequence, batch, heads, size), in float32."""
    return array_namespace(x).moveaxis(split_heads(x, heads, "kv_num_heads"), 2, 0).astype(np.float32)


def _first_state(past_state: Array | None, shape: tuple[int, ...], xp: object) -> Array:
    if past_state is None:
        return xp.zeros(shape, dtype=np.float32)  # type: ignore[attr-defined]
    if past_state.shape != shape:
        raise ValueError(f"past_state must have the shape {shape}, got {past_state.shape}")
    return past_state.astype(np.float32)
