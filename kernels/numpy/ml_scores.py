"""What the models of ai.onnx.ml share: features as rows, scores after their transform, and the labels of classes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from onnxlite.kernels.arrays import Array, array_namespace

#: The domain of these operators.
ML = "ai.onnx.ml"

#: Scores nearer to zero than this are zero to SOFTMAX_ZERO.
_NEARLY_ZERO = 1e-7


def feature_rows(x: Array, count: int | None = None) -> Array:
    """The features as (samples, features): a vector is one sample.

    Raises:
        ValueError: The rank is neither 1 nor 2, or a sample has not ``count`` features.
    """
    if x.ndim not in (1, 2):
        raise ValueError(f"expected the features of samples with rank 1 or 2, got the shape {x.shape}")
    rows = x.reshape(1, -1) if x.ndim == 1 else x
    if count is not None and rows.shape[1] != count:
        raise ValueError(f"expected {count} features in each sample, got {rows.shape[1]}")
    return rows


def floating(x: Array) -> Array:
    """The array as it is if it is float32, else in float64, which holds every double and 32-bit integer."""
    return x if x.dtype == np.float32 else x.astype(np.float64)


def transformed(scores: Array, post_transform: str) -> Array:
    """The scores (samples, classes) after ``post_transform``."""
    xp = array_namespace(scores)
    if post_transform == "NONE":
        return scores
    if post_transform == "LOGISTIC":
        return logistic(scores)
    if post_transform == "PROBIT":
        return _probit(scores)
    if post_transform not in ("SOFTMAX", "SOFTMAX_ZERO"):
        raise ValueError(
            f"post_transform must be NONE, SOFTMAX, LOGISTIC, SOFTMAX_ZERO or PROBIT, got {post_transform!r}"
        )
    weights = xp.exp(scores - xp.max(scores, axis=1, keepdims=True)) if scores.size else scores
    if post_transform == "SOFTMAX_ZERO":
        weights = xp.where(xp.abs(scores) > _NEARLY_ZERO, weights, scores.dtype.type(0))
    total = xp.sum(weights, axis=1, keepdims=True)
    return weights / xp.where(total == 0, scores.dtype.type(1), total)


def logistic(x: Array) -> Array:
    """``1 / (1 + exp(-x))``, without overflow."""
    xp = array_namespace(x)
    small = xp.exp(-xp.abs(x))
    return xp.where(x < 0, small, x.dtype.type(1)) / (1 + small)


def _probit(p: Array) -> Array:
    """The quantile of the normal distribution, with Winitzki's approximation of the inverse error function.

    Every runtime approximates it so; the approximation is wrong in the third digit.
    """
    xp = array_namespace(p)
    a = 0.147
    y = 2 * p - 1
    log = xp.log((1 - y) * (1 + y))
    half = 2 / (math.pi * a) + log / 2
    return math.sqrt(2) * xp.sign(y) * xp.sqrt(xp.sqrt(half * half - log / a) - half)


def both_classes(score: Array, *, probabilities: bool) -> Array:
    """Two columns from the one score of the positive class: ``[1 - p, p]`` for probabilities, else ``[-s, s]``."""
    xp = array_namespace(score)
    return xp.stack([1 - score if probabilities else -score, score], axis=1)


def class_labels(strings: Sequence[str] | None, integers: Sequence[int] | None) -> Array | None:
    """The labels of a classifier, of which one kind is given; None if neither is."""
    if strings:
        return np.array(strings, dtype=object)
    return np.array(integers, dtype=np.int64) if integers else None


def labelled(classes: Array, labels: Array | None, count: int) -> Array:
    """The labels of the given class numbers, which are below ``count``; the numbers themselves without labels."""
    if labels is None:
        return classes.astype(np.int64)
    if len(labels) < count:
        raise ValueError(f"expected a label for each of {count} classes, got {len(labels)}")
    return labels[classes]


def labelled_by_sign(positive: Array, labels: Array | None) -> Array:
    """The label of each sample from whether it is positive: 1 or 0, unless there are two labels to choose from."""
    if labels is None or len(labels) != 2:
        strings = labels is not None and labels.dtype == object
        labels = np.array(["0", "1"], dtype=object) if strings else np.array([0, 1], dtype=np.int64)
    return labels[positive.astype(np.int64)]
