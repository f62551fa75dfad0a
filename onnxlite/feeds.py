"""The inputs of a run: checked against what the model declares, and brought into the form that kernels take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from onnxlite.errors import InvalidArgument
from onnxlite.kernels.arrays import is_array
from onnxlite.kernels.dtypes import ElementType
from onnxlite.model.ir import Value
from onnxlite.model.types import MapType, OptionalType, SequenceType, SparseTensorType, TensorType, ValueType, type_of


def check_names(feeds: Mapping[str, Any], required: Iterable[str], known: Iterable[str]) -> None:
    """Check that every required input is fed and nothing else than the known ones.

    Raises:
        InvalidArgument: A name is missing or unknown; the message lists what was expected and what came.
    """
    missing = [name for name in required if name not in feeds]
    if missing:
        raise InvalidArgument(f"Required inputs ({missing}) are missing from input feed ({list(feeds)}).")
    names = list(known)
    unknown = [name for name in feeds if name not in names]
    if unknown:
        raise InvalidArgument(f"Invalid input name: {unknown[0]}; the model's inputs are {names}")


def converted(value: Any, declared: Value, dimensions: Mapping[str, int]) -> Any:
    """One fed value as kernels take it; arrays are passed on without a copy.

    Args:
        value: What the user feeds: an array, a Python scalar or nested list, or a list, dict or None where the input is a
            sequence, a map or an optional.
        declared: The input's name and type.
        dimensions: Symbolic dimensions with a fixed length.

    Raises:
        InvalidArgument: The element type, the rank, a dimension or the kind of value differs from what is declared.
    """
    return _converted(value, declared.type, declared, dimensions)


def _converted(value: Any, kind: ValueType | None, declared: Value, dimensions: Mapping[str, int]) -> Any:
    if isinstance(kind, OptionalType):
        return None if value is None else _converted(value, kind.element, declared, dimensions)
    if isinstance(kind, SequenceType):
        if not isinstance(value, list | tuple):
            raise _unexpected(declared, f"a list for {kind}", value)
        return [_converted(item, kind.element, declared, dimensions) for item in value]
    if isinstance(kind, MapType):
        if not isinstance(value, Mapping):
            raise _unexpected(declared, f"a dict for {kind}", value)
        return dict(value)
    element = kind.element if isinstance(kind, TensorType | SparseTensorType) else None
    array = _array(value, element, declared)
    if isinstance(kind, TensorType) and kind.shape is not None:
        _check_shape(array.shape, kind, declared, dimensions)
    return array


def _array(value: Any, element: ElementType | None, declared: Value) -> Any:
    if isinstance(value, list | tuple | int | float | complex | str | bool):
        try:
            value = np.asarray(value, element.dtype if element else None)
        except (ValueError, TypeError, OverflowError) as error:
            raise _unexpected(declared, f"numbers that fit {element}", value) from error
    if isinstance(value, np.generic):
        value = np.asarray(value)
    if not is_array(value):
        raise _unexpected(declared, f"an array ({declared.type!r})", value)
    if value.dtype.kind in "US" or (value.dtype.kind == "O" and element is not None and element.onnx == "string"):
        value = _text(value)
    if element is not None and value.dtype != element.dtype:
        native = value.dtype.newbyteorder("=")
        if native != element.dtype:
            raise InvalidArgument(
                f"Unexpected input data type for input '{declared.name}'. Actual: ({_spelled(value)}), "
                f"expected: ({declared.type}); cast the array with .astype('{element.dtype}')"
            )
        value = value.astype(native)
    return value


def _text(value: Any) -> Any:
    """An object array of str."""
    decoded = [v.decode("utf-8", "surrogateescape") if isinstance(v, bytes) else v for v in value.ravel().tolist()]
    if all(type(a) is type(b) for a, b in zip(decoded, value.ravel().tolist(), strict=True)) and value.dtype.kind == "O":
        return value
    text = np.empty(len(decoded), np.object_)
    text[:] = decoded
    return text.reshape(value.shape)


def _spelled(value: Any) -> str:
    return f"tensor({type_of(value).partition('[')[0]})"


def _check_shape(
    shape: Sequence[int], kind: TensorType, declared: Value, dimensions: Mapping[str, int]
) -> None:
    expected = kind.shape or ()
    if len(shape) != len(expected):
        raise InvalidArgument(
            f"Invalid rank for input: '{declared.name}' Got: {len(shape)} (shape {list(shape)}) "
            f"Expected: {len(expected)} ({kind!r})"
        )
    lengths = [dimensions.get(d) if isinstance(d, str) else d for d in expected]
    wrong = [i for i, (actual, length) in enumerate(zip(shape, lengths, strict=True)) if length not in (None, actual)]
    if wrong:
        details = ", ".join(f"index {i}: got {shape[i]}, expected {lengths[i]}" for i in wrong)
        raise InvalidArgument(
            f"Got invalid dimensions for input: '{declared.name}' of shape {list(shape)}, declared {kind!r}: {details}"
        )


def _unexpected(declared: Value, expected: str, value: Any) -> InvalidArgument:
    return InvalidArgument(f"input '{declared.name}': expected {expected}, got {type_of(value)}")
