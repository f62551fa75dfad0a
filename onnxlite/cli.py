"""The ``onnxlite`` command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from onnxlite.errors import OnnxliteError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0 for success, 1 for a failure, 2 for a wrong usage."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except BrokenPipeError:
        return 1
    except (OnnxliteError, OSError) as error:
        print(f"onnxlite: {type(error).__name__}: {error}", file=sys.stderr)
        for note in getattr(error, "__notes__", ()):
            print(f"  {note}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    from onnxlite import __version__
    from onnxlite.commands import demo, inspect, jit, run, warmup
    from onnxlite.conformance import command as conformance

    parser = argparse.ArgumentParser(prog="onnxlite", description="Run, inspect and test ONNX models.")
    parser.add_argument("--version", action="version", version=f"onnxlite {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, module, text in (
        ("demo", demo, "classify images of handwritten digits with a small model that ships with onnxlite"),
        ("run", run, "run any model on arrays from files, or on random input"),
        ("inspect", inspect, "show what a model holds and where each operator would run"),
        ("warmup", warmup, "compile the kernels that a model needs, into the cache"),
        ("jit", jit, "show the compiled kernels in the cache, their source and machine code, or remove them"),
        ("conformance", conformance, "run the ONNX backend tests on a provider or another engine"),
    ):
        subparser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        module.add_arguments(subparser)
        subparser.set_defaults(command=module.main)
    return parser


if __name__ == "__main__":
    sys.exit(main())
