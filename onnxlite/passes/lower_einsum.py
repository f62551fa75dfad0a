"""The pass that makes a matrix product, or a product of elements, of each Einsum.

Operands are taken two by two.  Letters that only one of them has, and that nobody needs later, are summed up first.  If
both share letters that nobody needs later, it is a product of matrices: (kept by both..., the first's, the sum's) times
(kept by both..., the sum's, the second's), where several letters together are one axis of a matrix; otherwise it is a
product of elements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.model.ir import Graph, Node
from onnxlite.model.types import TensorType
from onnxlite.plan.infer import types_beside

_FLOATS = frozenset({"float", "double"})


def lower_einsum(graph: Graph, keep: frozenset[str], outer: Mapping[str, Array]) -> Graph:
    """The graph with simpler operators in place of each Einsum that has no ellipsis and no diagonal.

    Args:
        graph: The graph.
        keep: Names of values that must remain.
        outer: The initializers of the graphs around it.
    """
    if not any(node.op_type == "Einsum" and not node.domain for node in graph.nodes):
        return graph
    types = types_beside(graph, {**outer, **graph.initializers})
    initializers = dict(graph.initializers)
    nodes: list[Node] = []
    for node in graph.nodes:
        kinds = [types.get(name) for name in node.inputs]
        floats = all(isinstance(k, TensorType) and k.element is not None and k.element.onnx in _FLOATS for k in kinds)
        terms = _parsed(str(node.attributes.get("equation", "")), len(node.inputs)) if floats else None
        if node.op_type != "Einsum" or node.domain or terms is None:
            nodes.append(node)
            continue
        writer = _Writer(node.outputs[0], initializers)
        writer.contract(list(zip(node.inputs, terms[0], strict=True)), terms[1])
        nodes.extend(writer.nodes)
    return replace(graph, nodes=tuple(nodes), initializers=initializers)


def _parsed(equation: str, count: int) -> tuple[list[str], str] | None:
    """The letters of the operands and those of the result; None for what is not lowered."""
    text = equation.replace(" ", "")
    left, arrow, result = text.partition("->")
    terms = left.split(",")
    if not arrow:
        result = "".join(sorted(letter for letter in set(left) - {","} if left.count(letter) == 1))
    if len(terms) != count or not all(term.isalpha() and len(set(term)) == len(term) for term in terms):
        return None
    if len(set(result)) != len(result) or not set(result) <= set("".join(terms)):
        return None
    return terms, result


@dataclass(slots=True)
class _Writer:
    """Writes the nodes that compute one Einsum, the last of which makes the value of its name."""

    name: str
    initializers: dict[str, Array]
    nodes: list[Node] = field(default_factory=list)

    def contract(self, operands: list[tuple[str, str]], result: str) -> None:
        """Contract operands, each a value with its letters, from left to right."""
        value, letters = operands[0]
        for number, (other, others) in enumerate(operands[1:], 2):
            needed = set(result).union(*(more for _, more in operands[number:]))
            value, letters = self._product((value, letters), (other, others), needed)
        value, letters = self._summed(value, letters, set(result))
        self._last(value, letters, result)

    def _product(self, a: tuple[str, str], b: tuple[str, str], needed: set[str]) -> tuple[str, str]:
        """The product of two values, summed over the letters that are not needed any more."""
        one, other = self._summed(*a, needed | set(b[1])), self._summed(*b, needed | set(a[1]))
        both = set(one[1]) & set(other[1])
        kept = "".join(letter for letter in one[1] if letter in both & needed)
        summed = "".join(letter for letter in one[1] if letter in both - needed)
        first = "".join(letter for letter in one[1] if letter not in both)
        second = "".join(letter for letter in other[1] if letter not in both)
        if not summed:
            letters = kept + first + second
            operands = [self._spread(*operand, letters) for operand in (one, other)]
            return self._add("Mul", operands, 14), letters
        x = self._transposed(*one, kept + first + summed)
        y = self._transposed(*other, kept + summed + second)
        groups = (len(kept), len(first), len(summed), len(second))
        if groups[1:] == (1, 1, 1):
            return self._add("MatMul", [x, y], 13), kept + first + second
        left = self._merged(x, groups[0], groups[1], groups[2])
        right = self._merged(y, groups[0], groups[2], groups[3])
        product = self._add("MatMul", [left, right], 13)
        lengths = [self._lengths(x, 0, groups[0] + groups[1]), self._lengths(y, groups[0] + groups[2], None)]
        shape = self._add("Concat", lengths, 13, axis=0)
        return self._add("Reshape", [product, shape], 13), kept + first + second

    def _merged(self, value: str, kept: int, rows: int, columns: int) -> str:
        """The value with some axes kept, and two groups of axes, perhaps empty ones, as a matrix."""
        if rows == columns == 1:
            return value
        parts = [self._lengths(value, 0, kept)] if kept else []
        for start, count in ((kept, rows), (kept + rows, columns)):
            lengths = self._lengths(value, start, start + count)
            parts.append(self._add("ReduceProd", [lengths], 13, keepdims=1))
        shape = self._add("Concat", parts, 13, axis=0)
        return self._add("Reshape", [value, shape], 13)

    def _lengths(self, value: str, start: int, end: int | None) -> str:
        """The lengths of some axes."""
        shape = self._add("Shape", [value], 13)
        limits = [self._constant([start]), self._constant([np.iinfo(np.int64).max if end is None else end])]
        return self._add("Slice", [shape, *limits], 13)

    def _summed(self, value: str, letters: str, needed: set[str]) -> tuple[str, str]:
        """The value summed over the letters that are not needed."""
        axes = tuple(axis for axis, letter in enumerate(letters) if letter not in needed)
        if not axes:
            return value, letters
        left = "".join(letter for letter in letters if letter in needed)
        return self._add("ReduceSum", [value], 11, axes=axes, keepdims=0), left

    def _spread(self, value: str, letters: str, wanted: str) -> str:
        """The value with an axis for each letter, of length 1 for those that it has not."""
        order = "".join(letter for letter in wanted if letter in letters)
        axes = tuple(axis for axis, letter in enumerate(wanted) if letter not in letters)
        value = self._transposed(value, letters, order)
        return self._add("Unsqueeze", [value], 11, axes=axes) if axes else value

    def _transposed(self, value: str, letters: str, wanted: str) -> str:
        perm = tuple(letters.index(letter) for letter in wanted)
        return value if letters == wanted else self._add("Transpose", [value], 13, perm=perm)

    def _last(self, value: str, letters: str, wanted: str) -> None:
        """Make the result of a value with its letters in any order."""
        if letters == wanted and self.nodes:
            self.nodes[-1] = replace(self.nodes[-1], outputs=(self.name,))
            return
        perm = tuple(letters.index(letter) for letter in wanted)
        attributes = {} if letters == wanted else {"perm": perm}
        operator = "Identity" if letters == wanted else "Transpose"
        self.nodes.append(Node(operator, (value,), (self.name,), name=self.name, opset=13, attributes=attributes))

    def _add(self, operator: str, inputs: Sequence[str], opset: int, **attributes: object) -> str:
        name = f"{self.name}/{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(Node(operator, tuple(inputs), (name,), name=name, opset=opset, attributes=attributes))
        return name

    def _constant(self, values: Sequence[int]) -> str:
        name = f"{self.name}/numbers_{'_'.join(map(str, values))}"
        self.initializers[name] = np.array(values, np.int64)
        return name
