"""Arithmetic and trigonometry: against onnxruntime where it has the version, else against the formula."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from onnxlite.conformance.differential import assert_same, kernel_outputs, node_model, onnxruntime_outputs
from onnxlite.kernels import special
from onnxlite.kernels.dtypes import ELEMENT_TYPES

few = settings(max_examples=20, deadline=None, derandomize=True)
shape_pairs = npst.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, min_side=0, max_side=4)
seeds = st.integers(0, 2**32 - 1)

UNARY = ("Neg", "Abs", "Reciprocal", "Sqrt", "Exp", "Log", "Floor", "Ceil", "Round", "Sign", "Erf")
TRIGONOMETRY = ("Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Tanh", "Asinh", "Acosh", "Atanh")
BINARY = ("Add", "Sub", "Mul", "Div")
VARIADIC = ("Max", "Min", "Sum", "Mean")

SPECIAL_VALUES = [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 1.5, 2.5, -2.5, 1e-30, -1e30, 88.0, np.inf, -np.inf, np.nan]


def version_at(op_type: str, opset: int) -> int:
    return onnx.defs.get_schema(op_type, opset).since_version


def same_as_onnxruntime(op_type: str, *inputs: Any, opset: int, **attributes: Any) -> None:
    expected = onnxruntime_outputs(node_model(op_type, inputs, opset=opset, **attributes), inputs)
    assert_same(kernel_outputs(op_type, version_at(op_type, opset), *inputs, **attributes), expected)


def values(seed: int, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Numbers whose sums, products and quotients every type holds exactly or closely; none is zero."""
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return np.asarray(rng.uniform(0.1, 3, shape) * rng.choice([-1, 1], shape), dtype)
    return np.asarray(rng.integers(1, 9, shape) * rng.choice([-1, 1], shape), dtype)


def versions_and_types(*op_types: str) -> list[Any]:
    """(operator, version, NumPy dtype) for all that the specification allows."""
    return list(_versions_and_types(op_types))


def _versions_and_types(op_types: tuple[str, ...]) -> Iterator[Any]:
    dtypes = {f"tensor({row.onnx})": row.dtype for row in ELEMENT_TYPES}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "" and schema.name in op_types:
            for name in schema.type_constraints[0].allowed_type_strs:
                yield pytest.param(
                    schema.name, schema.since_version, dtypes[name], id=f"{schema.name}-{schema.since_version}-{name}"
                )


@pytest.mark.parametrize(("op_type", "version", "dtype"), versions_and_types(*UNARY, *TRIGONOMETRY))
def test_unary_operators_take_every_type_and_round_the_exact_result(op_type: str, version: int, dtype: Any) -> None:
    x = np.array([0, 1, 1, 0, 1, 0], np.int64 if np.dtype(dtype).kind in "iu" else np.float64)
    wide = np.linspace(0.1, 0.9, 6) if x.dtype == np.float64 else x
    if op_type == "Acosh":
        wide = wide + 1
    exact = wide.astype(dtype).astype(x.dtype)
    expected = kernel_outputs(op_type, version, exact)[0].astype(dtype)
    assert_same(kernel_outputs(op_type, version, exact.astype(dtype))[0], expected, rtol=1e-6)


@pytest.mark.parametrize(("op_type", "version", "dtype"), versions_and_types(*BINARY, *VARIADIC, "Pow", "Mod"))
def test_binary_operators_take_every_type_and_round_the_exact_result(op_type: str, version: int, dtype: Any) -> None:
    wide = np.float64 if np.dtype(dtype).kind in "fV" else np.int64
    x, y = np.array([[7, 3, 9], [1, 8, 5]], wide), np.array([[2, 3, 1], [2, 1, 2]], wide)
    attributes = {"fmod": 1} if op_type == "Mod" and wide == np.float64 else {}
    expected = kernel_outputs(op_type, version, x, y, **attributes)[0].astype(dtype)
    actual = kernel_outputs(op_type, version, x.astype(dtype), y.astype(dtype), **attributes)[0]
    assert_same(actual, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("opset", "dtype"), [(7, np.float32), (7, np.int64), (13, np.float64), (14, np.int32), (14, np.float32)]
)
@few
@given(shapes=shape_pairs, seed=seeds)
def test_binary_operators_broadcast(opset: int, dtype: Any, shapes: Any, seed: int) -> None:
    first, second = shapes.input_shapes
    for op_type in BINARY:
        same_as_onnxruntime(op_type, values(seed, first, dtype), values(seed + 1, second, dtype), opset=opset)


