"""Ensembles of decision trees (ai.onnx.ml).  The trees are built once from the attributes and then kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numpy.ml_forest import Forest
from onnxlite.kernels.numpy.ml_forest_attributes import floats_or_doubles, forest_of_ids, forest_of_positions
from onnxlite.kernels.numpy.ml_scores import (
    ML,
    both_classes,
    class_labels,
    feature_rows,
    labelled,
    labelled_by_sign,
    transformed,
)
from onnxlite.kernels.numpy.table import op

Floats = Sequence[float]
Ints = Sequence[int]

#: What the integers of TreeEnsemble-5 stand for.
_AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")
_TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")


@op("TreeEnsemble", since=5, domain=ML, host=True)
def tree_ensemble(
    x: Array,
    *,
    aggregate_function: int = 1,
    leaf_targetids: Ints,
    leaf_weights: Array,
    membership_values: Array | None = None,
    n_targets: int | None = None,
    nodes_falseleafs: Ints,
    nodes_falsenodeids: Ints,
    nodes_featureids: Ints,
    nodes_hitrates: Array | None = None,
    nodes_missing_value_tracks_true: Ints | None = None,
    nodes_modes: Array,
    nodes_splits: Array,
    nodes_trueleafs: Ints,
    nodes_truenodeids: Ints,
    post_transform: int = 0,
    tree_roots: Ints,
) -> Array:
    """The weights of the leaves that each sample reaches, aggregated per target (ai.onnx.ml TreeEnsemble-5)."""
    if not 0 <= aggregate_function < len(_AGGREGATES) or not 0 <= post_transform < len(_TRANSFORMS):
        raise ValueError(
            f"expected aggregate_function in [0, {len(_AGGREGATES) - 1}] and post_transform in "
            f"[0, {len(_TRANSFORMS) - 1}], got {aggregate_function} and {post_transform}"
        )
    trees = forest_of_positions(
        tree_roots,
        nodes_modes,
        nodes_featureids,
        nodes_splits,
        nodes_truenodeids,
        nodes_trueleafs,
        nodes_falsenodeids,
        nodes_falseleafs,
        nodes_missing_value_tracks_true,
        leaf_targetids,
        leaf_weights,
        membership_values,
    )
    scores = trees.scores(feature_rows(x), _targets(trees, n_targets), _AGGREGATES[aggregate_function])
    return transformed(scores, _TRANSFORMS[post_transform]).astype(x.dtype)


@op("TreeEnsembleRegressor", since=3, domain=ML, host=True)
def tree_ensemble_regressor(
    x: Array,
    *,
    aggregate_function: str = "SUM",
    base_values: Floats | None = None,
    base_values_as_tensor: Array | None = None,
    n_targets: int | None = None,
    nodes_falsenodeids: Ints | None = None,
    nodes_featureids: Ints | None = None,
    nodes_hitrates: Floats | None = None,
    nodes_hitrates_as_tensor: Array | None = None,
    nodes_missing_value_tracks_true: Ints | None = None,
    nodes_modes: Sequence[str] | None = None,
    nodes_nodeids: Ints | None = None,
    nodes_treeids: Ints | None = None,
    nodes_truenodeids: Ints | None = None,
    nodes_values: Floats | None = None,
    nodes_values_as_tensor: Array | None = None,
    post_transform: str = "NONE",
    target_ids: Ints | None = None,
    target_nodeids: Ints | None = None,
    target_treeids: Ints | None = None,
    target_weights: Floats | None = None,
    target_weights_as_tensor: Array | None = None,
) -> Array:
    """The aggregated votes of the leaves, then the base values added (ai.onnx.ml TreeEnsembleRegressor-5)."""
    trees = forest_of_ids(
        nodes_treeids,
        nodes_nodeids,
        nodes_modes,
        nodes_featureids,
        nodes_values,
        nodes_values_as_tensor,
        nodes_truenodeids,
        nodes_falsenodeids,
        nodes_missing_value_tracks_true,
        target_treeids,
        target_nodeids,
        target_ids,
        target_weights,
        target_weights_as_tensor,
    )
    targets = _targets(trees, n_targets)
    scores = trees.scores(feature_rows(x), targets, aggregate_function)
    scores = _with_base(scores, floats_or_doubles(base_values, base_values_as_tensor))
    return transformed(scores, post_transform).astype(np.float32)


@op("TreeEnsembleRegressor", since=1, until=1, domain=ML, host=True)
def tree_ensemble_regressor_1(
    x: Array,
    *,
    aggregate_function: str = "SUM",
    base_values: Floats | None = None,
    n_targets: int | None = None,
    nodes_falsenodeids: Ints | None = None,
    nodes_featureids: Ints | None = None,
    nodes_hitrates: Floats | None = None,
    nodes_missing_value_tracks_true: Ints | None = None,
    nodes_modes: Sequence[str] | None = None,
    nodes_nodeids: Ints | None = None,
    nodes_treeids: Ints | None = None,
    nodes_truenodeids: Ints | None = None,
    nodes_values: Floats | None = None,
    post_transform: str = "NONE",
    target_ids: Ints | None = None,
    target_nodeids: Ints | None = None,
    target_treeids: Ints | None = None,
    target_weights: Floats | None = None,
) -> Array:
    """TreeEnsembleRegressor without doubles (ai.onnx.ml TreeEnsembleRegressor-1)."""
    return tree_ensemble_regressor(
        x,
        aggregate_function=aggregate_function,
        base_values=base_values,
        n_targets=n_targets,
        nodes_falsenodeids=nodes_falsenodeids,
        nodes_featureids=nodes_featureids,
        nodes_missing_value_tracks_true=nodes_missing_value_tracks_true,
        nodes_modes=nodes_modes,
        nodes_nodeids=nodes_nodeids,
        nodes_treeids=nodes_treeids,
        nodes_truenodeids=nodes_truenodeids,
        nodes_values=nodes_values,
        post_transform=post_transform,
        target_ids=target_ids,
        target_nodeids=target_nodeids,
        target_treeids=target_treeids,
        target_weights=target_weights,
    )


@op("TreeEnsembleClassifier", since=3, domain=ML, host=True)
def tree_ensemble_classifier(
    x: Array,
    *,
    base_values: Floats | None = None,
    base_values_as_tensor: Array | None = None,
    class_ids: Ints | None = None,
    class_nodeids: Ints | None = None,
    class_treeids: Ints | None = None,
    class_weights: Floats | None = None,
    class_weights_as_tensor: Array | None = None,
    classlabels_int64s: Ints | None = None,
    classlabels_strings: Sequence[str] | None = None,
    nodes_falsenodeids: Ints | None = None,
    nodes_featureids: Ints | None = None,
    nodes_hitrates: Floats | None = None,
    nodes_hitrates_as_tensor: Array | None = None,
    nodes_missing_value_tracks_true: Ints | None = None,
    nodes_modes: Sequence[str] | None = None,
    nodes_nodeids: Ints | None = None,
    nodes_treeids: Ints | None = None,
    nodes_truenodeids: Ints | None = None,
    nodes_values: Floats | None = None,
    nodes_values_as_tensor: Array | None = None,
    post_transform: str = "NONE",
) -> tuple[Array, Array]:
    """The class with the most votes, and the votes for all classes (ai.onnx.ml TreeEnsembleClassifier-5)."""
    trees = forest_of_ids(
        nodes_treeids,
        nodes_nodeids,
        nodes_modes,
        nodes_featureids,
        nodes_values,
        nodes_values_as_tensor,
        nodes_truenodeids,
        nodes_falsenodeids,
        nodes_missing_value_tracks_true,
        class_treeids,
        class_nodeids,
        class_ids,
        class_weights,
        class_weights_as_tensor,
    )
    labels = class_labels(classlabels_strings, classlabels_int64s)
    count = _targets(trees, None if labels is None else len(labels))
    scores = trees.scores(feature_rows(x), count, "SUM")
    scores = _with_base(scores, floats_or_doubles(base_values, base_values_as_tensor), one_is_enough=count == 2)
    chosen, scores = _classified(scores, labels, trees, post_transform)
    return chosen, transformed(scores, post_transform).astype(np.float32)


@op("TreeEnsembleClassifier", since=1, until=1, domain=ML, host=True)
def tree_ensemble_classifier_1(
    x: Array,
    *,
    base_values: Floats | None = None,
    class_ids: Ints | None = None,
    class_nodeids: Ints | None = None,
    class_treeids: Ints | None = None,
    class_weights: Floats | None = None,
    classlabels_int64s: Ints | None = None,
    classlabels_strings: Sequence[str] | None = None,
    nodes_falsenodeids: Ints | None = None,
    nodes_featureids: Ints | None = None,
    nodes_hitrates: Floats | None = None,
    nodes_missing_value_tracks_true: Ints | None = None,
    nodes_modes: Sequence[str] | None = None,
    nodes_nodeids: Ints | None = None,
    nodes_treeids: Ints | None = None,
    nodes_truenodeids: Ints | None = None,
    nodes_values: Floats | None = None,
    post_transform: str = "NONE",
) -> tuple[Array, Array]:
    """TreeEnsembleClassifier without doubles (ai.onnx.ml TreeEnsembleClassifier-1)."""
    return tree_ensemble_classifier(
        x,
        base_values=base_values,
        class_ids=class_ids,
        class_nodeids=class_nodeids,
        class_treeids=class_treeids,
        class_weights=class_weights,
        classlabels_int64s=classlabels_int64s,
        classlabels_strings=classlabels_strings,
        nodes_falsenodeids=nodes_falsenodeids,
        nodes_featureids=nodes_featureids,
        nodes_missing_value_tracks_true=nodes_missing_value_tracks_true,
        nodes_modes=nodes_modes,
        nodes_nodeids=nodes_nodeids,
        nodes_treeids=nodes_treeids,
        nodes_truenodeids=nodes_truenodeids,
        nodes_values=nodes_values,
        post_transform=post_transform,
    )


def _classified(scores: Array, labels: Array | None, trees: Forest, post_transform: str) -> tuple[Array, Array]:
    """The label of each sample, and the scores of all classes before their transform.

    If only one of two classes gets votes, whichever it is, they speak for the second: they are its probability where no
    weight is negative and no transform makes probabilities, else a score that is positive for it.
    """
    votes = trees.votes
    voted = np.unique(votes.target)
    if scores.shape[1] == 1:
        return labelled_by_sign(scores[:, 0] > 0, labels), scores
    if scores.shape[1] != 2 or len(voted) != 1:
        return labelled(np.argmax(scores, axis=1), labels, scores.shape[1]), scores
    score = scores[:, voted[0]]
    probabilities = bool(np.all(votes.weight >= 0)) and post_transform in ("NONE", "PROBIT")
    chosen = labelled_by_sign(score > (0.5 if probabilities else 0), labels)
    return chosen, both_classes(score, probabilities=probabilities) if voted[0] == 0 else scores


def _targets(trees: Forest, declared: int | None) -> int:
    if declared is not None:
        return declared
    return int(trees.votes.target.max()) + 1 if trees.votes.target.size else 1


def _with_base(scores: Array, base: Array, one_is_enough: bool = False) -> Array:
    """The scores with the base values of their targets, perhaps only of the first."""
    if not base.size:
        return scores
    if base.size != scores.shape[1] and not (one_is_enough and base.size == 1):
        raise ValueError(f"expected {scores.shape[1]} base_values, one per class or target, got {base.size}")
    result = scores.copy()
    result[:, : base.size] += base
    return result
