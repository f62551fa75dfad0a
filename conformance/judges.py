"""What an example must give, from whoever can tell: the example itself, onnxruntime, or a wider evaluation.

The wider evaluation is the same node with wider types (float64 for the floats, int64 for the integers, numbers for
text), its results rounded to the types that are wanted: it shows that a type is computed as well as any other, while
the example's own values and onnxruntime show that the operator is what the specification says.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any

import ml_dtypes
import numpy as np
import onnx

from onnxlite import InferenceSession
from onnxlite.conformance import onnxruntime_values
from onnxlite.conformance.adapt import adapted
from onnxlite.conformance.compare import BFLOAT16_RTOL, compare
from onnxlite.conformance.deviations import deviation
from onnxlite.conformance.examples import Example
from onnxlite.conformance.kinds import dtype_of_kind, element_of, is_float, with_element
from onnxlite.conformance.recast import converted
from onnxlite.conformance.retype import Binding, allows, binding_of, coupled, retyped
from onnxlite.conformance.typed_model import feeds_of, model_of, outputs_of
from onnxlite.kernels.arrays import is_array

#: The provider that serves every operator, in every version.
REFERENCE = "ReferenceExecutionProvider"

#: Operators that draw random numbers: their distributions are tested elsewhere.
RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)


class Judge(StrEnum):
    """Who said what the values must be."""

    EXAMPLE = "the example"
    ONNXRUNTIME = "onnxruntime"
    OLDER = "onnxruntime, of an older version of the operator"
    WIDER = "a wider evaluation"
    NOBODY = "nobody: the values are random"


def run(example: Example, model: bytes, provider: str = REFERENCE) -> list[Any]:
    """What onnxlite gives for an example on a provider."""
    return list(InferenceSession(model, providers=[provider]).run(None, feeds_of(example)))


def judged(example: Example, variable: str, model: bytes, actual: Sequence[Any]) -> Judge:
    """Compare the outputs with what everyone says they must be, and name the best judge.

    Args:
        example: The example; values that it expects are compared, and so are onnxruntime's.
        variable: The type variable that the example is about: the one that a wider evaluation widens.
        model: The example's model, serialized.
        actual: The outputs of the run that is judged.

    Raises:
        MismatchError: The outputs differ from what a judge says.
    """
    if example.name in RANDOM:
        return Judge.NOBODY
    if example.expected is not None:
        for index, (got, wanted) in enumerate(zip(actual, example.expected, strict=True)):
            compare(got, wanted, example.rtol, example.atol, f"output {index}", bfloat16_rtol=BFLOAT16_RTOL)
    theirs = _onnxruntime_says(example, model)
    if theirs is not None:
        _agree(actual, theirs)
        return Judge.ONNXRUNTIME if example.expected is None else Judge.EXAMPLE
    if example.expected is not None:
        return Judge.EXAMPLE
    theirs = _onnxruntime_says_of_older(example)
    if theirs is not None:
        _agree(actual, theirs)
        return Judge.OLDER
    _agree(actual, _wider_says(example, variable, actual))
    return Judge.WIDER


def _onnxruntime_says(example: Example, model: bytes) -> list[Any] | None:
    """What onnxruntime gives without optimisations; None where it implements something else, or nothing."""
    if deviation(example) is not None:
        return None
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return onnxruntime_values.run(session, feeds_of(example))
    except Exception:  # it has no kernel for the version or type, or finds that out when it runs
        return None


def _onnxruntime_says_of_older(example: Example) -> list[Any] | None:
    """What onnxruntime gives for the version before, if that can say the same with the same types."""
    older = _version_before(example.domain, example.name, example.version)
    if older is None or not allows(older, binding_of(example)):
        return None
    same = adapted(replace(example, expected=None), older)
    if same is None or len(same.outputs) != len(example.outputs):
        return None
    model = model_of(same, outputs_of(same, strict=False)).SerializeToString()
    return _onnxruntime_says(same, model)


@functools.lru_cache(maxsize=64)
def _version_before(domain: str, name: str, version: int) -> Any | None:
    try:
        return onnx.defs.get_schema(name, version - 1, domain)
    except onnx.defs.SchemaError:
        return None


def _wider_says(example: Example, variable: str, like: Sequence[Any]) -> list[Any]:
    """What onnxlite gives for wider types, rounded to those of the values ``like``."""
    wide = retyped(example, _wider_binding(example, variable))
    results = run(wide, model_of(wide, outputs_of(wide, strict=False)).SerializeToString())
    return [converted(result, value) for result, value in zip(results, like, strict=True)]


#: The floats that operators compute in; the others are only stored.
_COMPUTED = frozenset({"float16", "bfloat16", "float", "double"})

#: What an element type is evaluated in, where that is not double; the widest have a narrower one, of as exact values.
_WIDER = {
    **dict.fromkeys(("uint8", "int8", "uint16", "int16", "uint32", "int32", "string", "bool"), "int64"),
    **dict.fromkeys(("uint2", "int2", "uint4", "int4"), "int64"),
    **dict.fromkeys(("int64", "uint64"), "int32"),
    "complex64": "complex128",
    "complex128": "complex64",
    "double": "float",
}


def _wider_binding(example: Example, variable: str) -> Binding:
    """The wanted variable wider, or all that come in if it only goes out; with a float, all floats."""
    own = binding_of(example)
    inputs = {formal.type_str for formal in example.schema.inputs}
    wanted = {variable} if variable in inputs else inputs & set(own)
    floating = any(own[name] and is_float(dtype_of_kind(own[name])) for name in wanted)
    binding = {}
    for name, kind in own.items():
        wide = kind and "map(" not in kind and (name in wanted or (floating and element_of(kind) in _COMPUTED))
        binding[name] = with_element(kind, _WIDER.get(element_of(kind), "double")) if wide else kind
    return coupled(binding, example.schema, wanted)


def _agree(actual: Sequence[Any], expected: Sequence[Any]) -> None:
    for index, (got, wanted) in enumerate(zip(actual, expected, strict=True)):
        compare(got, wanted, *_tolerances(got), f"output {index}")


def _tolerances(value: Any) -> tuple[float, float]:
    """Two units in the last place, and one of the largest element's for what cancels; none for 8 bits and fewer.

    What is stored in so few bits is moved or rounded once, and computed in another type.
    """
    while isinstance(value, list) and value:
        value = value[0]
    if not is_array(value) or value.dtype.kind not in "fcV" or value.dtype.itemsize == 1:
        return 0.0, 0.0
    unit = 1e-6  # of float32 that is eight units: engines differ in the order in which they add
    if value.dtype.itemsize == np.dtype(np.float16).itemsize:
        unit = float(ml_dtypes.finfo(value.dtype).eps)  # type: ignore[no-untyped-call]
    wide = np.abs(value.astype(np.complex128))
    return 2 * unit, unit * float(wide[np.isfinite(wide)].max(initial=0))
