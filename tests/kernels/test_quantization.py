"""Quantization against onnxruntime, and where its Python interface lacks the type against exact rational arithmetic."""

from __future__ import annotations

from fractions import Fraction

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.differential import assert_same, kernel_outputs, node_model, onnxruntime_outputs
from onnxlite.kernels.casting import finite_range, is_float
from onnxlite.kernels.dtypes import element_type

quick = settings(max_examples=25, deadline=None, derandomize=True)
seeds = st.integers(0, 2**32 - 1)
WIDE_INTEGERS = [np.uint8, np.int8, np.uint16, np.int16]
INTEGERS = [*WIDE_INTEGERS, ml_dtypes.int4, ml_dtypes.uint4, ml_dtypes.int2, ml_dtypes.uint2]
FLOAT8 = [getattr(ml_dtypes, f"float8_{n}") for n in ("e4m3fn", "e4m3fnuz", "e5m2", "e5m2fnuz")]
SMALL_FLOATS = [ml_dtypes.float4_e2m1fn, ml_dtypes.float6_e2m3fn, ml_dtypes.float6_e3m2fn]


def agree(op_type, inputs, opset, outputs=1, **attributes):
    """The kernel that serves an opset and onnxruntime give exactly the same."""
    expected = onnxruntime_outputs(node_model(op_type, inputs, opset=opset, outputs=outputs, **attributes), inputs)
    version = onnx.defs.get_schema(op_type, opset).since_version
    assert_same(list(kernel_outputs(op_type, version, *inputs, **attributes)), expected, rtol=0, atol=0)


def scalar(value, dtype=np.float32):
    return np.asarray(value).astype(dtype)


def parameters(random, shape, dtype, scale_dtype=np.float32):
    """Scales and zero points of a shape."""
    low, high = finite_range(dtype)
    scales = random.uniform(0.05, 2, shape).astype(scale_dtype)
    return scales, np.asarray(random.integers(max(low, -100), min(high, 200) + 1, shape)).astype(dtype)


@pytest.mark.parametrize(
    ("opset", "dtype"),
    [(opset, dtype) for opset in (10, 13, 19) for dtype in WIDE_INTEGERS[:2]]
    + [(opset, dtype) for opset in (21, 23, 24, 25) for dtype in WIDE_INTEGERS],
)
def test_per_tensor_like_onnxruntime(opset, dtype):
    random = np.random.default_rng(opset)
    low, high = finite_range(dtype)
    for float_type in (np.float32,) if opset < 19 else (np.float32, np.float16):
        scale, zero_point = parameters(random, (), dtype, float_type)
        x = (random.standard_normal((40, 30)) * (high - low) * 0.2).astype(float_type)
        agree("QuantizeLinear", [x, scale, zero_point], opset)
        codes = random.integers(low, high + 1, (40, 30)).astype(dtype)
        agree("DequantizeLinear", [codes, scale, zero_point], opset)
    if dtype is np.uint8:
        agree("QuantizeLinear", [x.astype(np.float32), scale.astype(np.float32)], opset)


@quick
@given(seed=seeds, axis=st.integers(-3, 2), opset=st.sampled_from([13, 19, 21, 23]))
def test_per_axis_like_onnxruntime(seed, axis, opset):
    random = np.random.default_rng(seed)
    shape = (2, 3, 5)
    scale, zero_point = parameters(random, shape[axis], np.uint8)
    x = (random.standard_normal(shape) * 90).astype(np.float32)
    agree("QuantizeLinear", [x, scale, zero_point], opset, axis=axis)
    agree("DequantizeLinear", [random.integers(0, 256, shape).astype(np.uint8), scale, zero_point], opset, axis=axis)


