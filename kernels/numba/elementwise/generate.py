"""From an expression to a compiled kernel, by way of Python source that is kept in the cache's folder.

The source of ``x0 * sigmoid(x1)``, x1 with one element for each row::

    def elementwise_5f0c...(start, stop, thread, layout, x0, x1, y):
        inner = layout[0]
        ...
        for each row:
            a1 = load(x1, o1)
            v0 = sigmoid_float32(a1)
            for i in range(first, last):
                a0 = load(x0, o0 + i)
                v1 = a0 * v0
                store(y, o + i, v1)

What does not change in the innermost loop stands before it.  Without rows, every input is as long as the output, has
one element, or comes with an array that says where each of its elements is.
"""

from __future__ import annotations

import enum
import functools
import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from onnxlite.kernels.cache_folder import cache_folder
from onnxlite.kernels.expression import Expression
from onnxlite.kernels.numba.elementwise.formula import write
from onnxlite.kernels.numba.elementwise.term import ELEMENT, ROW, START, Code, Line, Term
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.scalars import namespace
from onnxlite.kernels.numba.machine.threads import parallel_for


class Access(enum.Enum):
    """How the innermost loop goes through an input."""

    STILL = "it reads one element, ahead of the loop"
    MOVING = "it reads one element after the other"
    INDEXED = "it reads the places of the elements, too"


@dataclass(frozen=True, slots=True)
class Generated:
    """A kernel for an expression: ``loop`` does a part of the output, ``run`` all of it on the pool's threads.

    Their arguments after (start, stop, thread) and (pool, count, piece) are the layout if there are rows, the
    parameters, the places of inputs that are indexed, the inputs and the output.  ``cost`` is that of one element, in
    simple instructions.
    """

    loop: Callable[..., Any]
    run: Callable[..., Any]
    rows: bool
    dtype: np.dtype[Any]
    parameters: tuple[int | float, ...]
    cost: int
    source: str


def generate(
    expression: Expression, dtypes: Sequence[np.dtype[Any]], accesses: Sequence[Access], rows: bool
) -> Generated:
    """The kernel of an expression.

    Args:
        expression: The expression.
        dtypes: The types of its inputs.
        accesses: How the innermost loop goes through them.
        rows: Whether there are loops around the innermost one.

    Raises:
        Unserved: The expression cannot be compiled for these types.
    """
    # Equal expressions may differ in what they compute: 0.0 equals -0.0, and True equals 1.
    key = (repr(expression), tuple(dtypes), tuple(accesses), rows)
    known = _KNOWN.get(key)
    if known is None:
        if len(_KNOWN) >= _MAX_KNOWN:
            _KNOWN.clear()
        known = _KNOWN[key] = _generated(expression, dtypes, accesses, rows)
    return known


_KNOWN: dict[tuple[Any, ...], Generated] = {}
_MAX_KNOWN = 4096


def _generated(
    expression: Expression, dtypes: Sequence[np.dtype[Any]], accesses: Sequence[Access], rows: bool
) -> Generated:
    code = Code()
    still = ROW if rows else START
    depths = [still if access is Access.STILL else ELEMENT for access in accesses]
    inputs = [Term(code, f"a{i}", dtype, depth) for i, (dtype, depth) in enumerate(zip(dtypes, depths, strict=True))]
    result = write(expression, inputs, code)
    lines = code.needed(result)
    used = set[str]().union(*(line.uses() for line in lines), {result.name})
    parameters = [i for i in range(len(code.parameters)) if f"p{i}" in used]
    loads = _loads(accesses, depths, used, rows)
    arguments = [*(["layout"] if rows else []), *(f"p{i}" for i in parameters)]
    arguments += [f"n{i}" for i, access in enumerate(accesses) if access is Access.INDEXED]
    arguments += [*(f"x{i}" for i in range(len(dtypes))), "y"]
    body = _row_loop(loads, lines, result.name, len(dtypes)) if rows else _flat_loop(loads, lines, result.name)
    source = _module(body, arguments, expression)
    loop, run = _compiled(source)
    cost = sum(line.cost for line in lines if line.depth == ELEMENT) + len(dtypes)
    return Generated(loop, run, rows, result.dtype, tuple(code.parameters[i] for i in parameters), cost, source)


