"""Conversions: every pair of types, the tables of the specification, and onnxruntime where it has the types."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from onnxlite.conformance.differential import assert_same, kernel_outputs, node_model, onnxruntime_outputs
from onnxlite.kernels.casting import cast, finite_range
from onnxlite.kernels.dtypes import ELEMENT_TYPES, element_type

NUMERIC = [row for row in ELEMENT_TYPES if row.onnx not in ("string", "complex64", "complex128")]
FLOAT8 = [ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e4m3fnuz, ml_dtypes.float8_e5m2, ml_dtypes.float8_e5m2fnuz]
NO_NAN = [ml_dtypes.float4_e2m1fn, ml_dtypes.float6_e2m3fn, ml_dtypes.float6_e3m2fn]
E8M0 = ml_dtypes.float8_e8m0fnu
COMMON = [np.float16, np.float32, np.float64, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint32, np.bool_]

few = settings(max_examples=25, deadline=None, derandomize=True)


def code(dtype: Any) -> int:
    return element_type(dtype).code


def finite_values(dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """The finite values of a float of at most 8 bits in rising order, and their codes."""
    bits = element_type(np.dtype(dtype)).bits
    codes = np.arange(2**bits, dtype=np.uint8)
    values = codes.view(dtype).astype(np.float64)
    order = np.argsort(values, kind="stable")
    order = order[np.isfinite(values[order]) & ~((values[order] == 0) & (codes[order] > 0))]
    return values[order], codes[order]


def nearest(x: float, values: np.ndarray, codes: np.ndarray) -> float:
    """The nearest of the values, of two equally near ones that with the even code."""
    distance = np.abs(values - x)
    candidates = np.flatnonzero(distance == distance.min())
    return float(values[min(candidates, key=lambda index: codes[index] % 2)])


@pytest.mark.parametrize("source", NUMERIC, ids=repr)
@pytest.mark.parametrize("target", NUMERIC, ids=repr)
def test_numbers_that_both_types_hold_stay_what_they_are(source: Any, target: Any) -> None:
    numbers = np.array([[1, 1], [1, 0]]) if E8M0 not in (source.dtype, target.dtype) else np.array([[1, 1], [1, 1]])
    x = numbers.astype(np.float32).astype(source.dtype)
    result = cast(x, target.dtype)
    assert result.dtype == target.dtype
    assert_same(result.astype(np.float32), numbers.astype(target.dtype).astype(np.float32))
    assert cast(x[:0], target.dtype).shape == (0, 2)
    assert cast(x[0, 0].reshape(()), target.dtype).shape == ()


@pytest.mark.parametrize("dtype", [*FLOAT8, *NO_NAN])
@pytest.mark.parametrize("source", [np.float32, np.float16, np.float64, ml_dtypes.bfloat16])
@few
@given(data=st.lists(st.floats(-70000, 70000, width=32) | st.floats(-2, 2, width=16), min_size=1, max_size=20))
def test_small_floats_round_to_the_nearest_ties_to_even(dtype: Any, source: Any, data: list[float]) -> None:
    with np.errstate(over="ignore"):
        x = np.array(data).astype(source)
    values, codes = finite_values(dtype)
    expected = [nearest(v, values, codes) for v in np.clip(x.astype(np.float64), values[0], values[-1])]
    assert_same(cast(x, dtype).astype(np.float64), np.array(expected))


@pytest.mark.parametrize("dtype", FLOAT8)
def test_float8_ties_and_the_edge_of_the_range(dtype: Any) -> None:
    values, codes = finite_values(dtype)
    middles = (values[1:] + values[:-1]) / 2
    expected = np.array([nearest(v, values, codes) for v in middles])
    assert_same(cast(middles, dtype).astype(np.float64), expected)
    largest, step = values[-1], values[-1] - values[-2]
    infinite = np.inf if dtype == ml_dtypes.float8_e5m2 else np.nan
    just_inside = np.array([largest + step * 0.49, -largest - step * 0.49], np.float32)
    assert_same(cast(just_inside, dtype, saturate=False).astype(np.float64), np.array([largest, -largest]))
    just_outside = np.array([largest + step * 0.51, -largest - step * 0.51], np.float32)
    assert_same(cast(just_outside, dtype, saturate=False).astype(np.float64), np.array([infinite, -infinite]))


#: x, saturated, not saturated: the tables of ONNX Cast-24, FLT_MAX written as 1e9.
FLOAT8_TABLE = [
    (0.0, 0.0, 0.0),
    (np.nan, np.nan, np.nan),
    (np.inf, 1e9, np.inf),
    (-np.inf, -1e9, -np.inf),
    (1e6, 1e9, np.inf),
    (-1e6, -1e9, -np.inf),
]


@pytest.mark.parametrize("dtype", FLOAT8)
@pytest.mark.parametrize("source", [np.float32, np.float16, np.float64, ml_dtypes.bfloat16])
def test_float8_special_values(dtype: Any, source: Any) -> None:
    with np.errstate(over="ignore"):
        x = np.array([row[0] for row in FLOAT8_TABLE]).astype(source)
    lowest, highest = finite_range(dtype)
    saturated = np.clip([row[1] for row in FLOAT8_TABLE], lowest, highest).astype(np.float32)
    unsaturated = np.array([row[2] for row in FLOAT8_TABLE], np.float32)
    if dtype != ml_dtypes.float8_e5m2:
        unsaturated[np.isinf(unsaturated)] = np.nan
    for version in (19, 21, 23, 24, 28):
        for saturate, expected in ((1, saturated), (0, unsaturated)):
            like = np.zeros((), dtype)
            for result in (
                kernel_outputs("Cast", version, x, to=code(dtype), saturate=saturate)[0],
                kernel_outputs("CastLike", version, x, like, saturate=saturate)[0],
            ):
                assert result.dtype == dtype
                assert_same(result.astype(np.float32), expected)
    minus_zero = cast(np.array(-0.0, source), dtype).astype(np.float32)
    assert np.signbit(minus_zero) == (dtype in (ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2))


@pytest.mark.parametrize("source", [np.int32, np.int64, np.uint8, np.bool_])
def test_float8_of_integers(source: Any) -> None:
    x = np.array([0, 1, 7, 200]).astype(source)
    for dtype in FLOAT8:
        assert_same(cast(x, dtype), cast(x.astype(np.float64), dtype))
    assert cast(np.array([10**6]), ml_dtypes.float8_e4m3fn).astype(np.float32)[0] == 448


def test_float4_and_float6_saturate() -> None:
    x = np.array([np.inf, -np.inf, 1e6, -1e6], np.float32)
    for dtype, largest in zip(NO_NAN, (6, 7.5, 28), strict=True):
        expected = np.array([largest, -largest, largest, -largest], np.float32)
        assert_same(cast(x, dtype).astype(np.float32), expected)


@pytest.mark.parametrize("source", [np.float32, np.float64])
def test_float8e8m0_rounds_powers_of_two(source: Any) -> None:
    x = np.array([1, 1.25, 1.5, 1.75, 2, 3, 5, 2**-120, 1.1 * 2.0**100], source)
    rounded = {
        "up": [1, 2, 2, 2, 2, 4, 8, 2**-120, 2.0**101],
        "down": [1, 1, 1, 1, 2, 2, 4, 2**-120, 2.0**100],
        "nearest": [1, 1, 2, 2, 2, 4, 4, 2**-120, 2.0**100],
    }
    for mode, expected in rounded.items():
        for saturate in (0, 1):
            result = kernel_outputs("Cast", 24, x, to=code(E8M0), round_mode=mode, saturate=saturate)[0]
            assert_same(result.astype(np.float64), np.array(expected, np.float64), rtol=0, atol=0)
            like = kernel_outputs("CastLike", 24, x, np.ones(1, E8M0), round_mode=mode, saturate=saturate)[0]
            assert_same(like.astype(np.float64), np.array(expected, np.float64), rtol=0, atol=0)


def test_float8e8m0_beyond_its_range() -> None:
    x = np.array([0.0, np.nan, np.inf, 2.0**128, 2.0**-130, 2.0**-127, 2.0**127])
    lowest, highest = 2.0**-127, 2.0**127
    for mode in ("up", "down", "nearest"):
        saturated = cast(x, E8M0, round_mode=mode).astype(np.float64)
        assert_same(saturated, np.array([lowest, np.nan, highest, highest, lowest, lowest, highest]), rtol=0, atol=0)
        result = cast(x, E8M0, saturate=False, round_mode=mode).astype(np.float64)
        assert_same(result, np.array([np.nan] * 5 + [lowest, highest]), rtol=0, atol=0)
    with pytest.raises(ValueError, match="up, nearest, down, got 'even'"):
        cast(x, E8M0, round_mode="even")


@pytest.mark.parametrize(("dtype", "bits"), [("int4", 4), ("uint4", 4), ("int2", 2), ("uint2", 2)])
def test_small_integers_round_floats_and_keep_the_low_bits(dtype: str, bits: int) -> None:
    target = np.dtype(getattr(ml_dtypes, dtype))

    def wrapped(value: int) -> int:
        value %= 2**bits
        return value - 2**bits if dtype.startswith("int") and value >= 2 ** (bits - 1) else value

    x = np.array([-300.0, -9.4, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 7.5, 8.0, 100.0])
    expected = np.array([wrapped(round(value)) for value in x], np.int64)
    for source in (np.float64, np.float32, np.float16, ml_dtypes.bfloat16):
        assert_same(cast(x.astype(source), target).astype(np.int64), expected)
    integers = np.arange(-20, 20)
    expected = np.array([wrapped(int(value)) for value in integers])
    for source in (np.int8, np.int32, np.int64):
        assert_same(cast(integers.astype(source), target).astype(np.int64), expected)


@pytest.mark.parametrize("source", ["int4", "uint4", "int2", "uint2"])
@pytest.mark.parametrize("target", ["int4", "uint4", "int2", "uint2"])
def test_small_integers_convert_into_each_other(source: str, target: str) -> None:
    x = np.arange(2 ** int(source[-1]), dtype=np.uint8).view(getattr(ml_dtypes, source))
    expected = cast(x.astype(np.int64), getattr(ml_dtypes, target))
    assert_same(cast(x, getattr(ml_dtypes, target)), expected)


@pytest.mark.parametrize("opset", [6, 9, 13, 19, 21])
@pytest.mark.parametrize("source", COMMON)
def test_common_types_match_onnxruntime(opset: int, source: Any) -> None:
    x = np.array([[0, 1, 2], [3, 100, 1]]).astype(source) + np.array(0.5 if np.dtype(source).kind == "f" else 0, source)
    version = onnx.defs.get_schema("Cast", opset).since_version
    for target in COMMON:
        model = node_model("Cast", [x], opset=opset, to=code(target))
        assert_same(kernel_outputs("Cast", version, x, to=code(target)), onnxruntime_outputs(model, [x]))


@few
@given(
    x=npst.arrays(
        np.int64, npst.array_shapes(min_dims=0, min_side=0, max_side=4), elements=st.integers(-(2**62), 2**62)
    )
)
def test_integers_out_of_range_keep_the_low_bits(x: Any) -> None:
    for target in (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.uint64):
        model = node_model("Cast", [x], opset=13, to=code(target))
        assert_same(kernel_outputs("Cast", 13, x, to=code(target)), onnxruntime_outputs(model, [x]))


def test_floats_out_of_range_become_infinite_and_nan_is_true() -> None:
    x = np.array([1e300, -1e300, np.nan, np.inf, -0.0, 1e-300])
    for target in (np.float16, np.float32, ml_dtypes.bfloat16):
        result = kernel_outputs("Cast", 13, x, to=code(target))[0]
        assert_same(result.astype(np.float64), np.array([np.inf, -np.inf, np.nan, np.inf, -0.0, 0]))
    assert kernel_outputs("Cast", 13, x, to=code(np.bool_))[0].tolist() == [True, True, True, True, False, True]
    assert kernel_outputs("Cast", 13, np.array([70000]), to=code(np.float16))[0][0] == np.inf


@pytest.mark.parametrize("source", [*COMMON, np.uint16, np.uint64])
def test_numbers_to_strings_match_onnxruntime(source: Any) -> None:
    x = np.array([[0, 1, 100], [7, 99, 5]]).astype(source)
    if np.dtype(source).kind == "f":
        with np.errstate(over="ignore"):
            x = np.array([0.1, 1, -0.0, 1e-7, 1e20, 123456789, 3.14159265358979, 314.15926, np.nan, np.inf, -np.inf])
            x = x.astype(source)
    model = node_model("Cast", [x], opset=13, to=code(object))
    assert_same(kernel_outputs("Cast", 13, x, to=code(object)), onnxruntime_outputs(model, [x]))


def test_narrow_numbers_to_strings() -> None:
    for dtype in (ml_dtypes.bfloat16, *FLOAT8, *NO_NAN):
        assert cast(np.array([1.5, -2]).astype(dtype), object).tolist() == ["1.5", "-2"]
    assert cast(np.array([-2, 1], np.int8).astype(ml_dtypes.int2), object).tolist() == ["-2", "1"]


@pytest.mark.parametrize("target", [np.float16, np.float32, np.float64])
def test_strings_to_floats_match_onnxruntime(target: Any) -> None:
    x = np.array([["3.14", "1000", "1e-5"], ["-1E8", "+INF", "-inf"], ["INF", "NaN", "nan"]], object)
    model = node_model("Cast", [x], opset=13, to=code(target))
    assert_same(kernel_outputs("Cast", 13, x, to=code(target)), onnxruntime_outputs(model, [x]))


@pytest.mark.parametrize("target", [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint32, np.uint64, np.bool_])
def test_strings_to_integers_match_onnxruntime(target: Any) -> None:
    x = np.array([["100", "-7"], ["0", "1"]], object)
    model = node_model("Cast", [x], opset=13, to=code(target))
    assert_same(kernel_outputs("Cast", 13, x, to=code(target)), onnxruntime_outputs(model, [x]))


def test_strings_to_other_types() -> None:
    assert_same(cast(np.array(["100.5", "9223372036854775807"], object), np.int64), np.array([100, 2**63 - 1]))
    assert_same(cast(np.array(["18446744073709551615"], object), np.uint64), np.array([2**64 - 1], np.uint64))
    for dtype in (ml_dtypes.bfloat16, *FLOAT8, ml_dtypes.float4_e2m1fn, ml_dtypes.int4):
        assert cast(np.array(["1.0", "-2"], object), dtype).astype(np.float32).tolist() == [1, -2]
    assert cast(np.empty((2, 0), object), np.float32).shape == (2, 0)
    assert cast(np.array("5", object), np.int32).shape == ()


@pytest.mark.parametrize(("text", "target"), [("Hello World!", np.float32), ("", np.int64), ("INF", np.int32)])
def test_strings_that_are_no_numbers_are_refused(text: str, target: Any) -> None:
    with pytest.raises(ValueError, match=f"got {text!r}"):
        cast(np.array([text], object), target)


def test_numbers_survive_a_string_and_back() -> None:
    x = np.array([0.25, -1e10, 12345.5, 1e-20])
    assert_same(cast(cast(x, object), np.float64), x)


def test_version_1_names_the_type() -> None:
    x = np.array([1.5, -2.7, 0])
    assert_same(kernel_outputs("Cast", 1, x, to="FLOAT")[0], x.astype(np.float32))
    assert_same(kernel_outputs("Cast", 1, x, to="INT64")[0], np.array([1, -2, 0]))
    assert_same(kernel_outputs("Cast", 1, x, to="BOOL")[0], np.array([True, True, False]))
    with pytest.raises(ValueError, match="got 'FLOATING'"):
        kernel_outputs("Cast", 1, x, to="FLOATING")


def test_cast_like_takes_only_the_type_of_its_target() -> None:
    x = np.array([[1.9, -1.9]], np.float32)
    for version in (15, 19, 24):
        assert_same(kernel_outputs("CastLike", version, x, np.zeros((0, 3), np.int8))[0], np.array([[1, -1]], np.int8))
        assert kernel_outputs("CastLike", version, x, np.array("", object))[0].tolist() == [["1.9", "-1.9"]]


def test_inputs_may_be_strided_and_are_not_changed() -> None:
    base = np.linspace(-1000, 1000, 48, dtype=np.float32).reshape(6, 8)
    base.flags.writeable = False
    for row in NUMERIC:
        for saturate in (False, True):
            expected = cast(base.T[::2].copy(), row.dtype, saturate=saturate)
            assert_same(cast(base.T[::2], row.dtype, saturate=saturate), expected)


WIDTHS = {row.dtype: row.bits for row in ELEMENT_TYPES if row.bits and row.onnx != "bool" and row.bits != 6}


@pytest.mark.parametrize("source", WIDTHS, ids=str)
def test_bit_cast_keeps_the_bits(source: Any) -> None:
    rng = np.random.default_rng(0)
    bits = WIDTHS[source]
    raw = rng.integers(0, 2 ** min(bits, 8), (3, 2, max(bits, 8) // 8), dtype=np.uint8)
    x = raw.view(source).reshape(3, 2)
    for target, width in WIDTHS.items():
        if width != bits:
            with pytest.raises(ValueError, match="same width"):
                kernel_outputs("BitCast", 26, x, to=code(target))
            continue
        result = kernel_outputs("BitCast", 26, x, to=code(target))[0]
        assert result.dtype == target
        assert np.ascontiguousarray(result).tobytes() == raw.tobytes()
        assert kernel_outputs("BitCast", 26, x.T[::-1], to=code(target))[0].shape == (2, 3)
    with pytest.raises(ValueError, match="same width"):
        kernel_outputs("BitCast", 26, x, to=code(object))


def test_bit_cast_of_known_patterns() -> None:
    one = kernel_outputs("BitCast", 26, np.array(1.0, np.float32), to=code(np.uint32))[0]
    assert int(one) == 0x3F800000
    nibbles = np.array([-1, -8, 7], np.int8).astype(ml_dtypes.int4)
    assert kernel_outputs("BitCast", 26, nibbles, to=code(ml_dtypes.uint4))[0].astype(int).tolist() == [15, 8, 7]
    assert kernel_outputs("BitCast", 26, nibbles, to=code(ml_dtypes.float4_e2m1fn))[0].astype(float).tolist() == [
        -6,
        -0.0,
        6,
    ]
