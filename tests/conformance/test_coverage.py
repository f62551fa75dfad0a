"""Every operator version of the specification with every type that it allows, and the suite's cases in old versions."""

from __future__ import annotations

import functools
from importlib import metadata

import pytest

from onnxlite.conformance.coverage import CoverageRow, examine
from onnxlite.conformance.coverage_report import PATH, to_markdown
from onnxlite.conformance.judges import RANDOM, Judge
from onnxlite.conformance.operators import Operator, specified_operators
from onnxlite.conformance.slots import operators

pytest.importorskip("onnxruntime")

OPERATORS = operators()


@functools.cache
def row_of(operator: Operator) -> CoverageRow:
    return examine(operator)


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: "{}.{}-{}".format(*operator))
def test_every_type_is_covered(operator: Operator) -> None:
    row = row_of(operator)
    assert not row.failures, "\n".join(f"{verdict.what}: {verdict.reason}" for verdict in row.failures)
    assert row.covered == row.allowed > 0
    # The wider evaluation is onnxlite's own: someone else must have judged at least one type of each version.
    assert operator.name in RANDOM or set(row.judges) - {Judge.WIDER, Judge.NOBODY}


def test_the_operators_are_those_of_the_specification() -> None:
    assert set(OPERATORS) == specified_operators()


def test_the_page_is_what_the_rows_give() -> None:
    page = PATH.read_text()
    if f"with onnxruntime {metadata.version('onnxruntime')};" not in page:
        pytest.skip("the page was written with another onnxruntime, which judges other types")
    assert page == to_markdown([row_of(operator) for operator in OPERATORS])
