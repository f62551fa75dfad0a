"""The passes that run before binding, in their order."""

from __future__ import annotations

from collections.abc import Sequence

from onnxlite.gradient.nodes import has_gradients
from onnxlite.model.ir import Function, Graph, Model, Node
from onnxlite.model.specification import function_body
from onnxlite.model.types import ValueType
from onnxlite.passes.constants import constants_to_initializers
from onnxlite.passes.inline import inline_functions
from onnxlite.plan.infer import Types
from onnxlite.plan.place import place
from onnxlite.providers import Provider


def prepare(model: Model, providers: Sequence[Provider]) -> Graph:
    """The model's graph with functions inlined, constants as initializers, gradients as nodes: what a session binds."""

    def resolve(node: Node, types: Types) -> Function | None:
        local = model.functions.get((node.domain, node.op_type, node.overload))
        if local is not None:
            return local
        if place(node, (), providers).kernel is not None:
            return None
        kinds = [types.get(name) for name in node.inputs]
        return function_body(node, kinds) or _contrib_body(node, kinds)

    graph = constants_to_initializers(inline_functions(model.graph, resolve))
    if not has_gradients(graph):
        return graph
    # Imported here: only models that are to be trained wait for the gradient rules.
    from onnxlite.gradient.differentiate import expand_gradients

    return expand_gradients(graph)


def _contrib_body(node: Node, kinds: Sequence[ValueType | None]) -> Function | None:
    """The body of an operator of onnxruntime's own."""
    if node.domain not in ("", "com.microsoft"):
        return None
    # Imported here: few models have one.
    from onnxlite.contrib import contrib_body

    return contrib_body(node, kinds)
