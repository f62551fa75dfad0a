"""Which operators, in which versions, a model exercises: the nodes of its graph, subgraphs and own functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import onnx
from onnx import defs


class Operator(NamedTuple):
    """One version of one operator of the specification: ``Operator("ai.onnx", "Softmax", 13)``."""

    domain: str
    name: str
    version: int


class ModelNode(NamedTuple):
    """A node with the operator that it calls (None where the specification has no such operator)."""

    node: onnx.NodeProto
    operator: Operator | None


def spelled(domain: str) -> str:
    """The domain as the tables show it: the default domain has two spellings, and "" reads badly."""
    return domain or "ai.onnx"


def model_nodes(model: onnx.ModelProto) -> Iterator[ModelNode]:
    """Every node of a model, those of subgraphs and of model-local functions included."""
    yield from _resolved(model.graph.node, _imports(model.opset_import))
    for function in model.functions:
        yield from _resolved(function.node, _imports(function.opset_import))


def operators_of(model: onnx.ModelProto) -> frozenset[Operator]:
    """The operator versions that the nodes of a model call."""
    return frozenset(operator for _, operator in model_nodes(model) if operator is not None)


def specified_operators() -> frozenset[Operator]:
    """Every version of every operator that the installed onnx defines, deprecated ones included."""
    schemas = defs.get_all_schemas_with_history()
    return frozenset(Operator(spelled(schema.domain), schema.name, schema.since_version) for schema in schemas)


def _imports(opset_imports: Iterator[onnx.OperatorSetIdProto]) -> dict[str, int]:
    return {spelled(entry.domain): entry.version for entry in opset_imports}


def _resolved(nodes: Iterator[onnx.NodeProto], imports: Mapping[str, int]) -> Iterator[ModelNode]:
    for node in nodes:
        yield ModelNode(node, _operator(node, imports))
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _resolved(graph.node, imports)


def _operator(node: onnx.NodeProto, imports: Mapping[str, int]) -> Operator | None:
    domain = spelled(node.domain)
    try:
        schema = defs.get_schema(node.op_type, imports.get(domain, 1), "" if domain == "ai.onnx" else domain)
    except defs.SchemaError:  # a function of the model itself
        return None
    return Operator(domain, node.op_type, schema.since_version)
