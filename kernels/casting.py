"""Conversion between ONNX's element types: the arithmetic of Cast, shared with all that rounds to a narrow type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from onnxlite.kernels.arrays import Array, array_namespace
from onnxlite.kernels.dtypes import ELEMENT_TYPES, NARROW_FLOATS

_STRING = np.dtype(np.object_)
_FLOAT8E8M0 = np.dtype(ml_dtypes.float8_e8m0fnu)
#: The float8 types to which the attribute ``saturate`` applies, E8M0 apart.
_FLOAT8 = frozenset(row.dtype for row in ELEMENT_TYPES if row.onnx.startswith("float8")) - {_FLOAT8E8M0}
_SMALL_FLOATS = ("float8", "float6", "float4")
_SMALL_INTEGERS = frozenset(row.dtype for row in ELEMENT_TYPES if row.onnx in ("int2", "uint2", "int4", "uint4"))
#: Types between which there is no direct conversion; all their values are exact in float32.
_BYTE_OR_LESS = _SMALL_INTEGERS | frozenset(row.dtype for row in ELEMENT_TYPES if row.onnx[:6] in _SMALL_FLOATS)

#: Of a mantissa in [0.5, 1), whether the power of two above it is taken.
_E8M0_ROUNDS_UP: dict[str, Callable[[Array], Array]] = {
    "up": lambda mantissa: mantissa > 0.5,
    "nearest": lambda mantissa: mantissa >= 0.75,
    "down": lambda mantissa: mantissa > 1.0,
}


def cast(array: Array, dtype: Any, *, saturate: bool = True, round_mode: str = "up") -> Array:
    """The array with its values converted to another element type, as ONNX Cast-28 defines it.

    - To a float: round to nearest, ties to even; beyond the largest value infinity, or the largest value where the type
      has no infinity and no NaN (float6, float4).
    - To a float8: with ``saturate`` a value beyond the range, infinity too, becomes the largest value; without it,
      infinity or NaN.  NaN stays NaN.
    - To float8e8m0, the powers of two from 2**-127 to 2**127, by magnitude: ``round_mode`` is "up" (away from zero),
      "down" or "nearest" (ties up); a value beyond the range, 0 too, saturates or becomes NaN.
    - To an integer: a float loses its fraction, an integer keeps the bits that fit (200 in int16 is -56 in int8).
      To int4, uint4, int2 and uint2 a float is rounded to the nearest integer first, ties to even.
    - To bool: whether the value differs from zero.
    - To a string: the decimal integer, or eight significant digits as ``%.8g`` writes them, "NaN", "INF" and "-INF".
    - From a string: the number that it spells; "100.5" is the integer 100.

    Args:
        array: What to convert; strings are an object array.
        dtype: The NumPy dtype to convert to; ``object`` means strings.
        saturate: Only for the float8 types: the largest value in place of infinity or NaN.
        round_mode: Only for float8e8m0.

    Raises:
        ValueError: A string is not a number, or ``round_mode`` is unknown.
    """
    dtype = np.dtype(dtype)
    source = array.dtype
    if source == dtype:
        return array
    if source == _STRING:
        return cast(_parse(array, dtype), dtype, saturate=saturate, round_mode=round_mode)
    if dtype == _STRING:
        return _format(array)
    if source in _BYTE_OR_LESS and dtype in _BYTE_OR_LESS:
        array = array.astype(np.float32)
    if dtype == _FLOAT8E8M0:
        return _to_float8e8m0(array, saturate, round_mode)
    if dtype in _FLOAT8:
        return _to_float8(array, dtype, saturate)
    if dtype in _SMALL_INTEGERS:
        return _to_small_integer(array, dtype)
    return array.astype(dtype)


def finite_range(dtype: Any) -> tuple[Any, Any]:
    """The lowest and the highest finite value of a numeric type, as Python numbers."""
    if is_float(dtype):
        limits = ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]
        return float(limits.min), float(limits.max)
    integers = ml_dtypes.iinfo(dtype)  # type: ignore[no-untyped-call]
    return int(integers.min), int(integers.max)


def is_float(dtype: Any) -> bool:
    """Whether a dtype is a floating-point type, ml_dtypes' included."""
    dtype = np.dtype(dtype)
    return dtype.kind == "f" or dtype in NARROW_FLOATS


def _to_float8(array: Array, dtype: np.dtype[Any], saturate: bool) -> Array:
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float32)
    if saturate:
        array = array_namespace(array).clip(array, *finite_range(dtype))
    return array.astype(dtype)


def _to_float8e8m0(array: Array, saturate: bool, round_mode: str) -> Array:
    if round_mode not in _E8M0_ROUNDS_UP:
        raise ValueError(f"round_mode must be one of {', '.join(_E8M0_ROUNDS_UP)}, got {round_mode!r}")
    xp = array_namespace(array)
    magnitude = xp.abs(array.astype(np.float64))
    in_range = xp.clip(magnitude, 2.0**-127, 2.0**127)
    mantissa, exponent = xp.frexp(in_range)
    codes = exponent + 126 + _E8M0_ROUNDS_UP[round_mode](mantissa)
    nan = xp.isnan(magnitude) if saturate else magnitude != in_range
    return xp.where(nan, 255, codes).astype(np.uint8).view(_FLOAT8E8M0)


def _to_small_integer(array: Array, dtype: np.dtype[Any]) -> Array:
    if is_float(array.dtype):
        xp = array_namespace(array)
        # By way of int64, so that the bits beyond the type's width are dropped, not saturated.
        wide = array.astype(np.float32) if array.dtype in NARROW_FLOATS else array
        array = xp.rint(wide).astype(np.int64)
    return array.astype(dtype)


def _format(array: Array) -> Array:
    if is_float(array.dtype):
        wide = array.astype(np.float32) if array.dtype in NARROW_FLOATS else array
        texts = [_float_text(value) for value in wide.ravel().tolist()]
    else:
        texts = [str(int(value)) for value in array.ravel().tolist()]
    return np.array(texts, dtype=np.object_).reshape(array.shape)


def _float_text(value: float) -> str:
    text = f"{value:.8g}"
    return {"nan": "NaN", "inf": "INF", "-inf": "-INF"}.get(text, text)


def _parse(array: Array, dtype: np.dtype[Any]) -> Array:
    """The strings' values in the widest type of the kind of ``dtype``: float64, or 64 bits of an integer."""
    texts = array.ravel().tolist()
    if is_float(dtype):
        values = np.array([_number(text, float) for text in texts], dtype=np.float64)
    else:
        values = np.array([_number(text, _integer) & (2**64 - 1) for text in texts], dtype=np.uint64)
    return values.reshape(array.shape)


def _number(text: str, convert: Callable[[str], Any]) -> Any:
    try:
        return convert(text)
    except (ValueError, OverflowError):
        raise ValueError(f"a string to cast must spell a number that the type can hold, got {text!r}") from None


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return int(float(text))