@pytest.mark.parametrize("opset", [8, 13])
@few
@given(shapes=npst.mutually_broadcastable_shapes(num_shapes=3, max_dims=3, min_side=0, max_side=3), seed=seeds)
def test_variadic_operators_broadcast(opset: int, shapes: Any, seed: int) -> None:
    inputs = [values(seed + index, shape, np.float32) for index, shape in enumerate(shapes.input_shapes)]
    for op_type in VARIADIC:
        for count in (1, 3):
            same_as_onnxruntime(op_type, *inputs[:count], opset=opset)


@pytest.mark.parametrize("op_type", ["Max", "Min"])
def test_extremes_of_integers_and_of_nan(op_type: str) -> None:
    for dtype in (np.int32, np.int64, np.uint32, np.uint64, np.float16):
        same_as_onnxruntime(op_type, np.arange(6).astype(dtype), np.array([3], dtype), opset=13)
    x = np.array(SPECIAL_VALUES, np.float32)
    same_as_onnxruntime(op_type, x, x[::-1].copy(), opset=13)


@pytest.mark.parametrize("op_type", VARIADIC)
@pytest.mark.parametrize("version", [1, 6])
def test_variadic_operators_before_version_8_do_not_broadcast(op_type: str, version: int) -> None:
    x, y = np.arange(6, dtype=np.float32).reshape(2, 3), np.full((2, 3), 2, np.float32)
    expected = onnxruntime_outputs(node_model(op_type, [x, y], opset=8), [x, y])
    assert_same(kernel_outputs(op_type, version, x, y), expected)
    with pytest.raises(ValueError, match=r"one shape .*\(2, 3\) and \(1, 3\)"):
        kernel_outputs(op_type, version, x, y[:1])


@pytest.mark.parametrize("op_type", [*UNARY, *TRIGONOMETRY])
def test_unary_operators_at_special_values(op_type: str) -> None:
    x = np.array(SPECIAL_VALUES)
    if op_type in ("Sin", "Cos", "Tan"):
        # 1e30 radians have no meaning in which two libraries agree.
        x = x[x != -1e30]
    same_as_onnxruntime(op_type, x.astype(np.float32), opset=14)
    # onnxruntime has neither Erf nor, the sine and cosine apart, the trigonometric functions of double.
    if op_type in UNARY and op_type != "Erf":
        same_as_onnxruntime(op_type, x, opset=14)


@pytest.mark.parametrize("op_type", TRIGONOMETRY)
def test_trigonometry_in_double_precision(op_type: str) -> None:
    x = np.linspace(-0.99, 0.99, 23) + 2 * (op_type == "Acosh")
    exact = [getattr(math, op_type.lower())(value) for value in x]
    assert_same(kernel_outputs(op_type, 22, x)[0], np.array(exact), rtol=1e-14, atol=0)


@pytest.mark.parametrize("op_type", [*UNARY, *TRIGONOMETRY])
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0, 2), (7,), (2, 3, 5)])
def test_unary_operators_keep_the_shape(op_type: str, shape: tuple[int, ...]) -> None:
    same_as_onnxruntime(op_type, np.random.default_rng(0).uniform(0.1, 0.9, shape).astype(np.float32), opset=14)


