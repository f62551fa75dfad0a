"""What the compiled models of ai.onnx.ml share: the best of a sample's scores, and scores after their transform."""

from __future__ import annotations

import math

import numpy as np

from onnxlite.kernels.numba.machine.jit import jit

#: What becomes of the scores of a sample: `transform_row` says how.
NONE, LOGISTIC, SOFTMAX, SOFTMAX_ZERO, PROBIT = range(5)
TRANSFORMS = {
    "NONE": NONE,
    "LOGISTIC": LOGISTIC,
    "SOFTMAX": SOFTMAX,
    "SOFTMAX_ZERO": SOFTMAX_ZERO,
    "PROBIT": PROBIT,
}

#: Scores nearer to zero than this are zero to SOFTMAX_ZERO.
_NEARLY_ZERO = 1e-7


@jit
def highest_place(row):  # type: ignore[no-untyped-def]
    """The place of the first highest score, or of the first NaN."""
    best = 0
    for i in range(row.size):
        if row[i] != row[i]:
            return i
        if row[i] > row[best]:
            best = i
    return best


@jit
def transform_row(row, transform):  # type: ignore[no-untyped-def]
    """Transform the scores of a sample (float64), in place."""
    if transform == LOGISTIC:
        for i in range(row.size):
            small = np.exp(-np.abs(row[i]))
            row[i] = (small if row[i] < 0 else 1.0) / (1 + small)
    elif transform == PROBIT:
        for i in range(row.size):
            row[i] = _normal_quantile(row[i])
    elif transform != NONE:
        _softmax(row, transform == SOFTMAX_ZERO)


@jit
def _softmax(row, keeps_zero):  # type: ignore[no-untyped-def]
    highest, total = row[highest_place(row)], 0.0
    for i in range(row.size):
        weight = np.exp(row[i] - highest)
        row[i] = 0.0 if keeps_zero and np.abs(row[i]) <= _NEARLY_ZERO else weight
        total += row[i]
    total = 1.0 if total == 0 else total
    for i in range(row.size):
        row[i] /= total


@jit
def _normal_quantile(p):  # type: ignore[no-untyped-def]
    """The quantile of the normal distribution, with Winitzki's approximation, as in the reference."""
    a = 0.147
    y = 2 * p - 1
    log = math.log((1 - y) * (1 + y))
    half = 2 / (math.pi * a) + log / 2
    return math.sqrt(2) * np.sign(y) * math.sqrt(math.sqrt(half * half - log / a) - half)
