"""Support vector machines (ai.onnx.ml) for float32 samples: kernel functions in float32, votes in float64.

Vectors are filled with zeros to whole vector registers: nothing is left over in the loops over features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.machine.vectormath import exp, tanh
from onnxlite.kernels.numba.ml.coupling import class_probabilities
from onnxlite.kernels.numba.ml.scores import TRANSFORMS, highest_place, transform_row
from onnxlite.kernels.numba.spec import FLOAT32, ArraySpec, Bound, Declined, Input, Output, Pool, Scratch
from onnxlite.kernels.numba.table import op
from onnxlite.kernels.numpy.ml_scores import ML

Floats = Sequence[float]

#: The multiplications in a piece of work, about, and the features that a vector is filled up to a multiple of.
_PIECE, _WHOLE = 1 << 16, 16

_LINEAR, _POLY, _RBF, _SIGMOID = range(4)
_KERNELS = {"LINEAR": _LINEAR, "POLY": _POLY, "RBF": _RBF, "SIGMOID": _SIGMOID}

_FLOAT64, _INT64 = np.dtype(np.float64), np.dtype(np.int64)


class _Machine(NamedTuple):
    """The numbers of a kernel function: its kind, gamma, coef0 and degree, and the features of a sample."""

    kind: int
    gamma: float
    coef0: float
    degree: float
    features: int


@jit(reassociate=True)
def _products(x, vectors, kernel):  # type: ignore[no-untyped-def]
    for number in range(kernel.size):
        total = np.float32(0)
        for i in range(x.size):
            total += x[i] * vectors[number, i]
        kernel[number] = total


@jit(reassociate=True)
def _squared_distances(x, vectors, kernel):  # type: ignore[no-untyped-def]
    for number in range(kernel.size):
        total = np.float32(0)
        for i in range(x.size):
            difference = x[i] - vectors[number, i]
            total += difference * difference
        kernel[number] = total


@jit
def _kernel_values(x, vectors, kernel, m):  # type: ignore[no-untyped-def]
    """The kernel function of a sample and each support vector."""
    gamma, coef0 = np.float32(m.gamma), np.float32(m.coef0)
    if m.kind == _RBF:
        _squared_distances(x, vectors, kernel)
        for i in range(kernel.size):
            kernel[i] = exp(-gamma * kernel[i])
        return
    _products(x, vectors, kernel)
    if m.kind == _SIGMOID:
        for i in range(kernel.size):
            kernel[i] = tanh(gamma * kernel[i] + coef0)
    elif m.kind == _POLY:
        for i in range(kernel.size):
            kernel[i] = np.float64(gamma * kernel[i] + coef0) ** m.degree


@jit(reassociate=True)
def _weighted(kernel, weights, start, stop):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(start, stop):
        total += np.float64(kernel[i]) * weights[i]
    return total


@jit
def _take_sample(x, sample, filled, m):  # type: ignore[no-untyped-def]
    """A sample, filled up with zeros."""
    for i in range(m.features):
        filled[i] = x[sample * m.features + i]
    filled[m.features :] = 0


@jit
def _regress(start, stop, thread, x, vectors, weights, rho, y, m, one_class, transform, filled, kernels, scores):  # type: ignore[no-untyped-def]
    score = scores[thread]
    for sample in range(start, stop):
        _take_sample(x, sample, filled[thread], m)
        kernel = kernels[thread]
        _kernel_values(filled[thread], vectors, kernel, m)
        score[0] = _weighted(kernel, weights, 0, kernel.size) + rho
        if one_class:
            score[0] = 1.0 if score[0] > 0 else -1.0
        else:
            transform_row(score, transform)
        y[sample] = score[0]


@jit
def regress(pool, x, vectors, weights, rho, y, m, one_class, transform, filled, kernels, scores, samples, piece):  # type: ignore[no-untyped-def]
    """The weighted sum of each sample's kernel values."""
    arguments = (x, vectors, weights, rho, y, m, one_class, transform, filled, kernels, scores)
    parallel_for(pool, _regress, arguments, samples, piece)


