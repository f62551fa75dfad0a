"""``python -m benchmarks.worker``: one measurement of one model in a process of its own, started by the harness.

The modules that a mode needs are imported by it: what is in memory, and how long imports take, is part of the result.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

THEIRS = "onnxruntime"
_RIVAL = "CPUExecutionProvider"
#: The inputs that results are compared on; the first ones are timed.
_SEEDS = (0, 1)
#: How often inputs are changed a little to see what that does to the results.
_NUDGES = 3
#: How many seconds of a cold start kernels get to be compiled: a model with many takes a minute.
_PATIENCE = 5


class Failure(Exception):
    """One of the engines failed; the text says which and how."""


def main() -> int:
    """Measure, and write the result, or why there is none, as JSON."""
    parser = argparse.ArgumentParser("python -m benchmarks.worker")
    parser.add_argument("mode", choices=sorted(_MODES))
    parser.add_argument("path", type=Path)
    parser.add_argument("--engine", default="onnxlite")
    parser.add_argument("--provider", default=_RIVAL)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--recipes", type=json.loads, default={})
    parser.add_argument("--result", type=Path, required=True)
    options = parser.parse_args()
    try:
        result = _MODES[options.mode](options)
    except Failure as failure:
        result = {"failure": str(failure)}
    options.result.write_text(json.dumps(result), encoding="utf-8")
    return 0


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """The speed of both engines, and how far their results are apart."""
    from benchmarks.agreement import NOTABLE, agrees
    from benchmarks.feeds import random_feeds
    from benchmarks.measure import interleaved
    from benchmarks.steps import compiled_share

    theirs = _open(THEIRS, options)
    ours = _open("onnxlite", options)
    fed = [random_feeds(theirs, options.recipes, seed) for seed in _SEEDS]
    error = max(_difference(ours, theirs, feeds) for feeds in fed)
    spread = _own_spread(theirs, fed, options) if error > NOTABLE else None
    feeds = fed[0]
    calls = [functools.partial(session.run, None, feeds) for session in (ours, theirs)]
    timings = interleaved(calls, options.seconds, options.threads)
    compiled, steps = compiled_share(ours)
    return {
        "ours": timings[0],
        "theirs": timings[1],
        "ratio": timings[1]["median"] / timings[0]["median"],
        "error": error,
        "spread": spread,
        "agrees": agrees(error, spread),
        "compiled": compiled,
        "steps": steps,
    }


def start(options: argparse.Namespace) -> dict[str, Any]:
    """How long one engine takes until it has given the first results, and the most memory that it had.

    ``settled`` counts from the same moment as ``session`` until everything is compiled; None if that takes too long.
    """
    begin = time.perf_counter()
    importlib.import_module(options.engine)
    imported = time.perf_counter()
    session = _open(options.engine, options)
    opened = time.perf_counter()
    from benchmarks.feeds import random_feeds

    feeds = random_feeds(session, options.recipes, 0)
    fed = time.perf_counter()
    _run(options.engine, session, feeds)
    ran = time.perf_counter()
    done = options.engine == THEIRS or _settle(session, feeds)
    settled = time.perf_counter()
    for _ in range(2):
        session.run(None, feeds)
    return {
        "import": imported - begin,
        "session": opened - imported,
        "first_run": ran - fed,
        "settled": settled - fed + opened - imported if done else None,
        "memory": _peak_memory(),
    }


def _settle(session: Any, feeds: Mapping[str, Any]) -> bool:
    """Run until all kernels are compiled, which happens beside the runs; whether that was soon enough."""
    from benchmarks.steps import is_settled

    end = time.perf_counter() + _PATIENCE
    while not is_settled(session):
        if time.perf_counter() > end:
            return False
        time.sleep(0.01)
        session.run(None, feeds)
    return True


def classes(options: argparse.Namespace) -> dict[str, Any]:
    """The time that each engine spends in each class of operators, and onnxlite's slowest steps."""
    from benchmarks.classes import class_of
    from benchmarks.feeds import random_feeds
    from benchmarks.steps import step_times

    ours = _open("onnxlite", options)
    feeds = random_feeds(ours, options.recipes, 0)
    for _ in range(2):
        _run("onnxlite", ours, feeds)
    steps = step_times(ours, feeds, options.seconds / 2)
    spent: defaultdict[str, dict[str, float]] = defaultdict(lambda: {"ours": 0.0, "theirs": 0.0})
    for step in steps:
        spent[class_of(step.operator)]["ours"] += step.seconds
    for operator, seconds in _profiled(feeds, options).items():
        spent[class_of(operator)]["theirs"] += seconds
    return {
        "classes": dict(sorted(spent.items())),
        "slowest": [step._asdict() for step in sorted(steps, key=lambda step: -step.seconds)[:10]],
    }


