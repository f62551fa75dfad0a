"""How a function that stands for an operator is written: a Python function that answers its body as ONNX text.

    @function("QuickGelu", inputs="X", outputs="Y")
    def quick_gelu(call: Call, *, alpha: float = 1.702) -> str:
        return f"Y = Swish<alpha = {alpha}>(X)"

The parameters are the attributes, with the defaults of onnxruntime's documentation (docs/ContribOperators.md).  A body
may name an input that the node leaves out: the operators of the body then go without it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxlite.errors import InvalidGraph, NotImplemented
from onnxlite.model.ir import Node
from onnxlite.model.types import TensorType, ValueType

#: The domain of onnxruntime's own operators.
DOMAIN = "com.microsoft"


@dataclass(frozen=True, slots=True)
class Call:
    """A node that applies an operator of onnxruntime's.

    Args:
        node: The node.
        types: The types of its inputs, where they are known.
        inputs: The names that the body has for them.
        outputs: The names that the body has for its outputs.
    """

    node: Node
    types: Sequence[ValueType | None]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def has(self, name: str) -> bool:
        """Whether the node gives an input."""
        index = self.inputs.index(name)
        return index < len(self.node.inputs) and bool(self.node.inputs[index])

    def wants(self, name: str) -> bool:
        """Whether the node asks for an output."""
        index = self.outputs.index(name)
        return index < len(self.node.outputs) and bool(self.node.outputs[index])

    def shape(self, name: str) -> tuple[int | str | None, ...] | None:
        """The shape of an input, as far as it is known."""
        kind = self._type(name)
        return kind.shape if kind is not None else None

    def rank(self, name: str) -> int | None:
        """The number of dimensions of an input, if it is known."""
        shape = self.shape(name)
        return None if shape is None else len(shape)

    def dtype(self, name: str) -> np.dtype[Any] | None:
        """The type of an input's elements, if it is known."""
        kind = self._type(name)
        return kind.element.dtype if kind is not None and kind.element is not None else None

    def _type(self, name: str) -> TensorType | None:
        kind = self.types[self.inputs.index(name)] if self.has(name) else None
        return kind if isinstance(kind, TensorType) else None

    def decline(self, what: str) -> NotImplemented:
        """The error for a part of the operator that is not implemented."""
        return NotImplemented(f"node '{self.node.label}': {self.node.operator} with {what} is not implemented")

    def fault(self, what: str) -> InvalidGraph:
        """The error for a node that breaks the rules of its operator."""
        return InvalidGraph(f"node '{self.node.label}' ({self.node.operator}) {what}")


Builder = Callable[..., str]


@dataclass(frozen=True, slots=True)
class Definition:
    """An operator: the names of its inputs and outputs, and what makes a body; ``*name`` stands for any number."""

    name: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    build: Builder

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The names and defaults of the attributes; `inspect.Parameter.empty` where an attribute is required."""
        parameters = inspect.signature(self.build, eval_str=False).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


#: The operators by domain and name.
DEFINITIONS: dict[tuple[str, str], Definition] = {}


def function(*names: str, inputs: str, outputs: str, domain: str = DOMAIN) -> Callable[[Builder], Builder]:
    """Define operators: their names, and those of their inputs and outputs, with spaces between them."""

    def register(build: Builder) -> Builder:
        for name in names:
            definition = Definition(name, domain, tuple(inputs.split()), tuple(outputs.split()), build)
            DEFINITIONS[domain, name] = definition
        return build

    return register


def literal(value: Any) -> str:
    """An attribute's value as ONNX text."""
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, float):
        return f"{value:.9e}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(literal, value))}]"
    return str(value)


def attributes(**given: Any) -> str:
    """The attributes of a node of a body as ONNX text, without those that are None: ``<axis = 1, pads = [0, 0]>``."""
    texts = [f"{name} = {literal(value)}" for name, value in given.items() if value is not None]
    return f"<{', '.join(texts)}>" if texts else ""


def constant(value: Any) -> str:
    """A Constant node of a body as ONNX text: an int64 or float32 number, or a list of them."""
    several = isinstance(value, tuple)
    first = value[0] if several else value
    kind = ("float" if isinstance(first, float) else "int") + ("s" if several else "")
    return f"Constant <value_{kind} = {literal(value)}> ()"
