"""Which kernel serves a node: the providers are asked in the user's order, and their reasons are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from onnxlite.errors import InvalidGraph, NotImplemented
from onnxlite.kernels.arrays import is_array
from onnxlite.kernels.op import REQUIRED, Kernel
from onnxlite.model.ir import Graph, Node
from onnxlite.model.specification import schema_of, version_of
from onnxlite.model.types import ValueType
from onnxlite.providers import Declined, Operator, Provider

#: What a schema states as the number of parameters where the last one is variadic.
_UNLIMITED = 2**31 - 1


@dataclass(frozen=True, slots=True, repr=False)
class Placement:
    """The decision for one node: the kernel and its provider, and why the providers before it declined.

    Where the kernel is a builder, which may decline the shapes and types of a run, ``fallback`` is the kernel of a
    later provider that serves the node then.
    """

    node: Node
    version: int
    kernel: Kernel | None
    provider: str | None
    declined: tuple[tuple[str, str], ...] = ()
    fallback: Kernel | None = None

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        chosen = f"{self.provider}: {self.kernel.where}" if self.kernel else "no kernel"
        chosen += f" (for shapes that it declines: {self.fallback.where})" if self.fallback else ""
        reasons = "".join(f"; {name} declined: {reason}" for name, reason in self.declined)
        return f"{self.node.label} ({self.node.operator}-{self.version}) -> {chosen}{reasons}"


def place(node: Node, types: Sequence[ValueType | None], providers: Sequence[Provider]) -> Placement:
    """Ask the providers in order: the first one with a kernel gets the node."""
    version = version_of(node.domain, node.op_type, node.opset)
    operator = Operator(node.domain, node.op_type, version, tuple(types), node.attributes, len(node.outputs))
    declined: list[tuple[str, str]] = []
    builder: Kernel | None = None
    name: str | None = None
    for provider in providers:
        answer = provider.choose(operator)
        if isinstance(answer, Declined):
            declined += [(provider.name, answer.reason)] if builder is None else []
        elif not answer.builder:
            chosen = (answer, provider.name) if builder is None else (builder, name)
            return Placement(node, version, *chosen, tuple(declined), fallback=answer if builder else None)
        elif builder is None:
            builder, name = answer, provider.name
    return Placement(node, version, None, None, tuple(declined))


def required_kernel(placement: Placement) -> Kernel:
    """The kernel of a placement that is called with arrays, checked against the node.

    Raises:
        NotImplemented: No provider serves the operator.
        InvalidGraph: An attribute is unknown, missing or of the wrong type, or the number of inputs is wrong.
    """
    node = placement.node
    kernel = placement.fallback or placement.kernel
    if kernel is None:
        known = schema_of(node.domain, node.op_type, node.opset)
        hint = "" if known else f"; {_hint(node)}"
        reasons = ", ".join(f"{name}: {reason}" for name, reason in placement.declined)
        raise NotImplemented(
            f"node '{node.label}': {node.operator} (opset {node.opset}) is not implemented ({reasons}){hint}"
        )
    _check_attributes(node, kernel)
    _check_arity(node)
    return kernel


def _hint(node: Node) -> str:
    """What may help with an operator that nobody defines."""
    if node.domain == "com.microsoft":
        from onnxlite.contrib import contrib_names

        return f"of onnxruntime's own operators there are {', '.join(contrib_names())}"
    if node.domain == "com.microsoft.nchwc":
        return "it has the layout of one machine: let onnxruntime save the model at the level ORT_ENABLE_EXTENDED"
    return "if it is an operator of your own, register it with onnxlite.op"


def _check_attributes(node: Node, kernel: Kernel) -> None:
    where = _where(node)
    accepted = set(kernel.attributes) | ({"seed"} if "rng" in kernel.provided else set())
    unknown = sorted(set(node.attributes) - accepted)
    if unknown:
        raise InvalidGraph(
            f"{where} has the attribute '{unknown[0]}', which the operator does not define "
            f"(it has: {', '.join(sorted(accepted)) or 'none'})"
        )
    missing = [n for n, default in kernel.attributes.items() if default is REQUIRED and n not in node.attributes]
    if missing:
        raise InvalidGraph(f"{where} lacks the required attribute '{missing[0]}'")
    schema = schema_of(node.domain, node.op_type, node.opset)
    for name, value in node.attributes.items():
        declared = schema.attributes.get(name) if schema else None
        expected = _ATTRIBUTE_TYPES.get(declared.type.name) if declared else None
        if expected and not expected[1](value):
            raise InvalidGraph(
                f"{where}: attribute '{name}' is {type(value).__name__} {value!r:.80}, expected {expected[0]}"
            )


def _is_tuple_of(kind: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, tuple) and all(isinstance(item, kind) for item in value)


_ATTRIBUTE_TYPES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "INT": ("an integer", lambda value: isinstance(value, int)),
    "FLOAT": ("a float", lambda value: isinstance(value, float)),
    "STRING": ("a string", lambda value: isinstance(value, str)),
    "TENSOR": ("a tensor", is_array),
    "SPARSE_TENSOR": ("a tensor", is_array),
    "GRAPH": ("a graph", lambda value: isinstance(value, Graph)),
    "INTS": ("a list of integers", _is_tuple_of(int)),
    "FLOATS": ("a list of floats", _is_tuple_of(float)),
    "STRINGS": ("a list of strings", _is_tuple_of(str)),
}


def _check_arity(node: Node) -> None:
    schema = schema_of(node.domain, node.op_type, node.opset)
    if schema is None:
        return
    for kind, names, least, most in (
        ("input", node.inputs, schema.min_input, schema.max_input),
        ("output", node.outputs, schema.min_output, schema.max_output),
    ):
        if not least <= len(names) <= most:
            limit = f"to {most}" if most < _UNLIMITED else "or more"
            expected = f"{least}" if least == most else f"{least} {limit}"
            raise InvalidGraph(f"{_where(node)} has {len(names)} {kind}s, expected {expected}")


def _where(node: Node) -> str:
    return f"node '{node.label}' ({node.operator}, opset {node.opset})"
