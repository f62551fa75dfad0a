"""One block of memory for all the buffers of a program: each gets a place that is free for as long as it is in use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


def _padded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
