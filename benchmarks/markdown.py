"""The measurements as Markdown, for the documentation."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.classes import NAMES
from benchmarks.environment import described
from benchmarks.record import Record, Row
from benchmarks.tables import (
    START_HEADINGS,
    disagreements,
    error_text,
    failures,
    grouped,
    means,
    milliseconds,
    quotient,
    start_cells,
    threads_text,
)


def speed_lines(record: Record, groups: Mapping[str, str]) -> list[str]:
    """The speed in Markdown: a table for each group, the ratios of all numbers of threads side by side."""
    rows: list[Row] = record["speed"]
    counts = sorted({row["threads"] for row in rows})
    lines = [f"Measured on {described(record['environment'])}.", ""]
    overall = [f"{mean:.2f} with {threads_text(count)}" for count, mean in means(rows)]
    lines += [f"Geometric mean of all ratios: {', '.join(overall)}.", ""] if overall else []
    headings = [
        "model",
        *(f"{engine}, {threads_text(n)}" for n in counts for engine in ("onnxlite", "onnxruntime", "ratio")),
    ]
    for title, members in grouped(rows, groups):
        lines += [f"**{title[0].upper()}{title[1:]}** (milliseconds)", ""]
        lines += _markdown_head([*headings, "error", "compiled steps"])
        for model in dict.fromkeys(row["model"] for row in members):
            lines.append(_markdown_row(_model_cells(model, members, counts)))
        by_count = dict(means(members))
        cells = [cell for n in counts for cell in ("", "", f"**{by_count[n]:.2f}**" if n in by_count else "")]
        lines += [_markdown_row(["geometric mean", *cells, "", ""]), ""]
    return lines + [f"- {sentence}" for sentence in [*failures({"speed": rows}), *disagreements(rows)]]


def _model_cells(model: str, rows: Sequence[Row], counts: Sequence[int]) -> list[str]:
    found = {row["threads"]: row for row in rows if row["model"] == model}
    cells = [model]
    for count in counts:
        row = found.get(count, {"failure": ""})
        if "failure" in row:
            cells += ["failed" if row["failure"] else "", "", ""]
        else:
            ours, theirs = (milliseconds(row[engine]["median"]) for engine in ("ours", "theirs"))
            cells += [ours, theirs, f"{row['ratio']:.2f}"]
    good = [row for row in found.values() if "failure" not in row]
    return [*cells, *((error_text(good[-1]), f"{good[-1]['compiled']} of {good[-1]['steps']}") if good else ("", ""))]


def start_lines(record: Record) -> list[str]:
    """Starts and memory in Markdown."""
    rows: list[Row] = record["start"]
    lines = _markdown_head(START_HEADINGS)
    lines += [_markdown_row(start_cells(row)) for row in rows]
    good = [row for row in rows if "failure" not in row]
    if good:
        smaller = sum(row["warm"]["memory"] <= row["theirs"]["memory"] for row in good)
        lines += ["", f"The peak of memory is no higher than onnxruntime's in {smaller} of {len(good)} models."]
        ours, theirs = (statistics.median(row[run]["import"] for row in good) for run in ("warm", "theirs"))
        lines += ["", f"The import takes {ours:.2f} s (onnxruntime's: {theirs:.2f} s) more."]
    return lines + [f"- {sentence}" for sentence in failures({"start": rows})]


def class_lines(record: Record) -> list[str]:
    """The classes of operators in Markdown, summed over the models."""
    lines: list[str] = []
    for threads in sorted({row["threads"] for row in record["classes"]}):
        rows = [row for row in record["classes"] if row["threads"] == threads and "failure" not in row]
        lines += [f"**{threads_text(threads)}**, sums over {len(rows)} models", ""]
        lines += _markdown_head(("class", "onnxlite ms", "onnxruntime ms", "ratio"))
        for name in NAMES:
            found = [row["classes"][name] for row in rows if name in row["classes"]]
            total = {engine: sum(times[engine] for times in found) for engine in ("ours", "theirs")}
            if found:
                cells = [milliseconds(total["ours"]), milliseconds(total["theirs"]), quotient(total)]
                lines.append(_markdown_row([name, *cells]))
        lines.append("")
    return lines + [f"- {sentence}" for sentence in failures({"classes": record["classes"]})]


def _markdown_head(headings: Sequence[str]) -> list[str]:
    return [_markdown_row(headings), _markdown_row(["---", *["---:"] * (len(headings) - 1)])]


def _markdown_row(cells: Sequence[Any]) -> str:
    return f"| {' | '.join(map(str, cells))} |"
