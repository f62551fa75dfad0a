"""From a node of onnxruntime's to the function that it calls."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import onnx

from onnxlite.contrib import (
    activations,
    attention,
    group_query_attention,
    inverse,
    movement,
    normalizations,
    products,
    quantized,
    quantized_weights,
)
from onnxlite.contrib.call import DEFINITIONS, DOMAIN, Call, Definition
from onnxlite.model.ir import Function, Graph, Node
from onnxlite.model.load import load_function
from onnxlite.model.specification import schema_of
from onnxlite.model.types import ValueType

#: The modules that define operators.
FAMILIES = (
    activations,
    attention,
    group_query_attention,
    inverse,
    movement,
    normalizations,
    products,
    quantized,
    quantized_weights,
)

#: The version of ai.onnx that the bodies are written in.
_OPSET = 25


def contrib_names() -> list[str]:
    """The names of the operators of com.microsoft that there are."""
    return sorted(name for domain, name in DEFINITIONS if domain == DOMAIN)


def contrib_body(node: Node, types: Sequence[ValueType | None]) -> Function | None:
    """The body of an operator of onnxruntime's own; None for other operators.

    Some of them are in the domain ai.onnx, which has them in later versions or not at all.

    Args:
        node: The node that applies the operator.
        types: The types of its inputs, where they are known.

    Raises:
        InvalidGraph: The node breaks the rules of the operator.
        NotImplemented: The node asks for what the body cannot do.
    """
    definition = DEFINITIONS.get((node.domain, node.op_type))
    if definition is None or (not node.domain and schema_of("", node.op_type, node.opset) is not None):
        return None
    inputs, outputs = _repeated(definition.inputs, len(node.inputs)), _repeated(definition.outputs, len(node.outputs))
    call = Call(node, types, inputs, outputs)
    if len(node.inputs) > len(inputs) or len(node.outputs) > len(outputs):
        raise call.fault(
            f"has {len(node.inputs)} inputs and {len(node.outputs)} outputs, expected at most {len(inputs)} and "
            f"{len(outputs)}"
        )
    text = definition.build(call, **_attributes(call, definition))
    head = f'<domain: "{DOMAIN}", opset_import: ["": {_OPSET}, "{DOMAIN}": 1]>'
    wanted = [name for name in outputs if call.wants(name)]
    signature = f"{node.op_type} ({', '.join(inputs)}) => ({', '.join(wanted)})"
    proto = onnx.parser.parse_function(f"{head} {signature} {{ {text} }}")
    function = load_function(proto, {}, {})
    absent = frozenset(name for name in inputs if not call.has(name))
    nodes = tuple(_without(inner, absent) for inner in function.nodes)
    return replace(function, outputs=tuple(name if call.wants(name) else "" for name in outputs), nodes=nodes)


def _repeated(names: tuple[str, ...], count: int) -> tuple[str, ...]:
    """The names for some parameters: the last may stand for any number."""
    if not names[-1].startswith("*"):
        return names
    fixed = names[:-1]
    return fixed + tuple(f"{names[-1][1:]}{index}" for index in range(count - len(fixed)))


def _attributes(call: Call, definition: Definition) -> Mapping[str, Any]:
    """The attributes of a node, checked against those of its operator."""
    known, given = definition.attributes, call.node.attributes
    unknown = sorted(given.keys() - known.keys())
    if unknown:
        accepted = ", ".join(sorted(known)) or "none"
        raise call.fault(f"has the attribute '{unknown[0]}', which the operator does not define (it has: {accepted})")
    missing = [n for n, default in known.items() if default is inspect.Parameter.empty and n not in given]
    if missing:
        raise call.fault(f"lacks the required attribute '{missing[0]}'")
    return given


def _without(node: Node, absent: frozenset[str]) -> Node:
    """The node without the inputs that the call leaves out."""
    inputs = ["" if name in absent else name for name in node.inputs]
    while inputs and not inputs[-1]:
        inputs.pop()
    bodies = {name: _graph_without(graph, absent) for name, graph in node.graphs()}
    return replace(node, inputs=tuple(inputs), attributes={**node.attributes, **bodies})


def _graph_without(graph: Graph, absent: frozenset[str]) -> Graph:
    return replace(graph, nodes=tuple(_without(node, absent) for node in graph.nodes))
