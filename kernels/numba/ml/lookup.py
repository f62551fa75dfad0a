"""LabelEncoder and OneHotEncoder of numbers (ai.onnx.ml): each element is looked up among keys."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.refusal import declines_errors
from onnxlite.kernels.numba.spec import FLOAT32, ArraySpec, Bound, Declined, Input, Output, Pool
from onnxlite.kernels.numba.table import op
from onnxlite.kernels.numpy.ml_preprocess import chosen_vector
from onnxlite.kernels.numpy.ml_scores import ML

Floats = Sequence[float]
Ints = Sequence[int]
Strings = Sequence[str]

#: The elements in a piece of work, about.
_PIECE = 1 << 12

_NUMBERS = frozenset(map(np.dtype, (np.float32, np.float64, np.int32, np.int64)))


@jit
def _place(keys, key):  # type: ignore[no-untyped-def]
    """The place of a key among sorted, distinct ones, of which NaN is the last; -1 if it is not there."""
    low, high = 0, keys.size
    while low < high:
        middle = (low + high) // 2
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    if low < keys.size and keys[low] == key:
        return low
    if key != key and keys.size and keys[keys.size - 1] != keys[keys.size - 1]:
        return keys.size - 1
    return -1


@jit
def _look_up(start, stop, thread, x, keys, values, y):  # type: ignore[no-untyped-def]
    for i in range(start, stop):
        y[i] = values[_place(keys, x[i])]  # the last value is the default


@jit
def look_up(pool, x, keys, values, y):  # type: ignore[no-untyped-def]
    """The value beside each element's key."""
    parallel_for(pool, _look_up, (x, keys, values, y), x.size, _PIECE)


@op("LabelEncoder", since=4, domain=ML)
@declines_errors
def label_encoder(
    x: ArraySpec,
    *,
    default_float: float = -0.0,
    default_int64: int = -1,
    default_string: str = "_Unused",
    default_tensor: Array | None = None,
    keys_floats: Floats | None = None,
    keys_int64s: Ints | None = None,
    keys_strings: Strings | None = None,
    keys_tensor: Array | None = None,
    values_floats: Floats | None = None,
    values_int64s: Ints | None = None,
    values_strings: Strings | None = None,
    values_tensor: Array | None = None,
) -> Bound | Declined:
    """The value of each key, the default elsewhere; the last of equal keys counts (ai.onnx.ml LabelEncoder-4)."""
    if keys_strings or values_strings:
        return Declined("strings are not compiled")
    keys = chosen_vector("keys", keys_floats, keys_int64s, None, keys_tensor)
    values = chosen_vector("values", values_floats, values_int64s, None, values_tensor)
    if default_tensor is not None and values_tensor is not None:
        default = default_tensor.reshape(-1)[0]
    else:
        default = default_float if values.dtype.kind == "f" else default_int64
    return _bind_look_up(x, keys[::-1], values[::-1], default)


@op("LabelEncoder", since=2, until=2, domain=ML)
@declines_errors
def label_encoder_2(
    x: ArraySpec,
    *,
    default_float: float = -0.0,
    default_int64: int = -1,
    default_string: str = "_Unused",
    keys_floats: Floats | None = None,
    keys_int64s: Ints | None = None,
    keys_strings: Strings | None = None,
    values_floats: Floats | None = None,
    values_int64s: Ints | None = None,
    values_strings: Strings | None = None,
) -> Bound | Declined:
    """The value of each key, the default elsewhere; the first of equal keys counts (ai.onnx.ml LabelEncoder-2)."""
    if keys_strings or values_strings:
        return Declined("strings are not compiled")
    keys = chosen_vector("keys", keys_floats, keys_int64s, None, None)
    values = chosen_vector("values", values_floats, values_int64s, None, None)
    return _bind_look_up(x, keys, values, default_float if values.dtype.kind == "f" else default_int64)


def _bind_look_up(x: ArraySpec, keys: Array, values: Array, default: float) -> Bound | Declined:
    """The call of `look_up`; the first of equal keys counts."""
    if keys.dtype != x.dtype or not {keys.dtype, values.dtype} <= _NUMBERS or len(keys) != len(values):
        return Declined(f"encoding {x.dtype} by keys of {keys.dtype} and values of {values.dtype} is not compiled")
    distinct, first = np.unique(keys, return_index=True)
    table = np.append(values[first], np.array([default], values.dtype))
    arguments = (Pool(), Input(0, flat=True), distinct, table, Output(flat=True))
    return Bound(look_up, arguments, (ArraySpec(x.shape, values.dtype),))


@jit
def _is_known(categories, number):  # type: ignore[no-untyped-def]
    known = False
    for category in range(categories.size):
        known |= categories[category] == number
    return known


@jit
def _encode(start, stop, thread, x, categories, y):  # type: ignore[no-untyped-def]
    count = categories.size
    for i in range(start, stop):
        number, missing = np.int64(x[i]), True
        for category in range(count):
            found = missing & (categories[category] == number)
            y[i * count + category] = np.float32(found)
            missing &= not found


@jit
def encode(pool, x, categories, y, zeros, piece):  # type: ignore[no-untyped-def]
    """A 1 at each element's category."""
    if not zeros:
        for i in range(x.size):
            if not _is_known(categories, np.int64(x[i])):
                raise ValueError("expected elements of the categories, got another")
    parallel_for(pool, _encode, (x, categories, y), x.size, piece)


@op("OneHotEncoder", domain=ML)
def one_hot_encoder(
    x: ArraySpec, *, cats_int64s: Ints | None = None, cats_strings: Strings | None = None, zeros: int = 1
) -> Bound | Declined:
    """A 1 at the category of each element along a new last axis; numbers are cut to integers (OneHotEncoder-1)."""
    if x.dtype not in _NUMBERS or not cats_int64s:
        return Declined(f"encoding {x.dtype} by categories that are not integers is not compiled")
    categories = np.array(cats_int64s, np.int64)
    arguments = (Pool(), Input(0, flat=True), categories, Output(flat=True), int(zeros))
    outputs = (ArraySpec((*x.shape, len(categories)), FLOAT32),)
    return Bound(encode, (*arguments, max(1, _PIECE // len(categories))), outputs)
