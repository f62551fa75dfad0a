"""Products and convolutions of bytes with their scales, bias and quantization, against their reference."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.compiled import KernelDeclined, bind_and_run, bound_kernel
from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numpy import REFERENCE

sys.path.append(str(Path(__file__).parent))
from guarded_memory import run_alike

_SETTINGS = settings(max_examples=50, deadline=None, derandomize=True)
_BYTES = st.sampled_from([np.uint8, np.int8])
_RUN_TIME = (0, 1, 2)


def _integers(shape: tuple[int, ...], dtype: Any) -> Array:
    limits = np.iinfo(dtype)
    return np.random.default_rng(shape).integers(limits.min, limits.max, shape, dtype, endpoint=True)


def _floats(shape: tuple[int, ...]) -> Array:
    return np.random.default_rng(shape).standard_normal(shape).astype(np.float32)


def _scalar(value: Any, dtype: Any = np.float32) -> Array:
    return np.asarray(value, dtype)


def _check(op_type: str, *inputs: Array | None, given: tuple[int, ...] = _RUN_TIME, **attributes: Any) -> Array:
    """The compiled kernel, with one thread and two, is the reference but for a step in sums that are nearly ties."""
    kernel = REFERENCE.find("onnxlite", op_type, 1)
    assert kernel is not None
    expected = kernel.function(*inputs, **attributes)
    constants = tuple(index for index in range(len(inputs)) if index not in given)
    answer = bound_kernel(op_type, 1, *inputs, constants=constants, domain="onnxlite", **attributes)
    actual = run_alike(answer, inputs)
    assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
    if expected.dtype == np.float32:
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    else:
        difference = np.abs(actual.astype(int) - expected)
        assert difference.max() <= 1
        assert np.count_nonzero(difference) <= 1 + expected.size // 100
    return actual


@_SETTINGS
@given(st.data())
def test_products_of_matrices(data: st.DataObject) -> None:
    rows, depth, columns = (data.draw(st.sampled_from([1, 2, 3, 5, 7, 13, 31, 33, 64, 70])) for _ in range(3))
    left, right, result = (data.draw(_BYTES) for _ in range(3))
    constant, per_column = data.draw(st.booleans()), data.draw(st.booleans())
    parameter = (columns,) if per_column and constant else ()
    a, b = _integers((2, rows, depth), left), _integers((depth, columns) if constant else (2, depth, columns), right)
    zero = _integers(parameter, right) if data.draw(st.booleans()) else None
    bias = _floats((columns,)) if data.draw(st.booleans()) else None
    scale = np.abs(_floats(parameter)) * 0.01 + np.float32(0.001)
    inputs = [a, _scalar(0.02), _integers((), left), b, np.asarray(scale, np.float32), zero, bias]
    limits: dict[str, int] = {}
    if data.draw(st.booleans()):
        inputs += [_scalar(0.5), _scalar(5, result)]
        limits = data.draw(st.sampled_from([{}, {"lowest": 5}, {"lowest": 3, "highest": 60}]))
    _check("QuantizedMatMul", *inputs, given=_RUN_TIME if constant else (*_RUN_TIME, 3), **limits)


@_SETTINGS
@given(st.data())
def test_convolutions(data: st.DataObject) -> None:
    rank, group = data.draw(st.integers(1, 3)), data.draw(st.sampled_from([1, 2, 4]))
    channels = group * data.draw(st.sampled_from([1, 2, 3, 4, 8, 36]))
    filters = group * data.draw(st.sampled_from([1, 2, 3, 40]))
    kernel = tuple(data.draw(st.integers(1, 3)) for _ in range(rank))
    attributes = {
        "group": group,
        "pads": tuple(data.draw(st.integers(0, 2)) for _ in range(2 * rank)),
        "strides": tuple(data.draw(st.integers(1, 3)) for _ in range(rank)),
        "dilations": tuple(data.draw(st.integers(1, 2)) for _ in range(rank)),
    }
    left, right, result = (data.draw(_BYTES) for _ in range(3))
    shape = (data.draw(st.integers(1, 2)), *(data.draw(st.integers(5, 9)) for _ in range(rank)), channels)
    zero = data.draw(st.sampled_from([None, _integers((), right), _integers((filters,), right)]))
    inputs = [
        _integers(shape, left),
        _scalar(0.02),
        _integers((), left),
        _integers((filters, channels // group, *kernel), right),
        np.linspace(0.001, 0.01, filters, dtype=np.float32),
        zero,
        _floats((filters,)),
    ]
    if data.draw(st.booleans()):
        inputs += [_scalar(0.3), _scalar(5, result)]
    _check("QuantizedConv", *inputs, channels_last=1, **attributes)


@pytest.mark.parametrize("channels", [1, 3, 16, 40, 130])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("multiplier", [1, 2])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_convolutions_of_single_channels(channels: int, stride: int, multiplier: int, dtype: Any) -> None:
    filters = channels * multiplier
    for kernel in ((3, 3), (5, 2)):
        inputs = [
            _integers((2, 9, 11, channels), dtype),
            _scalar(0.02),
            _integers((), dtype),
            _integers((filters, 1, *kernel), np.int8),
            np.linspace(0.001, 0.01, filters, dtype=np.float32),
            _integers((filters,), np.int8),
            _floats((filters,)),
            _scalar(0.3),
            _scalar(5, dtype),
        ]
        attributes = {"group": channels, "strides": (stride, stride), "pads": (1, 2, 0, 1), "channels_last": 1}
        _check("QuantizedConv", *inputs, **attributes)
        _check("QuantizedConv", *inputs[:7], **attributes)


def test_work_for_several_threads() -> None:
    a, b = _integers((300, 700), np.uint8), _integers((700, 500), np.int8)
    _check("QuantizedMatMul", a, _scalar(0.02), _scalar(100, np.uint8), b, _scalar(0.01), None, None)
    x, w = _integers((2, 40, 40, 64), np.uint8), _integers((64, 64, 3, 3), np.int8)
    inputs = (x, _scalar(0.02), _scalar(100, np.uint8), w, _scalar(0.01), None, None, _scalar(5.0), None)
    _check("QuantizedConv", *inputs, channels_last=1, pads=(1, 1, 1, 1))


def test_extreme_sums_are_exact() -> None:
    for byte, weight in ((0, -128), (255, 127), (255, -128)):
        a, b = np.full((3, 3000), byte, np.uint8), np.full((3000, 40), weight, np.int8)
        result = _check("QuantizedMatMul", a, _scalar(1), _scalar(255 - byte, np.uint8), b, _scalar(1), None, None)
        assert (result == np.float32((2 * byte - 255) * weight * 3000)).all()


def test_declines_what_is_not_compiled() -> None:
    a, b = _integers((3, 4), np.uint8), _integers((4, 5), np.int8)
    given: dict[str, Any] = {"domain": "onnxlite"}
    with pytest.raises(KernelDeclined, match="constant scales"):
        bind_and_run("QuantizedMatMul", 1, a, _scalar(1), None, b, _scalar(1), constants=(3,), **given)
    with pytest.raises(KernelDeclined, match="one for each column"):
        bind_and_run("QuantizedMatMul", 1, a, _scalar(1), None, b, _floats((4,)), constants=(3, 4), **given)
    x, w = _integers((1, 3, 4, 5), np.uint8), _integers((2, 3, 1, 1), np.int8)
    with pytest.raises(KernelDeclined, match="channels last"):
        bind_and_run("QuantizedConv", 1, x, _scalar(1), None, w, _scalar(1), constants=(3, 4), **given)
