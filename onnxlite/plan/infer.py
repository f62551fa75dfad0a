"""The types of a graph's inner values, from the declared types and the type constraints of the schemas.

Element types only: shapes are known where the model declares them.  What cannot be told stays unknown (absent).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from onnxlite.kernels.arrays import Array, is_array
from onnxlite.kernels.dtypes import ELEMENT_TYPES, element_type
from onnxlite.model.ir import Graph, Node
from onnxlite.model.specification import attribute_default, schema_of
from onnxlite.model.types import OptionalType, SequenceType, TensorType, ValueType

#: The known types, by value name.
Types: TypeAlias = Mapping[str, ValueType]

_BY_NAME = {row.onnx: row for row in ELEMENT_TYPES}

#: Attributes that state the element type of the outputs, of those operators that have one.
_TYPE_ATTRIBUTES = ("to", "dtype", "output_dtype", "output_datatype")

#: Operators whose output has the type of the input unless an attribute states another.
_LIKE_THE_INPUT = frozenset({"Bernoulli", "EyeLike", "RandomNormalLike", "RandomUniformLike"})


#: The operators of plans (domain ``onnxlite``) that compute in float32 alone.
_FLOAT32 = frozenset({"Conv", "MatMul", "MatMulQuantizedWeights", "OverlapAdd", "AveragePool"})
#: Those that compute with bytes: what is quantized again has the type of the last of nine inputs, or uint8.
_QUANTIZED = frozenset({"QuantizedConv", "QuantizedMatMul"})


def types_beside(graph: Graph, constants: Mapping[str, Array]) -> dict[str, ValueType]:
    """The types of all values of a graph that can be told, given the initializers of it and of the graphs around it."""
    return infer_types(graph, {name: _tensor_type(array) for name, array in constants.items()})


def infer_types(graph: Graph, outer: Types) -> dict[str, ValueType]:
    """The types of all values of a graph that can be told, with those of the graphs around it."""
    types = dict(outer)
    types.update((name, _tensor_type(array)) for name, array in graph.initializers.items())
    declared = (*graph.inputs, *graph.values.values(), *graph.outputs)
    types.update((value.name, value.type) for value in declared if value.type is not None)
    for node in graph.nodes:
        for name, kind in zip(node.outputs, _output_types(node, types), strict=False):
            if name and kind is not None:
                known = types.get(name)
                if known is None or (isinstance(known, TensorType) and known.element is None):
                    types[name] = kind
    return types


def _tensor_type(array: Array) -> TensorType:
    return TensorType(element_type(array.dtype), tuple(array.shape))


def _output_types(node: Node, types: Types) -> Iterable[ValueType | None]:
    bodies = [graph for _, graph in node.graphs()]
    if bodies:
        return _control_types(node, bodies[0], types)
    if node.domain == "onnxlite" and node.op_type in _FLOAT32:
        return [TensorType(_BY_NAME["float"])]
    if node.domain == "onnxlite" and node.op_type in _QUANTIZED:
        return [_quantized_type(node, types)]
    if node.domain == "onnxlite" and node.op_type == "MaxPool":
        return [types.get(node.inputs[0])]
    schema = schema_of(node.domain, node.op_type, node.opset)
    if schema is None:
        return ()
    variables = _variables(schema, [types.get(name) for name in node.inputs])
    stated = _stated_type(node)
    if stated is None and node.inputs and node.op_type in _LIKE_THE_INPUT:
        stated = types.get(node.inputs[0])
    single = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
    formals = _formals(schema.outputs, len(node.outputs))
    return [_output_type(formal.type_str, variables, single, stated) for formal in formals]


def _quantized_type(node: Node, types: Types) -> ValueType | None:
    if len(node.inputs) < 9:
        return TensorType(_BY_NAME["float" if len(node.inputs) < 8 else "uint8"])
    kind = types.get(node.inputs[8])
    return TensorType(kind.element) if isinstance(kind, TensorType) else None


def _output_type(
    name: str, variables: Mapping[str, ValueType], allowed: Mapping[str, list[str]], stated: ValueType | None
) -> ValueType | None:
    if name not in allowed:
        return _parsed(name)
    if name in variables:
        return variables[name]
    if stated is not None:
        return stated
    return _parsed(allowed[name][0]) if len(allowed[name]) == 1 else _container(allowed[name], variables)


def _container(allowed: list[str], variables: Mapping[str, ValueType]) -> ValueType | None:
    """The output of operators that put tensors into a sequence or take them out: S from T, or T from S."""
    other = next(iter(variables.values()), None)
    if all(text.startswith("seq(") for text in allowed) and isinstance(other, TensorType):
        return SequenceType(TensorType(other.element))
    if isinstance(other, SequenceType | OptionalType) and not any(text.startswith("seq(") for text in allowed):
        return other.element
    return None


def _variables(schema: Any, inputs: list[ValueType | None]) -> dict[str, ValueType]:
    """The type variables (T, T1, ...) that the inputs decide; shapes are not the inputs' to give on."""
    variables: dict[str, ValueType] = {}
    for formal, kind in zip(_formals(schema.inputs, len(inputs)), inputs, strict=False):
        if kind is not None and formal.type_str not in variables:
            variables[formal.type_str] = TensorType(kind.element) if isinstance(kind, TensorType) else kind
    return variables


