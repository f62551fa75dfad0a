"""The values that formulas compute with: their arithmetic writes the lines of a kernel.

A term has a name and a type.  A number that meets a term takes its type; two terms that meet must have one type.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

BOOL = np.dtype(np.bool_)
#: The element types that kernels compute with.
TYPES = frozenset(map(np.dtype, ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8")))

_NAME = re.compile(r"[a-z]\w*")


class Unserved(Exception):
    """An expression that cannot be compiled for these types; the message is a sentence for users."""


@dataclass(frozen=True, slots=True)
class Line:
    """An assignment of a kernel: how deep in the loops it stands, and what it costs in simple instructions."""

    name: str
    text: str
    depth: int
    cost: int

    def uses(self) -> set[str]:
        """The names that it reads, and names of functions."""
        return set(_NAME.findall(self.text))


#: Where a line stands: before all loops, before the innermost loop, or in it.
START, ROW, ELEMENT = 0, 1, 2


@dataclass(slots=True)
class Code:
    """The lines that formulas write, and the numbers that become parameters."""

    lines: list[Line] = field(default_factory=list)
    parameters: list[int | float] = field(default_factory=list)
    _known: dict[str, Term] = field(default_factory=dict)

    def emit(self, dtype: np.dtype[Any], text: str, depth: int, cost: int = 1, value: Any = None) -> Term:
        """A line that computes a text; a text that is already there is not computed twice."""
        term = self._known.get(text)
        if term is None:
            name = f"v{len(self.lines)}"
            self.lines.append(Line(name, text, depth, cost))
            term = self._known[text] = Term(self, name, dtype, depth, value)
        return term

    def parameter(self, value: float, dtype: np.dtype[Any]) -> Term:
        """A number that the kernel is given."""
        self.parameters.append(value)
        text = f"{type_name(dtype)}(p{len(self.parameters) - 1})"
        return self.emit(dtype, text, START, 0, value)

    def needed(self, result: Term) -> list[Line]:
        """The lines that a result depends on."""
        names = {result.name}
        kept: list[Line] = []
        for line in reversed(self.lines):
            if line.name in names:
                names |= line.uses()
                kept.append(line)
        return kept[::-1]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number that takes the type of the term that it meets."""

    value: float


