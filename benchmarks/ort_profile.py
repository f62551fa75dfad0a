"""Times per operator from onnxruntime's own profile."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

_CONTROL = frozenset({"If", "Loop", "Scan"})


def operator_times(profile: Path, skipped: int) -> dict[str, float]:
    """The seconds of a run by operator, as medians over the runs after those that are skipped.

    What runs inside a control-flow operator counts as that operator's.
    """
    events = json.loads(profile.read_text(encoding="utf-8"))
    runs = sorted(
        (event["ts"], event["ts"] + event["dur"])
        for event in events
        if event["cat"] == "Session" and event["name"] == "model_run"
    )[skipped:]
    nodes = [e for e in events if e["cat"] == "Node" and e["name"].endswith("_kernel_time")]
    nodes.sort(key=lambda event: (event["ts"], -event["dur"]))
    totals = [_totals([node for node in nodes if start <= node["ts"] < end]) for start, end in runs]
    operators = set().union(*totals) if totals else set()
    return {name: statistics.median(total[name] for total in totals) for name in sorted(operators)}


def _totals(nodes: list[dict[str, Any]]) -> Counter[str]:
    total: Counter[str] = Counter()
    inner_until = -1
    for node in nodes:
        if node["ts"] < inner_until:
            continue
        operator = node["args"]["op_name"]
        total[operator] += node["dur"] * 1e-6
        if operator in _CONTROL:
            inner_until = node["ts"] + node["dur"]
    return total
