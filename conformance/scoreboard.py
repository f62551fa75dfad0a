"""The scoreboard: which cases each engine passes, by operator, domain and kind of case.

It depends on nothing but the outcomes and the versions of onnx and of the rivals: no dates, no times.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import onnx

from onnxlite.conformance.cases import KINDS, Case
from onnxlite.conformance.engines import Engine
from onnxlite.conformance.operators import specified_operators
from onnxlite.conformance.randomness import is_random
from onnxlite.conformance.runner import Outcome, Result


@dataclass(frozen=True)
class Column:
    """What one engine on one provider made of the suite; a case that is not named passed."""

    engine: str
    provider: str
    version: str | None
    failed: frozenset[str]
    skipped: frozenset[str]

    @property
    def title(self) -> str:
        """The heading: the engine and its provider."""
        return f"{self.engine} {self.provider}".strip()

    def outcome(self, case: str) -> Outcome:
        """How a case ended."""
        if case in self.failed:
            return Outcome.FAIL
        return Outcome.SKIP if case in self.skipped else Outcome.PASS


@dataclass(frozen=True)
class Row:
    """One operator: its versions, how many of them the suite exercises, and the outcomes of its cases by column."""

    domain: str
    name: str
    versions: tuple[int, ...]
    exercised: tuple[int, ...]
    cases: int
    outcomes: tuple[Counter[Outcome], ...]


@dataclass(frozen=True)
class Scoreboard:
    """All columns, and the version of onnx whose suite they ran."""

    onnx: str
    columns: tuple[Column, ...]

    def with_column(self, column: Column) -> Scoreboard:
        """This scoreboard with a column added or replaced; columns of another version of the suite are dropped."""
        kept = [c for c in self.columns if c.title != column.title] if self.onnx == onnx.__version__ else []
        return Scoreboard(onnx.__version__, tuple(sorted([*kept, column], key=lambda c: c.title)))

    def rows(self, cases: Iterable[Case]) -> list[Row]:
        """The table by operator, operators without a case included."""
        calling: dict[tuple[str, str], list[Case]] = {}
        exercised: dict[tuple[str, str], set[int]] = {}
        for case in cases:
            for domain, name, version in case.operators:
                exercised.setdefault((domain, name), set()).add(version)
            for key in {(domain, name) for domain, name, _ in case.operators}:
                calling.setdefault(key, []).append(case)
        versions: dict[tuple[str, str], list[int]] = {}
        for domain, name, version in sorted(specified_operators()):
            versions.setdefault((domain, name), []).append(version)
        return [
            Row(
                *key,
                versions=tuple(numbers),
                exercised=tuple(sorted(exercised.get(key, ()))),
                cases=len(calling.get(key, ())),
                outcomes=tuple(self._count(column, calling.get(key, ())) for column in self.columns),
            )
            for key, numbers in versions.items()
        ]

    def totals(self, cases: Sequence[Case]) -> dict[str, tuple[Counter[Outcome], ...]]:
        """The outcomes by kind of case, and of all, for each column."""
        groups = {kind: [case for case in cases if case.kind == kind] for kind in KINDS} | {"all": list(cases)}
        return {name: tuple(self._count(c, group) for c in self.columns) for name, group in groups.items()}

    @staticmethod
    def _count(column: Column, cases: Iterable[Case]) -> Counter[Outcome]:
        return Counter(column.outcome(case.name) for case in cases)


def column_of(engine: Engine, provider: str, results: Iterable[Result]) -> Column:
    """The column for a complete run."""
    named: dict[Outcome, set[str]] = {outcome: set() for outcome in Outcome}
    for result in results:
        named[result.outcome].add(result.case)
    return Column(engine.name, provider, engine.version, frozenset(named[Outcome.FAIL]), frozenset(named[Outcome.SKIP]))


def to_json(board: Scoreboard, cases: Sequence[Case]) -> str:
    """The record as text."""
    return (
        json.dumps(
            {
                "onnx": board.onnx,
                "cases": dict(sorted(Counter(case.kind for case in cases).items())),
                "checked_by_distribution": sorted(case.name for case in cases if is_random(case)),
                "columns": [_column_to_json(column, cases) for column in board.columns],
                "operators": [_row_to_json(row, board) for row in board.rows(cases)],
            },
            indent=1,
        )
        + "\n"
    )


def from_json(text: str) -> Scoreboard:
    """The scoreboard in a record."""
    content = json.loads(text)
    return Scoreboard(
        content["onnx"],
        tuple(
            Column(c["engine"], c["provider"], c["version"], frozenset(c["failed"]), frozenset(c["skipped"]))
            for c in content["columns"]
        ),
    )


def _column_to_json(column: Column, cases: Sequence[Case]) -> dict[str, Any]:
    failed, skipped = sorted(column.failed), sorted(column.skipped)
    return {
        "engine": column.engine,
        "provider": column.provider,
        "version": column.version,
        "pass": len(cases) - len(failed) - len(skipped),
        "fail": len(failed),
        "skip": len(skipped),
        "failed": failed,
        "skipped": skipped,
    }


def _row_to_json(row: Row, board: Scoreboard) -> dict[str, Any]:
    return {
        "domain": row.domain,
        "name": row.name,
        "versions": list(row.versions),
        "exercised": list(row.exercised),
        "cases": row.cases,
        "outcomes": {
            column.title: {outcome.value: counts[outcome] for outcome in Outcome}
            for column, counts in zip(board.columns, row.outcomes, strict=True)
        },
    }
