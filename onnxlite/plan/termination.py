"""How a run is told to stop: looked at when a run starts, and each time that a subgraph is called.

Straight-line graphs end by themselves; what can go on for ever is a loop, and each of its rounds calls its body.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from onnxlite.errors import Fail


class Terminable(Protocol):
    """What says whether to stop: onnxlite.RunOptions."""

    @property
    def terminate(self) -> bool:
        """Whether the runs that have these options stop."""


_OPTIONS: ContextVar[Terminable | None] = ContextVar("onnxlite run options", default=None)


@contextmanager
def terminable(options: Terminable) -> Iterator[None]:
    """Within the context, subgraphs that are called look at these options."""
    token = _OPTIONS.set(options)
    try:
        check_termination()
        yield
    finally:
        _OPTIONS.reset(token)


def check_termination() -> None:
    """Raise if the current run was told to stop.

    Raises:
        Fail: It was.
    """
    options = _OPTIONS.get()
    if options is not None and options.terminate:
        raise Fail("Exiting due to terminate flag being set to true.")
