"""Expressions: what a generated kernel computes for one element of its output.

An expression is a plain nested tuple, so that it can be an attribute of a node::

    (("Add-7", "x0", "x1"), ("Constant", "float32", 0.5), ("Mul-7", "t0", "t1"), ("LeakyRelu-6", "t2", 0.01))

    expression  = (instruction, ...)             its value is that of the last instruction
    instruction = (name, operand ..., attribute ...)
    operand     = "x0", "x1", ...                an input
                | "t0", "t1", ...                the value of an instruction before
                | ""                             an optional operand that is left out
    attribute   = int | float | str              in the order of the formula's keyword-only parameters

The name is that of an operator of ONNX, and the first of the versions that its formula serves.  Only
``("Constant", type, number)`` has no formula.

A formula is a function that computes with `Term` objects as if they were numbers::

    @formula("LeakyRelu", since=6)
    def leaky_relu(x, *, alpha=0.01):
        return where(x < 0, x * alpha, x)

An attribute that is a float, like a constant, becomes a parameter of the kernel: expressions that differ in such
numbers only have one kernel.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from onnxlite.kernels.numba.term import Code, Parameter, Term, Unserved

Instruction: TypeAlias = tuple[str | int | float, ...]
Expression: TypeAlias = tuple[Instruction, ...]

_OPERAND = re.compile(r"[xt]\d+|")


@dataclass(frozen=True, slots=True)
class Formula:
    """What an operator computes for one element, in the versions from ``since`` to ``until``."""

    name: str
    since: int
    until: int | None
    function: Callable[..., Term]
    attributes: Mapping[str, Any]

    @property
    def instruction(self) -> str:
        """The name of the instruction."""
        return f"{self.name}-{self.since}"


_FORMULAS: dict[str, Formula] = {}


def formula(
    name: str, *, since: int = 1, until: int | None = None
) -> Callable[[Callable[..., Term]], Callable[..., Term]]:
    """Make the decorated function the formula of an operator's versions."""

    def register(function: Callable[..., Term]) -> Callable[..., Term]:
        parameters = inspect.signature(function).parameters.values()
        attributes = {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
        entry = Formula(name, since, until, function, attributes)
        _FORMULAS[entry.instruction] = entry
        return function

    return register


def all_formulas() -> tuple[Formula, ...]:
    """Every formula."""
    return tuple(_FORMULAS.values())


def find_formula(name: str, version: int) -> Formula | None:
    """The formula for an operator's version."""
    serving = [f for f in _FORMULAS.values() if f.name == name and f.since <= version <= (f.until or version)]
    return max(serving, key=lambda f: f.since, default=None)


def instruction(found: Formula, operands: Sequence[str], attributes: Mapping[str, Any]) -> Instruction:
    """The instruction that applies a formula.

    Raises:
        Unserved: The formula does not know an attribute, or it is none that an instruction can hold.
    """
    values = [attributes.get(name, default) for name, default in found.attributes.items()]
    if not set(attributes) <= set(found.attributes) or not all(isinstance(v, int | float | str) for v in values):
        raise Unserved(f"the attributes of {found.name} are not those of its compiled form")
    return (found.instruction, *operands, *values)


def is_operand(item: object) -> bool:
    """Whether an item of an instruction, after its name, is an operand."""
    return isinstance(item, str) and _OPERAND.fullmatch(item) is not None


def write(expression: Expression, inputs: Sequence[Term], code: Code) -> Term:
    """Write the lines of an expression for its inputs, and return its value.

    Raises:
        Unserved: It cannot be compiled for the inputs' types.
        ValueError: It is no expression.
    """
    results: list[Term] = []
    for name, *items in expression:
        operands = [_operand(str(item), inputs, results) for item in items if is_operand(item)]
        attributes = [item for item in items if not is_operand(item)]
        if name == "Constant":
            kind, value = attributes
            results.append(code.parameter(value, np.dtype(str(kind))))  # type: ignore[arg-type]
            continue
        found = _FORMULAS.get(str(name))
        if found is None or len(attributes) != len(found.attributes):
            raise ValueError(f"the expression {expression} has the unknown instruction {(name, *items)}")
        given = {
            key: Parameter(value) if isinstance(value, float) else value
            for key, value in zip(found.attributes, attributes, strict=True)
        }
        results.append(found.function(*operands, **given))
    return results[-1]


def _operand(name: str, inputs: Sequence[Term], results: Sequence[Term]) -> Term | None:
    if not name:
        return None
    return (inputs if name[0] == "x" else results)[int(name[1:])]
