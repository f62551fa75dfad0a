"""From protobuf to the IR.  Nothing after this step touches protobuf."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
from onnx import AttributeProto

from onnxlite.errors import InvalidArgument, InvalidGraph, InvalidProtobuf, NoModel, NotImplemented
from onnxlite.kernels.arrays import Array
from onnxlite.kernels.dtypes import ElementType, element_type
from onnxlite.model.external import ExternalFiles
from onnxlite.model.inside import INSIDE
from onnxlite.model.ir import AttributeReference, AttributeValue, Function, Graph, Model, Node, Value
from onnxlite.model.order import topological_order
from onnxlite.model.read import ModelSource, read_proto, source_name
from onnxlite.model.tensors import dense_array, tensor_array
from onnxlite.model.types import MapType, OptionalType, SequenceType, SparseTensorType, TensorType, ValueType, type_of
from onnxlite.model.validate import validate_model


def load_model(
    source: ModelSource,
    external_folder: str | os.PathLike[str] | None = None,
    *,
    external_files: Mapping[str, bytes] | None = None,
    initializers: Mapping[str, Array] | None = None,
) -> Model:
    """Load a model and check its structure.

    Args:
        source: A path (.onnx, and the textual and JSON forms that ``onnx.load`` reads by extension), the serialized
            bytes, an open binary file, a ModelProto, or a Model (returned as it is).
        external_folder: Where external tensor data is; by default the model's own folder, when it has one.
        external_files: Contents of external files, by location; they are not looked for in the folder.
        initializers: Arrays that take the place of the model's initializers of these names, whose own data is not read.

    Raises:
        NoSuchFile: The path leads to no file.
        InvalidProtobuf: The bytes are not a ModelProto.
        NoModel: The bytes hold no graph.
        InvalidGraph: The model breaks a rule of the specification.
        InvalidArgument: An array does not have the type and shape of the initializer whose place it takes.
        NotImplemented: The model is of an IR version that the installed onnx does not know.
    """
    if isinstance(source, Model):
        return source
    proto, folder, content = read_proto(source)
    if not proto.HasField("graph"):
        raise NoModel(f"No graph was found in the protobuf: there is none in {source_name(source)}")
    if proto.ir_version > onnx.IR_VERSION:
        raise NotImplemented(
            f"{source_name(source)} is of IR version {proto.ir_version}; the installed onnx {onnx.__version__} knows "
            f"them up to {onnx.IR_VERSION}: install a newer onnx"
        )
    files = ExternalFiles(
        Path(external_folder) if external_folder is not None else folder, {**(external_files or {}), INSIDE: content}
    )
    try:
        model = _Loader(files, initializers or {}).model(proto)
        validate_model(model)
    except RecursionError as error:
        raise InvalidGraph(f"{source_name(source)} nests graphs, functions or types too deeply") from error
    except UnicodeDecodeError as error:
        raise InvalidProtobuf(f"{source_name(source)} has a name or a text that is not UTF-8: {error}") from error
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
    loader = _Loader(ExternalFiles())
    function = loader.function(proto, opsets)
    declared = {name: loader.attribute(default) for name, default in defaults.items() if default.type}
    return replace(function, defaults={**declared, **function.defaults})


class _Loader:
    """The translation of one ModelProto; it carries what every level of it needs: files, given arrays, opsets."""

    def __init__(self, files: ExternalFiles, given: Mapping[str, Array] | None = None) -> None:
        self._files = files
        self._given = given or {}
        self._opsets: Mapping[str, int] = {}

    def model(self, proto: onnx.ModelProto) -> Model:
        opsets = _opset_imports(proto.opset_import)
        if not opsets and proto.ir_version < 3:
            opsets = {"": 1}
        functions = [self.function(function, opsets) for function in proto.functions]
        by_key = {function.key: function for function in functions}
        if len(by_key) < len(functions):
            names = [f"{function.domain}.{function.name}" for function in functions]
            raise InvalidGraph(f"two functions of the model have the same name: {names}")
        self._opsets = opsets
        return Model(
            graph=self._graph(proto.graph),
            opset_imports=opsets,
            functions=by_key,
            ir_version=proto.ir_version,
            producer_name=_remark(proto.producer_name),
            producer_version=_remark(proto.producer_version),
            domain=_remark(proto.domain),
            version=proto.model_version if proto.HasField("model_version") else None,
            description=_remark(proto.doc_string),
            metadata={_remark(entry.key): _remark(entry.value) for entry in proto.metadata_props},
        )

    def function(self, proto: onnx.FunctionProto, model_opsets: Mapping[str, int]) -> Function:
        """The function; its own opset imports go before the model's."""
        self._opsets = {**model_opsets, **_opset_imports(proto.opset_import)}
        nodes = [self._node(node) for node in proto.node]
        return Function(
            domain=_domain(proto.domain),
            name=_text(proto.name),
            overload=_text(proto.overload),
            inputs=tuple(map(_text, proto.input)),
            outputs=tuple(map(_text, proto.output)),
            nodes=topological_order(nodes, f"function '{proto.name}'"),
            attributes=tuple(map(_text, proto.attribute)),
            defaults={_text(a.name): self.attribute(a) for a in proto.attribute_proto},
            description=_remark(proto.doc_string),
        )

    def _graph(self, proto: onnx.GraphProto) -> Graph:
        initializers: dict[str, Array] = {}
        for name, array in self._initializers(proto):
            if not name or name in initializers:
                fault = f"two initializers have the name '{name}'" if name else "an initializer has no name"
                raise InvalidGraph(f"graph '{proto.name}': {fault}")
            initializers[name] = array
        return Graph(
            name=_text(proto.name),
            inputs=tuple(map(_value, proto.input)),
            outputs=tuple(map(_value, proto.output)),
            nodes=topological_order([self._node(node) for node in proto.node], f"graph '{proto.name}'"),
            initializers=initializers,
            values={_text(info.name): _value(info) for info in proto.value_info},
            description=_remark(proto.doc_string),
        )

    def _initializers(self, proto: onnx.GraphProto) -> Iterator[tuple[str, Array]]:
        for tensor in proto.initializer:
            given = self._given.get(tensor.name)
            yield _text(tensor.name), self._tensor(tensor) if given is None else _fitting(given, tensor)
        for sparse in proto.sparse_initializer:
            yield _text(sparse.values.name), self._sparse(sparse)

    def _node(self, proto: onnx.NodeProto) -> Node:
        domain = _domain(proto.domain)
        attributes: dict[str, AttributeValue] = {}
        for attribute in proto.attribute:
            if attribute.name in attributes:
                raise InvalidGraph(f"node '{proto.name}' ({proto.op_type}) has two attributes '{attribute.name}'")
            attributes[_text(attribute.name)] = self.attribute(attribute)
        return Node(
            op_type=_text(proto.op_type),
            inputs=tuple(map(_text, proto.input)),
            outputs=tuple(map(_text, proto.output)),
            domain=domain,
            name=_text(proto.name),
            opset=self._opsets.get(domain, 0),
            attributes=attributes,
            overload=_text(proto.overload),
            description=_remark(proto.doc_string),
        )

    def attribute(self, proto: AttributeProto) -> AttributeValue:
        if proto.ref_attr_name:
            return AttributeReference(_text(proto.ref_attr_name))
        present = [field.name for field, _ in proto.ListFields() if field.name in _ATTRIBUTE_FIELDS]
        # Models of IR version 1 do not state the type: it is that of the field that is set.
        kind = proto.type or (_ATTRIBUTE_FIELDS[present[0]] if present else 0)
        reader = _ATTRIBUTE_READERS.get(kind)
        if reader is None:
            raise InvalidGraph(f"attribute '{proto.name}' has the unknown type {proto.type}")
        stray = next((name for name in present if _ATTRIBUTE_FIELDS[name] != kind), None)
        if stray is not None:
            stated = AttributeProto.AttributeType.Name(kind)
            raise InvalidGraph(f"attribute '{proto.name}' states the type {stated}, but its field '{stray}' is set")
        return reader(self, proto)

    def _tensor(self, tensor: onnx.TensorProto) -> Array:
        return tensor_array(tensor, self._files)

    def _sparse(self, sparse: onnx.SparseTensorProto) -> Array:
        return dense_array(sparse, self._files)


