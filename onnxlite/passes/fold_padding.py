"""The pass that gives a convolution or a pool the padding of its image that a Pad before it makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.model.ir import Graph, Node
from onnxlite.model.types import TensorType
from onnxlite.plan.bind import needed_nodes
from onnxlite.plan.infer import types_beside

#: Operators with windows, and the number that they see in their own padding.
_FILLS = {"Conv": 0.0, "AveragePool": 0.0, "MaxPool": -np.inf}

#: Operators whose results are not negative: for the largest of them, 0 is as good a padding as minus infinity.
_NOT_NEGATIVE = frozenset({"Relu", "Sigmoid", "HardSigmoid", "Softplus", "Softmax", "Abs"})


def fold_padding(graph: Graph, keep: frozenset[str], outer: Mapping[str, Array]) -> Graph:
    """The graph with constant padding of spatial axes in the attribute ``pads`` of what reads it.

    Args:
        graph: The graph, its nodes in order.
        keep: Names of values that must remain.
        outer: The initializers of the graphs around it.
    """
    producers = {name: node for node in graph.nodes for name in node.outputs if not node.domain}
    readers = [node for node in graph.nodes if not node.domain and node.op_type in _FILLS]
    pads = {id(node): pad for node in readers if (pad := producers.get(node.inputs[0])) and pad.op_type == "Pad"}
    if not pads:
        return graph
    constants = {**outer, **graph.initializers}
    types = types_beside(graph, constants)
    padding = _Padding(constants, producers)
    nodes = []
    for node in graph.nodes:
        kind = types.get(node.outputs[0]) if id(node) in pads else None
        is_float = isinstance(kind, TensorType) and kind.dtype == np.float32
        nodes.append((padding.moved(pads[id(node)], node) if is_float else None) or node)
    folded = replace(graph, nodes=tuple(nodes))
    wanted = sorted(keep.union(value.name for value in graph.outputs))
    return replace(folded, nodes=tuple(needed_nodes(folded, wanted)))


@dataclass(frozen=True, slots=True)
class _Padding:
    """What a Pad does, as far as constants tell it."""

    constants: Mapping[str, Array]
    producers: Mapping[str, Node]

    def moved(self, pad: Node, node: Node) -> Node | None:
        """The reader of a Pad with that padding, or None if its own would be another one."""
        amounts = self.amounts(pad)
        if amounts is None or not self.fits(pad, node) or not _treats_alike(node):
            return None
        rank = len(amounts) // 2
        begins, ends = amounts[:rank], amounts[rank:]
        inside = (*begins[2:], *ends[2:])
        own = _own_pads(node, len(inside))
        if rank < 3 or any((*begins[:2], *ends[:2])) or min(inside) < 0 or len(own) != len(inside):
            return None
        total = tuple(a + b for a, b in zip(own, inside, strict=True))
        if not _is_allowed(node, total):
            return None
        attributes = {name: value for name, value in node.attributes.items() if name != "auto_pad"}
        counting = {"count_include_pad": 1} if node.op_type == "AveragePool" else {}
        return replace(
            node, inputs=(pad.inputs[0], *node.inputs[1:]), attributes={**attributes, "pads": total, **counting}
        )

    def amounts(self, pad: Node) -> tuple[int, ...] | None:
        """How much is padded, before and behind every axis."""
        if pad.attributes.get("mode", "constant") != "constant" or (len(pad.inputs) > 3 and pad.inputs[3]):
            return None
        if pad.opset < 11:
            given = pad.attributes.get("pads", pad.attributes.get("paddings"))
            return None if given is None else tuple(given)
        array = self.constants.get(pad.inputs[1]) if len(pad.inputs) > 1 else None
        return None if array is None or array.ndim != 1 else tuple(array.tolist())

    def fits(self, pad: Node, node: Node) -> bool:
        """Whether the number that is padded with is the one that the reader sees in its padding."""
        fill = self.fill(pad)
        if node.op_type == "MaxPool" and fill == 0:
            return self.is_not_negative(pad.inputs[0]) and all(n == 1 for n in node.attributes.get("dilations", ()))
        return fill == _FILLS[node.op_type]

    def fill(self, pad: Node) -> float | None:
        """The number that is padded with, if it is known."""
        if pad.opset < 11:
            return float(pad.attributes.get("value", 0.0))
        name = pad.inputs[2] if len(pad.inputs) > 2 else ""
        if not name:
            return 0.0
        return float(self.constants[name].item()) if name in self.constants and self.constants[name].size == 1 else None

    def is_not_negative(self, name: str) -> bool:
        """Whether no element of a value is negative."""
        node = self.producers.get(name)
        if node is None or node.op_type != "Clip":
            return node is not None and node.op_type in _NOT_NEGATIVE
        if node.opset < 11:
            return float(node.attributes.get("min", -np.inf)) >= 0
        least = self.constants.get(node.inputs[1]) if len(node.inputs) > 1 else None
        return least is not None and bool(np.all(least >= 0))


def _own_pads(node: Node, count: int) -> tuple[int, ...]:
    if node.attributes.get("auto_pad", "NOTSET") == "VALID":
        return (0,) * count
    return tuple(node.attributes.get("pads", (0,) * count))


def _treats_alike(node: Node) -> bool:
    """Whether a node of a known operator treats its own padding as it treats the elements that a Pad adds."""
    if node.attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return False
    if node.op_type == "Conv":
        return True
    if len(node.outputs) != 1 or node.attributes.get("ceil_mode", 0):
        return False
    counts = bool(node.attributes.get("count_include_pad", 0)) or not any(_own_pads(node, 0))
    return node.op_type == "MaxPool" or (counts and node.opset >= 7)


def _is_allowed(node: Node, pads: tuple[int, ...]) -> bool:
    """Whether a node may have so much padding: in pools, every window must reach into the image."""
    if node.op_type == "Conv":
        return True
    kernel = tuple(node.attributes.get("kernel_shape", ()))
    return 2 * len(kernel) == len(pads) and all(pad < length for pad, length in zip(pads, 2 * kernel, strict=True))
