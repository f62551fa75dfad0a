"""The loop of LSTM, GRU and RNN over the time steps, float32, as one compiled function.

What the input adds to the gates is a product for many steps at a time; the recurrence weights are packed once.  In
memory the hidden units are padded to whole vectors, and the padding stays out of the results.  The cells, the steps of
the three layers, are in `cells`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from onnxlite.kernels.numba.machine.block import clear, copy
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.memory import address, write
from onnxlite.kernels.numba.machine.simd import TILE_COLUMNS, TILE_ROWS
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.product.product import multiply_block
from onnxlite.kernels.numba.recurrent.cells import gru_candidates, gru_gates, lstm_units, rnn_units

#: The layers; a GRU resets the state before or after its product with the weights.
LSTM, GRU_RESET_FIRST, GRU_RESET_AFTER, RNN = range(4)

#: The multiply-adds in a piece of work, at least.
PIECE_WORK = 250_000


class Layer(NamedTuple):
    """The lengths of a layer and its strides, in elements.

    ``units`` is the hidden size with padding, ``columns`` that of all gates; ``block`` units are a piece of a step.
    ``backwards`` is 1 if all directions run from the last step on, 2 if the second does.
    ``rows`` sequences of the batch take their steps together, and ``chunk`` steps share a product with the input.
    """

    kind: int
    steps: int
    batch: int
    inputs: int
    hidden: int
    units: int
    columns: int
    block: int
    backwards: int
    rows: int
    chunk: int
    x_step: int
    x_sequence: int
    y_step: int
    y_sequence: int
    y_direction: int
    state_sequence: int
    state_direction: int
    step_piece: int
    outer_piece: int


@jit
def recur(  # type: ignore[no-untyped-def]
    pool, x, w, r, bias, extra, functions, lengths, h0, c0, y, h, c, layer, directions, gates, work, states
):
    """Run a layer in its directions.

    Args:
        pool: The thread pool.
        x: The input sequences, flat.
        w: The input weights of each direction, packed.
        r: The recurrence weights of each direction, packed.
        bias: The biases of the gates, of each direction.
        extra: Of each direction: the peepholes of an LSTM, or the recurrence bias of the candidates of a GRU.
        functions: Of each direction: code and two parameters of three activations, the clip, and input_forget.
        lengths: The steps of each sequence, or nothing: all.
        h0: The initial hidden states, or nothing: zeros.
        c0: The initial cell states, or nothing: zeros.
        y: The hidden states after each step.
        h: The last hidden states.
        c: The last cell states.
        layer: The lengths and strides.
        directions: How many directions there are.
        gates: For each part of the work, memory for the gates of a chunk of steps.
        work: For each part of the work, memory for the product with the recurrence weights.
        states: For each part of the work, memory for two hidden states, a cell state, and a number per sequence.
    """
    for length in lengths:
        if length < 0 or length > layer.steps:
            raise ValueError("sequence_lens must not be negative and not exceed the number of steps")
    parts = -(-layer.batch // layer.rows)
    parallel_for(
        pool,
        _run_parts,
        (pool, x, w, r, bias, extra, functions, lengths, h0, c0, y, h, c, layer, parts, gates, work, states),
        directions * parts,
        layer.outer_piece,
    )


@jit
def _run_parts(  # type: ignore[no-untyped-def]
    start, stop, thread, pool, x, w, r, bias, extra, functions, lengths, h0, c0, y, h, c, p, parts, gates, work, states
):
    for part in range(start, stop):
        direction, first = part // parts, part % parts * p.rows
        rows = min(p.rows, p.batch - first)
        size = p.rows * p.units
        memory, products = address(gates, part * gates.shape[1]), address(work, part * work.shape[1])
        state, following = address(states, part * states.shape[1]), address(states, part * states.shape[1] + size)
        cell = address(states, part * states.shape[1] + 2 * size)
        alive = address(states, part * states.shape[1] + 3 * size) if lengths.size > 0 else 0
        place = direction * p.state_direction + first * p.state_sequence
        clear(state, rows * p.units)
        clear(cell, rows * p.units)
        for row in range(rows):
            there, here = place + row * p.state_sequence, 4 * row * p.units
            if h0.size > 0:
                copy(address(h0, there), state + here, p.hidden)
            if c0.size > 0:
                copy(address(c0, there), cell + here, p.hidden)
        weights = address(r, direction * p.columns * p.hidden)
        more, f = address(extra, direction * 3 * p.units) if extra.size > 0 else 0, address(functions, direction * 11)
        reverse = p.backwards == 1 or p.backwards == 1 + direction
        for done in range(0, p.steps, p.chunk):
            count = min(p.chunk, p.steps - done)
            begin = p.steps - done - count if reverse else done
            _project_steps(
                pool, address(x, begin * p.x_step + first * p.x_sequence),
                address(w, direction * p.inputs * p.columns), address(bias, direction * p.columns), memory, p, count,
                rows,
            )  # fmt: skip
            for number in range(count):
                step = count - 1 - number if reverse else number
                if alive != 0:
                    _mark_alive(lengths, first, rows, begin + step, alive)
                target = direction * p.y_direction + (begin + step) * p.y_step + first * p.y_sequence
                now = memory + 4 * step * rows * p.columns
                arguments = (
                    p,
                    now,
                    products,
                    state,
                    cell,
                    weights,
                    more,
                    following,
                    address(y, target),
                    alive,
                    rows,
                    f,
                )
                blocks = -(-p.units // p.block)
                parallel_for(pool, _take_step, (0,) + arguments, blocks, p.step_piece)  # noqa: RUF005
                if p.kind == GRU_RESET_FIRST:
                    parallel_for(pool, _take_step, (1,) + arguments, blocks, p.step_piece)  # noqa: RUF005
                state, following = following, state
        for row in range(rows):
            there, here = place + row * p.state_sequence, 4 * row * p.units
            # A sequence without steps has no last state: zeros.
            count = 0 if lengths.size > 0 and lengths[first + row] == 0 else p.hidden
            clear(address(h, there), p.hidden)
            copy(state + here, address(h, there), count)
            if p.kind == LSTM:
                clear(address(c, there), p.hidden)
                copy(cell + here, address(c, there), count)


@jit
def _take_step(  # type: ignore[no-untyped-def]
    start, stop, thread, stage, p, gates, work, h, c, r, extra, following, y, alive, rows, functions
):
    """One step of some blocks of units, or a stage of it."""
    first, last = start * p.block, min(stop * p.block, p.units)
    if p.kind == LSTM:
        lstm_units(
            first, last, gates, h, c, r, extra, following, y, p.y_sequence, alive, rows, p.hidden, p.units, functions
        )
    elif p.kind == RNN:
        rnn_units(first, last, gates, h, r, following, y, p.y_sequence, alive, rows, p.hidden, p.units, functions)
    else:
        after = 1 if p.kind == GRU_RESET_AFTER else 0
        if stage == 0:
            gru_gates(first, last, gates, work, h, r, after, rows, p.hidden, p.units, functions)
        if after == 1 or stage == 1:
            gru_candidates(
                first, last, gates, work, h, r, extra, after, following, y, p.y_sequence, alive, rows, p.hidden,
                p.units, functions,
            )  # fmt: skip


@jit
def _project_steps(pool, x, w, bias, gates, p, count, rows):  # type: ignore[no-untyped-def]
    """What the input adds to the gates: (count steps, rows sequences, columns).

    It is one product where the rows of x follow each other at one distance, else one per step or per sequence.
    """
    groups, lines = count, rows
    x_group, x_line, target_group, target_line = p.x_step, p.x_sequence, rows * p.columns, p.columns
    if p.x_step == rows * p.x_sequence or rows == 1 or count == 1:
        groups, lines = 1, count * rows
        x_line = p.x_step if rows == 1 else p.x_sequence
    elif count > rows:
        groups, lines = rows, count
        x_group, x_line, target_group, target_line = p.x_sequence, p.x_step, p.columns, rows * p.columns
    block = max(1, PIECE_WORK // (max(1, p.inputs) * p.columns * TILE_ROWS)) * TILE_ROWS
    arguments = (x, x_group, x_line, w, bias, gates, target_group, target_line, p.inputs, p.columns, lines, block)
    parallel_for(pool, _project, arguments, groups * -(-lines // block), 1)


@jit
def _project(  # type: ignore[no-untyped-def]
    start, stop, thread, x, x_group, x_line, w, bias, gates, target_group, target_line, depth, columns, lines, block
):
    per_group = -(-lines // block)
    for index in range(start, stop):
        group, top = index // per_group, index % per_group * block
        count = min(block, lines - top)
        target = gates + 4 * (group * target_group + top * target_line)
        for line in range(count):
            copy(bias, target + 4 * line * target_line, columns)
        multiply_block(
            x + 4 * (group * x_group + top * x_line), x_line, 1, count,
            w, TILE_COLUMNS, TILE_COLUMNS * depth, columns, depth, target, target_line, 1, 0,
        )  # fmt: skip


@jit
def _mark_alive(lengths, first, rows, step, alive):  # type: ignore[no-untyped-def]
    """A 1 for each sequence that takes the step, else a 0."""
    for row in range(rows):
        write(alive + 4 * row, np.float32(1) if step < lengths[first + row] else np.float32(0))
