"""The pass that replaces calls of functions by their nodes: model-local ones, and operators without a kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from onnxlite.errors import InvalidGraph
from onnxlite.gradient.nodes import is_gradient
from onnxlite.model.ir import AttributeReference, AttributeValue, Function, Graph, Node, Value
from onnxlite.model.order import captures
from onnxlite.model.validate import MAX_NODES
from onnxlite.plan.infer import Types, body_types, infer_types

#: Says what function a node calls, given the types known so far, or None for a node that is an operator with a kernel.
Resolver = Callable[[Node, Types], Function | None]


def inline_functions(graph: Graph, resolve: Resolver) -> Graph:
    """The graph with every call of a function replaced, in subgraphs too.

    Inner values of a call get the names ``CALL/NAME``, where CALL is the calling node's name or its first output.

    Raises:
        InvalidGraph: The result would have more than a million nodes, or calls are nested too deeply.
    """
    while True:
        # A body that depends on the types of values inside another call's body is found in the next round.
        try:
            inlined = _Inliner(resolve, graph).graph(graph, {})
        except RecursionError as error:
            raise InvalidGraph("the functions of the model are nested too deeply") from error
        if inlined is graph:
            return graph
        graph = inlined


@dataclass(slots=True)
class _Inliner:
    resolve: Resolver
    root: Graph
    used: set[str] = field(default_factory=set)
    types: Types = field(default_factory=dict)
    count: int = 0

    def graph(self, graph: Graph, outer: Types) -> Graph:
        around, self.types = self.types, infer_types(graph, outer)
        nodes = tuple(self.expanded(graph.nodes))
        self.types = around
        unchanged = len(nodes) == len(graph.nodes) and all(a is b for a, b in zip(nodes, graph.nodes, strict=True))
        return graph if unchanged else replace(graph, nodes=nodes)

    def expanded(self, nodes: tuple[Node, ...]) -> Iterator[Node]:
        for node in nodes:
            self.count += 1
            if self.count > MAX_NODES:
                raise InvalidGraph(f"the functions of the model expand to more than {MAX_NODES} nodes and calls")
            function = self.resolve(node, self.types)
            if function is None:
                yield self.with_graphs(node)
            else:
                yield from self.expanded(tuple(_body(node, function, self.prefix(node))))

    def with_graphs(self, node: Node) -> Node:
        bodies = {
            name: self.graph(value, body_types(node, value, self.types))
            for name, value in node.attributes.items()
            if isinstance(value, Graph)
        }
        if all(node.attributes[name] is body for name, body in bodies.items()):
            return node
        return replace(node, attributes={**node.attributes, **bodies})

    def prefix(self, node: Node) -> str:
        call = node.name or next(filter(None, node.outputs), node.op_type)
        if not self.used:  # looked for only if there is a call
            self.used.update(_prefixes(self.root))
        prefix, number = call, 1
        while prefix in self.used:
            number += 1
            prefix = f"{call}#{number}"
        self.used.add(prefix)
        return prefix + "/"


def _prefixes(graph: Graph) -> set[str]:
    """What the graph's names have before a slash: exporters make names like those of inlined calls."""
    names = {*graph.initializers, *graph.values, *(value.name for value in graph.inputs)}
    names.update(*(node.outputs for node in graph.nodes))
    used = {"/".join(parts[:i]) for parts in (name.split("/") for name in names) for i in range(1, len(parts))}
    return used.union(*(_prefixes(body) for node in graph.nodes for _, body in node.graphs()))


def _body(call: Node, function: Function, prefix: str) -> Iterator[Node]:
    """The function's nodes with the call's names, attributes and prefix."""
    actual = (*call.inputs, *("" for _ in range(len(function.inputs) - len(call.inputs))))
    if len(actual) > len(function.inputs):
        raise InvalidGraph(
            f"node '{call.label}' gives {len(call.inputs)} inputs to the function {function.name}, "
            f"which takes {len(function.inputs)}"
        )
    names = {"": ""} | {name: name for name in _free_names(function)} | dict(zip(function.inputs, actual, strict=True))
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


def renamed(node: Node, names: Mapping[str, str]) -> Node:
    """The node with values that it reads or makes renamed, in its subgraphs too."""
    return replace(_Scope(names, {}, "").node(node), name=node.name)


def _free_names(function: Function) -> tuple[str, ...]:
    """What a body reads from the graph around the call: only one that holds a subgraph of the calling node can."""
    inputs = tuple(map(Value, function.inputs))
    return captures(Graph(function.name, inputs, (), function.nodes))


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
            attributes=dict(self.resolved(node)),
        )

    def resolved(self, node: Node) -> Iterator[tuple[str, AttributeValue]]:
        for name, value in node.attributes.items():
            if isinstance(value, AttributeReference):
                # A reference to an attribute that neither the call nor the function gives leaves the attribute out.
                if value.name in self.attributes:
                    yield name, self.attributes[value.name]
            elif isinstance(value, Graph):
                yield name, self.graph(value)
            elif is_gradient(node):
                # Its attributes are the names of values.
                yield name, self.rename(value) if isinstance(value, str) else tuple(map(self.rename, value))
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
