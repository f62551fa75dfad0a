"""The pass that gives a channels-last convolution what follows it: scale, bias, residual, activation.

The convolution applies them to its result while that is in the cache (``onnxlite.kernels.numba.epilogue``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.model.ir import Graph, Node
from onnxlite.model.order import reads

#: Activations without parameters, and those whose attributes are the parameters alpha and beta.
_ACTIVATIONS = frozenset({"Relu", "Sigmoid", "HardSwish", "LeakyRelu", "HardSigmoid"})

#: Operators whose results have fewer positions than an image: they cannot be a residual.
_POOLING = frozenset({"ReduceMean", "ReduceMax", "ReduceSum", "ReduceMin", "GlobalAveragePool", "GlobalMaxPool"})


def fuse_convolution(graph: Graph, keep: frozenset[str], outer: Mapping[str, Array]) -> Graph:
    """The graph with the followers of each channels-last convolution in the convolution's node.

    Args:
        graph: The graph.
        keep: Names of values that must remain.
        outer: The initializers of the graphs around it.
    """
    fusion = _Fusion(graph, keep, {**outer, **graph.initializers}, dict(graph.initializers))
    replaced: dict[int, Node | None] = {}
    for node in graph.nodes:
        if node.domain == "onnxlite" and node.op_type == "Conv":
            fused, followers = fusion.followed(node)
            if followers:
                replaced.update((id(n), None) for n in (node, *followers))
                # The last follower's place is behind everything that the convolution reads now.
                replaced[id(followers[-1])] = fused
    nodes = tuple(n for node in graph.nodes if (n := replaced.get(id(node), node)) is not None)
    return replace(graph, nodes=nodes, initializers=fusion.initializers)


@dataclass(slots=True)
class _Fusion:
    graph: Graph
    keep: frozenset[str]
    known: dict[str, Array]
    initializers: dict[str, Array]

    def __post_init__(self) -> None:
        self.readers: dict[str, list[Node]] = defaultdict(list)
        self.pooled: set[str] = set()
        self.claimed: set[int] = set()
        for node in self.graph.nodes:
            for name in set(reads(node)):
                self.readers[name].append(node)
            if node.op_type in _POOLING or (
                node.inputs and all(n in self.pooled or n in self.known for n in node.inputs)
            ):
                self.pooled.update(node.outputs)

    readers: Any = None
    pooled: Any = None
    claimed: Any = None

    def followed(self, node: Node) -> tuple[Node, list[Node]]:
        """The convolution with its followers in it, and the followers."""
        followers: list[Node] = []
        while "activation" not in node.attributes:
            output = node.outputs[0]
            readers = self.readers[output]
            if output in self.keep or len(readers) != 1 or id(readers[0]) in self.claimed:
                break
            fused = self.with_follower(node, readers[0])
            if fused is None:
                break
            self.claimed.add(id(readers[0]))
            followers.append(readers[0])
            node = replace(fused, outputs=readers[0].outputs, name=readers[0].name or node.name)
        return node, followers

    def with_follower(self, node: Node, follower: Node) -> Node | None:
        """The convolution with one follower in it, or None if that cannot be."""
        if follower.domain or len(follower.outputs) != 1:
            return None
        if follower.op_type in _ACTIVATIONS:
            attributes = {"alpha": follower.attributes.get("alpha"), "beta": follower.attributes.get("beta")}
            given = {name: value for name, value in attributes.items() if value is not None}
            return replace(node, attributes={**node.attributes, "activation": follower.op_type, **given})
        if follower.op_type == "Clip":
            return self.with_clip(node, follower)
        added = follower.op_type == "Add" or (follower.op_type == "Sum" and len(follower.inputs) == 2)
        if (added or follower.op_type == "Mul") and len(node.inputs) < 4 and follower.inputs[0] != follower.inputs[1]:
            other = next(name for name in follower.inputs if name != node.outputs[0])
            if other in self.known:
                return self.with_channel_constant(node, follower, self.known[other])
            if added and other not in self.pooled:
                padded = (*node.inputs, *("",) * (3 - len(node.inputs)))
                return replace(node, inputs=(*padded, other))
        return None

    def with_clip(self, node: Node, follower: Node) -> Node | None:
        # A limit that is left out is the largest finite number.
        largest = float(np.finfo(np.float32).max)
        given = {
            "alpha": float(follower.attributes.get("min", -largest)),
            "beta": float(follower.attributes.get("max", largest)),
        }
        for key, name in zip(given, follower.inputs[1:], strict=False):
            if name and (name not in self.known or self.known[name].size != 1):
                return None
            if name:
                given[key] = float(self.known[name].item())
        return replace(node, attributes={**node.attributes, "activation": "Clip", **given})

    def with_channel_constant(self, node: Node, follower: Node, constant: Array) -> Node | None:
        """A factor or a term per filter, in the weights and the bias."""
        weights = self.known[node.inputs[1]]
        filters = weights.shape[0]
        one_per_filter = constant.size == filters and constant.ndim > 0 and constant.shape[-1] == filters
        if constant.dtype != np.float32 or constant.ndim > weights.ndim or not (one_per_filter or constant.size == 1):
            return None
        values = np.broadcast_to(constant.reshape(-1), (filters,))
        bias = self.known[node.inputs[2]] if len(node.inputs) > 2 and node.inputs[2] else np.zeros(filters, np.float32)
        name = follower.outputs[0]
        if follower.op_type == "Mul":
            scaled = weights * values.reshape(-1, *(1,) * (weights.ndim - 1))
            return replace(
                node,
                inputs=(node.inputs[0], self.add(f"{name}/weights", scaled), self.add(f"{name}/bias", bias * values)),
            )
        return replace(node, inputs=(*node.inputs[:2], self.add(f"{name}/bias", bias + values)))

    def add(self, name: str, array: Array) -> str:
        """Add an initializer, and return its name."""
        self.initializers[name] = self.known[name] = np.ascontiguousarray(array, np.float32)
        return name