@jit
def _pair_scores(kernel, weights, ends, rho, scores):  # type: ignore[no-untyped-def]
    """The score of each pair of classes (i, j), positive for i.

    Against class j, the weights of the vectors of i stand in row j - 1, and against i, those of j in row i.
    """
    classes = ends.size - 1
    pair = 0
    for i in range(classes):
        for j in range(i + 1, classes):
            score = _weighted(kernel, weights[j - 1], ends[i], ends[i + 1])
            scores[pair] = score + _weighted(kernel, weights[i], ends[j], ends[j + 1]) + rho[pair]
            pair += 1


@jit
def _count_votes(scores, votes):  # type: ignore[no-untyped-def]
    votes[:] = 0
    pair = 0
    for i in range(votes.size):
        for j in range(i + 1, votes.size):
            votes[i if scores[pair] > 0 else j] += 1
            pair += 1


@jit
def _classify(  # type: ignore[no-untyped-def]
    start, stop, thread, x, vectors, weights, ends, rho, prob_a, prob_b, labels, chosen, y, m, transform,
    filled, kernels, scores, votes, matrices
):  # fmt: skip
    pairs, classes = scores.shape[1], votes.shape[1]
    columns = classes if prob_a.size else max(pairs, 2)
    for sample in range(start, stop):
        _take_sample(x, sample, filled[thread], m)
        kernel, row, won = kernels[thread], scores[thread], votes[thread]
        _kernel_values(filled[thread], vectors, kernel, m)
        _pair_scores(kernel, weights, ends, rho, row)
        _count_votes(row, won)
        chosen[sample] = labels[highest_place(won)]
        if prob_a.size:
            class_probabilities(row, prob_a, prob_b, matrices[thread], won)
            row = won
        elif pairs == 1:
            won[0], won[1] = -row[0], row[0]
            row = won
        transform_row(row, transform)
        for i in range(columns):
            y[sample * columns + i] = row[i]


@jit
def classify(  # type: ignore[no-untyped-def]
    pool, x, vectors, weights, ends, rho, prob_a, prob_b, labels, chosen, y, m, transform,
    filled, kernels, scores, votes, matrices, samples, piece
):  # fmt: skip
    """The class that wins most pairs, and the scores of the pairs or the probabilities of the classes."""
    arguments = (
        x, vectors, weights, ends, rho, prob_a, prob_b, labels, chosen, y, m, transform,
        filled, kernels, scores, votes, matrices,
    )  # fmt: skip
    parallel_for(pool, _classify, arguments, samples, piece)


@op("SVMRegressor", domain=ML)
def svm_regressor(
    x: ArraySpec,
    *,
    coefficients: Floats | None = None,
    kernel_params: Floats | None = None,
    kernel_type: str = "LINEAR",
    n_supports: int = 0,
    one_class: int = 0,
    post_transform: str = "NONE",
    rho: Floats | None = None,
    support_vectors: Floats | None = None,
) -> Bound | Declined:
    """``Σ c_i K(s_i, x) + rho`` as a column; its sign, 1 or -1, if ``one_class`` (ai.onnx.ml SVMRegressor-1)."""
    shape = x.shape if len(x.shape) == 2 else (1, *x.shape)
    weights = np.array(coefficients or (), np.float64)
    if not _fits(x, kernel_type, post_transform) or not rho:
        return Declined(f"a machine of the kind {kernel_type} for {x.dtype}{list(x.shape)} is not compiled")
    if n_supports:
        vectors = np.array(support_vectors or (), np.float32)
    else:  # The one vector is the weights themselves.
        vectors, weights = weights.astype(np.float32), np.ones(1)
        kernel_type = "LINEAR"
    if vectors.size != len(weights) * shape[1] or len(weights) != (n_supports or 1):
        return Declined("the support vectors or coefficients do not fit: the reference says how")
    machine, rows = _machine(kernel_type, kernel_params, shape[1]), _filled(vectors, len(weights), shape[1])
    arguments = (
        *(Pool(), Input(0, flat=True), rows, weights, float(rho[0]), Output(flat=True), machine),
        *(int(one_class), TRANSFORMS[post_transform], *_memory(rows), Scratch((1,), _FLOAT64, per_thread=True)),
        *(shape[0], _piece(rows)),
    )
    return Bound(regress, arguments, (ArraySpec((shape[0], 1), FLOAT32),))


