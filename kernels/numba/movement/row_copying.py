"""Trilu and ReverseSequence: rows copied in part, or in another order."""

from __future__ import annotations

import math

import numpy as np

from onnxlite.kernels.axes import normalize_axis
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.memory import address
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.movement.copying import copy_bytes, is_movable
from onnxlite.kernels.numba.spec import ArraySpec, Bound, Declined, Input, Output, Pool
from onnxlite.kernels.numba.table import op

#: The bytes that one piece of work copies.
_PIECE = 1 << 14


@jit
def _copy_triangles(start, stop, thread, x, y, height, width, diagonal, upper):  # type: ignore[no-untyped-def]
    for row in range(start, stop):
        edge = row % height + diagonal
        first = min(max(edge, 0), width) if upper else 0
        last = width if upper else min(max(edge + 1, 0), width)
        for i in range(row * width, row * width + first):
            y[i] = 0
        for i in range(row * width + first, row * width + last):
            y[i] = x[i]
        for i in range(row * width + last, (row + 1) * width):
            y[i] = 0


@jit
def copy_triangles(pool, x, y, height, width, diagonal, upper, rows, piece):  # type: ignore[no-untyped-def]
    """The upper or lower triangles of matrices, with zeros beside."""
    parallel_for(pool, _copy_triangles, (x, y, height, width, diagonal, upper), rows, piece)


@op("Trilu", since=14)
def trilu(x: ArraySpec, k: ArraySpec | None = None, *, upper: int = 1) -> Bound | Declined:
    """The matrices with zeros below (``upper``) or above their k-th diagonal (ONNX Trilu-14)."""
    if (k is not None and k.value is None) or not is_movable(x.dtype) or len(x.shape) < 2 or not x.size:
        return Declined(f"a diagonal that is not known before, or {x.dtype}{list(x.shape)}, is not compiled")
    height, width = x.shape[-2:]
    diagonal = 0 if k is None or k.value is None else int(k.value.reshape(-1)[0])
    diagonal = max(-height - width, min(height + width, diagonal))
    arguments = (Pool(), Input(0, flat=True), Output(flat=True), height, width, diagonal, bool(upper))
    result = (ArraySpec(x.shape, x.dtype),)
    piece = max(1, _PIECE // (width * x.dtype.itemsize))
    return Bound(copy_triangles, (*arguments, x.size // width, piece), result, in_place=((0, 0),))


@jit
def reverse_rows(x, lengths, y, steps, batches, time_step, batch_step, row):  # type: ignore[no-untyped-def]
    """Copy rows of some bytes; in each batch entry the first ones in reversed order."""
    for batch in range(batches):
        if not 0 <= lengths[batch] <= steps:
            raise ValueError("expected lengths from 0 to the number of time steps, got another")
    target, source = address(y, 0), address(x, 0)
    for batch in range(batches):
        length, corner = np.int64(lengths[batch]), batch * batch_step
        for time in range(steps):
            of = length - 1 - time if time < length else time
            copy_bytes(target + corner + time * time_step, source + corner + of * time_step, row)


@op("ReverseSequence", since=10)
def reverse_sequence(
    x: ArraySpec, sequence_lens: ArraySpec, *, batch_axis: int = 1, time_axis: int = 0
) -> Bound | Declined:
    """In each batch entry the first ``sequence_lens`` time steps reversed (ONNX ReverseSequence-10)."""
    rank = len(x.shape)
    axes = (normalize_axis(batch_axis, rank), normalize_axis(time_axis, rank))
    if sorted(axes) != [0, 1] or not is_movable(x.dtype) or not x.size or sequence_lens.shape != (x.shape[axes[0]],):
        return Declined("only the first two axes, of numbers, are compiled")
    row = math.prod(x.shape[2:]) * x.dtype.itemsize
    steps = (row * x.shape[1], row)
    arrays = (Input(0, flat=True), Input(1, flat=True), Output(flat=True))
    numbers = (x.shape[axes[1]], x.shape[axes[0]], steps[axes[1]], steps[axes[0]], row)
    return Bound(reverse_rows, (*arrays, *numbers), (ArraySpec(x.shape, x.dtype),))
