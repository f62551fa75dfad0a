"""``onnxlite run``: a model on arrays from files, or on random input of the declared shapes."""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from onnxlite.errors import InvalidArgument
from onnxlite.kernels.arrays import is_array
from onnxlite.kernels.dtypes import NARROW_FLOATS
from onnxlite.model import TensorType, Value
from onnxlite.model.types import type_of
from onnxlite.options import SessionOptions
from onnxlite.session import InferenceSession


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("model", metavar="MODEL", help="the model's file")
    add_input_arguments(parser)
    parser.add_argument("--random", action="store_true", help="random arrays for the inputs that are not given")
    parser.add_argument(
        "--fetch", action="append", metavar="NAME", help="a value to fetch, inner ones too (default: all outputs)"
    )
    parser.add_argument(
        "--output", metavar="DIR", type=Path, help="a folder to write the results to, as NAME.npy or NAME.json"
    )
    parser.add_argument(
        "--provider", action="append", metavar="NAME", help="an execution provider, in order of preference"
    )


def add_input_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say what a model is run on."""
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="NAME=FILE.npy",
        help="an input's array; may be given repeatedly",
    )
    parser.add_argument(
        "--dim", action="append", default=[], metavar="SYMBOL=N", help="the length of a symbolic dimension (default: 1)"
    )
    parser.add_argument("--seed", type=int, default=0, help="for random input and random operators (default: 0)")


def input_feeds(session: InferenceSession, options: argparse.Namespace) -> dict[str, Any]:
    """The arrays that the options name, and with ``--random`` arrays for the other inputs."""
    feeds = _read_inputs(_pairs(options.input, "--input"))
    if options.random:
        lengths = {name: _length(text) for name, text in _pairs(options.dim, "--dim").items()}
        declared = {value.name: value for value in session.model.graph.inputs}
        missing = [declared[argument.name] for argument in session.get_inputs() if argument.name not in feeds]
        feeds |= random_feeds(missing, lengths, options.seed)
    return feeds


def main(options: argparse.Namespace) -> int:
    """Run the model once and print, and on request write, its results."""
    session_options = SessionOptions()
    session_options.random_seed = options.seed
    session = InferenceSession(options.model, session_options, providers=options.provider)
    feeds = input_feeds(session, options)
    absent = [argument.name for argument in session.get_inputs() if argument.name not in feeds]
    if absent:
        raise InvalidArgument(f"Required inputs {absent} are missing: give --input NAME=FILE.npy for each, or --random")
    names = options.fetch or [output.name for output in session.get_outputs()]
    start = time.perf_counter()
    results = session.run(names, feeds)
    elapsed = time.perf_counter() - start
    console = Console()
    console.print(_table(feeds, "inputs"))
    console.print(_table(dict(zip(names, results, strict=True)), "outputs"))
    console.print(f"{elapsed * 1e3:.1f} ms on {', '.join(session.get_providers())}")
    if options.output:
        _write(options.output, dict(zip(names, results, strict=True)))
    return 0


def random_feeds(inputs: Sequence[Value], lengths: Mapping[str, int], seed: int) -> dict[str, Any]:
    """Random arrays for tensors of the declared types: floats are standard normal, integers 0 or 1, strings a word.

    Args:
        inputs: The declared inputs.
        lengths: Lengths of symbolic dimensions; 1 for the others, and for dimensions without a symbol.
        seed: Equal seeds give equal arrays.

    Raises:
        InvalidArgument: An input is no tensor, or declares no rank.
    """
    generator = np.random.default_rng(seed)
    return {value.name: _random_array(value, lengths, generator) for value in inputs}


def _random_array(value: Value, lengths: Mapping[str, int], generator: np.random.Generator) -> Any:
    kind = value.type
    if not isinstance(kind, TensorType) or kind.dtype is None or kind.shape is None:
        raise InvalidArgument(f"no random array can be made for the input {value!r}: give it with --input")
    shape = tuple(lengths.get(d, 1) if isinstance(d, str) else 1 if d is None else d for d in kind.shape)
    dtype = kind.dtype
    if dtype.kind in "fc" or dtype in NARROW_FLOATS:
        return generator.standard_normal(shape, np.float32).astype(dtype)
    if dtype.kind == "O":
        return np.full(shape, "text", np.object_)
    return generator.integers(0, 2, shape).astype(dtype)


def _pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.rpartition("=")
        if not equals or not name or not value:
            raise InvalidArgument(f"{option} takes NAME=VALUE, got '{text}'")
        pairs[name] = value
    return pairs


def _length(text: str) -> int:
    if not text.isdecimal():
        raise InvalidArgument(f"--dim takes a length, got '{text}'")
    return int(text)


def _read_inputs(files: Mapping[str, str]) -> dict[str, Any]:
    feeds: dict[str, Any] = {}
    for name, file in files.items():
        try:
            feeds[name] = np.load(file, allow_pickle=False)
        except ValueError as error:
            raise InvalidArgument(
                f"the file '{file}' for input '{name}' is not an array in .npy form: {error}"
            ) from error
    return feeds


def _table(values: Mapping[str, Any], title: str) -> Table:
    table = Table("name", "value", "min", "mean", "max", title=title, title_justify="left")
    for name, value in values.items():
        table.add_row(name, type_of(value), *_statistics(value))
    return table


def _statistics(value: Any) -> tuple[str, ...]:
    if not is_array(value) or not value.size or value.dtype.kind in "OcUS":
        return ()
    numbers = np.asarray(value).astype(np.float64)
    return tuple(f"{statistic(numbers):.6g}" for statistic in (np.min, np.mean, np.max))


def _write(folder: Path, values: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        # A value's name comes from the model's file: it may not choose where in the file system it is written.
        stem = re.sub(r"[^\w.-]", "_", name).lstrip(".") or "output"
        if is_array(value):
            np.save(folder / f"{stem}.npy", value.astype(str) if value.dtype.kind == "O" else value, allow_pickle=False)
        else:
            (folder / f"{stem}.json").write_text(json.dumps(_plain(value), indent=1), encoding="utf-8")


def _plain(value: Any) -> Any:
    """Sequences and maps of arrays as what JSON holds."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.tolist() if is_array(value) else value
