"""What the installed onnx says of an operator: its schema, its version, and its body where it is a function."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import onnx
from onnx import defs, helper

from onnxlite.errors import NotImplemented
from onnxlite.kernels.arrays import Array, is_array
from onnxlite.model.ir import AttributeValue, Function, Graph, Node, Value
from onnxlite.model.load import load_function, value_type
from onnxlite.model.types import OptionalType, SequenceType, TensorType, ValueType


@functools.lru_cache(maxsize=4096)
def schema_of(domain: str, op_type: str, opset: int) -> Any | None:
    """The schema (onnx.defs.OpSchema) in force for an operator under an imported opset version, or None.

    Raises:
        NotImplemented: The opset is newer than the installed onnx knows, so its meaning is unknown.
    """
    newest = newest_opset(domain)
    if newest is not None and opset > newest:
        raise NotImplemented(
            f"the model imports version {opset} of the domain '{domain or 'ai.onnx'}'; the installed onnx "
            f"{onnx.__version__} defines it up to {newest}: install a newer onnx"
        )
    try:
        return defs.get_schema(op_type, opset, domain)
    except defs.SchemaError:
        return None


def newest_opset(domain: str) -> int | None:
    """The newest version of a domain that the installed onnx defines; None for a domain that it does not version."""
    newest = {"": defs.onnx_opset_version, "ai.onnx.ml": defs.onnx_ml_opset_version}.get(domain)
    return int(newest()) if newest else None


def version_of(domain: str, op_type: str, opset: int) -> int:
    """The operator's version under an imported opset: its schema's since_version, or the opset without a schema."""
    schema = schema_of(domain, op_type, opset)
    return opset if schema is None else int(schema.since_version)


#: The domain of the nodes that stand in a body for a subgraph of the node that calls the function.
_SUBGRAPH_DOMAIN = "onnxlite.subgraph"


def function_body(node: Node, input_types: Sequence[ValueType | None]) -> Function | None:
    """The body of an operator that the specification defines as a function, or None.

    A body that holds a subgraph of the node holds a node in its place, for which this function has the body too.

    Args:
        node: The node that applies the operator; some bodies depend on its attributes.
        input_types: The types of its inputs; some bodies depend on them, and are not to be had without.
    """
    if node.domain == _SUBGRAPH_DOMAIN:
        return _subgraph_function(node)
    schema = schema_of(node.domain, node.op_type, node.opset)
    if schema is None:
        return None
    if schema.has_function:
        versions = [v for v in schema.function_opset_versions if v <= node.opset] or schema.function_opset_versions
        body = schema.get_function_with_opset_version(max(versions))
    elif schema.has_context_dependent_function and all(
        kind is not None or not name for kind, name in zip(input_types, node.inputs, strict=True)
    ):
        versions = [v for v in schema.context_dependent_function_opset_versions if v <= node.opset]
        types = [type_proto(kind).SerializeToString() for kind in input_types]
        body = schema.get_context_dependent_function_with_opset_version(
            max(versions or schema.context_dependent_function_opset_versions),
            node_proto(node).SerializeToString(),
            types,
        )
        if not body:
            return None
    else:
        return None
    proto = onnx.FunctionProto.FromString(body) if isinstance(body, bytes) else body
    defaults = {name: attribute.default_value for name, attribute in schema.attributes.items()}
    function = load_function(proto, {"": defs.onnx_opset_version(), node.domain: node.opset}, defaults)
    graphs = dict(node.graphs())
    return replace(function, nodes=_with_subgraphs(function.nodes, graphs)) if graphs else function


def _with_subgraphs(nodes: tuple[Node, ...], graphs: Mapping[str, Graph]) -> tuple[Node, ...]:
    """The nodes of a body, those that stand for a subgraph with the subgraph as their attribute."""
    result: list[Node] = []
    for node in nodes:
        if node.domain == _SUBGRAPH_DOMAIN:
            result.append(replace(node, attributes={"body": graphs[node.op_type]}))
            continue
        inner = {name: replace(g, nodes=_with_subgraphs(g.nodes, graphs)) for name, g in node.graphs()}
        result.append(replace(node, attributes={**node.attributes, **inner}) if inner else node)
    return tuple(result)


def _subgraph_function(node: Node) -> Function:
    graph: Graph = node.attributes["body"]
    constants = [
        Node("Constant", (), (name,), opset=13, attributes={"value": array})
        for name, array in graph.initializers.items()
    ]
    return Function(
        domain=node.domain,
        name=node.op_type,
        overload="",
        inputs=tuple(value.name for value in graph.inputs),
        outputs=tuple(value.name for value in graph.outputs),
        nodes=(*constants, *graph.nodes),
    )


def inferred_types(
    node: Node, input_types: Sequence[ValueType | None], constants: Mapping[str, Array]
) -> list[ValueType | None]:
    """The types and shapes of a node's outputs, as the specification's own inference tells them.

    Args:
        node: The node; what its subgraphs compute is not looked into.
        input_types: The types of its inputs.
        constants: Inputs whose values are known, by name.
    """
    schema = schema_of(node.domain, node.op_type, node.opset)
    if schema is None or any(node.graphs()) or node.op_type in _TRUSTING or _claims_endless_rank(node, input_types):
        return [None for _ in node.outputs]
    types = {name: type_proto(kind) for name, kind in zip(node.inputs, input_types, strict=True) if name}
    data = {name: onnx.numpy_helper.from_array(constants[name], name) for name in node.inputs if name in constants}
    imports = [helper.make_opsetid("", node.opset if not node.domain else defs.onnx_opset_version())]
    try:
        protos = onnx.shape_inference.infer_node_outputs(schema, node_proto(node), types, data, opset_imports=imports)
    except Exception:  # what it cannot tell, and whatever else it does not like about a node: binding checks the node
        return [None for _ in node.outputs]
    kinds = (value_type(protos[name]) if name in protos else None for name in node.outputs)
    return [_without_mistakes(node, kind) for kind in kinds]


def _without_mistakes(node: Node, kind: ValueType | None) -> ValueType | None:
    """A type without the lengths that onnx infers wrongly: of onesided spectra, and of pools in ceil mode, where it
    counts windows that start in the padding.
    """
    if isinstance(kind, TensorType) and kind.shape and (node.op_type == "STFT" or node.attributes.get("ceil_mode")):
        return replace(kind, shape=(*kind.shape[:2], *(None for _ in kind.shape[2:])))
    return kind


#: Operators whose inference in onnx 1.23 ends the process where a node breaks their rules.
_TRUSTING = frozenset({"GatherND", "LayerNormalization", "Split"})

#: Operators whose results have as many dimensions as an input has elements, and what the numbers of them end at.
_RANKED_BY_INPUT = frozenset({"ConstantOfShape", "Expand", "Reshape", "Tile"})
_MOST_DIMENSIONS = 64


def _claims_endless_rank(node: Node, input_types: Sequence[ValueType | None]) -> bool:
    """Whether onnx's inference would make a shape of more dimensions than there is memory for."""
    shapes = [kind.shape for kind in input_types if isinstance(kind, TensorType) and kind.shape is not None]
    lengths = [d for shape in shapes for d in shape if len(shape) == 1 and isinstance(d, int)]
    return node.op_type in _RANKED_BY_INPUT and any(length > _MOST_DIMENSIONS for length in lengths)


