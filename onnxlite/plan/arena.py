"""One block of memory for all the buffers of a program: each gets a place that is free for as long as it is in use.

The programs of a session take turns in the same blocks: there are as many as runs at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array

#: Buffers start at multiples of this many bytes: a cache line, and the widest vector register.
ALIGNMENT = 64


@dataclass(frozen=True, slots=True)
class Lifetime:
    """A buffer of ``size`` bytes that is in use from command ``first`` to command ``last``, both included."""

    size: int
    first: int
    last: int


def plan_offsets(lifetimes: Sequence[Lifetime]) -> tuple[list[int], int]:
    """An offset for each buffer, and the size of the block.

    Buffers whose lifetimes overlap never share memory.  The largest are placed first, each at the lowest offset that is
    free during its life (the greedy-by-size strategy of Pisarchyk and Lee, 2020).
    """
    offsets = [0] * len(lifetimes)
    placed: list[int] = []
    total = 0
    for index in sorted(range(len(lifetimes)), key=lambda i: -lifetimes[i].size):
        life = lifetimes[index]
        neighbours = sorted(
            (offsets[other], _padded(lifetimes[other].size))
            for other in placed
            if lifetimes[other].first <= life.last and life.first <= lifetimes[other].last
        )
        offset = 0
        for start, size in neighbours:
            if offset + _padded(life.size) <= start:
                break
            offset = max(offset, start + size)
        offsets[index] = offset
        placed.append(index)
        total = max(total, offset + _padded(life.size))
    return offsets, total


def allocate(size: int) -> Array:
    """An aligned block of bytes."""
    block = np.empty(size + ALIGNMENT, np.uint8)
    start = -block.ctypes.data % ALIGNMENT
    return block[start : start + size]


#: How many programs an arena is kept ready for.
_MAX_TENANTS = 32


@dataclass(slots=True, eq=False)
class Arena:
    """A block of memory, and what programs, by their numbers, have ready to run in it."""

    memory: Array = field(default_factory=lambda: allocate(0))
    tenants: dict[int, Any] = field(default_factory=dict)

    def admit(self, program: int, tenant: Any) -> None:
        """Keep what a program has ready, in the place of the oldest if there are many."""
        if len(self.tenants) >= _MAX_TENANTS:
            del self.tenants[next(iter(self.tenants))]
        self.tenants[program] = tenant


class Arenas:
    """The arenas of a session that no run is in; thread-safe."""

    def __init__(self) -> None:
        self._idle: list[Arena] = []  # lists are safe between threads without a lock

    def take(self, size: int) -> Arena:
        """An arena of at least this many bytes, for one run."""
        try:
            arena = self._idle.pop()
        except IndexError:
            arena = Arena()
        if arena.memory.size < size:
            arena.tenants.clear()
            arena.memory = allocate(0)  # the old block is freed before the new one is made
            arena.memory = allocate(size)
        return arena

    def give(self, arena: Arena) -> None:
        """Leave an arena to the next run."""
        self._idle.append(arena)


def _padded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
