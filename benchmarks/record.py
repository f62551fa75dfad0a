"""The record of measurements: JSON beside the code, and tables in the documentation.

A record is ``{"environment": ..., "speed": [...], "start": [...], "classes": [...]}``; every row names its model and,
but for starts, its threads, and has either a result or a ``failure``.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

Row: TypeAlias = dict[str, Any]
Record: TypeAlias = dict[str, Any]

SECTIONS = ("speed", "start", "classes")
_RESULTS = Path("benchmarks") / "results"
_PAGE = Path("docs") / "performance.md"


def read(root: Path, name: str) -> Record | None:
    """The record of a name, or None."""
    path = root / _RESULTS / f"{name}.json"
    if not path.exists():
        return None
    content: Record = json.loads(path.read_text(encoding="utf-8"))
    return content


def merged(old: Record | None, new: Record) -> Record:
    """The new rows, and those old ones that they do not replace; rows from another environment are dropped."""
    if old is None or old["environment"] != new["environment"]:
        return new
    record: Record = {"environment": new["environment"]}
    for section in SECTIONS:
        rows = {_key(row): row for row in [*old.get(section, []), *new.get(section, [])]}
        record[section] = list(rows.values())
    return record


def _key(row: Row) -> tuple[str, int]:
    return row["model"], row.get("threads", 0)


def write(root: Path, name: str, record: Record) -> Path:
    """Write the record; returns its path."""
    path = root / _RESULTS / f"{name}.json"
    _replace(path, json.dumps(record, indent=1) + "\n")
    return path


def write_tables(root: Path, tables: Mapping[str, Sequence[str]]) -> Path:
    """Write tables, lines of Markdown by the name of their place, into the documentation; returns the page's path."""
    page = root / _PAGE
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    for place, lines in tables.items():
        text = with_table(text, place, lines)
    _replace(page, text)
    return page


def write_chart(root: Path, name: str, text: str) -> Path:
    """Write a chart, SVG, beside the documentation's page; returns its path."""
    path = (root / _PAGE).with_name(f"{name}.svg")
    _replace(path, text)
    return path


def with_table(text: str, place: str, lines: Sequence[str]) -> str:
    """The text with the lines between the place's markers; at the end if it has no such markers."""
    begin, end = f"<!-- {place} -->", f"<!-- end of {place} -->"
    block = "\n".join([begin, "", *lines, "", end])
    found = re.search(f"{re.escape(begin)}.*?{re.escape(end)}", text, re.DOTALL)
    if found is None:
        return f"{text}\n{block}\n"
    return text[: found.start()] + block + text[found.end() :]


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.writing")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
