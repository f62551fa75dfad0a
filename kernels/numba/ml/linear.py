"""Linear models (ai.onnx.ml): a score per class or target is an inner product with the features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.ml.scores import TRANSFORMS, highest_place, transform_row
from onnxlite.kernels.numba.spec import FLOAT32, ArraySpec, Bound, Declined, Input, Output, Pool, Scratch
from onnxlite.kernels.numba.table import op
from onnxlite.kernels.numpy.ml_scores import ML

Floats = Sequence[float]

#: The multiplications in a piece of work, about.
_PIECE = 1 << 16

#: How a class is chosen: not at all; by the highest score; by the sign of the one score, which then stands alone, or
#: as the scores ``[-s, s]`` or ``[1 - s, s]`` of both classes.
_NO_CLASS, _HIGHEST, _SIGN, _SIGN_OF_BOTH, _SIGN_OF_COMPLEMENTS = range(5)

_FLOAT64, _INT64 = np.dtype(np.float64), np.dtype(np.int64)
_TYPES = frozenset(map(np.dtype, (np.float32, np.float64, np.int32, np.int64)))


@jit(reassociate=True)
def _product(x, first, weights, number, features):  # type: ignore[no-untyped-def]
    """The inner product of a sample and a row of weights."""
    total = weights.dtype.type(0)
    for i in range(features):
        total += x[first + i] * weights[number * features + i]
    return total


@jit
def _score_samples(start, stop, thread, x, weights, bias, labels, chosen, y, choice, transform, scores):  # type: ignore[no-untyped-def]
    count = bias.size
    features = weights.size // count
    columns = scores.shape[1]
    for sample in range(start, stop):
        row = scores[thread]
        for number in range(count):
            score = _product(x, sample * features, weights, number, features) + bias[number]
            row[columns - count + number] = score
        if choice == _HIGHEST:
            chosen[sample] = labels[highest_place(row)]
        elif choice != _NO_CLASS:
            score = row[columns - 1]
            chosen[sample] = labels[1 if score > 0 else 0]
            if columns == 2:
                row[0] = 1 - score if choice == _SIGN_OF_COMPLEMENTS else -score
        transform_row(row, transform)
        for i in range(columns):
            y[sample * columns + i] = row[i]


@jit
def linear_scores(pool, x, weights, bias, labels, chosen, y, choice, transform, scores, samples, piece):  # type: ignore[no-untyped-def]
    """Score all samples, and choose their classes."""
    arguments = (x, weights, bias, labels, chosen, y, choice, transform, scores)
    parallel_for(pool, _score_samples, arguments, samples, piece)


@op("LinearClassifier", domain=ML)
def linear_classifier(
    x: ArraySpec,
    *,
    coefficients: Floats,
    classlabels_ints: Sequence[int] | None = None,
    classlabels_strings: Sequence[str] | None = None,
    intercepts: Floats | None = None,
    multi_class: int = 0,
    post_transform: str = "NONE",
) -> Bound | Declined:
    """The class with the highest score of ``x Wᵀ + b``, and the scores (ai.onnx.ml LinearClassifier-1)."""
    if classlabels_strings:
        return Declined("labels that are strings are not compiled")
    features = x.shape[-1] if x.shape else 0
    count = len(coefficients) // max(features, 1)
    labels = np.array(classlabels_ints or range(max(count, 2)), np.int64)
    choice, columns = _HIGHEST, count
    if count == 1:
        choice = _SIGN
        if classlabels_ints and len(labels) == 2:
            choice, columns = (_SIGN_OF_COMPLEMENTS if post_transform in ("NONE", "PROBIT") else _SIGN_OF_BOTH), 2
        else:
            labels = np.array([0, 1], np.int64)
    if len(labels) < count:
        return Declined("there are fewer labels than classes: the reference says how")
    return _bind(x, coefficients, intercepts, count, post_transform, choice, columns, labels)


@op("LinearRegressor", domain=ML)
def linear_regressor(
    x: ArraySpec,
    *,
    coefficients: Floats | None = None,
    intercepts: Floats | None = None,
    post_transform: str = "NONE",
    targets: int = 1,
) -> Bound | Declined:
    """``x Wᵀ + b``, a column per target (ai.onnx.ml LinearRegressor-1)."""
    return _bind(x, coefficients or (), intercepts, targets, post_transform, _NO_CLASS, targets, np.zeros(1, np.int64))


def _bind(
    x: ArraySpec,
    coefficients: Floats,
    intercepts: Floats | None,
    count: int,
    post_transform: str,
    choice: int,
    columns: int,
    labels: Array,
) -> Bound | Declined:
    """The call of `linear_scores`: ``count`` products, and as many columns of scores, or one more."""
    shape = x.shape if len(x.shape) == 2 else (1, *x.shape)
    if len(shape) != 2 or x.dtype not in _TYPES or post_transform not in TRANSFORMS:
        return Declined(f"samples of {x.dtype}{list(x.shape)} with the transform {post_transform} are not compiled")
    if not shape[1] or count < 1 or len(coefficients) != count * shape[1] or len(intercepts or ()) not in (0, count):
        return Declined("the coefficients or intercepts do not fit: the reference says how")
    wide = x.dtype if x.dtype == FLOAT32 else _FLOAT64
    scores = ArraySpec((shape[0], columns), FLOAT32)
    classifies = choice != _NO_CLASS
    arguments = (
        *(Pool(), Input(0, flat=True), np.array(coefficients, wide), np.array(intercepts or [0] * count, wide), labels),
        *(Output(0, flat=True) if classifies else Scratch((1,), _INT64), Output(int(classifies), flat=True)),
        *(choice, TRANSFORMS[post_transform], Scratch((columns,), _FLOAT64, per_thread=True)),
        *(shape[0], max(1, _PIECE // (count * (shape[1] + 16)))),
    )
    return Bound(linear_scores, arguments, (ArraySpec(shape[:1], _INT64), scores) if classifies else (scores,))
