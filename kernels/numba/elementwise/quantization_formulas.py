"""What QuantizeLinear and DequantizeLinear compute for one element, where one scale serves all: for what a formula is,
see `formula`.
"""

from __future__ import annotations

import numpy as np

from onnxlite.kernels.dtypes import dtype_of
from onnxlite.kernels.numba.elementwise.formula import formula
from onnxlite.kernels.numba.elementwise.term import Term, require, where

_FLOAT32, _INT32, _UINT8 = np.dtype(np.float32), np.dtype(np.int32), np.dtype(np.uint8)
_QUANTIZED = frozenset(map(np.dtype, (np.uint8, np.int8, np.uint16, np.int16)))


@formula("DequantizeLinear", since=10)
def dequantize(
    x: Term, scale: Term, zero_point: Term | None = None, *, axis: int = 1, block_size: int = 0, output_dtype: int = 0
) -> Term:
    """``(x - zero_point) * scale``."""
    require(x.dtype in _QUANTIZED and scale.dtype == _FLOAT32, "only integers of 8 and 16 bits to float32 are compiled")
    require(output_dtype in (0, 1), "only a result of float32 is compiled")
    # Such integers and their differences are exact in float32.
    moved = x.cast(_FLOAT32)
    if zero_point is not None:
        moved = moved - zero_point.cast(_FLOAT32)
    return moved * scale


@formula("QuantizeLinear", since=10)
def quantize(
    x: Term,
    scale: Term,
    zero_point: Term | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
    precision: int = 0,
    saturate: int = 1,
) -> Term:
    """``saturate(rint(x / scale) + zero_point)``; NaN becomes the lowest."""
    dtype = zero_point.dtype if zero_point is not None else dtype_of(output_dtype) if output_dtype else _UINT8
    require(x.dtype == scale.dtype == _FLOAT32 and precision in (0, 1), "only float32 is quantized in compiled kernels")
    require(dtype in _QUANTIZED, "only integers of 8 and 16 bits are compiled")
    scaled, limits = x / scale, np.iinfo(dtype)
    low, high = scaled.coerced(float(limits.min)), scaled.coerced(float(limits.max))
    if zero_point is not None:
        low, high = low - zero_point.cast(_FLOAT32), high - zero_point.cast(_FLOAT32)
    # The limits are integers: it does not matter that numbers are rounded within them only.
    scaled = where(scaled > low, scaled, low)
    rounded = where(scaled < high, scaled, high).call("rint").cast(_INT32)
    return (rounded if zero_point is None else rounded + zero_point.cast(_INT32)).cast(dtype)
