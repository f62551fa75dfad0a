"""Formulas over the values of a graph: what the gradient rules are written with.

A `Term` is a value of the graph; arithmetic on terms adds nodes: ``1 - y * y`` reads as mathematics and is two nodes.
An `Emitter` collects the nodes, and follows their types and shapes so that formulas can use what is known before a run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.dtypes import element_type
from onnxlite.model.ir import AttributeValue, Node
from onnxlite.model.specification import inferred_types
from onnxlite.model.types import Dimension, TensorType, ValueType

#: The opset of the nodes that formulas add.
OPSET = 18

#: Constants up to this size are shown to shape inference.
_MAX_SHOWN = 64


class Term:
    """A value of the graph under construction."""

    __slots__ = ("emit", "name")

    #: Arrays leave arithmetic with a term to the term.
    __array_ufunc__ = None

    def __init__(self, emit: Emitter, name: str) -> None:
        self.emit = emit
        self.name = name

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """The element type where it is known."""
        kind = self.emit.types.get(self.name)
        return kind.dtype if isinstance(kind, TensorType) else None

    @property
    def shape(self) -> tuple[Dimension, ...] | None:
        """The shape where it is known."""
        kind = self.emit.types.get(self.name)
        return kind.shape if isinstance(kind, TensorType) else None

    @property
    def rank(self) -> int | None:
        """The number of axes where it is known."""
        return None if self.shape is None else len(self.shape)

    @property
    def value(self) -> Array | None:
        """The value where it is a constant."""
        return self.emit.constants.get(self.name)

    def like(self, number: Any) -> Term:
        """A constant of this term's element type."""
        if self.dtype is not None:
            return self.emit.constant(np.asarray(number, self.dtype))
        return self.emit("CastLike", self.emit.constant(np.asarray(number, np.float64)), self)

    def _with(self, op_type: str, other: Any, swap: bool = False) -> Term:
        other = other if isinstance(other, Term) else self.like(other)
        return self.emit(op_type, other, self) if swap else self.emit(op_type, self, other)

    def __neg__(self) -> Term:
        return self.emit("Neg", self)

    def __add__(self, other: Any) -> Term:
        return self._with("Add", other)

    def __radd__(self, other: Any) -> Term:
        return self._with("Add", other, swap=True)

    def __sub__(self, other: Any) -> Term:
        return self._with("Sub", other)

    def __rsub__(self, other: Any) -> Term:
        return self._with("Sub", other, swap=True)

    def __mul__(self, other: Any) -> Term:
        return self._with("Mul", other)

    def __rmul__(self, other: Any) -> Term:
        return self._with("Mul", other, swap=True)

    def __truediv__(self, other: Any) -> Term:
        return self._with("Div", other)

    def __rtruediv__(self, other: Any) -> Term:
        return self._with("Div", other, swap=True)

    def __floordiv__(self, other: Any) -> Term:
        """The quotient of non-negative integers."""
        return self._with("Div", other)

    def __pow__(self, other: Any) -> Term:
        return self._with("Pow", other)

    def __matmul__(self, other: Any) -> Term:
        return self._with("MatMul", other)

    def __lt__(self, other: Any) -> Term:
        return self._with("Less", other)

    def __gt__(self, other: Any) -> Term:
        return self._with("Greater", other)

    def __and__(self, other: Term) -> Term:
        return self._with("And", other)

    def __repr__(self) -> str:
        return self.name


#: What can be an input of an emitted node; None is an absent one, and a list becomes a constant of int64.
Operand: TypeAlias = "Term | Array | Sequence[int] | None"


