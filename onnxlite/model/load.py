"""From a path, bytes, a file object or a ModelProto to the IR.  Nothing after this step touches protobuf."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, TypeAlias

import onnx
from google.protobuf.json_format import ParseError as JsonParseError
from google.protobuf.message import DecodeError
from google.protobuf.text_format import ParseError as TextParseError
from onnx import AttributeProto

from onnxlite.errors import InvalidGraph, InvalidProtobuf, NoModel, NoSuchFile
from onnxlite.kernels.dtypes import ElementType, element_type
from onnxlite.model.ir import AttributeReference, AttributeValue, Function, Graph, Model, Node, Value
from onnxlite.model.order import topological_order
from onnxlite.model.tensors import dense_array, tensor_array
from onnxlite.model.types import MapType, OptionalType, SequenceType, SparseTensorType, TensorType, ValueType
from onnxlite.model.validate import validate_model

#: What a model can be given as.
ModelSource: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | onnx.ModelProto | Model"


def load_model(source: ModelSource, external_folder: str | os.PathLike[str] | None = None) -> Model:
    """Load a model and check its structure.

    Args:
        source: A path (.onnx, and the textual and JSON forms that ``onnx.load`` reads by extension), the serialized
            bytes, an open binary file, a ModelProto, or a Model (returned as it is).
        external_folder: Where external tensor data is; by default the model's own folder, when it has one.

    Raises:
        NoSuchFile: The path leads to no file.
        InvalidProtobuf: The bytes are not a ModelProto.
        NoModel: The bytes hold no graph.
        InvalidGraph: The model breaks a rule of the specification.
    """
    if isinstance(source, Model):
        return source
    proto, folder = _read(source)
    if not proto.HasField("graph"):
        raise NoModel(f"there is no graph in {_name(source)}")
    loader = _Loader(Path(external_folder) if external_folder is not None else folder)
    try:
        model = loader.model(proto)
        validate_model(model)
    except RecursionError as error:
        raise InvalidGraph(f"{_name(source)} nests graphs or functions too deeply") from error
    return model


def load_function(
    proto: onnx.FunctionProto, opsets: Mapping[str, int], defaults: Mapping[str, AttributeProto]
) -> Function:
    """The IR of one function.

    Args:
        proto: The function.
        opsets: The imports that its own ones are added to.
        defaults: Default values of its attributes, which the specification keeps beside the function.
    """
    function = _Loader(None).function(proto, opsets)
    declared = {name: _Loader(None).attribute(default) for name, default in defaults.items() if default.type}
    return replace(function, defaults={**declared, **function.defaults})


def _name(source: Any) -> str:
    return f"'{os.fspath(source)}'" if isinstance(source, str | os.PathLike) else "the given model"


def _read(source: ModelSource) -> tuple[onnx.ModelProto, Path | None]:
    if isinstance(source, onnx.ModelProto):
        return source, None
    try:
        if isinstance(source, str | os.PathLike):
            path = Path(source)
            if not path.is_file():
                raise NoSuchFile(f"the model file '{path}' does not exist" if not path.exists() else f"'{path}' is not a file")
            return onnx.load(path, load_external_data=False), path.resolve().parent
        if isinstance(source, bytes | bytearray | memoryview):
            return onnx.load_model_from_string(bytes(source)), None
        if hasattr(source, "read"):
            folder = Path(source.name).resolve().parent if isinstance(getattr(source, "name", None), str) else None
            return onnx.load_model_from_string(source.read()), folder
    except (DecodeError, TextParseError, JsonParseError, UnicodeDecodeError, onnx.parser.ParseError) as error:
        raise InvalidProtobuf(f"{_name(source)} is not a serialized ONNX model: {error}") from error
    raise TypeError(f"a model is a path, bytes, a binary file or a ModelProto, not {type(source).__name__}")


class _Loader:
    """The translation of one ModelProto; it carries what every level of it needs: the folder and the opsets."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._opsets: Mapping[str, int] = {}

    def model(self, proto: onnx.ModelProto) -> Model:
        opsets = _opset_imports(proto.opset_import)
        if not opsets and proto.ir_version < 3:
            opsets = {"": 1}
        functions = [self.function(function, opsets) for function in proto.functions]
        self._opsets = opsets
        return Model(
            graph=self._graph(proto.graph),
            opset_imports=opsets,
            functions={function.key: function for function in functions},
            ir_version=proto.ir_version,
            producer_name=proto.producer_name,
            producer_version=proto.producer_version,
            domain=proto.domain,
            version=proto.model_version,
            description=proto.doc_string,
            metadata={entry.key: entry.value for entry in proto.metadata_props},
        )

    def function(self, proto: onnx.FunctionProto, model_opsets: Mapping[str, int]) -> Function:
        """The function; its own opset imports go before the model's."""
        self._opsets = {**model_opsets, **_opset_imports(proto.opset_import)}
        nodes = [self._node(node) for node in proto.node]
        return Function(
            domain=_domain(proto.domain),
            name=proto.name,
            overload=proto.overload,
            inputs=tuple(proto.input),
            outputs=tuple(proto.output),
            nodes=topological_order(nodes, f"function '{proto.name}'"),
            attributes=tuple(proto.attribute),
            defaults={attribute.name: self.attribute(attribute) for attribute in proto.attribute_proto},
            description=proto.doc_string,
        )

    def _graph(self, proto: onnx.GraphProto) -> Graph:
        initializers = {tensor.name: tensor_array(tensor, self._folder) for tensor in proto.initializer}
        for sparse in proto.sparse_initializer:
            initializers[sparse.values.name] = dense_array(sparse, self._folder)
        return Graph(
            name=proto.name,
            inputs=tuple(map(_value, proto.input)),
            outputs=tuple(map(_value, proto.output)),
            nodes=topological_order([self._node(node) for node in proto.node], f"graph '{proto.name}'"),
            initializers=initializers,
            values={info.name: _value(info) for info in proto.value_info},
            description=proto.doc_string,
        )

    def _node(self, proto: onnx.NodeProto) -> Node:
        domain = _domain(proto.domain)
        return Node(
            op_type=proto.op_type,
            inputs=tuple(proto.input),
            outputs=tuple(proto.output),
            domain=domain,
            name=proto.name,
            opset=self._opsets.get(domain, 0),
            attributes={attribute.name: self.attribute(attribute) for attribute in proto.attribute},
            overload=proto.overload,
            description=proto.doc_string,
        )

    def attribute(self, proto: AttributeProto) -> AttributeValue:
        if proto.ref_attr_name:
            return AttributeReference(proto.ref_attr_name)
        reader = _ATTRIBUTE_READERS.get(proto.type or _guess_type(proto))
        if reader is None:
            raise InvalidGraph(f"attribute '{proto.name}' has the unknown type {proto.type}")
        return reader(self, proto)

    def _tensor(self, tensor: onnx.TensorProto) -> Any:
        return tensor_array(tensor, self._folder)

    def _sparse(self, sparse: onnx.SparseTensorProto) -> Any:
        return dense_array(sparse, self._folder)


