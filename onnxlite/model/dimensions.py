"""The pass that gives symbolic dimensions a length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from onnxlite.model.ir import Graph, Model, Node, Value
from onnxlite.model.types import OptionalType, SequenceType, TensorType, ValueType


def with_fixed_dimensions(model: Model, by_name: Mapping[str, int], by_denotation: Mapping[str, int]) -> Model:
    """The model with lengths in the place of dimensions.

    Args:
        model: The model.
        by_name: The lengths of symbolic dimensions, wherever they are.
        by_denotation: The lengths of the dimensions of the graph's inputs that stand for something; where such a
            dimension has a symbol, that symbol is fixed wherever it is.
    """
    if not by_name and not by_denotation:
        return model
    lengths = dict(by_name)
    inputs = [_denoted(value, by_denotation, lengths) for value in model.graph.inputs]
    return replace(model, graph=_graph(replace(model.graph, inputs=tuple(inputs)), lengths))


def _denoted(value: Value, by_denotation: Mapping[str, int], lengths: dict[str, int]) -> Value:
    """The value with the dimensions fixed that stand for something; their symbols are added to ``lengths``."""
    kind = value.type
    if not isinstance(kind, TensorType) or kind.shape is None or not value.denotations:
        return value
    shape = list(kind.shape)
    for axis, denotation in enumerate(value.denotations):
        dimension = shape[axis]
        if denotation in by_denotation and not isinstance(dimension, int):
            shape[axis] = by_denotation[denotation]
            if dimension is not None:
                lengths[dimension] = by_denotation[denotation]
    return replace(value, type=replace(kind, shape=tuple(shape)))


def _graph(graph: Graph, lengths: Mapping[str, int]) -> Graph:
    return replace(
        graph,
        inputs=tuple(_value(value, lengths) for value in graph.inputs),
        outputs=tuple(_value(value, lengths) for value in graph.outputs),
        values={name: _value(value, lengths) for name, value in graph.values.items()},
        nodes=tuple(_node(node, lengths) for node in graph.nodes),
    )


def _node(node: Node, lengths: Mapping[str, int]) -> Node:
    if not any(node.graphs()):
        return node
    return replace(node, attributes={name: _attribute(value, lengths) for name, value in node.attributes.items()})


def _attribute(value: Any, lengths: Mapping[str, int]) -> Any:
    if isinstance(value, tuple):
        return tuple(_attribute(item, lengths) for item in value)
    return _graph(value, lengths) if isinstance(value, Graph) else value


def _value(value: Value, lengths: Mapping[str, int]) -> Value:
    return value if value.type is None else replace(value, type=_type(value.type, lengths))


def _type(kind: ValueType, lengths: Mapping[str, int]) -> ValueType:
    if isinstance(kind, TensorType) and kind.shape is not None:
        shape = tuple(lengths.get(d, d) if isinstance(d, str) else d for d in kind.shape)
        return replace(kind, shape=shape)
    if isinstance(kind, SequenceType | OptionalType) and kind.element is not None:
        return replace(kind, element=_type(kind.element, lengths))
    return kind
