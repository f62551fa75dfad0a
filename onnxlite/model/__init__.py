"""Loading: from a file to a typed, frozen intermediate representation."""

from onnxlite.model.ir import AttributeReference, Function, Graph, Model, Node, Value
from onnxlite.model.load import load_model
from onnxlite.model.read import ModelSource
from onnxlite.model.types import (
    MapType,
    OptionalType,
    SequenceType,
    SparseTensorType,
    TensorType,
    ValueType,
)

__all__ = [
    "AttributeReference",
    "Function",
    "Graph",
    "MapType",
    "Model",
    "ModelSource",
    "Node",
    "OptionalType",
    "SequenceType",
    "SparseTensorType",
    "TensorType",
    "Value",
    "ValueType",
    "load_model",
]
