"""Times of several functions, taken in turns so that what disturbs the machine disturbs all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, TypedDict

#: A turn of one function takes at least this long, if one call does not take longer.
_TURN = 0.02
#: How long idle threads get to fall asleep before the other's turn.
_PAUSE = 0.05
_LEAST_TURNS = 3


class Timing(TypedDict):
    """Seconds of one call."""

    median: float
    lowest: float
    calls: int


def interleaved(functions: Sequence[Callable[[], Any]], seconds: float, threads: int) -> list[Timing]:
    """The times of each function.

    Args:
        functions: What is timed.
        seconds: About how long the measurement takes, if three turns of each do not take longer.
        threads: How many threads the functions use.  The idle ones of a thread pool look for work actively for a while,
            which would take processors from whoever runs next.
    """
    for function in functions:  # programs are made in the first call, memory is taken in the second
        function()
        function()
    taken: list[list[float]] = [[] for _ in functions]
    order = list(range(len(functions)))
    start = time.perf_counter()
    turns = 0
    while turns < _LEAST_TURNS or time.perf_counter() - start < seconds:
        for index in order:
            if threads > 1:
                time.sleep(_PAUSE)
            taken[index] += _turn(functions[index])
        order.reverse()
        turns += 1
    return [{"median": statistics.median(times), "lowest": min(times), "calls": len(times)} for times in taken]


def _turn(function: Callable[[], Any]) -> list[float]:
    """The times of calls in a row; where there are several, the first one only warms up."""
    times: list[float] = []
    end = time.perf_counter() + _TURN
    while True:
        start = time.perf_counter()
        function()
        stop = time.perf_counter()
        times.append(stop - start)
        if stop >= end:
            return times[1:] or times
