"""The pass that gives images the layout with the channels last, in which convolutions and pools are fast.

Going through the nodes in order, it keeps for each value the name of its *twin*, the same value with the channels last,
where there is one.  Operators on images read and make twins; operators that work element by element go along with the
twins of their inputs; any other reader of a value gets it back in its own layout, by a Transpose where it is first
needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.model.ir import Graph, Node
from onnxlite.model.order import reads
from onnxlite.passes import layout_movement
from onnxlite.passes.layout_movement import to_first, to_last

#: Operators that treat every element alike, with one tensor input.
_UNARY = frozenset(
    {"Abs", "Cast", "Ceil", "Celu", "Clip", "Dropout", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish"}
    | {"Identity", "LeakyRelu", "Log", "Mish", "Neg", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign"}
    | {"Softplus", "Softsign", "Sqrt", "Swish", "Tanh", "ThresholdedRelu", "QuantizeLinear", "DequantizeLinear"}
)
_QUANTIZING = frozenset({"QuantizeLinear", "DequantizeLinear"})
#: Operators on several tensors that broadcast together.
_BROADCASTING = frozenset({"Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean", "Pow", "PRelu"})


def channels_last(graph: Graph, keep: frozenset[str], outer: Mapping[str, Array]) -> Graph:
    """The graph with convolutions and pools on channels-last images.

    Args:
        graph: The graph, its nodes in order.
        keep: Names of values that must remain, in their own layout.
        outer: The initializers of the graphs around it.
    """
    known = {**outer, **graph.initializers}
    if not any(_is_image_operator(node, known) for node in graph.nodes):
        return graph
    pass_ = Layout(dict(graph.initializers), known)
    for node in graph.nodes:
        pass_.node(node)
    for name in (*(value.name for value in graph.outputs), *sorted(keep)):
        pass_.plain(name)
    return replace(graph, nodes=tuple(pass_.nodes), initializers=pass_.initializers)


def _is_image_operator(node: Node, initializers: Mapping[str, Array]) -> bool:
    if node.domain == "onnxlite":
        return node.op_type == "QuantizedConv"
    return not node.domain and node.op_type == "Conv" and node.inputs[1] in initializers


@dataclass(slots=True)
class Layout:
    """The state of the pass.

    There are the nodes so far, the twins with their ranks, the values that still lack their own layout, and the names
    of values that the pass made besides.
    """

    initializers: dict[str, Array]
    known: dict[str, Array]
    nodes: list[Node] = field(default_factory=list)
    twins: dict[str, str] = field(default_factory=dict)
    ranks: dict[str, int] = field(default_factory=dict)
    owed: set[str] = field(default_factory=set)
    made: set[str] = field(default_factory=set)

    def node(self, node: Node) -> None:
        """Take over one node, in the layout that suits it."""
        rule = _RULES.get(node.operator)
        if rule is None or not rule(self, node):
            for name in reads(node):
                self.plain(name)
            self.nodes.append(node)

    def plain(self, name: str) -> None:
        """See to it that a value exists in its own layout."""
        if name in self.owed:
            self.owed.discard(name)
            rank = self.ranks[name]
            self.nodes.append(_transpose(self.twins[name], name, to_first(rank)))

    def twin(self, name: str, rank: int) -> str:
        """The name of a value's twin, which is made where there is none."""
        if name not in self.twins:
            self.twins[name] = f"{name}/channels_last"
            self.ranks[name] = rank
            if name in self.known:
                self.add(self.twins[name], self.known[name].transpose(to_last(rank)))
            else:
                self.nodes.append(_transpose(name, self.twins[name], to_last(rank)))
        return self.twins[name]

    def emit(self, node: Node, rank: int) -> None:
        """Append a node that makes the twins of the outputs it names."""
        for name in filter(None, node.outputs):
            self.twins[name] = f"{name}/channels_last"
            self.ranks[name] = rank
            self.owed.add(name)
        self.nodes.append(replace(node, outputs=tuple(self.twins[name] if name else "" for name in node.outputs)))

    def rank_of(self, names: Iterable[str]) -> int | None:
        """The rank of those of the values that have a twin; None if none has one, or they differ."""
        ranks = {self.ranks[name] for name in names if name in self.twins}
        return ranks.pop() if len(ranks) == 1 else None

    def operand(self, name: str, rank: int) -> str | None:
        """What stands for an operand beside twins of a rank: its twin, or a constant brought into place."""
        if name in self.twins:
            return self.twins[name]
        array = self.known.get(name)
        if array is None or array.ndim > rank:
            return None
        if array.size == 1:
            return name
        # An operand of fewer axes is matched with the last axes, so it is given the missing ones first.
        placed = f"{name}/channels_last_{rank}"
        self.add(placed, array.reshape((1,) * (rank - array.ndim) + array.shape).transpose(to_last(rank)))
        return placed

    def add(self, name: str, array: Array) -> None:
        """Add an initializer."""
        self.initializers[name] = self.known[name] = np.ascontiguousarray(array)


