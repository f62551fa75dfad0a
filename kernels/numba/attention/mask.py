"""Masks of a block of attention's scores: these are kept transposed, (keys, queries), so a mask is turned first."""

from __future__ import annotations

import numpy as np

from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.memory import floats, uint8s
from onnxlite.kernels.numba.machine.sealed import sealed
from onnxlite.kernels.numba.movement.transpose import tile_length, turner

_turn_floats, _FLOATS = turner(4), tile_length(4)
_turn_bytes, _BYTES = turner(1), tile_length(1)


@sealed
def turn_floats(source: int, source_row: int, rows: int, columns: int, target: int, target_row: int) -> None:
    """Transpose a matrix of float32; rows lie ``source_row`` and ``target_row`` elements apart."""
    for column in range(0, columns, _FLOATS):
        for row in range(0, rows, _FLOATS):
            to, of = target + 4 * (column * target_row + row), source + 4 * (row * source_row + column)
            height, width = min(_FLOATS, rows - row), min(_FLOATS, columns - column)
            _turn_floats(to, 4 * target_row, of, 4 * source_row, height, width)


@sealed
def turn_bytes(source: int, source_row: int, rows: int, columns: int, target: int, target_row: int) -> None:
    """`turn_floats` for bytes."""
    for column in range(0, columns, _BYTES):
        for row in range(0, rows, _BYTES):
            to, of = target + column * target_row + row, source + row * source_row + column
            _turn_bytes(to, target_row, of, source_row, min(_BYTES, rows - row), min(_BYTES, columns - column))


@jit
def add_mask(scores, scores_row, keys, queries, mask, mask_query, mask_key, memory):  # type: ignore[no-untyped-def]
    """Add numbers to scores (keys, queries); the memory has room for as many."""
    if mask_query != 0 and mask_key != 0:
        turn_floats(mask, mask_query, queries, keys, memory, scores_row)
        for key in range(keys):
            line, addends = (
                floats(scores + 4 * key * scores_row, queries),
                floats(memory + 4 * key * scores_row, queries),
            )
            for i in range(queries):
                line[i] += addends[i]
        return
    for key in range(keys):
        line = floats(scores + 4 * key * scores_row, queries)
        addends = floats(mask + 4 * key * mask_key, queries * max(1, mask_query))
        for i in range(queries):
            line[i] += addends[i * mask_query]


@jit
def apply_mask(scores, scores_row, keys, queries, mask, mask_query, mask_key, seen, hidden, memory):  # type: ignore[no-untyped-def]
    """Put ``hidden`` in place of the scores (keys, queries) whose flag is not ``seen``, 0 or 1; memory as above."""
    whole = mask_query != 0 and mask_key != 0
    if whole:
        turn_bytes(mask, mask_query, queries, keys, memory, scores_row)
    for key in range(keys):
        line = floats(scores + 4 * key * scores_row, queries)
        if whole:
            flags = uint8s(memory + key * scores_row, queries)
            for i in range(queries):
                line[i] = line[i] if flags[i] == seen else hidden
        elif mask_query != 0:
            flags = uint8s(mask, queries * mask_query)
            for i in range(queries):
                line[i] = line[i] if flags[i * mask_query] == seen else hidden
        elif uint8s(mask + key * mask_key, 1)[0] != seen:
            for i in range(queries):
                line[i] = np.float32(hidden)
