"""The probabilities of classes from those of pairs of classes (Wu, Lin and Weng 2004, algorithm 2), as in libsvm."""

from __future__ import annotations

import numpy as np

from onnxlite.kernels.numba.machine.jit import jit

#: Pairwise probabilities keep this distance from 0 and 1.
_MARGIN = 1e-7


@jit
def class_probabilities(scores, prob_a, prob_b, matrices, p):  # type: ignore[no-untyped-def]
    """Fill p with a probability per class.

    Args:
        scores: The score of each pair (i, j), positive for i.
        prob_a: Platt's factor of each pair.
        prob_b: Platt's offset of each pair.
        matrices: Memory for three matrices with a row and a column per class.
        p: The result.
    """
    wins, q, error = matrices[0], matrices[1], matrices[2, 0]
    _fill_wins(scores, prob_a, prob_b, wins)
    _fill_quadratic_form(wins, q)
    count = p.size
    p[:] = 1 / count
    for _ in range(max(100, count)):
        mean = 0.0
        for i in range(count):
            error[i] = 0.0
            for j in range(count):
                error[i] += q[i, j] * p[j]
            mean += p[i] * error[i]
        worst = 0.0
        for i in range(count):
            worst = max(worst, abs(error[i] - mean))
        if worst < 0.005 / count:
            return
        _sweep(q, p, error, mean)


@jit
def _fill_wins(scores, prob_a, prob_b, wins):  # type: ignore[no-untyped-def]
    """The probability of each class (row) to beat each other one (column)."""
    count, pair = wins.shape[0], 0
    for i in range(count):
        wins[i, i] = 0.0
        for j in range(i + 1, count):
            logit = -(scores[pair] * prob_a[pair] + prob_b[pair])
            small = np.exp(-np.abs(logit))
            first = (small if logit < 0 else 1.0) / (1 + small)
            wins[i, j] = min(max(first, _MARGIN), 1 - _MARGIN)
            wins[j, i] = 1 - wins[i, j]
            pair += 1


@jit
def _fill_quadratic_form(wins, q):  # type: ignore[no-untyped-def]
    count = wins.shape[0]
    for i in range(count):
        q[i, i] = 0.0
        for j in range(count):
            if j != i:
                q[i, j] = -wins[j, i] * wins[i, j]
                q[i, i] += wins[j, i] * wins[j, i]


@jit
def _sweep(q, p, error, mean):  # type: ignore[no-untyped-def]
    """Move each class in turn to where its error is least."""
    for t in range(p.size):
        step = (mean - error[t]) / q[t, t]
        scale = 1 + step
        p[t] += step
        mean = (mean + step * (step * q[t, t] + 2 * error[t])) / (scale * scale)
        for j in range(p.size):
            error[j] = (error[j] + step * q[t, j]) / scale
            p[j] /= scale
