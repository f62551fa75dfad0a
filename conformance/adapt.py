"""An example of one operator version brought to another version of it, where the versions can say the same.

What changes from version to version is mostly the way in which a parameter is given: as an input under the attribute's
name or the reverse, by a default or explicitly.  That is read from the two schemas; what cannot be read is in a table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from onnx import defs, helper

from onnxlite.conformance.examples import Argument, Example
from onnxlite.conformance.kinds import dtype_of_kind, is_float
from onnxlite.conformance.retype import formals
from onnxlite.kernels.arrays import is_array
from onnxlite.kernels.dtypes import element_type

_Attributes = dict[str, onnx.AttributeProto]

#: Other names of an input or attribute in older versions.
_FORMER_NAMES = {"pads": ("paddings",), "constant_value": ("value",), "K": ("k",)}

#: What an older version did before it had an attribute, where that is not the attribute's default.
_BEFORE = {("RoiAlign", "coordinate_transformation_mode"): b"output_half_pixel"}

#: Versions with another meaning than those before them: examples are not carried over these borders.
_BORDERS = {
    "BatchNormalization": (7,),
    "Dropout": (7, 10),
    "GroupNormalization": (21,),
    "Hardmax": (13,),
    "LogSoftmax": (13,),
    "PRelu": (7,),
    "Softmax": (13,),
}

#: The version of ai.onnx from which on axes and indices may count from the end.
_NEGATIVE_AXES = 11

#: The version of Mod from which on floats need no fmod.
_FLOAT_MODULO = 28

_ATTRIBUTE_VALUES: dict[str, Callable[[Any], Any]] = {
    "INT": lambda value: int(value.item()),
    "FLOAT": lambda value: float(value.item()),
    "INTS": lambda value: [int(element) for element in value.ravel()],
    "FLOATS": lambda value: [float(element) for element in value.ravel()],
}


def adapted(example: Example, schema: Any) -> Example | None:
    """The example as the version of ``schema`` states it, or None where that version cannot say it."""
    if schema.since_version == example.schema.since_version:
        return replace(example, version=schema.since_version)
    if any((schema.since_version < b) != (example.schema.since_version < b) for b in _BORDERS.get(schema.name, ())):
        return None
    attributes, inputs = dict(example.attributes), list(example.inputs)
    if not _inputs_to_attributes(example.schema, schema, attributes, inputs):
        return None
    if not _defaults_made_explicit(example.schema, schema, attributes) or not _fits(schema, attributes, inputs):
        return None
    if "broadcast" in schema.attributes and not _same_shapes(inputs):
        return None
    outputs = example.outputs[: schema.max_output]
    while outputs and outputs[-1] is None:
        outputs = outputs[:-1]
    if example.expected is None:
        expected = None
    else:
        expected = example.expected[: sum(kind is not None for kind in outputs)]
    return replace(
        example,
        version=schema.since_version,
        attributes=attributes,
        inputs=tuple(inputs),
        outputs=outputs,
        expected=expected,
    )


def _inputs_to_attributes(newer: Any, older: Any, attributes: _Attributes, inputs: list[Argument | None]) -> bool:
    """Move inputs that the other version has as attributes; False if a value cannot be an attribute."""
    names = {formal.name for formal in older.inputs}
    for position, formal in enumerate(newer.inputs[: len(inputs)]):
        argument = inputs[position]
        candidates = (formal.name, *_FORMER_NAMES.get(formal.name, ()))
        name = next((n for n in candidates if n in older.attributes and n not in names), None)
        if argument is None or name is None:
            continue
        convert = _ATTRIBUTE_VALUES.get(older.attributes[name].type.name)
        if convert is None or not is_array(argument.value) or argument.value.dtype.kind not in "iuf":
            return False
        try:
            attributes[name] = helper.make_attribute(
                name, convert(argument.value), attr_type=older.attributes[name].type.value
            )
        except ValueError:  # several values where one is wanted
            return False
        inputs[position] = None
    while inputs and inputs[-1] is None:
        inputs.pop()
    return True


def _defaults_made_explicit(one: Any, other: Any, attributes: _Attributes) -> bool:
    """Make the two versions say the same by other defaults; False if an attribute is unknown to the other version."""
    for name, declared in one.attributes.items():
        default = declared.default_value if declared.default_value.name else None
        there = other.attributes.get(name)
        if there is None and name in {formal.name for formal in other.inputs}:
            return False
        if there is None:
            given = attributes.pop(name, default)
            value = None if given is None else helper.get_attribute_value(given)
            before = _BEFORE.get((one.name, name), None if default is None else helper.get_attribute_value(default))
            if value is not None and value != before and name != "consumed_inputs":
                return False
        elif name in attributes:
            attributes[name] = _as_type(attributes[name], there.type)
        elif default is not None and default != there.default_value:
            attributes[name] = _as_type(default, there.type)
    return True


def _as_type(attribute: onnx.AttributeProto, kind: Any) -> onnx.AttributeProto:
    """An attribute whose type changed: GlobalLpPool's and LpPool's ``p``, and Cast's ``to``, which was a name."""
    if attribute.type == kind.value:
        return attribute
    value = helper.get_attribute_value(attribute)
    convert: Any = {"FLOAT": float, "INT": int, "STRING": lambda code: element_type(code).name}[kind.name]
    return helper.make_attribute(attribute.name, convert(value))


def _fits(schema: Any, attributes: Mapping[str, onnx.AttributeProto], inputs: list[Argument | None]) -> bool:
    if not schema.min_input <= len(inputs) <= schema.max_input:
        return False
    kinds: dict[str, str] = {}
    for formal, argument in zip(formals(schema.inputs, len(inputs)), inputs, strict=True):
        if argument is None and formal.option == defs.OpSchema.FormalParameterOption.Single:
            return False
        if argument is not None and formal.is_homogeneous:
            fixed = formal.type_str if "(" in formal.type_str else argument.kind
            if kinds.setdefault(formal.type_str, fixed) != argument.kind:
                return False
    if _float_modulo(schema, attributes, inputs):
        return False
    if schema.domain == "" and schema.since_version < _NEGATIVE_AXES and _counts_from_end(attributes):
        return False
    return all(name in attributes for name, declared in schema.attributes.items() if declared.required)


def _float_modulo(schema: Any, attributes: Mapping[str, onnx.AttributeProto], inputs: list[Argument | None]) -> bool:
    """Whether a Mod of floats is not that of C, as only version 28 allows."""
    return (
        schema.name == "Mod"
        and schema.since_version < _FLOAT_MODULO
        and not ("fmod" in attributes and attributes["fmod"].i)
        and any(argument is not None and is_float(dtype_of_kind(argument.kind)) for argument in inputs)
    )


def _counts_from_end(attributes: Mapping[str, onnx.AttributeProto]) -> bool:
    return any(min([a.i, *a.ints]) < 0 for name, a in attributes.items() if name in ("axis", "axes"))


def _same_shapes(inputs: list[Argument | None]) -> bool:
    return len({np.shape(argument.value) for argument in inputs if argument is not None}) == 1
