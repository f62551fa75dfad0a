"""What is done to a row of float32 numbers at an address, as sealed functions: many kernels need it."""

from __future__ import annotations

import numpy as np

from onnxlite.kernels.numba.machine.memory import floats
from onnxlite.kernels.numba.machine.sealed import sealed


@sealed
def copy(source: int, target: int, count: int) -> None:
    """Copy numbers; the two places do not overlap."""
    read_from, write_to = floats(source, count), floats(target, count)
    for i in range(count):
        write_to[i] = read_from[i]


@sealed
def clear(target: int, count: int) -> None:
    """Put zeros."""
    write_to = floats(target, count)
    for i in range(count):
        write_to[i] = np.float32(0)
