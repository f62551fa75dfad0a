"""Truth values, comparisons, selection, bits: against onnxruntime where it has the version, else the definition."""

from __future__ import annotations

import operator
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from onnxlite.conformance.differential import assert_same, kernel_outputs, node_model, onnxruntime_outputs
from onnxlite.kernels.dtypes import ELEMENT_TYPES

few = settings(max_examples=20, deadline=None, derandomize=True)
shape_pairs = npst.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, min_side=0, max_side=4)
seeds = st.integers(0, 2**32 - 1)

LOGICAL = {"And": operator.and_, "Or": operator.or_, "Xor": operator.xor}
COMPARISONS = {
    "Equal": operator.eq,
    "Less": operator.lt,
    "Greater": operator.gt,
    "LessOrEqual": operator.le,
    "GreaterOrEqual": operator.ge,
}
BITWISE = {"BitwiseAnd": operator.and_, "BitwiseOr": operator.or_, "BitwiseXor": operator.xor}
SIGNED = (np.int8, np.int16, np.int32, np.int64)
UNSIGNED = (np.uint8, np.uint16, np.uint32, np.uint64)


def same_as_onnxruntime(op_type: str, *inputs: Any, opset: int, **attributes: Any) -> None:
    expected = onnxruntime_outputs(node_model(op_type, inputs, opset=opset, **attributes), inputs)
    version = onnx.defs.get_schema(op_type, opset).since_version
    assert_same(kernel_outputs(op_type, version, *inputs, **attributes), expected)


def elementwise(function: Any, *arrays: Any, dtype: Any = np.bool_) -> np.ndarray:
    """The function of Python on every element, broadcast."""
    arrays = np.broadcast_arrays(*arrays)
    flat = [function(*elements) for elements in zip(*(a.ravel().tolist() for a in arrays), strict=True)]
    return np.array(flat, dtype=dtype).reshape(arrays[0].shape)


def small(seed: int, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    return np.asarray(np.random.default_rng(seed).integers(0, 2 if dtype == np.bool_ else 4, shape), dtype)


@few
@given(shapes=shape_pairs, seed=seeds)
def test_logic_and_comparisons_broadcast(shapes: Any, seed: int) -> None:
    first, second = shapes.input_shapes
    for op_type, dtype, opset in (
        ("And", np.bool_, 7),
        ("Or", np.bool_, 7),
        ("Xor", np.bool_, 7),
        ("Equal", np.int64, 7),
        ("Equal", np.bool_, 11),
        ("Equal", np.float32, 13),
        ("Less", np.float32, 7),
        ("Less", np.int32, 9),
        ("Greater", np.float64, 7),
        ("Greater", np.int64, 13),
        ("LessOrEqual", np.float32, 12),
        ("GreaterOrEqual", np.int64, 16),
    ):
        same_as_onnxruntime(op_type, small(seed, first, dtype), small(seed + 1, second, dtype), opset=opset)


@pytest.mark.parametrize("op_type", COMPARISONS)
def test_comparisons_of_every_type(op_type: str) -> None:
    dtypes = {f"tensor({row.onnx})": row.dtype for row in ELEMENT_TYPES}
    schema = onnx.defs.get_schema(op_type)
    for name in schema.type_constraints[0].allowed_type_strs:
        if name == "tensor(string)":
            continue
        a, b = np.array([0, 1, 1, 2, 3]).astype(dtypes[name]), np.array([[1], [0], [3]]).astype(dtypes[name])
        expected = elementwise(COMPARISONS[op_type], a.astype(np.int64), b.astype(np.int64))
        assert_same(kernel_outputs(op_type, schema.since_version, a, b)[0], expected)


@pytest.mark.parametrize("op_type", COMPARISONS)
def test_comparisons_of_nan_infinity_and_signed_zero(op_type: str) -> None:
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0], np.float32)
    same_as_onnxruntime(op_type, x, x[:, None].copy(), opset=16)
    for dtype in (np.float16, ml_dtypes.bfloat16):
        narrow = x.astype(dtype)
        assert_same(
            kernel_outputs(op_type, 16, narrow, narrow[:, None])[0], elementwise(COMPARISONS[op_type], x, x[:, None])
        )


