"""The pass that makes products of each Einsum: the same results, and operators that are compiled."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.model import Graph
from onnxlite.passes.lower_einsum import lower_einsum

sys.path.append(str(Path(__file__).parents[1] / "graphs"))
from image_graphs import assert_close, made, node, operators, results

LENGTHS = {"a": 2, "b": 3, "c": 4, "d": 5, "e": 1}


def lowered(equation: str, dtype: Any = np.float32) -> Graph:
    """The rewritten graph, which must give the same results."""
    terms = equation.replace(" ", "").partition("->")[0].split(",")
    rng = np.random.default_rng(len(equation))
    arrays = [rng.standard_normal([LENGTHS.get(letter, 3) for letter in term]).astype(dtype) for term in terms]
    names = [f"x{number}" for number in range(len(terms))]
    types = dict(zip(names, arrays, strict=True))
    graph = made([node("Einsum", names, ["y"], equation=equation)], names, ["y"], types=types)
    after = lower_einsum(graph, frozenset(["y"]), {})
    assert_close(results(after, ["y"], arrays), results(graph, ["y"], arrays), ["y"])
    return after


@st.composite
def _equations(draw: st.DrawFn) -> str:
    letters = list(LENGTHS)
    terms = ["".join(draw(st.permutations(letters))[: draw(st.integers(1, 4))]) for _ in range(draw(st.integers(1, 3)))]
    used = sorted(set("".join(terms)))
    return ",".join(terms) + "->" + "".join(draw(st.permutations(used))[: draw(st.integers(0, len(used)))])


@settings(max_examples=200, deadline=None, derandomize=True)
@given(_equations())
def test_any_equation_gives_the_same_results(equation: str) -> None:
    assert not operators(lowered(equation))["Einsum"]


@pytest.mark.parametrize(
    ("equation", "expected"),
    [
        ("ij,jk->ik", ["MatMul"]),
        ("bhid,bhjd->bhij", ["Transpose", "MatMul"]),
        ("bhij,bhjd->bihd", ["MatMul", "Transpose"]),
        ("i,j->ij", ["Unsqueeze", "Unsqueeze", "Mul"]),
        ("bi,bi->bi", ["Mul"]),
        ("ij->ji", ["Transpose"]),
        ("ij->i", ["ReduceSum"]),
        ("ij", ["Identity"]),
        ("ba", ["Transpose"]),
        (" i j , j k ", ["MatMul"]),
    ],
)
def test_typical_equations(equation: str, expected: list[str]) -> None:
    assert [n.op_type for n in lowered(equation).nodes] == expected


def test_doubles_are_lowered_too() -> None:
    assert operators(lowered("ij,jk->ik", np.float64)) == {"MatMul": 1}


@pytest.mark.parametrize("equation", ["...i,...i->...", "ii->i", "ij,jk->ii", "ij,jk->iz", "ij", "", "i1,j->ij"])
def test_what_is_left_as_it_is(equation: str) -> None:
    x = np.zeros((2, 2), np.float32)
    graph = made([node("Einsum", ["x", "z"], ["y"], equation=equation)], ["x", "z"], ["y"], types={"x": x, "z": x})
    assert lower_einsum(graph, frozenset(["y"]), {}).nodes == graph.nodes


def test_types_that_are_no_floats_are_left() -> None:
    x = np.zeros((2, 2), np.int8)
    graph = made([node("Einsum", ["x", "z"], ["y"], equation="ij,jk->ik")], ["x", "z"], ["y"], types={"x": x, "z": x})
    assert operators(lower_einsum(graph, frozenset(["y"]), {})) == {"Einsum": 1}
