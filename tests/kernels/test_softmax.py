"""Softmax, LogSoftmax and Hardmax of all versions against onnxruntime and their formulas."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.differential import assert_same, kernel_outputs, node_model, onnxruntime_outputs

OPERATORS = ["Softmax", "LogSoftmax", "Hardmax"]
FLOATS = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]


def scores(shape, dtype=np.float32):
    return np.random.default_rng(0).integers(-6, 7, shape).astype(dtype)


@pytest.mark.parametrize("name", OPERATORS)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    shape=st.lists(st.integers(0, 4), min_size=1, max_size=4),
    axis=st.integers(-4, 3),
    version=st.sampled_from([1, 11, 13]),
)
def test_like_onnxruntime(name, shape, axis, version):
    axis = (axis % len(shape)) - (len(shape) if axis < 0 and version > 1 else 0)
    x = scores(shape)
    model = node_model(name, [x], opset=max(version, 7), axis=axis)
    assert_same(list(kernel_outputs(name, version, x, axis=axis)), onnxruntime_outputs(model, [x]))


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("version", [1, 11, 13])
def test_the_default_axis(name, version):
    x = scores((2, 3, 4))
    model = node_model(name, [x], opset=max(version, 7))
    assert_same(list(kernel_outputs(name, version, x)), onnxruntime_outputs(model, [x]))


def test_old_versions_normalise_over_all_trailing_axes():
    x = scores((2, 3, 4))
    (result,) = kernel_outputs("Softmax", 11, x, axis=1)
    np.testing.assert_allclose(result.sum((1, 2)), np.ones(2), rtol=1e-6)
    (result,) = kernel_outputs("Softmax", 13, x, axis=1)
    np.testing.assert_allclose(result.sum(1), np.ones((2, 4)), rtol=1e-6)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("version", [11, 13])
def test_every_type(dtype, version):
    x = scores((3, 5), dtype)
    wide = np.exp(x.astype(np.float64))
    softmax = wide / wide.sum(1, keepdims=True)
    first = np.eye(5)[x.argmax(1)]
    tolerance = {"rtol": 1e-2} if np.dtype(dtype).itemsize == 2 else {}
    assert_same(kernel_outputs("Softmax", version, x)[0], softmax.astype(dtype), **tolerance)
    assert_same(kernel_outputs("LogSoftmax", version, x)[0], np.log(softmax).astype(dtype), **tolerance)
    assert_same(kernel_outputs("Hardmax", version, x)[0], first.astype(dtype))


def test_large_scores_do_not_overflow():
    x = np.array([[1e30, 1e30, -np.inf], [-1e30, -1e30, -1e30]], np.float32)
    third = np.float32(1 / 3)
    assert_same(kernel_outputs("Softmax", 13, x)[0], np.array([[0.5, 0.5, 0], [third] * 3], np.float32))
    expected = np.array([[-np.log(2), -np.log(2), -np.inf], [-np.log(3)] * 3], np.float32)
    assert_same(kernel_outputs("LogSoftmax", 13, x)[0], expected)


def test_rows_of_infinities_and_nan_like_onnxruntime():
    x = np.array([[-np.inf, -np.inf], [np.inf, 0], [np.nan, 0]], np.float32)
    for name in ("Softmax", "LogSoftmax"):
        assert np.isnan(kernel_outputs(name, 13, x)[0][[0, 2]]).all()
        assert_same(list(kernel_outputs(name, 13, x)), onnxruntime_outputs(node_model(name, [x], opset=13), [x]))


def test_views_give_what_their_copies_give():
    view = scores((4, 6, 5))[::2, ::-1].transpose(2, 0, 1)
    for name in OPERATORS:
        for version in (11, 13):
            actual, expected = (kernel_outputs(name, version, x, axis=1) for x in (view, view.copy()))
            assert_same(actual, expected)


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("version", [11, 13])
def test_a_wrong_axis_is_an_error(name, version):
    with pytest.raises(ValueError, match="from -2 to 1"):
        kernel_outputs(name, version, scores((2, 3)), axis=2)
