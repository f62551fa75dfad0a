"""Models that draw random numbers: no two engines give the same values, so what must agree is their distribution.

The specification leaves the generator open, and the suite's expected values are draws of NumPy's old one.  Such a model
is run many times, each time with another seed, by the engine under test and by onnx's evaluator, and the two samples
are compared by the Kolmogorov-Smirnov statistic: the greatest distance between two empirical distribution functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from onnxlite.conformance.cases import Case, DataSet
from onnxlite.conformance.compare import MismatchError, compare_types
from onnxlite.conformance.engines import REFERENCE_EVALUATOR, Prepared
from onnxlite.conformance.operators import ModelNode, model_nodes

_ALWAYS_RANDOM = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}
)

#: How often a model is run for its distribution.
RUNS = 200

#: The chance that a right engine fails one comparison; one that heeds the (fixed) seeds fails always or never.
_FALSE_ALARM = 1e-9

Prepare = Callable[[bytes], Prepared]


def is_random(case: Case) -> bool:
    """Whether the case's model draws random numbers that reach its outputs."""
    model = case.model
    names = [value.name for value in model.graph.input]
    known = {initializer.name: numpy_helper.to_array(initializer) for initializer in model.graph.initializer}
    known |= zip(names, case.data_sets[0].inputs, strict=False)
    return any(True for _ in _random_nodes(model, known))


def check_distribution(case: Case, prepare: Prepare) -> None:
    """Raise MismatchError unless the outputs have the expected types and shapes, and the right distribution."""
    for data_set in case.data_sets:
        outputs = prepare(case.model_bytes)(data_set.inputs)
        if len(outputs) != len(data_set.outputs):
            raise MismatchError(f"expected {len(data_set.outputs)} outputs, got {len(outputs)}")
        for index, (output, expected) in enumerate(zip(outputs, data_set.outputs, strict=True)):
            compare_types(output, expected, f"output {index}")
        samples = _samples(case, data_set, prepare)
        references = _samples(case, data_set, lambda model: REFERENCE_EVALUATOR.prepare(model, ""))
        for index, (sample, reference) in enumerate(zip(samples, references, strict=True)):
            _compare_samples(sample, reference, case, f"output {index}")


def _random_nodes(model: onnx.ModelProto, known: Mapping[str, Any]) -> Iterator[ModelNode]:
    for entry in model_nodes(model):
        operator = entry.operator
        if operator is None or operator.domain != "ai.onnx":
            continue
        if operator.name in _ALWAYS_RANDOM or (operator.name == "Dropout" and _drops(entry, known)):
            yield entry


def _drops(entry: ModelNode, known: Mapping[str, Any]) -> bool:
    """Whether a Dropout drops: versions below 7 unless ``is_test``, 7 and 10 never, later ones in training mode."""
    node, operator = entry
    assert operator is not None
    if operator.version < 12:
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        return operator.version < 7 and not attributes.get("is_test", 0) and attributes.get("ratio", 0.5) > 0
    ratio, training = (known.get(node.input[i]) if len(node.input) > i else None for i in (1, 2))
    return training is not None and bool(training) and (ratio is None or bool(ratio > 0))


def _samples(case: Case, data_set: DataSet, prepare: Prepare) -> list[np.ndarray[Any, Any]]:
    """For each output the values of all runs, one run a row."""
    runs = [prepare(_reseeded(case.model, seed))(data_set.inputs) for seed in range(1, RUNS + 1)]
    return [
        np.stack([np.asarray(value).ravel().astype(np.float64) for value in values])
        for values in zip(*runs, strict=True)
    ]


def _reseeded(model: onnx.ModelProto, seed: int) -> bytes:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for offset, (node, operator) in enumerate(model_nodes(copy)):
        if operator is None or (operator.name not in _ALWAYS_RANDOM and operator.name != "Dropout"):
            continue
        schema = onnx.defs.get_schema(operator.name, operator.version, "")
        if "seed" in schema.attributes:
            kept = [attribute for attribute in node.attribute if attribute.name != "seed"]
            kind = int if schema.attributes["seed"].type == onnx.defs.OpSchema.AttrType.INT else float
            del node.attribute[:]
            node.attribute.extend([*kept, helper.make_attribute("seed", kind(seed + 1000 * offset))])
    return bytes(copy.SerializeToString())


def _compare_samples(sample: Any, reference: Any, case: Case, where: str) -> None:
    """Compare element by element (does it depend on the input as it should?), the means, and all values together.

    The means of single runs differ as those of independent elements do: one draw for all elements would show there.
    """
    if np.isnan(sample).any() and not np.isnan(reference).any():
        raise MismatchError(f"{where}: random values must not be NaN")
    columns = {f"element {i}": (sample[:, i], reference[:, i]) for i in range(sample.shape[1])}
    columns["the mean of a run"] = (sample.mean(axis=1), reference.mean(axis=1))
    columns["all elements"] = (sample.ravel(), reference.ravel())
    for what, (got, wanted) in columns.items():
        distance, limit = _distance(got, wanted, case.rtol, case.atol), _limit(len(got))
        if distance > limit:
            raise MismatchError(
                f"{where}: the distribution of {what} is {distance:.2f} off, more than the {limit:.2f} of chance"
            )


def _distance(a: Any, b: Any, rtol: float, atol: float) -> float:
    """The greatest distance of the distribution functions of two samples, steps that are close taken as one."""
    a, b = np.sort(a), np.sort(b)
    points = np.concatenate([a, b])
    below = points - (atol + rtol * np.abs(points))

    def fraction(values: Any, upto: Any) -> Any:
        return np.searchsorted(values, upto, side="right") / len(values)

    return float(
        max((fraction(a, below) - fraction(b, points)).max(), (fraction(b, below) - fraction(a, points)).max())
    )


def _limit(size: int) -> float:
    """The distance that two samples of one distribution pass with the chance _FALSE_ALARM (Smirnov's bound)."""
    return math.sqrt(math.log(2 / _FALSE_ALARM) / size)
