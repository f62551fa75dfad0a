"""Linear quantization, ``real = (quantized - zero_point) * scale``: the arithmetic that its operators share."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from onnxlite.kernels.arrays import Array, array_namespace
from onnxlite.kernels.axes import normalize_axis
from onnxlite.kernels.casting import cast, finite_range, is_float

_FLOAT8E8M0 = np.dtype(ml_dtypes.float8_e8m0fnu)
#: Up to this many products of two 8-bit integers, zero points subtracted, have an exact sum in float32.
_EXACT_IN_FLOAT32 = 2**24 // 255**2


def spread(parameter: Array, shape: tuple[int, ...], axis: int, block_size: int = 0) -> Array:
    """A scale or zero point, shaped so that it broadcasts against the tensor that it belongs to.

    Args:
        parameter: One element for the whole tensor, a vector with one for each index of an axis, or a tensor with one
            for each block of ``block_size`` elements along that axis.
        shape: The tensor's shape.
        axis: The axis of the vector or the blocks.
        block_size: The size of the blocks; 0 means none.

    Raises:
        ValueError: The parameter's shape is none of these.
    """
    if parameter.size == 1:
        return parameter.reshape(())
    axis = normalize_axis(axis, len(shape))
    dim = shape[axis]
    if block_size == 0:
        if parameter.shape != (dim,):
            raise ValueError(f"expected one scale or {dim}, for axis {axis} of {shape}, got shape {parameter.shape}")
        return parameter.reshape([-1 if d == axis else 1 for d in range(len(shape))])
    blocks = -(-dim // block_size) if block_size > 0 else 0
    expected = (*shape[:axis], blocks, *shape[axis + 1 :])
    if parameter.shape != expected:
        raise ValueError(f"expected shape {expected} for blocks of {block_size} in {shape}, got {parameter.shape}")
    repeated = array_namespace(parameter).repeat(parameter, block_size, axis=axis)
    return repeated[(slice(None),) * axis + (slice(dim),)]


def ratio(x: Array, scale: Array, precision: Any = None) -> Array:
    """``x / scale``, both converted to the type ``precision``, by default the scale's, and divided in it.

    An integer or an exponent alone (float8e8m0) is no type to divide in: float64 stands for the one, which keeps every
    tie between integers, and the type of ``x`` for the other.
    """
    dtype = np.dtype(scale.dtype if precision is None else precision)
    if dtype == _FLOAT8E8M0:
        dtype = x.dtype if is_float(x.dtype) else np.dtype(np.float32)
    if not is_float(dtype):
        dtype = np.dtype(np.float64)
    return x.astype(dtype, copy=False) / scale.astype(dtype, copy=False)


def saturated(scaled: Array, zero_point: Array | None, dtype: Any, *, saturate: bool = True) -> Array:
    """Real numbers in units of the scale as quantized ones: rounded, moved by the zero point, held in the type's range.

    Integers are rounded to nearest, ties to even, before the zero point is added; NaN becomes the lowest.  To the small
    floats the sum is rounded, and ``saturate`` says whether a float8 beyond the range is the largest value.
    """
    xp = array_namespace(scaled)
    if scaled.dtype not in (np.float32, np.float64):
        scaled = scaled.astype(np.float32)
    if is_float(dtype):
        moved = scaled if zero_point is None else scaled + zero_point.astype(scaled.dtype)
        return cast(moved, dtype, saturate=saturate)
    lowest, highest = finite_range(dtype)
    moved = xp.rint(scaled)
    if zero_point is not None:
        moved = moved + zero_point.astype(scaled.dtype)
    return xp.clip(xp.fmax(moved, lowest), None, highest).astype(dtype)


def dequantized(x: Array, scale: Array, zero_point: Array | None, dtype: Any) -> Array:
    """The real numbers ``(x - zero_point) * scale``, computed in float32 and rounded once to ``dtype``."""
    return (centred(x, zero_point, np.float32) * scale.astype(np.float32)).astype(dtype)


def centred(x: Array, zero_point: Array | None, dtype: Any) -> Array:
    """``x - zero_point`` in a float type that holds the difference exactly, unless ``x`` is a 32-bit integer."""
    if zero_point is None:
        return x.astype(dtype)
    if x.dtype == np.int32:
        return (x - zero_point).astype(dtype)
    return x.astype(dtype) - zero_point.astype(dtype)


def integer_product(a: Array, a_zero_point: Array | None, b: Array, b_zero_point: Array | None) -> Array:
    """The matrix product of 8-bit integers less their zero points, in int32, where a sum may wrap.

    It is computed in floating point, where it is exact, because matrix libraries are fast for floats only.
    """
    working = np.float32 if a.shape[-1] <= _EXACT_IN_FLOAT32 else np.float64
    product = array_namespace(a).matmul(centred(a, a_zero_point, working), centred(b, b_zero_point, working))
    return product.astype(np.int64).astype(np.int32)
