"""Values of one element type made to fit another: the same example, for every type that a schema allows.

The values keep their order and their zeros where they can; numbers that a type cannot hold are brought into its range.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from onnxlite.conformance.kinds import dtype_of_kind, is_float, split
from onnxlite.kernels.arrays import is_array


def recast(value: Any, kind: str) -> Any:
    """A value as one of the type ``kind``: its elements recast, containers put around it or taken off."""
    outer, inner = split(kind)
    if outer == "optional":
        return None if value is None else recast(value, inner)
    if outer == "seq":
        return [recast(element, inner) for element in (value if isinstance(value, list) else [value, value])]
    if isinstance(value, list):
        value = value[0]
    return np.asarray(_recast_array(np.asarray(value), dtype_of_kind(kind)))


def converted(value: Any, like: Any) -> Any:
    """Results of a wider evaluation rounded, wrapped or spelled as the types of ``like`` (same structure)."""
    if isinstance(value, list) and isinstance(like, list):
        return [converted(element, like[0] if like else element) for element in value]
    if not is_array(value) or not is_array(like) or value.dtype == like.dtype:
        return value
    if like.dtype == np.object_:
        return _decoded(value)
    if value.dtype.kind == "c" and like.dtype.kind != "c":
        return value
    with np.errstate(all="ignore"):
        return value.astype(like.dtype)


def _recast_array(array: Any, dtype: np.dtype[Any]) -> Any:
    if array.dtype == dtype:
        return array
    if array.dtype == np.object_:
        array = _from_text(array)
    if dtype == np.object_:
        return _as_text(_whole(array))
    if dtype == np.bool_:
        return array > 0
    if dtype.kind == "c":
        return array.astype(dtype) if array.dtype.kind == "c" else (array.astype(np.float64) * (1 + 0.5j)).astype(dtype)
    if array.dtype.kind == "c":
        array = array.real
    if is_float(dtype):
        return _as_float(array, dtype)
    return _as_integer(_whole(array), dtype)


def _whole(array: Any) -> Any:
    """Numbers as int64; fractions are spread first, so that they do not all become 0."""
    if array.dtype.kind == "c":
        array = array.real
    if not is_float(array.dtype):
        return array.astype(np.int64)
    wide = np.nan_to_num(array.astype(np.float64), nan=0.0, posinf=7.0, neginf=-7.0)
    return np.rint(wide if np.all(wide == np.rint(wide)) else wide * 3).astype(np.int64)


def _as_integer(whole: Any, dtype: np.dtype[Any]) -> Any:
    info = ml_dtypes.iinfo(dtype)  # type: ignore[no-untyped-call]
    if info.min == 0:
        whole = np.abs(whole)
    if dtype.itemsize < whole.itemsize:
        # The remainder keeps the sign and, other than a cut, the variety of the values.
        whole = np.where(np.abs(whole) > info.max, np.sign(whole) * (np.abs(whole) % (int(info.max) + 1)), whole)
    return whole.astype(dtype)


def _as_float(array: Any, dtype: np.dtype[Any]) -> Any:
    wide = array.astype(np.float64)
    if dtype == ml_dtypes.float8_e8m0fnu:  # powers of two, and nothing else
        wide = np.where(wide == 0, 1.0, np.abs(wide))
    largest = float(ml_dtypes.finfo(dtype).max)  # type: ignore[no-untyped-call]
    finite = wide[np.isfinite(wide)]
    if finite.size and np.abs(finite).max() > largest:
        wide = wide * (largest / np.abs(finite).max())
    return wide.astype(dtype)


def _as_text(array: Any) -> Any:
    text = np.empty(array.size, np.object_)
    text[:] = [str(element) for element in array.ravel().tolist()]
    return text.reshape(array.shape)


def _from_text(array: Any) -> Any:
    """A number for each text, 0 for the empty one, with which operators fill up: text in digits keeps its order."""
    try:
        numbers = [_code(text) for text in array.ravel()]
    except ValueError:
        return np.unique(array, return_inverse=True)[1].reshape(array.shape)
    return np.array(numbers, np.int64).reshape(array.shape)


def _code(text: str) -> int:
    number = int(text) if text else -1
    return number + 1 if number >= 0 or not text else number


def _decoded(array: Any) -> Any:
    text = np.empty(array.size, np.object_)
    text[:] = ["" if n == 0 else str(n - 1 if n > 0 else n) for n in array.ravel().tolist()]
    return text.reshape(array.shape)
