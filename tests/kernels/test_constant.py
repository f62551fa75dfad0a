"""Constant, ConstantOfShape, EyeLike and Range in every version."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.differential import assert_same, kernel_outputs, node_model, onnxruntime_outputs
from onnxlite.kernels.dtypes import ELEMENT_TYPES

NUMERIC = [row for row in ELEMENT_TYPES if row.onnx not in ("string", "complex64", "complex128", "float8e8m0")]


def ints(*values):
    return np.array(values, np.int64)


def agree(op_type, inputs, opset, **attributes):
    """The kernel that serves an opset and onnxruntime give the same."""
    expected = onnxruntime_outputs(node_model(op_type, inputs, opset=opset, **attributes), inputs)
    version = onnx.defs.get_schema(op_type, opset).since_version
    assert_same(list(kernel_outputs(op_type, version, *inputs, **attributes)), expected)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"value_float": 1.5}, np.array(1.5, np.float32)),
        ({"value_floats": (1.5, -2.0)}, np.array([1.5, -2], np.float32)),
        ({"value_int": -3}, np.array(-3, np.int64)),
        ({"value_ints": (2**40, 1)}, np.array([2**40, 1], np.int64)),
        ({"value_ints": ()}, np.array([], np.int64)),
        ({"value_string": "día"}, np.array("día", object)),
        ({"value_strings": ("a", "bc")}, np.array(["a", "bc"], object)),
        ({"value_strings": ()}, np.array([], object)),
    ],
)
def test_constant_of_python_values(attributes, expected):
    assert_same(kernel_outputs("Constant", 25, **attributes)[0], expected)
    assert_same(kernel_outputs("Constant", 12, **attributes)[0], expected)


def test_constant_of_a_tensor():
    value = np.array([[1, 2]], ml_dtypes.int4)
    for version in (1, 9, 11, 12, 25):
        assert_same(kernel_outputs("Constant", version, value=value)[0], value)
    for version in (11, 13):
        assert_same(kernel_outputs("Constant", version, sparse_value=value)[0], value)


@pytest.mark.parametrize("attributes", [{}, {"value_int": 1, "value_float": 1.0}])
def test_constant_needs_exactly_one_attribute(attributes):
    with pytest.raises(ValueError, match=f"expected exactly one .*, got {len(attributes)}"):
        kernel_outputs("Constant", 13, **attributes)


@pytest.mark.parametrize("row", NUMERIC, ids=lambda row: row.onnx)
def test_constant_of_shape_and_eye_like_of_every_type(row):
    full = kernel_outputs("ConstantOfShape", 25, ints(2, 3), value=np.array([1], row.dtype))[0]
    assert_same(full, np.ones((2, 3), row.dtype))
    assert_same(kernel_outputs("EyeLike", 22, full)[0], np.eye(2, 3).astype(row.dtype))
    assert_same(kernel_outputs("EyeLike", 22, full, dtype=row.code, k=1)[0], np.eye(2, 3, 1).astype(row.dtype))


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4)])
def test_constant_of_shape(shape):
    zeros = kernel_outputs("ConstantOfShape", 9, ints(*shape))[0]
    assert_same(zeros, np.zeros(shape, np.float32))
    agree("ConstantOfShape", [ints(*shape)], 9)


def test_constant_of_shape_refuses():
    with pytest.raises(ValueError, match=r"expected no negative dimension, got \[2, -1\]"):
        kernel_outputs("ConstantOfShape", 9, ints(2, -1))
    with pytest.raises(ValueError, match="expected a value of one element"):
        kernel_outputs("ConstantOfShape", 9, ints(2), value=ints(1, 2))


@pytest.mark.parametrize("k", [-5, -1, 0, 2, 9])
@pytest.mark.parametrize("dtype", [None, onnx.TensorProto.INT64, onnx.TensorProto.DOUBLE])
def test_eye_like(k, dtype):
    for shape in ((3, 4), (4, 2), (0, 3)):
        agree("EyeLike", [np.ones(shape, np.float32)], 9, k=k, **({} if dtype is None else {"dtype": dtype}))


def test_eye_like_of_another_rank():
    with pytest.raises(ValueError, match="expected a matrix"):
        kernel_outputs("EyeLike", 9, np.ones(3))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    start=st.integers(-50, 50),
    limit=st.integers(-50, 50),
    delta=st.integers(-9, 9).filter(bool),
    dtype=st.sampled_from([np.int16, np.int32, np.int64, np.float32, np.float64]),
)
def test_range(start, limit, delta, dtype):
    scale = 0.25 if np.dtype(dtype).kind == "f" else 1
    inputs = [np.array(value * scale, dtype) for value in (start, limit, delta)]
    agree("Range", inputs, 11)
    assert_same(kernel_outputs("Range", 27, *inputs)[0], np.arange(*(x.item() for x in inputs)).astype(dtype))


def test_range_of_large_integers_is_exact():
    inputs = [np.array(value, np.int64) for value in (2**62, 2**62 + 7, 3)]
    assert kernel_outputs("Range", 11, *inputs)[0].tolist() == [2**62, 2**62 + 3, 2**62 + 6]
    small = [np.array(value, np.int16) for value in (-32768, 32767, 30000)]
    assert kernel_outputs("Range", 11, *small)[0].tolist() == [-32768, -2768, 27232]


def test_range_multiplies_where_adding_up_would_drift():
    inputs = [np.array(value, np.float32) for value in (0, 1000, 0.1)]
    y = kernel_outputs("Range", 11, *inputs)[0]
    assert_same(y, np.arange(len(y), dtype=np.float32) * np.float32(0.1), rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_range_of_narrow_floats_is_computed_in_stash_type(dtype):
    inputs = [np.array(value).astype(dtype) for value in (0, 4096, 1)]
    exact = np.arange(4096, dtype=np.float32).astype(dtype)
    for stash_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE):
        assert_same(kernel_outputs("Range", 27, *inputs, stash_type=stash_type)[0], exact, rtol=0)
    steps = [np.array(value).astype(dtype) for value in (1, 2, 1 / 128)]
    own = element_code(dtype)
    computed = [(steps[0] + np.array(i).astype(dtype) * steps[2]) for i in range(128)]
    assert_same(kernel_outputs("Range", 27, *steps, stash_type=own)[0], np.array(computed).astype(dtype), rtol=0)


def element_code(dtype):
    return next(row.code for row in ELEMENT_TYPES if row.dtype == np.dtype(dtype))


@pytest.mark.parametrize(("start", "limit", "delta"), [(0, 1, 0), (0, np.inf, 1), (0, np.nan, 1)])
def test_range_without_end_is_an_error(start, limit, delta):
    with pytest.raises(ValueError, match="expected finite bounds and a delta other than 0"):
        kernel_outputs("Range", 11, *(np.array(value, np.float32) for value in (start, limit, delta)))
