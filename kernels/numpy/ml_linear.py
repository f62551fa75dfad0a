"""Linear models: a score per class or target is an inner product with the features (ai.onnx.ml)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnxlite.kernels.arrays import Array, array_namespace
from onnxlite.kernels.numpy.ml_scores import (
    ML,
    both_classes,
    class_labels,
    feature_rows,
    floating,
    labelled,
    labelled_by_sign,
    transformed,
)
from onnxlite.kernels.numpy.table import op

Floats = Sequence[float]


@op("LinearClassifier", domain=ML, host=True)
def linear_classifier(
    x: Array,
    *,
    coefficients: Floats,
    classlabels_ints: Sequence[int] | None = None,
    classlabels_strings: Sequence[str] | None = None,
    intercepts: Floats | None = None,
    multi_class: int = 0,
    post_transform: str = "NONE",
) -> tuple[Array, Array]:
    """The class with the highest score of ``x Wᵀ + b``, and the scores (ai.onnx.ml LinearClassifier-1).

    One row of coefficients scores the second of two classes, which is chosen if its score is positive.
    """
    rows = feature_rows(x)
    count = len(coefficients) // (rows.shape[1] or 1)
    scores = _scores(rows, coefficients, intercepts, count)
    labels = class_labels(classlabels_strings, classlabels_ints)
    if count > 1:
        chosen = labelled(np.argmax(scores, axis=1), labels, count)
    else:
        chosen = labelled_by_sign(scores[:, 0] > 0, labels)
        if labels is not None and len(labels) == 2:
            scores = both_classes(scores[:, 0], probabilities=post_transform in ("NONE", "PROBIT"))
    return chosen, transformed(scores, post_transform).astype(np.float32)


@op("LinearRegressor", domain=ML)
def linear_regressor(
    x: Array,
    *,
    coefficients: Floats | None = None,
    intercepts: Floats | None = None,
    post_transform: str = "NONE",
    targets: int = 1,
) -> Array:
    """``x Wᵀ + b``, a column per target (ai.onnx.ml LinearRegressor-1)."""
    scores = _scores(feature_rows(x), coefficients or (), intercepts, targets)
    return transformed(scores, post_transform).astype(np.float32)


def _scores(rows: Array, coefficients: Floats, intercepts: Floats | None, count: int) -> Array:
    """``rows Wᵀ + b`` as (samples, count)."""
    xp = array_namespace(rows)
    if count < 1 or len(coefficients) != count * rows.shape[1]:
        raise ValueError(
            f"expected {rows.shape[1]} coefficients, one per feature, for each class or target, got {len(coefficients)}"
        )
    rows = floating(rows)
    scores = rows @ xp.asarray(coefficients, dtype=rows.dtype).reshape(count, -1).T
    if not intercepts:
        return scores
    if len(intercepts) != count:
        raise ValueError(f"expected {count} intercepts, one per class or target, got {len(intercepts)}")
    return scores + xp.asarray(intercepts, dtype=rows.dtype)
