"""ONNX's element types: their codes, names, NumPy dtypes and widths (onnx.proto, TensorProto.DataType)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np


@dataclass(frozen=True, slots=True)
class ElementType:
    """One row of the table: ``ElementType(1, "FLOAT", "float", dtype('float32'), 32)``."""

    code: int
    name: str
    onnx: str
    dtype: np.dtype[Any]
    bits: int

    def __repr__(self) -> str:
        return self.onnx


def _row(code: int, name: str, onnx: str, scalar: Any, bits: int) -> ElementType:
    return ElementType(code, name, onnx, np.dtype(scalar), bits)


ELEMENT_TYPES: tuple[ElementType, ...] = (
    _row(1, "FLOAT", "float", np.float32, 32),
    _row(2, "UINT8", "uint8", np.uint8, 8),
    _row(3, "INT8", "int8", np.int8, 8),
    _row(4, "UINT16", "uint16", np.uint16, 16),
    _row(5, "INT16", "int16", np.int16, 16),
    _row(6, "INT32", "int32", np.int32, 32),
    _row(7, "INT64", "int64", np.int64, 64),
    _row(8, "STRING", "string", np.object_, 0),
    _row(9, "BOOL", "bool", np.bool_, 8),
    _row(10, "FLOAT16", "float16", np.float16, 16),
    _row(11, "DOUBLE", "double", np.float64, 64),
    _row(12, "UINT32", "uint32", np.uint32, 32),
    _row(13, "UINT64", "uint64", np.uint64, 64),
    _row(14, "COMPLEX64", "complex64", np.complex64, 64),
    _row(15, "COMPLEX128", "complex128", np.complex128, 128),
    _row(16, "BFLOAT16", "bfloat16", ml_dtypes.bfloat16, 16),
    _row(17, "FLOAT8E4M3FN", "float8e4m3fn", ml_dtypes.float8_e4m3fn, 8),
    _row(18, "FLOAT8E4M3FNUZ", "float8e4m3fnuz", ml_dtypes.float8_e4m3fnuz, 8),
    _row(19, "FLOAT8E5M2", "float8e5m2", ml_dtypes.float8_e5m2, 8),
    _row(20, "FLOAT8E5M2FNUZ", "float8e5m2fnuz", ml_dtypes.float8_e5m2fnuz, 8),
    _row(21, "UINT4", "uint4", ml_dtypes.uint4, 4),
    _row(22, "INT4", "int4", ml_dtypes.int4, 4),
    _row(23, "FLOAT4E2M1", "float4e2m1", ml_dtypes.float4_e2m1fn, 4),
    _row(24, "FLOAT8E8M0", "float8e8m0", ml_dtypes.float8_e8m0fnu, 8),
    _row(25, "UINT2", "uint2", ml_dtypes.uint2, 2),
    _row(26, "INT2", "int2", ml_dtypes.int2, 2),
    _row(27, "FLOAT6E2M3", "float6e2m3", ml_dtypes.float6_e2m3fn, 6),
    _row(28, "FLOAT6E3M2", "float6e3m2", ml_dtypes.float6_e3m2fn, 6),
)

_BY_CODE = {row.code: row for row in ELEMENT_TYPES}
_BY_DTYPE = {row.dtype: row for row in ELEMENT_TYPES}

#: Floats that arithmetic widens to float32: their own rounding after every step would lose what the result can hold.
NARROW_FLOATS = frozenset(row.dtype for row in ELEMENT_TYPES if "float" in row.onnx and row.bits < 32)


def element_type(code_or_dtype: Any) -> ElementType:
    """The row for a TensorProto.DataType code or for a NumPy dtype.

    Raises:
        ValueError: No element type of ONNX has that code or dtype.
    """
    if isinstance(code_or_dtype, int):
        row = _BY_CODE.get(code_or_dtype)
    else:
        dtype = np.dtype(code_or_dtype)
        row = _BY_CODE[8] if dtype.kind in "OUTS" else _BY_DTYPE.get(dtype)
    if row is None:
        raise ValueError(f"{code_or_dtype!r} is not an element type of ONNX")
    return row


def dtype_of(code: int) -> np.dtype[Any]:
    """The NumPy dtype for a TensorProto.DataType code, as the attributes ``to`` and ``dtype`` carry it."""
    return element_type(int(code)).dtype