_ATTRIBUTE_READERS: Mapping[int, Any] = {
    AttributeProto.FLOAT: lambda loader, a: a.f,
    AttributeProto.INT: lambda loader, a: a.i,
    AttributeProto.STRING: lambda loader, a: _string(a.s),
    AttributeProto.TENSOR: lambda loader, a: loader._tensor(a.t),
    AttributeProto.GRAPH: lambda loader, a: loader._graph(a.g),
    AttributeProto.SPARSE_TENSOR: lambda loader, a: loader._sparse(a.sparse_tensor),
    AttributeProto.TYPE_PROTO: lambda loader, a: _type(a.tp),
    AttributeProto.FLOATS: lambda loader, a: tuple(a.floats),
    AttributeProto.INTS: lambda loader, a: tuple(a.ints),
    AttributeProto.STRINGS: lambda loader, a: tuple(map(_string, a.strings)),
    AttributeProto.TENSORS: lambda loader, a: tuple(map(loader._tensor, a.tensors)),
    AttributeProto.GRAPHS: lambda loader, a: tuple(map(loader._graph, a.graphs)),
    AttributeProto.SPARSE_TENSORS: lambda loader, a: tuple(map(loader._sparse, a.sparse_tensors)),
    AttributeProto.TYPE_PROTOS: lambda loader, a: tuple(map(_type, a.type_protos)),
}


def _guess_type(proto: AttributeProto) -> int:
    """The type of an attribute from IR version 1, which did not state it: that of the field that is set."""
    fields = {"f": 1, "i": 2, "s": 3, "t": 4, "g": 5, "floats": 6, "ints": 7, "strings": 8, "tensors": 9, "graphs": 10}
    return next((fields[field.name] for field, _ in proto.ListFields() if field.name in fields), 0)


def _string(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _domain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


def _opset_imports(imports: Iterable[onnx.OperatorSetIdProto]) -> dict[str, int]:
    return {_domain(entry.domain): entry.version for entry in imports}


def _value(proto: onnx.ValueInfoProto) -> Value:
    return Value(proto.name, _type(proto.type) if proto.HasField("type") else None, proto.doc_string)


def _type(proto: onnx.TypeProto) -> ValueType | None:
    kind = proto.WhichOneof("value")
    if kind == "tensor_type":
        return TensorType(_element(proto.tensor_type.elem_type), _shape(proto.tensor_type))
    if kind == "sparse_tensor_type":
        return SparseTensorType(_element(proto.sparse_tensor_type.elem_type), _shape(proto.sparse_tensor_type))
    if kind == "sequence_type":
        return SequenceType(_type(proto.sequence_type.elem_type))
    if kind == "optional_type":
        return OptionalType(_type(proto.optional_type.elem_type))
    if kind == "map_type":
        key = _element(proto.map_type.key_type)
        if key is None:
            raise InvalidGraph("a map type does not say the type of its keys")
        return MapType(key, _type(proto.map_type.value_type))
    return None


def _element(code: int) -> ElementType | None:
    try:
        return element_type(code) if code else None
    except ValueError as error:
        raise InvalidGraph(f"a value has the unknown element type {code}") from error


def _shape(proto: Any) -> tuple[int | str | None, ...] | None:
    if not proto.HasField("shape"):
        return None
    return tuple(_dimension(dim) for dim in proto.shape.dim)


def _dimension(dim: Any) -> int | str | None:
    kind = dim.WhichOneof("value")
    if kind == "dim_value":
        # Some exporters write -1 for a length that they do not know.
        return int(dim.dim_value) if dim.dim_value >= 0 else None
    return (dim.dim_param or None) if kind == "dim_param" else None
