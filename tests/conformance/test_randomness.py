from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxlite.conformance.cases import Case, Generated, load_cases
from onnxlite.conformance.compare import MismatchError
from onnxlite.conformance.engines import REFERENCE_EVALUATOR, Prepared
from onnxlite.conformance.randomness import check_distribution, is_random

CASES = {case.name: case for case in load_cases()}
X = np.linspace(1, 2, 12, dtype=np.float32).reshape(3, 4)


def _case(node: onnx.NodeProto, opset: int, *inputs: Any, constants: Sequence[onnx.TensorProto] = ()) -> Case:
    fixed = {tensor.name for tensor in constants}
    names = [name for name in node.input if name and name not in fixed]
    values = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in zip(names, inputs, strict=True)
    ]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output]
    graph = helper.make_graph([node], "g", values, outputs, initializer=list(constants))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    expected = [np.zeros((3, 4), np.float32)] * len(outputs)
    return Case("case", "node", 1e-3, 1e-7, Generated(model, [(inputs, expected)]))


def _dropout(opset: int, *inputs: Any, **attributes: Any) -> Case:
    names = [f"x{index}" for index in range(len(inputs))]
    return _case(helper.make_node("Dropout", names, ["y"], **attributes), opset, *inputs)


@pytest.mark.parametrize(
    ("case", "random"),
    [
        (_dropout(6, X), True),
        (_dropout(6, X, is_test=1), False),
        (_dropout(6, X, ratio=0.0), False),
        (_dropout(7, X), False),
        (_dropout(10, X), False),
        (_dropout(13, X), False),
        (_dropout(13, X, np.float32(0.5), np.True_), True),
        (_dropout(13, X, np.float32(0.5), np.False_), False),
        (_dropout(13, X, np.float32(0), np.True_), False),
        (_case(helper.make_node("RandomNormal", [], ["y"], shape=[3, 4]), 1), True),
        (_case(helper.make_node("Bernoulli", ["x"], ["y"]), 15, X), True),
        (_case(helper.make_node("Relu", ["x"], ["y"]), 14, X), False),
    ],
)
def test_what_is_random(case: Case, random: bool) -> None:
    assert is_random(case) is random


def test_training_mode_may_be_an_initializer() -> None:
    training = numpy_helper.from_array(np.array(True), "training")
    node = helper.make_node("Dropout", ["x", "", "training"], ["y"])
    assert is_random(_case(node, 13, X, constants=[training]))


def test_random_nodes_are_found_in_subgraphs() -> None:
    draw = helper.make_node("RandomUniform", [], ["z"], shape=[3, 4])
    branch = helper.make_graph([draw], "b", [], [helper.make_tensor_value_info("z", TensorProto.FLOAT, [3, 4])])
    node = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    assert is_random(_case(node, 16, np.True_))


def test_few_cases_of_the_suite_are_random() -> None:
    found = {name for name, case in CASES.items() if is_random(case)}
    assert all(name.startswith(("test_bernoulli", "test_training_dropout")) for name in found)
    assert not any("zero_ratio" in name for name in found)
    assert len(found) >= 10


def _engine(draw: Callable[[np.random.Generator], Any]) -> Callable[[bytes], Prepared]:
    """An engine that heeds the seed, as the models of these tests set it."""

    def prepare(model: bytes) -> Prepared:
        node = onnx.ModelProto.FromString(model).graph.node[0]
        seeds = [attribute.f for attribute in node.attribute if attribute.name == "seed"]
        generator = np.random.default_rng([int(seed) for seed in seeds])
        return lambda inputs: [draw(generator)]

    return prepare


NORMAL = _case(helper.make_node("RandomNormal", [], ["y"], shape=[3, 4], mean=1.0, scale=2.0), 1)


def test_the_right_distribution_passes() -> None:
    check_distribution(NORMAL, _engine(lambda rng: rng.normal(1, 2, (3, 4)).astype(np.float32)))
    check_distribution(NORMAL, lambda model: REFERENCE_EVALUATOR.prepare(model, ""))


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda rng: rng.normal(1.5, 2, (3, 4)).astype(np.float32), "distribution"),
        (lambda rng: rng.normal(1, 3, (3, 4)).astype(np.float32), "distribution"),
        (lambda rng: rng.exponential(2, (3, 4)).astype(np.float32) - 1, "distribution"),  # mean and scale are right
        (lambda rng: np.full((3, 4), rng.normal(1, 2), np.float32), "the mean of a run"),
        (lambda rng: np.sort(rng.normal(1, 2, 12)).reshape(3, 4).astype(np.float32), "element"),
        (lambda rng: np.full((3, 4), np.nan, np.float32), "must not be NaN"),
        (lambda rng: rng.normal(1, 2, (3, 4)), "element type"),
        (lambda rng: rng.normal(1, 2, (4, 3)).astype(np.float32), "shape"),
    ],
)
def test_a_wrong_distribution_is_found(draw: Callable[[np.random.Generator], Any], message: str) -> None:
    with pytest.raises(MismatchError, match=message):
        check_distribution(NORMAL, _engine(draw))


def test_values_may_round_differently() -> None:
    """Dropout's values are few; one unit in the last place is no other distribution."""
    case = CASES["test_training_dropout"]

    def prepare(model: bytes) -> Prepared:
        exact = REFERENCE_EVALUATOR.prepare(model, "")
        return lambda inputs: [np.nextafter(value, np.float32(9)) for value in exact(inputs)]

    check_distribution(case, prepare)


def test_dropout_that_does_not_scale_is_found() -> None:
    case = CASES["test_training_dropout"]

    def prepare(model: bytes) -> Prepared:
        exact = REFERENCE_EVALUATOR.prepare(model, "")
        return lambda inputs: [value * np.float32(0.5) for value in exact(inputs)]

    with pytest.raises(MismatchError, match="distribution"):
        check_distribution(case, prepare)
