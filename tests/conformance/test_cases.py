from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from onnxlite.conformance.cases import KINDS, Case, load_cases
from onnxlite.conformance.operators import Operator, operators_of, specified_operators

CASES = {case.name: case for case in load_cases()}


def test_every_kind_is_there_and_names_are_unique() -> None:
    assert [case.kind for case in load_cases()] == sorted((c.kind for c in load_cases()), key=KINDS.index)
    assert {case.kind for case in load_cases()} == set(KINDS)
    assert len(CASES) == len(load_cases()) >= 2000


def test_the_count_is_the_one_of_onnx() -> None:
    from onnx.backend.test.loader import load_model_tests

    assert len(CASES) == sum(len(load_model_tests(kind=kind)) for kind in KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_data_fit_the_graph(kind: str) -> None:
    for case in load_cases():
        if case.kind == kind:
            graph = case.model.graph
            for inputs, outputs in case.data_sets:
                assert 0 < len(inputs) <= len(graph.input) or not graph.input, case.name
                assert len(outputs) == len(graph.output), case.name


def test_values_are_arrays_lists_or_none() -> None:
    def check(value: object, where: str) -> None:
        if isinstance(value, list):
            for element in value:
                check(element, where)
        elif value is not None:
            assert isinstance(value, np.ndarray), where
            assert value.dtype.kind not in "US", where

    for case in load_cases():
        for data_set in case.data_sets:
            for value in (*data_set.inputs, *data_set.outputs):
                check(value, case.name)


def test_sequences_and_empty_optionals() -> None:
    sequence = CASES["test_sequence_insert_at_back"].data_sets[0]
    assert isinstance(sequence.inputs[0], list)
    assert isinstance(sequence.outputs[0], list)
    assert CASES["test_optional_has_element_empty_optional_input"].data_sets[0].inputs == (None,)


def test_light_models_are_read_without_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HOME", "ONNX_HOME", "ONNX_MODELS"):
        monkeypatch.setenv(variable, str(tmp_path))
    for case in (c for c in load_cases() if c.kind == "real"):
        (data_set,) = case.data_sets
        assert data_set.inputs[0].dtype == np.float32
        assert data_set.inputs[0].ravel()[[0, -1]] == pytest.approx([0, 1 - 1 / data_set.inputs[0].size])
        assert data_set.outputs[0].size == 1000
    assert not list(tmp_path.iterdir())


def test_tolerances_come_from_the_data() -> None:
    assert CASES["test_densenet121"].rtol == 2e-3
    assert CASES["test_add"].rtol == 1e-3


def test_model_bytes_are_the_model() -> None:
    case = CASES["test_add"]
    assert onnx.load(io.BytesIO(case.model_bytes)) == case.model
    assert isinstance(case, Case)


def test_operators_of_a_plain_case() -> None:
    assert CASES["test_softmax_axis_0"].operators == {Operator("ai.onnx", "Softmax", 13)}


def test_operators_of_subgraphs_and_functions() -> None:
    branch = helper.make_graph([helper.make_node("Abs", ["x"], ["y"])], "g", [], [onnx.ValueInfoProto(name="y")])
    function = helper.make_function(
        "mine", "F", ["a"], ["b"], [helper.make_node("Softmax", ["a"], ["b"])], [helper.make_opsetid("", 11)]
    )
    graph = helper.make_graph(
        [
            helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch),
            helper.make_node("F", ["y"], ["z"], domain="mine"),
        ],
        "g",
        [helper.make_tensor_value_info("c", TensorProto.BOOL, []), helper.make_tensor_value_info("x", 1, [1])],
        [onnx.ValueInfoProto(name="z")],
    )
    model = helper.make_model(
        graph, functions=[function], opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
    )
    assert operators_of(model) == {
        Operator("ai.onnx", "If", 16),
        Operator("ai.onnx", "Abs", 13),
        Operator("ai.onnx", "Softmax", 11),  # the function imports an older opset than the model
    }


def test_cases_call_only_specified_operators() -> None:
    assert frozenset().union(*(case.operators for case in load_cases())) <= specified_operators()
