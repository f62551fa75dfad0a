"""``onnxlite warmup``: compile what a model needs, so that the next process finds it in the cache."""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.table import Table

from onnxlite.commands.run import add_input_arguments, input_feeds
from onnxlite.options import COMPILE, SessionOptions
from onnxlite.session import InferenceSession


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("model", metavar="MODEL", help="the model's file")
    add_input_arguments(parser)
    parser.add_argument("--threads", type=int, default=0, help="threads to compile for (default: all processors)")


def main(options: argparse.Namespace) -> int:
    """Run the model twice, waiting for the compiler, and print what was compiled and what came from the cache."""
    from onnxlite.kernels.numba.jit import LEDGER, cache_folder

    session_options = SessionOptions()
    session_options.intra_op_num_threads = options.threads
    session_options.add_session_config_entry(COMPILE, "wait")
    session = InferenceSession(options.model, session_options, providers=["CPUExecutionProvider"])
    options.random = True
    feeds = input_feeds(session, options)
    for _ in range(2):
        session.run(None, feeds)
    table = Table("kernel", "seconds", "from", title="compiled kernels", title_justify="left")
    ledger = list(LEDGER)
    for entry in ledger:
        source = "cache" if entry.from_cache else "compiler"
        table.add_row(entry.kernel.removeprefix("onnxlite.kernels.numba."), f"{entry.seconds:.3f}", source)
    console = Console()
    console.print(table)
    compiled = [entry for entry in ledger if not entry.from_cache]
    console.print(
        f"{len(ledger)} kernels, {len(compiled)} of them compiled in {sum(e.seconds for e in compiled):.1f} s; "
        f"cache: {cache_folder() or 'none'}"
    )
    return 0
