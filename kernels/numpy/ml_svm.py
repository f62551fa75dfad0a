"""Support vector machines (ai.onnx.ml), computed in float64."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from onnxlite.kernels.arrays import Array, array_namespace
from onnxlite.kernels.numpy.identity_cache import remembered
from onnxlite.kernels.numpy.ml_scores import (
    ML,
    both_classes,
    class_labels,
    feature_rows,
    labelled,
    logistic,
    transformed,
)
from onnxlite.kernels.numpy.table import op

Floats = Sequence[float]


@op("SVMRegressor", domain=ML)
def svm_regressor(
    x: Array,
    *,
    coefficients: Floats | None = None,
    kernel_params: Floats | None = None,
    kernel_type: str = "LINEAR",
    n_supports: int = 0,
    one_class: int = 0,
    post_transform: str = "NONE",
    rho: Floats | None = None,
    support_vectors: Floats | None = None,
) -> Array:
    """``Σ c_i K(s_i, x) + rho`` as a column; its sign, 1 or -1, if ``one_class`` (ai.onnx.ml SVMRegressor-1)."""
    rows = feature_rows(x).astype(np.float64)
    xp = array_namespace(rows)
    weights = xp.asarray(_numbers(coefficients))
    if n_supports:
        vectors = _rows_of(_numbers(support_vectors), n_supports, rows.shape[1])
        kernel = _kernel(rows, xp.asarray(vectors), kernel_type, kernel_params)
    else:
        kernel = rows
    if weights.shape != kernel.shape[1:]:
        raise ValueError(f"expected {kernel.shape[1]} coefficients, got {weights.size}")
    score = (kernel @ weights + _first(rho))[:, None]
    result = xp.where(score > 0, 1.0, -1.0) if one_class else transformed(score, post_transform)
    return result.astype(np.float32)


@op("SVMClassifier", domain=ML, host=True)
def svm_classifier(
    x: Array,
    *,
    classlabels_ints: Sequence[int] | None = None,
    classlabels_strings: Sequence[str] | None = None,
    coefficients: Floats | None = None,
    kernel_params: Floats | None = None,
    kernel_type: str = "LINEAR",
    post_transform: str = "NONE",
    prob_a: Floats | None = None,
    prob_b: Floats | None = None,
    rho: Floats | None = None,
    support_vectors: Floats | None = None,
    vectors_per_class: Sequence[int] | None = None,
) -> tuple[Array, Array]:
    """The class that wins most of the machines of two classes each, and the scores (ai.onnx.ml SVMClassifier-1).

    The scores are those of the pairs of classes, or with ``prob_a`` and ``prob_b`` a probability per class.  Without
    support vectors it is one linear machine per class, and the highest score wins.
    """
    rows = feature_rows(x).astype(np.float64)
    labels = class_labels(classlabels_strings, classlabels_ints)
    count = 1 if labels is None else len(labels)
    if not vectors_per_class or not sum(vectors_per_class):
        scores = rows @ _rows_of(_numbers(coefficients), count, rows.shape[1]).T + _first(rho)
        return labelled(np.argmax(scores, axis=1), labels, count), transformed(scores, post_transform).astype(
            np.float32
        )
    vectors = _rows_of(_numbers(support_vectors), sum(vectors_per_class), rows.shape[1])
    kernel = _kernel(rows, vectors, kernel_type, kernel_params)
    scores = _pair_scores(kernel, _numbers(coefficients), _numbers(rho), tuple(vectors_per_class), count)
    chosen = labelled(np.argmax(_votes(scores, count), axis=1), labels, count)
    if prob_a:
        scores = _class_probabilities(scores, _numbers(prob_a), _numbers(prob_b), count)
    elif count == 2:
        scores = both_classes(scores[:, 0], probabilities=False)
    return chosen, transformed(scores, post_transform).astype(np.float32)


@remembered
def _numbers(values: Floats | None) -> Array:
    return np.asarray(values or (), dtype=np.float64)


def _first(rho: Floats | None) -> float:
    if not rho:
        raise ValueError("expected a number in rho, got none")
    return float(rho[0])


def _rows_of(values: Array, count: int, features: int) -> Array:
    if values.size != count * features:
        raise ValueError(f"expected {count} vectors of {features} numbers, one per feature, got {values.size} numbers")
    return values.reshape(count, features)


def _kernel(rows: Array, vectors: Array, kind: str, parameters: Floats | None) -> Array:
    """The kernel function of each sample and each support vector: (samples, vectors)."""
    xp = array_namespace(rows)
    gamma, coef0, degree = (*(parameters or ()), 0.0, 0.0, 0.0)[:3]
    products = rows @ vectors.T
    if kind == "LINEAR":
        return products
    if kind == "POLY":
        return (gamma * products + coef0) ** degree
    if kind == "SIGMOID":
        return xp.tanh(gamma * products + coef0)
    if kind == "RBF":
        squares = xp.sum(rows * rows, axis=1)[:, None] + xp.sum(vectors * vectors, axis=1) - 2 * products
        return xp.exp(-gamma * xp.maximum(squares, 0))
    raise ValueError(f"kernel_type must be LINEAR, POLY, RBF or SIGMOID, got {kind!r}")


def _pair_scores(kernel: Array, coefficients: Array, rho: Array, sizes: tuple[int, ...], count: int) -> Array:
    """The score of each pair of classes (i, j), positive for i: (samples, pairs).

    The coefficients have a row per opponent: against class j, those of the vectors of i stand in row j - 1, and against
    i, those of the vectors of j in row i.
    """
    pairs = list(combinations(range(count), 2))
    if len(sizes) != count or len(rho) < len(pairs):
        raise ValueError(
            f"expected {count} vectors_per_class, one per class, and {len(pairs)} rho, one per pair of classes, "
            f"got {len(sizes)} and {len(rho)}"
        )
    opponents = _rows_of(coefficients, count - 1, kernel.shape[1])
    ends = np.cumsum(sizes)
    of_class = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
    scores = np.empty((kernel.shape[0], len(pairs)))
    for pair, (i, j) in enumerate(pairs):
        first, second = of_class[i], of_class[j]
        scores[:, pair] = kernel[:, first] @ opponents[j - 1, first] + kernel[:, second] @ opponents[i, second]
    return scores + rho[: len(pairs)]


def _votes(scores: Array, count: int) -> Array:
    """How many of its pairs each class wins: (samples, classes)."""
    votes = np.zeros((scores.shape[0], count), dtype=np.int64)
    for pair, (i, j) in enumerate(combinations(range(count), 2)):
        won = scores[:, pair] > 0
        votes[:, i] += won
        votes[:, j] += ~won
    return votes


def _class_probabilities(scores: Array, prob_a: Array, prob_b: Array, count: int) -> Array:
    """A probability per class from Platt's probabilities of the pairs: (samples, classes)."""
    pairs = list(combinations(range(count), 2))
    if min(len(prob_a), len(prob_b)) < len(pairs):
        raise ValueError(f"expected prob_a and prob_b for {len(pairs)} pairs, got {len(prob_a)} and {len(prob_b)}")
    first_wins = np.clip(logistic(-(scores * prob_a[: len(pairs)] + prob_b[: len(pairs)])), 1e-7, 1 - 1e-7)
    wins = np.zeros((scores.shape[0], count, count))
    for pair, (i, j) in enumerate(pairs):
        wins[:, i, j] = first_wins[:, pair]
        wins[:, j, i] = 1 - first_wins[:, pair]
    return _coupled(wins)


