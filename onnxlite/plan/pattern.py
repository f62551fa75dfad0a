"""Patterns: formulas, written as such, that are found in a graph however an exporter spelt them.

A pattern is made with Python's operators::

    x = Value("x")
    gelu = x * (call("Erf", x / math.sqrt(2)) + 1) / 2

Sums and products have a normal form (`Combination`), in patterns and in graphs alike: a number and parts in any order,
each with a weight.  So the pattern above is also ``Mul(Mul(0.5, x), Add(1, Erf(Mul(x, 0.7071))))``, and ``x * x`` is
``Pow(x, 2)``; what is found out about the parts is a `Match`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from onnxlite.kernels.arrays import Array
from onnxlite.model.ir import Node
from onnxlite.model.specification import attribute_default

#: How far a constant may be from the pattern's, relatively: exporters round to seven digits or fewer.
_TOLERANCE = 1e-5


class Pattern:
    """A formula; Python's operators make larger ones of it."""

    def __add__(self, other: Formula) -> Combination:
        return _joined(_as(_SUM, self), _as(_SUM, other), 1.0)

    def __sub__(self, other: Formula) -> Combination:
        return _joined(_as(_SUM, self), _as(_SUM, other), -1.0)

    def __mul__(self, other: Formula) -> Combination:
        return _joined(_as(_PRODUCT, self), _as(_PRODUCT, other), 1.0)

    def __truediv__(self, other: Formula) -> Combination:
        return _joined(_as(_PRODUCT, self), _as(_PRODUCT, other), -1.0)

    def __pow__(self, exponent: float) -> Combination:
        return Combination(_PRODUCT, 1.0, ((self, float(exponent)),))

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
        if self.kind == _SUM or isinstance(self.number, Number):
            return Pattern.__pow__(self, exponent)
        return _joined(Combination(_PRODUCT, 1.0, ()), self, float(exponent))


Formula: TypeAlias = Pattern | float

_SUM, _PRODUCT = "sum", "product"
_NEUTRAL = {_SUM: 0.0, _PRODUCT: 1.0}


def call(operator: str, *operands: Formula, **attributes: Any) -> Call:
    """The result of an operator."""
    return Call(operator, operands, attributes)


def either(*alternatives: Formula) -> Either:
    """One of several formulas."""
    return Either(alternatives)


def _as(kind: str, formula: Formula) -> Combination:
    """A formula as a sum or a product."""
    if isinstance(formula, Combination) and formula.kind == kind:
        return formula
    if not isinstance(formula, Pattern):
        return Combination(kind, float(formula), ())
    if isinstance(formula, Number):
        return Combination(kind, formula, ())
    if kind == _SUM and isinstance(formula, Combination) and not isinstance(formula.number, Number):
        return Combination(_SUM, 0.0, ((_simplified(replace(formula, number=1.0)), formula.number),))
    return Combination(kind, _NEUTRAL[kind], ((formula, 1.0),))


def _simplified(product: Combination) -> Pattern:
    only = product.parts[0] if len(product.parts) == 1 else None
    return only[0] if only and only[1] == 1 and product.number == 1 else product


def _joined(left: Combination, right: Combination, weight: float) -> Combination:
    """``left + right * weight`` or ``left * right**weight``; parts that are the same object become one."""
    neutral = _NEUTRAL[left.kind]
    if isinstance(left.number, Number) or isinstance(right.number, Number):
        number = right.number if left.number == neutral else left.number
        if neutral not in (left.number, right.number) or (number is right.number and weight != 1):
            raise ValueError("a pattern can name a number only where it stands alone")
    else:
        number = _accumulated(left.kind, left.number, right.number, weight)
    parts = dict(left.parts)
    for part, own in right.parts:
        parts[part] = parts.get(part, 0.0) + own * weight
    return Combination(left.kind, number, tuple(parts.items()))


def _accumulated(kind: str, number: float, other: float, weight: float) -> float:
    """``number + other * weight``, or ``number * other**weight``: NaN where that is no real number."""
    if kind == _SUM:
        return number + other * weight
    try:
        return float(number * math.pow(other, weight))
    except (ValueError, OverflowError):
        return math.nan


@dataclass(frozen=True, slots=True)
class Match:
    """What a pattern's values, numbers and attributes are in a graph, by name, and the nodes that it covers."""

    names: Mapping[str, Any] = field(default_factory=dict)
    nodes: tuple[Node, ...] = ()

    def named(self, name: str, value: Any) -> Match | None:
        """The match with a name for a value, unless the name stands for another one."""
        if name not in self.names:
            return replace(self, names={**self.names, name: value})
        return self if _equal(self.names[name], value) else None

    def covering(self, *nodes: Node) -> Match:
        """The match with some nodes more."""
        return replace(self, nodes=(*self.nodes, *nodes))


