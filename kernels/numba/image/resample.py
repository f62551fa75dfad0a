"""Resizing of float32 by weighted sums of any number of elements: one axis after the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.lanes import load, store
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.spec import FLOAT32, ArraySpec, Bound, Input, Output, Pool, Scratch

#: The elements that one piece of work reads, about.
_PIECE = 1 << 15

#: The axes that are resized at most.
MAX_AXES = 3


class _Axis(NamedTuple):
    """An axis between others: their lengths, its own before and after, and the elements that a result is made of.

    Result ``i`` is the sum of ``counts[i]`` elements from ``firsts[i]`` on, times ``weights[i]``.
    """

    outer: int
    before: int
    after: int
    inner: int
    firsts: Array
    counts: Array
    weights: Array


@jit
def _resample(start, stop, thread, x, y, axis):  # type: ignore[no-untyped-def]
    for row in range(start, stop):
        outer, place = row // axis.after, row % axis.after
        source = (outer * axis.before + axis.firsts[place]) * axis.inner
        target = row * axis.inner
        for i in range(axis.inner):
            store(y, target + i, np.float32(0))
        for tap in range(axis.counts[place]):
            weight = axis.weights[place, tap]
            for i in range(axis.inner):
                y[np.uint64(target + i)] += weight * load(x, source + tap * axis.inner + i)


@jit
def _resample_lines(start, stop, thread, x, y, axis):  # type: ignore[no-untyped-def]
    """Some lines along the last axis."""
    weights, taps = axis.weights.reshape(-1), axis.weights.shape[1]
    for line in range(start, stop):
        for place in range(axis.after):
            total, first = np.float32(0), line * axis.before + load(axis.firsts, place)
            for tap in range(load(axis.counts, place)):
                total += load(weights, place * taps + tap) * load(x, first + tap)
            store(y, line * axis.after + place, total)


@jit
def _resample_axis(pool, x, y, axis):  # type: ignore[no-untyped-def]
    if axis.inner == 1:
        parallel_for(pool, _resample_lines, (x, y, axis), axis.outer, max(1, _PIECE // axis.weights.size))
        return
    piece = max(1, _PIECE // (axis.inner * max(1, axis.weights.shape[1])))
    parallel_for(pool, _resample, (x, y, axis), axis.outer * axis.after, piece)


@jit
def resample_one(pool, x, y, a):  # type: ignore[no-untyped-def]
    """Resize one axis."""
    _resample_axis(pool, x, y, a)


@jit
def resample_two(pool, x, y, a, b, one):  # type: ignore[no-untyped-def]
    """Resize two axes."""
    _resample_axis(pool, x, one, a)
    _resample_axis(pool, one, y, b)


@jit
def resample_three(pool, x, y, a, b, c, one, other):  # type: ignore[no-untyped-def]
    """Resize three axes."""
    _resample_axis(pool, x, one, a)
    _resample_axis(pool, one, other, b)
    _resample_axis(pool, other, y, c)


def bind_resampling(x: ArraySpec, axes: Sequence[int], matrices: Sequence[Array]) -> Bound:
    """The resizing of up to three axes, each by a matrix (after, before)."""
    # Axes that shrink come first, and those that grow most last: there is less to do then.
    order = sorted(range(len(axes)), key=lambda i: matrices[i].shape[0] / matrices[i].shape[1])
    shape, steps, sizes = list(x.shape), [], []
    for number in order:
        axis, matrix = axes[number], matrices[number]
        lengths = (math.prod(shape[:axis]), shape[axis], len(matrix), math.prod(shape[axis + 1 :]))
        steps.append(_Axis(*lengths, *_taps(matrix)))
        shape[axis] = len(matrix)
        sizes.append(math.prod(shape))
    function = (resample_one, resample_two, resample_three)[len(steps) - 1]
    arguments = (Pool(), Input(0, flat=True), Output(flat=True), *steps, *(Scratch((size,)) for size in sizes[:-1]))
    return Bound(function, arguments, (ArraySpec(tuple(shape), FLOAT32),))


def _taps(matrix: Array) -> tuple[Array, Array, Array]:
    """For each row of a matrix its first place that is not 0, how many follow up to the last, and what they hold."""
    used = matrix != 0
    firsts = used.argmax(axis=1)
    counts = np.where(used.any(axis=1), matrix.shape[1] - used[:, ::-1].argmax(axis=1) - firsts, 0)
    weights = np.zeros((len(matrix), max(1, int(counts.max(initial=0)))), np.float32)
    for row, (first, count) in enumerate(zip(firsts, counts, strict=True)):
        weights[row, :count] = matrix[row, first : first + count]
    return firsts.astype(np.int64), counts.astype(np.int64), weights
