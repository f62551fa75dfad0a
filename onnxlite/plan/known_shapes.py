"""The shapes of a graph's values as far as they are known before any input is.

Two values with equal shapes here have equal shapes on every run.  A length that is not known has a name that no other
has, and so has a shape of unknown rank.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.dtypes import element_type
from onnxlite.model.ir import Graph, Node
from onnxlite.model.types import TensorType, ValueType
from onnxlite.plan.remembered import remembered_types

#: Lengths, each a number or a name; or a name for all of it.
Shape: TypeAlias = tuple[int | str, ...] | str

#: Operators whose output has the shape of their first input.
_LIKE_FIRST = frozenset(
    {"Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Cast", "CastLike", "Ceil", "Celu", "Clip"}
    | {"Cos", "Cosh", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Identity", "IsInf", "IsNaN"}
    | {"LeakyRelu", "Log", "Mish", "Neg", "Not", "PRelu", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid"}
    | {"Sign", "Sin", "Sinh", "Softmax", "Softplus", "Softsign", "Sqrt", "SwiGLU", "Swish", "Tan", "Tanh"}
    | {"ThresholdedRelu", "LayerNormalization", "RMSNormalization", "BatchNormalization", "QuantizeLinear"}
    | {"DequantizeLinear"}
)
#: Operators whose inputs are broadcast together.
_BROADCASTING = frozenset(
    {"Add", "And", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Equal", "Greater", "GreaterOrEqual"}
    | {"Less", "LessOrEqual", "Max", "Mean", "Min", "Mod", "Mul", "Or", "Pow", "Sub", "Sum", "Where", "Xor"}
)
#: The private operators that stand for one of the specification, with the version and the inputs that their shape comes
#: from; those on images have the channels last.
_PRIVATE = {"Conv": (22, 3), "MaxPool": (22, 1), "AveragePool": (22, 1), "MatMul": (13, 2)}
_ON_IMAGES = frozenset({"Conv", "MaxPool", "AveragePool"})
#: Their attributes that are not those of that operator.
_ADDED = frozenset(
    {"activation", "alpha", "beta", "residual_last", "scale", "a_perm", "b_perm", "channels_last", "lowest", "highest"}
    | {"block_size"}
)
#: Those on integers, and the same on floats: their first input is multiplied with that of the number.
_QUANTIZED = {"QuantizedConv": ("Conv", 3), "QuantizedMatMul": ("MatMul", 3), "MatMulQuantizedWeights": ("MatMul", 1)}

#: What an operator's shape is inferred from may be its inputs' values: of constants up to this many elements.
_SMALL = 64


def known_shapes(graph: Graph, types: Mapping[str, ValueType], constants: Mapping[str, Array]) -> dict[str, Shape]:
    """The shapes of all values of a graph.

    Args:
        graph: The graph, its nodes in order.
        types: The types of its values, as far as they are known; their shapes are optional.
        constants: The initializers of the graph and of those around it.
    """
    names = map("?{}".format, itertools.count())
    shapes: dict[str, Shape] = {name: tuple(array.shape) for name, array in constants.items()}
    for value in graph.inputs:
        if value.name not in shapes:
            shapes[value.name] = _declared(types.get(value.name), names)
    for node in graph.nodes:
        for name, shape in zip(node.outputs, _output_shapes(node, shapes, types, constants, names), strict=True):
            declared = _declared(types.get(name), names)
            shapes[name] = shape if isinstance(declared, str) or not isinstance(shape, str) else declared
    return shapes


def are_equal(a: Shape, b: Shape) -> bool | None:
    """Whether two shapes are equal; None if that is not known."""
    if a == b:
        return True
    if isinstance(a, str) or isinstance(b, str):
        return None
    lengths = list(zip(a, b, strict=False))
    differ = len(a) != len(b) or any(isinstance(m, int) and isinstance(n, int) and m != n for m, n in lengths)
    return False if differ else None


def _declared(kind: ValueType | None, names: Iterator[str]) -> Shape:
    if not isinstance(kind, TensorType) or kind.shape is None:
        return next(names)
    return tuple(next(names) if length is None else length for length in kind.shape)


def _output_shapes(
    node: Node,
    shapes: dict[str, Shape],
    types: Mapping[str, ValueType],
    constants: Mapping[str, Array],
    names: Iterator[str],
) -> list[Shape]:
    given = [shapes.setdefault(name, next(names)) for name in node.inputs if name]
    rest: list[Shape] = [next(names) for _ in node.outputs[1:]]
    if not node.domain and node.op_type in _LIKE_FIRST and given:
        return [given[0], *rest]
    if not node.domain and node.op_type in _BROADCASTING and (node.opset >= 8 or len(set(given)) == 1):
        constant = [name in constants for name in node.inputs if name]
        return [_broadcast(given, constant, names), *rest]
    if node.domain == "onnxlite" and node.op_type in _QUANTIZED:
        name, right = _QUANTIZED[node.op_type]
        node = replace(node, op_type=name, inputs=(node.inputs[0], node.inputs[right]))
    if node.domain == "onnxlite" and node.op_type == "Attention":
        return [_attention_shape(node, shapes, names)]
    if node.domain == "onnxlite" and node.op_type in _PRIVATE:
        return [_private_shape(node, [shapes[name] if name else "" for name in node.inputs], names), *rest]
    if not node.domain and node.op_type == "Split" and not isinstance(given[0], str):
        return _split_shapes(node, given[0], constants, names)
    kinds = [_type(name, shapes, types) if name else None for name in node.inputs]
    small = {name: constants[name] for name in node.inputs if name in constants and constants[name].size <= _SMALL}
    inferred = [_declared(kind, names) for kind in remembered_types(node, kinds, small)]
    return [_with_known_rank(node, inferred[0], shapes, names), *inferred[1:]] if inferred else inferred


def _split_shapes(
    node: Node, shape: tuple[int | str, ...], constants: Mapping[str, Array], names: Iterator[str]
) -> list[Shape]:
    """The shapes of the parts of a tensor, whose lengths along the axis of the cut may be constants."""
    axis = node.attributes.get("axis", 0)
    axis = axis if axis >= 0 else axis + len(shape)
    given = constants.get(node.inputs[1]) if len(node.inputs) > 1 else node.attributes.get("split")
    lengths = [next(names) for _ in node.outputs] if given is None or len(given) != len(node.outputs) else given
    return [
        (*shape[:axis], length if isinstance(length, str) else int(length), *shape[axis + 1 :]) for length in lengths
    ]


def _with_known_rank(node: Node, shape: Shape, shapes: Mapping[str, Shape], names: Iterator[str]) -> Shape:
    """A shape with as many lengths as a node tells, where the specification's inference does not."""
    rank = None
    if isinstance(shape, str) and node.op_type == "Reshape" and len(node.inputs) == 2:
        given = shapes[node.inputs[1]]
        rank = given[0] if not isinstance(given, str) and len(given) == 1 else None
    elif isinstance(shape, str) and node.op_type == "Transpose":
        rank = len(node.attributes["perm"]) if "perm" in node.attributes else None
    return tuple(next(names) for _ in range(rank)) if isinstance(rank, int) else shape