@op("SVMClassifier", domain=ML)
def svm_classifier(
    x: ArraySpec,
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
) -> Bound | Declined:
    """The class that wins most of the machines of two classes each, and the scores (ai.onnx.ml SVMClassifier-1)."""
    if classlabels_strings or not classlabels_ints:
        return Declined("only labels that are integers are compiled")
    if not _fits(x, kernel_type, post_transform) or not vectors_per_class or not sum(vectors_per_class):
        return Declined(f"a machine of the kind {kernel_type} for {x.dtype}{list(x.shape)} is not compiled")
    shape = x.shape if len(x.shape) == 2 else (1, *x.shape)
    classes, count = len(classlabels_ints), sum(vectors_per_class)
    pairs = classes * (classes - 1) // 2
    given = [np.array(values or (), np.float64) for values in (coefficients, rho, prob_a, prob_b)]
    vectors = np.array(support_vectors or (), np.float32)
    sizes = (len(vectors_per_class), vectors.size, given[0].size)
    if classes < 2 or sizes != (classes, count * shape[1], count * (classes - 1)) or given[1].size < pairs:
        return Declined("the support vectors, coefficients or rho do not fit: the reference says how")
    if given[2].size and min(given[2].size, given[3].size) < pairs:
        return Declined("there are fewer of prob_a or prob_b than pairs: the reference says how")
    rows, columns = _filled(vectors, count, shape[1]), classes if given[2].size else max(pairs, 2)
    arguments = (
        *(Pool(), Input(0, flat=True), rows, given[0].reshape(classes - 1, count)),
        *(np.cumsum([0, *vectors_per_class]), *given[1:], np.array(classlabels_ints, np.int64)),
        *(Output(0, flat=True), Output(1, flat=True), _machine(kernel_type, kernel_params, shape[1])),
        *(TRANSFORMS[post_transform], *_memory(rows), Scratch((pairs,), _FLOAT64, per_thread=True)),
        Scratch((classes,), _FLOAT64, per_thread=True),
        Scratch((3, classes, classes), _FLOAT64, per_thread=True),
        *(shape[0], _piece(rows)),
    )
    return Bound(classify, arguments, (ArraySpec(shape[:1], _INT64), ArraySpec((shape[0], columns), FLOAT32)))


def _fits(x: ArraySpec, kernel_type: str, post_transform: str) -> bool:
    served = kernel_type in _KERNELS and post_transform in TRANSFORMS
    return served and x.dtype == FLOAT32 and len(x.shape) in (1, 2) and x.shape[-1] > 0


def _machine(kernel_type: str, parameters: Floats | None, features: int) -> _Machine:
    gamma, coef0, degree = (*(parameters or ()), 0.0, 0.0, 0.0)[:3]
    return _Machine(_KERNELS[kernel_type], float(gamma), float(coef0), float(degree), features)


def _filled(vectors: Array, count: int, features: int) -> Array:
    """The vectors, each with zeros behind it."""
    filled = np.zeros((count, -(-features // _WHOLE) * _WHOLE), np.float32)
    filled[:, :features] = vectors.reshape(count, features)
    return filled


def _memory(vectors: Array) -> tuple[Scratch, Scratch]:
    """A filled sample, and its kernel values."""
    return Scratch((vectors.shape[1],), per_thread=True), Scratch((vectors.shape[0],), per_thread=True)


def _piece(vectors: Array) -> int:
    return max(1, _PIECE // (int(vectors.size) + 16 * len(vectors)))
