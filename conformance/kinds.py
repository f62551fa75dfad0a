"""Types as the schemas spell them (``seq(tensor(float))``), to and from onnx's messages and NumPy's dtypes.

A type in this spelling is called a *kind* in this package; maps are spelled without a space: ``map(int64,float)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

from onnxlite.kernels.dtypes import ELEMENT_TYPES, NARROW_FLOATS, element_type

_DTYPES = {row.onnx: row.dtype for row in ELEMENT_TYPES}

_FLOATS = frozenset({np.dtype(np.float32), np.dtype(np.float64)}) | NARROW_FLOATS


def is_float(dtype: np.dtype[Any]) -> bool:
    """Whether a dtype is a real floating-point type, of any width."""
    return dtype in _FLOATS


def split(kind: str) -> tuple[str, str]:
    """The outermost word and what is in its brackets: ``seq(tensor(float))`` -> ``seq``, ``tensor(float)``."""
    outer, _, inner = kind.removesuffix(")").partition("(")
    return outer, inner


def element_of(kind: str) -> str:
    """The name of the innermost element type: ``seq(tensor(float))`` -> ``float``."""
    return kind.rpartition("(")[2].rstrip(")").rpartition(",")[2]


def dtype_of_kind(kind: str) -> np.dtype[Any]:
    """The dtype of the elements: ``seq(tensor(float))`` -> float32."""
    return _DTYPES[element_of(kind)]


def code_of_kind(kind: str) -> int:
    """The TensorProto.DataType code of the elements."""
    return element_type(dtype_of_kind(kind)).code


def with_element(kind: str, element: str) -> str:
    """The same containers of another element type: ``seq(tensor(float))``, int64 -> ``seq(tensor(int64))``."""
    head, _, tail = kind.rpartition("(")
    return f"{head}({element}{')' * tail.count(')')}"


def kind_of(value: Any) -> str:
    """The type of a tensor or of a sequence of tensors."""
    if isinstance(value, list):
        return f"seq({kind_of(value[0])})"
    return f"tensor({element_type(value.dtype).onnx})"


def type_proto(kind: str, shape: Sequence[int] | None = None) -> onnx.TypeProto:
    """The message for a type; the shape is that of a tensor."""
    outer, inner = split(kind)
    if outer == "seq":
        return helper.make_sequence_type_proto(type_proto(inner))
    if outer == "optional":
        return helper.make_optional_type_proto(type_proto(inner))
    if outer == "map":
        key, _, value = inner.partition(",")
        return helper.make_map_type_proto(code_of_kind(f"tensor({key})"), type_proto(f"tensor({value})", ()))
    return helper.make_tensor_type_proto(code_of_kind(kind), shape)


def spelled_type(proto: onnx.TypeProto) -> str:
    """The type in a message, "" where it says nothing."""
    which = proto.WhichOneof("value")
    if which == "sequence_type":
        return f"seq({spelled_type(proto.sequence_type.elem_type)})"
    if which == "optional_type":
        return f"optional({spelled_type(proto.optional_type.elem_type)})"
    if which == "map_type":
        key = element_type(proto.map_type.key_type).onnx
        return f"map({key},{element_of(spelled_type(proto.map_type.value_type))})"
    if which == "tensor_type" and proto.tensor_type.elem_type:
        return f"tensor({element_type(proto.tensor_type.elem_type).onnx})"
    return ""
