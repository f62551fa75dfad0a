"""Where patterns are in a graph: backwards from a result, every reading of its sums and products is compared."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from onnxlite.kernels.arrays import Array
from onnxlite.model.ir import Node
from onnxlite.model.specification import attribute_default
from onnxlite.passes.pattern import (
    NEUTRAL,
    PRODUCT,
    SUM,
    Call,
    Combination,
    Either,
    Formula,
    Number,
    Pattern,
    Value,
    accumulated,
    normal_form,
)

#: How far a constant may be from the pattern's, relatively: exporters round to seven digits or fewer.
_TOLERANCE = 1e-5


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
    (SUM, "Add"): (1.0, 1.0),
    (SUM, "Sub"): (1.0, -1.0),
    (SUM, "Neg"): (-1.0,),
    (PRODUCT, "Mul"): (1.0, 1.0),
    (PRODUCT, "Div"): (1.0, -1.0),
    (PRODUCT, "Reciprocal"): (-1.0,),
    (PRODUCT, "Sqrt"): (0.5,),
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
            yield NEUTRAL[kind], {}, ()
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
        if node is None or reading is None or (kind == PRODUCT and not weight.is_integer()):
            return
        own, inner = reading
        for number, others, nodes in self._cuts(kind, count, [(n, w * weight) for n, w in inner] + rest):
            yield accumulated(kind, number, own, weight), others, (node, *nodes)

    def _reading(self, kind: str, node: Node) -> tuple[float, list[tuple[str, float]]] | None:
        """A node as a number and parts; None if it is no sum or product."""
        if node.domain or node.opset < 7:
            return None
        if node.op_type == "Neg" and kind == PRODUCT:
            return -1.0, [(name, 1.0) for name in node.inputs]
        if node.op_type == "Pow" and kind == PRODUCT and len(node.inputs) == 2:
            exponent = self.number(node.inputs[1], node.inputs)
            return None if exponent is None else (1.0, [(node.inputs[0], exponent)])
        if node.op_type == "Sum" and kind == SUM:
            return 0.0, [(name, 1.0) for name in node.inputs]
        weights = _READINGS.get((kind, node.op_type))
        if weights is None or len(node.inputs) != len(weights):
            return None
        number, parts = NEUTRAL[kind], []
        for name, weight in zip(node.inputs, weights, strict=True):
            given = self.number(name, node.inputs)
            if given is None:
                parts.append((name, weight))
            else:
                number = accumulated(kind, number, given, weight)
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
        elif kind == SUM and (not _equal(weight, given) or _is_product(pattern)):
            product = normal_form(PRODUCT, pattern)
            number = product.number if isinstance(product.number, Number) else product.number * weight
            yield from self._combinations(replace(product, number=number), name, given, match)
        elif _equal(weight, given):
            yield from self.matches(pattern, name, match)


_Cut: TypeAlias = tuple[float, dict[str, float], tuple[Node, ...]]


def _is_product(pattern: Pattern) -> bool:
    return isinstance(pattern, Combination) and pattern.kind == PRODUCT


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
