"""The scoreboard on file: ``scoreboard.json`` is the record, ``SCOREBOARD.md`` the same for readers."""

from __future__ import annotations

from pathlib import Path

import onnx

from onnxlite.conformance.cases import load_cases
from onnxlite.conformance.markdown import to_markdown
from onnxlite.conformance.scoreboard import Column, Scoreboard, from_json, to_json

FOLDER = Path(__file__).parent
JSON_NAME = "scoreboard.json"
MARKDOWN_NAME = "SCOREBOARD.md"


def read(folder: Path = FOLDER) -> Scoreboard:
    """The scoreboard in a folder; an empty one where there is none yet."""
    path = folder / JSON_NAME
    return from_json(path.read_text()) if path.exists() else Scoreboard(onnx.__version__, ())


def write(column: Column, folder: Path = FOLDER) -> None:
    """Put the column of a run into the scoreboard in a folder."""
    board = read(folder).with_column(column)
    (folder / JSON_NAME).write_text(to_json(board, load_cases()))
    (folder / MARKDOWN_NAME).write_text(to_markdown(board, load_cases()))


def check(column: Column, folder: Path = FOLDER) -> list[str]:
    """Where the scoreboard in a folder differs from a run, one sentence each; empty if they agree."""
    board = read(folder)
    if board.onnx != onnx.__version__:
        return [f"the scoreboard is of onnx {board.onnx}, the run of onnx {onnx.__version__}"]
    return _differences(board, column) + _stale(board, folder)


def _differences(board: Scoreboard, column: Column) -> list[str]:
    before = next((c for c in board.columns if c.title == column.title), None)
    if before is None:
        return [f"the scoreboard has no column for {column.title}"]
    found = []
    if before.version != column.version:
        found.append(f"the scoreboard is of {column.engine} {before.version}, the run of {column.version}")
    for case in sorted(before.failed | before.skipped | column.failed | column.skipped):
        was, now = before.outcome(case), column.outcome(case)
        if was != now:
            found.append(f"{case}: {was} in the scoreboard, {now} in the run")
    return found


def _stale(board: Scoreboard, folder: Path) -> list[str]:
    """The files that are not what the record's outcomes give (they were edited, or made by other code)."""
    fresh = {JSON_NAME: to_json(board, load_cases()), MARKDOWN_NAME: to_markdown(board, load_cases())}
    return [
        f"{name} is not what --write would make of its outcomes"
        for name, text in fresh.items()
        if not (folder / name).exists() or (folder / name).read_text() != text
    ]
