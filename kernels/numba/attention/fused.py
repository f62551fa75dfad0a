"""Attention found in a graph: heads are read where the projections wrote them, and written where they are merged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numba.attention.attention import EVERYTHING, NO_COUNTS, Heads, Rules, attend_all, mask_strides
from onnxlite.kernels.numba.attention.block import ADDITIVE, HIDDEN, NO_MASK, SEEN, memory_size
from onnxlite.kernels.numba.product.matmul import writable
from onnxlite.kernels.numba.spec import FLOAT32, ArraySpec, Bound, Declined, Input, Output, Pool, Scratch
from onnxlite.kernels.numba.table import op

_LOWEST = float(np.finfo(np.float32).min)
_NO_STRIDES = (0, 0, 0, 0)
_KINDS = {"add": ADDITIVE, "keep": SEEN, "hide": HIDDEN}


@op("Attention", domain="onnxlite")
def attention(
    query: ArraySpec,
    key: ArraySpec,
    value: ArraySpec,
    mask: ArraySpec | None = None,
    *factors: ArraySpec,
    scale: float = 1.0,
    masking: str = "add",
    hidden: float = 0.0,
    safe: int = 0,
    query_perm: tuple[int, ...] | None = None,
    key_perm: tuple[int, ...] | None = None,
    value_perm: tuple[int, ...] | None = None,
    query_at: int | None = None,
    key_at: int | None = None,
    value_at: int | None = None,
    perm: tuple[int, ...] | None = None,
) -> Bound | Declined:
    """``softmax(scale * Q @ K + mask) @ V`` for float32 of up to four axes, of which K's and V's batch may be 1."""
    given = (query, key, value)
    layouts = ((query_perm, query_at), (key_perm, key_at), (value_perm, value_at))
    ranks = [len(spec.shape) - (at is not None) for spec, (_, at) in zip(given, layouts, strict=True)]
    if any(spec.dtype != FLOAT32 or not spec.size for spec in given) or min(ranks) < 2 or max(ranks) > 4:
        return Declined("only float32 tensors of two to four axes, with elements, are compiled")
    if any(factor.value is None or factor.size != 1 for factor in factors):
        return Declined("a scale that is no constant is not compiled")
    placed = [_heads(spec.shape, *layout) for spec, layout in zip(given, layouts, strict=True)]
    batches = [batch for batch, _ in placed]
    of_q, of_k, of_v = placed[0][1], _turned(placed[1][1]), placed[2][1]
    if not _fit(of_q, of_k, of_v, batches):
        return Declined("keys or values that do not fit the queries are not compiled: the reference says how")
    if of_q.step != 1 or of_v.step != 1 or (of_k.step != 1 and of_k.row_stride != 1):
        return Declined("queries or values that are not contiguous are not compiled")
    shape, of_y = _result(query.shape, query_perm, of_v.size, perm)
    if of_y.step != 1:
        return Declined("a result that is not contiguous is not compiled")
    kind, strides, after = _mask_rules(mask, masking, hidden, (batches[0], of_q.heads, of_q.length, of_k.length))
    if kind is None or (mask is not None and len(mask.shape) > ranks[0]):
        return Declined("a mask of this type, or that makes the result larger, is not compiled")
    for factor in factors:
        scale *= float(np.asarray(factor.value).item())
    first = of_k.length - of_q.length if after == 0 else 0
    rules = Rules(
        np.float32(scale), np.float32(0), np.float32(hidden), np.float32(0 if safe else math.nan), safe,
        kind, *strides, first, EVERYTHING, after,
    )  # fmt: skip
    return Bound(
        attend_all,
        (
            Pool(),
            *(writable(spec, index) for index, spec in enumerate(given)),
            _mask_argument(mask if kind != NO_MASK else None),
            Output(0, flat=True),
            batches[0],
            of_q,
            _shared(of_k, batches[1]),
            _shared(of_v, batches[2]),
            of_y,
            rules,
            NO_COUNTS,
            Scratch((memory_size(of_q.length, of_k.length, of_q.size, of_v.size),), per_thread=True),
        ),
        (ArraySpec(shape, FLOAT32),),
    )


def _heads(shape: Sequence[int], perm: Sequence[int] | None, at: int | None = None) -> tuple[int, Heads]:
    """The batch and the heads (batch, heads, length, size) of a tensor, transposed; missing axes in front are 1."""
    steps = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    axes = list(perm) if perm is not None else list(range(len(shape)))
    missing = 4 - len(axes)
    lengths = [1] * missing + [shape[axis] for axis in axes]
    strides = [0] * missing + [steps[axis] for axis in axes]
    left_out = sum(step for axis, step in enumerate(steps) if axis not in axes)
    return lengths[0], Heads(*lengths[1:], *strides)._replace(start=left_out * (at or 0))


def _turned(h: Heads) -> Heads:
    """Keys, of which the rows are given as columns."""
    return h._replace(length=h.size, size=h.length, row_stride=h.step, step=h.row_stride)


def _shared(h: Heads, batch: int) -> Heads:
    return h._replace(batch_stride=0) if batch == 1 else h


def _fit(of_q: Heads, of_k: Heads, of_v: Heads, batches: Sequence[int]) -> bool:
    alike = of_k.heads == of_v.heads and of_k.length == of_v.length and of_q.size == of_k.size
    return alike and of_k.heads in (1, of_q.heads) and all(batch in (1, batches[0]) for batch in batches)


def _result(
    query: Sequence[int], query_perm: Sequence[int] | None, size: int, perm: Sequence[int] | None
) -> tuple[tuple[int, ...], Heads]:
    """The shape of the result, and where its heads lie in it."""
    straight = [query[axis] for axis in query_perm] if query_perm is not None else list(query)
    straight[-1] = size
    if perm is None:
        return tuple(straight), _heads(straight, None)[1]
    shape = tuple(straight[axis] for axis in perm)
    back = sorted(range(len(perm)), key=lambda axis: perm[axis])
    return shape, _heads(shape, back)[1]


def _mask_rules(
    mask: ArraySpec | None, masking: str, hidden: float, scores: tuple[int, ...]
) -> tuple[int | None, tuple[int, int, int, int], int]:
    """The kind of the mask, None if it is none that is compiled, its strides, and how many later keys are seen."""
    if mask is None:
        return NO_MASK, _NO_STRIDES, EVERYTHING
    found = mask_strides(mask, scores)
    if found is None or (mask.dtype == np.bool_) == (masking == "add"):
        return None, _NO_STRIDES, EVERYTHING
    after = None if mask.value is None else _as_window(np.asarray(mask.value), masking, hidden)
    return (_KINDS[masking], found[1:], EVERYTHING) if after is None else (NO_MASK, _NO_STRIDES, after)


def _as_window(mask: Array, masking: str, hidden: float) -> int | None:
    """How many keys after its own a query sees, if that is all that a constant mask says: all of them or none.

    What is hidden by the lowest number has no weight, unless it is all that there is.
    """
    if masking == "add":
        seen: Array = mask == 0
        if not (seen | (mask <= _LOWEST)).all():
            return None
    elif hidden > _LOWEST:
        return None
    else:
        seen = mask if masking == "keep" else ~mask
    if seen.all():
        return EVERYTHING
    if seen.ndim < 2 or seen.shape[-2] > seen.shape[-1] or math.prod(seen.shape[:-2]) != 1:
        return None
    queries, keys = seen.shape[-2:]
    return 0 if np.array_equal(seen.reshape(queries, keys), np.tri(queries, keys, keys - queries, dtype=bool)) else None


def _mask_argument(mask: ArraySpec | None) -> Any:
    if mask is None:
        return np.zeros(1, np.float32)
    return Input(3, flat=True) if mask.value is None else np.array(mask.value).reshape(-1)
