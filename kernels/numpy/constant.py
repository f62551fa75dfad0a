"""The operators that make tensors from attributes, shapes and bounds: Constant, ConstantOfShape, EyeLike, Range."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from onnxlite.kernels.arrays import Array, array_namespace
from onnxlite.kernels.dtypes import NARROW_FLOATS, dtype_of
from onnxlite.kernels.numpy.table import op


@op("Constant", since=12)
def constant(
    *,
    sparse_value: Array | None = None,
    value: Array | None = None,
    value_float: float | None = None,
    value_floats: Sequence[float] | None = None,
    value_int: int | None = None,
    value_ints: Sequence[int] | None = None,
    value_string: str | None = None,
    value_strings: Sequence[str] | None = None,
) -> Array:
    """The tensor, number(s) or string(s) of the one attribute that is given (ONNX Constant-12)."""
    typed = (
        (sparse_value, None),
        (value, None),
        (value_float, np.float32),
        (value_floats, np.float32),
        (value_int, np.int64),
        (value_ints, np.int64),
        (value_string, np.object_),
        (value_strings, np.object_),
    )
    given = [(content, dtype) for content, dtype in typed if content is not None]
    if len(given) != 1:
        raise ValueError(f"expected exactly one of the attributes value, sparse_value and value_*, got {len(given)}")
    content, dtype = given[0]
    return content if dtype is None else np.array(content, dtype)


@op("Constant", since=11, until=11)
def constant_11(*, sparse_value: Array | None = None, value: Array | None = None) -> Array:
    """The tensor of the one attribute that is given (ONNX Constant-11)."""
    return constant(sparse_value=sparse_value, value=value)


@op("Constant", since=1, until=9)
def constant_1(*, value: Array) -> Array:
    """The tensor of the attribute (ONNX Constant-1)."""
    return value


@op("ConstantOfShape", since=9)
def constant_of_shape(shape: Array, *, value: Array | None = None) -> Array:
    """A tensor of the given shape full of the one element of ``value``, or float32 zeros (ONNX ConstantOfShape-9)."""
    dims = shape.reshape(-1).tolist()
    if min(dims, default=0) < 0:
        raise ValueError(f"expected no negative dimension, got {dims}")
    xp = array_namespace(shape)
    if value is None:
        return xp.zeros(dims, np.float32)
    if value.size != 1:
        raise ValueError(f"expected a value of one element, got shape {value.shape}")
    return xp.full(dims, value.reshape(-1)[0], dtype=value.dtype)


@op("EyeLike", since=9)
def eye_like(x: Array, *, dtype: int | None = None, k: int = 0) -> Array:
    """A matrix of the shape of ``x``, ones on its k-th diagonal and zeros elsewhere (ONNX EyeLike-9)."""
    if x.ndim != 2:
        raise ValueError(f"expected a matrix, got shape {x.shape}")
    rows, columns = x.shape
    return array_namespace(x).eye(rows, columns, k=k, dtype=x.dtype if dtype is None else dtype_of(dtype))


@op("Range", since=27)
def range_(start: Array, limit: Array, delta: Array, *, stash_type: int = 1) -> Array:
    """The numbers ``start + i * delta`` before ``limit``; narrow floats computed in ``stash_type`` (ONNX Range-27)."""
    dtype = start.dtype
    working = dtype_of(stash_type) if dtype in NARROW_FLOATS else dtype
    first, last, step = (bound.reshape(-1)[0].astype(working) for bound in (start, limit, delta))
    steps = array_namespace(start).arange(_count(first, last, step)).astype(working)
    return (first + steps * step).astype(dtype)


@op("Range", since=11, until=11)
def range_11(start: Array, limit: Array, delta: Array) -> Array:
    """Range of numbers that are computed in their own type (ONNX Range-11)."""
    return range_(start, limit, delta)


def _count(first: Array, last: Array, step: Array) -> int:
    """How many steps lead from ``first`` to ``last``, exclusive: never less than none."""
    whole = first.dtype.kind in "iu"
    begin, end, by = (int(bound) if whole else float(bound) for bound in (first, last, step))
    if by == 0 or not all(map(math.isfinite, (begin, end, by))):
        raise ValueError(f"expected finite bounds and a delta other than 0, got {begin}, {end} and {by}")
    return max(int(-((begin - end) // by)) if whole else math.ceil((end - begin) / by), 0)
