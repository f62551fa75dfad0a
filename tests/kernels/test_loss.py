"""The losses against onnxruntime and a loop over the specification's formula."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.differential import assert_same, kernel_outputs, node_model, onnxruntime_outputs

FLOATS = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]
OPERATORS = ["NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"]


def example(classes, rest, ignore_index=None, target_dtype=np.int64, seed=0):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(3, classes, *rest)).astype(np.float32)
    target = rng.integers(0, classes, (3, *rest)).astype(target_dtype)
    if ignore_index is not None:
        target[rng.random(target.shape) < 0.3] = ignore_index
        target[(0,) * target.ndim] = 0
    return scores, target, rng.uniform(0.5, 2, classes).astype(np.float32)


def loop_loss(log_probabilities, target, weight, ignore_index, reduction):
    loss, weights = np.zeros(target.shape), np.zeros(target.shape)
    for place in np.ndindex(target.shape):
        label = int(target[place])
        if label != ignore_index:
            weights[place] = 1 if weight is None else weight[label]
            loss[place] = -log_probabilities[(place[0], label, *place[1:])] * weights[place]
    if reduction == "mean":
        return loss.sum() / weights.sum() if weights.any() else np.nan
    return loss.sum() if reduction == "sum" else loss


def log_softmax(scores):
    exponentials = np.exp(scores.astype(np.float64))
    return np.log(exponentials / exponentials.sum(1, keepdims=True))


@pytest.mark.parametrize("name", OPERATORS)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    classes=st.integers(1, 5),
    rest=st.lists(st.integers(1, 3), max_size=3),
    ignore_index=st.sampled_from([None, 0, -1, 7]),
    weighted=st.booleans(),
    reduction=st.sampled_from([None, "none", "sum", "mean"]),
    target_dtype=st.sampled_from([np.int32, np.int64]),
)
def test_like_onnxruntime_and_the_formula(name, classes, rest, ignore_index, weighted, reduction, target_dtype):
    scores, target, weight = example(classes, rest, ignore_index, target_dtype)
    inputs = [scores, target] + ([weight] if weighted else [])
    attributes = {"ignore_index": ignore_index, "reduction": reduction}
    attributes = {key: value for key, value in attributes.items() if value is not None}
    actual = kernel_outputs(name, 13, *inputs, **attributes)
    model = node_model(name, inputs, opset=13, outputs=len(actual), **attributes)
    assert_same(list(actual), onnxruntime_outputs(model, inputs), rtol=1e-4, atol=1e-5)
    log_probabilities = log_softmax(scores) if name == "SoftmaxCrossEntropyLoss" else scores
    expected = loop_loss(log_probabilities, target, weight if weighted else None, ignore_index, reduction or "mean")
    assert_same(actual[0], np.asarray(expected, np.float32), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_every_type(name, dtype, reduction):
    scores, target, weight = example(4, (2,), ignore_index=-100)
    scores, weight = scores.astype(dtype), weight.astype(dtype)
    attributes = {"reduction": reduction, "ignore_index": -100}
    actual = kernel_outputs(name, 13, scores, target, weight, **attributes)[0]
    wide = scores.astype(np.float64)
    wide = log_softmax(wide) if name == "SoftmaxCrossEntropyLoss" else wide
    expected = np.asarray(loop_loss(wide, target, weight.astype(np.float64), -100, reduction)).astype(dtype)
    assert_same(actual, expected, rtol=2e-2 if np.dtype(dtype).itemsize == 2 else 1e-5)


def test_what_is_ignored_counts_nothing_even_if_it_is_infinite():
    scores = np.array([[-np.inf, -np.inf], [-1, -2]], np.float32)
    target = np.array([9, 1])
    (loss,) = kernel_outputs("NegativeLogLikelihoodLoss", 13, scores, target, ignore_index=9)
    assert_same(loss, np.array(2, np.float32))


@pytest.mark.parametrize("target", [[0, 3], [-1, 0]])
def test_a_target_that_is_no_class_is_an_error(target):
    scores = example(3, ())[0][:2]
    with pytest.raises(IndexError, match="from 0 to 2"):
        kernel_outputs("NegativeLogLikelihoodLoss", 13, scores, np.array(target), ignore_index=-5)


def test_a_target_of_another_shape_is_an_error():
    scores, target, _ = example(3, (4,))
    with pytest.raises(ValueError, match="the shapes"):
        kernel_outputs("SoftmaxCrossEntropyLoss", 13, scores, target[:, :3])


def test_an_unknown_reduction_is_an_error():
    scores, target, _ = example(3, ())
    with pytest.raises(ValueError, match="'median'"):
        kernel_outputs("SoftmaxCrossEntropyLoss", 13, scores, target, reduction="median")
