from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.compiled import KernelDeclined, bind_and_run
from onnxlite.conformance.differential import assert_same, kernel_outputs
from onnxlite.kernels.arrays import Array

_SETTINGS = settings(max_examples=40, deadline=None, derandomize=True)
_SHAPES = st.sampled_from([(), (1,), (7,), (3, 1), (2, 5, 4), (3, 64), (2, 3, 5, 17)])
_TYPES = st.sampled_from([np.uint8, np.int8, np.uint16, np.int16])


def _random(shape: tuple[int, ...], scale: float = 1) -> Array:
    return np.asarray(np.random.default_rng(sum(shape)).standard_normal(shape) * scale, np.float32)


def _integers(shape: tuple[int, ...], dtype: Any) -> Array:
    limits = np.iinfo(dtype)
    return np.random.default_rng(sum(shape)).integers(limits.min, limits.max, shape, dtype, endpoint=True)


def _check(op_type: str, version: int, *inputs: Array | None, constants: tuple[int, ...], **attributes: Any) -> None:
    expected = kernel_outputs(op_type, version, *inputs, **attributes)
    for threads in (1, 2):
        actual = bind_and_run(op_type, version, *inputs, constants=constants, threads=threads, **attributes)
        for one, other in zip(actual, expected, strict=True):
            assert_same(one, other, rtol=0, atol=0)


def _parameters(shape: tuple[int, ...], axis: int | None, dtype: Any) -> tuple[Array, Array]:
    parameter = () if axis is None else (shape[axis],)
    return np.abs(_random(parameter)) + np.float32(0.01), _integers(parameter, dtype)


@_SETTINGS
@given(_SHAPES, _TYPES, st.booleans(), st.booleans(), st.sampled_from([13, 19, 21, 23]), st.integers(-2, 1))
def test_quantize(shape: tuple[int, ...], dtype: Any, per_axis: bool, absent: bool, version: int, axis: int) -> None:
    axis = max(axis, -len(shape)) if axis < 0 else min(axis, len(shape) - 1)
    scale, zero_point = _parameters(shape, axis if per_axis and shape else None, dtype)
    inputs = (_random(shape, 90), scale, None if absent else zero_point)
    _check("QuantizeLinear", version, *inputs, constants=(1, 2), axis=max(axis, -1 if not shape else axis))


@_SETTINGS
@given(
    _SHAPES,
    st.sampled_from([np.uint8, np.int8, np.uint16, np.int16, np.int32]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([13, 19, 21, 23]),
    st.integers(-2, 1),
)
def test_dequantize(shape: tuple[int, ...], dtype: Any, per_axis: bool, absent: bool, version: int, axis: int) -> None:
    axis = max(axis, -len(shape)) if axis < 0 else min(axis, len(shape) - 1)
    scale, zero_point = _parameters(shape, axis if per_axis and shape else None, dtype)
    inputs = (_integers(shape, dtype), scale, None if absent else zero_point)
    _check("DequantizeLinear", version, *inputs, constants=(1, 2), axis=axis)


def test_one_scale() -> None:
    x, scale, zero_point = _random((3, 4), 300), np.float32(1.5), np.uint8(7)
    _check("QuantizeLinear", 10, x, np.asarray(scale), np.asarray(zero_point), constants=(1, 2))
    _check("DequantizeLinear", 10, _integers((3, 4), np.uint8), np.asarray(scale), None, constants=(1,))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16])
def test_ties_infinities_and_nan(dtype: Any) -> None:
    x = np.array([0.5, 1.5, 2.5, -0.5, -1.5, np.inf, -np.inf, np.nan, 3e38, -3e38, 0.0, -0.0], np.float32)
    _check("QuantizeLinear", 13, x, np.asarray(np.float32(1)), np.asarray(dtype(3)), constants=(1, 2))


def test_large_tensors_are_quantized_in_pieces() -> None:
    x = _random((3, 50_001), 90)
    _check("QuantizeLinear", 13, x, np.asarray(np.float32(0.7)), np.asarray(np.int8(3)), constants=(1, 2))
    _check("DynamicQuantizeLinear", 11, x, constants=())


@_SETTINGS
@given(_SHAPES, st.sampled_from([-5.0, 0.0, 5.0]))
def test_dynamic(shape: tuple[int, ...], shift: float) -> None:
    _check("DynamicQuantizeLinear", 11, _random(shape) + np.float32(shift), constants=())


def test_dynamic_of_zeros() -> None:
    _check("DynamicQuantizeLinear", 11, np.zeros((2, 3), np.float32), constants=())


def test_declines_what_is_not_compiled() -> None:
    x, scale = _random((4, 6)), np.asarray(np.float32(1))
    with pytest.raises(KernelDeclined, match="constant"):
        bind_and_run("QuantizeLinear", 13, x, scale)
    with pytest.raises(KernelDeclined, match="blocks"):
        bind_and_run("QuantizeLinear", 21, x, np.ones((4, 3), np.float32), constants=(1,), block_size=2)
