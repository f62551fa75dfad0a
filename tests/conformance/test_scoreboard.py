from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from onnxlite import get_available_providers
from onnxlite.conformance import record
from onnxlite.conformance.cases import load_cases
from onnxlite.conformance.engines import ONNXLITE, ONNXRUNTIME
from onnxlite.conformance.markdown import to_markdown
from onnxlite.conformance.runner import Outcome, Result
from onnxlite.conformance.scoreboard import Column, Scoreboard, column_of, from_json, to_json

CASES = load_cases()


def _column(*, failed: tuple[str, ...] = (), skipped: tuple[str, ...] = (), engine: str = "one") -> Column:
    return Column(engine, "SomeProvider", "1.0", frozenset(failed), frozenset(skipped))


@pytest.mark.parametrize("provider", get_available_providers())
def test_the_committed_scoreboard_is_what_a_run_gives(provider: str, result_of: Callable[[str, str], Result]) -> None:
    committed = record.read()
    if committed.onnx != onnx.__version__:
        pytest.skip(f"the scoreboard is of onnx {committed.onnx}, installed is {onnx.__version__}")
    results = [result_of(case.name, provider) for case in CASES]
    assert record.check(column_of(ONNXLITE, provider, results)) == []


def test_rivals_are_on_the_scoreboard() -> None:
    assert {column.engine for column in record.read().columns} >= {"onnxlite", "onnxruntime", "reference-evaluator"}


def test_a_column_names_what_did_not_pass() -> None:
    results = [Result("a", Outcome.PASS), Result("b", Outcome.FAIL, "wrong"), Result("c", Outcome.SKIP, "no kernel")]
    column = column_of(ONNXRUNTIME, "CPUExecutionProvider", results)
    assert column.title == "onnxruntime CPUExecutionProvider"
    assert column.version == ONNXRUNTIME.version
    assert [column.outcome(name) for name in "abc"] == [Outcome.PASS, Outcome.FAIL, Outcome.SKIP]


def test_columns_are_replaced_and_kept() -> None:
    board = (
        Scoreboard(onnx.__version__, ()).with_column(_column(engine="two")).with_column(_column(failed=("test_add",)))
    )
    assert [column.engine for column in board.columns] == ["one", "two"]
    board = board.with_column(_column())
    assert [column.engine for column in board.columns] == ["one", "two"]
    assert not board.columns[0].failed


def test_columns_of_another_suite_are_dropped() -> None:
    board = Scoreboard("1.0.0", (_column(engine="two"),)).with_column(_column())
    assert board == Scoreboard(onnx.__version__, (_column(),))


def test_json_round_trip() -> None:
    board = Scoreboard(onnx.__version__, (_column(failed=("test_add",), skipped=("test_abs", "test_acos")),))
    assert from_json(to_json(board, CASES)) == board
    assert to_json(board, CASES) == to_json(board, CASES)


def test_rows_count_each_case_once_for_each_operator() -> None:
    board = Scoreboard(onnx.__version__, (_column(failed=("test_softmax_axis_0",), skipped=("test_softmax_axis_1",)),))
    rows = {(row.domain, row.name): row for row in board.rows(CASES)}
    softmax = rows["ai.onnx", "Softmax"]
    calling = [case for case in CASES if any(operator.name == "Softmax" for operator in case.operators)]
    assert softmax.cases == len(calling)
    assert softmax.outcomes == (Counter({Outcome.FAIL: 1, Outcome.SKIP: 1, Outcome.PASS: len(calling) - 2}),)
    assert softmax.versions == (1, 11, 13)
    assert 13 in softmax.exercised
    assert rows["ai.onnx.ml", "SVMClassifier"].cases == 0
    assert rows["ai.onnx.ml", "SVMClassifier"].outcomes == (Counter(),)


def test_totals_add_up() -> None:
    board = Scoreboard(onnx.__version__, (_column(failed=("test_add",), skipped=("test_Conv2d",)),))
    totals = {kind: counts[0] for kind, counts in board.totals(CASES).items()}
    assert totals["node"][Outcome.FAIL] == 1
    assert totals["pytorch-converted"][Outcome.SKIP] == 1
    assert totals["all"].total() == len(CASES)
    assert sum((counts for kind, counts in totals.items() if kind != "all"), Counter()) == totals["all"]


def test_markdown_shows_what_does_not_pass() -> None:
    board = Scoreboard(onnx.__version__, (_column(failed=("test_cosh",), skipped=("test_cosh_example",)),))
    page = to_markdown(board, CASES)
    assert "| Cosh | 22 | 2 | 2 | 0 / 1 / 1 |" in page
    assert "| Sinh | 22 | 2 | 2 | 2 |" in page
    assert "1 failed on one SomeProvider</summary>\n\n- test_cosh\n" in page
    assert "1 skipped on one SomeProvider</summary>\n\n- test_cosh_example\n" in page
    assert "Without a case in the suite: " in page


def test_check_says_what_differs(tmp_path: Path) -> None:
    record.write(_column(failed=("test_add",), skipped=("test_abs",)), tmp_path)
    assert record.check(_column(failed=("test_add",), skipped=("test_abs",)), tmp_path) == []
    assert record.check(_column(failed=("test_abs", "test_acos")), tmp_path) == [
        "test_abs: skip in the scoreboard, fail in the run",
        "test_acos: pass in the scoreboard, fail in the run",
        "test_add: fail in the scoreboard, pass in the run",
    ]
    assert record.check(_column(engine="two"), tmp_path) == ["the scoreboard has no column for two SomeProvider"]
    assert record.check(
        Column("one", "SomeProvider", "2.0", frozenset({"test_add"}), frozenset({"test_abs"})), tmp_path
    ) == ["the scoreboard is of one 1.0, the run of 2.0"]


def test_check_finds_edited_files(tmp_path: Path) -> None:
    record.write(_column(), tmp_path)
    page = tmp_path / record.MARKDOWN_NAME
    page.write_text(page.read_text() + "All is well.\n")
    assert record.check(_column(), tmp_path) == ["SCOREBOARD.md is not what --write would make of its outcomes"]
    page.unlink()
    assert len(record.check(_column(), tmp_path)) == 1


def test_check_does_not_compare_different_suites(tmp_path: Path) -> None:
    (tmp_path / record.JSON_NAME).write_text(to_json(Scoreboard("1.0.0", (_column(),)), CASES))
    assert record.check(_column(failed=("test_add",)), tmp_path) == [
        f"the scoreboard is of onnx 1.0.0, the run of onnx {onnx.__version__}"
    ]
