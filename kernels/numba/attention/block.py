"""Attention of a block of queries over all keys, without the matrix of all scores: an online softmax, block by block.

The scores of a block are kept transposed, (keys, queries): so neither keys nor values need to be packed, the softmax
runs along the queries in whole registers, and the probabilities are a left matrix as the product wants it (Milakov and
Gimelshein, 2018; Dao et al., 2022).  All memory is given by address.
"""

from __future__ import annotations

import math

import numpy as np

from onnxlite.kernels.numba.attention.mask import add_mask, apply_mask
from onnxlite.kernels.numba.machine.block import clear
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.memory import floats, uint8s
from onnxlite.kernels.numba.machine.sealed import sealed
from onnxlite.kernels.numba.machine.simd import LANES, TILE_COLUMNS, TILE_ROWS
from onnxlite.kernels.numba.machine.vectormath import tanh
from onnxlite.kernels.numba.product.product import multiply_block, multiply_column, multiply_row, pack_panels
from onnxlite.kernels.numba.reduction.softmax import exp_of_negative

#: The queries and, at most, the keys of a block.
QUERIES, KEYS = max(TILE_COLUMNS, 64), 192
#: Up to this many queries are taken one by one: a block of them would be empty for the most part.
FEW = 4

#: The kinds of a mask: none, booleans of what is seen or of what is hidden, numbers to add.
NO_MASK, SEEN, HIDDEN, ADDITIVE = range(4)

_MINUS_INFINITY = np.float32(-math.inf)


