"""The pass that computes once what several nodes compute alike (common subexpressions)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array, is_array
from onnxlite.model.ir import Graph, Node
from onnxlite.passes.aliases import Aliases
from onnxlite.plan.dependence import is_repeatable

#: A constant of more bytes is compared with others only if some of its elements, of this number, are equal.
_SAMPLED, _SAMPLES = 256, 16


def share_common(graph: Graph, keep: frozenset[str]) -> Graph:
    """The graph with one node for all that apply an operator with equal attributes to equal inputs.

    Args:
        graph: The graph, its nodes in order.
        keep: Names of values that must remain.
    """
    aliases = Aliases.of(graph, keep)
    _merge_initializers(graph, aliases)
    first: dict[Any, Node] = {}
    nodes: list[Node] = []
    for original in graph.nodes:
        node = aliases.renamed(original)
        key = _key(node) if is_repeatable(node) else None
        earlier = first.setdefault(key, node) if key is not None else node
        if earlier is node or not aliases.fixed.isdisjoint(node.outputs):
            nodes.append(node)
            continue
        for name, source in zip(node.outputs, earlier.outputs, strict=True):
            if name:
                aliases.add(name, source)
    return replace(graph, nodes=tuple(nodes))


def _key(node: Node) -> Any:
    """What makes two nodes the same, as something that can be looked up; which outputs are left out counts too."""
    attributes = tuple((name, _plain(value)) for name, value in sorted(node.attributes.items()))
    present = tuple(map(bool, node.outputs))
    return node.domain, node.op_type, node.overload, node.opset, node.inputs, present, attributes


def _plain(value: Any) -> Any:
    """An attribute's value with its type: 1 and 1.0 and True are different, and so are 0.0 and -0.0."""
    if is_array(value):
        return value.dtype.str, value.shape, value.tobytes() if value.dtype != np.object_ else tuple(value.ravel())
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return type(value).__name__, repr(value) if isinstance(value, float) else value


def _merge_initializers(graph: Graph, aliases: Aliases) -> None:
    """Let equal initializers stand for each other; inputs of the graph have values of their own."""
    given = {value.name for value in graph.inputs}
    groups: dict[Any, list[str]] = defaultdict(list)
    for name, array in graph.initializers.items():
        if name in given or name in aliases.fixed or array.dtype == np.object_:
            continue
        same = groups[array.dtype, array.shape, _sample(array)]
        equal = next((other for other in same if _are_equal(graph.initializers[other], array)), None)
        if equal is None:
            same.append(name)
        else:
            aliases.add(name, equal)


def _sample(array: Array) -> bytes:
    """Some of an array's elements, all of a small one's."""
    if array.nbytes <= _SAMPLED:
        return bytes(array.tobytes())
    places = np.linspace(0, array.size - 1, _SAMPLES).astype(np.int64)
    return bytes(array[np.unravel_index(places, array.shape)].tobytes())


def _are_equal(a: Array, b: Array) -> bool:
    """Whether two arrays of one type and shape have the same bytes."""
    if a is b or a.nbytes <= _SAMPLED:
        return True
    x, y = (np.ascontiguousarray(array).reshape(-1).view(np.uint8) for array in (a, b))
    return bool(np.array_equal(x, y))