@quick
@given(seed=seeds, axis=st.integers(-2, 1), block_size=st.integers(1, 7), dim=st.integers(1, 7))
def test_blocks_like_onnxruntime(seed, axis, block_size, dim):
    random = np.random.default_rng(seed)
    shape, blocked = [3, 3], [3, 3]
    shape[axis], blocked[axis] = dim, -(-dim // block_size)
    scale, zero_point = parameters(random, blocked, np.int8)
    x = (random.standard_normal(shape) * 90).astype(np.float32)
    agree("QuantizeLinear", [x, scale, zero_point], 21, axis=axis, block_size=block_size)
    codes = random.integers(-128, 128, shape).astype(np.int8)
    agree("DequantizeLinear", [codes, scale, zero_point], 21, axis=axis, block_size=block_size)


@pytest.mark.parametrize("dtype", INTEGERS, ids=lambda dtype: element_type(dtype).onnx)
def test_every_integer_type_rounds_half_to_even_and_saturates(dtype):
    low, high = finite_range(dtype)
    zero_point = scalar(1, dtype)
    x = np.array([-2.5, -1.5, -0.5, 0, 0.5, 1.5, 2.5, 3.25, 1e30, -1e30, np.inf, -np.inf, 1e6], np.float32) / 2
    expected = [min(max(round(value) + 1, low), high) for value in np.clip(x * 2, -1e9, 1e9)]
    y = kernel_outputs("QuantizeLinear", 25, x, scalar(0.5), zero_point)[0]
    assert y.dtype == dtype
    assert y.tolist() == expected
    back = kernel_outputs("DequantizeLinear", 25, y, scalar(0.5), zero_point)[0]
    assert_same(back, (np.array(expected, np.float32) - 1) / 2)
    code = element_type(dtype).code
    assert_same(kernel_outputs("QuantizeLinear", 25, x, scalar(0.5), zero_point, output_dtype=code)[0], y)
    assert kernel_outputs("QuantizeLinear", 25, x, scalar(0.5), output_dtype=code)[0].dtype == dtype


def test_nan_becomes_the_lowest_integer():
    agree("QuantizeLinear", [scalar([np.nan, 1]), scalar(1), scalar(3, np.uint8)], 13)
    agree("QuantizeLinear", [scalar([np.nan, 1]), scalar(1), scalar(3, np.int8)], 21)


@pytest.mark.parametrize("dtype", FLOAT8 + SMALL_FLOATS, ids=lambda dtype: element_type(dtype).onnx)
@pytest.mark.parametrize("saturate", [0, 1])
def test_small_floats_round_to_nearest_and_saturate(dtype, saturate):
    codes = np.arange(2 ** element_type(dtype).bits, dtype=np.uint8).view(dtype).astype(np.float32)
    values = np.unique(codes[np.isfinite(codes)])
    x = np.random.default_rng(0).uniform(values[0] * 0.99, values[-1] * 0.99, 200).astype(np.float32)
    y = kernel_outputs("QuantizeLinear", 28, x * 2, scalar(2), scalar(0, dtype), saturate=saturate)[0]
    assert y.dtype == dtype
    distance = np.abs(values - x[:, None]).min(axis=1)
    np.testing.assert_array_equal(np.abs(y.astype(np.float32) - x), distance)
    far = scalar([1e6, -1e6])
    beyond = kernel_outputs("QuantizeLinear", 28, far, scalar(2), scalar(0, dtype), saturate=saturate)[0]
    if saturate or dtype in SMALL_FLOATS:
        assert beyond.astype(np.float32).tolist() == [values[-1], values[0]]
    else:
        assert not np.isfinite(beyond.astype(np.float32)).any()
    assert_same(kernel_outputs("DequantizeLinear", 28, y, scalar(2), scalar(0, dtype))[0], y.astype(np.float32) * 2)


def test_small_floats_take_part_of_the_zero_point():
    dtype = ml_dtypes.float8_e4m3fn
    y = kernel_outputs("QuantizeLinear", 19, scalar([2.0, 3.0]), scalar(1), scalar(0.5, dtype))[0]
    assert y.astype(np.float32).tolist() == [2.5, 3.5]
    assert kernel_outputs("DequantizeLinear", 19, y, scalar(1), scalar(0.5, dtype))[0].tolist() == [2, 3]


@pytest.mark.parametrize("narrow", [np.float16, ml_dtypes.bfloat16])
def test_precision_of_the_division(narrow):
    """From version 23 on the scale's type, or ``precision``; before, narrow floats were divided in float32."""
    random = np.random.default_rng(0)
    x, scale = (random.standard_normal(4000) * 20).astype(narrow), scalar(0.07, narrow)
    in_narrow = np.clip(np.rint((x / scale).astype(np.float32)), -128, 127).astype(np.int8)
    in_float32 = np.clip(np.rint(x.astype(np.float32) / scale.astype(np.float32)), -128, 127).astype(np.int8)
    assert (in_narrow != in_float32).any()
    zero_point = scalar(0, np.int8)
    assert_same(kernel_outputs("QuantizeLinear", 23, x, scale, zero_point)[0], in_narrow)
    assert_same(kernel_outputs("QuantizeLinear", 23, x, scale, zero_point, precision=1)[0], in_float32)
    assert_same(kernel_outputs("QuantizeLinear", 23, x, scale.astype(np.float32), zero_point)[0], in_float32)
    assert_same(kernel_outputs("QuantizeLinear", 21, x, scale, zero_point)[0], in_float32)
    assert_same(kernel_outputs("QuantizeLinear", 19, x, scale, zero_point)[0], in_float32)


def test_integers_are_divided_exactly():
    x = np.array([2**31 - 1, -(2**31), 2**24 + 1, 7, -7], np.int32)
    for divisor in (2, 2**23, 3):
        quotients = [min(max(round(Fraction(value, divisor)), -32768), 32767) for value in x.tolist()]
        y = kernel_outputs("QuantizeLinear", 21, x, scalar(divisor, np.int32), scalar(0, np.int16))[0]
        assert y.tolist() == quotients
    y = kernel_outputs("QuantizeLinear", 13, np.array([5, -300], np.int32), scalar(2), scalar(0, np.int8))[0]
    assert y.tolist() == [2, -128]


def test_exponents_as_scales():
    scale = np.array([2.0**-3, 2.0**100]).astype(ml_dtypes.float8_e8m0fnu)
    x = np.array([[1, 2.0**99], [0.3, 2.0**101]], np.float32)
    y = kernel_outputs("QuantizeLinear", 24, x, scale, np.zeros(2, np.int8))[0]
    assert y.tolist() == [[8, 0], [2, 2]]
    back = kernel_outputs("DequantizeLinear", 24, y, scale, output_dtype=onnx.TensorProto.FLOAT)[0]
    assert back.tolist() == [[1, 0], [0.25, 2.0**101]]
    with pytest.raises(ValueError, match="expected output_dtype"):
        kernel_outputs("DequantizeLinear", 24, y, scale)


def test_dequantize_to_output_dtype():
    x, scale = np.array([-128, 3, 127], np.int8), scalar(0.1)
    exact = x.astype(np.float32) * np.float32(0.1)
    for dtype in (np.float32, np.float16, ml_dtypes.bfloat16):
        y = kernel_outputs("DequantizeLinear", 23, x, scale, output_dtype=element_type(dtype).code)[0]
        assert_same(y, exact.astype(dtype), rtol=0)
    agree("DequantizeLinear", [np.array([2**31 - 1, -5], np.int32), scale], 13)


def test_refusals():
    x = np.ones((2, 3), np.float32)
    three, blocks = np.ones(3, np.float32), np.ones((2, 2), np.float32)
    cases = [
        ([x, three], {"axis": 0}, "expected one scale or 2"),
        ([x, three], {"axis": 2}, "axis"),
        ([x, blocks], {}, "expected one scale or 3"),
        ([x, blocks], {"axis": 1, "block_size": 1}, r"expected shape \(2, 3\) for blocks of 1"),
        ([x, blocks], {"axis": 1, "block_size": -1}, "expected shape"),
        ([x, three, np.ones(2, np.uint8)], {}, "expected one scale or 3"),
        ([x, scalar(1), scalar(0, np.int8)], {"output_dtype": 2}, "to be the zero point's type int8"),
    ]
    for inputs, attributes, message in cases:
        with pytest.raises(ValueError, match=message):
            kernel_outputs("QuantizeLinear", 23, *inputs, **attributes)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (7,), (3, 4)])