def memory_size(queries: int, keys: int, size: int, value_size: int) -> int:
    """The float32 numbers that `attend` and `attend_one` need as memory."""
    if queries <= FEW:
        return keys + 3 * QUERIES
    panels = -(-value_size // TILE_COLUMNS) * TILE_COLUMNS
    return QUERIES * (size + 2 * KEYS + 4) + KEYS * panels + TILE_ROWS * TILE_COLUMNS


@sealed
def attend(
    q: int,
    q_row: int,
    queries: int,
    k: int,
    k_row: int,
    k_step: int,
    v: int,
    v_row: int,
    keys: int,
    size: int,
    value_size: int,
    scale: np.float32,
    softcap: np.float32,
    hidden: np.float32,
    blank: np.float32,
    safe: int,
    mask: int,
    mask_kind: int,
    mask_query: int,
    mask_key: int,
    first: int,
    before: int,
    after: int,
    y: int,
    y_row: int,
    memory: int,
) -> None:
    """``softmax(scale q kᵀ + mask) v`` for up to QUERIES queries.

    Args:
        q: The queries, (queries, size), rows ``q_row`` apart.
        q_row: See ``q``; all strides are in elements.
        queries: How many there are.
        k: The keys, (keys, size), rows ``k_row`` and elements ``k_step`` apart.
        k_row: See ``k``.
        k_step: See ``k``.
        v: The values, (keys, value_size), rows ``v_row`` apart.
        v_row: See ``v``.
        keys: How many keys there are.
        size: The length of queries and keys.
        value_size: The length of values and results.
        scale: The factor of the scores.
        softcap: The bound that tanh puts on the scores; 0 for none.
        hidden: The score of what a boolean mask hides.
        blank: What a query gives that sees nothing, all its scores being negative infinity: 0 or NaN.
        safe: Whether a query with undefined probabilities, some score being NaN, gives that too.
        mask: The mask of the first query and key.
        mask_kind: NO_MASK, SEEN, HIDDEN or ADDITIVE.
        mask_query: The elements from one query to the next in the mask, 0 where they share it.
        mask_key: The same for keys.
        first: The position of the first query among the keys.
        before: How many keys before its position a query sees, at most.
        after: How many behind.
        y: The results, (queries, value_size), rows ``y_row`` apart.
        y_row: See ``y``.
        memory: Memory for `memory_size` numbers.
    """
    scores = memory + 4 * QUERIES * size
    highest = scores + 4 * QUERIES * KEYS
    totals, factors, bases = highest + 4 * QUERIES, highest + 8 * QUERIES, highest + 12 * QUERIES
    turned = highest + 16 * QUERIES
    panels = turned + 4 * QUERIES * KEYS
    edge = panels + 4 * KEYS * -(-value_size // TILE_COLUMNS) * TILE_COLUMNS
    whole = value_size % LANES == 0
    columns = -(-queries // TILE_COLUMNS) * TILE_COLUMNS
    _pack_queries(q, q_row, queries, size, scale, memory)
    maxima = floats(highest, QUERIES)
    for i in range(QUERIES):
        maxima[i] = _MINUS_INFINITY
    clear(totals, QUERIES)
    low, high = max(0, first - before), min(keys, first + queries + after)
    if low >= high:
        for row in range(queries):
            clear(y + 4 * row * y_row, value_size)
    blocks = -(-(high - low) // KEYS)
    step = -(-(high - low) // (max(1, blocks) * TILE_ROWS)) * TILE_ROWS
    for start in range(low, high, step):
        count = min(step, high - start)
        multiply_block(
            k + 4 * start * k_row, k_row, k_step, count, memory, TILE_COLUMNS, TILE_COLUMNS * size,
            columns, size, scores, QUERIES, 0, 0,
        )  # fmt: skip
        if softcap != 0:
            _cap(scores, count, columns, softcap)
        if mask_kind == ADDITIVE:
            place = mask + 4 * start * mask_key
            add_mask(scores, QUERIES, count, queries, place, mask_query, mask_key, turned)
        elif mask_kind != NO_MASK:
            seen = 1 if mask_kind == SEEN else 0
            place = mask + start * mask_key
            apply_mask(scores, QUERIES, count, queries, place, mask_query, mask_key, seen, hidden, turned)
        if start + count - 1 > first + after or start < first + queries - 1 - before:
            _hide(scores, start, count, queries, first, before, after)
        _soften(scores, count, columns, highest, totals, factors, bases)
        if start > low:
            _scale_rows(y, y_row, queries, value_size, factors)
        right, b_step, b_panel = v + 4 * start * v_row, v_row, TILE_COLUMNS
        if not whole:
            pack_panels(right, v_row, 1, count, value_size, panels)
            right, b_step, b_panel = panels, TILE_COLUMNS, TILE_COLUMNS * count
        multiply_block(
            scores,
            1,
            QUERIES,
            queries,
            right,
            b_step,
            b_panel,
            value_size,
            count,
            y,
            y_row,
            1 if start > low else 0,
            edge,
        )
    _divide_rows(y, y_row, queries, value_size, totals, blank, safe)


@sealed
def attend_one(
    q: int,
    k: int,
    k_row: int,
    k_step: int,
    v: int,
    v_row: int,
    keys: int,
    size: int,
    value_size: int,
    scale: np.float32,
    softcap: np.float32,
    hidden: np.float32,
    blank: np.float32,
    safe: int,
    mask: int,
    mask_kind: int,
    mask_key: int,
    position: int,
    before: int,
    after: int,
    y: int,
    memory: int,
) -> None:
    """`attend` for one query: the scores of all keys as a row.  The keys' rows or columns must be contiguous."""
    low, high = max(0, position - before), min(keys, position + after + 1)
    count = max(0, high - low)
    padded = -(-count // QUERIES) * QUERIES
    scores = floats(memory, padded)
    if k_step == 1:
        multiply_column(k + 4 * low * k_row, k_row, q, size, count, memory)
    else:
        multiply_row(q, 1, k + 4 * low * k_row, k_step, size, count, memory)
    for i in range(count):
        scores[i] *= scale
    if softcap != 0:
        for i in range(count):
            scores[i] = softcap * tanh(scores[i] / softcap)
    if mask_kind == ADDITIVE:
        addends = floats(mask + 4 * low * mask_key, count * max(1, mask_key))
        for i in range(count):
            scores[i] += addends[i * mask_key]
    elif mask_kind != NO_MASK:
        flags, seen = uint8s(mask + low * mask_key, count * max(1, mask_key)), mask_kind == SEEN
        for i in range(count):
            scores[i] = scores[i] if (flags[i * mask_key] != 0) == seen else hidden
    for i in range(count, padded):
        scores[i] = _MINUS_INFINITY
    total = _soften_row(memory, padded, memory + 4 * padded)
    multiply_row(memory, 1, v + 4 * low * v_row, v_row, count, value_size, y)
    sums = floats(memory + 4 * padded, 1)
    sums[0] = total
    _divide_rows(y, value_size, 1, value_size, memory + 4 * padded, blank, safe)


@jit
def _soften_row(scores, count, memory):  # type: ignore[no-untyped-def]
    """Turn a row of whole blocks into exponentials less the highest, and return their sum."""
    parts = floats(memory, QUERIES)
    for i in range(QUERIES):
        parts[i] = _MINUS_INFINITY
    for start in range(0, count, QUERIES):
        line = floats(scores + 4 * start, QUERIES)
        for i in range(QUERIES):
            parts[i] = line[i] if line[i] > parts[i] else parts[i]
    base = _MINUS_INFINITY
    for i in range(QUERIES):
        base = max(base, parts[i])
        parts[i] = np.float32(0)
    base = base if base > _MINUS_INFINITY else np.float32(0)
    for start in range(0, count, QUERIES):
        line = floats(scores + 4 * start, QUERIES)
        for i in range(QUERIES):
            value = exp_of_negative(line[i] - base)
            line[i] = value
            parts[i] += value
    total = np.float32(0)
    for i in range(QUERIES):
        total += parts[i]
    return total


@jit
def _pack_queries(q, q_row, queries, size, scale, out):  # type: ignore[no-untyped-def]
    """The queries times the scale as a right matrix (size, queries) in panels; zeros where queries are missing."""
    for left in range(0, queries, TILE_COLUMNS):
        width = min(TILE_COLUMNS, queries - left)
        panel = floats(out + 4 * left * size, size * TILE_COLUMNS)
        for column in range(width):
            line = floats(q + 4 * (left + column) * q_row, size)
            for i in range(size):
                panel[i * TILE_COLUMNS + column] = line[i] * scale
        for column in range(width, TILE_COLUMNS):
            for i in range(size):
                panel[i * TILE_COLUMNS + column] = np.float32(0)


@jit
def _cap(scores, count, columns, softcap):  # type: ignore[no-untyped-def]
    for key in range(count):
        line = floats(scores + 4 * key * QUERIES, columns)
        for i in range(columns):
            line[i] = softcap * tanh(line[i] / softcap)


@jit
def _hide(scores, start, count, queries, first, before, after):  # type: ignore[no-untyped-def]
    """Take out the keys that are too far behind or before the position of a query."""
    for key in range(count):
        line = floats(scores + 4 * key * QUERIES, queries)
        for i in range(min(queries, max(0, start + key - after - first))):
            line[i] = _MINUS_INFINITY
        for i in range(max(0, start + key + before - first + 1), queries):
            line[i] = _MINUS_INFINITY


@jit
def _soften(scores, count, columns, highest, totals, factors, bases):  # type: ignore[no-untyped-def]
    """Turn scores into exponentials less the highest so far, and add them up; what came before shrinks by a factor."""
    maxima, sums, shrink = floats(highest, columns), floats(totals, columns), floats(factors, columns)
    base = floats(bases, columns)
    for i in range(columns):
        shrink[i] = maxima[i]
    for key in range(count):
        line = floats(scores + 4 * key * QUERIES, columns)
        for i in range(columns):
            maxima[i] = line[i] if line[i] > maxima[i] else maxima[i]
    for i in range(columns):
        # Where nothing is seen yet, any finite number will do.
        base[i] = maxima[i] if maxima[i] > _MINUS_INFINITY else np.float32(0)
        shrink[i] = exp_of_negative(shrink[i] - base[i])
        sums[i] *= shrink[i]
    for key in range(0, count - 1, 2):
        # Two keys at a time keep the units busier, and the sums are read half as often.
        lines = floats(scores + 4 * key * QUERIES, 2 * QUERIES)
        for i in range(columns):
            one = exp_of_negative(lines[i] - base[i])
            other = exp_of_negative(lines[i + QUERIES] - base[i])
            lines[i], lines[i + QUERIES] = one, other
            sums[i] += one + other
    for key in range(count - count % 2, count):
        line = floats(scores + 4 * key * QUERIES, columns)
        for i in range(columns):
            value = exp_of_negative(line[i] - base[i])
            line[i] = value
            sums[i] += value


@jit
def _scale_rows(y, y_row, rows, columns, factors):  # type: ignore[no-untyped-def]
    shrink = floats(factors, rows)
    for row in range(rows):
        line, factor = floats(y + 4 * row * y_row, columns), shrink[row]
        if factor != 1:
            for i in range(columns):
                line[i] *= factor


@jit
def _divide_rows(y, y_row, rows, columns, totals, blank, safe):  # type: ignore[no-untyped-def]
    """A query that sees nothing has zeros and a total of 0: ``blank`` times that is its result."""
    sums = floats(totals, rows)
    for row in range(rows):
        line = floats(y + 4 * row * y_row, columns)
        factor = blank if sums[row] == 0 else np.float32(1) / sums[row]
        if safe != 0 and not sums[row] > 0:
            for i in range(columns):
                line[i] = blank
        else:
            for i in range(columns):
                line[i] *= factor