_MODES = {"compare": compare, "start": start, "classes": classes}


def _open(engine: str, options: argparse.Namespace, **settings: Any) -> Any:
    """A session of either engine: the names are the same."""
    try:
        module = importlib.import_module(engine)
        session_options = module.SessionOptions()
        session_options.intra_op_num_threads = options.threads
        session_options.log_severity_level = 3
        for name, value in settings.items():
            setattr(session_options, name, value)
        provider = _RIVAL if engine == THEIRS else options.provider
        return module.InferenceSession(str(options.path), session_options, providers=[provider])
    except Exception as error:
        raise Failure(_described(engine, error)) from error


def _run(engine: str, session: Any, feeds: Mapping[str, Any]) -> list[Any]:
    try:
        results: list[Any] = session.run(None, feeds)
        return results
    except Exception as error:
        raise Failure(_described(engine, error)) from error


def _described(engine: str, error: Exception) -> str:
    return f"{engine}: {type(error).__name__}: {error}".splitlines()[0][:300]


def _difference(ours: Any, theirs: Any, feeds: Mapping[str, Any]) -> float:
    from benchmarks.agreement import error

    try:
        return error(_run("onnxlite", ours, feeds), _run(THEIRS, theirs, feeds))
    except ValueError as difference:
        raise Failure(f"the results differ: {difference}") from difference


def _own_spread(theirs: Any, fed: Sequence[Mapping[str, Any]], options: argparse.Namespace) -> float:
    """How far onnxruntime's results are from its own, with what rounding does to this model.

    That is without optimizations, and with inputs changed by about one millionth.
    """
    from benchmarks.agreement import error
    from benchmarks.feeds import nudged

    level = importlib.import_module(THEIRS).GraphOptimizationLevel.ORT_DISABLE_ALL
    plain = _open(THEIRS, options, graph_optimization_level=level)
    spread = 0.0
    for feeds in fed:
        expected = _run(THEIRS, theirs, feeds)
        others = [_run(THEIRS, plain, feeds), *(_run(THEIRS, theirs, nudged(feeds, seed)) for seed in range(_NUDGES))]
        spread = max(spread, *(error(results, expected) for results in others))
    return spread


def _profiled(feeds: Mapping[str, Any], options: argparse.Namespace) -> dict[str, float]:
    from benchmarks.ort_profile import operator_times

    with tempfile.TemporaryDirectory() as folder:
        prefix = str(Path(folder) / "profile")
        session = _open(THEIRS, options, enable_profiling=True, profile_file_prefix=prefix)
        warming = 2
        for _ in range(warming):
            _run(THEIRS, session, feeds)
        end, count = time.perf_counter() + options.seconds / 2, 0
        while count < 3 or (time.perf_counter() < end and count < 500):  # the profile holds every event
            session.run(None, feeds)
            count += 1
        return operator_times(Path(session.end_profiling()), warming)


def _peak_memory() -> int:
    """The most bytes of memory that this process has had at once."""
    try:  # what getrusage tells includes what the parent had when it started this process
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    sys.exit(main())
