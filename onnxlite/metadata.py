"""What a session says about its model: NodeArg and ModelMetadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from onnxlite.model.ir import Graph, Model, Value
from onnxlite.model.specification import inferred_types
from onnxlite.model.types import Dimension, OptionalType, SparseTensorType, TensorType, ValueType
from onnxlite.plan.infer import infer_types

#: What onnxruntime gives as the version of a model that has none.
NO_VERSION = 2**63 - 1


@dataclass(frozen=True, slots=True)
class NodeArg:
    """An input or output of a model: its name, type (``tensor(float)``) and shape (int, symbol, or None each)."""

    name: str
    type: str
    shape: list[Dimension]


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """What a model says about itself."""

    producer_name: str
    graph_name: str
    domain: str
    description: str
    graph_description: str
    version: int
    custom_metadata_map: dict[str, str] = field(default_factory=dict)


def model_metadata(model: Model) -> ModelMetadata:
    """The metadata of a model."""
    return ModelMetadata(
        producer_name=model.producer_name,
        graph_name=model.graph.name,
        domain=model.domain,
        description=model.description,
        graph_description=model.graph.description,
        version=NO_VERSION if model.version is None else model.version,
        custom_metadata_map=dict(model.metadata),
    )


def node_arg(value: Value) -> NodeArg:
    """A value as onnxruntime describes it; a shape that is not known is empty."""
    kind = value.type.element if isinstance(value.type, OptionalType) else value.type
    shape = kind.shape if isinstance(kind, TensorType | SparseTensorType) else None
    return NodeArg(value.name, str(value.type), list(shape or ()))


def completed_outputs(graph: Graph) -> tuple[Value, ...]:
    """The graph's outputs, with what the model leaves open of their types filled in by inference."""
    if all(_is_complete(value.type) for value in graph.outputs):
        return graph.outputs
    types = _with_shapes(graph)
    return tuple(replace(value, type=_merged(value.type, types.get(value.name))) for value in graph.outputs)


def _is_complete(kind: ValueType | None) -> bool:
    if not isinstance(kind, TensorType):
        return kind is not None
    return kind.element is not None and kind.shape is not None and None not in kind.shape


def _with_shapes(graph: Graph) -> Mapping[str, ValueType]:
    types: dict[str, ValueType] = dict(infer_types(graph, {}))
    for node in graph.nodes:
        inferred = inferred_types(node, [types.get(name) for name in node.inputs], graph.initializers)
        for name, kind in zip(node.outputs, inferred, strict=False):
            merged = _merged(types.get(name), kind)
            if name and merged is not None:
                types[name] = merged
    return types


def _merged(declared: ValueType | None, inferred: ValueType | None) -> ValueType | None:
    """What is declared, with what is inferred where nothing is."""
    if declared is None:
        return inferred
    if not isinstance(declared, TensorType) or not isinstance(inferred, TensorType):
        return declared
    return TensorType(declared.element or inferred.element, _merged_shape(declared.shape, inferred.shape))


def _merged_shape(
    declared: Sequence[Dimension] | None, inferred: Sequence[Dimension] | None
) -> tuple[Dimension, ...] | None:
    if declared is None:
        return None if inferred is None else tuple(inferred)
    if inferred is None or len(inferred) != len(declared):
        return tuple(declared)
    return tuple(other if own is None else own for own, other in zip(declared, inferred, strict=True))