#: Operators that are sums or products of their inputs, with the inputs' weights.
_READINGS: dict[tuple[str, str], tuple[float, ...]] = {
    (_SUM, "Add"): (1.0, 1.0),
    (_SUM, "Sub"): (1.0, -1.0),
    (_SUM, "Neg"): (-1.0,),
    (_PRODUCT, "Mul"): (1.0, 1.0),
    (_PRODUCT, "Div"): (1.0, -1.0),
    (_PRODUCT, "Reciprocal"): (-1.0,),
    (_PRODUCT, "Sqrt"): (0.5,),
}
#: Inputs that are parameters, by operator.
_PARAMETERS = {"Clip": ("min", "max")}
_COMMUTATIVE = frozenset({"Max", "Min"})

#: How many parts may turn out to be others again, as in ``(x * x) * x``.
_TO_BE_EQUAL = 1


@dataclass(frozen=True, slots=True)
class Matcher:
    """Finds patterns in a graph.

    Args:
        producers: The nodes, by the names of their outputs.
        constants: The initializers.
        rank: The number of axes of a value, or None if it is not known.
    """

    producers: Mapping[str, Node]
    constants: Mapping[str, Array]
    rank: Callable[[str], int | None]

    def matches(
        self, pattern: Formula, name: str, match: Match | None = None, beside: Sequence[str] = ()
    ) -> Iterator[Match]:
        """The ways in which a value, one of the operands ``beside``, is what a pattern says, given what is known."""
        match = match or Match()
        if isinstance(pattern, Value):
            if pattern.axes is None or self._is_constant(name, pattern.axes):
                yield from _known(match.named(pattern.name, name))
        elif isinstance(pattern, Call):
            yield from self._calls(pattern, name, match)
        elif isinstance(pattern, Combination):
            yield from self._combinations(pattern, name, 1.0, match)
        elif isinstance(pattern, Either):
            for alternative in pattern.alternatives:
                yield from self.matches(alternative, name, match, beside)
        else:
            number = self.number(name, beside)
            if number is not None:
                yield from _known(_with_number(match, pattern, number))

    def _is_constant(self, name: str, axes: int) -> bool:
        array = self.constants.get(name)
        return array is not None and array.ndim == axes

    def number(self, name: str, beside: Sequence[str]) -> float | None:
        """The number that a constant is, if it gives no more axes to the values that it is combined with.

        A value with an unknown number of axes is taken to have one at least.
        """
        array = self.constants.get(name)
        if array is None or array.size != 1 or array.dtype.kind not in "fiu":
            return None
        ranks = [self.rank(other) for other in beside if other != name] if array.ndim else []
        most = max((1 if rank is None else rank for rank in ranks), default=0)
        return float(array.item()) if array.ndim <= most else None

    def _calls(self, pattern: Call, name: str, match: Match) -> Iterator[Match]:
        node = self.producers.get(name)
        if node is None or node.domain or node.op_type != pattern.operator or name != node.outputs[0]:
            return
        operands, parameters = self._arguments(node)
        if len(operands) != len(pattern.operands):
            return
        found: Match | None = match.covering(node)
        for key, expected in pattern.attributes.items():
            given = parameters.get(key, node.attributes.get(key))
            given = attribute_default(node, key) if given is None else given
            found = found and _with_attribute(found, expected, self._from_last(node, key, given))
        if found is None:
            return
        orders = (operands, operands[::-1]) if node.op_type in _COMMUTATIVE else (operands,)
        for order in orders:
            yield from self._all(pattern.operands, order, order, found)

    def _arguments(self, node: Node) -> tuple[Sequence[str], dict[str, Any]]:
        """The operands of a node, and those of its inputs that are parameters, where they are constants."""
        names = ("axes",) if node.op_type.startswith("Reduce") else _PARAMETERS.get(node.op_type, ())
        parameters = {key: self.constants.get(name) for key, name in zip(names, node.inputs[1:], strict=False) if name}
        if not names or any(array is None for array in parameters.values()):
            return node.inputs, {}
        return node.inputs[:1], {key: _plain(array) for key, array in parameters.items()}

    def _from_last(self, node: Node, key: str, given: Any) -> Any:
        """An axis or axes counted from the last one, as far as the number of axes is known."""
        rank = self.rank(node.inputs[0]) if key in ("axis", "axes") and node.inputs else None
        if rank is None or given is None:
            return given
        axes = [axis - rank if axis >= 0 else axis for axis in (given if isinstance(given, tuple) else (given,))]
        return tuple(sorted(axes)) if isinstance(given, tuple) else axes[0]

    def _all(
        self, patterns: Sequence[Formula], names: Sequence[str], beside: Sequence[str], match: Match
    ) -> Iterator[Match]:
        if not patterns:
            yield match
            return
        for found in self.matches(patterns[0], names[0], match, beside):
            yield from self._all(patterns[1:], names[1:], beside, found)

    def _combinations(self, pattern: Combination, name: str, factor: float, match: Match) -> Iterator[Match]:
        """The ways in which a value, times a factor, is a sum or product."""
        # What is easy to tell apart goes first.
        wanted = sorted(pattern.parts, key=lambda part: isinstance(part[0], Value))
        for number, parts, nodes in self._cuts(pattern.kind, len(wanted), [(name, 1.0)]):
            if len(parts) == len(wanted):
                found = _with_number(match.covering(*nodes), pattern.number, number * factor)
                if found is not None:
                    yield from self._assigned(pattern.kind, wanted, parts, found)

    def _cuts(self, kind: str, count: int, parts: list[tuple[str, float]]) -> Iterator[_Cut]:
        """The readings of parts as a sum or product of up to ``count`` parts: each part as it is, or taken apart."""
        if not parts:
            yield _NEUTRAL[kind], {}, ()
            return
        if len({name for name, _ in parts}) > count + _TO_BE_EQUAL:
            return
        (name, weight), rest = parts[0], parts[1:]
        for number, others, nodes in self._cuts(kind, count, rest):
            kept = {name: others.pop(name, 0.0) + weight, **others}
            if len(kept) <= count:
                yield number, kept, nodes
        node = self.producers.get(name)
        reading = self._reading(kind, node) if node is not None and name == node.outputs[0] else None
        if node is None or reading is None or (kind == _PRODUCT and not weight.is_integer()):
            return
        own, inner = reading
        for number, others, nodes in self._cuts(kind, count, [(n, w * weight) for n, w in inner] + rest):
            yield _accumulated(kind, number, own, weight), others, (node, *nodes)

    def _reading(self, kind: str, node: Node) -> tuple[float, list[tuple[str, float]]] | None:
        """A node as a number and parts; None if it is no sum or product."""
        if node.domain or node.opset < 7:
            return None
        if node.op_type == "Neg" and kind == _PRODUCT:
            return -1.0, [(name, 1.0) for name in node.inputs]
        if node.op_type == "Pow" and kind == _PRODUCT and len(node.inputs) == 2:
            exponent = self.number(node.inputs[1], node.inputs)
            return None if exponent is None else (1.0, [(node.inputs[0], exponent)])
        if node.op_type == "Sum" and kind == _SUM:
            return 0.0, [(name, 1.0) for name in node.inputs]
        weights = _READINGS.get((kind, node.op_type))
        if weights is None or len(node.inputs) != len(weights):
            return None
        number, parts = _NEUTRAL[kind], []
        for name, weight in zip(node.inputs, weights, strict=True):
            given = self.number(name, node.inputs)
            if given is None:
                parts.append((name, weight))
            else:
                number = _accumulated(kind, number, given, weight)
        return number, parts

    def _assigned(
        self, kind: str, wanted: list[tuple[Pattern, float]], parts: dict[str, float], match: Match
    ) -> Iterator[Match]:
        """The ways in which parts are those of a pattern, each of another."""
        if not wanted:
            yield match
            return
        (pattern, weight), rest = wanted[0], wanted[1:]
        for name, given in parts.items():
            others = {other: w for other, w in parts.items() if other != name}
            for found in self._parts(kind, pattern, weight, name, given, match):
                yield from self._assigned(kind, rest, others, found)

    def _parts(
        self, kind: str, pattern: Pattern, weight: float, name: str, given: float, match: Match
    ) -> Iterator[Match]:
        """The ways in which a part with its weight is that of a pattern; the weight of a term may be in a product."""
        if isinstance(pattern, Either):
            for alternative in pattern.alternatives:
                if isinstance(alternative, Pattern):
                    yield from self._parts(kind, alternative, weight, name, given, match)
        elif kind == _SUM and (not _equal(weight, given) or _is_product(pattern)):
            product = _as(_PRODUCT, pattern)
            number = product.number if isinstance(product.number, Number) else product.number * weight
            yield from self._combinations(replace(product, number=number), name, given, match)
        elif _equal(weight, given):
            yield from self.matches(pattern, name, match)


_Cut: TypeAlias = tuple[float, dict[str, float], tuple[Node, ...]]


def _is_product(pattern: Pattern) -> bool:
    return isinstance(pattern, Combination) and pattern.kind == _PRODUCT


def _known(match: Match | None) -> Iterator[Match]:
    if match is not None:
        yield match


def _with_number(match: Match, expected: Formula, given: float) -> Match | None:
    if isinstance(expected, Number):
        return match.named(expected.name, given)
    return match if _equal(expected, given) else None


def _with_attribute(match: Match, expected: Any, given: Any) -> Match | None:
    if isinstance(expected, Number):
        return match.named(expected.name, given)
    return match if _equal(expected, given) else None


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, float | int) and isinstance(b, float | int):
        return math.isclose(a, b, rel_tol=_TOLERANCE)
    return type(a) is type(b) and bool(a == b)


def _plain(array: Any) -> Any:
    """A parameter as an attribute: a number or a tuple."""
    return tuple(array.tolist()) if array.ndim else array.item()


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
    _SUM: frozenset({"Add", "Sub", "Neg", "Sum"}),
    _PRODUCT: frozenset({"Mul", "Div", "Reciprocal", "Sqrt", "Neg", "Pow"}),
}