@pytest.mark.parametrize("op_type", ["Neg", "Abs", "Reciprocal", "Sqrt", "Exp", "Log", "Floor", "Ceil", "Tanh"])
def test_version_1_accepts_the_hint_about_consumed_inputs(op_type: str) -> None:
    x = np.linspace(0.1, 4, 7, dtype=np.float32)
    assert_same(kernel_outputs(op_type, 1, x, consumed_inputs=(0,)), kernel_outputs(op_type, 13, x))


@pytest.mark.parametrize(
    ("shape", "axis", "aligned"),
    [
        ((), None, (1, 1, 1, 1)),
        ((1, 1), None, (1, 1, 1, 1)),
        ((5,), None, (1, 1, 1, 5)),
        ((4, 5), None, (1, 1, 4, 5)),
        ((1, 5), None, (1, 1, 1, 5)),
        ((3, 1), 1, (1, 3, 1, 1)),
        ((3, 4), 1, (1, 3, 4, 1)),
        ((2,), 0, (2, 1, 1, 1)),
        ((4,), -2, (1, 1, 4, 1)),
        ((2, 3, 4, 5), None, (2, 3, 4, 5)),
        ((2, 3, 4, 5), 0, (2, 3, 4, 5)),
    ],
)
def test_limited_broadcast_aligns_the_second_operand(
    shape: tuple[int, ...], axis: int | None, aligned: tuple[int, ...]
) -> None:
    a, b = values(0, (2, 3, 4, 5), np.float32), values(1, shape, np.float32)
    attributes = {"broadcast": 1} if axis is None else {"broadcast": 1, "axis": axis}
    for op_type, function in (("Add", np.add), ("Sub", np.subtract), ("Mul", np.multiply), ("Div", np.divide)):
        for version in (1, 6):
            assert_same(kernel_outputs(op_type, version, a, b, **attributes)[0], function(a, b.reshape(aligned)))
    assert_same(kernel_outputs("Pow", 1, abs(a), b, **attributes)[0], np.power(abs(a), b.reshape(aligned)))


@pytest.mark.parametrize(
    ("shape", "attributes"),
    [
        ((5,), {}),
        ((4,), {"broadcast": 1}),
        ((2, 5), {"broadcast": 1}),
        ((3, 4), {"broadcast": 1, "axis": 2}),
        ((2, 2, 3, 4, 5), {"broadcast": 1}),
        ((5,), {"broadcast": 1, "axis": -7}),
    ],
)
def test_limited_broadcast_refuses_other_shapes(shape: tuple[int, ...], attributes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"got .*\("):
        kernel_outputs("Add", 6, np.zeros((2, 3, 4, 5), np.float32), np.zeros(shape, np.float32), **attributes)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64])
def test_integer_division_truncates_and_remainders_follow_their_sign(dtype: Any) -> None:
    a, b = (x.ravel() for x in np.meshgrid(np.arange(-9, 10, dtype=dtype), np.array([-4, -3, -1, 1, 3, 4], dtype)))
    pairs = list(zip(a.tolist(), b.tolist(), strict=True))
    assert_same(kernel_outputs("Div", 14, a, b)[0], np.array([int(x / y) for x, y in pairs], dtype))
    assert_same(kernel_outputs("Mod", 28, a, b)[0], np.array([x % y for x, y in pairs], dtype))
    assert_same(kernel_outputs("Mod", 10, a, b, fmod=1)[0], np.array([math.fmod(x, y) for x, y in pairs], dtype))
    least = np.array([np.iinfo(dtype).min], dtype)
    assert_same(kernel_outputs("Div", 14, least, np.array([-1], dtype))[0], least)


