"""The command: run the suite on an engine, show what happened, and keep or check the scoreboard."""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from onnxlite.conformance import record
from onnxlite.conformance.cases import KINDS, Case, load_cases
from onnxlite.conformance.engines import ENGINES, Engine, find_engine
from onnxlite.conformance.runner import Outcome, Result, run_cases
from onnxlite.conformance.scoreboard import column_of
from onnxlite.conformance.workers import run_isolated

#: Some engines list everything that they do know.
_LONGEST_REASON = 400

_STYLES = {Outcome.PASS: "green", Outcome.FAIL: "red", Outcome.SKIP: "yellow"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to a parser; what it parses goes to `main`."""
    first = next(iter(ENGINES))
    parser.add_argument(
        "--engine", default=first, help=f"{', '.join(ENGINES)} or module:attribute of an Engine (default: {first})"
    )
    parser.add_argument("--provider", help="the execution provider (default: the engine's own default)")
    parser.add_argument(
        "-k",
        metavar="PATTERN",
        default="",
        help="only cases with this in their name (a regular expression), or that call the operator of this name",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="worker processes; 0 runs the cases in this process, where a crash ends it all (default: 1)",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=120.0,
        metavar="SECONDS",
        help="that a case may take in a worker (default: 120)",
    )
    parser.add_argument(
        "--folder", type=Path, default=record.FOLDER, help="where the scoreboard's files are (default: in the package)"
    )
    files = parser.add_mutually_exclusive_group()
    files.add_argument("--write", action="store_true", help="put the outcome into the scoreboard's files")
    files.add_argument("--check", action="store_true", help="say where the outcome differs from the scoreboard's files")


def main(args: argparse.Namespace, console: Console | None = None) -> int:
    """Run the command; 0 if no case fails and the check, if asked for, finds no difference, 1 if not, 2 if misused."""
    console = console or Console()
    try:
        engine, provider = _chosen(args)
        cases = _selected(load_cases(), args.k)
    except (LookupError, ImportError, re.error) as error:
        console.print(f"[red]{escape(str(error))}")
        return 2
    if args.k and (args.write or args.check):
        console.print("[red]--write and --check are about the whole suite: leave out -k")
        return 2
    if args.jobs:
        running = run_isolated(cases, args.engine, provider, jobs=args.jobs, timeout=args.timeout)
    else:
        running = run_cases(cases, engine, provider)
    results = _followed(running, len(cases), f"{engine.name} {provider}", console)
    console.print(_summary(cases, results))
    column = column_of(engine, provider, results)
    if args.write:
        record.write(column, args.folder)
        console.print(f"wrote {record.JSON_NAME} and {record.MARKDOWN_NAME}")
    if args.check:
        found = record.check(column, args.folder)
        console.print("\n".join(map(escape, found)) or "the scoreboard agrees")
        return 1 if found else 0  # failures that the scoreboard owns up to are no news
    return 1 if column.failed else 0


def _chosen(args: argparse.Namespace) -> tuple[Engine, str]:
    engine = find_engine(args.engine)
    provider = engine.default_provider if args.provider is None else args.provider
    available = list(engine.providers())
    if provider not in available:
        raise LookupError(f"{engine.name} has no provider {provider!r} here; available: {', '.join(available)}")
    return engine, provider


def _selected(cases: Iterable[Case], pattern: str) -> list[Case]:
    wanted = re.compile(pattern)
    chosen = [c for c in cases if wanted.search(c.name) or any(pattern == operator.name for operator in c.operators)]
    if not chosen:
        raise LookupError(f"no case matches {pattern!r}")
    return chosen


def _followed(running: Iterable[Result], count: int, title: str, console: Console) -> list[Result]:
    """The results, in the order of their names; what does not pass is shown when it happens."""
    results = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(title.strip(), total=count)
        for result in running:
            results.append(result)
            progress.advance(task)
            if result.outcome is not Outcome.PASS:
                progress.console.print(_line(result), soft_wrap=True)
    return sorted(results, key=lambda result: result.case)


def _line(result: Result) -> str:
    reason = result.reason if len(result.reason) <= _LONGEST_REASON else result.reason[:_LONGEST_REASON] + "..."
    return f"[{_STYLES[result.outcome]}]{result.outcome.upper()}[/] {result.case}: {escape(reason)}"


def _summary(cases: Sequence[Case], results: Iterable[Result]) -> Table:
    table = Table("kind", *(outcome.value for outcome in Outcome))
    kinds = {case.name: case.kind for case in cases}
    counts = Counter((kinds[result.case], result.outcome) for result in results)
    for kind in KINDS:
        if any(counts[kind, outcome] for outcome in Outcome):
            table.add_row(kind, *(_number(outcome, counts[kind, outcome]) for outcome in Outcome))
    table.add_section()
    table.add_row("all", *(_number(o, sum(counts[kind, o] for kind in KINDS)) for o in Outcome))
    return table


def _number(outcome: Outcome, count: int) -> str:
    return f"[{_STYLES[outcome]}]{count}[/]" if count else "0"
