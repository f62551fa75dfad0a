"""The passes that make a graph faster, in their order.

Each is a pure function from graph to graph in a file of its own, and keeps the values whose names it is told to.  They
prepare the graph for compiled kernels; without any, the graph stays as the model has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from onnxlite.kernels.arrays import Array
from onnxlite.model.ir import Graph, Node
from onnxlite.options import GraphOptimizationLevel
from onnxlite.plan.fold_constants import fold_constants
from onnxlite.plan.fold_normalization import fold_normalization
from onnxlite.plan.fuse_convolution import fuse_convolution
from onnxlite.plan.layout import channels_last
from onnxlite.providers import Provider


def optimize(
    graph: Graph,
    keep: frozenset[str],
    level: int,
    providers: Sequence[Provider],
    outer: Mapping[str, Array] | None = None,
) -> Graph:
    """The graph as it is bound.

    Args:
        graph: The graph.
        keep: Names of values that must remain: the outputs, and what a user wants to see.
        level: A GraphOptimizationLevel: ORT_DISABLE_ALL changes nothing, ORT_ENABLE_BASIC folds, ORT_ENABLE_EXTENDED fuses
            too, ORT_ENABLE_LAYOUT and above also change the layout of images.
        providers: Who will compute.
        outer: The initializers of the graphs around it.
    """
    known = outer or {}
    if level < GraphOptimizationLevel.ORT_ENABLE_BASIC:
        return graph
    graph = fold_constants(graph, known, providers)
    graph = fold_normalization(graph, keep, known)
    if level >= GraphOptimizationLevel.ORT_ENABLE_LAYOUT:
        graph = channels_last(graph, keep, known)
        graph = fuse_convolution(graph, keep, known)
    inner = {**known, **graph.initializers}
    return replace(graph, nodes=tuple(_with_bodies(node, level, providers, inner) for node in graph.nodes))


def _with_bodies(node: Node, level: int, providers: Sequence[Provider], outer: Mapping[str, Array]) -> Node:
    bodies = {
        name: optimize(body, frozenset(value.name for value in body.outputs), level, providers, outer)
        for name, body in node.graphs()
    }
    return replace(node, attributes={**node.attributes, **bodies}) if bodies else node
