"""The reference of attention found in a graph, which plans use where a compiled kernel can be expected."""

from __future__ import annotations

from onnxlite.kernels.arrays import Array, array_namespace
from onnxlite.kernels.numpy.softmax import softmax
from onnxlite.kernels.numpy.table import op


@op("Attention", domain="onnxlite")
def attention(
    query: Array,
    key: Array,
    value: Array,
    mask: Array | None = None,
    *factors: Array,
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
) -> Array:
    """``softmax(scale * Q @ K + mask) @ V``, with Q, K, V and the result transposed by their permutations.

    A permutation may leave out an axis: of that, the index ``query_at``, ``key_at`` or ``value_at`` is taken.
    Transposed, Q is (..., queries, size), K (..., size, keys) and V (..., keys, value size).  Factors are one number
    each, and multiply the scale.  With ``masking`` "keep" or "hide", the mask is boolean and says which scores to keep
    or to hide: those that are hidden become the number ``hidden``.  With ``safe``, probabilities that are NaN become 0.
    """
    xp = array_namespace(query)
    q, k, v = (
        _transposed(x, axes, at)
        for x, axes, at in ((query, query_perm, query_at), (key, key_perm, key_at), (value, value_perm, value_at))
    )
    for factor in factors:
        q = q * factor.reshape(())
    scores = xp.matmul(q * q.dtype.type(scale), k)
    if mask is not None and masking == "add":
        scores = scores + mask
    elif mask is not None:
        number = scores.dtype.type(hidden)
        scores = xp.where(mask, scores, number) if masking == "keep" else xp.where(mask, number, scores)
    probabilities = softmax(scores, axis=-1)
    if safe:
        probabilities = xp.where(xp.isnan(probabilities), scores.dtype.type(0), probabilities)
    return _transposed(xp.matmul(probabilities, v), perm)


def _transposed(x: Array, perm: tuple[int, ...] | None, at: int | None = None) -> Array:
    if perm is None:
        return x
    left_out = [axis for axis in range(x.ndim) if axis not in perm]
    y = x.transpose(*left_out, *perm)
    return y if at is None else y[at]
