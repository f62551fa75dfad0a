"""What passes want to know of a graph: who makes and reads a value, its type, its shape."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.model.ir import Graph, Node
from onnxlite.model.order import reads
from onnxlite.model.types import TensorType, ValueType
from onnxlite.passes.match import Matcher
from onnxlite.plan.infer import infer_types
from onnxlite.plan.known_shapes import Shape, known_shapes, tensor_type


@dataclass
class Facts:
    """What is known of a graph; each thing is found out when it is first asked for.

    Args:
        graph: The graph.
        keep: Names of values that must remain, besides the graph's outputs.
        constants: The initializers of the graph and of those around it.
    """

    graph: Graph
    keep: frozenset[str]
    constants: Mapping[str, Array]

    @cached_property
    def producers(self) -> Mapping[str, Node]:
        """The nodes, by the names of their outputs."""
        return {name: node for node in self.graph.nodes for name in node.outputs if name}

    @cached_property
    def matcher(self) -> Matcher:
        """Finds patterns in the graph."""
        return Matcher(self.producers, self.constants, self.rank)

    @cached_property
    def kept(self) -> frozenset[str]:
        """The names of the values that must remain."""
        return self.keep.union(value.name for value in self.graph.outputs)

    @cached_property
    def readers(self) -> Mapping[str, list[Node]]:
        """The nodes that read a value."""
        readers: dict[str, list[Node]] = defaultdict(list)
        for node in self.graph.nodes:
            for name in set(reads(node)):
                readers[name].append(node)
        return readers

    @cached_property
    def types(self) -> Mapping[str, ValueType]:
        """The types of the values."""
        return infer_types(self.graph, {name: tensor_type(array) for name, array in self.constants.items()})

    @cached_property
    def _shapes(self) -> Mapping[str, Shape]:
        return known_shapes(self.graph, self.types, self.constants)

    def shape(self, name: str) -> Shape:
        """The shape of a value."""
        return self._shapes.get(name, "?")

    def rank(self, name: str) -> int | None:
        """The number of a value's axes, if it is known."""
        shape = self.shape(name)
        return None if isinstance(shape, str) else len(shape)

    def is_float32(self, name: str) -> bool:
        """Whether a value is known to be a tensor of float32."""
        kind = self.types.get(name)
        return isinstance(kind, TensorType) and kind.dtype == np.float32

    def is_inside(self, nodes: Iterable[Node], last: Node) -> bool:
        """Whether nobody but the nodes reads what they make, but for the result of the last one."""
        inside = {id(node) for node in nodes}
        names = [name for node in nodes if node is not last for name in node.outputs if name]
        return self.kept.isdisjoint(names) and all(
            id(reader) in inside for name in names for reader in self.readers[name]
        )
