"""What the installed onnx says of an operator: its schema, its version, and its body where it is a function."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import onnx
from onnx import defs, helper

from onnxlite.errors import NotImplemented
from onnxlite.kernels.arrays import is_array
from onnxlite.model.ir import Function, Graph, Node
from onnxlite.model.load import load_function
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


def function_body(node: Node, input_types: Sequence[ValueType | None]) -> Function | None:
    """The body of an operator that the specification defines as a function, or None.

    Args:
        node: The node that applies the operator; some bodies depend on its attributes.
        input_types: The types of its inputs; some bodies depend on them, and are not to be had without.
    """
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
        if not versions:
            return None
        types = [_type_proto(kind).SerializeToString() for kind in input_types]
        body = schema.get_context_dependent_function_with_opset_version(
            max(versions), _node_proto(node).SerializeToString(), types
        )
    else:
        return None
    proto = onnx.FunctionProto.FromString(body) if isinstance(body, bytes) else body
    defaults = {name: attribute.default_value for name, attribute in schema.attributes.items()}
    return load_function(proto, {node.domain: node.opset, "": node.opset} if not node.domain else {}, defaults)


def _node_proto(node: Node) -> onnx.NodeProto:
    attributes: Mapping[str, Any] = {
        name: onnx.numpy_helper.from_array(value) if is_array(value) else value
        for name, value in node.attributes.items()
        if not isinstance(value, Graph)
    }
    return helper.make_node(
        node.op_type, list(node.inputs), list(node.outputs), node.name, domain=node.domain, **attributes
    )


def _type_proto(kind: ValueType | None) -> onnx.TypeProto:
    if isinstance(kind, TensorType):
        shape = None if kind.shape is None else list(kind.shape)
        return helper.make_tensor_type_proto(kind.element.code if kind.element else 0, shape)
    if isinstance(kind, SequenceType):
        return helper.make_sequence_type_proto(_type_proto(kind.element))
    if isinstance(kind, OptionalType):
        return helper.make_optional_type_proto(_type_proto(kind.element))
    return onnx.TypeProto()
