"""What there is to cover: for every operator version, each type that each of its type variables allows.

A slot is one such type.  `trial` gives a runnable example for it: one of the operator's examples, in that version, with
the variable at that type and the other variables at types that go with it.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from onnx import defs, helper
from onnx.shape_inference import InferenceError

from onnxlite.conformance.adapt import adapted
from onnxlite.conformance.examples import Example, suite_examples
from onnxlite.conformance.kinds import dtype_of_kind, is_float
from onnxlite.conformance.operators import Operator, spelled
from onnxlite.conformance.recipes import BUILDERS, HAND_WRITTEN
from onnxlite.conformance.retype import Binding, binding_of, coupled, formals, retyped, spaceless
from onnxlite.conformance.typed_model import outputs_of

#: What a variable is where an example's own type is not allowed, the first that is.
_SENSIBLE = ("tensor(float)", "tensor(int64)", "tensor(bool)", "seq(tensor(float))", "optional(tensor(float))")

#: Attributes that a type needs: (operator, kind of dtype) -> attribute and value.
_NEEDED: dict[tuple[str, str], tuple[str, Any]] = {
    ("GridSample", "O"): ("mode", "nearest"),
    ("Mod", "f"): ("fmod", 1),  # until version 28
    ("Resize", "O"): ("mode", "nearest"),
}


class Slot(NamedTuple):
    """One type to cover: ``Slot("T", "tensor(float16)")``; a version without type variables has one slot ("", "")."""

    variable: str
    kind: str

    def __str__(self) -> str:
        return f"{self.variable}={self.kind}" if self.variable else "fixed types"


class NoExampleError(LookupError):
    """There is no example for a slot; the message says why."""


def operators() -> list[Operator]:
    """Every operator version of the installed specification, in order."""
    return sorted(Operator(spelled(s.domain), s.name, s.since_version) for s in defs.get_all_schemas_with_history())


@functools.cache
def schema_of(operator: Operator) -> Any:
    """The schema of an operator version."""
    return defs.get_schema(operator.name, operator.version, "" if operator.domain == "ai.onnx" else operator.domain)


def slots(schema: Any) -> list[Slot]:
    """The slots of an operator version; a constraint that no parameter uses (T1 of Tile-1) allows nothing."""
    used = {formal.type_str for formal in (*schema.inputs, *schema.outputs)}
    constraints = [constraint for constraint in schema.type_constraints if constraint.type_param_str in used]
    found = [Slot(c.type_param_str, spaceless(kind)) for c in constraints for kind in c.allowed_type_strs]
    return found or [Slot("", "")]


def trial(schema: Any, slot: Slot) -> Example:
    """A runnable example for a slot: the nearest one that onnx's own inference takes for valid with these types.

    Raises:
        NoExampleError: No example of the operator can be brought to that version and type.
    """
    builder = BUILDERS.get((schema.domain, schema.name))
    if builder is not None:
        return _built(schema, slot, builder)
    examples = examples_of(schema)
    candidates = [one for one in examples if not slot.variable or slot.variable in binding_of(one)]
    if not candidates:
        raise NoExampleError(f"none of {len(examples)} examples has a value of the type {slot.variable}")
    reason = ""
    for candidate in sorted(candidates, key=lambda one: _distance(one, slot)):
        typed = _typed(candidate, schema, slot)
        try:
            if exercises(typed, slot):
                return typed
            reason = reason or "it has no value of that type"
        except (InferenceError, ValueError) as error:
            reason = reason or str(error)
    raise NoExampleError(f"none of {len(candidates)} examples is valid; the first: {reason}")


def exercises(example: Example, slot: Slot) -> bool:
    """Whether an input or output of the slot's variable has the slot's type."""
    schema = example.schema
    taken = zip(formals(schema.inputs, len(example.inputs)), example.inputs, strict=True)
    results = zip(formals(schema.outputs, len(example.outputs)), example.outputs, strict=True)
    given = [formal for formal, kind in results if kind is not None]
    kinds = {(formal.type_str, argument.kind) for formal, argument in taken if argument is not None}
    kinds |= {(formal.type_str, output.kind) for formal, output in zip(given, outputs_of(example), strict=True)}
    return not slot.variable or tuple(slot) in kinds


def examples_of(schema: Any) -> tuple[Example, ...]:
    """All examples of an operator that can be brought to the version of a schema, those of near versions first."""
    return _examples(schema.domain, schema.name, schema.since_version)


@functools.lru_cache(maxsize=4)
def _examples(domain: str, name: str, version: int) -> tuple[Example, ...]:
    schema = defs.get_schema(name, version, domain)
    known = [one for one in HAND_WRITTEN if (one.domain, one.name) == (domain, name)]
    known += suite_examples().get((domain, name), ())
    distances = {v: (v < version, abs(v - version)) for v in {one.schema.since_version for one in known}}
    ordered = sorted(known, key=lambda one: distances[one.schema.since_version])
    return tuple(fit for one in ordered if (fit := adapted(one, schema)) is not None)


def _distance(example: Example, slot: Slot) -> tuple[Any, ...]:
    """How much has to be changed in an example; the order of the examples (by version) breaks ties before the size."""
    own = binding_of(example).get(slot.variable, "")
    if own == slot.kind:
        likeness = 0
    elif own and slot.kind and not own.startswith("map"):
        likeness = 1 if is_float(dtype_of_kind(own)) == is_float(dtype_of_kind(slot.kind)) else 2
    else:
        likeness = 1
    return example.has_empty, likeness, -len(example.inputs), example.size


def _typed(example: Example, schema: Any, slot: Slot) -> Example:
    own = binding_of(example)
    binding = _complete(own, schema, slot)
    unchanged = all(binding[variable] == kind for variable, kind in own.items() if kind)
    typed = replace(retyped(example, binding), expected=example.expected if unchanged else None)
    needed = _NEEDED.get((schema.name, _letter(slot.kind)))
    if needed is None or (schema.name == "Mod" and schema.since_version >= 28):
        return typed
    attribute = helper.make_attribute(*needed)
    if typed.attributes.get(attribute.name) == attribute:
        return typed
    return replace(typed, attributes={**typed.attributes, attribute.name: attribute}, expected=None)


def _letter(kind: str) -> str:
    """The kind of the elements' dtype, as NumPy letters it, f for all floats."""
    dtype = dtype_of_kind(kind) if kind else None
    return "" if dtype is None else "f" if is_float(dtype) else dtype.kind


def _complete(own: Binding, schema: Any, slot: Slot) -> Binding:
    """Types for all variables: the slot's, those that it brings with it, the example's own, or sensible ones."""
    binding = {}
    for constraint in schema.type_constraints:
        allowed = [spaceless(kind) for kind in constraint.allowed_type_strs]
        kind = own.get(constraint.type_param_str, "")
        binding[constraint.type_param_str] = kind if kind in allowed else _sensible(allowed)
    if slot.variable:
        binding[slot.variable] = slot.kind
    return coupled(binding, schema, {slot.variable})


def _sensible(allowed: Sequence[str]) -> str:
    return next((kind for kind in _SENSIBLE if kind in allowed), allowed[0])


def _built(schema: Any, slot: Slot, builder: Any) -> Example:
    binding = {
        c.type_param_str: _sensible([spaceless(kind) for kind in c.allowed_type_strs]) for c in schema.type_constraints
    }
    if slot.variable:
        binding[slot.variable] = slot.kind
    built: Example = builder(schema, binding, slot.variable)
    return built
