"""Attention with graphs that change its scores and its probabilities (ai.onnx.preview)."""

from __future__ import annotations

from collections.abc import Callable

from onnxlite.kernels.arrays import Array, widen
from onnxlite.kernels.numpy.attention import grouped_average, grouped_scores, softmax_dtype
from onnxlite.kernels.numpy.softmax import softmax
from onnxlite.kernels.numpy.table import op

Modifier = Callable[[Array], tuple[Array, ...]]


@op("FlexAttention", since=1, domain="ai.onnx.preview")
def flex_attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    prob_mod: Modifier | None = None,
    scale: float | None = None,
    score_mod: Modifier | None = None,
    softmax_precision: int | None = None,
) -> Array:
    """``prob_mod(softmax(score_mod(scale Q Kᵀ))) V`` over tensors (batch, heads, sequence, size) (FlexAttention-1).

    Scores and probabilities are handed over in the type of ``softmax_precision``: float64 for float64, else float32.
    """
    for name, x in (("Q", query), ("K", key), ("V", value)):
        if x.ndim != 4:
            raise ValueError(f"{name} must have the rank 4, got the shape {x.shape}")
    wide = widen(query)
    dtype = wide.dtype if softmax_precision is None else softmax_dtype(softmax_precision)
    scores = _modified(score_mod, grouped_scores(wide, widen(key), scale).astype(dtype), "score_mod")
    probabilities = softmax(widen(scores)).astype(dtype)
    probabilities = _modified(prob_mod, probabilities, "prob_mod")
    return grouped_average(widen(probabilities), widen(value)).astype(query.dtype)


def _modified(modifier: Modifier | None, x: Array, name: str) -> Array:
    if modifier is None:
        return x
    (result,) = modifier(x)
    if result.shape != x.shape or result.dtype != x.dtype:
        got = f"{result.dtype} of shape {result.shape}"
        raise ValueError(f"{name} must keep the type and shape of its input, {x.dtype} of shape {x.shape}, got {got}")
    return result