#: An attribute of an operator: a parameter of the kernel, or a number in its text.
Number: TypeAlias = Parameter | float
Operand: TypeAlias = "Term | Number"


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """A value of the kernel, by its name; its arithmetic writes lines.  ``value`` is there where it is a constant."""

    code: Code
    name: str
    dtype: np.dtype[Any]
    depth: int
    value: Any = None

    def coerced(self, other: Operand) -> Term:
        """A number as a term of this one's type; a term must have that type."""
        if isinstance(other, Parameter):
            return self.code.parameter(other.value, self.dtype)
        if not isinstance(other, Term):
            return Term(self.code, f"{type_name(self.dtype)}({other!r})", self.dtype, START, other)
        if other.dtype != self.dtype:
            raise Unserved(f"operands of the types {self.dtype} and {other.dtype} do not meet in one operation")
        return other

    def call(self, function: str, *others: Operand, cost: int = 1, dtype: np.dtype[Any] | None = None) -> Term:
        """A function of this term and others; of this term's type, unless another is given."""
        terms = [self, *map(self.coerced, others)]
        text = f"{function}({', '.join(term.name for term in terms)})"
        return self.code.emit(dtype or self.dtype, text, max(term.depth for term in terms), cost)

    def math(self, function: str, *others: Operand, cost: int = 16) -> Term:
        """A function of floats that has a version for each of their types."""
        if self.dtype.kind != "f":
            raise Unserved(f"{function} of {self.dtype} is not compiled")
        return self.call(f"{function}_{type_name(self.dtype)}", *others, cost=cost)

    def cast(self, dtype: np.dtype[Any]) -> Term:
        """The value in another type, as C converts it."""
        if dtype == self.dtype:
            return self
        if dtype == BOOL:
            return self.code.emit(BOOL, f"{self.name} != {type_name(self.dtype)}(0)", self.depth)
        text = f"{type_name(dtype)}({self.name})"
        if self.dtype.kind == "f" and dtype.kind in "iu":
            # By way of a wider type whose low bits are kept, as C's compilers do it with numbers that do not fit.
            wide = "int32" if dtype.itemsize < 4 else "int64"
            text = f"uint64_of_float({self.name})" if dtype == np.uint64 else f"{dtype.name}({wide}({self.name}))"
            text = f"int32({self.name})" if dtype == np.int32 else text
        return self.code.emit(dtype, text, self.depth)

    def _arithmetic(self, symbol: str, other: Operand, swapped: bool = False) -> Term:
        right = self.coerced(other)
        left = self
        if swapped:
            left, right = right, left
        text = f"{left.name} {symbol} {right.name}"
        # Compiled arithmetic of integers is that of 64 bits.
        text = f"{type_name(self.dtype)}({text})" if self.dtype.kind in "iu" else text
        return self.code.emit(self.dtype, text, max(left.depth, right.depth), 8 if symbol == "/" else 1)

    def _comparison(self, symbol: str, other: Operand) -> Term:
        right = self.coerced(other)
        return self.code.emit(BOOL, f"{self.name} {symbol} {right.name}", max(self.depth, right.depth))

    def __add__(self, other: Operand) -> Term:
        return self._arithmetic("+", other)

    def __radd__(self, other: Operand) -> Term:
        return self._arithmetic("+", other, swapped=True)

    def __sub__(self, other: Operand) -> Term:
        return self._arithmetic("-", other)

    def __rsub__(self, other: Operand) -> Term:
        return self._arithmetic("-", other, swapped=True)

    def __mul__(self, other: Operand) -> Term:
        return self._arithmetic("*", other)

    def __rmul__(self, other: Operand) -> Term:
        return self._arithmetic("*", other, swapped=True)

    def __truediv__(self, other: Operand) -> Term:
        return self._arithmetic("/", other)

    def __rtruediv__(self, other: Operand) -> Term:
        return self._arithmetic("/", other, swapped=True)

    def __and__(self, other: Operand) -> Term:
        return self._arithmetic("&", other)

    def __or__(self, other: Operand) -> Term:
        return self._arithmetic("|", other)

    def __xor__(self, other: Operand) -> Term:
        return self._arithmetic("^", other)

    def __lshift__(self, other: Operand) -> Term:
        return self._arithmetic("<<", other)

    def __rshift__(self, other: Operand) -> Term:
        return self._arithmetic(">>", other)

    def __neg__(self) -> Term:
        text = f"-{self.name}"
        text = f"{type_name(self.dtype)}({text})" if self.dtype.kind in "iu" else text
        return self.code.emit(self.dtype, text, self.depth)

    def __lt__(self, other: Operand) -> Term:
        return self._comparison("<", other)

    def __le__(self, other: Operand) -> Term:
        return self._comparison("<=", other)

    def __gt__(self, other: Operand) -> Term:
        return self._comparison(">", other)

    def __ge__(self, other: Operand) -> Term:
        return self._comparison(">=", other)

    def equals(self, other: Operand) -> Term:
        """``self == other``."""
        return self._comparison("==", other)

    def differs(self, other: Operand) -> Term:
        """``self != other``."""
        return self._comparison("!=", other)


def where(condition: Term, x: Term, y: Operand) -> Term:
    """``x`` where the condition holds, else ``y``."""
    other = x.coerced(y)
    depth = max(condition.depth, x.depth, other.depth)
    return x.code.emit(x.dtype, f"{x.name} if {condition.name} else {other.name}", depth)


def type_name(dtype: np.dtype[Any]) -> str:
    """The name of a type in a kernel."""
    return "boolean" if dtype == BOOL else dtype.name


def require(condition: bool, reason: str) -> None:
    """Refuse to compile, for a reason, unless a condition holds."""
    if not condition:
        raise Unserved(reason)


def require_floats(*terms: Term) -> None:
    """Refuse to compile for other types than floats."""
    require(all(x.dtype.kind == "f" for x in terms), f"the operator is compiled for floats, not for {terms[0].dtype}")