def _transpose(source: str, target: str, perm: tuple[int, ...]) -> Node:
    return Node("Transpose", (source,), (target,), name=target, opset=13, attributes={"perm": perm})


def _conv(layout: Layout, node: Node) -> bool:
    weights = layout.known.get(node.inputs[1])
    constant = all(name in layout.known for name in node.inputs[1:] if name)
    if weights is None or not constant or weights.dtype != np.float32 or not 3 <= weights.ndim <= 5:
        return False
    image = layout.known.get(node.inputs[0])
    if image is not None and image.ndim != weights.ndim:
        return False
    x = layout.twin(node.inputs[0], weights.ndim)
    inputs = (x, *node.inputs[1:])
    layout.emit(replace(node, domain="onnxlite", opset=1, inputs=inputs), weights.ndim)
    return True


def _quantized_conv(layout: Layout, node: Node) -> bool:
    """The convolution of integers, whose weights are constant."""
    rank = layout.known[node.inputs[3]].ndim
    inputs = (layout.twin(node.inputs[0], rank), *node.inputs[1:])
    layout.emit(replace(node, inputs=inputs, attributes={**node.attributes, "channels_last": 1}), rank)
    return True


def _overlap_add(layout: Layout, node: Node) -> bool:
    """The second half of a transposed convolution, of which the first is a convolution."""
    rank = layout.rank_of(node.inputs[:1])
    if rank is None:
        return False
    inputs = (layout.twins[node.inputs[0]], *node.inputs[1:])
    layout.emit(replace(node, inputs=inputs, attributes={**node.attributes, "channels_last": 1}), rank)
    return True


def _pool(layout: Layout, node: Node) -> bool:
    rank = layout.rank_of(node.inputs[:1])
    if rank is None or len(node.outputs) != 1 or node.opset < 7:
        return False
    layout.emit(replace(node, domain="onnxlite", opset=1, inputs=(layout.twins[node.inputs[0]],)), rank)
    return True


def _global_pool(layout: Layout, node: Node) -> bool:
    rank = layout.rank_of(node.inputs)
    if rank is None:
        return False
    operator = {"GlobalAveragePool": "ReduceMean", "GlobalMaxPool": "ReduceMax"}[node.op_type]
    attributes = {"axes": tuple(range(1, rank - 1)), "keepdims": 1}
    inputs = (layout.twins[node.inputs[0]],)
    layout.emit(replace(node, op_type=operator, opset=13, inputs=inputs, attributes=attributes), rank)
    return True


def _elementwise(layout: Layout, node: Node) -> bool:
    if len(node.outputs) != 1 or (node.op_type in _BROADCASTING and node.opset < 7):
        return False
    if node.op_type in _QUANTIZING and (node.inputs[1] not in layout.known or layout.known[node.inputs[1]].size != 1):
        return False  # it may have a scale for each index of an axis
    if node.op_type == "Dropout" and (node.opset < 7 or len(node.inputs) > 2):
        return False  # it may be training, and draw a random number for each element in its order
    rank = layout.rank_of(node.inputs)
    if rank is None:
        return False
    if node.op_type in _UNARY:
        operands: list[str | None] = [layout.operand(node.inputs[0], rank), *node.inputs[1:]]
        if node.inputs[0] not in layout.twins:
            return False
        for name in filter(None, node.inputs[1:]):
            layout.plain(name)
    else:
        operands = [layout.operand(name, rank) for name in node.inputs]
    if None in operands:
        return False
    layout.emit(replace(node, inputs=tuple(map(str, operands))), rank)
    return True


def _moved_axis(axis: int, rank: int) -> int | None:
    """Where an axis lies with the channels last, or None if there is no such axis."""
    return to_last(rank).index(axis % rank) if -rank <= axis < rank else None