class Emitter:
    """Adds nodes: ``emit("Mul", a, b)`` is the output of a new node.

    Args:
        types: The types of the graph's values; those of new values are added.
        constants: The graph's constants; new ones are added.
        new_name: Makes an unused name from a hint.
    """

    def __init__(
        self, types: dict[str, ValueType], constants: Mapping[str, Array], new_name: Callable[[str], str]
    ) -> None:
        self.types = types
        self.constants = dict(constants)
        self.nodes: list[Node] = []
        self._new_name = new_name
        self._made: dict[tuple[Any, ...], tuple[Term, ...]] = {}
        self._numbers: dict[tuple[str, tuple[int, ...], bytes], Term] = {}

    def __call__(
        self,
        op_type: str,
        *inputs: Operand,
        like: Term | None = None,
        opset: int = OPSET,
        **attributes: AttributeValue,
    ) -> Term:
        """The output of a new node of one output.

        Args:
            op_type: An operator of ai.onnx.
            *inputs: Its inputs.
            like: A value that the output has the type and shape of, where inference cannot tell.
            opset: The opset that the node is of.
            **attributes: The node's attributes; those that are None are left out.
        """
        (term,) = self.several(1, op_type, *inputs, opset=opset, **attributes)
        if like is not None and like.name in self.types:
            self.types[term.name] = self.types[like.name]
        return term

    def several(
        self, count: int, op_type: str, *inputs: Operand, opset: int = OPSET, **attributes: AttributeValue
    ) -> tuple[Term, ...]:
        """The outputs of a new node of ``count`` outputs; those of an equal one, if there is one."""
        names = ["" if value is None else self.term(value).name for value in inputs]
        while names and not names[-1]:
            names.pop()
        given = {name: value for name, value in attributes.items() if value is not None}
        key = (count, op_type, *names, opset, *(f"{name}={value!r}" for name, value in given.items()))
        if key not in self._made:
            self._made[key] = self._new(count, op_type, tuple(names), opset, given)
        return self._made[key]

    def _new(
        self, count: int, op_type: str, names: tuple[str, ...], opset: int, given: Mapping[str, AttributeValue]
    ) -> tuple[Term, ...]:
        outputs = tuple(self._new_name(op_type) for _ in range(count))
        self.add(Node(op_type, names, outputs, name=outputs[0], opset=opset, attributes=given))
        return tuple(Term(self, name) for name in outputs)

    def add(self, node: Node) -> None:
        """Add a node that is made already."""
        self.nodes.append(node)
        self.types.update((name, kind) for name, kind in self.inferred(node) if name not in self.types)

    def inferred(self, node: Node) -> list[tuple[str, ValueType]]:
        """The names of a node's outputs and their types, as far as these can be told from the inputs."""
        shown = {name: array for name in node.inputs if (array := self.constants.get(name)) is not None}
        shown = {name: array for name, array in shown.items() if array.dtype == np.int64 and array.size <= _MAX_SHOWN}
        kinds = inferred_types(node, [self.types.get(name) for name in node.inputs], shown)
        return [(name, kind) for name, kind in zip(node.outputs, kinds, strict=True) if name and kind is not None]

    def term(self, value: Term | Array | Sequence[int]) -> Term:
        """The operand as a term."""
        return value if isinstance(value, Term) else self.constant(np.asarray(value, getattr(value, "dtype", np.int64)))

    def constant(self, array: Array) -> Term:
        """A constant; equal ones are one."""
        key = str(array.dtype), array.shape, array.tobytes()
        if key not in self._numbers:
            term = self._numbers[key] = Term(self, self._new_name("constant"))
            self.constants[term.name] = array
            self.types[term.name] = TensorType(element_type(array.dtype), array.shape)
        return self._numbers[key]


def lengths(term: Term, start: int = 0, end: int | None = None) -> Array | Term:
    """The lengths of the axes from ``start`` to ``end``: an array where they are known, or else a term of int64."""
    known = None if term.shape is None else term.shape[start:end]
    if known is not None and all(isinstance(length, int) for length in known):
        return np.array(known, np.int64)
    shape = term.emit("Shape", term)
    return shape if (start, end) == (0, None) else part_of(shape, start, end)


def part_of(vector: Term, start: int, end: int | None = None) -> Term:
    """The elements of a vector from ``start`` to ``end``."""
    limit = np.iinfo(np.int64).max if end is None else end
    return vector.emit("Slice", vector, [start], [limit], [0])


