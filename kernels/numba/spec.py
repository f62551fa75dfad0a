"""What a compiled kernel is told when it is bound to shapes, and what it answers.

A compiled kernel is a *builder*: a function that is called once per set of input shapes, with an `ArraySpec` for each
input instead of an array, and returns a `Bound` (the compiled function and its arguments) or a `Declined` with the
reason.  The builder transforms and packs what is constant; the compiled function does the rest, on every run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array

FLOAT32 = np.dtype(np.float32)


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """An array that is not there yet: its shape and dtype, and its value where it is constant."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    value: Array | None = None

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The number of bytes of a contiguous array."""
        return self.size * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class Input:
    """Stands for the run's array of an input, C-contiguous, in the builder's order of inputs.

    ``flat`` gives it one axis, whatever its shape: a function is compiled anew for every rank that it gets.
    """

    index: int
    flat: bool = False


@dataclass(frozen=True, slots=True)
class Output:
    """Stands for the run's array of an output, C-contiguous and not initialised; ``flat`` as for `Input`."""

    index: int = 0
    flat: bool = False


@dataclass(frozen=True, slots=True)
class Scratch:
    """Stands for memory that the function may use while it runs; its content is undefined before and after.

    ``per_thread`` adds a first axis, with a place for each thread of the pool.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any] = FLOAT32
    per_thread: bool = False

    def array_shape(self, threads: int) -> tuple[int, ...]:
        """The shape of the array that the function gets."""
        return (threads, *self.shape) if self.per_thread else self.shape


class Pool:
    """Stands for the control block of the thread pool."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A compiled function with its arguments.

    Args:
        function: What ``jit`` made.
        arguments: Its arguments in order: `Input`, `Output`, `Scratch` and `Pool` stand for what a run provides,
            anything else is passed as it is.
        outputs: The outputs' shapes and dtypes.
        in_place: Pairs (input, output) that may share their memory: the function reads an element of the input no later
            than it writes the same element of the output.
        counted: Where a run finds out how long the outputs are, the axis that this is about: the last of ``outputs`` is
            not the operator's but one int64, the length that the others have along the axis, in which they have room
            for the most.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    outputs: tuple[ArraySpec, ...]
    in_place: tuple[tuple[int, int], ...] = ()
    counted: int | None = None


@dataclass(frozen=True, slots=True)
class View:
    """The output is the input under another shape: nothing is computed."""

    shape: tuple[int, ...]
    index: int = 0


@dataclass(frozen=True, slots=True)
class Declined:
    """The builder's no to these shapes and types, with a reason that a user can read."""

    reason: str