def test_integers_beyond_the_precision_of_double_are_told_apart() -> None:
    a, b = np.array([2**63 - 1]), np.array([2**63 - 2])
    assert kernel_outputs("Greater", 13, a, b)[0].all()
    assert not kernel_outputs("Equal", 13, a, b)[0].any()
    unsigned = np.array([2**64 - 1], np.uint64)
    assert kernel_outputs("Less", 13, unsigned - np.uint64(1), unsigned)[0].all()


def test_strings_are_equal_by_their_characters() -> None:
    a, b = np.array([["a", "b"], ["", "é"]], object), np.array(["a", "é"], object)
    same_as_onnxruntime("Equal", a, b, opset=19)
    assert_same(kernel_outputs("Equal", 19, a, b)[0], np.array([[True, False], [False, True]]))
    assert kernel_outputs("Equal", 19, np.array("a", object), np.array("a", object))[0].dtype == np.bool_
    assert kernel_outputs("Equal", 19, np.empty((0,), object), np.array("a", object))[0].shape == (0,)


@pytest.mark.parametrize(("op_type", "function"), [*LOGICAL.items(), *list(COMPARISONS.items())[:3]])
def test_version_1_broadcasts_on_request_along_an_axis(op_type: str, function: Any) -> None:
    dtype = np.bool_ if op_type in LOGICAL else np.int64
    a, b = small(0, (2, 3, 4), dtype), small(1, (3,), dtype)
    assert_same(kernel_outputs(op_type, 1, a, b, broadcast=1, axis=1)[0], elementwise(function, a, b[:, None]))
    assert_same(kernel_outputs(op_type, 1, a, a[::-1])[0], elementwise(function, a, a[::-1]))
    with pytest.raises(ValueError, match="one shape"):
        kernel_outputs(op_type, 1, a, b)


def test_not() -> None:
    same_as_onnxruntime("Not", np.array([[True], [False]]), opset=13)
    same_as_onnxruntime("Not", np.zeros((0, 2), np.bool_), opset=1)


@pytest.mark.parametrize("opset", [9, 16])
@few
@given(shapes=npst.mutually_broadcastable_shapes(num_shapes=3, max_dims=3, min_side=0, max_side=3), seed=seeds)
def test_where_broadcasts_all_three(opset: int, shapes: Any, seed: int) -> None:
    condition, x, y = shapes.input_shapes
    for dtype in (np.float32, np.int64, np.uint8):
        inputs = small(seed, condition, np.bool_), small(seed + 1, x, dtype), small(seed + 2, y, dtype)
        same_as_onnxruntime("Where", *inputs, opset=opset)


def test_where_of_every_type() -> None:
    condition = np.array([True, False, True])
    for row in ELEMENT_TYPES:
        if f"tensor({row.onnx})" not in onnx.defs.get_schema("Where").type_constraints[1].allowed_type_strs:
            continue
        x, y = np.array([[1, 0, 1]]).astype(row.dtype), np.array([[0], [1]]).astype(row.dtype)
        expected = np.array([[1, 0, 1], [1, 1, 1]]).astype(row.dtype)
        assert_same(kernel_outputs("Where", 16, condition, x, y)[0], expected)
    x, y = np.array(["a", "b", "c"], object), np.array("-", object)
    assert_same(kernel_outputs("Where", 16, condition, x, y)[0], np.array(["a", "-", "c"], object))


FLOATS = [np.float16, np.float32, np.float64, ml_dtypes.bfloat16]
FLOAT8 = [ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e4m3fnuz, ml_dtypes.float8_e5m2, ml_dtypes.float8_e5m2fnuz]


