"""Inference for single nodes gives the same whether it is remembered or not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxlite.kernels.dtypes import element_type
from onnxlite.model import Node
from onnxlite.model.specification import inferred_types
from onnxlite.model.types import TensorType, ValueType
from onnxlite.plan import remembered
from onnxlite.plan.remembered import remembered_types

sys.path.append(str(Path(__file__).parents[1] / "graphs"))
from image_graphs import node


def of(*shape: int | str, dtype: Any = np.float32) -> TensorType:
    return TensorType(element_type(dtype), shape)


CASES: list[tuple[Node, list[ValueType | None], dict[str, Any]]] = [
    (node("MatMul", ["a", "b"], ["y"]), [of("batch", "?1", 4), of(4, 5)], {}),
    (node("MatMul", ["c", "d"], ["z"]), [of("?2", "batch", 4), of(4, 5)], {}),
    (node("MatMul", ["c", "d"], ["z"]), [of("?2", "?2", 4), of(4, 6)], {}),
    (node("MatMul", ["c", "c"], ["z"]), [of("n", "n"), of("n", "n")], {}),
    (node("Transpose", ["a"], ["y"], perm=(1, 0)), [of("m", "n")], {}),
    (node("Transpose", ["b"], ["y"], perm=(0, 1)), [of("m", "n")], {}),
    (node("Reshape", ["a", "s"], ["y"]), [of("m", 6), of(2, dtype=np.int64)], {"s": np.array([0, 6])}),
    (node("Reshape", ["a", "s"], ["y"]), [of("m", 6), of(2, dtype=np.int64)], {"s": np.array([6, 0])}),
    (node("Reshape", ["a", "s"], ["y"]), [of("m", 6), of(2, dtype=np.int64)], {}),
    (node("Clip", ["a", "", "k"], ["y"]), [of("m", 6), None, of()], {}),
    (node("Clip", ["a", "k"], ["y"]), [None, None], {}),
    (node("LSTM", ["x", "w", "r"], ["", "h"], hidden_size=3), [of("t", 1, 2), of(1, 12, 2), of(1, 12, 3)], {}),
    (node("Constant", [], ["y"], value=np.zeros((2, 3), np.float32)), [], {}),
    (node("Loop", ["n", "", "a"], ["y"]), [of(dtype=np.int64), None, of(2)], {}),
]


@pytest.mark.parametrize("times", [1, 2])
def test_answers_are_those_of_the_specification(times: int) -> None:
    for _ in range(times):
        for given, kinds, constants in CASES:
            assert remembered_types(given, kinds, constants) == inferred_types(given, kinds, constants), given


def test_nodes_that_differ_in_names_alone_are_asked_about_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def count(*arguments: Any) -> list[ValueType | None]:
        asked.append(arguments)
        return inferred_types(*arguments)

    monkeypatch.setattr(remembered, "inferred_types", count)
    monkeypatch.setattr(remembered, "_answers", {})
    for length in ("m", "?1", "?2"):
        (kind,) = remembered_types(node("Transpose", [length], [f"y{length}"], perm=(1, 0)), [of(length, 3)], {})
        assert kind == of(3, length)
    assert len(asked) == 1


def test_no_more_than_so_many_answers_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "_answers", {})
    monkeypatch.setattr(remembered, "_MOST", 3)
    for length in range(10):
        remembered_types(node("Transpose", ["x"], ["y"], perm=(1, 0)), [of(length, 3)], {})
    assert len(remembered._answers) <= 3