def _loads(accesses: Sequence[Access], depths: Sequence[int], used: set[str], rows: bool) -> list[Line]:
    """The lines that read the inputs; ``o0`` is where the row of the input 0 starts."""
    places = {
        Access.STILL: "o{0}" if rows else "0",
        Access.MOVING: "o{0} + i" if rows else "i",
        Access.INDEXED: "load(n{0}, i)",
    }
    return [
        Line(f"a{i}", f"load(x{i}, {places[access].format(i)})", depth, 1)
        for i, (access, depth) in enumerate(zip(accesses, depths, strict=True))
        if f"a{i}" in used
    ]


def _flat_loop(loads: Sequence[Line], lines: Sequence[Line], result: str) -> list[str]:
    return [
        *_at(START, 1, loads, lines),
        "    for i in range(start, stop):",
        *_at(ELEMENT, 2, loads, lines),
        f"        store(y, i, {result})",
    ]


def _row_loop(loads: Sequence[Line], lines: Sequence[Line], result: str, count: int) -> list[str]:
    """The loop over rows, which lie in blocks.

    The layout is: the length of a row, the rows of a block; for each input its step from row to row in a block; for
    each block, where every input's first row of the block starts.
    """
    inputs = range(count)
    return [
        *_at(START, 1, loads, lines),
        "    length, block = load(layout, 0), load(layout, 1)",
        "    while start < stop:",
        "        number = quotient(start, block)",
        "        row = start - number * block",
        *(f"        s{i} = load(layout, {2 + i})" for i in inputs),
        *(f"        o{i} = load(layout, {2 + count + i} + {count} * number) + row * s{i}" for i in inputs),
        "        rows = block - row if start - row + block < stop else stop - start",
        "        for row in range(start, start + rows):",
        "            o = row * length",
        *_at(ROW, 3, loads, lines),
        "            for i in range(length):",
        *_at(ELEMENT, 4, loads, lines),
        f"                store(y, o + i, {result})",
        *(f"            o{i} += s{i}" for i in inputs),
        "        start += rows",
    ]


def _at(depth: int, indent: int, loads: Sequence[Line], lines: Sequence[Line]) -> list[str]:
    return [f"{'    ' * indent}{line.name} = {line.text}" for line in (*loads, *lines) if line.depth == depth]


def _module(body: Sequence[str], arguments: Sequence[str], expression: Expression) -> str:
    """The source of a loop and of the function that divides it among threads."""
    inner = ", ".join(arguments)
    names = [str(name).partition("-")[0] for name, *_ in expression]
    return "\n".join(
        [
            f"# {', '.join(names)}",
            "",
            "",
            "@jit",
            f"def loop(start, stop, thread, {inner}):",
            *body,
            "",
            "",
            "@jit",
            f"def run(pool, count, piece, {inner}):",
            f"    parallel_for(pool, loop, ({inner},), count, piece)",
            "",
        ]
    )


@functools.cache
def _compiled(source: str) -> tuple[Any, Any]:
    """The two functions of a module; they compile on their first call."""
    digest = hashlib.sha256(source.encode()).hexdigest()[:16]

    def named(function: Callable[..., Any]) -> Any:
        # The cache on disk tells functions apart by their names.
        function.__qualname__ = f"elementwise_{digest}_{function.__name__}"
        return jit(function)

    names = {**namespace(), "jit": named, "parallel_for": parallel_for, "__name__": __name__}
    exec(compile(source, _kept(source, f"elementwise_{digest}.py"), "exec"), names)
    return names["loop"], names["run"]


def _kept(source: str, name: str) -> str:
    """The path of a file with the source, or a name in brackets where there is no folder to write it to."""
    folder = cache_folder()
    path = folder / "source" / name if folder else Path(f"<{name}>")
    if folder and not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(source)
            os.replace(temporary, path)
        except OSError:
            return f"<{name}>"
    return str(path)
