"""Data is moved as bytes where it is quantized, and what is quantized as it was before is left alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxlite.model import Node

sys.path.append(str(Path(__file__).parents[1] / "graphs"))
from quantized_graphs import check, floats, graph, integers, node

F = np.float32
CONSTANTS = {"s": F(0.05), "z": np.uint8(100), "t": F(0.07)}
BEFORE = [node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z", "a")]
AFTER = [node("QuantizeLinear", "b s z", "y")]


@pytest.mark.parametrize(
    ("between", "constants"),
    [
        ([node("Reshape", "a shape", "b")], {"shape": np.array([-1, 3])}),
        ([node("Transpose", "a", "b", perm=(0, 2, 3, 1))], {}),
        ([node("MaxPool", "a", "b", kernel_shape=(2, 2), pads=(1, 1, 1, 1))], {}),
        ([node("Slice", "a one two", "b")], {"one": np.array([1]), "two": np.array([2])}),
        ([node("Gather", "a one", "b", axis=1)], {"one": np.array([1, 0])}),
        ([node("Concat", "a a", "b", axis=1)], {}),
        ([node("Flatten", "a", "c"), node("Unsqueeze", "c one", "b")], {"one": np.array([1])}),
    ],
)
def test_a_pair_around_moved_data_is_dropped(between: list[Node], constants: dict[str, Any]) -> None:
    shape = (2, 4, 6, 3)
    original = graph([*BEFORE, *between, *AFTER], {"x": (np.float32, shape)}, **CONSTANTS, **constants)
    left = check(original, [floats(shape)], 0)
    assert sum("QuantizeLinear" in name for name in left) == 1
    assert "DequantizeLinear" not in left


def test_every_part_of_a_split_is_bytes() -> None:
    nodes = [
        *BEFORE,
        node("Split", "a", "b c", axis=0, num_outputs=2),
        *AFTER,
        node("QuantizeLinear", "c s z", "w"),
    ]
    left = check(graph(nodes, {"x": (np.float32, (4, 3))}, "y w", **CONSTANTS), [floats((4, 3))], 0)
    assert "DequantizeLinear" not in left


def test_another_scale_stays() -> None:
    nodes = [*BEFORE, node("Transpose", "a", "b", perm=(1, 0)), node("QuantizeLinear", "b t z", "y")]
    left = check(graph(nodes, {"x": (np.float32, (4, 3))}, **CONSTANTS), [floats((4, 3))], 1)
    assert "Transpose" in left
    assert "(DequantizeLinear QuantizeLinear)" in left


def test_tensors_of_other_scales_are_joined_as_floats() -> None:
    nodes = [
        *BEFORE,
        node("QuantizeLinear", "x t z", "p"),
        node("DequantizeLinear", "p t z", "c"),
        node("Concat", "a c", "b", axis=0),
        *AFTER,
    ]
    check(graph(nodes, {"x": (np.float32, (4, 3))}, **CONSTANTS), [floats((4, 3))], 1)


def test_values_that_must_remain_remain() -> None:
    nodes = [*BEFORE, node("Transpose", "a", "b", perm=(1, 0)), *AFTER]
    original = graph(nodes, {"x": (np.float32, (4, 3))}, **CONSTANTS)
    for name in ("q", "a", "b"):
        check(original, [floats((4, 3))], 0, keep=name)


def test_rows_of_a_table_are_gathered_as_bytes() -> None:
    nodes = [node("DequantizeLinear", "table s z", "a"), node("Gather", "a i", "y")]
    table = integers((50, 8), np.uint8)
    original = graph(nodes, {"i": (np.int64, ("N",))}, table=table, **CONSTANTS)
    assert check(original, [np.array([3, 4, 49])], 0) == ["DequantizeLinear", "Gather"]


def test_shapes_do_not_ask_for_floats() -> None:
    nodes = [*BEFORE, node("Shape", "a", "n"), node("Reshape", "a n", "b"), *AFTER]
    left = check(graph(nodes, {"x": (np.float32, ("N", 3))}, **CONSTANTS), [floats((4, 3))], 0)
    assert "DequantizeLinear" not in left


def test_a_scale_for_each_index_stays_where_it_is() -> None:
    nodes = [node("DequantizeLinear", "q s", "a", axis=0), node("Reshape", "a shape", "y")]
    original = graph(nodes, {"q": (np.int8, (4, 3))}, s=np.array([1, 2, 3, 4], F), shape=np.array([3, 4]))
    check(original, [integers((4, 3), np.int8)], 0)
