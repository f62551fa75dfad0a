"""An example with other types: every input, output and attribute that depends on a type variable follows it."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import onnx
from onnx import defs, helper, numpy_helper

from onnxlite.conformance.examples import Argument, Example
from onnxlite.conformance.kinds import dtype_of_kind, split
from onnxlite.conformance.recast import recast
from onnxlite.kernels.dtypes import element_type

#: The types of the variables, by name.
Binding = Mapping[str, str]

#: Where one variable is a container of another: operator -> (the element, the container, its kind).
_CONTAINERS = {
    "ConcatFromSequence": ("T", "S", "seq"),
    "Optional": ("V", "O", "optional"),
    "OptionalGetElement": ("V", "O", "optional"),
    "SequenceAt": ("T", "S", "seq"),
    "SequenceConstruct": ("T", "S", "seq"),
    "SequenceInsert": ("T", "S", "seq"),
    "SplitToSequence": ("T", "S", "seq"),
}

#: Variables that have to be of one type, whatever their constraints say: RMSNormalization's inference gives Y, which is
#: declared with the type of the scale, the type of X.
_EQUAL = {"RMSNormalization": ("T", "V")}

#: Attributes that state the type of an output, as a code or (Cast-1) by name.
_TYPE_ATTRIBUTES = ("to", "dtype", "output_dtype", "output_datatype", "stash_type")


def formals(declared: Sequence[Any], count: int) -> Iterator[Any]:
    """One formal parameter for each of ``count`` actual ones: the last is repeated where it is variadic."""
    for position in range(count):
        yield declared[min(position, len(declared) - 1)]


def allows(schema: Any, binding: Binding) -> bool:
    """Whether a schema has these variables and allows them these types."""
    allowed = {c.type_param_str: [spaceless(kind) for kind in c.allowed_type_strs] for c in schema.type_constraints}
    return all(kind in allowed.get(variable, ()) for variable, kind in binding.items())


def spaceless(kind: str) -> str:
    """A type as this package spells it; the schemas write ``map(int64, float)``."""
    return kind.replace(", ", ",")


def coupled(binding: Binding, schema: Any, chosen: Collection[str]) -> Binding:
    """The binding with those variables changed that must go with the ``chosen`` ones."""
    binding = dict(binding)
    if schema.name in _CONTAINERS:
        element, container, outer = _CONTAINERS[schema.name]
        if container in chosen:  # OptionalGetElement takes what is no optional, too
            kind, inner = binding[container], split(binding[container])
            binding[element] = inner[1] if inner[0] == outer else kind
        else:
            binding[container] = f"{outer}({binding[element]})"
    equal = _EQUAL.get(schema.name, ())
    for name in chosen:
        if name in equal:
            binding |= dict.fromkeys(equal, binding[name])
    return binding


@functools.lru_cache(maxsize=1024)
def binding_of(example: Example) -> Mapping[str, str]:
    """The types of the variables that an example has values of; "" for an output whose type nothing tells."""
    schema = example.schema
    variables = {constraint.type_param_str for constraint in schema.type_constraints}
    binding: dict[str, str] = {}
    for formal, argument in zip(formals(schema.inputs, len(example.inputs)), example.inputs, strict=True):
        if argument is not None and formal.type_str in variables:
            binding.setdefault(formal.type_str, argument.kind)
    for formal, kind in zip(formals(schema.outputs, len(example.outputs)), example.outputs, strict=True):
        if kind is not None and formal.type_str in variables:
            binding.setdefault(formal.type_str, kind)
    return binding


def retyped(example: Example, binding: Mapping[str, str]) -> Example:
    """The example with its variables at the types of ``binding``; what it must give is then no longer known."""
    schema = example.schema
    own = binding_of(example)
    if all(binding.get(name) == kind for name, kind in own.items()):
        return example
    inputs = tuple(
        None if argument is None else _retyped_argument(argument, binding.get(formal.type_str, argument.kind))
        for formal, argument in zip(formals(schema.inputs, len(example.inputs)), example.inputs, strict=True)
    )
    outputs = tuple(
        None if kind is None else binding.get(formal.type_str, kind or formal.type_str)
        for formal, kind in zip(formals(schema.outputs, len(example.outputs)), example.outputs, strict=True)
    )
    attributes = dict(example.attributes)
    for name, attribute in example.attributes.items():
        if attribute.type == onnx.AttributeProto.TENSOR:
            attributes[name] = _retyped_tensor(attribute, own, binding)
    attributes |= _type_attributes(schema, binding)
    return replace(example, inputs=inputs, outputs=outputs, attributes=attributes, expected=None)


def _retyped_argument(argument: Argument, kind: str) -> Argument:
    return argument if argument.kind == kind else Argument(kind, recast(argument.value, kind))


def _retyped_tensor(
    attribute: onnx.AttributeProto, own: Mapping[str, str], binding: Mapping[str, str]
) -> onnx.AttributeProto:
    """A tensor attribute follows the variable whose type it has."""
    kind = f"tensor({element_type(attribute.t.data_type).onnx})"
    target = next((binding[variable] for variable, before in own.items() if before == kind), kind)
    if target == kind:
        return attribute
    return helper.make_attribute(attribute.name, tensor_proto(recast(numpy_helper.to_array(attribute.t), target)))


def tensor_proto(value: Any) -> onnx.TensorProto:
    """A tensor message, of text too."""
    if value.dtype == object:
        text: Any = [str(element).encode() for element in value.ravel()]
        return helper.make_tensor("", onnx.TensorProto.STRING, value.shape, text)
    return numpy_helper.from_array(value)


def _type_attributes(schema: Any, binding: Mapping[str, str]) -> dict[str, onnx.AttributeProto]:
    """The attribute that states the type of an output, where there is one and the schema leaves a choice."""
    name = next((name for name in _TYPE_ATTRIBUTES if name in schema.attributes), None)
    inputs = {formal.type_str for formal in schema.inputs}
    if name is None:
        return {}
    for constraint in schema.type_constraints:
        variable = constraint.type_param_str
        if variable not in inputs and len(constraint.allowed_type_strs) > 1:
            row = element_type(dtype_of_kind(binding[variable]))
            text = schema.attributes[name].type == defs.OpSchema.AttrType.STRING
            return {name: helper.make_attribute(name, row.name if text else row.code)}
    return {}