def _coupled(wins: Array) -> Array:
    """Class probabilities that fit the probabilities of the pairs best (Wu, Lin and Weng 2004, algorithm 2).

    ``wins[n, i, j]`` is the probability that class i beats class j.  Each sample stops when its own error is small, as
    libsvm does, whose results are meant.
    """
    samples, count, _ = wins.shape
    losses = np.swapaxes(wins, 1, 2)
    diagonal = np.einsum("nij,nij->ni", losses, losses)
    q = -losses * wins
    q[:, range(count), range(count)] = diagonal
    p = np.full((samples, count), 1 / count)
    active = np.arange(samples)
    for _ in range(max(100, count)):
        error = np.einsum("nij,nj->ni", q[active], p[active])
        mean = np.einsum("ni,ni->n", p[active], error)
        unfinished = np.max(np.abs(error - mean[:, None]), axis=1) >= 0.005 / count
        active, error, mean = active[unfinished], error[unfinished], mean[unfinished]
        if not active.size:
            break
        p[active] = _one_sweep(q[active], p[active], error, mean)
    return p


def _one_sweep(q: Array, p: Array, error: Array, mean: Array) -> Array:
    """The probabilities after each class in turn has been moved to where its error is least."""
    for t in range(p.shape[1]):
        step = (mean - error[:, t]) / q[:, t, t]
        scale = 1 + step
        p[:, t] += step
        mean = (mean + step * (step * q[:, t, t] + 2 * error[:, t])) / scale**2
        error = (error + step[:, None] * q[:, t]) / scale[:, None]
        p = p / scale[:, None]
    return p
