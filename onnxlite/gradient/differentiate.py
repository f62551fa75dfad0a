"""The pass that replaces Gradient nodes (ai.onnx.preview.training) by nodes that compute the gradients.

Reverse-mode differentiation (Linnainmaa, 1970): the nodes between ``xs`` and ``y`` are visited from the last to the
first, and each operator's rule turns the gradient of its outputs into nodes that compute the gradient of its inputs.
An operator without a rule that the specification defines as a function is replaced by its body first.  The results are
ordinary nodes, so that the gradient of a gradient is nothing new.

Where ``y`` has several elements, the gradient is that of their sum.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from onnxlite.errors import InvalidGraph, NotImplemented
from onnxlite.gradient import (  # noqa: F401 - importing the rules fills their table
    elementwise,
    linear,
    movement,
    normalization,
    reduction,
    windows,
)
from onnxlite.gradient.nodes import has_gradients, is_gradient
from onnxlite.gradient.rules import CONSTANT_OPERATORS, Forward, rule_of
from onnxlite.gradient.terms import Emitter, Term, full_like
from onnxlite.model.ir import Function, Graph, Node
from onnxlite.model.order import reads, topological_order
from onnxlite.model.specification import function_body
from onnxlite.model.types import TensorType
from onnxlite.passes.constants import constants_to_initializers
from onnxlite.passes.inline import inline_functions, renamed
from onnxlite.plan.infer import Types, body_types, infer_types

#: The element types that have gradients.
_DIFFERENTIABLE = frozenset({"float", "double", "float16", "bfloat16"})

#: The gradients that reach a value, to be added up.
Gradients: TypeAlias = dict[str, list[Term]]


def expand_gradients(graph: Graph, outer: Types | None = None) -> Graph:
    """The graph with every Gradient node replaced, in subgraphs too.

    Raises:
        InvalidGraph: A Gradient node names values that are not there, or has the wrong number of inputs.
        NotImplemented: An operator between ``xs`` and ``y`` has neither a gradient rule nor a function body.
    """
    if not has_gradients(graph):
        return graph
    while waiting := [node for node in graph.nodes if is_gradient(node)]:
        requests = [_Request.of(node, graph) for node in waiting]
        # A gradient that another one is taken of comes first.
        ready = next((request for request in requests if not any(map(is_gradient, request.path(graph)))), None)
        if ready is None:
            labels = ", ".join(f"'{node.label}'" for node in waiting)
            raise InvalidGraph(f"the Gradient nodes {labels} of graph '{graph.name}' depend on each other in a circle")
        graph = _Expansion(graph, ready, outer or {}).expanded()
    types = infer_types(graph, outer or {})
    return replace(graph, nodes=tuple(_with_bodies(node, types) for node in graph.nodes))


def _with_bodies(node: Node, types: Types) -> Node:
    bodies = {name: expand_gradients(body, body_types(node, body, types)) for name, body in node.graphs()}
    return replace(node, attributes={**node.attributes, **bodies}) if bodies else node


@dataclass(frozen=True, slots=True)
class _Request:
    """What a Gradient node asks for: ``y`` as a function of ``xs`` and ``zs``, differentiated at the node's inputs."""

    node: Node
    xs: tuple[str, ...]
    zs: tuple[str, ...]
    y: str

    @staticmethod
    def of(node: Node, graph: Graph) -> _Request:
        """The checked request of a node."""
        attributes = node.attributes
        where = f"node '{node.label}' (Gradient) of graph '{graph.name}'"
        if "xs" not in attributes or "y" not in attributes:
            raise InvalidGraph(f"{where} lacks the required attribute '{'y' if 'xs' in attributes else 'xs'}'")
        request = _Request(node, tuple(attributes["xs"]), tuple(attributes.get("zs", ())), attributes["y"])
        names = request.sources
        if len(node.inputs) != len(names) or len(node.outputs) > len(request.xs):
            raise InvalidGraph(
                f"{where} names {len(names)} tensors in xs and zs, {len(request.xs)} of them in xs, "
                f"but has {len(node.inputs)} inputs and {len(node.outputs)} outputs"
            )
        defined = {value.name for value in graph.inputs}.union(graph.initializers, *(n.outputs for n in graph.nodes))
        unknown = [name for name in (*names, request.y) if name not in defined or not name]
        if unknown:
            raise InvalidGraph(f"{where} names '{unknown[0]}', which is not a value of this graph")
        if len(set(names)) < len(names):
            raise InvalidGraph(f"{where} names a tensor twice in xs and zs: {', '.join(names)}")
        return request

    @property
    def sources(self) -> tuple[str, ...]:
        """The independent variables."""
        return self.xs + self.zs

    def path(self, graph: Graph) -> list[Node]:
        """The nodes that compute ``y`` from the independent variables and constants, in topological order."""
        needed = {self.y}.difference(self.sources)
        kept: list[Node] = []
        for node in reversed(graph.nodes):
            if not needed.isdisjoint(filter(None, node.outputs)):
                kept.append(node)
                needed.update(name for name in reads(node) if name not in self.sources)
        return kept[::-1]