def _private_shape(node: Node, given: Sequence[Shape], names: Iterator[str]) -> Shape:
    """The shape of what a private operator makes, by way of the operator that it stands for."""
    opset, count = _PRIVATE[node.op_type]
    first = given[0]
    moved = node.op_type in _ON_IMAGES and not isinstance(first, str)
    shapes = [(first[0], first[-1], *first[1:-1]) if moved else first, *given[1:count]]
    if node.op_type == "MatMul":
        shapes = [_transposed(s, node.attributes.get(f"{x}_perm")) for s, x in zip(shapes, "ab", strict=True)]
    attributes = {name: value for name, value in node.attributes.items() if name not in _ADDED}
    plain = replace(node, domain="", opset=opset, inputs=node.inputs[:count], attributes=attributes)
    kinds = [
        TensorType(element_type(np.float32), None if isinstance(shape, str) else shape) if name else None
        for name, shape in zip(plain.inputs, shapes, strict=True)
    ]
    shape = _declared(remembered_types(plain, kinds, {})[0], names)
    return (shape[0], *shape[2:], shape[1]) if moved and not isinstance(shape, str) else shape


def _attention_shape(node: Node, shapes: Mapping[str, Shape], names: Iterator[str]) -> Shape:
    """The shape of ``onnxlite.Attention``: that of the queries, each of which becomes as long as a value."""
    perms = [node.attributes.get(name) for name in ("query_perm", "value_perm", "perm")]
    query, value = (
        _transposed(shapes[name], p) for name, p in zip((node.inputs[0], node.inputs[2]), perms[:2], strict=True)
    )
    if isinstance(query, str) or isinstance(value, str) or query[:-2] != value[:-2]:
        return next(names)
    return _transposed((*query[:-1], value[-1]), perms[2])


def _transposed(shape: Shape, perm: Sequence[int] | None) -> Shape:
    return shape if perm is None or isinstance(shape, str) else tuple(shape[axis] for axis in perm)


def _type(name: str, shapes: Mapping[str, Shape], types: Mapping[str, ValueType]) -> ValueType | None:
    """The type of a value with the shape that is known by now."""
    kind, shape = types.get(name), shapes[name]
    if not isinstance(kind, TensorType):
        return kind
    return TensorType(kind.element, None if isinstance(shape, str) else shape)


def _broadcast(shapes: Sequence[Shape], constant: Sequence[bool], names: Iterator[str]) -> Shape:
    """The shape of several values broadcast together.

    Constants beside a value of unknown rank are taken not to make it larger: biases, factors and masks do not.
    """
    unknown = {shape for shape in shapes if isinstance(shape, str)}
    if unknown:
        others = [s for s, c in zip(shapes, constant, strict=True) if not isinstance(s, str) and not c and s]
        return unknown.pop() if len(unknown) == 1 and not others else next(names)
    known = [shape for shape in shapes if not isinstance(shape, str)]
    rank = max(map(len, known))
    padded = [(1,) * (rank - len(shape)) + shape for shape in known]
    return tuple(_length(set(lengths) - {1}, names) for lengths in zip(*padded, strict=True))


def _length(lengths: set[int | str], names: Iterator[str]) -> int | str:
    """The length that several lengths other than 1 are broadcast to: they are equal, or some are 1 after all."""
    numbers = [length for length in lengths if isinstance(length, int)]
    if len(lengths) <= 1 or numbers:
        return next(iter(numbers or lengths), 1)
    return next(names)


def tensor_type(array: Array) -> TensorType:
    """The type of a constant."""
    return TensorType(element_type(array.dtype), tuple(array.shape))
