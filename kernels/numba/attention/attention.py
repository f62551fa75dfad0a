"""Attention of float32: where the heads lie, what a query may see, and the loop over blocks of queries."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from onnxlite.kernels.numba.attention.block import (
    ADDITIVE,
    FEW,
    NO_MASK,
    QUERIES,
    SEEN,
    attend,
    attend_one,
    memory_size,
)
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.memory import address
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.product.matmul import writable
from onnxlite.kernels.numba.spec import FLOAT32, ArraySpec, Bound, Declined, Input, Output, Pool, Scratch
from onnxlite.kernels.numba.table import op

#: The multiply-adds in a piece of work, at least.
_PIECE_WORK = 500_000
#: Where every item of the batch has all keys.
NO_COUNTS = np.zeros(0, np.int64)
#: A window that reaches everything.
EVERYTHING = 1 << 40


class Heads(NamedTuple):
    """Where the rows of a tensor's heads lie, in elements."""

    heads: int
    length: int
    size: int
    batch_stride: int
    head_stride: int
    row_stride: int
    step: int
    start: int = 0


class Rules(NamedTuple):
    """Scores: their scale and bound, the strides and kind of the mask, and how far a query at ``first`` sees."""

    scale: np.float32
    softcap: np.float32
    hidden: np.float32
    blank: np.float32
    safe: int
    mask_kind: int
    mask_batch: int
    mask_head: int
    mask_query: int
    mask_key: int
    first: int
    before: int
    after: int


