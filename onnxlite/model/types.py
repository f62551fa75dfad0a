"""The types of ONNX values: tensors, sparse tensors, sequences, optionals and maps (onnx.proto, TypeProto).

``str(type)`` is onnxruntime's spelling (``tensor(float)``), ``repr(type)`` adds the shape (``float[1,3,N,?]``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from onnxlite.kernels.dtypes import ElementType, element_type

#: One dimension: a length, a symbol, or None where nothing is known.
Dimension: TypeAlias = int | str | None


@dataclass(frozen=True, slots=True)
class TensorType:
    """A dense tensor; ``element`` or ``shape`` is None where the model does not say."""

    element: ElementType | None = None
    shape: tuple[Dimension, ...] | None = None

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """The NumPy dtype of the elements."""
        return self.element.dtype if self.element else None

    def __str__(self) -> str:
        return f"tensor({self.element or '?'})"

    def __repr__(self) -> str:
        name = str(self.element or "?")
        if self.shape is None:
            return f"{name}[...]"
        return f"{name}[{','.join('?' if d is None else str(d) for d in self.shape)}]"


@dataclass(frozen=True, slots=True)
class SparseTensorType:
    """A sparse tensor, as a graph may declare one; its value arrives dense."""

    element: ElementType | None = None
    shape: tuple[Dimension, ...] | None = None

    def __str__(self) -> str:
        return f"sparse_tensor({self.element or '?'})"

    __repr__ = __str__


@dataclass(frozen=True, slots=True)
class SequenceType:
    """A sequence: a Python list of values of one type."""

    element: ValueType | None = None

    def __str__(self) -> str:
        return f"seq({self.element or '?'})"

    def __repr__(self) -> str:
        return f"seq({self.element!r})"


@dataclass(frozen=True, slots=True)
class OptionalType:
    """An optional: None, or a value of the type."""

    element: ValueType | None = None

    def __str__(self) -> str:
        return f"optional({self.element or '?'})"

    def __repr__(self) -> str:
        return f"optional({self.element!r})"


@dataclass(frozen=True, slots=True)
class MapType:
    """A map: a Python dict from integers or strings to values of one type."""

    key: ElementType
    value: ValueType | None = None

    def __str__(self) -> str:
        return f"map({self.key},{self.value or '?'})"

    __repr__ = __str__


ValueType: TypeAlias = TensorType | SparseTensorType | SequenceType | OptionalType | MapType


def type_of(value: Any) -> str:
    """What a run-time value is, for messages: ``float[1,3]``, ``seq of 2``, ``map of 3``, ``None``."""
    if value is None:
        return "None"
    if isinstance(value, list):
        return f"seq({', '.join(type_of(v) for v in value[:3])}{', ...' if len(value) > 3 else ''})"
    if isinstance(value, dict):
        return f"map of {len(value)}"
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        try:
            name = element_type(value.dtype).onnx
        except (ValueError, TypeError):
            name = str(value.dtype)
        return f"{name}[{','.join(map(str, value.shape))}]"
    return type(value).__name__
