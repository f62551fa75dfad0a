"""The pass that replaces calls of functions by their nodes: model-local ones, and operators without a kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from onnxlite.errors import InvalidGraph
from onnxlite.model.ir import AttributeReference, AttributeValue, Function, Graph, Node, Value

#: Functions that call functions can describe a graph exponentially larger than their file.
_MAX_NODES = 1_000_000

#: Says what function a node calls, or None for a node that is an operator with a kernel.
Resolver = Callable[[Node], Function | None]


def inline_functions(graph: Graph, resolve: Resolver) -> Graph:
    """The graph with every call of a function replaced, in subgraphs too.

    Inner values of a call get the names ``CALL/NAME``, where CALL is the calling node's name or its first output.

    Raises:
        InvalidGraph: The result would have more than a million nodes.
    """
    return _Inliner(resolve).graph(graph)


@dataclass(slots=True)
class _Inliner:
    resolve: Resolver
    count: int = 0
    used: set[str] = field(default_factory=set)

    def graph(self, graph: Graph) -> Graph:
        nodes = tuple(self.expanded(graph.nodes))
        unchanged = len(nodes) == len(graph.nodes) and all(a is b for a, b in zip(nodes, graph.nodes, strict=True))
        return graph if unchanged else replace(graph, nodes=nodes)

    def expanded(self, nodes: tuple[Node, ...]) -> Iterator[Node]:
        for node in nodes:
            function = self.resolve(node)
            if function is None:
                self.count += 1
                if self.count > _MAX_NODES:
                    raise InvalidGraph(f"the functions of the model expand to more than {_MAX_NODES} nodes")
                yield self.with_graphs(node)
            else:
                yield from self.expanded(tuple(_body(node, function, self.prefix(node))))

    def with_graphs(self, node: Node) -> Node:
        bodies = {name: self.graph(value) for name, value in node.attributes.items() if isinstance(value, Graph)}
        if all(node.attributes[name] is body for name, body in bodies.items()):
            return node
        return replace(node, attributes={**node.attributes, **bodies})

    def prefix(self, node: Node) -> str:
        call = node.name or next(filter(None, node.outputs), node.op_type)
        prefix, number = call, 1
        while prefix in self.used:
            number += 1
            prefix = f"{call}#{number}"
        self.used.add(prefix)
        return prefix + "/"


def _body(call: Node, function: Function, prefix: str) -> Iterator[Node]:
    """The function's nodes with the call's names, attributes and prefix."""
    actual = (*call.inputs, *("" for _ in range(len(function.inputs) - len(call.inputs))))
    if len(actual) > len(function.inputs):
        raise InvalidGraph(
            f"node '{call.label}' gives {len(call.inputs)} inputs to the function {function.name}, "
            f"which takes {len(function.inputs)}"
        )
    names = {"": ""} | dict(zip(function.inputs, actual, strict=True))
    copies: list[tuple[str, str]] = []
    for formal, output in zip(function.outputs, call.outputs, strict=False):
        if not output:
            continue
        if formal in names:
            copies.append((names[formal], output))
        else:
            names[formal] = output
    attributes = {**function.defaults, **call.attributes}
    scope = _Scope(names, attributes, prefix)
    for node in function.nodes:
        yield scope.node(node)
    for source, output in copies:
        yield Node("Identity", (source,), (output,), name=f"{prefix}{output}", opset=13)


@dataclass(frozen=True, slots=True)
class _Scope:
    """The names and attributes of one call."""

    names: Mapping[str, str]
    attributes: Mapping[str, AttributeValue]
    prefix: str

    def rename(self, name: str) -> str:
        return self.names.get(name, self.prefix + name)

    def node(self, node: Node) -> Node:
        return replace(
            node,
            name=self.prefix + (node.name or node.op_type),
            inputs=tuple(map(self.rename, node.inputs)),
            outputs=tuple(map(self.rename, node.outputs)),
            attributes=dict(self.resolved(node.attributes)),
        )

    def resolved(self, attributes: Mapping[str, AttributeValue]) -> Iterator[tuple[str, AttributeValue]]:
        for name, value in attributes.items():
            if isinstance(value, AttributeReference):
                # A reference to an attribute that neither the call nor the function gives leaves the attribute out.
                if value.name in self.attributes:
                    yield name, self.attributes[value.name]
            elif isinstance(value, Graph):
                yield name, self.graph(value)
            else:
                yield name, value

    def graph(self, graph: Graph) -> Graph:
        return replace(
            graph,
            inputs=tuple(map(self.value, graph.inputs)),
            outputs=tuple(map(self.value, graph.outputs)),
            nodes=tuple(map(self.node, graph.nodes)),
            initializers={self.rename(name): array for name, array in graph.initializers.items()},
            values={self.rename(name): self.value(value) for name, value in graph.values.items()},
        )

    def value(self, value: Value) -> Value:
        return replace(value, name=self.rename(value.name))
