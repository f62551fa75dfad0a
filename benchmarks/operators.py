"""``python -m benchmarks.operators``: single operators on onnxlite and onnxruntime; ``--help`` lists the options."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import onnx
from rich.console import Console

from benchmarks.catalogue import Model
from benchmarks.command import Harness, add_arguments, chosen, open_console
from benchmarks.markdown import speed_lines
from benchmarks.operator_cases import CASES, build
from benchmarks.record import Record
from benchmarks.tables import speed_tables

_GROUPS = {name: name for name in CASES}


def main() -> int:
    """Measure the operators and print the tables; 1 if a measurement failed."""
    parser = argparse.ArgumentParser("python -m benchmarks.operators", description=__doc__)
    add_arguments(parser)
    return measure_operators(parser.parse_args(), open_console())


def measure_operators(options: argparse.Namespace, console: Console) -> int:
    """Measure the operators and print the tables; 1 if a measurement failed."""
    with tempfile.TemporaryDirectory() as folder:
        harness = Harness(options, console)
        for model in chosen(_models(Path(folder)), options.model):
            harness.compare(model)
    console.print(*speed_tables(harness.record["speed"], _GROUPS))
    return harness.finish("operators", _markdown)


def _models(folder: Path) -> list[Model]:
    return [
        Model(name, group, partial(_written, text, folder / f"{name}.onnx"))
        for group, cases in CASES.items()
        for name, text in cases.items()
    ]


def _written(text: str, path: Path) -> Path:
    if not path.exists():
        onnx.save(build(text), path)
    return path


def _markdown(record: Record) -> Mapping[str, Sequence[str]]:
    return {"operators": speed_lines(record, _GROUPS)}


if __name__ == "__main__":
    sys.exit(main())
