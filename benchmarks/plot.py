"""A bar chart of ratios as SVG, written by hand: a row for each model, a bar for each kind of measurement."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from benchmarks.record import Record, Row
from benchmarks.tables import threads_text

_WIDTH, _LABELS, _RIGHT, _ROW, _TOP = 900, 190, 50, 12, 60
_LOW, _HIGH = 1 / 4, 4
_COLOURS = ("#3b6ea5", "#8fb3d9", "#b5651d")


def speed_chart(record: Record, groups: Mapping[str, str]) -> str:
    """The ratios of the models whose results agree, by number of threads, and those of their peak memory."""
    rows = [row for row in record["speed"] if row.get("agrees")]
    counts = sorted({row["threads"] for row in rows})
    ratios = {
        f"speed, {threads_text(count)}": {row["model"]: row["ratio"] for row in rows if row["threads"] == count}
        for count in counts
    }
    memory = {row["model"]: _memory_ratio(row) for row in record["start"] if "failure" not in row}
    order = sorted(rows, key=lambda row: (list(groups).index(row["group"]), row["model"]))
    names = list(dict.fromkeys(row["model"] for row in order))
    return bar_chart("onnxruntime's time and memory, divided by onnxlite's", names, {**ratios, "memory": memory})


def _memory_ratio(row: Row) -> float:
    return float(row["theirs"]["memory"] / row["warm"]["memory"])


def bar_chart(title: str, names: Sequence[str], series: Mapping[str, Mapping[str, float]]) -> str:
    """Bars from 1, on a logarithmic scale, to the right where the value is larger; values at the ends.

    Args:
        title: What is shown.
        names: The names of the rows, in order.
        series: The values by name, for each kind of bar.
    """
    shown = {kind: values for kind, values in series.items() if values}
    step = _ROW * (len(shown) + 1)
    height = _TOP + step * len(names) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" '
        'font-size="11">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        _text(10, 18, title, size=14),
    ]
    for index, kind in enumerate(shown):
        parts.append(f'<rect x="{10 + 170 * index}" y="28" width="10" height="10" fill="{_COLOURS[index % 3]}"/>')
        parts.append(_text(25 + 170 * index, 37, kind))
    for value in (0.25, 0.5, 1, 2, 4):
        x = _place(value)
        colour = "#444" if value == 1 else "#ddd"
        parts.append(f'<line x1="{x:.1f}" y1="{_TOP - 8}" x2="{x:.1f}" y2="{height - 15}" stroke="{colour}"/>')
        parts.append(_text(x, _TOP - 12, f"{value:g}", anchor="middle"))
    for row, name in enumerate(names):
        y = _TOP + row * step
        parts.append(_text(_LABELS - 8, y + step / 2 - 2, name, anchor="end"))
        for index, values in enumerate(shown.values()):
            if name in values:
                parts += _bar(y + index * _ROW, values[name], _COLOURS[index % 3])
    return "\n".join([*parts, "</svg>", ""])


def _bar(y: float, value: float, colour: str) -> list[str]:
    start, end = sorted((_place(1), _place(value)))
    bar = f'<rect x="{start:.1f}" y="{y:.1f}" width="{end - start:.1f}" height="{_ROW - 2}" fill="{colour}"/>'
    return [bar, _text(end + 3, y + _ROW - 3, f"{value:.2f}", size=9)]


def _place(value: float) -> float:
    """The horizontal place of a ratio; what is off the scale is at its end."""
    share = math.log(min(max(value, _LOW), _HIGH) / _LOW) / math.log(_HIGH / _LOW)
    return _LABELS + share * (_WIDTH - _LABELS - _RIGHT)


def _text(x: float, y: float, text: str, anchor: str = "start", size: int = 11) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escape(text)}</text>'
