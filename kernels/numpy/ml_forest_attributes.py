"""Forests from the attributes of the operators that hold them; each is built once and then kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numpy.identity_cache import remembered
from onnxlite.kernels.numpy.ml_forest import LEAF, Forest, Nodes, forest, votes_of_leaves

Ints = Sequence[int]

#: The names of the node modes in TreeEnsembleClassifier and TreeEnsembleRegressor, in the order of their codes.
_MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER", "LEAF")


def floats_or_doubles(floats: Sequence[float] | None, doubles: Array | None) -> Array:
    """An attribute that is given as floats or as a tensor of doubles."""
    if doubles is not None and doubles.size:
        return doubles.reshape(-1)
    return np.asarray(floats if floats is not None else (), dtype=np.float32)


@remembered
def forest_of_positions(
    roots: Ints,
    modes: Array,
    features: Ints,
    thresholds: Array,
    if_true: Ints,
    true_is_leaf: Ints,
    if_false: Ints,
    false_is_leaf: Ints,
    missing_goes_true: Ints | None,
    leaf_targets: Ints,
    leaf_weights: Array,
    membership_values: Array | None,
) -> Forest:
    """Trees whose inner nodes and leaves are numbered apart (TreeEnsemble-5); leaves are put behind the inner nodes."""
    inner, leaves = modes.size, len(leaf_targets)
    _check_lengths("nodes", inner, features, thresholds, if_true, true_is_leaf, if_false, false_is_leaf)
    _check_lengths("leaves", leaves, leaf_weights)
    if np.any(modes >= LEAF):
        raise ValueError(f"expected node modes in [0, {LEAF - 1}], got {modes.max()}")
    if np.any(_integers(roots) >= inner):
        raise ValueError(f"expected tree_roots below {inner}, the number of nodes, got {max(roots)}")
    padding = np.zeros(leaves, dtype=np.int64)
    nodes = Nodes(
        np.concatenate([modes.reshape(-1).astype(np.int64), padding + LEAF]),
        np.concatenate([_integers(features), padding]),
        np.concatenate([thresholds.reshape(-1), padding.astype(thresholds.dtype)]),
        np.concatenate([_positions(if_true, true_is_leaf, inner, leaves), padding]),
        np.concatenate([_positions(if_false, false_is_leaf, inner, leaves), padding]),
        np.concatenate([_flags(missing_goes_true, inner), padding != 0]),
    )
    leaf = np.arange(leaves) + inner
    votes = votes_of_leaves(leaf, _integers(leaf_targets), leaf_weights.reshape(-1), inner + leaves)
    return forest(nodes, _integers(roots), votes, membership_values)


def _positions(children: Ints, are_leaves: Ints, inner: int, leaves: int) -> Array:
    """The children, leaves counted on from the inner nodes."""
    child, is_leaf = _integers(children), _integers(are_leaves) != 0
    if np.any((child < 0) | (child >= np.where(is_leaf, leaves, inner))):
        raise ValueError(f"expected children among {inner} nodes and {leaves} leaves, got numbers beyond")
    return np.where(is_leaf, child + inner, child)


@remembered
def forest_of_ids(
    tree_ids: Ints | None,
    node_ids: Ints | None,
    modes: Sequence[str] | None,
    features: Ints | None,
    threshold_floats: Sequence[float] | None,
    threshold_doubles: Array | None,
    if_true: Ints | None,
    if_false: Ints | None,
    missing_goes_true: Ints | None,
    vote_tree_ids: Ints | None,
    vote_node_ids: Ints | None,
    vote_targets: Ints | None,
    weight_floats: Sequence[float] | None,
    weight_doubles: Array | None,
) -> Forest:
    """Trees whose nodes are named by a tree and a number within it; the first node of a tree is its root."""
    trees, codes = _integers(tree_ids), _codes(modes or ())
    thresholds = floats_or_doubles(threshold_floats, threshold_doubles)
    weights = floats_or_doubles(weight_floats, weight_doubles)
    _check_lengths("nodes", trees.size, node_ids, codes, features, thresholds, if_true, if_false)
    _check_lengths("votes", weights.size, vote_tree_ids, vote_node_ids, vote_targets)
    find = _finder(trees, _integers(node_ids))
    inner = codes != LEAF
    true_child, false_child = np.zeros((2, trees.size), dtype=np.int64)
    true_child[inner] = find(trees[inner], _integers(if_true)[inner])
    false_child[inner] = find(trees[inner], _integers(if_false)[inner])
    missing = _flags(missing_goes_true, trees.size)
    nodes = Nodes(codes, _integers(features), thresholds, true_child, false_child, missing)
    leaf = find(_integers(vote_tree_ids), _integers(vote_node_ids))
    votes = votes_of_leaves(leaf, _integers(vote_targets), weights, trees.size)
    roots = np.sort(np.unique(trees, return_index=True)[1])
    return forest(nodes, roots, votes)


def _finder(trees: Array, nodes: Array) -> Callable[[Array, Array], Array]:
    """The function that finds the position of a node by its tree and its number."""
    tree_names, tree = np.unique(trees, return_inverse=True)
    node_names, node = np.unique(nodes, return_inverse=True)
    names = tree * len(node_names) + node
    order = np.argsort(names, kind="stable")
    ordered = names[order]
    twice = np.flatnonzero(ordered[1:] == ordered[:-1])
    if twice.size:
        again = order[twice[0]]
        raise ValueError(f"expected each node once, got the node {nodes[again]} of the tree {trees[again]} twice")

    def find(wanted_trees: Array, wanted_nodes: Array) -> Array:
        place = [np.searchsorted(tree_names, wanted_trees), np.searchsorted(node_names, wanted_nodes)]
        tree, node = (np.minimum(p, max(len(n) - 1, 0)) for p, n in zip(place, (tree_names, node_names), strict=True))
        wanted = tree * len(node_names) + node
        position = np.minimum(np.searchsorted(ordered, wanted), max(len(ordered) - 1, 0))
        if wanted.size and not len(ordered):
            raise ValueError("expected nodes, got none")
        known = (tree_names[tree] == wanted_trees) & (node_names[node] == wanted_nodes) & (ordered[position] == wanted)
        if not np.all(known):
            missing = np.flatnonzero(~known)[0]
            raise ValueError(f"the tree {wanted_trees[missing]} has no node {wanted_nodes[missing]}")
        return order[position]

    return find


def _codes(modes: Sequence[str]) -> Array:
    unknown = set(modes) - set(_MODES)
    if unknown:
        raise ValueError(f"expected node modes of {', '.join(_MODES)}, got {', '.join(sorted(unknown))}")
    code = {name: number for number, name in enumerate(_MODES)}
    return np.asarray([code[mode] for mode in modes], dtype=np.int64)


def _integers(values: Ints | None) -> Array:
    return np.asarray(values if values is not None else (), dtype=np.int64)


def _flags(values: Ints | None, count: int) -> Array:
    if not values:
        return np.zeros(count, dtype=np.bool_)
    _check_lengths("nodes", count, values)
    return _integers(values) != 0


def _check_lengths(what: str, count: int, *attributes: Sequence[object] | Array | None) -> None:
    lengths = {0 if attribute is None else len(attribute) for attribute in attributes}
    if lengths - {count}:
        raise ValueError(f"expected attributes of {count} {what}, got some of the lengths {sorted(lengths)}")
