"""The measurements as tables for the terminal, and how their numbers are written."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.table import Table

from benchmarks.record import Record, Row


def grouped(rows: Iterable[Row], groups: Mapping[str, str]) -> Iterator[tuple[str, list[Row]]]:
    """The groups that have rows: their titles and rows."""
    rows = list(rows)
    for group, title in groups.items():
        found = [row for row in rows if row["group"] == group]
        if found:
            yield title, found


def geometric_mean(rows: Iterable[Row]) -> float | None:
    """The geometric mean of the ratios where the results agree, or None if there is none."""
    ratios = [row["ratio"] for row in rows if row.get("agrees")]
    return statistics.geometric_mean(ratios) if ratios else None


def speed_tables(rows: Sequence[Row], groups: Mapping[str, str]) -> Iterator[Table]:
    """A table for each group, with one line for each model and number of threads, and one for all of them together."""
    for title, members in grouped(rows, groups):
        table = _table(
            f"{title} (milliseconds)", "model", "threads", "onnxlite", "onnxruntime", "ratio", "error", "compiled"
        )
        for row in members:
            table.add_row(row["model"], str(row["threads"]), *_speed_cells(row))
        table.add_section()
        for threads, mean in means(members):
            table.add_row("geometric mean", str(threads), "", "", _coloured(mean), "", "")
        yield table
    table = _table("all models", "geometric mean", "threads", "ratio")
    for threads, mean in means(rows):
        table.add_row("", str(threads), _coloured(mean))
    yield table


def _table(title: str, *headings: str) -> Table:
    table = Table(*headings, title=title, title_justify="left")
    table.columns[0].no_wrap = True
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def means(rows: Sequence[Row]) -> Iterator[tuple[int, float]]:
    """The geometric means of the ratios, by number of threads."""
    for threads in sorted({row["threads"] for row in rows}):
        mean = geometric_mean(row for row in rows if row["threads"] == threads)
        if mean is not None:
            yield threads, mean


def _speed_cells(row: Row) -> tuple[str, ...]:
    if "failure" in row:
        return ("[red]failed", "", "", "", "")
    return (
        milliseconds(row["ours"]["median"]),
        milliseconds(row["theirs"]["median"]),
        _coloured(row["ratio"]),
        f"[red]{error_text(row)}" if not row["agrees"] else error_text(row),
        f"{row['compiled']}/{row['steps']}",
    )


def _coloured(ratio: float) -> str:
    return f"[{'green' if ratio >= 1 else 'yellow' if ratio >= 0.5 else 'red'}]{ratio:.2f}"


def threads_text(count: int) -> str:
    """The number with its noun."""
    return f"{count} thread{'s' if count > 1 else ''}"


def milliseconds(seconds: float) -> str:
    """Milliseconds with three digits."""
    return f"{seconds * 1e3:.3g}" if seconds < 1 else f"{seconds * 1e3:.0f}"


def error_text(row: Row) -> str:
    """The error and, where it is notable, that of onnxruntime to itself in parentheses."""
    return f"{row['error']:.0e}" + ("" if row["spread"] is None else f" ({row['spread']:.0e})")


def start_table(rows: Sequence[Row]) -> Table:
    """One line for each model."""
    table = _table("starts and memory", *START_HEADINGS)
    for row in rows:
        table.add_row(*start_cells(row))
    return table


START_HEADINGS = (
    "model",
    "NumPy s",
    "cold s",
    "compiled s",
    "warm s",
    "onnxruntime s",
    "memory MiB",
    "onnxruntime MiB",
)


def start_cells(row: Row) -> tuple[str, ...]:
    """The line of one model under `START_HEADINGS`."""
    if "failure" in row:
        return (row["model"], "failed", *[""] * 6)
    cold, warm, theirs = row["cold"], row["warm"], row["theirs"]
    first = [f"{run['session'] + run['first_run']:.2f}" for run in (row["numpy"], cold, warm, theirs)]
    first.insert(2, "later" if cold["settled"] is None else f"{cold['settled']:.2f}")
    return (row["model"], *first, *(f"{run['memory'] / 2**20:.0f}" for run in (warm, theirs)))


def class_tables(rows: Sequence[Row]) -> Iterator[Table]:
    """For each model and number of threads: the classes of operators, and onnxlite's slowest steps."""
    for row in rows:
        if "failure" in row:
            continue
        title = f"{row['model']}, {threads_text(row['threads'])} (milliseconds)"
        table = _table(title, "class", "onnxlite", "onnxruntime", "ratio")
        for name, times in _by_time(row["classes"]):
            table.add_row(name, milliseconds(times["ours"]), milliseconds(times["theirs"]), quotient(times))
        yield table
        table = _table(f"the slowest steps of {row['model']}", "step", "operator", "compiled", "milliseconds")
        for step in row["slowest"]:
            table.add_row(
                step["label"], step["operator"], "yes" if step["compiled"] else "no", milliseconds(step["seconds"])
            )
        yield table


def _by_time(classes: Mapping[str, Mapping[str, float]]) -> list[tuple[str, Mapping[str, float]]]:
    return sorted(classes.items(), key=lambda item: -item[1]["ours"])


def quotient(times: Mapping[str, float]) -> str:
    """The ratio of one class, if both engines have steps in it."""
    return f"{times['theirs'] / times['ours']:.2f}" if times["ours"] and times["theirs"] else ""


def disagreements(rows: Iterable[Row]) -> list[str]:
    """A sentence for each measurement whose results are not onnxruntime's."""
    return [
        f"{row['model']} with {threads_text(row['threads'])}: the results differ by {error_text(row)}; not in the means"
        for row in rows
        if not row.get("agrees", True)
    ]


def failures(record: Record) -> list[str]:
    """A sentence for each measurement that failed."""
    sentences = []
    for rows in (record.get(section, []) for section in ("speed", "start", "classes")):
        for row in rows:
            if "failure" in row:
                threads = f" with {threads_text(row['threads'])}" if "threads" in row else " (start)"
                sentences.append(f"{row['model']}{threads}: {row['failure']}")
    return sentences
