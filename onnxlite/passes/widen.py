"""The pass that computes float16 and bfloat16 in float32: no processor that the kernels are compiled for adds halves.

Every value of these types between two operators that can work in float32 becomes one of float32, so nothing is rounded
or overflows on the way; a value that is asked for, or that an operator reads as it is, is rounded once.  Constants are
stored as float32.  A Cast to float16 rounds as ever.  A graph without layers, products with constant weights, is left
as it is: the casts at its ends would cost what the arithmetic saves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from onnx import TensorProto

from onnxlite.kernels.arrays import Array
from onnxlite.model.ir import Graph, Node
from onnxlite.model.order import reads
from onnxlite.model.specification import schema_of
from onnxlite.model.types import TensorType, ValueType
from onnxlite.plan.dependence import is_repeatable
from onnxlite.plan.infer import types_beside

#: The types that are widened, by their names in ONNX, with the numbers that a Cast calls them by.
_HALVES = {"float16": TensorProto.FLOAT16, "bfloat16": TensorProto.BFLOAT16}

#: The operators of layers, whose second input is the weights.
_LAYERS = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm", "LSTM", "GRU", "RNN"})

#: Operators whose results depend on the type's precision, or state it.
_EXACT = frozenset({"QuantizeLinear", "DequantizeLinear", "BitCast", "Cast", "CastLike"})
_TYPE_ATTRIBUTES = ("dtype", "output_dtype", "output_datatype", "to")


def widen(graph: Graph, keep: frozenset[str], outer: Mapping[str, Array]) -> Graph:
    """The graph with float32 in place of float16 and bfloat16 wherever operators allow it.

    Args:
        graph: The graph, its nodes in order; subgraphs are left as they are.
        keep: Names of values that must remain, in their types.
        outer: The initializers of the graphs around it.
    """
    types = types_beside(graph, {**outer, **graph.initializers})
    halves = {name: half for name, kind in types.items() if (half := _half(kind)) is not None}
    constants = {**outer, **graph.initializers}
    if not halves or not any(_is_layer(node, halves, constants) for node in graph.nodes):
        return graph
    widening = _Widening(halves, constants, dict(graph.initializers), [], set(), set(halves))
    for node in graph.nodes:
        widening.take(node, _is_widened(node, types, halves))
    for name in sorted(keep & halves.keys()):
        widening.narrow(name)
    return replace(graph, nodes=tuple(widening.nodes), initializers=widening.initializers)


def _is_layer(node: Node, halves: Mapping[str, str], constants: Mapping[str, Array]) -> bool:
    """Whether a node multiplies halves with constant weights."""
    weights = node.inputs[1:2] if node.op_type in _LAYERS and not node.domain else ()
    return any(name in halves and name in constants for name in weights)


def _half(kind: ValueType | None) -> str | None:
    name = str(kind.element) if isinstance(kind, TensorType) and kind.element else ""
    return name if name in _HALVES else None


def _is_widened(node: Node, types: Mapping[str, ValueType], halves: Mapping[str, str]) -> bool:
    """Whether an operator means the same with float32 in place of every half that it reads and makes."""
    names = [name for name in (*node.inputs, *node.outputs) if name]
    if node.domain or not is_repeatable(node) or node.op_type in _EXACT or halves.keys().isdisjoint(names):
        return False
    if any(node.attributes.get(name) for name in _TYPE_ATTRIBUTES):
        return False
    if not all(isinstance(types.get(name), TensorType) for name in names):
        return False
    schema = schema_of(node.domain, node.op_type, node.opset)
    if schema is None:
        return False
    allowed = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
    read, made = (
        {_formal(formals, index).type_str for index, name in enumerate(given) if name in halves}
        for formals, given in ((schema.inputs, node.inputs), (schema.outputs, node.outputs))
    )
    return made <= read and all("tensor(float)" in allowed.get(variable, ()) for variable in read)


def _formal(formals: Sequence[Any], index: int) -> Any:
    """The formal parameter of an argument; the last one takes the rest."""
    return formals[min(index, len(formals) - 1)]


@dataclass(slots=True)
class _Widening:
    """The nodes of the new graph so far: which halves exist there as float32, and which as they were."""

    halves: Mapping[str, str]
    known: dict[str, Array]
    initializers: dict[str, Array]
    nodes: list[Node]
    wide: set[str]
    narrow_names: set[str]

    def take(self, node: Node, widened: bool) -> None:
        if not widened:
            for name in reads(node):
                self.narrow(name)
            self.nodes.append(node)
            return
        inputs = tuple(self.widened(name) for name in node.inputs)
        made = [name for name in node.outputs if name in self.halves]
        self.wide.update(made)
        self.narrow_names.difference_update(made)
        outputs = tuple(_wide(name) if name in self.halves else name for name in node.outputs)
        self.nodes.append(replace(node, inputs=inputs, outputs=outputs))

    def widened(self, name: str) -> str:
        """The name of a value as float32; of one that is none yet, a Cast or a constant is added."""
        if name not in self.halves:
            return name
        if name not in self.wide:
            self.wide.add(name)
            if name in self.known:
                self.initializers[_wide(name)] = np.asarray(self.known[name]).astype(np.float32)
            else:
                self.nodes.append(_cast(name, _wide(name), TensorProto.FLOAT))
        return _wide(name)

    def narrow(self, name: str) -> None:
        """Have a value in its own type, rounded if it exists as float32 alone."""
        if name in self.halves and name not in self.narrow_names:
            self.narrow_names.add(name)
            self.nodes.append(_cast(_wide(name), name, _HALVES[self.halves[name]]))


def _wide(name: str) -> str:
    return f"{name}/float32"


def _cast(name: str, result: str, to: int) -> Node:
    return Node("Cast", (name,), (result,), name=f"{result}/cast", opset=13, attributes={"to": to})
