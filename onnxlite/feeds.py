"""The inputs of a run: checked against what the model declares, and brought into the form that kernels take."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np

from onnxlite.devices import device_of
from onnxlite.errors import InvalidArgument
from onnxlite.kernels.arrays import is_array
from onnxlite.kernels.dtypes import ElementType
from onnxlite.model.ir import Value
from onnxlite.model.types import MapType, OptionalType, SequenceType, SparseTensorType, TensorType, ValueType, type_of
from onnxlite.values import OrtValue


def check_names(feeds: Container[str], required: Mapping[str, Value], known: Mapping[str, Value]) -> None:
    """Check that every required input is fed and nothing else than the known ones; optional ones may be left out.

    Raises:
        TypeError: The feeds are not a mapping.
        InvalidArgument: A name is missing or unknown; the message lists what was expected and what came.
    """
    if not isinstance(feeds, Mapping):
        raise TypeError(f"the feeds are a mapping from input names to values, not {type(feeds).__name__}")
    missing = [
        name for name, value in required.items() if name not in feeds and not isinstance(value.type, OptionalType)
    ]
    if missing:
        raise InvalidArgument(f"Required inputs ({missing}) are missing from input feed ({list(feeds)}).")
    for name in feeds:
        if name not in known:
            raise InvalidArgument(f"Invalid input name: {name}; the model's inputs are {list(known)}")


def converted(value: Any, declared: Value) -> Any:
    """One fed value as kernels take it; arrays are passed on without a copy.

    Args:
        value: What the user feeds: an array, an OrtValue, a Python scalar or nested list, or a list, dict or None where
            the input is a sequence, a map or an optional.
        declared: The input's name and type.

    Raises:
        InvalidArgument: The element type, the rank, a dimension or the kind of value differs from what is declared.
    """
    kind = declared.type
    if value.__class__ is np.ndarray and kind.__class__ is TensorType:
        # What nearly every feed is, in a few steps.
        element = kind.element
        if element is not None and value.dtype is element.dtype and element.bits:
            if kind.shape is not None:
                _check_shape(value.shape, kind.shape, declared)
            return value
    return _converted(value.value if isinstance(value, OrtValue) else value, kind, declared)


def _converted(value: Any, kind: ValueType | None, declared: Value) -> Any:
    if isinstance(kind, OptionalType):
        return None if value is None else _converted(value, kind.element, declared)
    if isinstance(kind, SequenceType):
        if not isinstance(value, list | tuple):
            raise _unexpected(declared, f"a list for {kind}", value)
        return [_converted(item, kind.element, declared) for item in value]
    if isinstance(kind, MapType):
        if not isinstance(value, Mapping):
            raise _unexpected(declared, f"a dict for {kind}", value)
        return dict(value)
    element = kind.element if isinstance(kind, TensorType | SparseTensorType) else None
    array = _array(value, element, declared)
    if isinstance(kind, TensorType | SparseTensorType) and kind.shape is not None:
        _check_shape(array.shape, kind.shape, declared)
    return array


def _array(value: Any, element: ElementType | None, declared: Value) -> Any:
    if isinstance(value, list | tuple | int | float | complex | str | bool):
        try:
            value = np.asarray(value, element.dtype if element else None)
        except (ValueError, TypeError, OverflowError) as error:
            raise _unexpected(declared, f"numbers that fit {element}", value) from error
    elif value.__class__ is not np.ndarray and hasattr(value, "__array__") and device_of(value)[0] == "cpu":
        value = np.asarray(value)  # scalars, subclasses (whose arithmetic may differ), arrays of other libraries
    if not is_array(value) or not isinstance(value.dtype, np.dtype):
        raise _unexpected(declared, f"an array ({declared.type!r})", value)
    is_text = element is not None and element.onnx == "string"
    if value.dtype.kind in "OSTU" and is_text:
        return _text(value)
    if element is not None and value.dtype != element.dtype:
        native = value.dtype.newbyteorder("=")
        if native != element.dtype:
            raise InvalidArgument(
                f"Unexpected input data type for input '{declared.name}'. Actual: ({_spelled(value)}), "
                f"expected: ({declared.type}){'' if is_text else f'; convert it with .astype({element.dtype.name!r})'}"
            )
        value = value.astype(native)
    return value


def _text(value: Any) -> Any:
    """An object array of str; as in onnxruntime, what is no text is spelled by ``str``."""
    given = value.ravel().tolist()
    if value.dtype.kind == "O" and all(item.__class__ is str for item in given):
        return value
    text = np.empty(len(given), np.object_)
    text[:] = [item.decode("utf-8", "surrogateescape") if isinstance(item, bytes) else str(item) for item in given]
    return text.reshape(value.shape)


def _spelled(value: Any) -> str:
    return f"tensor({type_of(value).partition('[')[0]})"


def _check_shape(shape: Sequence[int], expected: Sequence[int | str | None], declared: Value) -> None:
    if len(shape) != len(expected):
        raise InvalidArgument(
            f"Invalid rank for input: {declared.name} Got: {len(shape)} Expected: {len(expected)}; "
            f"the shape is {list(shape)}, declared {declared.type!r}"
        )
    for actual, length in zip(shape, expected, strict=True):
        if length != actual and length.__class__ is int:
            raise _wrong_dimensions(shape, expected, declared)


def _wrong_dimensions(shape: Sequence[int], expected: Sequence[int | str | None], declared: Value) -> InvalidArgument:
    wrong = [
        f"index: {axis} Got: {actual} Expected: {length}"
        for axis, (actual, length) in enumerate(zip(shape, expected, strict=True))
        if isinstance(length, int) and length != actual
    ]
    return InvalidArgument(
        f"Got invalid dimensions for input: {declared.name} for the following indices: {', '.join(wrong)}; "
        f"the shape is {list(shape)}, declared {declared.type!r}"
    )


def _unexpected(declared: Value, expected: str, value: Any) -> InvalidArgument:
    return InvalidArgument(f"input '{declared.name}': expected {expected}, got {type_of(value)}")