def _formals(formals: Any, count: int) -> list[Any]:
    """One formal parameter for each actual one: the last is repeated where it is variadic."""
    given = list(formals)
    return given + [given[-1]] * (count - len(given)) if given else []


def _stated_type(node: Node) -> ValueType | None:
    for name in _TYPE_ATTRIBUTES:
        code = node.attributes.get(name) or attribute_default(node, name)
        if isinstance(code, int) and code:
            try:
                return TensorType(element_type(code))
            except ValueError:
                return None
    values = [value for name, value in node.attributes.items() if name.startswith(("value", "sparse_value"))]
    if values:
        return _constant_type(values[0])
    return TensorType(_BY_NAME["float"]) if node.op_type == "ConstantOfShape" else None


def _constant_type(value: Any) -> ValueType | None:
    if is_array(value):
        return _tensor_type(value)
    first = value[0] if isinstance(value, tuple) and value else value
    name = {int: "int64", float: "float", str: "string"}.get(type(first))
    return TensorType(_BY_NAME[name]) if name else None


def _parsed(text: str) -> ValueType | None:
    """A type from its spelling in a schema: ``tensor(float)``, ``seq(tensor(float))``, ``optional(...)``."""
    kind, _, inner = text.removesuffix(")").partition("(")
    if kind == "tensor":
        return TensorType(_BY_NAME.get(inner))
    if kind == "seq":
        return SequenceType(_parsed(inner))
    return OptionalType(_parsed(inner)) if kind == "optional" else None


def _control_types(node: Node, body: Graph, types: Types) -> list[ValueType | None]:
    """The outputs of If, Loop, Scan and SequenceMap, from those of the (first) body."""
    inner = infer_types(body, body_types(node, body, types))
    results = [inner.get(value.name) for value in body.outputs]
    if node.op_type == "If":
        return results
    if node.op_type == "SequenceMap":
        return [SequenceType(kind) for kind in results]
    # Loop's body starts with the condition; what is scanned gains an axis, so only the element type is kept.
    return [TensorType(k.element) if isinstance(k, TensorType) else k for k in results[node.op_type == "Loop" :]]


def body_types(node: Node, body: Graph, types: Types) -> Types:
    """The types that a node's body sees: those around it, and those of its inputs as far as the node tells them."""
    kinds = [types.get(name) for name in node.inputs]
    if node.op_type == "Loop":
        kinds = [TensorType(_BY_NAME["int64"], ()), TensorType(_BY_NAME["bool"], ()), *kinds[2:]]
    elif node.op_type == "Scan":
        kinds = kinds[int(node.opset < 9) :]  # version 8 starts with the sequence lengths
    elif node.op_type == "SequenceMap":
        kinds = [kind.element if isinstance(kind, SequenceType) else kind for kind in kinds]
    inner = dict(types)
    for value, kind in zip(body.inputs, kinds, strict=False):
        inner.pop(value.name, None)
        if kind is not None:
            # A state may change its shape from step to step, and a scanned input loses an axis.
            inner[value.name] = TensorType(kind.element) if isinstance(kind, TensorType) else kind
    return inner