class _Expansion:
    """One Gradient node's replacement."""

    def __init__(self, graph: Graph, request: _Request, outer: Types) -> None:
        self.request = request
        self.used = _names(graph) | set(outer)
        self.numbers: dict[str, int] = {}
        self.prefix = self._new_prefix()
        self.extended: dict[Node, Node] = {}
        self._set_graph(graph, outer)
        while bodies := {node: self._body(node) for node in self.active if rule_of(node) is None}:

            def resolve(node: Node, types: Types, bodies: dict[Node, Function] = bodies) -> Function | None:
                return bodies.get(node)

            self._set_graph(constants_to_initializers(inline_functions(self.graph, resolve)), outer)
        self.used |= _names(self.graph)

    def _set_graph(self, graph: Graph, outer: Types) -> None:
        """Find the path in a graph, the types and shapes on it, and the nodes whose outputs change with ``xs``."""
        self.graph = graph
        self.emit = Emitter(infer_types(graph, outer), graph.initializers, self._new_name)
        self.path = self.request.path(graph)
        self.changing = {name for name in self.request.xs if self._differentiable(name)}
        self.active: list[Node] = []
        types = self.emit.types
        for node in self.path:
            for name, kind in self.emit.inferred(node):
                known = types.get(name)
                if known is None or (isinstance(known, TensorType) and known.shape is None):
                    types[name] = kind
            is_constant = not node.domain and node.op_type in CONSTANT_OPERATORS
            if not is_constant and not self.changing.isdisjoint(reads(node)):
                results = [name for name in node.outputs if name and self._differentiable(name)]
                self.changing.update(results)
                if results:
                    self.active.append(node)

    def _differentiable(self, name: str) -> bool:
        kind = self.emit.types.get(name)
        return kind is None or (
            isinstance(kind, TensorType) and (kind.element is None or kind.element.onnx in _DIFFERENTIABLE)
        )

    def _body(self, node: Node) -> Function:
        body = function_body(node, [self.emit.types.get(name) for name in node.inputs])
        if body is None:
            raise NotImplemented(
                f"node '{node.label}': there is no gradient rule for {node.operator} (opset {node.opset}), "
                f"which node '{self.request.node.label}' (Gradient) differentiates"
            )
        return body

    def expanded(self) -> Graph:
        """The graph with the Gradient node replaced."""
        request = self.request
        if not self._differentiable(request.y):
            raise InvalidGraph(
                f"node '{request.node.label}' (Gradient) differentiates '{request.y}', whose type "
                f"{self.emit.types[request.y]} has no gradient"
            )
        names = self._at_inputs()
        gradients = self._swept(names)
        results: dict[str, Term] = {}
        for x, output in zip(request.xs, request.node.outputs, strict=False):
            if output:
                at = Term(self.emit, names.get(x, x))
                results[output] = self._total(gradients, at.name) or full_like(at, 0)
        for output, gradient in results.items():
            self.emit.nodes.append(Node("Identity", (gradient.name,), (output,), name=output, opset=13))
        return self._finished(set(results))

    def _at_inputs(self) -> dict[str, str]:
        """Add the nodes that compute ``y`` at the Gradient node's inputs, and return the new names of the values.

        What depends only on inputs that are the tensors named in ``xs`` and ``zs`` is there already.
        """
        names: dict[str, str] = {}
        for source, value in zip(self.request.sources, self.request.node.inputs, strict=True):
            if source != value:
                names[source] = self.emit("Identity", Term(self.emit, value)).name
        copies: dict[Node, Node] = {}
        for node in self.path:
            if not names.keys().isdisjoint(reads(node)):
                outputs = {name: self._new_name(name) for name in node.outputs if name}
                copies[node] = renamed(node, names | outputs)
                self.emit.add(copies[node])
                names |= outputs
        self.active = [copies.get(node, node) for node in self.active]
        self.changing = {names.get(name, name) for name in self.changing}
        return names

    def _swept(self, names: dict[str, str]) -> Gradients:
        """The gradients of the values on the path, from ``y`` back to ``xs``."""
        y = Term(self.emit, names.get(self.request.y, self.request.y))
        gradients: Gradients = {y.name: [full_like(y, 1)]} if y.name in self.changing else {}
        for node in reversed(self.active):
            rule = rule_of(node)
            dys = [self._total(gradients, name) for name in node.outputs]
            if rule is None or not any(dys):
                continue
            try:
                contributions = rule(Forward(node, self.emit, self._output), *dys)
            except (TypeError, IndexError, KeyError, ValueError) as error:
                # Rules rely on what binding checks of a node, and it has not been bound yet.
                raise InvalidGraph(
                    f"node '{node.label}' ({node.operator}, opset {node.opset}) breaks a rule of its operator, so "
                    f"it has no gradient: {error}"
                ) from error
            for name, gradient in zip(node.inputs, contributions, strict=False):
                if gradient is not None and name in self.changing:
                    gradients.setdefault(name, []).append(gradient)
        return gradients

    def _total(self, gradients: Gradients, name: str) -> Term | None:
        """The sum of the gradients that reach a value; it has the value's type and shape."""
        terms = gradients.get(name)
        if not terms:
            return None
        if len(terms) > 1:
            terms[:] = [self.emit("Sum", *terms)]
        if name in self.emit.types:
            self.emit.types[terms[0].name] = self.emit.types[name]
        return terms[0]

    def _output(self, node: Node, index: int) -> str:
        """The name of a node's output; one that the node leaves out is added to it."""
        current = self.extended.get(node, node)
        outputs = [*current.outputs, *("" for _ in range(index + 1 - len(current.outputs)))]
        if not outputs[index]:
            outputs[index] = self._new_name(f"{node.outputs[0]}/{index}")
            self.extended[node] = replace(current, outputs=tuple(outputs))
            self.emit.types.update(self.emit.inferred(self.extended[node])[-1:])
        return outputs[index]

    def _finished(self, needed: set[str]) -> Graph:
        """The graph with the new nodes that the wanted outputs need."""
        kept: list[Node] = []
        for node in (self.extended.get(node, node) for node in reversed(self.emit.nodes)):
            if not needed.isdisjoint(filter(None, node.outputs)):
                kept.append(node)
                needed.update(reads(node))
        rest = (self.extended.get(node, node) for node in self.graph.nodes if node is not self.request.node)
        nodes = [*rest, *reversed(kept)]
        constants = {name: array for name, array in self.emit.constants.items() if name in needed}
        return replace(
            self.graph,
            nodes=topological_order(nodes, f"graph '{self.graph.name}'"),
            initializers={**self.graph.initializers, **constants},
        )

    def _new_name(self, hint: str) -> str:
        """An unused name: the hint, numbered from its second use on."""
        while True:
            self.numbers[hint] = number = self.numbers.get(hint, 0) + 1
            name = f"{self.prefix}{hint}#{number}" if number > 1 else self.prefix + hint
            if name not in self.used:
                self.used.add(name)
                return name

    def _new_prefix(self) -> str:
        node = self.request.node
        call = prefix = node.name or next(filter(None, node.outputs), node.op_type)
        number = 1
        while any(name.startswith(prefix + "/") for name in self.used):
            number += 1
            prefix = f"{call}#{number}"
        return prefix + "/"


def _names(graph: Graph) -> set[str]:
    """Every name of a graph and of the graphs inside it."""
    return set(_every_name(graph))


def _every_name(graph: Graph) -> Iterator[str]:
    yield from graph.initializers
    yield from (value.name for value in (*graph.inputs, *graph.outputs))
    for node in graph.nodes:
        yield from (*node.inputs, *node.outputs)
        for _, body in node.graphs():
            yield from _every_name(body)
