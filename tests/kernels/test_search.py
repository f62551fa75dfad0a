"""ArgMax, ArgMin and TopK against onnxruntime and against sorting."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.differential import assert_same, kernel_outputs, node_model, onnxruntime_outputs

INTEGERS = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]
FLOATS = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]
shapes = st.lists(st.integers(1, 5), min_size=1, max_size=3)


def tied(shape, dtype=np.float32, seed=0):
    """Few different values, so that ties are many."""
    return np.random.default_rng(seed).integers(0, 4, shape).astype(dtype)


@pytest.mark.parametrize("name", ["ArgMax", "ArgMin"])
@settings(max_examples=20, deadline=None, derandomize=True)
@given(shape=shapes, axis=st.integers(-3, 2), keepdims=st.integers(0, 1), last=st.sampled_from([None, 0, 1]))
def test_arg_extremes_like_onnxruntime(name, shape, axis, keepdims, last):
    axis = (axis % len(shape)) - (len(shape) if axis < 0 else 0)
    x = tied(shape)
    attributes = {"axis": axis, "keepdims": keepdims, **({} if last is None else {"select_last_index": last})}
    model = node_model(name, [x], opset=11 if last is None else 13, **attributes)
    version = 11 if last is None else 13
    assert_same(list(kernel_outputs(name, version, x, **attributes)), onnxruntime_outputs(model, [x]))


@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
def test_arg_extremes_of_every_type(dtype):
    x = np.array([[1, 3, 3, 0, 0]], dtype)
    for name, last, expected in [("ArgMax", 0, 1), ("ArgMax", 1, 2), ("ArgMin", 0, 3), ("ArgMin", 1, 4)]:
        (result,) = kernel_outputs(name, 13, x, axis=1, keepdims=0, select_last_index=last)
        assert_same(result, np.array([expected], np.int64))


def test_arg_extremes_of_nothing_are_an_error():
    with pytest.raises(ValueError, match="at least one element"):
        kernel_outputs("ArgMax", 13, np.zeros((2, 0), np.float32), axis=1)
    (result,) = kernel_outputs("ArgMax", 13, np.zeros((2, 0), np.float32), axis=0)
    assert_same(result, np.zeros((1, 0), np.int64))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(shape=shapes, axis=st.integers(-3, 2), largest=st.integers(0, 1), seed=st.integers(0, 9), share=st.floats(0, 1))
def test_top_k_like_onnxruntime(shape, axis, largest, seed, share):
    axis = (axis % len(shape)) - (len(shape) if axis < 0 else 0)
    inputs = [tied(shape, seed=seed), np.array([round(share * shape[axis])], np.int64)]
    model = node_model("TopK", inputs, opset=11, outputs=2, axis=axis, largest=largest)
    actual = kernel_outputs("TopK", 11, *inputs, axis=axis, largest=largest)
    assert_same(list(actual), onnxruntime_outputs(model, inputs))


@pytest.mark.parametrize("opset", [1, 10])
def test_old_top_k_like_onnxruntime(opset):
    x = tied((2, 3, 6))[:, :, ::-1].transpose(0, 2, 1)
    inputs, attributes = ([x], {"k": 3}) if opset == 1 else ([x, np.array([3], np.int64)], {})
    model = node_model("TopK", inputs, opset=max(opset, 7), outputs=2, axis=1, **attributes)
    assert_same(list(kernel_outputs("TopK", opset, *inputs, axis=1, **attributes)), onnxruntime_outputs(model, inputs))


@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
@pytest.mark.parametrize("largest", [0, 1])
def test_top_k_of_every_type(dtype, largest):
    x = tied((3, 8), dtype)
    values, indices = kernel_outputs("TopK", 24, x, np.array([5], np.int64), largest=largest)
    keys = -x.astype(np.float64) if largest else x.astype(np.float64)
    assert_same(indices, np.argsort(keys, axis=1, kind="stable")[:, :5].astype(np.int64))
    assert_same(values, np.take_along_axis(x, indices, 1))


@pytest.mark.parametrize("largest", [0, 1])
def test_nan_is_the_largest_value(largest):
    inputs = [np.array([1, np.nan, 3, np.nan, np.inf, -np.inf], np.float32), np.array([6], np.int64)]
    model = node_model("TopK", inputs, opset=13, outputs=2, largest=largest)
    assert_same(list(kernel_outputs("TopK", 11, *inputs, largest=largest)), onnxruntime_outputs(model, inputs))


@pytest.mark.parametrize("k", [-1, 4])
def test_k_is_at_most_the_length_of_the_axis(k):
    with pytest.raises(ValueError, match=f"from 0 to 3.*got {k}"):
        kernel_outputs("TopK", 11, tied((3,)), np.array([k], np.int64))
