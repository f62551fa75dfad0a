"""Walking over everything in a model, subgraphs and functions included."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.model.ir import Graph, Model, Node


def all_nodes(model: Model) -> Iterator[Node]:
    """Every node of the graph, of the subgraphs and of the functions."""
    yield from _nodes(model.graph.nodes)
    for function in model.functions.values():
        yield from _nodes(function.nodes)


def all_arrays(model: Model) -> Iterator[Array]:
    """Every initializer and every array in an attribute."""
    yield from model.graph.initializers.values()
    for function in model.functions.values():
        yield from _arrays(function.defaults.values())
    for node in all_nodes(model):
        yield from _arrays(node.attributes.values())


def _nodes(nodes: Iterable[Node]) -> Iterator[Node]:
    for node in nodes:
        yield node
        for _, graph in node.graphs():
            yield from _nodes(graph.nodes)


def _arrays(values: Iterable[object]) -> Iterator[Array]:
    for value in values:
        if isinstance(value, np.ndarray):
            yield value
        elif isinstance(value, Graph):
            yield from value.initializers.values()
        elif isinstance(value, tuple):
            yield from _arrays(value)
