"""The passes that make a graph faster, in their order.

Each is a pure function from graph to graph in a file of its own, and keeps the values whose names it is told to.  They
prepare the graph for compiled kernels; without any, the graph stays as the model has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from onnxlite.kernels.arrays import Array
from onnxlite.model.ir import Graph, Node
from onnxlite.model.order import captures, reads
from onnxlite.options import GraphOptimizationLevel
from onnxlite.passes.chains import merge_chains
from onnxlite.passes.fold_constants import fold_constants
from onnxlite.passes.fold_normalization import fold_normalization
from onnxlite.passes.fuse_attention import fuse_attention
from onnxlite.passes.fuse_elementwise import fuse_elementwise
from onnxlite.passes.fuse_product import fuse_product
from onnxlite.passes.fuse_quantized import fuse_quantized
from onnxlite.passes.fuse_quantized_weights import dequantizes_blocks, fuse_quantized_weights
from onnxlite.passes.layout import channels_last
from onnxlite.passes.lower_einsum import lower_einsum
from onnxlite.passes.lower_transposed import lower_transposed
from onnxlite.passes.move_dequantization import move_dequantization
from onnxlite.passes.number_labels import number_labels
from onnxlite.passes.quantization import dequantizes_bytes
from onnxlite.passes.recognize import recognize
from onnxlite.passes.simplify import simplify
from onnxlite.passes.widen import widen
from onnxlite.plan.bind import needed_nodes
from onnxlite.plan.place import place
from onnxlite.providers import Provider
from onnxlite.providers.registry import compiles


def optimize(
    graph: Graph,
    outputs: Sequence[str],
    level: int,
    providers: Sequence[Provider],
    outer: Mapping[str, Array] | None = None,
) -> Graph:
    """The graph as it is bound: what the outputs need of it, rewritten for compiled kernels.

    Args:
        graph: The graph.
        outputs: The names of the values that are wanted; they keep their names and layout.
        level: A GraphOptimizationLevel: ORT_DISABLE_ALL changes nothing, ORT_ENABLE_BASIC folds, ORT_ENABLE_EXTENDED
            fuses too, ORT_ENABLE_LAYOUT and above also change the layout of images.
        providers: Who will compute; without compiled kernels among them the graph stays as the model has it.
        outer: The initializers of the graphs around it.
    """
    if level < GraphOptimizationLevel.ORT_ENABLE_BASIC or not any(map(compiles, providers)):
        return graph
    keep = frozenset(outputs)
    known = {name: outer[name] for name in captures(graph) if name in outer} if outer else {}
    wanted = tuple(value for value in graph.outputs if value.name in keep)
    graph = replace(graph, nodes=tuple(needed_nodes(graph, outputs)), outputs=wanted)
    graph = _shielded(graph, providers)
    if level >= GraphOptimizationLevel.ORT_ENABLE_EXTENDED:
        graph = _with_integers(graph, keep, known, providers, level >= GraphOptimizationLevel.ORT_ENABLE_LAYOUT)
    if level >= GraphOptimizationLevel.ORT_ENABLE_EXTENDED:
        graph = lower_einsum(widen(graph, keep, known), keep, known)
        graph = number_labels(graph, keep, known)
    graph = simplify(fold_constants(graph, known, providers), keep, known)
    if level >= GraphOptimizationLevel.ORT_ENABLE_EXTENDED:
        graph = recognize(graph, keep, known)
        graph = fuse_attention(graph, keep, known)
    graph = fold_normalization(graph, keep, known)
    if level >= GraphOptimizationLevel.ORT_ENABLE_LAYOUT:
        graph = lower_transposed(graph, keep, known)
        graph = merge_chains(channels_last(graph, keep, known), keep, known)
    if level >= GraphOptimizationLevel.ORT_ENABLE_EXTENDED:
        graph = fuse_product(graph, keep, known)
        graph = fuse_elementwise(graph, keep, known)
    inner = {**known, **graph.initializers}
    nodes = tuple(_with_bodies(_unshielded(node), level, providers, inner) for node in graph.nodes)
    read = keep.union(*map(reads, nodes))
    needed = {name: array for name, array in graph.initializers.items() if name in read}
    return replace(graph, nodes=nodes, initializers=needed)


def _with_integers(
    graph: Graph, keep: frozenset[str], known: Mapping[str, Array], providers: Sequence[Provider], images: bool
) -> Graph:
    """The graph with products of bytes where it multiplies what it has dequantized."""
    graph = fold_constants(graph, known, providers, _dequantizes_weights)
    if any(node.op_type == "DequantizeLinear" for node in graph.nodes):
        graph = move_dequantization(graph, keep, known)
        graph = fold_constants(graph, known, providers, _dequantizes_weights)
    return fuse_quantized_weights(fuse_quantized(graph, keep, known, images=images), keep, known)


def _dequantizes_weights(node: Node, constants: Mapping[str, Array]) -> bool:
    """Whether a node makes floats of constants that products want as they are."""
    return dequantizes_bytes(node, constants) or dequantizes_blocks(node, constants)


#: What the domains of nodes start with that no pass may touch: it is no domain that a pass knows.
_SHIELD = "shielded:"


def _shielded(graph: Graph, providers: Sequence[Provider]) -> Graph:
    """The graph with the nodes shielded from the passes that a provider before the compiling one serves."""
    first = next(index for index, provider in enumerate(providers) if compiles(provider))
    before = list(providers[:first])
    if not before:
        return graph

    def shielded(node: Node) -> Node:
        served = place(node, (), before).kernel is not None
        return replace(node, domain=_SHIELD + node.domain) if served else node

    return replace(graph, nodes=tuple(map(shielded, graph.nodes)))


def _unshielded(node: Node) -> Node:
    return replace(node, domain=node.domain.removeprefix(_SHIELD)) if node.domain.startswith(_SHIELD) else node


def _with_bodies(node: Node, level: int, providers: Sequence[Provider], outer: Mapping[str, Array]) -> Node:
    bodies = {
        name: optimize(body, [value.name for value in body.outputs], level, providers, outer)
        for name, body in node.graphs()
    }
    return replace(node, attributes={**node.attributes, **bodies}) if bodies else node