@pytest.mark.parametrize(("low", "high"), [(-5, 5), (1, 3), (-3, -1), (0, 0)])
def test_dynamic_quantize_linear(shape, low, high):
    x = np.random.default_rng(1).uniform(low, high, shape)
    agree("DynamicQuantizeLinear", [np.asarray(x, np.float32)], 11, outputs=3)


@quick
@given(seed=seeds, signed=st.booleans(), per_column=st.booleans())
def test_products_like_onnxruntime(seed, signed, per_column):
    random = np.random.default_rng(seed)
    rows, inner, columns = random.integers(1, 9, 3)
    a_type, b_type = (np.int8, np.int8) if signed else (np.uint8, np.int8)
    a_low, a_high = finite_range(a_type)
    a = random.integers(a_low, a_high + 1, (2, rows, inner)).astype(a_type)
    b = random.integers(-128, 128, (inner, columns)).astype(b_type)
    of_b = columns if per_column else ()
    a_scale, a_zero_point = parameters(random, (), a_type)
    b_scale, b_zero_point = parameters(random, of_b, b_type)
    y_scale, y_zero_point = scalar(random.uniform(10, 500)), scalar(random.integers(0, 100), a_type)
    agree("MatMulInteger", [a, b, a_zero_point, b_zero_point], 10)
    agree("MatMulInteger", [a, b], 10)
    inputs = [a, a_scale, a_zero_point, b, b_scale, b_zero_point, y_scale, y_zero_point]
    agree("QLinearMatMul", inputs, 10)
    agree("QLinearMatMul", inputs, 21)


