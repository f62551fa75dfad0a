"""``onnxlite jit``: the cache of compiled kernels: what is in it, the code of one kernel, and how to empty it."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from onnxlite.kernels.cache_folder import cache_folder, choose_cache_folder

if TYPE_CHECKING:
    from onnxlite.kernels.numba.machine.store import Entry

_PREFIX = "onnxlite.kernels.numba."


def add_cache_argument(parser: argparse.ArgumentParser) -> None:
    """The option for the cache's folder."""
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="the cache's folder (default: as ONNXLITE_CACHE_DIR says)"
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("kernel", nargs="?", metavar="KERNEL", help="only kernels whose names contain this")
    add_cache_argument(parser)
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--source", action="store_true", help="print the kernels' Python source")
    action.add_argument("--asm", action="store_true", help="print the kernels' machine code, as assembly language")
    action.add_argument("--clear", action="store_true", help="remove the kernels from the cache")
    action.add_argument(
        "--prune", action="store_true", help="remove what was compiled for other versions, sources or processors"
    )


def main(options: argparse.Namespace) -> int:
    """Do what the options say with the kernels in the cache; 1 if none has the name that was asked for."""
    if options.cache is not None:
        choose_cache_folder(options.cache)
    folder = cache_folder()
    if folder is None:
        print("there is no cache: ONNXLITE_CACHE_DIR is empty", file=sys.stderr)
        return 1
    from onnxlite.kernels.numba.machine import store

    if options.clear and options.kernel is None:
        print(f"removed {store.clear(folder)} kernels from {folder}")
        return 0
    found = [entry for entry in store.entries(folder) if (options.kernel or "") in entry.description.kernel]
    if options.clear or options.prune:
        gone = [entry for entry in found if options.clear or not _is_current(entry)]
        print(f"removed {sum(store.remove(entry.path) for entry in gone)} kernels from {folder}")
        return 0
    if options.kernel is not None and not found:
        print(f"no kernel in {folder} has a name with '{options.kernel}'", file=sys.stderr)
        return 1
    if options.source or options.asm:
        for entry in found:
            _print_code(entry, options.asm)
        return 0
    _print_table(found, folder)
    return 0


def _is_current(entry: Entry) -> bool:
    """Whether this version of the package would use the file on this machine."""
    from numba.core.registry import cpu_target

    from onnxlite.kernels.numba.machine.jit import processor, versions

    description = entry.description
    module = description.kernel
    while "." in module and module not in sys.modules:
        module = module.rpartition(".")[0]
    ours = processor(cpu_target.target_context.codegen())
    return description.processor == ours and description.versions == versions(module)


def _print_code(entry: Entry, assembly: bool) -> None:
    description = entry.description
    print(f"# {description.kernel} ({description.place})")
    print(f"# {description.signature}")
    if assembly:
        from onnxlite.kernels.numba.machine.assembly import assembly_of

        print(assembly_of(entry.path) or "# the machine code cannot be shown on this machine")
    else:
        print(description.source or "# the source was not kept")


def _print_table(found: Sequence[Entry], folder: Path) -> None:
    table = Table("kernel", "source", "seconds", "KiB", "last used", "for", "current", title_justify="left")
    for entry in sorted(found, key=lambda entry: entry.description.kernel):
        description = entry.description
        table.add_row(
            description.kernel.removeprefix(_PREFIX) + _short(description.signature),
            description.place,
            f"{description.seconds:.2f}",
            f"{entry.size / 1024:.0f}",
            time.strftime("%Y-%m-%d", time.localtime(entry.last_used)),
            f"{_processor_name(description.processor)}, Numba {description.versions[1]}",
            "yes" if _is_current(entry) else "no",
        )
    console = Console() if sys.stdout.isatty() else Console(width=200)
    console.print(table)
    seconds = sum(entry.description.seconds for entry in found)
    size = sum(entry.size for entry in found) / 2**20
    console.print(f"{len(found)} kernels, {size:.1f} MiB, compiled in {seconds:.1f} s; cache: {folder}")


def _short(signature: str) -> str:
    """A signature with arrays as ``float32[1]``: the type and the number of axes."""
    return re.sub(r"Array\((\w+), (\d+), [^)]*\)", r"\1[\2]", signature)


def _processor_name(processor: str) -> str:
    """The name in LLVM's target triple, name and features."""
    return processor.split(" ")[1] if " " in processor else processor
