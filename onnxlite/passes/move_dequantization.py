"""The pass that takes dequantization behind operators that only move data, which then move a byte for each number.

What is quantized again as it was before is the same integers: the pair of nodes is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from onnxlite.kernels.arrays import Array
from onnxlite.model.ir import Graph, Node
from onnxlite.passes.quantization import BYTES, Quantized, dequantized, quantized, quantized_types
from onnxlite.plan.bind import needed_nodes

#: Operators that move the elements of their first input.
_MOVING = frozenset(
    {"DepthToSpace", "Expand", "Flatten", "Gather", "Identity", "Reshape", "Slice", "SpaceToDepth", "Split", "Squeeze"}
    | {"Tile", "Transpose", "Unsqueeze"}
)


def move_dequantization(graph: Graph, keep: frozenset[str], outer: Mapping[str, Array]) -> Graph:
    """The graph with data moved as bytes where it is quantized.

    Args:
        graph: The graph, its nodes in order.
        keep: Names of values that must remain.
        outer: The initializers of the graphs around it.
    """
    constants = {**outer, **graph.initializers}
    types = quantized_types(graph, constants)
    known: dict[str, Quantized] = {}
    same: dict[str, str] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        node = replace(node, inputs=tuple(same.get(name, name) for name in node.inputs))
        made = quantized(node, constants)
        source = known.get(node.inputs[0]) if made is not None else None
        if made is not None and source is not None and made.is_like(source):
            # Subgraphs and the graph's outputs may still ask for it by its name.
            nodes.append(Node("Identity", (source.values,), node.outputs, name=node.name, opset=node.opset))
            same[node.outputs[0]] = source.values
            continue
        value = dequantized(node, constants, types)
        if value is not None and value.dtype in BYTES:
            known[node.outputs[0]] = value
        if not node.domain and node.op_type in ("Shape", "Size") and node.inputs[0] in known:
            node = replace(node, inputs=(known[node.inputs[0]].values,))
        moved = _moved(node, known)
        for integers, name in moved:
            known[name] = integers
            types[integers.values] = integers.dtype
        nodes += _nodes(node, moved, known) if moved else [node]
    wanted = [*(value.name for value in graph.outputs), *sorted(keep)]
    graph = replace(graph, nodes=tuple(nodes))
    return replace(graph, nodes=tuple(needed_nodes(graph, wanted)))


def _moved(node: Node, known: Mapping[str, Quantized]) -> list[tuple[Quantized, str]]:
    """The outputs of a node that moves quantized data, as integers and by their names; empty if it is none."""
    sources = [known.get(name) for name in _data(node)]
    first = sources[0] if sources else None
    if first is not None and first.axis is not None:
        first = _transposed(node, first)
    elif any(source is None or first is None or not source.is_like(first) for source in sources):
        return []
    if first is None:
        return []
    return [(replace(first, values=f"{name}/quantized"), name) for name in node.outputs]


def _transposed(node: Node, value: Quantized) -> Quantized | None:
    """What a Transpose makes of a value with a scale for each index of an axis; None of other nodes."""
    perm = node.attributes.get("perm")
    if node.op_type != "Transpose" or perm is None or value.axis is None or not -len(perm) <= value.axis < len(perm):
        return None
    return replace(value, axis=tuple(perm).index(value.axis % len(perm)))


def _data(node: Node) -> Sequence[str]:
    """The inputs whose elements a node moves."""
    if node.domain or not all(node.outputs):
        return ()
    if node.op_type in _MOVING or (node.op_type == "MaxPool" and node.opset >= 12 and len(node.outputs) == 1):
        return node.inputs[:1]
    return node.inputs if node.op_type == "Concat" else ()


def _nodes(node: Node, moved: list[tuple[Quantized, str]], known: Mapping[str, Quantized]) -> list[Node]:
    """The node on integers, and what dequantizes its results."""
    count = len(_data(node))
    inputs = (*(known[name].values for name in node.inputs[:count]), *node.inputs[count:])
    nodes = [replace(node, inputs=inputs, outputs=tuple(integers.values for integers, _ in moved))]
    for integers, name in moved:
        operands = (integers.values, integers.scale, *filter(None, [integers.zero_point]))
        # Version 10 has no axis.
        axis = {} if integers.axis is None else {"axis": integers.axis}
        nodes.append(Node("DequantizeLinear", operands, (name,), name=name, opset=node.opset, attributes=axis))
    return nodes