def test_integer_products_are_exact_however_long():
    for length in (258, 259, 40_000):
        a, b = np.full((1, length), 255, np.uint8), np.full((length, 1), 255, np.uint8)
        total = (length * 255 * 255 + 2**31) % 2**32 - 2**31
        assert kernel_outputs("MatMulInteger", 10, a, b)[0].tolist() == [[total]]
        b[0] = 254
        assert kernel_outputs("MatMulInteger", 10, a, b)[0].tolist() == [[total - 255]]


def test_zero_points_of_rows():
    a, b = np.arange(6, dtype=np.uint8).reshape(2, 3), np.ones((3, 2), np.int8)
    y = kernel_outputs("MatMulInteger", 10, a, b, np.array([1, 2], np.uint8))[0]
    assert y.tolist() == [[0, 0], [6, 6]]
    batched = kernel_outputs("MatMulInteger", 10, a[None], b, np.array([[[1], [2]]], np.uint8))[0]
    assert batched.tolist() == [[[0, 0], [6, 6]]]
    scale = np.array([1, 10], np.float32)
    zero = scalar(0, np.int8)
    inputs = [a, scale, np.array([1, 2], np.uint8), b, scalar(1), zero, scalar(1), zero]
    assert kernel_outputs("QLinearMatMul", 21, *inputs)[0].tolist() == [[0, 0], [60, 60]]
    assert kernel_outputs("MatMulInteger", 10, a[0], b[:, 0])[0].tolist() == 3


@pytest.mark.parametrize("dtype", FLOAT8, ids=lambda dtype: element_type(dtype).onnx)
def test_products_of_float8(dtype):
    random = np.random.default_rng(0)
    a, b = (random.uniform(-2, 2, shape).astype(dtype) for shape in ((3, 4), (4, 2)))
    zero, scale = scalar(0, dtype), scalar(0.5, np.float16)
    y = kernel_outputs("QLinearMatMul", 21, a, scale, zero, b, scale, zero, scalar(0.25, np.float16), zero)[0]
    assert is_float(y.dtype)
    assert_same(y, (a.astype(np.float32) @ b.astype(np.float32)).astype(dtype), rtol=0)
