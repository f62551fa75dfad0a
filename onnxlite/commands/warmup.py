"""``onnxlite warmup``: compile what a model needs, so that the next process finds it in the cache."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from onnxlite.commands.common_kernels import run_common_kernels
from onnxlite.commands.jit import add_cache_argument
from onnxlite.commands.run import add_input_arguments, input_feeds
from onnxlite.kernels.cache_folder import cache_folder, choose_cache_folder
from onnxlite.options import COMPILE, SessionOptions
from onnxlite.plan import Plan
from onnxlite.session import InferenceSession


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("model", nargs="?", metavar="MODEL", help="the model's file (default: common kernels)")
    add_input_arguments(parser)
    add_cache_argument(parser)
    parser.add_argument("--threads", type=int, default=0, help="threads to compile for (default: all processors)")


def main(options: argparse.Namespace) -> int:
    """Run the model twice, waiting for the compiler, and print what was compiled and what came from the cache."""
    if options.cache is not None:
        choose_cache_folder(options.cache)
    session_options = SessionOptions()
    session_options.intra_op_num_threads = options.threads
    session_options.add_session_config_entry(COMPILE, "wait")
    calls: Counter[str] = Counter()
    if options.model is None:
        run_common_kernels(session_options)
    else:
        session = InferenceSession(options.model, session_options, providers=["CPUExecutionProvider"])
        options.random = True
        feeds = input_feeds(session, options)
        for _ in range(2):
            session.run(None, feeds)
        _count(session.plan, calls)
    _print(calls)
    return 0


def _count(plan: Plan, calls: Counter[str]) -> None:
    """Add how often a run of the plan, the bodies of its loops once, calls each kernel."""
    programs: Sequence[Any] = plan.programs.programs() if plan.programs is not None else ()  # type: ignore[attr-defined]
    for program in programs:
        for command in program.commands:
            if command.bound is not None:
                function = command.bound.function.py_func
                calls[f"{function.__module__}.{function.__qualname__}"] += 1
    for step in plan.steps:
        for _, body in step.bodies:
            _count(body, calls)


def _print(calls: Mapping[str, int]) -> None:
    from onnxlite.kernels.numba.machine.jit import LEDGER

    table = Table("kernel", "seconds", "KiB", "from", "steps", title="compiled kernels", title_justify="left")
    ledger = list(LEDGER)
    for entry in ledger:
        table.add_row(
            entry.kernel.removeprefix("onnxlite.kernels.numba."),
            f"{entry.seconds:.3f}",
            f"{entry.size / 1024:.0f}",
            "cache" if entry.from_cache else "compiler",
            str(calls.get(entry.kernel, "")),
        )
    console = Console() if sys.stdout.isatty() else Console(width=120)
    console.print(table)
    compiled = [entry for entry in ledger if not entry.from_cache]
    console.print(
        f"{len(ledger)} kernels, {len(compiled)} of them compiled in {sum(e.seconds for e in compiled):.1f} s; "
        f"cache: {cache_folder() or 'none'}"
    )
