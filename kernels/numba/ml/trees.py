"""Ensembles of decision trees (ai.onnx.ml): some samples, or some trees, walk side by side.

A step of a walk waits for three loads that depend on each other; sixteen walks at a time keep the processor busy, and
the choice of a child is an index, not a branch that it could guess wrong.  Leaves lead to themselves, so that all walks
may take as many steps as the deepest.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.lanes import from_bits, load
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.ml.scores import highest_place, transform_row
from onnxlite.kernels.numpy.ml_forest import LEAF, MEMBER, Forest

#: The walks side by side, and the samples that a thread takes at a time.
_WALKS, _SAMPLES = 16, 64
#: The steps after which deep walks are asked whether all of them have arrived.
_ROUND = 4
#: The steps of walks in a piece of work, about.
_PIECE_STEPS = 20_000

_SUM, _AVERAGE, _MIN, _MAX = range(4)
_AGGREGATES = {"SUM": _SUM, "AVERAGE": _AVERAGE, "MIN": _MIN, "MAX": _MAX}

#: How a class is chosen: not at all; by the highest score; by one score, which is above 0 or 1/2, and, in the last two
#: cases, makes the scores of both classes.
NO_CLASS, HIGHEST, SIGN, HALF, SIGN_OF_BOTH, HALF_OF_BOTH = range(6)


class Ensemble(NamedTuple):
    """A forest as the compiled walk reads it: per node, per leaf, per tree.

    A node is four 32-bit numbers side by side: feature, threshold (its bits), false child, true child.
    """

    node: Array
    mode: Array
    missing: Array
    starts: Array
    target: Array
    weight: Array
    roots: Array
    depths: Array


class Task(NamedTuple):
    """The lengths, and what is made of the votes."""

    samples: int
    features: int
    targets: int
    simple: int
    aggregate: int
    transform: int
    choice: int
    column: int


def ensemble(forest: Forest) -> Ensemble | None:
    """The forest for the walk; None if it tests membership, or compares in double precision."""
    nodes, votes = forest.nodes, forest.votes
    if MEMBER in forest.modes or nodes.threshold.dtype != np.float32:
        return None
    own = np.arange(len(nodes.mode))
    leaf = nodes.mode == LEAF
    record = np.empty((len(own), 4), np.int32)
    record[:, 0] = np.where(leaf, 0, nodes.feature)
    record[:, 1] = nodes.threshold.view(np.int32)
    record[:, 2] = np.where(leaf, own, nodes.if_false)
    record[:, 3] = np.where(leaf, own, nodes.if_true)
    return Ensemble(
        record.reshape(-1),
        nodes.mode.astype(np.int8),
        nodes.missing_goes_true.astype(np.int8),
        votes.starts.astype(np.int32),
        votes.target.astype(np.int32),
        votes.weight.astype(np.float64),
        forest.roots.astype(np.int32),
        _heights(forest)[forest.roots].astype(np.int32),
    )


def _heights(forest: Forest) -> Array:
    """The steps from each node to the deepest leaf below it."""
    nodes, inner = forest.nodes, forest.nodes.mode != LEAF
    if_true, if_false = np.where(inner, nodes.if_true, 0), np.where(inner, nodes.if_false, 0)
    heights = np.zeros(len(inner), np.int64)
    while True:
        higher = np.where(inner, 1 + np.maximum(heights[if_true], heights[if_false]), 0)
        if np.array_equal(higher, heights):
            return heights
        heights = higher


def is_simple(forest: Forest) -> bool:
    """Whether all comparisons are the usual ``<=``, and a missing value is never greater."""
    return forest.modes in ((), (0,)) and not forest.nodes.missing_goes_true.any()


@jit
def _compare(mode, value, threshold, missing):  # type: ignore[no-untyped-def]
    if value != value:
        return missing
    if mode == 0:
        return np.int8(value <= threshold)
    if mode == 1:
        return np.int8(value < threshold)
    if mode == 2:
        return np.int8(value >= threshold)
    if mode == 3:
        return np.int8(value > threshold)
    if mode == 4:
        return np.int8(value == threshold)
    return np.int8(value != threshold)


@jit(inline=True)
def _arrived(at, node):  # type: ignore[no-untyped-def]
    """Whether all walks are at leaves."""
    left = np.int32(0)
    for i in range(_WALKS):
        left |= load(node, 4 * np.int64(at[i]) + 2) ^ at[i]
    return left == 0


@jit(inline=True)
def _walk(x, at, place, node, depth):  # type: ignore[no-untyped-def]
    """Take all walks to their leaves: walk i is at node ``at[i]``, its sample starts at ``place[i]``."""
    for step in range(1, depth + 1):
        for i in range(_WALKS):
            number = 4 * np.int64(at[i])
            value, threshold = load(x, place[i] + np.int64(load(node, number))), from_bits(load(node, number + 1))
            at[i] = load(node, number + 2 + np.int64(value <= threshold))
        if step % _ROUND == 0 and _arrived(at, node):
            return


@jit
def _walk_by_modes(x, at, place, node, mode, missing, depth):  # type: ignore[no-untyped-def]
    """As `_walk`, where nodes compare in several ways or say where missing values go."""
    for step in range(1, depth + 1):
        for i in range(_WALKS):
            own = np.int64(at[i])
            value, threshold = load(x, place[i] + np.int64(load(node, 4 * own))), from_bits(load(node, 4 * own + 1))
            at[i] = load(node, 4 * own + 2 + np.int64(_compare(load(mode, own), value, threshold, load(missing, own))))
        if step % _ROUND == 0 and _arrived(at, node):
            return


@jit(inline=True)
def _vote(scores, first, counts, leaf, starts, target, weight, aggregate):  # type: ignore[no-untyped-def]
    """Add the votes of a leaf to the scores of a sample, which begin at ``first``."""
    number = np.int64(leaf)
    for entry in range(np.int64(load(starts, number)), np.int64(load(starts, number + 1))):
        slot, vote = first + np.int64(load(target, entry)), load(weight, entry)
        if aggregate in (_SUM, _AVERAGE):
            scores[slot] += vote
            continue
        better = vote < scores[slot] if aggregate == _MIN else vote > scores[slot]
        scores[slot] = vote if counts[slot] == 0 or better else scores[slot]
        counts[slot] = 1


@jit
def _score(  # type: ignore[no-untyped-def]
    start, stop, thread, x, node, mode, missing, starts, target, weight, roots, depths, base, labels, chosen, y, t,
    scores, counts, walks, places
):  # fmt: skip
    """Some samples, _SAMPLES at a time: with enough of them tree by tree, else some trees at a time."""
    at, place = walks[thread], places[thread]
    for block in range(start, stop):
        first = block * _SAMPLES
        count = min(_SAMPLES, t.samples - first)
        votes, seen = scores[thread], counts[thread]
        votes[:] = 0
        seen[:] = 0
        if count >= _WALKS:
            for tree in range(roots.size):
                for sample in range(0, count, _WALKS):
                    for i in range(_WALKS):
                        at[i] = roots[tree]
                        place[i] = (first + min(sample + i, count - 1)) * t.features
                    if t.simple:
                        _walk(x, at, place, node, depths[tree])
                    else:
                        _walk_by_modes(x, at, place, node, mode, missing, depths[tree])
                    for i in range(min(_WALKS, count - sample)):
                        _vote(votes, (sample + i) * t.targets, seen, at[i], starts, target, weight, t.aggregate)
        else:
            for sample in range(count):
                for tree in range(0, roots.size, _WALKS):
                    for i in range(_WALKS):
                        at[i] = roots[min(tree + i, roots.size - 1)]
                        place[i] = (first + sample) * t.features
                    deepest = depths[tree : tree + _WALKS].max()
                    if t.simple:
                        _walk(x, at, place, node, deepest)
                    else:
                        _walk_by_modes(x, at, place, node, mode, missing, deepest)
                    for i in range(min(_WALKS, roots.size - tree)):
                        _vote(votes, sample * t.targets, seen, at[i], starts, target, weight, t.aggregate)
        for sample in range(count):
            row = votes[sample * t.targets : (sample + 1) * t.targets]
            if t.aggregate == _AVERAGE:
                for i in range(t.targets):
                    row[i] /= max(1, roots.size)
            for i in range(base.size):
                row[i] += base[i]
            _finish(row, labels, chosen, first + sample, y, t)


@jit
def _finish(row, labels, chosen, sample, y, t):  # type: ignore[no-untyped-def]
    """The class of a sample, and its scores after the transform."""
    if t.choice == HIGHEST:
        chosen[sample] = labels[highest_place(row)]
    elif t.choice != NO_CLASS:
        score = row[t.column]
        chosen[sample] = labels[1 if score > (0.5 if t.choice in (HALF, HALF_OF_BOTH) else 0.0) else 0]
        if t.choice == HALF_OF_BOTH:
            row[0], row[1] = 1 - score, score
        elif t.choice == SIGN_OF_BOTH:
            row[0], row[1] = -score, score
    transform_row(row, t.transform)
    for i in range(row.size):
        y[sample * row.size + i] = row[i]


@jit
def score_samples(  # type: ignore[no-untyped-def]
    pool, x, node, mode, missing, starts, target, weight, roots, depths, base, labels, chosen, y, t,
    scores, counts, walks, places
):  # fmt: skip
    """Walk all samples down all trees, and make results of the votes."""
    arguments = (
        x, node, mode, missing, starts, target, weight, roots, depths, base, labels, chosen, y, t,
        scores, counts, walks, places,
    )  # fmt: skip
    piece = max(1, _PIECE_STEPS // (_SAMPLES * 8 * max(1, roots.size)))
    parallel_for(pool, _score, arguments, -(-t.samples // _SAMPLES), piece)


def memory(targets: int) -> tuple[Any, ...]:
    """The scratch memory of `score_samples`, in the order of its last arguments: shapes and types."""
    return (
        ((_SAMPLES * targets,), np.float64),
        ((_SAMPLES * targets,), np.int8),
        ((_WALKS,), np.int32),
        ((_WALKS,), np.int64),
    )


def aggregate_code(name: str) -> int | None:
    """The code of an aggregate function."""
    return _AGGREGATES.get(name)
