"""Decision trees as arrays, and samples that walk down all of them at once."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from onnxlite.kernels.arrays import Array

#: The comparisons of inner nodes, by their codes in TreeEnsemble-5; then the kinds of node that do not compare.
_COMPARISONS: tuple[Callable[[Array, Array], Array], ...] = (
    operator.le,
    operator.lt,
    operator.ge,
    operator.gt,
    operator.eq,
    operator.ne,
)
MEMBER, LEAF = 6, 7

#: How many pairs of a sample and a tree walk together.
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Nodes:
    """The nodes of all trees: node ``n`` compares ``feature[n]`` of a sample with ``threshold[n]``.

    ``if_true`` and ``if_false`` are the numbers of its children; leaves have none, and there these mean nothing.
    """

    mode: Array
    feature: Array
    threshold: Array
    if_true: Array
    if_false: Array
    missing_goes_true: Array


@dataclass(frozen=True, slots=True)
class Members:
    """The sets of the nodes that test membership: pairs of a node and a value, as sorted numbers."""

    values: Array
    pairs: Array


@dataclass(frozen=True, slots=True)
class Votes:
    """What leaves give: leaf ``n`` adds ``weight`` to ``target`` for the entries ``starts[n]`` to ``starts[n + 1]``."""

    starts: Array
    target: Array
    weight: Array


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees whose structure has been checked: every walk from a root ends in a leaf."""

    nodes: Nodes
    roots: Array
    votes: Votes
    members: Members | None
    modes: tuple[int, ...]

    def scores(self, rows: Array, targets: int, aggregate: str) -> Array:
        """The votes of the leaves that each row reaches, aggregated for each target: (samples, targets), float64."""
        if self.votes.target.size and not 0 <= self.votes.target.min() <= self.votes.target.max() < targets:
            low, high = self.votes.target.min(), self.votes.target.max()
            raise ValueError(f"expected votes for the targets 0 to {targets - 1}, got votes for {low} to {high}")
        inner = self.nodes.mode != LEAF
        if inner.any() and self.nodes.feature[inner].max() >= rows.shape[1]:
            high = self.nodes.feature[inner].max()
            raise ValueError(f"expected samples with at least {high + 1} features, got {rows.shape[1]}")
        size = max(1, _BLOCK // max(1, len(self.roots)))
        blocks = [rows[start : start + size] for start in range(0, len(rows), size)]
        parts = [_aggregated(self, _leaves(self, block), targets, aggregate) for block in blocks]
        return np.concatenate(parts) if parts else np.zeros((0, targets))


def forest(nodes: Nodes, roots: Array, votes: Votes, member_values: Array | None = None) -> Forest:
    """The trees with these roots.

    Raises:
        ValueError: A node does not exist, has an unknown mode, or leads back to itself.
    """
    count = len(nodes.mode)
    inner = np.flatnonzero(nodes.mode != LEAF)
    for name, numbers in (("root", roots), ("child", nodes.if_true[inner]), ("child", nodes.if_false[inner])):
        if numbers.size and not 0 <= numbers.min() <= numbers.max() < count:
            raise ValueError(f"expected a {name} in [0, {count - 1}], got {numbers.min()} to {numbers.max()}")
    if count and not 0 <= nodes.mode.min() <= nodes.mode.max() <= LEAF:
        raise ValueError(f"expected node modes in [0, {MEMBER}], got {nodes.mode.min()} to {nodes.mode.max()}")
    if inner.size and nodes.feature[inner].min() < 0:
        raise ValueError(f"expected features from 0 on, got {nodes.feature[inner].min()}")
    _check_acyclic(nodes)
    modes = tuple(int(mode) for mode in np.unique(nodes.mode[inner]))
    return Forest(nodes, roots, votes, _members(nodes, member_values), modes)


def _check_acyclic(nodes: Nodes) -> None:
    """Take away nodes without a parent, level by level: only those of a cycle stay.

    A node with several parents is allowed, as converters write tests for a set as nodes that share a child.
    """
    inner = nodes.mode != LEAF
    children = np.concatenate([nodes.if_true[inner], nodes.if_false[inner]])
    parents = np.bincount(children, minlength=len(inner))
    free = np.flatnonzero(parents == 0)
    taken = 0
    while free.size:
        taken += free.size
        free = free[inner[free]]
        children = np.concatenate([nodes.if_true[free], nodes.if_false[free]])
        np.subtract.at(parents, children, 1)
        free = np.unique(children)
        free = free[parents[free] == 0]
    if taken != len(inner):
        raise ValueError(f"expected trees, got {len(inner) - taken} nodes on or below a path that leads back to itself")


def _members(nodes: Nodes, values: Array | None) -> Members | None:
    """The sets, from one list where a NaN ends each, in the order of the nodes that test membership."""
    testing = np.flatnonzero(nodes.mode == MEMBER)
    values = np.zeros(0) if values is None else np.asarray(values)
    ends = np.isnan(values)
    sets = int(ends.sum()) + (1 if values.size and not ends[-1] else 0)
    if sets != testing.size:
        raise ValueError(f"expected membership_values for {testing.size} nodes that test membership, got {sets} sets")
    if not testing.size:
        return None
    owner = testing[np.cumsum(ends)[~ends]]
    distinct, number = np.unique(values[~ends], return_inverse=True)
    return Members(distinct, np.unique(owner * len(distinct) + number))


def _leaves(forest: Forest, rows: Array) -> Array:
    """The leaf that each row reaches in each tree: (samples, trees)."""
    nodes = forest.nodes
    node = np.tile(forest.roots, len(rows))
    row = np.repeat(np.arange(len(rows)), len(forest.roots))
    walking = np.flatnonzero(nodes.mode[node] != LEAF)
    while walking.size:
        at = node[walking]
        goes_true = _goes_true(forest, at, rows[row[walking], nodes.feature[at]])
        node[walking] = np.where(goes_true, nodes.if_true[at], nodes.if_false[at])
        walking = walking[nodes.mode[node[walking]] != LEAF]
    return node.reshape(len(rows), len(forest.roots))


def _goes_true(forest: Forest, at: Array, value: Array) -> Array:
    """Whether each value takes the true branch of its node; a missing one (NaN) goes where its node sends it."""
    nodes = forest.nodes
    if len(forest.modes) == 1 and forest.modes[0] != MEMBER:
        result = _COMPARISONS[forest.modes[0]](value, nodes.threshold[at])
    else:
        result = np.zeros(at.shape, dtype=np.bool_)
        for mode in forest.modes:
            chosen = np.flatnonzero(nodes.mode[at] == mode)
            some, values = at[chosen], value[chosen]
            if forest.members is not None and mode == MEMBER:
                result[chosen] = _is_member(forest.members, some, values)
            else:
                result[chosen] = _COMPARISONS[mode](values, nodes.threshold[some])
    return np.where(np.isnan(value), nodes.missing_goes_true[at], result) if value.dtype.kind == "f" else result


def _is_member(members: Members, at: Array, value: Array) -> Array:
    if not members.values.size:
        return np.zeros(at.shape, dtype=np.bool_)
    number = np.minimum(np.searchsorted(members.values, value), len(members.values) - 1)
    pair = at * len(members.values) + number
    place = np.minimum(np.searchsorted(members.pairs, pair), len(members.pairs) - 1)
    return (members.values[number] == value) & (members.pairs[place] == pair)


def _aggregated(forest: Forest, leaf: Array, targets: int, how: str) -> Array:
    """The votes of the leaves (samples, trees) as (samples, targets)."""
    votes = forest.votes
    samples, trees = leaf.shape
    first = votes.starts[leaf].ravel()
    count = votes.starts[leaf + 1].ravel() - first
    before = np.cumsum(count) - count
    entry = np.arange(count.sum()) + np.repeat(first - before, count)
    row = np.repeat(np.arange(samples), count.reshape(samples, trees).sum(axis=1))
    slot = row * targets + votes.target[entry]
    weight = votes.weight[entry]
    if how in ("SUM", "AVERAGE"):
        sums = np.bincount(slot, weight, minlength=samples * targets).reshape(samples, targets)
        return sums / trees if how == "AVERAGE" and trees else sums
    if how not in ("MIN", "MAX"):
        raise ValueError(f"aggregate_function must be AVERAGE, SUM, MIN or MAX, got {how!r}")
    lowest = how == "MIN"
    result = np.full(samples * targets, np.inf if lowest else -np.inf)
    (np.minimum if lowest else np.maximum).at(result, slot, weight)
    # A target without any vote is 0, as with a sum.
    result[np.bincount(slot, minlength=result.size) == 0] = 0
    return result.reshape(samples, targets)


def votes_of_leaves(leaf: Array, target: Array, weight: Array, count: int) -> Votes:
    """The votes, each given with its leaf, in the order of the ``count`` nodes."""
    order = np.argsort(leaf, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(leaf, minlength=count))])
    return Votes(starts, target[order], weight[order])
