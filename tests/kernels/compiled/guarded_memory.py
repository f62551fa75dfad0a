"""Runs a bound kernel in memory that tells what it should not have read or written.

Memory that a kernel may use is filled with NaN, or odd integers, be it scratch memory or the output, and every array
lies between two borders that must stay as they are; what is read of the borders is NaN too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numba.machine.threads import thread_pool
from onnxlite.kernels.numba.spec import Bound, Declined, Input, Output, Pool, Scratch, View

_BORDER = 64
#: The byte that memory for integers is filled with.
_ODD = 0xA5


class GuardedMemory:
    """Arrays between borders."""

    def __init__(self) -> None:
        self._borders: list[Array] = []

    def array(self, shape: tuple[int, ...], dtype: Any, values: Array | None = None) -> Array:
        """An array, filled with NaN or odd integers, or with values."""
        memory = _filler(int(np.prod(shape)) + 2 * _BORDER, np.dtype(dtype))
        self._borders += [memory[:_BORDER], memory[-_BORDER:]]
        inner = memory[_BORDER:-_BORDER].reshape(shape)
        if values is not None:
            inner[...] = values
        return inner

    def check(self) -> None:
        """Fail if a border was written to."""
        for border in self._borders:
            assert border.tobytes() == _filler(_BORDER, border.dtype).tobytes(), "memory beside an array was written to"


def _filler(count: int, dtype: np.dtype[Any]) -> Array:
    if dtype.kind == "f":
        return np.full(count, np.nan, dtype)
    return np.full(count * dtype.itemsize, _ODD, np.uint8).view(dtype)


def run_guarded(answer: Bound | View | Declined, inputs: Sequence[Array | None], threads: int = 1) -> Array:
    """The only output of a kernel."""
    assert isinstance(answer, Bound), answer
    memory, pool = GuardedMemory(), thread_pool(threads)
    given = [None if x is None else memory.array(x.shape, x.dtype, x) for x in inputs]
    (spec,) = answer.outputs
    output = memory.array(spec.shape, spec.dtype)
    arguments: list[Any] = []
    for argument in answer.arguments:
        if isinstance(argument, Input | Output):
            value = given[argument.index] if isinstance(argument, Input) else output
            assert value is not None
            arguments.append(value.reshape(-1) if argument.flat else value)
        elif isinstance(argument, Scratch):
            arguments.append(memory.array(argument.array_shape(threads), argument.dtype))
        elif isinstance(argument, Pool):
            arguments.append(pool.block)
        else:
            arguments.append(argument)
    with pool:
        answer.function(*arguments)
    memory.check()
    for x, copy in zip(inputs, given, strict=True):
        np.testing.assert_array_equal(copy, x, "an input was written to")
    return output


def run_alike(answer: Bound | View | Declined, inputs: Sequence[Array | None]) -> Array:
    """The output, which must be the same on one thread and on two."""
    one, two = (run_guarded(answer, inputs, threads) for threads in (1, 2))
    np.testing.assert_array_equal(one, two, "the result depends on the number of threads")
    return one
