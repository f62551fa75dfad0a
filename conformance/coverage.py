"""Coverage of the specification by version and type: every operator version, run with every type that it allows.

Each slot (`onnxlite.conformance.slots`) is run once.  It is covered if the model is accepted, the outputs have the
types and the static shapes that onnx's inference says, and the values are what a judge says.  Beside that, every case
of the backend suite is run in every version of its operator that can say the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from onnx.shape_inference import InferenceError

from onnxlite.conformance.compare import MismatchError
from onnxlite.conformance.deviations import inferred_shapes_hold
from onnxlite.conformance.examples import Example
from onnxlite.conformance.judges import REFERENCE, Judge, judged, run
from onnxlite.conformance.kinds import dtype_of_kind, split
from onnxlite.conformance.operators import Operator
from onnxlite.conformance.retype import allows, binding_of
from onnxlite.conformance.slots import NoExampleError, Slot, examples_of, operators, schema_of, slots, trial
from onnxlite.conformance.typed_model import Output, model_of, outputs_of
from onnxlite.kernels.arrays import is_array


@dataclass(frozen=True)
class Verdict:
    """What became of one slot or case: who judged it, or why it is not covered."""

    what: str
    judge: Judge | None
    reason: str = ""


@dataclass(frozen=True)
class CoverageRow:
    """One operator version: the verdicts on all its slots, and on the suite's cases that this version can state."""

    operator: Operator
    slots: tuple[Verdict, ...]
    cases: tuple[Verdict, ...]

    @property
    def allowed(self) -> int:
        """How many types the schema allows, over all its type variables."""
        return len(self.slots)

    @property
    def covered(self) -> int:
        """How many of them are covered."""
        return sum(verdict.judge is not None for verdict in self.slots)

    @property
    def failures(self) -> tuple[Verdict, ...]:
        """The slots and cases that are not covered."""
        return tuple(verdict for verdict in (*self.slots, *self.cases) if verdict.judge is None)

    @property
    def judges(self) -> Counter[Judge]:
        """How many slots and cases each judge spoke on."""
        return Counter(verdict.judge for verdict in (*self.slots, *self.cases) if verdict.judge is not None)


def coverage_rows(wanted: Iterable[Operator] | None = None, provider: str = REFERENCE) -> list[CoverageRow]:
    """Examine operator versions (all of them unless told otherwise) on a provider: one row for each, in order."""
    return [examine(operator, provider) for operator in (operators() if wanted is None else wanted)]


def examine(operator: Operator, provider: str = REFERENCE) -> CoverageRow:
    """Run every slot of an operator version, and every case of the suite in that version."""
    return CoverageRow(
        operator,
        tuple(_slot_verdict(operator, slot, provider) for slot in slots(schema_of(operator))),
        tuple(_verdict(operator, example.origin, example, "", provider) for example in _cases(operator)),
    )


def _cases(operator: Operator) -> list[Example]:
    """The suite's cases as this version states them, without those that onnx's inference rejects there."""
    schema = schema_of(operator)
    stated = [one for one in examples_of(schema) if one.origin and allows(schema, binding_of(one))]
    return [one for one in stated if _is_valid(one)]


def _is_valid(example: Example) -> bool:
    try:
        outputs_of(example)
    except (InferenceError, ValueError):
        return False
    return True


def _slot_verdict(operator: Operator, slot: Slot, provider: str) -> Verdict:
    try:
        example = trial(schema_of(operator), slot)
    except NoExampleError as error:
        return Verdict(str(slot), None, str(error))
    return _verdict(operator, str(slot), example, slot.variable, provider)


def _verdict(operator: Operator, what: str, example: Example, variable: str, provider: str) -> Verdict:
    try:
        outputs = outputs_of(example)
        model = model_of(example, outputs).SerializeToString()
        actual = run(example, model, provider)
        check(actual, outputs, shapes=inferred_shapes_hold(operator))
        return Verdict(what, judged(example, variable, model, actual))
    except Exception as error:  # whatever it is, it is a finding about this slot or case
        return Verdict(what, None, f"{type(error).__name__}: {error}")


def check(actual: Sequence[Any], outputs: Sequence[Output], *, shapes: bool = True) -> None:
    """Raise MismatchError unless the outputs have the types, and (if asked) the static shapes, that they must have."""
    if len(actual) != len(outputs):
        raise MismatchError(f"expected {len(outputs)} outputs, got {len(actual)}")
    for value, output in zip(actual, outputs, strict=True):
        _check_type(value, output.kind, output.name)
        if shapes and output.shape is not None and value.shape != output.shape:
            raise MismatchError(f"{output.name}: shape inference says {output.shape}, got the shape {value.shape}")


def _check_type(value: Any, kind: str, where: str) -> None:
    outer, inner = split(kind)
    if outer == "optional":
        if value is not None:
            _check_type(value, inner, where)
    elif outer in ("seq", "map"):
        if not isinstance(value, list if outer == "seq" else dict):
            raise MismatchError(f"{where}: expected {kind}, got {type(value).__name__}")
        for element in value if outer == "seq" else ():
            _check_type(element, inner, where)
    elif not is_array(value) or value.dtype != dtype_of_kind(kind):
        raise MismatchError(f"{where}: expected {kind}, got {getattr(value, 'dtype', type(value).__name__)}")
