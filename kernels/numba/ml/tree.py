"""The operators of tree ensembles (ai.onnx.ml) for float32 samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numba.ml.scores import TRANSFORMS
from onnxlite.kernels.numba.ml.trees import (
    HALF,
    HALF_OF_BOTH,
    HIGHEST,
    NO_CLASS,
    SIGN,
    SIGN_OF_BOTH,
    Task,
    aggregate_code,
    ensemble,
    is_simple,
    memory,
    score_samples,
)
from onnxlite.kernels.numba.refusal import Answer, declines_errors
from onnxlite.kernels.numba.spec import FLOAT32, ArraySpec, Bound, Declined, Input, Output, Pool, Scratch
from onnxlite.kernels.numba.table import op
from onnxlite.kernels.numpy.ml_forest import LEAF, Forest
from onnxlite.kernels.numpy.ml_forest_attributes import floats_or_doubles, forest_of_ids, forest_of_positions
from onnxlite.kernels.numpy.ml_scores import ML

Floats = Sequence[float]
Ints = Sequence[int]

_AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")
_TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
_NO_BASE = np.zeros(0)
_NO_LABELS = np.zeros(1, np.int64)


@op("TreeEnsemble", since=5, domain=ML)
@declines_errors
def tree_ensemble(
    x: ArraySpec,
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
) -> Answer:
    """The votes of the leaves, aggregated per target (ai.onnx.ml TreeEnsemble-5)."""
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
    aggregate, transform = _AGGREGATES[aggregate_function], _TRANSFORMS[post_transform]
    return _bind(x, trees, _targets(trees, n_targets), aggregate, transform, _NO_BASE, NO_CLASS)


@op("TreeEnsembleRegressor", since=3, domain=ML)
@declines_errors
def tree_ensemble_regressor(
    x: ArraySpec,
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
) -> Answer:
    """The votes of the leaves, aggregated, and the base values (ai.onnx.ml TreeEnsembleRegressor-5)."""
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
    base = floats_or_doubles(base_values, base_values_as_tensor)
    if base.size not in (0, targets):
        return Declined("the base values do not fit: the reference says how")
    return _bind(x, trees, targets, aggregate_function, post_transform, base, NO_CLASS)


@op("TreeEnsembleRegressor", since=1, until=1, domain=ML)
def tree_ensemble_regressor_1(
    x: ArraySpec,
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
) -> Answer:
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


@op("TreeEnsembleClassifier", since=3, domain=ML)
@declines_errors
def tree_ensemble_classifier(
    x: ArraySpec,
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
) -> Answer:
    """The class with the most votes, and the votes for all classes (ai.onnx.ml TreeEnsembleClassifier-5)."""
    if classlabels_strings:
        return Declined("labels that are strings are not compiled")
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
    labels = np.arange(_targets(trees, None)) if classlabels_int64s is None else np.asarray(classlabels_int64s)
    count = _targets(trees, None if classlabels_int64s is None else len(labels))
    base = floats_or_doubles(base_values, base_values_as_tensor)
    if base.size not in (0, count) and not (base.size == 1 and count == 2):
        return Declined("the base values do not fit: the reference says how")
    choice, column = _choice(trees, count, post_transform)
    if choice != HIGHEST and len(labels) != 2:
        labels = np.array([0, 1])
    return _bind(x, trees, count, "SUM", post_transform, base, choice, column, labels.astype(np.int64))


@op("TreeEnsembleClassifier", since=1, until=1, domain=ML)
def tree_ensemble_classifier_1(
    x: ArraySpec,
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
) -> Answer:
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


def _targets(trees: Forest, declared: int | None) -> int:
    if declared is not None:
        return declared
    return int(trees.votes.target.max()) + 1 if trees.votes.target.size else 1


def _choice(trees: Forest, count: int, post_transform: str) -> tuple[int, int]:
    """How a class is chosen, and by the score of which column where one score decides: as the reference has it."""
    voted = np.unique(trees.votes.target)
    if count == 1:
        return SIGN, 0
    if count != 2 or len(voted) != 1:
        return HIGHEST, 0
    column = int(voted[0])
    probabilities = bool(np.all(trees.votes.weight >= 0)) and post_transform in ("NONE", "PROBIT")
    if column == 0:
        return (HALF_OF_BOTH if probabilities else SIGN_OF_BOTH), column
    return (HALF if probabilities else SIGN), column


def _bind(
    x: ArraySpec,
    trees: Forest,
    targets: int,
    aggregate: str,
    post_transform: str,
    base: Array,
    choice: int,
    column: int = 0,
    labels: Array = _NO_LABELS,
) -> Bound | Declined:
    """The call of `score_samples`."""
    shape = x.shape if len(x.shape) == 2 else (1, *x.shape)
    walk, code = ensemble(trees), aggregate_code(aggregate)
    if x.dtype != FLOAT32 or walk is None or code is None or post_transform not in TRANSFORMS:
        return Declined("only float32 without membership is compiled")
    if len(shape) != 2 or not x.size or not trees.roots.size:
        return Declined("the samples do not fit, or there are none: the reference says how")
    inner = trees.nodes.mode != LEAF
    enough = not inner.any() or trees.nodes.feature[inner].max() < shape[1]
    if not enough or (trees.votes.target.size and trees.votes.target.max() >= targets):
        return Declined("the features or the votes do not fit: the reference says how")
    task = Task(shape[0], shape[1], targets, int(is_simple(trees)), code, TRANSFORMS[post_transform], choice, column)
    scores = ArraySpec((shape[0], targets), FLOAT32)
    classifies = choice != NO_CLASS
    chosen = Output(0, flat=True) if classifies else Scratch((1,), np.dtype(np.int64))
    return Bound(
        score_samples,
        (
            Pool(),
            Input(0, flat=True) if x.value is None else np.array(x.value).reshape(-1),
            *walk,
            np.array(base, np.float64),
            labels,
            chosen,
            Output(int(classifies), flat=True),
            task,
            *(Scratch(shape, np.dtype(dtype), per_thread=True) for shape, dtype in memory(targets)),
        ),
        (ArraySpec((shape[0],), np.dtype(np.int64)), scores) if classifies else (scores,),
    )
