"""Features made ready for models: scaled, encoded, looked up, gathered (ai.onnx.ml)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array, array_namespace
from onnxlite.kernels.numpy.identity_cache import remembered
from onnxlite.kernels.numpy.lookup import finder
from onnxlite.kernels.numpy.ml_scores import ML
from onnxlite.kernels.numpy.table import op

Floats = Sequence[float]
Ints = Sequence[int]
Strings = Sequence[str]


@op("ArrayFeatureExtractor", domain=ML)
def array_feature_extractor(x: Array, y: Array) -> Array:
    """The elements at the positions ``y`` of the last axis; a vector gives one row (ArrayFeatureExtractor-1)."""
    if x.ndim == 0 or y.size == 0:
        raise ValueError(f"expected positions in a tensor with axes, got {y.size} positions and the shape {x.shape}")
    if not 0 <= int(y.min()) <= int(y.max()) < x.shape[-1]:
        raise IndexError(f"the positions must be in [0, {x.shape[-1] - 1}], got some from {y.min()} to {y.max()}")
    result = x[..., y.reshape(-1)]
    return result.reshape(1, -1) if x.ndim == 1 else result


@op("Binarizer", domain=ML)
def binarizer(x: Array, *, threshold: float = 0.0) -> Array:
    """1 where ``x > threshold``, else 0 (ai.onnx.ml Binarizer-1)."""
    return (x > threshold).astype(x.dtype)


@op("FeatureVectorizer", domain=ML)
def feature_vectorizer(*inputs: Array, inputdimensions: Ints | None = None) -> Array:
    """The features of all inputs side by side, each cut or filled with zeros to its size (FeatureVectorizer-1)."""
    xp = array_namespace(*inputs)
    rows = [x.reshape(1, -1) if x.ndim == 1 else x for x in inputs]
    sizes = inputdimensions or [x.shape[1] for x in rows]
    if len(sizes) != len(rows) or any(x.ndim != 2 or len(x) != len(rows[0]) for x in rows):
        raise ValueError(
            f"expected {len(sizes)} inputs of rank 1 or 2 for as many samples, got {[x.shape for x in inputs]}"
        )
    result = xp.zeros((len(rows[0]), sum(sizes)), dtype=np.float32)
    start = 0
    for x, size in zip(rows, sizes, strict=True):
        used = min(size, x.shape[1])
        result[:, start : start + used] = x[:, :used]
        start += size
    return result


@op("Imputer", domain=ML)
def imputer(
    x: Array,
    *,
    imputed_value_floats: Floats | None = None,
    imputed_value_int64s: Ints | None = None,
    replaced_value_float: float = 0.0,
    replaced_value_int64: int = 0,
) -> Array:
    """``x`` with one value (NaN too) replaced, by one value or by one per feature (ai.onnx.ml Imputer-1)."""
    xp = array_namespace(x)
    floats = x.dtype.kind == "f"
    values = imputed_value_floats if floats else imputed_value_int64s
    if not values or len(values) not in (1, x.shape[-1] if x.ndim else 1):
        kind, count = ("floats", "int64s")[not floats], len(values or ())
        raise ValueError(f"expected 1 or one per feature of imputed_value_{kind} for the shape {x.shape}, got {count}")
    replaced = replaced_value_float if floats else replaced_value_int64
    found = xp.isnan(x) if replaced != replaced else x == replaced
    return xp.where(found, xp.asarray(values, dtype=x.dtype), x)


@op("Normalizer", domain=ML)
def normalizer(x: Array, *, norm: str = "MAX") -> Array:
    """Each row divided by its maximum, sum of magnitudes or length, unless that is 0 (ai.onnx.ml Normalizer-1)."""
    xp = array_namespace(x)
    if norm not in ("MAX", "L1", "L2"):
        raise ValueError(f"norm must be MAX, L1 or L2, got {norm!r}")
    if x.size == 0:
        return x.astype(np.float32)
    if norm == "MAX":
        divisor = xp.max(x, axis=-1, keepdims=True)
    elif norm == "L1":
        divisor = xp.sum(xp.abs(x), axis=-1, keepdims=True)
    else:
        divisor = xp.sqrt(xp.sum(xp.square(x.astype(np.float64)), axis=-1, keepdims=True))
    return (x / xp.where(divisor == 0, 1, divisor)).astype(np.float32)


@op("OneHotEncoder", domain=ML, host=True)
def one_hot_encoder(
    x: Array, *, cats_int64s: Ints | None = None, cats_strings: Strings | None = None, zeros: int = 1
) -> Array:
    """A 1 at the category of each element along a new last axis; numbers are cut to integers (OneHotEncoder-1)."""
    categories = _array(cats_strings if x.dtype == object else cats_int64s, x.dtype == object)
    values = x if x.dtype == object else x.astype(np.int64)
    position = finder(categories, "first")(values)
    if not zeros and np.any(position < 0):
        raise ValueError(f"expected elements of the {len(categories)} categories, got {values[position < 0][0]!r}")
    return (position[..., None] == np.arange(len(categories))).astype(np.float32)


@op("Scaler", domain=ML)
def scaler(x: Array, *, offset: Floats | None = None, scale: Floats | None = None) -> Array:
    """``(x - offset) * scale``, each of them one number or one per feature (ai.onnx.ml Scaler-1)."""
    xp = array_namespace(x)
    wide = x if x.dtype == np.float32 else x.astype(np.float64)
    for name, values in (("offset", offset), ("scale", scale)):
        if values and len(values) not in (1, x.shape[-1] if x.ndim else 1):
            raise ValueError(f"expected 1 {name} or one per feature for the shape {x.shape}, got {len(values)}")
    shifted = wide - xp.asarray(offset, dtype=wide.dtype) if offset else wide
    return (shifted * xp.asarray(scale, dtype=wide.dtype) if scale else shifted).astype(np.float32)


@op("LabelEncoder", since=4, domain=ML, host=True)
def label_encoder(
    x: Array,
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
) -> Array:
    """The value of each key, the default elsewhere; the last of equal keys counts (ai.onnx.ml LabelEncoder-4)."""
    keys = chosen_vector("keys", keys_floats, keys_int64s, keys_strings, keys_tensor)
    values = chosen_vector("values", values_floats, values_int64s, values_strings, values_tensor)
    if default_tensor is not None and values_tensor is not None:
        default = default_tensor.reshape(-1)[0]
    else:
        default = {"f": default_float, "i": default_int64, "O": default_string}[values.dtype.kind]
    return _looked_up(x, keys, values, default, "last")


@op("LabelEncoder", since=2, until=2, domain=ML, host=True)
def label_encoder_2(
    x: Array,
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
) -> Array:
    """The value of each key, the default elsewhere; the first of equal keys counts (ai.onnx.ml LabelEncoder-2)."""
    keys = chosen_vector("keys", keys_floats, keys_int64s, keys_strings, None)
    values = chosen_vector("values", values_floats, values_int64s, values_strings, None)
    default = {"f": default_float, "i": default_int64, "O": default_string}[values.dtype.kind]
    return _looked_up(x, keys, values, default)


@op("LabelEncoder", since=1, until=1, domain=ML, host=True)
def label_encoder_1(
    x: Array, *, classes_strings: Strings | None = None, default_int64: int = -1, default_string: str = "_Unused"
) -> Array:
    """Strings as their positions in ``classes_strings``, or positions as strings (ai.onnx.ml LabelEncoder-1)."""
    strings = _array(classes_strings, True)
    if x.dtype == object:
        position = finder(strings, "first")(x)
        return np.where(position < 0, default_int64, position)
    known = (x >= 0) & (x < len(strings))
    return np.append(strings, default_string)[np.where(known, x, len(strings)), ...]


@op("CategoryMapper", domain=ML, host=True)
def category_mapper(
    x: Array,
    *,
    cats_int64s: Ints | None = None,
    cats_strings: Strings | None = None,
    default_int64: int = -1,
    default_string: str = "_Unused",
) -> Array:
    """Strings as the integers beside them in the categories, or integers as strings (ai.onnx.ml CategoryMapper-1)."""
    strings, integers = _array(cats_strings, True), _array(cats_int64s, False)
    if x.dtype == object:
        return _looked_up(x, strings, integers, default_int64)
    return _looked_up(x, integers, strings, default_string)


@remembered
def _array(values: Sequence[Any] | None, strings: bool) -> Array:
    return np.array(values if values is not None else (), dtype=object if strings else np.int64)


@remembered
def chosen_vector(
    what: str, floats: Floats | None, integers: Ints | None, strings: Strings | None, tensor: Any
) -> Array:
    """The one attribute of four that is given, as a vector of its type."""
    given = [
        np.array(values, dtype=dtype)
        for values, dtype in ((floats, np.float32), (integers, np.int64), (strings, object))
        if values is not None and len(values)
    ]
    if tensor is not None:
        given.append(tensor.reshape(-1))
    if len(given) != 1:
        raise ValueError(f"expected one of the attributes {what}_*, got {len(given)}")
    return given[0]


def _looked_up(x: Array, keys: Array, values: Array, default: Any, preferred: str = "first") -> Array:
    """For each element the value beside the first or last key that is equal to it, or the default."""
    if len(keys) != len(values):
        raise ValueError(f"expected as many keys as values, got {len(keys)} and {len(values)}")
    fallback = np.array([default], dtype=values.dtype)
    return np.concatenate([values, fallback])[finder(keys, preferred)(x), ...]


@op("ZipMap", domain=ML, host=True)
def zip_map(
    x: Array, *, classlabels_int64s: Ints | None = None, classlabels_strings: Strings | None = None
) -> list[dict[Any, float]]:
    """For each row the map from the labels to its elements, in the order of the sorted labels (ai.onnx.ml ZipMap-1)."""
    keys, order = _sorted_labels(classlabels_strings or classlabels_int64s)
    rows = x.reshape(1, -1) if x.ndim == 1 else x
    if rows.ndim != 2 or rows.shape[1] != len(keys):
        raise ValueError(f"expected a column for each of {len(keys)} labels, got the shape {x.shape}")
    if order is not None:
        rows = rows[:, order]
    return [dict(zip(keys, row, strict=True)) for row in rows.tolist()]


@remembered
def _sorted_labels(labels: Sequence[Any] | None) -> tuple[list[Any], Array | None]:
    """The labels in their order, and the columns that they stand for; None for all columns as they are."""
    given = list(labels or ())
    order = sorted(range(len(given)), key=given.__getitem__)
    keys = [given[column] for column in order]
    return keys, None if keys == given else np.array(order, np.int64)


@op("DictVectorizer", domain=ML, host=True)
def dict_vectorizer(
    x: Mapping[Any, Any],
    *,
    int64_vocabulary: Ints | None = None,
    string_vocabulary: Strings | None = None,
    output_types: tuple[np.dtype[Any] | None, ...] = (None,),
) -> Array:
    """The values of a map in the order of the vocabulary, 0 or "" for those that it lacks (DictVectorizer-1)."""
    vocabulary = string_vocabulary or int64_vocabulary or ()
    dtype = (output_types[0] if output_types else None) or _value_type(x)
    nothing = "" if dtype.kind == "O" else 0
    return np.array([x.get(key, nothing) for key in vocabulary], dtype=dtype)


def _value_type(x: Mapping[Any, Any]) -> np.dtype[Any]:
    """The element type of a map's values: their own if they are NumPy scalars, else that of ONNX for Python's."""
    value = next(iter(x.values()), 0.0)
    python: dict[type, Any] = {str: np.object_, int: np.int64, float: np.float32}
    dtype: np.dtype[Any] = np.dtype(python.get(type(value), type(value)))
    return dtype


#: For each CastMap-1 target: the type, the cast from one value, and what stands at keys that a sparse map lacks.
_CASTS: dict[str, tuple[Any, Callable[[Any], Any], Any]] = {
    "TO_FLOAT": (np.float32, float, 0.0),
    "TO_INT64": (np.int64, lambda value: int(float(value)), 0),
    "TO_STRING": (object, lambda value: value if isinstance(value, str) else f"{value:f}", "0.f"),
}


@op("CastMap", domain=ML, host=True)
def cast_map(x: Mapping[int, Any], *, cast_to: str = "TO_FLOAT", map_form: str = "DENSE", max_map: int = 1) -> Array:
    """The values of a map as one row, in the order of their keys or at them (ai.onnx.ml CastMap-1).

    In a sparse row of ``max_map`` elements, 0 (or the string "0.f", as in onnxruntime) stands where there is no key.
    """
    if cast_to not in _CASTS or map_form not in ("DENSE", "SPARSE"):
        raise ValueError(
            f"expected cast_to of {', '.join(_CASTS)} and map_form DENSE or SPARSE, got {cast_to!r} and {map_form!r}"
        )
    dtype, cast, nothing = _CASTS[cast_to]
    if map_form == "DENSE":
        return np.array([[cast(x[key]) for key in sorted(x)]], dtype=dtype)
    if x and not 0 <= min(x) <= max(x) < max_map:
        raise ValueError(f"the keys of a sparse map must be in [0, {max_map - 1}], got some from {min(x)} to {max(x)}")
    return np.array([[cast(x[key]) if key in x else nothing for key in range(max_map)]], dtype=dtype)