def test_integer_division_is_exact_beyond_the_precision_of_double() -> None:
    a, b = np.array([2**63 - 1, -(2**63) + 1, 2**62 + 1]), np.array([3, 7, -2])
    assert_same(kernel_outputs("Div", 14, a, b)[0], np.array([(2**63 - 1) // 3, -((2**63 - 1) // 7), -(2**61)]))
    assert_same(kernel_outputs("Mod", 13, a, b, fmod=1)[0], np.array([(2**63 - 1) % 3, -((2**63 - 1) % 7), 1]))


@pytest.mark.parametrize("opset", [10, 13])
@few
@given(shapes=shape_pairs, seed=seeds)
def test_mod_matches_onnxruntime(opset: int, shapes: Any, seed: int) -> None:
    first, second = shapes.input_shapes
    for dtype, fmod in ((np.int32, 0), (np.int64, 1), (np.float32, 1), (np.float64, 1)):
        same_as_onnxruntime("Mod", values(seed, first, dtype), values(seed + 1, second, dtype), opset=opset, fmod=fmod)


def test_mod_of_floats_with_the_sign_of_the_divisor_is_new_in_version_28() -> None:
    x, y = np.array([5.5, -5.5, 5.5, -5.5, 0, 3, -3, np.inf]), np.array([3, 3, -3, -3, -2, np.inf, np.inf, 2])
    expected = np.array([2.5, 0.5, -0.5, -2.5, -0.0, 3, np.inf, np.nan])
    actual = kernel_outputs("Mod", 28, x, y)[0]
    assert_same(actual, expected)
    assert np.signbit(actual[4])
    for version in (10, 13):
        with pytest.raises(ValueError, match="fmod=1"):
            kernel_outputs("Mod", version, x, y)


@pytest.mark.parametrize("opset", [12, 13, 15])
@pytest.mark.parametrize("base", [np.float32, np.float64, np.int32, np.int64])
@pytest.mark.parametrize("exponent", [np.float32, np.float64, np.int32, np.int64])
def test_pow_of_mixed_types_matches_onnxruntime(opset: int, base: Any, exponent: Any) -> None:
    same_as_onnxruntime("Pow", np.array([[1], [2], [3]], base), np.array([0, 1, 2, 3.5], exponent), opset=opset)


@pytest.mark.parametrize("base", [np.int32, np.int64])
@pytest.mark.parametrize("exponent", [np.int8, np.int64, np.uint8, np.uint64])
def test_pow_of_integers_is_exact(base: Any, exponent: Any) -> None:
    least = -3 if np.dtype(exponent).kind == "i" else 0
    x, y = (v.ravel() for v in np.meshgrid([-3, -2, -1, 1, 2, 3], range(least, 19)))
    exact = [math.trunc(Fraction(int(a)) ** int(b)) for a, b in zip(x, y, strict=True)]
    assert_same(kernel_outputs("Pow", 15, x.astype(base), y.astype(exponent))[0], np.array(exact, base))


def test_pow_keeps_the_type_and_precision_of_the_base() -> None:
    x = np.array([1.1, 2.0, 3.3], np.float32)
    for exponent in (np.float16, ml_dtypes.bfloat16, np.float64, np.int64):
        assert_same(kernel_outputs("Pow", 15, x, np.array([3], exponent))[0], x**3)
        assert_same(kernel_outputs("Pow", 15, x, np.array(2, exponent))[0], x * x)
    half = x.astype(np.float16)
    assert_same(kernel_outputs("Pow", 15, half, np.array(2.0))[0], (half.astype(np.float32) ** 2).astype(np.float16))
    assert kernel_outputs("Pow", 15, np.float32(3), np.full((1, 1), 2))[0].shape == (1, 1)


@pytest.mark.parametrize("opset", [6, 11, 12, 13])
@pytest.mark.parametrize("bounds", [(None, None), (-1.0, None), (None, 1.0), (-1.0, 1.0), (1.0, -1.0)])
def test_clip_matches_onnxruntime(opset: int, bounds: tuple[float | None, float | None]) -> None:
    with np.errstate(over="ignore"):
        x = np.array(SPECIAL_VALUES, np.float32)
    if opset == 6:
        if bounds == (1.0, -1.0):
            pytest.skip("onnxruntime refuses crossed bounds before version 11")
        same_as_onnxruntime("Clip", x, opset=6, **{k: v for k, v in zip(("min", "max"), bounds, strict=True) if v})
    else:
        same_as_onnxruntime("Clip", x, *(None if b is None else np.array(b, np.float32) for b in bounds), opset=opset)


def test_clip_of_every_type() -> None:
    for dtype in (np.int8, np.uint8, np.int32, np.uint64, np.int64, np.float64, np.float16):
        x = np.arange(10).reshape(2, 5).astype(dtype)
        same_as_onnxruntime(
            "Clip", x, np.array(2, dtype), np.array(6, dtype), opset=13
        ) if dtype != np.float16 else None
        for low, high in ((2, 6), (None, 6), (2, None), (None, None)):
            expected = np.clip(np.arange(10).reshape(2, 5), low, high).astype(dtype)
            bounds = (None if b is None else np.array(b, dtype) for b in (low, high))
            assert_same(kernel_outputs("Clip", 13, x, *bounds)[0], expected)


def test_clip_without_bounds_limits_infinity_to_the_range_of_the_type() -> None:
    for dtype in (np.float16, np.float32, np.float64, ml_dtypes.bfloat16):
        limits = ml_dtypes.finfo(dtype)
        expected = np.array([limits.max, limits.min], dtype)
        x = np.array([np.inf, -np.inf], dtype)
        assert_same(kernel_outputs("Clip", 13, x)[0], expected)
        assert_same(kernel_outputs("Clip", 6, x)[0], expected)
        assert_same(kernel_outputs("Clip", 1, x, consumed_inputs=(0,))[0], expected)
    assert_same(kernel_outputs("Clip", 1, np.arange(4.0), min=1.0, max=2.0)[0], np.array([1.0, 1, 2, 2]))


def test_clip_refuses_bounds_with_several_elements() -> None:
    with pytest.raises(ValueError, match=r"scalar, got shape \(2,\)"):
        kernel_outputs("Clip", 13, np.zeros(2), np.zeros(2))


def test_erf() -> None:
    x = np.concatenate([np.linspace(-6.5, 6.5, 4001), np.geomspace(1e-300, 1, 500), [np.inf, -np.inf, np.nan, -0.0]])
    exact = np.array([math.erf(value) for value in x])
    assert_same(special.erf(x), exact, rtol=1e-15, atol=0)
    single = x.astype(np.float32)
    exact = np.array([math.erf(value) for value in single], np.float32)
    assert_same(kernel_outputs("Erf", 13, single)[0], exact, rtol=2e-7, atol=0)
    assert np.signbit(special.erf(np.array(-0.0)))


def test_erf_of_integers_is_its_whole_part() -> None:
    for dtype in (np.int8, np.int64):
        x = np.array([-30, -1, 0, 1, 30], dtype)
        assert_same(kernel_outputs("Erf", 9, x)[0], np.array([-1, 0, 0, 0, 1], dtype))


def test_inputs_may_be_strided_and_read_only() -> None:
    base = np.random.default_rng(0).uniform(0.1, 0.9, (6, 8)).astype(np.float32)
    x, y = base[::2, ::-2], base.T[1:4, :4]
    base.flags.writeable = False
    for op_type in (*UNARY, *TRIGONOMETRY):
        assert_same(kernel_outputs(op_type, 22, x), kernel_outputs(op_type, 22, x.copy()))
    for op_type in (*BINARY, *VARIADIC, "Pow"):
        assert_same(kernel_outputs(op_type, 15, x, y), kernel_outputs(op_type, 15, x.copy(), y.copy()))


def test_integers_wrap() -> None:
    x = np.array([127, -128], np.int8)
    assert_same(kernel_outputs("Add", 14, x, x)[0], np.array([-2, 0], np.int8))
    assert_same(kernel_outputs("Neg", 13, x)[0], np.array([-127, -128], np.int8))
    assert_same(kernel_outputs("Abs", 13, x)[0], np.array([127, -128], np.int8))
