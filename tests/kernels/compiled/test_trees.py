from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.compiled import KernelDeclined, bind_and_run
from onnxlite.conformance.differential import assert_same, kernel_outputs
from onnxlite.kernels.arrays import Array

ML = "ai.onnx.ml"
_SETTINGS = settings(max_examples=40, deadline=None, derandomize=True)
_MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]


def _trees(rng: np.random.Generator, trees: int, depth: int, modes: list[str], missing: bool) -> dict[str, Any]:
    """The attributes of random trees, whose thresholds samples may hit, without the votes; the leaves apart."""
    rows: list[tuple[int, int, str, int, float, int, int, int]] = []
    leaves: list[tuple[int, int]] = []
    for tree in range(trees):
        levels, number = [(0, 0)], 1
        while levels:
            node, level = levels.pop(0)
            if level == depth or (level > 0 and rng.random() < 0.2):
                rows.append((tree, node, "LEAF", 0, 0.0, 0, 0, 0))
                leaves.append((tree, node))
                continue
            feature, threshold = int(rng.integers(3)), float(rng.integers(-2, 3))
            mode = modes[rng.integers(len(modes))]
            rows.append((tree, node, mode, feature, threshold, number, number + 1, int(missing and rng.random() < 0.5)))
            levels += [(number, level + 1), (number + 1, level + 1)]
            number += 2
    names = ("treeids", "nodeids", "modes", "featureids", "values", "truenodeids", "falsenodeids")
    columns = list(zip(*rows, strict=True))
    attributes: dict[str, Any] = {f"nodes_{name}": column for name, column in zip(names, columns, strict=False)}
    attributes["nodes_missing_value_tracks_true"] = columns[7]
    attributes["leaves"] = leaves
    return attributes


def _with_votes(
    rng: np.random.Generator, attributes: dict[str, Any], targets: list[int], prefix: str
) -> dict[str, Any]:
    leaves = attributes.pop("leaves")
    votes = [
        (tree, node, targets[rng.integers(len(targets))]) for tree, node in leaves for _ in range(rng.integers(1, 3))
    ]
    trees, nodes, ids = zip(*votes, strict=True)
    weights = tuple(float(w) / 4 for w in rng.integers(-8, 9, len(votes)))
    names = {f"{prefix}_treeids": trees, f"{prefix}_nodeids": nodes, f"{prefix}_ids": ids, f"{prefix}_weights": weights}
    return {**attributes, **names}


def _samples(rng: np.random.Generator, count: int, missing: bool) -> Array:
    x = rng.integers(-3, 4, (count, 3)).astype(np.float32)
    if missing:
        x[rng.random(x.shape) < 0.2] = np.nan
    return x


def _check(op_type: str, version: int, x: Array, **attributes: Any) -> None:
    expected = kernel_outputs(op_type, version, x, domain=ML, **attributes)
    for threads in (1, 2):
        actual = bind_and_run(op_type, version, x, domain=ML, threads=threads, **attributes)
        for one, other in zip(actual, expected, strict=True):
            assert_same(one, other, rtol=1e-6, atol=1e-7)


@_SETTINGS
@given(
    st.integers(0, 9),
    st.sampled_from([1, 3, 9]),
    st.sampled_from([1, 7, 8, 130]),
    st.sampled_from([_MODES[:1], _MODES]),
    st.booleans(),
    st.sampled_from(["SUM", "AVERAGE", "MIN", "MAX"]),
    st.sampled_from(["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"]),
    st.sampled_from([1, 3]),
)
def test_regressor(
    seed: int, trees: int, samples: int, modes: list[str], missing: bool, aggregate: str, transform: str, targets: int
) -> None:
    rng = np.random.default_rng(seed)
    attributes = _with_votes(rng, _trees(rng, trees, 4, modes, missing), list(range(targets)), "target")
    x, base = _samples(rng, samples, missing), [0.5, -1.0, 2.0][:targets]
    shared = {"n_targets": targets, "aggregate_function": aggregate, "post_transform": transform}
    _check("TreeEnsembleRegressor", 3, x, base_values=base, **shared, **attributes)
    _check("TreeEnsembleRegressor", 1, x, **shared, **attributes)


@_SETTINGS
@given(
    st.integers(0, 9),
    st.sampled_from([1, 5, 9]),
    st.sampled_from([1, 8, 70]),
    st.sampled_from([[0], [1], [0, 1], [0, 1, 2]]),
    st.booleans(),
    st.sampled_from(["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"]),
    st.sampled_from([[10], [10, 20], [10, 20, 30], None]),
)
def test_classifier(
    seed: int, trees: int, samples: int, voted: list[int], positive: bool, transform: str, labels: list[int] | None
) -> None:
    rng = np.random.default_rng(seed)
    if labels is not None and max(voted) >= len(labels):
        voted = [min(len(labels) - 1, 1)]
    attributes = _with_votes(rng, _trees(rng, trees, 4, _MODES[:1], False), voted, "class")
    if positive:
        attributes["class_weights"] = tuple(abs(w) / 8 for w in attributes["class_weights"])
    x = _samples(rng, samples, False)
    _check("TreeEnsembleClassifier", 3, x, classlabels_int64s=labels, post_transform=transform, **attributes)
    if labels is not None and len(labels) == 2:
        _check("TreeEnsembleClassifier", 1, x, classlabels_int64s=labels, base_values=[0.25], **attributes)


def test_positions() -> None:
    attributes = {
        "leaf_targetids": (0, 1, 0, 1),
        "leaf_weights": np.array([1.5, -2, 3, 4], np.float32),
        "nodes_falseleafs": (0, 1, 1),
        "nodes_falsenodeids": (2, 1, 3),
        "nodes_featureids": (0, 1, 2),
        "nodes_modes": np.array([0, 1, 3], np.uint8),
        "nodes_splits": np.array([0, 1, -1], np.float32),
        "nodes_trueleafs": (0, 1, 1),
        "nodes_truenodeids": (1, 0, 2),
        "tree_roots": (0,),
        "n_targets": 2,
    }
    x = _samples(np.random.default_rng(0), 20, True)
    for aggregate in range(4):
        _check("TreeEnsemble", 5, x, aggregate_function=aggregate, **attributes)


def test_declines_what_is_not_compiled() -> None:
    rng = np.random.default_rng(0)
    attributes = _with_votes(rng, _trees(rng, 2, 3, _MODES[:1], False), [0, 1], "class")
    x = _samples(rng, 3, False)
    with pytest.raises(KernelDeclined, match="strings"):
        bind_and_run("TreeEnsembleClassifier", 3, x, domain=ML, classlabels_strings=["a", "b"], **attributes)
    with pytest.raises(KernelDeclined, match="float32"):
        bind_and_run("TreeEnsembleClassifier", 3, x.astype(np.float64), domain=ML, **attributes)
