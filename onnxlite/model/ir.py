"""The model as plain, frozen Python: what the loader produces and everything after it works on.

Nothing here knows protobuf.  Names are still names; binding (``onnxlite.plan``) turns them into slot numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from onnxlite.kernels.arrays import Array, is_array
from onnxlite.model.types import ValueType, type_of


@dataclass(frozen=True, slots=True)
class AttributeReference:
    """Inside a function body: the value of the attribute ``name`` of the node that calls the function."""

    name: str


#: int, float, str, array, Graph, ValueType or AttributeReference, or a tuple of one of the first six.
AttributeValue: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class Value:
    """A named edge of the graph and the type that the model declares for it.

    ``denotations`` says what each dimension stands for (``DATA_BATCH``, ...), where the model says so.
    """

    name: str
    type: ValueType | None = None
    description: str = ""
    denotations: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return self.name if self.type is None else f"{self.name}: {self.type!r}"


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One application of an operator; "" stands for an input or output that is left out."""

    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    domain: str = ""
    name: str = ""
    opset: int = 1
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    overload: str = ""
    description: str = ""

    @property
    def operator(self) -> str:
        """The operator with its domain, unless that is ai.onnx: ``Conv``, ``ai.onnx.ml.Scaler``."""
        return f"{self.domain}.{self.op_type}" if self.domain else self.op_type

    @property
    def label(self) -> str:
        """How messages name the node: its name, or the first of its outputs where it has none."""
        return self.name or next((f"-> {output}" for output in self.outputs if output), self.op_type)

    def graphs(self) -> Iterator[tuple[str, Graph]]:
        """The attributes that hold a graph."""
        for name, value in self.attributes.items():
            if isinstance(value, Graph):
                yield name, value
            elif isinstance(value, tuple):
                yield from ((name, item) for item in value if isinstance(item, Graph))

    def __repr__(self) -> str:
        return _node_line(self)


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """Nodes in topological order between named inputs and outputs; ``values`` holds the declared inner types."""

    name: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    nodes: tuple[Node, ...]
    initializers: Mapping[str, Array] = field(default_factory=dict)
    values: Mapping[str, Value] = field(default_factory=dict)
    description: str = ""

    def __repr__(self) -> str:
        return "\n".join(_graph_lines(self))


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """A model-local function: a graph without types whose nodes may refer to the calling node's attributes."""

    domain: str
    name: str
    overload: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    attributes: tuple[str, ...] = ()
    defaults: Mapping[str, AttributeValue] = field(default_factory=dict)
    description: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What a node names to call this function."""
        return self.domain, self.name, self.overload


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A loaded model."""

    graph: Graph
    opset_imports: Mapping[str, int]
    functions: Mapping[tuple[str, str, str], Function] = field(default_factory=dict)
    ir_version: int = 0
    producer_name: str = ""
    producer_version: str = ""
    domain: str = ""
    version: int | None = None
    description: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        opsets = ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in self.opset_imports.items())
        head = f"model (IR {self.ir_version}; opsets {opsets}; {self.producer_name or 'unknown producer'})"
        functions = [line for f in self.functions.values() for line in _function_lines(f)]
        return "\n".join([head, *_graph_lines(self.graph), *functions])


def _graph_lines(graph: Graph, indent: str = "") -> Iterator[str]:
    yield f"{indent}graph {graph.name}({', '.join(map(repr, graph.inputs))})"
    for name, array in graph.initializers.items():
        yield f"{indent}  {name} = {_value_text(array)}"
    for node in graph.nodes:
        yield f"{indent}  {_node_line(node)}"
        for attribute, body in node.graphs():
            yield f"{indent}    {attribute}:"
            yield from _graph_lines(body, indent + "      ")
    yield f"{indent}  return {', '.join(map(repr, graph.outputs))}"


def _function_lines(function: Function) -> Iterator[str]:
    yield f"function {function.domain}.{function.name}({', '.join(function.inputs)})"
    for node in function.nodes:
        yield f"  {_node_line(node)}"
    yield f"  return {', '.join(function.outputs)}"


def _node_line(node: Node) -> str:
    arguments = [name or "_" for name in node.inputs]
    arguments += [f"{name}={_value_text(value)}" for name, value in node.attributes.items() if not _holds_graph(value)]
    results = ", ".join(name or "_" for name in node.outputs)
    return f"{results} = {node.operator}({', '.join(arguments)})"


def _holds_graph(value: AttributeValue) -> bool:
    return isinstance(value, Graph) or (isinstance(value, tuple) and any(isinstance(v, Graph) for v in value))


def _value_text(value: AttributeValue) -> str:
    if is_array(value):
        return f"{type_of(value)} {value.tolist()}" if value.size <= 8 else type_of(value)
    if isinstance(value, AttributeReference):
        return f"@{value.name}"
    return repr(value) if not isinstance(value, tuple) or len(value) <= 16 else f"({len(value)} values)"
