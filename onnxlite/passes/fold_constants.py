"""The pass that computes what depends on constants alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.model.ir import Graph, Node
from onnxlite.plan.dependence import is_repeatable
from onnxlite.plan.place import place, required_kernel
from onnxlite.providers import Provider

#: The bytes that all results of a graph may take, what a file can hold: a few numbers can describe a huge array.
_MAX_BYTES = 1 << 31

#: Operators that can make a small input large; of these, only ConstantOfShape is worth it.
_ENLARGING = frozenset({"Expand", "Tile", "Range", "Resize", "Upsample", "EyeLike", "OneHot", "Pad"})


def fold_constants(
    graph: Graph,
    outer: Mapping[str, Array],
    providers: Sequence[Provider],
    leave: Callable[[Node, Mapping[str, Array]], bool] | None = None,
) -> Graph:
    """The graph with every node whose inputs are initializers replaced by initializers.

    Args:
        graph: The graph, its nodes in order.
        outer: The initializers of the graphs around it.
        providers: Who computes.
        leave: Which of these nodes stay, given the initializers.
    """
    known = {**outer, **graph.initializers}
    initializers = dict(graph.initializers)
    nodes: list[Node] = []
    room = _MAX_BYTES
    for node in graph.nodes:
        inputs = [name for name in node.inputs if name]
        constant = bool(inputs) and all(name in known for name in inputs) and not (leave and leave(node, known))
        results = _results(node, known, providers, room) if constant else None
        if results is None:
            nodes.append(node)
            continue
        room -= sum(result.nbytes for result in results)
        for name, result in zip(node.outputs, results, strict=False):
            if name:
                initializers[name] = known[name] = result
    return replace(graph, nodes=tuple(nodes), initializers=initializers)


def _results(node: Node, known: Mapping[str, Array], providers: Sequence[Provider], room: int) -> list[Array] | None:
    """What the node computes, if that is arrays that there is room for; whatever is wrong shows when the model runs."""
    if not is_repeatable(node) or node.domain or node.op_type in _ENLARGING:
        return None
    arguments = [known[name] if name else None for name in node.inputs]
    shape = arguments[0]
    if node.op_type == "ConstantOfShape" and (shape is None or 8 * math.prod(shape.ravel().tolist()) > room):
        return None
    kernel = required_kernel(place(node, [None] * len(node.inputs), providers))
    if kernel.provided - {"output_count"}:
        return None
    given = dict(node.attributes)
    if "output_count" in kernel.provided:
        given["output_count"] = len(node.outputs)
    try:
        with np.errstate(all="ignore"):
            results = kernel.function(*arguments, **given)
    except Exception:
        return None
    several = results if isinstance(results, tuple) else (results,)
    values = [np.asarray(r) if isinstance(r, np.generic) else r for r in several]
    if len(values) < len(node.outputs) or any(value.__class__ is not np.ndarray for value in values):
        return None
    return [_read_only(value) for value in values] if sum(value.nbytes for value in values) <= room else None


def _read_only(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view
