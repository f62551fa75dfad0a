"""Where others do not do what the specification says: there they are no judges, for the reason that stands here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from onnx import helper

from onnxlite.conformance.examples import Example
from onnxlite.conformance.kinds import element_of
from onnxlite.conformance.operators import Operator
from onnxlite.conformance.retype import binding_of


class Deviation(NamedTuple):
    """What of an operator another program gets wrong: why, for which types of which variables, in which versions."""

    reason: str
    variables: tuple[str, ...] = ()
    elements: frozenset[str] = frozenset()
    versions: Callable[[int], bool] = lambda version: True
    attribute: tuple[str, Any] | None = None

    def covers(self, example: Example) -> bool:
        """Whether it is about this example."""
        binding = binding_of(example)
        elements = {element_of(binding[variable]) for variable in self.variables if variable in binding}
        attributes = {name: helper.get_attribute_value(attribute) for name, attribute in example.attributes.items()}
        return (
            self.versions(example.version)
            and (not self.elements or not self.elements.isdisjoint(elements))
            and (self.attribute is None or self.attribute in attributes.items())
        )


_INTEGERS = frozenset(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))

#: What onnxruntime computes otherwise, as of onnxruntime 1.32.
ONNXRUNTIME: dict[str, tuple[Deviation, ...]] = {
    "Attention": (
        Deviation("it reads the bytes of an integer mask as those of another type", ("U",), _INTEGERS),
        Deviation("it gives the masked scores as the lowest float, not -inf", attribute=("qk_matmul_output_mode", 2)),
    ),
    "DictVectorizer": (Deviation("its result has a first axis of length 1; the specification says one axis"),),
    "Dropout": (
        Deviation(
            "outside of training its old versions give a mask of zeros; onnx's evaluator and its new ones, of ones",
            versions=lambda version: version < 12,
        ),
    ),
    "Loop": (Deviation("it loses the text that an iteration has collected", ("V",), frozenset({"string"})),),
    "MaxUnpool": (Deviation("with output_shape it takes the indices for those of that shape"),),
    "Resize": (
        Deviation("it cuts integers without antialias; onnx's evaluator rounds them", ("T", "T1"), _INTEGERS),
        Deviation(
            "it aligns the corners of the rounded length; the specification those of the length times the scale",
            attribute=("coordinate_transformation_mode", b"align_corners"),
        ),
    ),
}


#: Versions of operators whose static shapes onnx's inference gets wrong, for these examples.
_WRONG_SHAPES: dict[str, Deviation] = {
    "AveragePool": Deviation("it counts a last window that lies in the padding", versions=lambda v: v < 22),
    "MaxPool": Deviation("it counts a last window that lies in the padding", versions=lambda v: v < 22),
    "STFT": Deviation("it counts all bins of a one-sided spectrum"),
}


def inferred_shapes_hold(operator: Operator) -> bool:
    """Whether the shapes that onnx's inference gives for an operator version are right."""
    found = _WRONG_SHAPES.get(operator.name)
    return found is None or not found.versions(operator.version)


def deviation(example: Example) -> str | None:
    """Why onnxruntime is no judge of an example, or None if it is one."""
    return next((known.reason for known in ONNXRUNTIME.get(example.name, ()) if known.covers(example)), None)