def joined(emit: Emitter, *parts: Array | Term | Sequence[int]) -> Array | Term:
    """Vectors of int64 one after the other: an array where all are known, or else a term."""
    if not any(isinstance(part, Term) for part in parts):
        return np.concatenate([np.asarray(part, np.int64) for part in parts])
    return emit("Concat", *parts, axis=0)


def size_ratio(whole: Term, part: Term) -> Term:
    """How many elements ``whole`` has for one of ``part``, in the element type of ``whole``."""
    count = whole.emit("Div", whole.emit("Size", whole), whole.emit("Size", part))
    return whole.emit("CastLike", count, whole)


def where(condition: Term, yes: Any, no: Any) -> Term:
    """``yes`` where the condition holds, ``no`` elsewhere; a number takes the other's element type."""
    term = yes if isinstance(yes, Term) else no
    yes, no = (value if isinstance(value, Term) else term.like(value) for value in (yes, no))
    return condition.emit("Where", condition, yes, no)


def equal(a: Term, b: Any) -> Term:
    """Where the elements are equal."""
    return a.emit("Equal", a, b if isinstance(b, Term) else a.like(b))


def full_like(x: Term, number: float) -> Term:
    """A tensor of the shape and element type of x, filled with a number."""
    return x.like(number) if x.rank == 0 else x.emit("Expand", x.like(number), lengths(x), like=x)


def reshaped_like(g: Term, x: Term) -> Term:
    """The elements of g in the shape of x."""
    return x.emit("Reshape", g, lengths(x), allowzero=1, like=_typed(g, x))


def expanded_like(g: Term, x: Term) -> Term:
    """``g`` repeated along axes of length 1 to the shape of x."""
    return x.emit("Expand", g, lengths(x), like=_typed(g, x))


def _typed(g: Term, x: Term) -> Term | None:
    """The term that has the type of a value with the elements of g and the shape of x: x, if the elements agree."""
    return x if g.dtype is not None and g.dtype == x.dtype else None


def cast_like(g: Term, x: Term) -> Term:
    """``g`` in the element type of x."""
    return g if g.dtype is not None and g.dtype == x.dtype else g.emit("CastLike", g, x)


def summed_to(g: Term, x: Term) -> Term:
    """``g`` summed over the axes that broadcasting repeated x along: the gradient of broadcasting."""
    if x.rank == 0:
        return g if g.rank == 0 else g.emit("ReduceSum", g, keepdims=0)
    if g.shape is None or x.shape is None or any(map(_undecided, x.shape, g.shape[len(g.shape) - len(x.shape) :])):
        return _summed_to_any(g, x)
    extra = len(g.shape) - len(x.shape)
    if extra:
        g = g.emit("ReduceSum", g, list(range(extra)), keepdims=0)
    pairs = enumerate(zip(x.shape, g.shape or (), strict=True))
    axes = [axis for axis, (length, summed) in pairs if length == 1 and summed != 1]
    return g.emit("ReduceSum", g, axes, keepdims=1) if axes else g


def _undecided(length: Dimension, broadcast: Dimension) -> bool:
    """Whether an axis may or may not have been broadcast."""
    return not isinstance(length, int) and (length is None or length != broadcast)


def _summed_to_any(g: Term, x: Term) -> Term:
    """`summed_to` for shapes that are known only when the model runs."""
    emit = g.emit
    from_shape, to_shape = emit("Shape", g), emit("Shape", x)
    missing = emit("Reshape", emit("Sub", emit("Size", from_shape), emit("Size", to_shape)), [1])
    ones = emit("ConstantOfShape", missing, value=np.ones(1, np.int64))
    aligned = emit("Concat", ones, to_shape, axis=0)
    axes = emit("Reshape", emit("NonZero", emit("Not", emit("Equal", aligned, from_shape))), [-1])
    total = emit("ReduceSum", g, axes, keepdims=1, noop_with_empty_axes=1)
    return reshaped_like(total, x)
