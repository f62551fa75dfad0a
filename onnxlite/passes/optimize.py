"""The passes that make a graph faster, in their order.

Each is a pure function from graph to graph in a file of its own, and keeps the values whose names it is told to.  They
prepare the graph for compiled kernels; without any, the graph stays as the model has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from onnxlite.kernels.arrays import Array
from onnxlite.model.ir import Graph, Node
from onnxlite.model.order import captures, reads
from onnxlite.options import GraphOptimizationLevel
from onnxlite.passes.chains import merge_chains
from onnxlite.passes.common import share_common
from onnxlite.passes.eliminate import eliminate
from onnxlite.passes.fold_constants import fold_constants
from onnxlite.passes.fold_normalization import fold_normalization
from onnxlite.passes.fold_padding import fold_padding
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
from onnxlite.passes.widen import widen
from onnxlite.plan.bind import needed_nodes
from onnxlite.plan.place import place
from onnxlite.providers import Provider
from onnxlite.providers.registry import compiles


@dataclass(frozen=True, slots=True)
class Setting:
    """What passes are told besides the graph.

    Args:
        keep: Names of values that must remain.
        outer: The initializers of the graphs around it.
        providers: Who will compute.
        level: The user's GraphOptimizationLevel.
        disabled: The names of passes that the user has switched off.
    """

    keep: frozenset[str]
    outer: Mapping[str, Array]
    providers: Sequence[Provider]
    level: int
    disabled: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Pass:
    """One of the passes: its name, the lowest level that it runs at, and what it does."""

    name: str
    level: int
    run: Callable[[Graph, Setting], Graph]


_Plain: TypeAlias = Callable[[Graph, frozenset[str], Mapping[str, Array]], Graph]

_BASIC, _EXTENDED, _LAYOUT = (
    int(GraphOptimizationLevel.ORT_ENABLE_BASIC),
    int(GraphOptimizationLevel.ORT_ENABLE_EXTENDED),
    int(GraphOptimizationLevel.ORT_ENABLE_LAYOUT),
)


def _pass(level: int, function: _Plain, name: str = "") -> Pass:
    return Pass(name or function.__name__, level, lambda graph, setting: function(graph, setting.keep, setting.outer))


def _fold_constants(graph: Graph, setting: Setting) -> Graph:
    return fold_constants(graph, setting.outer, setting.providers)


def _fold_all_but_bytes(graph: Graph, setting: Setting) -> Graph:
    """Fold what is constant, but leave the weights that products want as narrow as they are."""
    return fold_constants(graph, setting.outer, setting.providers, _dequantizes_weights)


def _move_dequantization(graph: Graph, setting: Setting) -> Graph:
    if not any(node.op_type == "DequantizeLinear" for node in graph.nodes):
        return graph
    return _fold_all_but_bytes(move_dequantization(graph, setting.keep, setting.outer), setting)


def _fuse_quantized(graph: Graph, setting: Setting) -> Graph:
    return fuse_quantized(graph, setting.keep, setting.outer, images=setting.level >= _LAYOUT)


def _share_common(graph: Graph, setting: Setting) -> Graph:
    return share_common(graph, setting.keep)


def _dequantizes_weights(node: Node, constants: Mapping[str, Array]) -> bool:
    """Whether a node makes floats of constants that products want as they are."""
    return dequantizes_bytes(node, constants) or dequantizes_blocks(node, constants)


#: All passes.  Integers come first: what is folded or widened is none any more.  Formulas are recognised before
#: products take what follows them, and the rest is left to elementwise groups.
PASSES: tuple[Pass, ...] = (
    Pass("fold_all_but_bytes", _EXTENDED, _fold_all_but_bytes),
    Pass("move_dequantization", _EXTENDED, _move_dequantization),
    Pass("fuse_quantized", _EXTENDED, _fuse_quantized),
    _pass(_EXTENDED, fuse_quantized_weights),
    _pass(_EXTENDED, widen),
    _pass(_EXTENDED, lower_einsum),
    _pass(_EXTENDED, number_labels),
    Pass("fold_constants", _BASIC, _fold_constants),
    _pass(_BASIC, eliminate),
    _pass(_BASIC, merge_chains),
    Pass("share_common", _BASIC, _share_common),
    _pass(_BASIC, fold_padding),
    _pass(_EXTENDED, recognize),
    _pass(_EXTENDED, fuse_attention),
    _pass(_BASIC, fold_normalization),
    _pass(_LAYOUT, lower_transposed),
    _pass(_LAYOUT, channels_last),
    _pass(_LAYOUT, merge_chains, "merge_layout_chains"),
    _pass(_EXTENDED, fuse_product),
    _pass(_EXTENDED, fuse_elementwise),
)


def optimize(
    graph: Graph,
    outputs: Sequence[str],
    level: int,
    providers: Sequence[Provider],
    outer: Mapping[str, Array] | None = None,
    disabled: frozenset[str] = frozenset(),
) -> Graph:
    """The graph as it is bound: what the outputs need of it, rewritten for compiled kernels.

    Args:
        graph: The graph.
        outputs: The names of the values that are wanted; they keep their names and layout.
        level: A GraphOptimizationLevel: ORT_DISABLE_ALL changes nothing, ORT_ENABLE_BASIC folds, ORT_ENABLE_EXTENDED
            fuses too, ORT_ENABLE_LAYOUT and above also change the layout of images.
        providers: Who will compute; without compiled kernels among them the graph stays as the model has it.
        outer: The initializers of the graphs around it.
        disabled: The names of passes (`PASSES`) that shall not run.
    """
    if level < _BASIC or not any(map(compiles, providers)):
        return graph
    known = {name: outer[name] for name in captures(graph) if name in outer} if outer else {}
    setting = Setting(frozenset(outputs), known, providers, level, disabled)
    wanted = tuple(value for value in graph.outputs if value.name in setting.keep)
    graph = replace(graph, nodes=tuple(needed_nodes(graph, outputs)), outputs=wanted)
    graph = _shielded(graph, providers)
    for one in PASSES:
        if level >= one.level and one.name not in disabled:
            graph = one.run(graph, setting)
    inner = {**known, **graph.initializers}
    nodes = tuple(_with_bodies(_unshielded(node), setting, inner) for node in graph.nodes)
    read = setting.keep.union(*map(reads, nodes))
    needed = {name: array for name, array in graph.initializers.items() if name in read}
    return replace(graph, nodes=nodes, initializers=needed)


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


def _with_bodies(node: Node, setting: Setting, outer: Mapping[str, Array]) -> Node:
    bodies = {
        name: optimize(
            body,
            [value.name for value in body.outputs],
            setting.level,
            setting.providers,
            outer,
            setting.disabled,
        )
        for name, body in node.graphs()
    }
    return replace(node, attributes={**node.attributes, **bodies}) if bodies else node
