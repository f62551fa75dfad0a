"""Conversion of a tensor to another element type, by value or by bits."""

from __future__ import annotations

import numpy as np

from onnxlite.kernels import casting
from onnxlite.kernels.arrays import Array
from onnxlite.kernels.dtypes import ELEMENT_TYPES, dtype_of, element_type
from onnxlite.kernels.numpy.table import op


@op("Cast", since=24)
def cast(x: Array, *, to: int, saturate: int = 1, round_mode: str = "up") -> Array:
    """The values of ``x`` in the element type ``to``; `onnxlite.kernels.casting.cast` has the rules (ONNX Cast-28)."""
    return casting.cast(x, dtype_of(to), saturate=bool(saturate), round_mode=round_mode)


@op("Cast", since=19, until=23)
def cast_19(x: Array, *, to: int, saturate: int = 1) -> Array:
    """Cast before float8e8m0 and its ``round_mode`` (ONNX Cast-19)."""
    return cast(x, to=to, saturate=saturate)


@op("Cast", since=6, until=13)
def cast_6(x: Array, *, to: int) -> Array:
    """Cast before the float8 types (ONNX Cast-13)."""
    return cast(x, to=to)


@op("Cast", since=1, until=1)
def cast_1(x: Array, *, to: str) -> Array:
    """Cast to a type given by its name in TensorProto.DataType, such as "FLOAT" (ONNX Cast-1)."""
    codes = {row.name: row.code for row in ELEMENT_TYPES}
    if to.upper() not in codes:
        raise ValueError(f"to must be the name of an element type, such as FLOAT, got {to!r}")
    return cast(x, to=codes[to.upper()])


@op("CastLike", since=24)
def cast_like(x: Array, target: Array, *, saturate: int = 1, round_mode: str = "up") -> Array:
    """The values of ``x`` in the element type of ``target`` (ONNX CastLike-25)."""
    return casting.cast(x, target.dtype, saturate=bool(saturate), round_mode=round_mode)


@op("CastLike", since=19, until=23)
def cast_like_19(x: Array, target: Array, *, saturate: int = 1) -> Array:
    """CastLike before float8e8m0 and its ``round_mode`` (ONNX CastLike-19)."""
    return cast_like(x, target, saturate=saturate)


@op("CastLike", since=15, until=15)
def cast_like_15(x: Array, target: Array) -> Array:
    """CastLike before the float8 types (ONNX CastLike-15)."""
    return cast_like(x, target)


@op("BitCast", since=26)
def bit_cast(x: Array, *, to: int) -> Array:
    """The same bits read as the element type ``to``, which has the same width (ONNX BitCast-26)."""
    source, target = element_type(x.dtype), element_type(int(to))
    if source.bits != target.bits or not target.bits:
        raise ValueError(f"BitCast needs two types of the same width, got {source} and {target}")
    if target.bits < 8:
        # A byte holds one element here; only its low bits count.
        x = x.view(np.uint8) & ((1 << target.bits) - 1)
    return x.view(target.dtype)