def attribute_default(node: Node, name: str) -> Any:
    """The default of an operator's attribute; None where it has none, or where this version lacks the attribute."""
    schema = schema_of(node.domain, node.op_type, node.opset)
    declared = schema.attributes.get(name) if schema else None
    if declared is None or not declared.default_value.type:
        return None
    value = helper.get_attribute_value(declared.default_value)
    if isinstance(value, bytes):
        return value.decode()
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def node_proto(node: Node) -> onnx.NodeProto:
    """The node as protobuf; a subgraph becomes a graph of one node that stands for it."""
    schema = schema_of(node.domain, node.op_type, node.opset)
    proto = helper.make_node(node.op_type, list(node.inputs), list(node.outputs), node.name, domain=node.domain)
    for name, value in node.attributes.items():
        declared = schema.attributes.get(name) if schema else None
        proto.attribute.append(_attribute_proto(name, value, int(declared.type) if declared else None))
    return proto


def _attribute_proto(name: str, value: AttributeValue, kind: int | None) -> onnx.AttributeProto:
    if is_array(value):
        value, kind = onnx.numpy_helper.from_array(value), None
    elif isinstance(value, Graph):
        inputs, outputs = list(map(_value_proto, value.inputs)), list(map(_value_proto, value.outputs))
        stand_in = helper.make_node(name, [i.name for i in inputs], [o.name for o in outputs], domain=_SUBGRAPH_DOMAIN)
        value, kind = helper.make_graph([stand_in], value.name or name, inputs, outputs), None
    return helper.make_attribute(name, value, attr_type=kind)


def _value_proto(value: Value) -> onnx.ValueInfoProto:
    return onnx.ValueInfoProto(name=value.name, type=type_proto(value.type) if value.type else None)


def type_proto(kind: ValueType | None) -> onnx.TypeProto:
    """The type as protobuf; an unknown one is empty."""
    if isinstance(kind, TensorType):
        shape = None if kind.shape is None else list(kind.shape)
        return helper.make_tensor_type_proto(kind.element.code if kind.element else 0, shape)
    if isinstance(kind, SequenceType):
        return helper.make_sequence_type_proto(type_proto(kind.element))
    if isinstance(kind, OptionalType):
        return helper.make_optional_type_proto(type_proto(kind.element))
    return onnx.TypeProto()