@jit
def attend_all(pool, q, k, v, mask, y, batch, of_q, of_k, of_v, of_y, rules, counts, memory):  # type: ignore[no-untyped-def]
    """Attention of all heads; what the arguments are is said in `attend`.

    ``counts`` has the number of keys of each item of the batch, whose last queries stand at the last keys; it is empty
    where all have all keys.
    """
    rows = 1 if of_q.length <= FEW else QUERIES
    blocks = -(-of_q.length // rows)
    work = min(of_q.length, rows) * of_k.length * (of_q.size + of_v.size)
    parallel_for(
        pool,
        _attend_blocks,
        (q, k, v, mask, y, of_q, of_k, of_v, of_y, rules, counts, rows, memory),
        batch * of_q.heads * blocks,
        max(1, _PIECE_WORK // work),
    )


@jit
def _attend_blocks(start, stop, thread, q, k, v, mask, y, of_q, of_k, of_v, of_y, rules, counts, rows, memory):  # type: ignore[no-untyped-def]
    group, blocks = of_q.heads // of_k.heads, -(-of_q.length // rows)
    space = address(memory, thread * memory.shape[1])
    for index in range(start, stop):
        item, row = index // blocks, index % blocks * rows
        batch, head = item // of_q.heads, item % of_q.heads
        of_group = head // group
        length, first = of_k.length, rules.first
        if counts.size > 0:
            length, first = min(length, counts[batch]), counts[batch] - of_q.length
        masked = address(mask, batch * rules.mask_batch + head * rules.mask_head + row * rules.mask_query)
        queries = address(q, of_q.start + batch * of_q.batch_stride + head * of_q.head_stride + row * of_q.row_stride)
        keys = address(k, of_k.start + batch * of_k.batch_stride + of_group * of_k.head_stride)
        values = address(v, of_v.start + batch * of_v.batch_stride + of_group * of_v.head_stride)
        results = address(y, batch * of_y.batch_stride + head * of_y.head_stride + row * of_y.row_stride)
        if rows == 1:
            attend_one(
                queries, keys, of_k.row_stride, of_k.step, values, of_v.row_stride, length, of_q.size, of_v.size,
                rules.scale, rules.softcap, rules.hidden, rules.blank, rules.safe, masked, rules.mask_kind,
                rules.mask_key, first + row, rules.before, rules.after, results, space,
            )  # fmt: skip
        else:
            attend(
                queries, of_q.row_stride, min(rows, of_q.length - row), keys, of_k.row_stride, of_k.step, values,
                of_v.row_stride, length, of_q.size, of_v.size, rules.scale, rules.softcap, rules.hidden,
                rules.blank, rules.safe, masked, rules.mask_kind, rules.mask_query, rules.mask_key,
                first + row, rules.before, rules.after, results, of_y.row_stride, space,
            )  # fmt: skip


@op("Attention", since=25)
def attention(
    query: ArraySpec,
    key: ArraySpec,
    value: ArraySpec,
    attn_mask: ArraySpec | None = None,
    past_key: ArraySpec | None = None,
    past_value: ArraySpec | None = None,
    nonpad_kv_seqlen: ArraySpec | None = None,
    *,
    is_causal: int = 0,
    kv_num_heads: int | None = None,
    left_window_size: int = -1,
    output_count: int,
    q_num_heads: int | None = None,
    qk_matmul_output_mode: int = 0,
    right_window_size: int = -1,
    scale: float | None = None,
    softcap: float = 0.0,
    softmax_precision: int | None = None,
) -> Bound | Declined:
    """Attention without past and present keys, of which only the result is asked (ONNX Attention-25)."""
    given = (query, key, value)
    if any(spec.dtype != FLOAT32 or not spec.size for spec in given) or softmax_precision not in (None, 1):
        return Declined("only float32 is compiled")
    if output_count > 1 or past_key is not None or past_value is not None:
        return Declined("past and present keys, and scores as an output, are not compiled")
    of_q, of_k, of_v = (
        head_strides(spec.shape, heads)
        for spec, heads in zip(given, (q_num_heads, kv_num_heads, kv_num_heads), strict=True)
    )
    if of_q is None or of_k is None or of_v is None or not _match(query, key, value, of_q, of_k, of_v):
        return Declined("the shapes do not fit: the reference says how")
    if min(left_window_size, right_window_size) < -1:
        return Declined("a window of this size does not exist: the reference says so")
    batch = query.shape[0]
    shape = (*query.shape[:-1], of_v.size) if len(query.shape) == 4 else (*query.shape[:2], of_q.heads * of_v.size)
    of_y = head_strides(shape, of_q.heads)
    strides = mask_strides(attn_mask, (batch, of_q.heads, of_q.length, of_k.length))
    if of_y is None or strides is None:
        return Declined("a mask of this type, or that is shorter than the keys, is not compiled")
    if nonpad_kv_seqlen is not None and nonpad_kv_seqlen.shape != (batch,):
        return Declined("the numbers of keys do not fit: the reference says how")
    before = EVERYTHING if left_window_size < 0 else left_window_size
    after = EVERYTHING if right_window_size < 0 else right_window_size
    rules = Rules(
        np.float32(1 / math.sqrt(of_q.size) if scale is None else scale),
        np.float32(softcap),
        np.float32(-math.inf),
        np.float32(0),
        0,
        *strides,
        0,
        before,
        min(after, 0) if is_causal else after,
    )
    return Bound(
        attend_all,
        (
            Pool(),
            *(writable(spec, index) for index, spec in enumerate(given)),
            _mask(attn_mask),
            Output(0, flat=True),
            batch,
            of_q,
            of_k,
            of_v,
            of_y,
            rules,
            _counts(nonpad_kv_seqlen),
            Scratch((memory_size(of_q.length, of_k.length, of_q.size, of_v.size),), per_thread=True),
        ),
        (ArraySpec(shape, FLOAT32),),
    )


@op("Attention", since=24, until=24)
def attention_24(
    *inputs: Any,
    is_causal: int = 0,
    kv_num_heads: int | None = None,
    output_count: int,
    q_num_heads: int | None = None,
    qk_matmul_output_mode: int = 0,
    scale: float | None = None,
    softcap: float = 0.0,
    softmax_precision: int | None = None,
) -> Bound | Declined:
    """Attention without windows (ONNX Attention-24)."""
    return attention(
        *inputs,
        is_causal=is_causal,
        kv_num_heads=kv_num_heads,
        output_count=output_count,
        q_num_heads=q_num_heads,
        scale=scale,
        softcap=softcap,
        softmax_precision=softmax_precision,
    )


@op("Attention", since=23, until=23)
def attention_23(
    *inputs: Any,
    is_causal: int = 0,
    kv_num_heads: int | None = None,
    output_count: int,
    q_num_heads: int | None = None,
    qk_matmul_output_mode: int = 0,
    scale: float | None = None,
    softcap: float = 0.0,
    softmax_precision: int | None = None,
) -> Bound | Declined:
    """Attention whose mask may be one column for all keys (ONNX Attention-23)."""
    return attention(
        *inputs,
        is_causal=is_causal,
        kv_num_heads=kv_num_heads,
        output_count=output_count,
        q_num_heads=q_num_heads,
        scale=scale,
        softcap=softcap,
        softmax_precision=softmax_precision,
    )


def head_strides(shape: tuple[int, ...], heads: int | None) -> Heads | None:
    """The heads of (batch, heads, length, size) or (batch, length, heads * size)."""
    if len(shape) == 4:
        _, count, length, size = shape
        return Heads(count, length, size, count * length * size, length * size, size, 1)
    if len(shape) != 3 or not heads or shape[2] % heads:
        return None
    _, length, width = shape
    return Heads(heads, length, width // heads, length * width, width // heads, width, 1)


def _match(query: ArraySpec, key: ArraySpec, value: ArraySpec, of_q: Heads, of_k: Heads, of_v: Heads) -> bool:
    ranks = {len(spec.shape) for spec in (query, key, value)}
    batches = {spec.shape[0] for spec in (query, key, value)}
    alike = of_k.heads == of_v.heads and of_k.length == of_v.length and of_q.size == of_k.size
    return len(ranks) == len(batches) == 1 and alike and of_q.heads % of_k.heads == 0


def mask_strides(mask: ArraySpec | None, scores: tuple[int, ...]) -> tuple[int, int, int, int, int] | None:
    """The kind of a mask and its strides along the axes of the scores; None if it is none that is compiled."""
    if mask is None:
        return NO_MASK, 0, 0, 0, 0
    if mask.dtype not in (FLOAT32, np.bool_) or len(mask.shape) > 4:
        return None
    shape = (1,) * (4 - len(mask.shape)) + mask.shape
    strides, step = [], 1
    for length, limit in zip(reversed(shape), reversed(scores), strict=True):
        if length not in (1, limit):
            return None
        strides.append(0 if length == 1 else step)
        step *= length
    kind = SEEN if mask.dtype == np.bool_ else ADDITIVE
    return kind, strides[3], strides[2], strides[1], strides[0]


def _mask(mask: ArraySpec | None) -> Any:
    if mask is None:
        return np.zeros(1, np.float32)
    return Input(3, flat=True) if mask.value is None else np.array(mask.value).reshape(-1)


def _counts(counts: ArraySpec | None) -> Any:
    if counts is None:
        return NO_COUNTS
    return Input(6, flat=True) if counts.value is None else np.array(counts.value, np.int64).reshape(-1)
