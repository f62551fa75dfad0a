"""What both commands share: options, the loop over models and threads, and what is done with the record."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import record as records
from benchmarks.catalogue import Model
from benchmarks.environment import described, environment
from benchmarks.process import ROOT, measured
from benchmarks.record import Record, Row
from benchmarks.tables import disagreements, failures, milliseconds, threads_text

#: What is timed runs in compiled code from the start.
_COMPILED = {"ONNXLITE_COMPILE": "wait"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of both commands."""
    parser.add_argument(
        "--threads", type=int, nargs="+", default=[1, 2], metavar="N", help="how many threads both engines use (1 2)"
    )
    parser.add_argument("--model", nargs="+", metavar="NAME", help="only these; a name may end in *")
    parser.add_argument("--provider", default="CPUExecutionProvider", metavar="NAME", help="onnxlite's provider")
    parser.add_argument(
        "--seconds", type=float, default=4.0, metavar="S", help="about how long one measurement takes (4)"
    )
    parser.add_argument("--quick", action="store_true", help="half a second for each measurement, and no starts")
    parser.add_argument(
        "--write",
        nargs="?",
        type=Path,
        const=ROOT,
        metavar="DIR",
        help="write benchmarks/results and the tables in docs/performance.md, under DIR instead of here",
    )


def open_console() -> Console:
    """The terminal, or a wide page where there is none."""
    return Console() if sys.stdout.isatty() else Console(width=120)


def chosen(models: Sequence[Model], names: Sequence[str] | None) -> list[Model]:
    """The models of these names, all if there are none.

    Raises:
        SystemExit: No model has one of the names.
    """
    if not names:
        return list(models)
    found = []
    for pattern in names:
        matching = [model for model in models if _matches(model.name, pattern)]
        if not matching:
            raise SystemExit(f"no model is called {pattern}; there are {', '.join(model.name for model in models)}")
        found += matching
    return list(dict.fromkeys(found))


def _matches(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


class Harness:
    """Measures models one after the other and keeps the rows; a model that fails is a row too."""

    def __init__(self, options: argparse.Namespace, console: Console) -> None:
        self.options = options
        self.console = console
        self.record: Record = {"environment": environment(), "speed": [], "start": [], "classes": []}
        self._say(described(self.record["environment"]))

    def compare(self, model: Model) -> None:
        """Measure the speed with each number of threads."""
        for threads in self.options.threads:
            row = self._row(model, "speed", threads, partial(self._measured, "compare", model, threads))
            if "failure" not in row:
                ours, theirs = (milliseconds(row[engine]["median"]) for engine in ("ours", "theirs"))
                line = f"{ours} ms, onnxruntime {theirs} ms, ratio {row['ratio']:.2f}, error {row['error']:.0e}"
                self._say(f"{model.name}, {threads_text(threads)}: {line}")

    def start(self, model: Model) -> None:
        """Measure cold and warm starts, and memory, with the most threads."""
        self._row(model, "start", None, partial(self._starts, model, max(self.options.threads)))

    def classes(self, model: Model) -> None:
        """Measure the time in each class of operators, with the fewest threads."""
        for threads in self.options.threads[:1]:
            self._row(model, "classes", threads, partial(self._measured, "classes", model, threads))

    def _row(self, model: Model, section: str, threads: int | None, measure: Callable[[Path], dict[str, Any]]) -> Row:
        row: Row = {"model": model.name, "group": model.group}
        if threads is not None:
            row["threads"] = threads
        try:
            row |= measure(model.locate())
        except OSError as error:
            row["failure"] = str(error)
        if "failure" in row:
            self._say(f"{model.name}: {row['failure']}", "red")
        self.record[section].append(row)
        return row

    def _measured(
        self,
        mode: str,
        model: Model,
        threads: int,
        path: Path,
        environment: Mapping[str, str] = _COMPILED,
        **more: Any,
    ) -> dict[str, Any]:
        seconds = min(self.options.seconds, 0.5) if self.options.quick else self.options.seconds
        return measured(
            mode,
            path,
            threads,
            environment,
            **{
                "provider": self.options.provider,
                "seconds": seconds,
                "recipes": json.dumps(model.recipes),
                **more,
            },
        )

    def _starts(self, model: Model, threads: int, path: Path) -> dict[str, Any]:
        row: dict[str, Any] = {}
        with tempfile.TemporaryDirectory() as empty:
            # The other starts find in the cache what was compiled for the measurements of speed.
            for name, engine, variables, provider in (
                ("cold", "onnxlite", {"ONNXLITE_CACHE_DIR": empty}, self.options.provider),
                ("warm", "onnxlite", {}, self.options.provider),
                ("numpy", "onnxlite", {}, "ReferenceExecutionProvider"),
                ("theirs", "onnxruntime", {}, self.options.provider),
            ):
                result = self._measured("start", model, threads, path, variables, engine=engine, provider=provider)
                if "failure" in result:
                    return result
                row[name] = result
        return row

    def finish(
        self,
        name: str,
        tables: Callable[[Record], Mapping[str, Sequence[str]]],
        charts: Callable[[Record], Mapping[str, str]] | None = None,
    ) -> int:
        """List what failed or differs, write the record if that is asked for, and return the exit status."""
        wrong = [f"failed: {sentence}" for sentence in failures(self.record)] + disagreements(self.record["speed"])
        for sentence in wrong:
            self._say(sentence, "red")
        if self.options.write is not None:
            root = self.options.write
            record = records.merged(records.read(root, name), self.record)
            self._say(f"wrote {records.write(root, name, record)}")
            self._say(f"wrote {records.write_tables(root, tables(record))}")
            for chart, text in (charts(record) if charts else {}).items():
                self._say(f"wrote {records.write_chart(root, chart, text)}")
        return int(bool(wrong))

    def _say(self, text: str, style: str = "") -> None:
        self.console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)