def _along_axis(layout: Layout, node: Node) -> bool:
    """Concat and Softmax: the axis is renamed."""
    rank = layout.rank_of(node.inputs)
    default = {"Concat": 1, "Softmax": -1, "LogSoftmax": -1}[node.op_type]
    if rank is None or (node.op_type != "Concat" and node.opset < 13):
        return False
    operands = [layout.operand(name, rank) for name in node.inputs]
    if None in operands or any(name not in layout.twins for name in node.inputs):
        return False
    axis = _moved_axis(int(node.attributes.get("axis", default)), rank)
    if axis is None:
        return False
    attributes = {**node.attributes, "axis": axis}
    layout.emit(replace(node, inputs=tuple(map(str, operands)), attributes=attributes), rank)
    return True


def _reduce(layout: Layout, node: Node) -> bool:
    """A reduction that keeps its axes: their names are changed."""
    rank = layout.rank_of(node.inputs[:1])
    if rank is None or not node.attributes.get("keepdims", 1):
        return False
    axes: Any = node.attributes.get("axes")
    if len(node.inputs) > 1 and node.inputs[1]:
        given = layout.known.get(node.inputs[1])
        axes = None if given is None else given.tolist()
    if not axes:
        return False
    moved = tuple(_moved_axis(int(axis), rank) for axis in axes)
    if None in moved:
        return False
    x = layout.twins[node.inputs[0]]
    attributes = {"axes": moved, "keepdims": 1}
    # Version 13 (11 for ReduceSum) takes the axes as an attribute and computes the same.
    opset = 11 if node.op_type == "ReduceSum" else 13
    layout.emit(replace(node, inputs=(x,), attributes=attributes, opset=min(node.opset, opset)), rank)
    return True


def _transposition(layout: Layout, node: Node) -> bool:
    """A Transpose between the two layouts, as exporters write them: it only renames."""
    perm = tuple(node.attributes.get("perm", ()))
    rank = len(perm)
    if rank < 3:
        return False
    source, target = node.inputs[0], node.outputs[0]
    # On one spatial axis both permutations are the same: a value that has a twin is taken to the channels last.
    if perm == to_last(rank) and layout.ranks.get(source) == rank:
        layout.nodes.append(Node("Identity", (layout.twins[source],), (target,), name=node.name, opset=13))
        return True
    if perm == to_first(rank):
        layout.plain(source)
        layout.twins[target], layout.ranks[target] = source, rank
        layout.owed.add(target)
        return True
    return False


def _normalization(layout: Layout, node: Node) -> bool:
    """BatchNormalization with constant statistics: a factor and a term per channel."""
    rank = layout.rank_of(node.inputs[:1])
    arrays = [layout.known[name] for name in node.inputs[1:5] if name in layout.known]
    training = node.attributes.get("training_mode", 0) or not node.attributes.get("spatial", 1)
    if rank is None or len(node.outputs) != 1 or node.opset < 7 or training or len(arrays) != 4:
        return False
    if any(array.dtype != np.float32 or array.shape != (arrays[0].size,) for array in arrays):
        return False
    scale, shift, mean, variance = (array.astype(np.float64) for array in arrays)
    with np.errstate(all="ignore"):
        factor = scale / np.sqrt(variance + float(node.attributes.get("epsilon", 1e-5)))
    name = node.outputs[0]
    layout.add(f"{name}/factor", factor.astype(np.float32))
    layout.add(f"{name}/term", (shift - mean * factor).astype(np.float32))
    scaled = f"{name}/scaled"
    x = layout.twins[node.inputs[0]]
    layout.nodes.append(Node("Mul", (x, f"{name}/factor"), (scaled,), name=scaled, opset=14))
    layout.emit(Node("Add", (scaled, f"{name}/term"), (name,), name=node.name, opset=14), rank)
    return True


_RULES: dict[str, Callable[[Layout, Node], bool]] = {
    "Conv": _conv,
    "onnxlite.QuantizedConv": _quantized_conv,
    "onnxlite.OverlapAdd": _overlap_add,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "GlobalAveragePool": _global_pool,
    "GlobalMaxPool": _global_pool,
    "BatchNormalization": _normalization,
    "Transpose": _transposition,
    "Concat": _along_axis,
    "Softmax": _along_axis,
    "LogSoftmax": _along_axis,
    **layout_movement.RULES,
    **dict.fromkeys(("ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum"), _reduce),
    **dict.fromkeys(_UNARY | _BROADCASTING, _elementwise),
}
