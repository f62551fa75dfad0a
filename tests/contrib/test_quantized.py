"""Quantized operators of com.microsoft against onnxruntime."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from agreement import agree

RANDOM = np.random.default_rng(7)
TYPES = [np.uint8, np.int8]


def floats(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


def numbers(dtype: type, *shape: int) -> np.ndarray:
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    return RANDOM.integers(low, high + 1, shape).astype(dtype)


def scale(value: float) -> np.ndarray:
    return np.array(value, np.float32)


def zero(dtype: type, value: int) -> np.ndarray:
    return np.array(value, dtype)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("op_type", ["QLinearAdd", "QLinearMul"])
@pytest.mark.parametrize("shapes", [((2, 3, 40), (2, 3, 40)), ((2, 3, 5), (5,)), ((4,), ())])
def test_binary(op_type: str, shapes: tuple[tuple[int, ...], ...], dtype: type) -> None:
    a, b = (numbers(dtype, *shape) for shape in shapes)
    agree(op_type, a, scale(0.02), zero(dtype, 3), b, scale(0.03), zero(dtype, 7), scale(0.05), zero(dtype, 10),
          constants=(1, 2, 4, 5, 6, 7), steps=1)  # fmt: skip
    agree(op_type, a, scale(0.02), zero(dtype, 3), b, scale(0.03), zero(dtype, 7), scale(0.05), steps=1)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("op_type", ["QLinearSigmoid", "QLinearLeakyRelu"])
def test_unary(op_type: str, dtype: type) -> None:
    x = numbers(dtype, 2, 3, 40)
    agree(op_type, x, scale(0.05), zero(dtype, 3), scale(0.01), zero(dtype, 2), constants=(1, 2, 3, 4), steps=1)
    agree(op_type, x, scale(0.05), None, scale(0.02), None, constants=(1, 3), steps=1)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("opset", [12, 13])
@pytest.mark.parametrize("axis", [1, 2])
def test_softmax(axis: int, opset: int, dtype: type) -> None:
    agree("QLinearSoftmax", numbers(dtype, 2, 3, 10), scale(0.02), zero(dtype, 3), scale(1 / 256),
          zero(dtype, np.iinfo(dtype).min), constants=(1, 2, 3, 4), axis=axis, opset=opset, steps=1)  # fmt: skip


@pytest.mark.parametrize("channels_last", [0, 1])
@pytest.mark.parametrize("counted", [0, 1])
def test_average_pool(channels_last: int, counted: int) -> None:
    x = numbers(np.uint8, *((2, 7, 5, 4) if channels_last else (2, 4, 7, 5)))
    agree("QLinearAveragePool", x, scale(0.02), zero(np.uint8, 3), scale(0.015), zero(np.uint8, 5),
          constants=(1, 2, 3, 4), kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1], steps=1,
          channels_last=channels_last, count_include_pad=counted)  # fmt: skip
    agree("QLinearGlobalAveragePool", x, scale(0.02), zero(np.uint8, 3), scale(0.015), zero(np.uint8, 5),
          constants=(1, 2, 3, 4), channels_last=channels_last, steps=1)  # fmt: skip


def test_concat() -> None:
    parts = [
        numbers(np.uint8, 2, 3),
        scale(0.02),
        zero(np.uint8, 3),
        numbers(np.uint8, 2, 4),
        scale(0.03),
        zero(np.uint8, 4),
    ]
    agree("QLinearConcat", scale(0.025), zero(np.uint8, 9), *parts, constants=(0, 1, 3, 4, 6, 7), axis=1, steps=1)


def test_where() -> None:
    inputs = [numbers(np.uint8, 2, 3), scale(0.02), zero(np.uint8, 3), numbers(np.uint8, 2, 3), scale(0.03)]
    agree("QLinearWhere", RANDOM.random((2, 3)) < 0.5, *inputs, zero(np.uint8, 4), scale(0.025), zero(np.uint8, 9),
          constants=(2, 3, 5, 6, 7, 8), steps=1)  # fmt: skip


@pytest.mark.parametrize("axis", [None, 1])
def test_quantize_and_dequantize(axis: int | None) -> None:
    given = {} if axis is None else {"axis": axis}
    parameters = [scale(0.02), zero(np.uint8, 7)] if axis is None else [np.abs(floats(3)), numbers(np.uint8, 3)]
    agree("QuantizeLinear", floats(2, 3, 4), *parameters, constants=(1, 2), **given)
    agree("DequantizeLinear", numbers(np.uint8, 2, 3, 4), *parameters, constants=(1, 2), **given)


@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
def test_quantize_to_16_bits(dtype: type) -> None:
    agree("QuantizeLinear", floats(2, 3), scale(0.001), zero(dtype, 100), constants=(1, 2))
    agree("DequantizeLinear", numbers(dtype, 2, 3), scale(0.001), zero(dtype, 100), constants=(1, 2))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("by_column", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_dynamic_quantize_matmul(bias: bool, by_column: bool, dtype: type) -> None:
    b_scale = np.abs(floats(6)) / 50 if by_column else scale(0.02)
    b_zero = numbers(dtype, 6) if by_column else zero(dtype, 4)
    inputs = [floats(2, 3, 40), numbers(dtype, 40, 6), b_scale, b_zero, floats(6) if bias else None]
    agree("DynamicQuantizeMatMul", *inputs, constants=(1, 2, 3, 4), rtol=1e-4, atol=1e-4)
    agree(
        "DynamicQuantizeMatMul", floats(3, 40), numbers(dtype, 40, 6), b_scale, constants=(1, 2), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("by_column", [False, True])
def test_matmul_integer_to_float(by_column: bool, dtype: type) -> None:
    b_scale = np.abs(floats(6)) / 50 if by_column else scale(0.02)
    inputs = [numbers(np.uint8, 2, 3, 40), numbers(dtype, 40, 6), scale(0.03), b_scale]
    agree("MatMulIntegerToFloat", *inputs, zero(np.uint8, 9), zero(dtype, 4), floats(6), constants=(1, 2, 3, 4, 5, 6))
    agree("MatMulIntegerToFloat", *inputs, constants=(1, 2, 3))


@pytest.mark.parametrize("quantized", [False, True])
@pytest.mark.parametrize("turned", [0, 1])
@pytest.mark.parametrize("bias", [False, True])
def test_qgemm(bias: bool, turned: int, quantized: bool) -> None:
    inputs = [
        numbers(np.uint8, *((40, 3) if turned else (3, 40))), scale(0.03), zero(np.uint8, 9),
        numbers(np.int8, *((6, 40) if turned else (40, 6))), np.abs(floats(6)) / 50, np.zeros(6, np.int8),
        RANDOM.integers(-1000, 1000, 6).astype(np.int32) if bias else None,
        *([scale(0.3), zero(np.uint8, 100)] if quantized else []),
    ]  # fmt: skip
    agree("QGemm", *inputs, constants=range(1, len(inputs)), transA=turned, transB=turned, alpha=1.5, steps=quantized)


@pytest.mark.parametrize("channels_last", [0, 1])
def test_qlinear_conv(channels_last: int) -> None:
    x = numbers(np.uint8, *((2, 7, 5, 4) if channels_last else (2, 4, 7, 5)))
    inputs = [
        x, scale(0.03), zero(np.uint8, 9), numbers(np.int8, 6, 4, 3, 3), np.abs(floats(6)) / 50, np.zeros(6, np.int8),
        scale(0.5), zero(np.uint8, 100), RANDOM.integers(-1000, 1000, 6).astype(np.int32),
    ]  # fmt: skip
    agree("QLinearConv", *inputs, constants=range(1, 9), channels_last=channels_last, pads=[1, 1, 1, 1], steps=1)
