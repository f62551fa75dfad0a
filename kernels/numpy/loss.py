"""Losses over class scores: NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss."""

from __future__ import annotations

from onnxlite.kernels.arrays import Array, array_namespace
from onnxlite.kernels.numpy.softmax import log_softmax
from onnxlite.kernels.numpy.table import op


@op("NegativeLogLikelihoodLoss", since=12, widen=True)
def negative_log_likelihood_loss(
    x: Array,
    target: Array,
    weight: Array | None = None,
    *,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Array:
    """``-x[n, target[n, d], d] * weight[target[n, d]]``, reduced (ONNX NegativeLogLikelihoodLoss-22).

    x is (N, C, d1, ..., dk) and target (N, d1, ..., dk); a target equal to ``ignore_index`` counts nothing.
    """
    xp = array_namespace(x)
    counted, classes = _classes(x, target, ignore_index)
    weights = xp.ones_like(classes, dtype=x.dtype) if weight is None else weight[classes]
    weights = xp.where(counted, weights, xp.zeros_like(weights))
    scores = xp.take_along_axis(x, xp.expand_dims(classes, 1), axis=1)[:, 0]
    loss = -xp.where(counted, scores, xp.zeros_like(scores)) * weights
    if reduction == "none":
        return loss
    if reduction == "sum":
        return xp.sum(loss)
    if reduction == "mean":
        return xp.sum(loss) / xp.sum(weights)
    raise ValueError(f"expected the reduction to be none, sum or mean, got {reduction!r}")


@op("SoftmaxCrossEntropyLoss", since=12, widen=True)
def softmax_cross_entropy_loss(
    scores: Array,
    labels: Array,
    weights: Array | None = None,
    *,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> tuple[Array, Array]:
    """The negative log-likelihood of ``log_softmax(scores)``, and that itself (ONNX SoftmaxCrossEntropyLoss-13)."""
    log_probabilities = log_softmax(scores, axis=1)
    loss = negative_log_likelihood_loss(
        log_probabilities, labels, weights, ignore_index=ignore_index, reduction=reduction
    )
    return loss, log_probabilities


def _classes(x: Array, target: Array, ignore_index: int | None) -> tuple[Array, Array]:
    """Which targets count, and the class of each (0 for those that do not).

    Raises:
        ValueError: The shape of the target is not that of x without its classes.
        IndexError: A target that counts is no class.
    """
    xp = array_namespace(x)
    if x.ndim < 2 or target.shape != x.shape[:1] + x.shape[2:]:
        raise ValueError(
            f"expected scores (N, C, d1, ..., dk) and a target (N, d1, ..., dk), "
            f"got the shapes {tuple(x.shape)} and {tuple(target.shape)}"
        )
    counted = xp.ones(target.shape, dtype=bool) if ignore_index is None else target != ignore_index
    outside = counted & ((target < 0) | (target >= x.shape[1]))
    if outside.any():
        raise IndexError(f"expected classes from 0 to {x.shape[1] - 1}, got {int(target[outside][0])}")
    return counted, xp.where(counted, target, xp.zeros_like(target))
