"""The table of gradient rules: how the gradient of an operator's outputs becomes the gradient of its inputs.

    @rule("Softmax", since=13)
    def softmax(f, dy, *, axis): ...

A rule takes the applied operator ``f``, then the gradient of each output (None where nothing depends on it), and as
keywords the attributes that it names.  It returns the gradient of each input, None for an input that has none; trailing
ones may be left out, and a single one needs no tuple.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from onnxlite.errors import NotImplemented
from onnxlite.gradient.terms import Emitter, Term
from onnxlite.model.ir import Node
from onnxlite.model.specification import attribute_default, version_of

#: Operators whose outputs do not change with a small change of the inputs.  (Others of this kind need no mention: their
#: outputs are not floating-point numbers.)
CONSTANT_OPERATORS = frozenset(
    {
        "Bernoulli",
        "Ceil",
        "ConstantOfShape",
        "EyeLike",
        "Floor",
        "Hardmax",
        "RandomNormalLike",
        "RandomUniformLike",
        "Round",
        "Sign",
    }
)


class Forward:
    """One applied operator, as a rule sees it."""

    def __init__(self, node: Node, emit: Emitter, output_name: Callable[[Node, int], str]) -> None:
        self.node = node
        self.emit = emit
        self._output_name = output_name

    @property
    def inputs(self) -> tuple[Term | None, ...]:
        """The inputs, None for one that is left out."""
        return tuple(Term(self.emit, name) if name else None for name in self.node.inputs)

    @property
    def x(self) -> Term:
        """The first input."""
        return self.operand(0)

    def operand(self, index: int) -> Term:
        """An input that the operator cannot do without."""
        return Term(self.emit, self.node.inputs[index])

    def optional(self, index: int) -> Term | None:
        """An input that may be left out."""
        return self.inputs[index] if index < len(self.node.inputs) else None

    def operands(self) -> Iterator[Term]:
        """The inputs of an operator that can leave none out."""
        return (Term(self.emit, name) for name in self.node.inputs)

    def output(self, index: int = 0) -> Term:
        """An output, also one that the node leaves out: it is added then."""
        return Term(self.emit, self._output_name(self.node, index))

    def attribute(self, name: str) -> Any:
        """An attribute's value or default; None where it has neither, or where this version lacks the attribute."""
        value = self.node.attributes.get(name)
        return attribute_default(self.node, name) if value is None else value

    def attribute_or_input(self, name: str, index: int) -> Any:
        """What old versions take as an attribute, and new ones as an input."""
        value = self.node.attributes.get(name)
        return self.optional(index) if value is None else list(value)

    def applied_to(self, *inputs: Term | None) -> Term:
        """The same operator with other inputs."""
        return self.emit(self.node.op_type, *inputs, opset=self.node.opset, **self.node.attributes)

    @property
    def version(self) -> int:
        """The operator's version."""
        return version_of(self.node.domain, self.node.op_type, self.node.opset)

    def unsupported(self, what: str) -> NotImplemented:
        """The error for a use of the operator that the rule does not cover."""
        return NotImplemented(
            f"node '{self.node.label}': the gradient of {self.node.operator} {what} is not implemented"
        )


@dataclass(frozen=True, slots=True)
class Rule:
    """A gradient rule, and the names of the attributes that it takes."""

    function: Callable[..., Any]
    attributes: tuple[str, ...]

    def __call__(self, f: Forward, *dys: Term | None) -> tuple[Term | None, ...]:
        """The gradients of the inputs."""
        results = self.function(f, *dys, **{name: f.attribute(name) for name in self.attributes})
        return results if isinstance(results, tuple) else (results,)


_Function = TypeVar("_Function", bound=Callable[..., Any])
_RULES: dict[str, list[tuple[int, Rule]]] = {}


def rule(*names: str, since: int = 1) -> Callable[[_Function], _Function]:
    """Register the decorated rule for operators of ai.onnx, from the operator version ``since`` on."""

    def register(function: _Function) -> _Function:
        parameters = inspect.signature(function).parameters.values()
        attributes = tuple(p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY)
        for name in names:
            _RULES.setdefault(name, []).append((since, Rule(function, attributes)))
        return function

    return register


def derivative(*names: str) -> Callable[[_Function], _Function]:
    """Register dy/dx of an elementwise operator of one input: a function of x and y, and of the attributes it names."""

    def register(function: _Function) -> _Function:
        parameters = inspect.signature(function).parameters.values()
        attributes = tuple(p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY)

        def chain(f: Forward, dy: Term) -> Term:
            slope: Term = function(f.x, f.output(), **{name: f.attribute(name) for name in attributes})
            return dy * slope

        rule(*names)(chain)
        return function

    return register


def rule_of(node: Node) -> Rule | None:
    """The rule for a node's operator and version."""
    if node.domain:
        return None
    version = version_of(node.domain, node.op_type, node.opset)
    serving = [(since, rule) for since, rule in _RULES.get(node.op_type, ()) if since <= version]
    return max(serving, key=lambda entry: entry[0], default=(0, None))[1]


def operators_with_rules() -> tuple[str, ...]:
    """The operators that have a rule."""
    return tuple(sorted(_RULES))
