"""Tree ensembles against a walk of one sample through one tree, onnxruntime and scikit-learn; and malformed trees."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx.numpy_helper import from_array
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor

from onnxlite.conformance.differential import assert_same, kernel_outputs, node_model, onnxruntime_outputs

ML = "ai.onnx.ml"
quick = settings(max_examples=25, deadline=None, derandomize=True)
NAN = float("nan")

MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")
COMPARE = (operator.le, operator.lt, operator.ge, operator.gt, operator.eq, operator.ne)


def kernel(op_type: str, x: Any, version: int = 3, **attributes: Any) -> list[Any]:
    return list(kernel_outputs(op_type, version, x, domain=ML, **attributes))


def reference(op_type: str, x: Any, version: int = 3, outputs: int = 1, **attributes: Any) -> list[Any]:
    tensors = {name: from_array(a) if isinstance(a, np.ndarray) else a for name, a in attributes.items()}
    return onnxruntime_outputs(node_model(op_type, [x], opset=version, domain=ML, outputs=outputs, **tensors), [x])


class RandomTrees:
    """Trees of random shape over a few features with thresholds that samples hit exactly."""

    def __init__(self, seed: int, trees: int, modes: Sequence[int], targets: int, features: int = 3) -> None:
        self.rng = np.random.default_rng(seed)
        self.modes, self.targets, self.features = list(modes), targets, features
        self.roots = [self.grow(4) for _ in range(trees)]

    def grow(self, depth: int) -> dict[str, Any]:
        if depth == 0 or self.rng.random() < 0.3:
            count = self.rng.integers(1, 3)
            return {
                "votes": [
                    (int(self.rng.integers(self.targets)), float(self.rng.integers(-8, 9)) / 4) for _ in range(count)
                ]
            }
        return {
            "mode": int(self.rng.choice(self.modes)),
            "feature": int(self.rng.integers(self.features)),
            "threshold": float(self.rng.integers(-2, 3)),
            "missing": int(self.rng.integers(2)),
            "children": (self.grow(depth - 1), self.grow(depth - 1)),
        }

    def keep_one_vote_per_leaf(self) -> None:
        nodes = list(self.roots)
        for node in nodes:
            nodes.extend(node.get("children", ()))
            del node.get("votes", [])[1:]

    def samples(self, count: int, dtype: Any, missing: bool) -> np.ndarray:
        x = self.rng.integers(-3, 4, (count, self.features)).astype(dtype)
        if missing:
            x[self.rng.random(x.shape) < 0.2] = NAN
        return x

    def votes(self, row: Any) -> list[list[tuple[int, float]]]:
        """The votes of each tree for one sample."""
        found = []
        for node in self.roots:
            while "votes" not in node:
                value = row[node["feature"]]
                goes_true = bool(node["missing"]) if value != value else COMPARE[node["mode"]](value, node["threshold"])
                node = node["children"][0 if goes_true else 1]
            found.append(node["votes"])
        return found

    def attributes(self, prefix: str, missing: bool = True) -> dict[str, Any]:
        names = ("treeids", "nodeids", "modes", "featureids", "values", "truenodeids", "falsenodeids")
        nodes: dict[str, list[Any]] = {f"nodes_{name}": [] for name in names}
        tracks: list[int] = []
        votes: dict[str, list[Any]] = {f"{prefix}_{name}": [] for name in ("treeids", "nodeids", "ids", "weights")}
        for tree, root in enumerate(self.roots):
            queue, number = [root], 0
            while number < len(queue):
                node, children = queue[number], (0, 0)
                if "votes" not in node:
                    children = (len(queue), len(queue) + 1)
                    queue.extend(node["children"])
                mode = "LEAF" if "votes" in node else MODES[node["mode"]]
                row = (tree, number, mode, node.get("feature", 0), node.get("threshold", 0.0), *children)
                for column, value in zip(nodes.values(), row, strict=True):
                    column.append(value)
                tracks.append(node.get("missing", 0))
                for target, weight in node.get("votes", ()):
                    for column, value in zip(votes.values(), (tree, number, target, weight), strict=True):
                        column.append(value)
                number += 1
        return {**nodes, **votes, **({"nodes_missing_value_tracks_true": tracks} if missing else {})}

    def aggregated(self, x: np.ndarray, how: str) -> np.ndarray:
        result = np.zeros((len(x), self.targets))
        for sample, row in enumerate(x):
            trees = self.votes(row)
            for target in range(self.targets):
                weights = [w for votes in trees for t, w in votes if t == target]
                if weights:
                    total = {"SUM": sum, "MIN": min, "MAX": max, "AVERAGE": sum}[how](weights)
                    result[sample, target] = total / len(trees) if how == "AVERAGE" else total
        return result


@quick
@given(
    seed=st.integers(0, 1000),
    trees=st.integers(1, 5),
    modes=st.lists(st.integers(0, 5), min_size=1, max_size=4, unique=True),
    targets=st.integers(1, 3),
    how=st.sampled_from(["SUM", "AVERAGE", "MIN", "MAX"]),
    dtype=st.sampled_from([np.float32, np.float64, np.int32, np.int64]),
    version=st.sampled_from([1, 3, 5]),
)
def test_regressor_is_a_walk_through_every_tree(
    seed: int, trees: int, modes: list[int], targets: int, how: str, dtype: Any, version: int
) -> None:
    forest = RandomTrees(seed, trees, modes, targets)
    x = forest.samples(17, dtype, missing=np.dtype(dtype).kind == "f")
    attributes = {**forest.attributes("target"), "n_targets": targets, "aggregate_function": how}
    base = tuple(range(1, targets + 1))
    (y,) = kernel("TreeEnsembleRegressor", x, version, **attributes, base_values=base)
    assert_same(y, (forest.aggregated(x, how) + base).astype(np.float32))


@quick
@given(
    seed=st.integers(0, 1000),
    mode=st.integers(0, 5),
    targets=st.integers(1, 3),
    how=st.sampled_from(["SUM", "MIN", "MAX", "AVERAGE"]),
)
def test_regressor_agrees_with_onnxruntime(seed: int, mode: int, targets: int, how: str) -> None:
    # onnxruntime keeps one vote per leaf for a single target.
    forest = RandomTrees(seed, 3, [mode], targets)
    if targets == 1:
        forest.keep_one_vote_per_leaf()
    x = forest.samples(12, np.float32, missing=False)
    attributes = {**forest.attributes("target", missing=False), "n_targets": targets, "aggregate_function": how}
    assert_same(kernel("TreeEnsembleRegressor", x, **attributes), reference("TreeEnsembleRegressor", x, **attributes))


def test_doubles_keep_their_precision() -> None:
    threshold = 0.1
    attributes = {
        "nodes_treeids": (0, 0, 0),
        "nodes_nodeids": (0, 1, 2),
        "nodes_modes": ("BRANCH_LT", "LEAF", "LEAF"),
        "nodes_featureids": (0, 0, 0),
        "nodes_values_as_tensor": np.array([threshold, 0, 0]),
        "nodes_truenodeids": (1, 0, 0),
        "nodes_falsenodeids": (2, 0, 0),
        "target_treeids": (0, 0),
        "target_nodeids": (1, 2),
        "target_ids": (0, 0),
        "target_weights_as_tensor": np.array([1.0, 2.0]),
        "base_values_as_tensor": np.array([0.5]),
        "n_targets": 1,
    }
    x = np.array([[np.nextafter(threshold, 0)], [threshold]])
    assert_same(kernel("TreeEnsembleRegressor", x, **attributes), [np.array([[1.5], [2.5]], np.float32)])
    assert_same(kernel("TreeEnsembleRegressor", x, **attributes), reference("TreeEnsembleRegressor", x, **attributes))


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"])
def test_transforms_of_two_targets_agree_with_onnxruntime(transform: str) -> None:
    forest = RandomTrees(3, 2, [0], 2)
    attributes = {**forest.attributes("target", missing=False), "n_targets": 2, "post_transform": transform}
    attributes["target_weights"] = [abs(weight) / 16 + 0.01 for weight in attributes["target_weights"]]
    x = forest.samples(12, np.float32, missing=False)
    expected = reference("TreeEnsembleRegressor", x, **attributes)
    assert_same(kernel("TreeEnsembleRegressor", x, **attributes), expected, rtol=1e-4, atol=1e-4)


def test_a_single_target_is_transformed_too() -> None:
    forest = RandomTrees(4, 2, [0], 1)
    attributes = {**forest.attributes("target"), "n_targets": 1}
    x = forest.samples(5, np.float32, missing=False)
    (raw,) = kernel("TreeEnsembleRegressor", x, **attributes)
    (y,) = kernel("TreeEnsembleRegressor", x, **attributes, post_transform="LOGISTIC")
    np.testing.assert_allclose(y, 1 / (1 + np.exp(-raw)), rtol=1e-6)


# ---- classifiers


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.int32])
@pytest.mark.parametrize("version", [1, 3])
def test_classifier_of_three_classes_agrees_with_onnxruntime(transform: str, dtype: Any, version: int) -> None:
    forest = RandomTrees(5, 4, [0], 3)
    x = forest.samples(25, dtype, missing=False)
    attributes = {**forest.attributes("class", missing=False), "post_transform": transform}
    # Positive votes: onnxruntime passes over classes without any vote, and takes a negative one before them.
    attributes["class_weights"] = [abs(weight) + 0.125 * i for i, weight in enumerate(attributes["class_weights"])]
    for labels in ({"classlabels_int64s": [7, 8, 9]}, {"classlabels_strings": ["a", "b", "c"]}):
        expected = reference("TreeEnsembleClassifier", x, version, outputs=2, **attributes, **labels)
        assert_same(kernel("TreeEnsembleClassifier", x, version, **attributes, **labels), expected)


def binary(weights: Sequence[float], column: int = 0, **attributes: Any) -> dict[str, Any]:
    """One tree: the first weight for x <= 0, the second for others."""
    return {
        "nodes_treeids": (0, 0, 0),
        "nodes_nodeids": (0, 1, 2),
        "nodes_modes": ("BRANCH_LEQ", "LEAF", "LEAF"),
        "nodes_featureids": (0, 0, 0),
        "nodes_values": (0.0, 0.0, 0.0),
        "nodes_truenodeids": (1, 0, 0),
        "nodes_falsenodeids": (2, 0, 0),
        "class_treeids": (0, 0),
        "class_nodeids": (1, 2),
        "class_ids": (column, column),
        "class_weights": tuple(weights),
        "classlabels_strings": ("no", "yes"),
        **attributes,
    }


SIDES = np.array([[-1.0], [1.0]], np.float32)


@pytest.mark.parametrize("weights", [(0.3, 0.7), (-0.3, 0.7), (0.5, 0.51)])
@pytest.mark.parametrize(
    ("column", "extra"),
    [(c, {"post_transform": t}) for c in (0, 1) for t in ("NONE", "LOGISTIC")] + [(0, {"base_values": (0.125,)})],
)
def test_votes_for_one_of_two_classes_agree_with_onnxruntime(weights: Any, column: int, extra: dict[str, Any]) -> None:
    attributes = binary(weights, column, **extra)
    labels, scores = reference("TreeEnsembleClassifier", SIDES, outputs=2, **attributes)
    actual_labels, actual_scores = kernel("TreeEnsembleClassifier", SIDES, **attributes)
    assert_same(actual_scores, scores)
    if extra.get("post_transform") == "LOGISTIC":
        # The top class is that of the higher score; onnxruntime still compares votes without a sign with one half.
        labels = np.array([("no", "yes")[score > 0] for score in weights], object)
    assert_same(actual_labels, labels)


@pytest.mark.parametrize("transform", ["SOFTMAX", "SOFTMAX_ZERO"])
def test_votes_for_one_of_two_classes_are_transformed_as_two_scores(transform: str) -> None:
    labels, scores = kernel("TreeEnsembleClassifier", SIDES, **binary((-0.3, 0.7), post_transform=transform))
    assert labels.tolist() == ["no", "yes"]
    pairs = np.exp([[0.3, -0.3], [-0.7, 0.7]])
    np.testing.assert_allclose(scores, pairs / pairs.sum(axis=1, keepdims=True), rtol=1e-6)


def test_votes_for_both_of_two_classes_elect_the_higher() -> None:
    attributes = binary((0.6, 0.4, 0.3, 0.7))
    attributes |= {"class_treeids": (0,) * 4, "class_nodeids": (1, 1, 2, 2), "class_ids": (0, 1, 0, 1)}
    labels, scores = kernel("TreeEnsembleClassifier", SIDES, **attributes)
    assert labels.tolist() == ["no", "yes"]
    assert_same(scores, np.array([[0.6, 0.4], [0.3, 0.7]], np.float32))


def scikit_attributes(trees: Sequence[Any], votes: Any) -> dict[str, Any]:
    """The trees of scikit-learn; ``votes(tree number, value)`` gives the (class, weight) pairs of a leaf."""
    out: dict[str, list[Any]] = {}
    for number, tree in enumerate(trees):
        for node in range(tree.node_count):
            leaf = tree.children_left[node] < 0
            row = {
                "nodes_treeids": number,
                "nodes_nodeids": node,
                "nodes_modes": "LEAF" if leaf else "BRANCH_LEQ",
                "nodes_featureids": 0 if leaf else int(tree.feature[node]),
                "nodes_values": float(tree.threshold[node]),
                "nodes_truenodeids": max(int(tree.children_left[node]), 0),
                "nodes_falsenodeids": max(int(tree.children_right[node]), 0),
            }
            for key, value in row.items():
                out.setdefault(key, []).append(value)
            for target, weight in votes(number, tree.value[node]) if leaf else ():
                for key, value in zip(
                    ("treeids", "nodeids", "ids", "weights"), (number, node, target, weight), strict=True
                ):
                    out.setdefault(key, []).append(value)
    return out


def prefixed(attributes: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {key if key.startswith("nodes") else f"{prefix}_{key}": tuple(value) for key, value in attributes.items()}


def test_random_forests_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((80, 4)).astype(np.float32)
    y = rng.integers(0, 3, 80)
    model = RandomForestClassifier(8, max_depth=5, random_state=0).fit(x, y)
    trees = [e.tree_ for e in model.estimators_]
    attributes = prefixed(scikit_attributes(trees, lambda _, v: enumerate(v[0] / v[0].sum() / 8)), "class")
    labels, scores = kernel("TreeEnsembleClassifier", x, **attributes, classlabels_int64s=(0, 1, 2))
    np.testing.assert_array_equal(labels, model.predict(x))
    np.testing.assert_allclose(scores, model.predict_proba(x), atol=1e-5)
    target = x[:, 0] * x[:, 1]
    regressor = RandomForestRegressor(8, max_depth=5, random_state=0).fit(x, target)
    trees = [e.tree_ for e in regressor.estimators_]
    attributes = prefixed(scikit_attributes(trees, lambda _, v: [(0, float(v[0, 0]))]), "target")
    (y,) = kernel("TreeEnsembleRegressor", x, **attributes, n_targets=1, aggregate_function="AVERAGE")
    np.testing.assert_allclose(y[:, 0], regressor.predict(x), rtol=1e-4, atol=1e-5)


def test_gradient_boosting_is_scikit_learns() -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((80, 4)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] > 0).astype(np.int64)
    model = GradientBoostingClassifier(n_estimators=10, random_state=0).fit(x, y)
    trees = [e.tree_ for e in model.estimators_[:, 0]]
    attributes = prefixed(scikit_attributes(trees, lambda _, v: [(0, 0.1 * float(v[0, 0]))]), "class")
    prior = float(np.log(y.mean() / (1 - y.mean())))
    attributes |= {"classlabels_int64s": (0, 1), "post_transform": "LOGISTIC", "base_values": (prior,)}
    labels, scores = kernel("TreeEnsembleClassifier", x, **attributes)
    np.testing.assert_array_equal(labels, model.predict(x))
    np.testing.assert_allclose(scores, model.predict_proba(x), atol=1e-5)


# ---- TreeEnsemble 5


def positions(forest: RandomTrees, dtype: Any) -> dict[str, Any]:
    """The attributes of TreeEnsemble-5: inner nodes and leaves numbered apart, one vote per leaf."""
    inner: list[list[Any]] = []
    leaves: list[tuple[int, float]] = []

    def place(node: dict[str, Any]) -> tuple[int, int]:
        if "votes" in node:
            leaves.append(node["votes"][0])
            return len(leaves) - 1, 1
        number = len(inner)
        inner.append([])
        (true, true_leaf), (false, false_leaf) = (place(child) for child in node["children"])
        inner[number] = [
            node["mode"],
            node["feature"],
            node["threshold"],
            node["missing"],
            true,
            true_leaf,
            false,
            false_leaf,
        ]
        return number, 0

    roots = []
    for root in forest.roots:
        number, is_leaf = place(root)
        if is_leaf:
            inner.append([0, 0, 0.0, 0, number, 1, number, 1])
            number = len(inner) - 1
        roots.append(number)
    mode, feature, split, missing, true, true_leaf, false, false_leaf = zip(*inner, strict=True)
    return {
        "tree_roots": tuple(roots),
        "nodes_modes": np.array(mode, np.uint8),
        "nodes_featureids": feature,
        "nodes_splits": np.array(split, dtype),
        "nodes_missing_value_tracks_true": missing,
        "nodes_truenodeids": true,
        "nodes_trueleafs": true_leaf,
        "nodes_falsenodeids": false,
        "nodes_falseleafs": false_leaf,
        "leaf_targetids": tuple(target for target, _ in leaves),
        "leaf_weights": np.array([weight for _, weight in leaves], dtype),
        "n_targets": forest.targets,
    }


@quick
@given(
    seed=st.integers(0, 1000),
    trees=st.integers(1, 4),
    targets=st.integers(1, 3),
    how=st.integers(0, 3),
    dtype=st.sampled_from([np.float16, np.float32, np.float64]),
)
def test_tree_ensemble_is_a_walk_through_every_tree(seed: int, trees: int, targets: int, how: int, dtype: Any) -> None:
    forest = RandomTrees(seed, trees, range(6), targets)
    attributes = positions(forest, dtype)
    x = forest.samples(9, dtype, missing=True)
    forest.keep_one_vote_per_leaf()
    (y,) = kernel("TreeEnsemble", x, 5, **attributes, aggregate_function=how)
    expected = forest.aggregated(x, ("AVERAGE", "SUM", "MIN", "MAX")[how])
    assert_same(y, expected.astype(dtype), rtol=2e-3 if dtype == np.float16 else 1e-6)


@pytest.mark.parametrize(("code", "name"), list(enumerate(["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"])))
def test_the_transforms_of_tree_ensemble_are_numbered(code: int, name: str) -> None:
    forest = RandomTrees(6, 1, [0], 2)
    x = forest.samples(8, np.float32, missing=False)
    (y,) = kernel("TreeEnsemble", x, 5, **positions(forest, np.float32), post_transform=code)
    forest.keep_one_vote_per_leaf()
    same = {**forest.attributes("target"), "n_targets": 2, "post_transform": name}
    assert_same([y], kernel("TreeEnsembleRegressor", x, **same))


def membership(values: Sequence[float], sets: int = 2) -> dict[str, Any]:
    """Node 0 tests feature 0 for the first set, and sends members on to node 1: feature 1 and the second set."""
    return {
        "tree_roots": (0,),
        "nodes_modes": np.array([6] * sets, np.uint8),
        "nodes_featureids": (0, 1)[:sets],
        "nodes_splits": np.zeros(sets, np.float32),
        "nodes_truenodeids": (1, 0)[:sets],
        "nodes_trueleafs": (0, 1)[:sets],
        "nodes_falsenodeids": (1, 2)[:sets],
        "nodes_falseleafs": (1, 1)[:sets],
        "leaf_targetids": (0, 0, 0),
        "leaf_weights": np.array([1, 2, 3], np.float32),
        "membership_values": np.array(values, np.float32),
        "n_targets": 1,
    }


@pytest.mark.parametrize("values", [[3, 1, NAN, 1, 7, NAN], [3, 1, NAN, 7, 1]])
def test_membership(values: list[float]) -> None:
    x = np.array([[3, 7], [3, 1], [3, 3], [1, 7], [7, 7], [0, 1], [9, 9], [NAN, 7]], np.float32)
    (y,) = kernel("TreeEnsemble", x, 5, **membership(values))
    assert y[:, 0].tolist() == [1, 1, 3, 1, 2, 2, 2, 2]


@pytest.mark.parametrize("values", [[], [3, NAN], [3, NAN, 1, NAN, 2, NAN]])
def test_each_membership_node_needs_its_set(values: list[float]) -> None:
    with pytest.raises(ValueError, match="membership_values for 2 nodes"):
        kernel("TreeEnsemble", np.zeros((1, 2), np.float32), 5, **membership(values))


# ---- shapes, and trees that are none


def test_shapes_of_samples() -> None:
    forest = RandomTrees(8, 2, [0], 2)
    attributes = {**forest.attributes("target"), "n_targets": 2}
    x = forest.samples(6, np.float32, missing=False)
    (y,) = kernel("TreeEnsembleRegressor", x, **attributes)
    assert_same(kernel("TreeEnsembleRegressor", x[0], **attributes), [y[:1]])
    assert_same(kernel("TreeEnsembleRegressor", x[:0], **attributes), [y[:0]])
    assert_same(kernel("TreeEnsembleRegressor", np.asfortranarray(x)[::2], **attributes), [y[::2]])
    with pytest.raises(ValueError, match="at least 3 features, got 1"):
        kernel("TreeEnsembleRegressor", x[:, :1], **attributes)
    with pytest.raises(ValueError, match="rank 1 or 2"):
        kernel("TreeEnsembleRegressor", x[None], **attributes)


def test_a_chain_is_no_cycle_and_a_shared_child_is_allowed() -> None:
    # x == 1, x == 2, x == 3 in turn, all of which send their samples to the same leaf.
    attributes = binary((1.0, -1.0))
    attributes |= {
        "nodes_treeids": (0,) * 5,
        "nodes_nodeids": (0, 1, 2, 3, 4),
        "nodes_modes": ("BRANCH_EQ", "BRANCH_EQ", "BRANCH_EQ", "LEAF", "LEAF"),
        "nodes_featureids": (0,) * 5,
        "nodes_values": (1.0, 2.0, 3.0, 0.0, 0.0),
        "nodes_truenodeids": (3, 3, 3, 0, 0),
        "nodes_falsenodeids": (1, 2, 4, 0, 0),
        "class_nodeids": (3, 4),
    }
    labels, _ = kernel("TreeEnsembleClassifier", np.array([[1], [2], [3], [4]]), **attributes)
    assert labels.tolist() == ["yes", "yes", "yes", "no"]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"nodes_truenodeids": (0, 0, 0)}, "leads back to itself"),
        (
            {"nodes_modes": ("BRANCH_LEQ", "BRANCH_LEQ", "LEAF"), "nodes_falsenodeids": (2, 2, 0)},
            "leads back to itself",
        ),
        ({"nodes_truenodeids": (5, 0, 0)}, "the tree 0 has no node 5"),
        ({"nodes_truenodeids": (-1, 0, 0)}, "the tree 0 has no node -1"),
        ({"nodes_treeids": (0, 1, 0)}, "the tree 0 has no node 1"),
        ({"nodes_nodeids": (0, 1, 1)}, "the node 1 of the tree 0 twice"),
        ({"nodes_modes": ("BRANCH_LEQ", "LEAF", "TWIG")}, "got TWIG"),
        ({"nodes_values": (0.0,)}, "attributes of 3 nodes"),
        ({"nodes_missing_value_tracks_true": (1,)}, "attributes of 3 nodes"),
        ({"nodes_featureids": (-1, 0, 0)}, "features from 0 on"),
        ({"nodes_featureids": (1, 0, 0)}, "at least 2 features"),
        ({"class_nodeids": (1, 7)}, "has no node 7"),
        ({"class_weights": (1.0,)}, "attributes of 1 votes"),
        ({"class_ids": (0, 2)}, "targets 0 to 1"),
        ({"class_ids": (0, -1)}, "targets 0 to 1"),
        ({"base_values": (1.0, 2.0, 3.0)}, "2 base_values"),
        ({"nodes_treeids": None}, "attributes of 0 nodes"),
        ({"post_transform": "CUBE"}, "post_transform"),
    ],
)
def test_malformed_trees_are_errors(broken: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kernel("TreeEnsembleClassifier", SIDES, **{**binary((0.3, 0.7)), **broken})


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"nodes_truenodeids": (0, 0)}, "leads back to itself"),
        ({"nodes_truenodeids": (2, 0)}, "children among 2 nodes"),
        ({"nodes_truenodeids": (1, 3)}, "children among 2 nodes"),
        ({"nodes_falsenodeids": (-1, 2)}, "children among 2 nodes"),
        ({"tree_roots": (2,)}, "tree_roots below 2"),
        ({"tree_roots": (-1,)}, "root"),
        ({"nodes_modes": np.array([0, 7], np.uint8)}, "node modes"),
        ({"nodes_splits": np.zeros(1, np.float32)}, "attributes of 2 nodes"),
        ({"leaf_weights": np.zeros(2, np.float32)}, "attributes of 3 leaves"),
        ({"leaf_targetids": (0, 0, 1)}, "targets 0 to 0"),
        ({"aggregate_function": 4}, "aggregate_function"),
        ({"post_transform": -1}, "post_transform"),
    ],
)
def test_malformed_ensembles_are_errors(broken: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kernel("TreeEnsemble", np.zeros((2, 2), np.float32), 5, **{**membership([1, NAN, 2, NAN]), **broken})


def test_a_deep_tree_is_walked_to_its_end() -> None:
    depth = 3000
    attributes = {
        "tree_roots": (0,),
        "nodes_modes": np.zeros(depth, np.uint8),
        "nodes_featureids": (0,) * depth,
        "nodes_splits": np.arange(depth, dtype=np.float32),
        "nodes_truenodeids": tuple(range(depth)),
        "nodes_trueleafs": (1,) * depth,
        "nodes_falsenodeids": (*range(1, depth), depth),
        "nodes_falseleafs": (*(0,) * (depth - 1), 1),
        "leaf_targetids": (0,) * (depth + 1),
        "leaf_weights": np.arange(depth + 1, dtype=np.float32),
    }
    x = np.array([[-5], [0], [1234.5], [1e6]], np.float32)
    assert_same(kernel("TreeEnsemble", x, 5, **attributes), [np.array([[0], [0], [1235], [3000]], np.float32)])