def _fitting(given: Array, tensor: onnx.TensorProto) -> Array:
    """The array that takes an initializer's place, checked against it."""
    element = _element(tensor.data_type)
    if element is None or given.dtype != element.dtype or given.shape != tuple(tensor.dims):
        raise InvalidArgument(
            f"the array given for the initializer '{tensor.name}' is {type_of(given)}, expected "
            f"{element}[{','.join(map(str, tensor.dims))}]"
        )
    shared = given.view()
    shared.flags.writeable = False
    return shared


_ATTRIBUTE_READERS: Mapping[int, Any] = {
    AttributeProto.FLOAT: lambda loader, a: a.f,
    AttributeProto.INT: lambda loader, a: a.i,
    AttributeProto.STRING: lambda loader, a: _string(a.s),
    AttributeProto.TENSOR: lambda loader, a: loader._tensor(a.t),
    AttributeProto.GRAPH: lambda loader, a: loader._graph(a.g),
    AttributeProto.SPARSE_TENSOR: lambda loader, a: loader._sparse(a.sparse_tensor),
    AttributeProto.TYPE_PROTO: lambda loader, a: value_type(a.tp),
    AttributeProto.FLOATS: lambda loader, a: tuple(a.floats),
    AttributeProto.INTS: lambda loader, a: tuple(a.ints),
    AttributeProto.STRINGS: lambda loader, a: tuple(map(_string, a.strings)),
    AttributeProto.TENSORS: lambda loader, a: tuple(map(loader._tensor, a.tensors)),
    AttributeProto.GRAPHS: lambda loader, a: tuple(map(loader._graph, a.graphs)),
    AttributeProto.SPARSE_TENSORS: lambda loader, a: tuple(map(loader._sparse, a.sparse_tensors)),
    AttributeProto.TYPE_PROTOS: lambda loader, a: tuple(map(value_type, a.type_protos)),
}


