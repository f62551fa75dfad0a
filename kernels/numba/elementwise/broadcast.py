"""How the inputs of an elementwise kernel move while it goes through its output, with as few dimensions as possible."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

#: Longer rows are cut where that is possible, so that threads can share them.
_LONG = 1 << 15


@dataclass(frozen=True, slots=True)
class Layout:
    """The dimensions of the output, neighbours merged where all inputs allow it, and every input's steps along them.

    The last dimension is the innermost; a step along it is 1 or 0.
    """

    lengths: tuple[int, ...]
    steps: tuple[tuple[int, ...], ...]

    @property
    def has_rows(self) -> bool:
        """Whether an input is repeated along a dimension that is not the only one."""
        return len(self.lengths) > 1

    @property
    def size(self) -> int:
        """The number of elements of the output."""
        return math.prod(self.lengths)

    def moves(self, number: int) -> bool:
        """Whether an input moves along the innermost dimension."""
        return self.steps[number][-1] == 1

    def is_contiguous(self, number: int) -> bool:
        """Whether an input is as long as the output."""
        return all(self.steps[number])

    def is_single(self, number: int) -> bool:
        """Whether an input has one element."""
        return not any(self.steps[number])

    def places(self, number: int) -> Any:
        """Where in an input each element of the output finds its own."""
        places = np.zeros(1, np.int32)
        for length, step in zip(self.lengths, self.steps[number], strict=True):
            places = np.add.outer(places, np.arange(length, dtype=np.int32) * np.int32(step)).ravel()
        return places

    def numbers(self) -> Any:
        """The layout as the rows of a generated kernel read it: see `onnxlite.kernels.numba.elementwise.generate`."""
        *around, block, length = self.lengths
        row_steps = [steps[-2] for steps in self.steps]
        starts = np.zeros((math.prod(around), len(self.steps)), np.int64)
        places = np.indices(around).reshape(len(around), math.prod(around))
        for number, steps in enumerate(self.steps):
            starts[:, number] = np.array(steps[:-2], np.int64) @ places if around else 0
        return np.concatenate([np.array([length, block, *row_steps], np.int64), starts.ravel()])


def broadcast_layout(shapes: Sequence[tuple[int, ...]], shape: tuple[int, ...]) -> Layout:
    """The layout for contiguous inputs of some shapes that are broadcast to a shape."""
    size = math.prod(shape)
    if size == 0:
        return Layout((0,), tuple((1,) for _ in shapes))
    steps = [_steps(given if math.prod(given) < size else shape, len(shape)) for given in shapes]
    lengths: list[int] = []
    merged: list[list[int]] = [[] for _ in shapes]
    for axis, length in enumerate(shape):
        if length == 1:
            continue
        if lengths and all(m[-1] == s[axis] * length for m, s in zip(merged, steps, strict=True)):
            lengths[-1] *= length
            for m, s in zip(merged, steps, strict=True):
                m[-1] = s[axis]
        else:
            lengths.append(length)
            for m, s in zip(merged, steps, strict=True):
                m.append(s[axis])
    if not lengths:
        return Layout((1,), tuple((1,) for _ in shapes))
    if len(lengths) > 1:
        _cut(lengths, merged)
    return Layout(tuple(lengths), tuple(map(tuple, merged)))


def _steps(shape: tuple[int, ...], rank: int) -> list[int]:
    """The elements from one index to the next, for every dimension of an array that is filled up to a rank."""
    padded = (1,) * (rank - len(shape)) + shape
    steps = [0] * rank
    step = 1
    for axis in range(rank - 1, -1, -1):
        steps[axis] = step if padded[axis] != 1 else 0
        step *= padded[axis]
    return steps


def _cut(lengths: list[int], steps: list[list[int]]) -> None:
    """Make two dimensions of a long innermost one, if it has a divisor."""
    length = lengths[-1]
    least = -(-length // _LONG)
    count = next((n for n in range(least, 16 * least) if length % n == 0), 1)
    if count > 1:
        lengths[-1:] = [count, length // count]
        for along in steps:
            along[-1:] = [along[-1] * (length // count), along[-1]]
