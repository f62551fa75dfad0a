"""The coverage by version and type as a Markdown page: ``python -m onnxlite.conformance.coverage_report`` writes it."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import onnx

from onnxlite.conformance.coverage import CoverageRow, Verdict, coverage_rows
from onnxlite.conformance.deviations import ONNXRUNTIME
from onnxlite.conformance.judges import Judge

PATH = Path(__file__).parent / "COVERAGE.md"

_INTRODUCTION = """\
# Coverage by version and type

Every version of every operator in onnx {onnx}, run on onnxlite's reference with every type that its schema allows:
each type of each type variable once, as a model of one node. A type is covered if the model is accepted, each output
has the type and the static shape that onnx's inference says, and the values are right. Written by
`python -m onnxlite.conformance.coverage_report`, with onnxruntime {onnxruntime}; the tests run the same.

**{covered} of {allowed} types are covered**, in {versions} versions of {operators} operators. Who judged the values:

{judges}
Beside that, the cases of the backend suite were run in every version of their operator that can say the same, not only
in the newest: {cases} runs, of which {failed} failed.
"""

_JUDGES = {
    Judge.EXAMPLE: "the values of the backend suite, or of a formula",
    Judge.ONNXRUNTIME: "onnxruntime, for the same model without optimisations",
    Judge.OLDER: "onnxruntime, for the version of the operator before, of the same meaning",
    Judge.WIDER: "a wider evaluation: the same node in float64 or int64, rounded to the type",
    Judge.NOBODY: "none, since they are random: type and shape only here, their distribution in other tests",
}


def to_markdown(rows: Sequence[CoverageRow]) -> str:
    """The page for the rows of all operator versions."""
    parts = [_introduction(rows), _failures(rows)]
    for domain, group in itertools.groupby(rows, key=lambda row: row.operator.domain):
        parts.append(_domain(domain, list(group)))
    parts.append(_deviations())
    return "\n".join(part for part in parts if part)


def _introduction(rows: Sequence[CoverageRow]) -> str:
    counts = Counter(verdict.judge for row in rows for verdict in row.slots)
    judges = "".join(f"- {counts[judge]}: {text}\n" for judge, text in _JUDGES.items())
    return _INTRODUCTION.format(
        onnx=onnx.__version__,
        onnxruntime=metadata.version("onnxruntime"),
        covered=sum(row.covered for row in rows),
        allowed=sum(row.allowed for row in rows),
        versions=len(rows),
        operators=len({row.operator[:2] for row in rows}),
        judges=judges,
        cases=sum(len(row.cases) for row in rows),
        failed=sum(verdict.judge is None for row in rows for verdict in row.cases),
    )


def _failures(rows: Sequence[CoverageRow]) -> str:
    lines = [_failure(row, verdict) for row in rows for verdict in row.failures]
    return f"## Not covered\n\n{''.join(lines)}" if lines else ""


def _failure(row: CoverageRow, verdict: Verdict) -> str:
    reason = " ".join(verdict.reason.split())[:300]
    return f"- {row.operator.domain}.{row.operator.name}-{row.operator.version}, {verdict.what}: {reason}\n"


def _domain(domain: str, rows: Sequence[CoverageRow]) -> str:
    text = f"## {domain}\n\n| operator | covered / allowed types, by version | cases of the suite, by version |\n"
    text += "| --- | --- | --- |\n"
    for name, group in itertools.groupby(rows, key=lambda row: row.operator.name):
        versions = list(group)
        types = ", ".join(f"{row.operator.version}: {row.covered}/{row.allowed}" for row in versions)
        cases = ", ".join(f"{row.operator.version}: {len(row.cases)}" for row in versions if row.cases)
        text += f"| {name} | {types} | {cases} |\n"
    return text


def _deviations() -> str:
    lines = "".join(f"- {name}: {known.reason}\n" for name, several in ONNXRUNTIME.items() for known in several)
    return f"## Where onnxruntime is no judge\n\n{lines}"


if __name__ == "__main__":
    PATH.write_text(to_markdown(coverage_rows()))
    print(f"wrote {PATH.name}")
