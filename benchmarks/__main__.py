"""``python -m benchmarks``: whole models on onnxlite and onnxruntime; ``--help`` lists the options."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.catalogue import GROUPS, models
from benchmarks.command import Harness, add_arguments, chosen, open_console
from benchmarks.markdown import class_lines, speed_lines, start_lines
from benchmarks.operators import measure_operators
from benchmarks.plot import speed_chart
from benchmarks.process import ROOT
from benchmarks.record import Record
from benchmarks.tables import class_tables, speed_tables, start_table

#: How long a measurement takes at most where everything is measured.
_SECONDS_OF_MANY = 2.0

_FOLDER = ROOT / ".pytest_cache" / "d" / "models"


def main() -> int:
    """Measure the models and print the tables; 1 if a measurement failed."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    add_arguments(parser)
    parser.add_argument(
        "--models", type=Path, default=_FOLDER, metavar="DIR", help="a folder of models; fetched ones are kept there"
    )
    parser.add_argument(
        "--operators", action="store_true", help="measure classes of operators inside the models instead of whole runs"
    )
    parser.add_argument(
        "--full", action="store_true", help="measure whole runs, starts, classes of operators and single operators"
    )
    parser.add_argument("--starts", action="store_true", help="measure starts and memory alone")
    options = parser.parse_args()
    if options.full:
        options.seconds = min(options.seconds, _SECONDS_OF_MANY)
    console = open_console()
    harness = Harness(options, console)
    for model in chosen(models(options.models), options.model):
        if options.full or not (options.operators or options.starts):
            harness.compare(model)
        if options.full or options.starts or not (options.operators or options.quick):
            harness.start(model)
        if options.full or options.operators:
            harness.classes(model)
    _print(harness.record, console)
    status = harness.finish("models", _markdown, _charts)
    if options.full:
        options.model, options.threads, options.quick = None, options.threads[:1], True
        status |= measure_operators(options, console)
    return status


def _print(record: Record, console: Console) -> None:
    if record["speed"]:
        console.print(*speed_tables(record["speed"], GROUPS))
    if record["start"]:
        console.print(start_table(record["start"]))
    console.print(*class_tables(record["classes"]))


def _charts(record: Record) -> Mapping[str, str]:
    return {"performance": speed_chart(record, GROUPS)} if record["speed"] else {}


def _markdown(record: Record) -> Mapping[str, Sequence[str]]:
    tables: dict[str, Sequence[str]] = {}
    if record["speed"]:
        tables["models"] = speed_lines(record, GROUPS)
    if record["start"]:
        tables["starts"] = start_lines(record)
    if record["classes"]:
        tables["classes"] = class_lines(record)
    return tables


if __name__ == "__main__":
    sys.exit(main())
