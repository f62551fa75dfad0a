"""Values that other values stand for: what passes leave behind that find two values to be the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from onnxlite.model.ir import Graph, Node
from onnxlite.model.order import captures


@dataclass(slots=True)
class Aliases:
    """The names that stand for others, as a walk through a graph finds them.

    Args:
        fixed: Names of values that must remain.
    """

    fixed: frozenset[str]
    _sources: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, graph: Graph, keep: Iterable[str]) -> Aliases:
        """None yet; what must remain is kept, a graph's output, or read by a subgraph."""
        bodies = [body for node in graph.nodes for _, body in node.graphs()]
        inner = (name for body in bodies for name in captures(body))
        return cls(frozenset(keep).union((value.name for value in graph.outputs), inner))

    def add(self, name: str, source: str) -> bool:
        """Let one value stand for another wherever that is read, if it need not remain."""
        if name in self.fixed:
            return False
        self._sources[name] = self.source(source)
        return True

    def source(self, name: str) -> str:
        """The value that is read in place of one."""
        return self._sources.get(name, name)

    def renamed(self, node: Node) -> Node:
        """A node that reads what its inputs stand for."""
        inputs = tuple(map(self.source, node.inputs))
        return node if inputs == node.inputs else replace(node, inputs=inputs)
