"""Patterns: formulas, written as such, that are found in a graph however an exporter spelt them.

A pattern is made with Python's operators::

    x = Value("x")
    gelu = x * (call("Erf", x / math.sqrt(2)) + 1) / 2

Sums and products have a normal form (`Combination`), in patterns and in graphs alike: a number and parts in any order,
each with a weight.  So the pattern above is also ``Mul(Mul(0.5, x), Add(1, Erf(Mul(x, 0.7071))))``, and ``x * x`` is
``Pow(x, 2)``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias


class Pattern:
    """A formula; Python's operators make larger ones of it."""

    def __add__(self, other: Formula) -> Combination:
        return _joined(normal_form(SUM, self), normal_form(SUM, other), 1.0)

    def __sub__(self, other: Formula) -> Combination:
        return _joined(normal_form(SUM, self), normal_form(SUM, other), -1.0)

    def __mul__(self, other: Formula) -> Combination:
        return _joined(normal_form(PRODUCT, self), normal_form(PRODUCT, other), 1.0)

    def __truediv__(self, other: Formula) -> Combination:
        return _joined(normal_form(PRODUCT, self), normal_form(PRODUCT, other), -1.0)

    def __pow__(self, exponent: float) -> Combination:
        return Combination(PRODUCT, 1.0, ((self, float(exponent)),))

    __radd__, __rmul__ = __add__, __mul__


@dataclass(frozen=True, slots=True, eq=False)
class Value(Pattern):
    """Any value, the same wherever the pattern has it; with ``axes``, only a constant that has so many."""

    name: str
    axes: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Number(Pattern):
    """Any constant number, or any attribute; a factor that is missing is 1, an addend 0."""

    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Call(Pattern):
    """An operator's result.  Inputs that are parameters (axes, limits) count as attributes, axes from the last, -1."""

    operator: str
    operands: tuple[Formula, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Either(Pattern):
    """One of several formulas."""

    alternatives: tuple[Formula, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Combination(Pattern):
    """A sum, ``number + part * weight + ...``, or a product, ``number * part**weight * ...``."""

    kind: str
    number: float | Number
    parts: tuple[tuple[Pattern, float], ...]

    def __pow__(self, exponent: float) -> Combination:
        if self.kind == SUM or isinstance(self.number, Number):
            return Pattern.__pow__(self, exponent)
        return _joined(Combination(PRODUCT, 1.0, ()), self, float(exponent))


Formula: TypeAlias = Pattern | float

#: The kinds of combinations, and the number of each that changes nothing.
SUM, PRODUCT = "sum", "product"
NEUTRAL = {SUM: 0.0, PRODUCT: 1.0}


def call(operator: str, *operands: Formula, **attributes: Any) -> Call:
    """The result of an operator."""
    return Call(operator, operands, attributes)


def either(*alternatives: Formula) -> Either:
    """One of several formulas."""
    return Either(alternatives)


def normal_form(kind: str, formula: Formula) -> Combination:
    """A formula as a sum or a product."""
    if isinstance(formula, Combination) and formula.kind == kind:
        return formula
    if not isinstance(formula, Pattern):
        return Combination(kind, float(formula), ())
    if isinstance(formula, Number):
        return Combination(kind, formula, ())
    if kind == SUM and isinstance(formula, Combination) and not isinstance(formula.number, Number):
        return Combination(SUM, 0.0, ((_simplified(replace(formula, number=1.0)), formula.number),))
    return Combination(kind, NEUTRAL[kind], ((formula, 1.0),))


def _simplified(product: Combination) -> Pattern:
    only = product.parts[0] if len(product.parts) == 1 else None
    return only[0] if only and only[1] == 1 and product.number == 1 else product


def _joined(left: Combination, right: Combination, weight: float) -> Combination:
    """``left + right * weight`` or ``left * right**weight``; parts that are the same object become one."""
    neutral = NEUTRAL[left.kind]
    if isinstance(left.number, Number) or isinstance(right.number, Number):
        number = right.number if left.number == neutral else left.number
        if neutral not in (left.number, right.number) or (number is right.number and weight != 1):
            raise ValueError("a pattern can name a number only where it stands alone")
    else:
        number = accumulated(left.kind, left.number, right.number, weight)
    parts = dict(left.parts)
    for part, own in right.parts:
        parts[part] = parts.get(part, 0.0) + own * weight
    return Combination(left.kind, number, tuple(parts.items()))


def accumulated(kind: str, number: float, other: float, weight: float) -> float:
    """``number + other * weight``, or ``number * other**weight``: NaN where that is no real number."""
    if kind == SUM:
        return number + other * weight
    try:
        return float(number * math.pow(other, weight))
    except (ValueError, OverflowError):
        return math.nan


def operators(formula: Formula) -> list[frozenset[str]]:
    """The sets of operators that a formula's calls need, one for each choice of alternatives."""
    if isinstance(formula, Either):
        return [needed for alternative in formula.alternatives for needed in operators(alternative)]
    inner: list[Formula] = []
    own: frozenset[str] = frozenset()
    if isinstance(formula, Call):
        inner, own = list(formula.operands), frozenset({formula.operator})
    elif isinstance(formula, Combination):
        inner = [part for part, _ in formula.parts]
    choices = [own]
    for part in inner:
        choices = [choice | needed for choice in choices for needed in operators(part)]
    return choices


def root_operators(formula: Formula) -> frozenset[str]:
    """The operators of the nodes whose result a formula can be."""
    if isinstance(formula, Either):
        return frozenset().union(*map(root_operators, formula.alternatives))
    if isinstance(formula, Call):
        return frozenset({formula.operator})
    return _ROOTS[formula.kind] if isinstance(formula, Combination) else frozenset()


_ROOTS = {
    SUM: frozenset({"Add", "Sub", "Neg", "Sum"}),
    PRODUCT: frozenset({"Mul", "Div", "Reciprocal", "Sqrt", "Neg", "Pow"}),
}
