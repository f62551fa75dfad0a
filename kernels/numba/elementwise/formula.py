"""Formulas: what an operator computes for one element, in terms that write the source of a kernel.

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
from typing import Any

import numpy as np

from onnxlite.kernels.expression import (
    CONSTANT,
    Expression,
    Instruction,
    attributes_of,
    operand_value,
    operands_of,
    operator_of,
)
from onnxlite.kernels.numba.elementwise.term import BOOL, ELEMENT, TYPES, Code, Parameter, Term, Unserved


@dataclass(frozen=True, slots=True)
class Formula:
    """What an operator computes for one element, in the versions from ``since`` to ``until``."""

    name: str
    since: int
    until: int | None
    function: Callable[..., Term]
    attributes: Mapping[str, Any]


_FORMULAS: dict[tuple[str, int], Formula] = {}


def formula(
    name: str, *, since: int = 1, until: int | None = None
) -> Callable[[Callable[..., Term]], Callable[..., Term]]:
    """Make the decorated function the formula of an operator's versions."""

    def register(function: Callable[..., Term]) -> Callable[..., Term]:
        parameters = inspect.signature(function).parameters.values()
        attributes = {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
        _FORMULAS[name, since] = Formula(name, since, until, function, attributes)
        return function

    return register


def all_formulas() -> tuple[Formula, ...]:
    """Every formula."""
    return tuple(_FORMULAS.values())


def find_formula(name: str, version: int) -> Formula | None:
    """The formula for an operator's version."""
    serving = [f for f in _FORMULAS.values() if f.name == name and f.since <= version <= (f.until or version)]
    return max(serving, key=lambda f: f.since, default=None)


def require_attributes(found: Formula, attributes: Mapping[str, Any]) -> None:
    """Refuse to compile where the formula does not know an attribute, or it is none that an expression can hold.

    Raises:
        Unserved: It is so.
    """
    if not set(attributes) <= set(found.attributes) or not all(
        isinstance(value, int | float | str) for value in attributes.values()
    ):
        raise Unserved(f"the attributes of {found.name} are not those of its compiled form")


def write(expression: Expression, inputs: Sequence[Term], code: Code) -> Term:
    """Write the lines of an expression for its inputs, and return its value.

    Raises:
        Unserved: It cannot be compiled for the inputs' types.
        ValueError: It has an operator without a formula.
    """
    results: list[Term] = []
    for step in expression:
        attributes = attributes_of(step)
        if step[0] == CONSTANT:
            results.append(code.parameter(attributes["value"], np.dtype(attributes["dtype"])))
            continue
        found = find_formula(*operator_of(step))
        if found is None:
            raise ValueError(f"the expression has the unknown operator {step[0]}")
        require_attributes(found, attributes)
        operands = [operand_value(operand, inputs, results) for operand in operands_of(step)]
        given = {name: Parameter(value) if isinstance(value, float) else value for name, value in attributes.items()}
        results.append(found.function(*operands, **given))
    return results[-1]


@dataclass(frozen=True, slots=True)
class Trial:
    """What one instruction becomes.

    Args:
        dtype: The type of its value.
        cost: What it costs, in simple instructions.
        in_vectors: Whether it works on all lanes of a register.
    """

    dtype: np.dtype[Any]
    cost: int
    in_vectors: bool


def tried(step: Instruction, dtypes: Sequence[np.dtype[Any] | None]) -> Trial:
    """What an instruction becomes whose operands ``x0``, ``x1`` and so on have some types.

    Raises:
        Unserved: It has no formula, or cannot be compiled for these types.
    """
    if any(dtype is not None and dtype not in TYPES for dtype in dtypes):
        raise Unserved("a type of these is not compiled")
    if find_formula(*operator_of(step)) is None:
        raise Unserved(f"{step[0]} has no formula")
    code = Code()
    inputs = [Term(code, f"a{number}", dtype or BOOL, ELEMENT) for number, dtype in enumerate(dtypes)]
    result = write((step,), inputs, code)
    lines = code.needed(result)
    in_vectors = not any(_ONE_BY_ONE.search(line.text) for line in lines)
    return Trial(result.dtype, sum(line.cost for line in lines), in_vectors)


#: Functions of one number at a time: divisions of integers, and what the C library computes.
_ONE_BY_ONE = re.compile(r"(divide|remainder|modulo|fmod|integer_power|uint64_of_float|_float64)\(")