@pytest.mark.parametrize("dtype", FLOATS + FLOAT8)
def test_nan_and_infinity_are_found_in_every_float(dtype: Any) -> None:
    x = np.array([[1.0, np.nan, -0.0], [np.inf, -np.inf, 2.0]]).astype(dtype)
    nan = elementwise(lambda value: value != value, x.astype(np.float64))
    assert nan[0].tolist() == [False, True, False]
    assert_same(kernel_outputs("IsNaN", 20, x)[0], nan)
    for negative in (0, 1):
        for positive in (0, 1):
            found = elementwise(
                lambda value, n=negative, p=positive: (value == np.inf and p == 1) or (value == -np.inf and n == 1),
                x.astype(np.float64),
            )
            actual = kernel_outputs("IsInf", 20, x, detect_negative=negative, detect_positive=positive)[0]
            assert_same(actual, found)
            if dtype in (np.float32, np.float64):
                same_as_onnxruntime("IsInf", x, opset=10, detect_negative=negative, detect_positive=positive)


@pytest.mark.parametrize("dtype", UNSIGNED)
@few
@given(shapes=shape_pairs, seed=seeds)
def test_bit_shift_of_unsigned_integers(dtype: Any, shapes: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = shapes.input_shapes
    bits = 8 * np.dtype(dtype).itemsize
    x = np.asarray(rng.integers(0, 2**bits, first, dtype=dtype), dtype)
    y = np.asarray(rng.integers(0, bits + 3, second), dtype)
    left = elementwise(lambda a, b: (a << b) % 2**bits, x, y, dtype=dtype)
    right = elementwise(lambda a, b: a >> b, x, y, dtype=dtype)
    for version in (11, 28):
        assert_same(kernel_outputs("BitShift", version, x, y, direction="LEFT")[0], left)
        assert_same(kernel_outputs("BitShift", version, x, y, direction="RIGHT")[0], right)


@pytest.mark.parametrize("dtype", SIGNED)
def test_bit_shift_of_signed_integers(dtype: Any) -> None:
    bits = 8 * np.dtype(dtype).itemsize
    x = np.array([0, 1, -1, 5, -6, 2 ** (bits - 1) - 1, -(2 ** (bits - 1))], dtype)
    y = np.array([[0], [1], [3], [bits - 1], [bits], [127], [-1], [-128]], dtype)

    def wrapped(value: int) -> int:
        return (value + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)

    left = elementwise(lambda a, b: wrapped(a << b) if 0 <= b < bits else 0, x, y, dtype=dtype)
    right = elementwise(lambda a, b: a >> (b if 0 <= b < bits else bits), x, y, dtype=dtype)
    assert_same(kernel_outputs("BitShift", 28, x, y, direction="LEFT")[0], left)
    assert_same(kernel_outputs("BitShift", 28, x, y, direction="RIGHT")[0], right)


def test_bit_shift_in_range_matches_onnxruntime() -> None:
    for direction in ("LEFT", "RIGHT"):
        for dtype in (np.uint8, np.uint32, np.uint64):
            x, y = np.array([[16], [4], [255]], dtype), np.array([1, 2, 7], dtype)
            same_as_onnxruntime("BitShift", x, y, opset=11, direction=direction)


def test_bit_shift_refuses_another_direction() -> None:
    with pytest.raises(ValueError, match="LEFT or RIGHT, got 'UP'"):
        kernel_outputs("BitShift", 11, np.zeros(1, np.uint8), np.zeros(1, np.uint8), direction="UP")


@pytest.mark.parametrize("dtype", SIGNED + UNSIGNED)
@few
@given(shapes=shape_pairs, seed=seeds)
def test_bitwise_operators(dtype: Any, shapes: Any, seed: int) -> None:
    rng, limits = np.random.default_rng(seed), np.iinfo(dtype)
    a, b = (
        np.asarray(rng.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True), dtype)
        for shape in shapes.input_shapes
    )
    for op_type, function in BITWISE.items():
        assert_same(kernel_outputs(op_type, 18, a, b)[0], elementwise(function, a, b, dtype=dtype))
    inverted = elementwise(lambda value: limits.max + limits.min - value, a, dtype=dtype)
    assert_same(kernel_outputs("BitwiseNot", 18, a)[0], inverted)
    same_as_onnxruntime("BitwiseXor", a, b, opset=18)