#: The fields of AttributeProto that hold a value, and the type of attribute that each is for.
_ATTRIBUTE_FIELDS: Mapping[str, int] = {
    "f": AttributeProto.FLOAT,
    "i": AttributeProto.INT,
    "s": AttributeProto.STRING,
    "t": AttributeProto.TENSOR,
    "g": AttributeProto.GRAPH,
    "sparse_tensor": AttributeProto.SPARSE_TENSOR,
    "tp": AttributeProto.TYPE_PROTO,
    "floats": AttributeProto.FLOATS,
    "ints": AttributeProto.INTS,
    "strings": AttributeProto.STRINGS,
    "tensors": AttributeProto.TENSORS,
    "graphs": AttributeProto.GRAPHS,
    "sparse_tensors": AttributeProto.SPARSE_TENSORS,
    "type_protos": AttributeProto.TYPE_PROTOS,
}


def _string(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _text(value: str | bytes) -> str:
    """A name; protobuf hands over as bytes what is not UTF-8.

    Raises:
        InvalidProtobuf: It is not UTF-8.
    """
    if isinstance(value, bytes):
        raise InvalidProtobuf(f"the name {value!r:.80} in the model is not UTF-8")
    return value


def _remark(value: str | bytes) -> str:
    """A text that has no meaning to the runtime, and may therefore be anything."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _domain(domain: str) -> str:
    return "" if domain == "ai.onnx" else _text(domain)


def _opset_imports(imports: Iterable[onnx.OperatorSetIdProto]) -> dict[str, int]:
    opsets: dict[str, int] = {}
    for entry in imports:
        domain = _domain(entry.domain)
        if entry.version >= 2**31:
            raise NotImplemented(f"the domain '{domain or 'ai.onnx'}' has no version {entry.version}")
        if opsets.setdefault(domain, entry.version) != entry.version:
            versions = f"{opsets[domain]} and {entry.version}"
            raise InvalidGraph(f"the domain '{domain or 'ai.onnx'}' is imported in the two versions {versions}")
    return opsets


def _value(proto: onnx.ValueInfoProto) -> Value:
    kind = value_type(proto.type) if proto.HasField("type") else None
    return Value(_text(proto.name), kind, _remark(proto.doc_string), _denotations(proto.type))


def _denotations(proto: onnx.TypeProto) -> tuple[str, ...]:
    """What each dimension of a tensor stands for (onnx's DimensionDenotation.md), if any of them says so."""
    denotations = tuple(_text(dim.denotation) for dim in proto.tensor_type.shape.dim)
    return denotations if any(denotations) else ()


def value_type(proto: onnx.TypeProto) -> ValueType | None:
    """The type that a TypeProto states; None where it states none."""
    kind = proto.WhichOneof("value")
    if kind == "tensor_type":
        return TensorType(_element(proto.tensor_type.elem_type), _shape(proto.tensor_type))
    if kind == "sparse_tensor_type":
        return SparseTensorType(_element(proto.sparse_tensor_type.elem_type), _shape(proto.sparse_tensor_type))
    if kind == "sequence_type":
        return SequenceType(value_type(proto.sequence_type.elem_type))
    if kind == "optional_type":
        return OptionalType(value_type(proto.optional_type.elem_type))
    if kind == "map_type":
        key = _element(proto.map_type.key_type)
        if key is None:
            raise InvalidGraph("a map type does not say the type of its keys")
        return MapType(key, value_type(proto.map_type.value_type))
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
    return (_text(dim.dim_param) or None) if kind == "dim_param" else None
