"""The scoreboard as a Markdown page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from onnxlite.conformance.cases import KINDS, Case
from onnxlite.conformance.randomness import is_random
from onnxlite.conformance.runner import Outcome
from onnxlite.conformance.scoreboard import Row, Scoreboard

_INTRODUCTION = """\
# Conformance scoreboard

How the engines do on the {count} cases of the backend test suite in onnx {onnx}. Written by
`python -m onnxlite.conformance --write`; `--check` compares a run with it.

A cell says how many cases **pass / fail / are skipped**, or only how many pass where all do. A case is skipped where
the engine says that it does not implement the model (its "not implemented" error); every other error, a wrong value,
element type or shape, a crash or a hang is a failure. Tolerances are the suite's own.

Models that draw random numbers cannot give the suite's values: their outputs are compared in type, shape and
distribution. These are {random}.
"""


def to_markdown(board: Scoreboard, cases: Sequence[Case]) -> str:
    """The page for a scoreboard: totals, domains, operators, and the cases that do not pass."""
    random = sorted(case.name for case in cases if is_random(case))
    introduction = _INTRODUCTION.format(count=len(cases), onnx=board.onnx, random=", ".join(random))
    rows = board.rows(cases)
    parts = [introduction, _totals(board, cases), _domains(board, cases, rows)]
    parts += [_operators(board, domain, rows) for domain in _domain_names(rows)]
    parts += [_not_passed(board, title) for title in ("failed", "skipped")]
    return "\n".join(part for part in parts if part)


def _table(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    ruler = ["---"] + ["---:"] * (len(headings) - 1)
    return "".join(f"| {' | '.join(line)} |\n" for line in (headings, ruler, *lines))


def _cell(counts: Counter[Outcome]) -> str:
    passed, failed, skipped = (counts[outcome] for outcome in Outcome)
    return str(passed) if not failed and not skipped else f"{passed} / {failed} / {skipped}"


def _headings(board: Scoreboard) -> list[str]:
    return [f"{column.title}{f' ({column.version})' if column.version else ''}" for column in board.columns]


def _totals(board: Scoreboard, cases: Sequence[Case]) -> str:
    totals = board.totals(cases)
    sizes = Counter(case.kind for case in cases) | Counter({"all": len(cases)})
    lines = [[kind, str(sizes[kind]), *map(_cell, totals[kind])] for kind in (*KINDS, "all")]
    return "## By kind of case\n\n" + _table(["kind", "cases", *_headings(board)], lines)


def _domain_names(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(row.domain for row in rows))


def _domains(board: Scoreboard, cases: Sequence[Case], rows: Sequence[Row]) -> str:
    lines = []
    for domain in _domain_names(rows):
        operators = [row for row in rows if row.domain == domain]
        exercised = sum(1 for row in operators if row.cases)
        calling = [case for case in cases if any(operator.domain == domain for operator in case.operators)]
        counts = [_cell(Counter(column.outcome(case.name) for case in calling)) for column in board.columns]
        lines.append([domain, f"{exercised} of {len(operators)}", str(len(calling)), *counts])
    return "## By domain\n\n" + _table(["domain", "operators exercised", "cases", *_headings(board)], lines)


def _operators(board: Scoreboard, domain: str, rows: Iterable[Row]) -> str:
    lines = [
        [
            row.name,
            ", ".join(map(str, row.exercised)),
            str(len(row.versions)),
            str(row.cases),
            *map(_cell, row.outcomes),
        ]
        for row in rows
        if row.domain == domain and row.cases
    ]
    bare = [row.name for row in rows if row.domain == domain and not row.cases]
    text = f"## Operators of {domain}\n\n"
    if lines:
        text += _table(["operator", "versions exercised", "versions defined", "cases", *_headings(board)], lines)
    if bare:
        text += f"\nWithout a case in the suite: {', '.join(bare)}.\n"
    return text


def _not_passed(board: Scoreboard, kind: str) -> str:
    text = ""
    for column in board.columns:
        names = column.failed if kind == "failed" else column.skipped
        if names:
            listed = "\n".join(f"- {name}" for name in sorted(names))
            summary = f"{len(names)} {kind} on {column.title}"
            text += f"<details><summary>{summary}</summary>\n\n{listed}\n\n</details>\n\n"
    return f"## Cases that {'fail' if kind == 'failed' else 'are skipped'}\n\n{text}" if text else ""
