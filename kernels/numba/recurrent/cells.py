"""The cells of the recurrent layers: one step of some hidden units for some sequences of a batch.

All memory is given by address.  The gates of a step are (rows, columns); the states (rows, units), units being the
hidden size with padding.  An LSTM has the gates input, output, forget and cell of each block of LANES units side by
side; the other layers have one gate after the other.  A sequence that is over keeps its states, and its output is zero.

``functions`` are 11 numbers: code, alpha and beta of the activations f, g and h, a bound for their inputs (infinite for
none), and whether an LSTM's forget gate is the input gate's rest.
"""

from __future__ import annotations

import math

import numpy as np

from onnxlite.kernels.numba.machine.block import clear, copy
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.memory import floats
from onnxlite.kernels.numba.machine.sealed import sealed
from onnxlite.kernels.numba.machine.simd import LANES, TILE_COLUMNS
from onnxlite.kernels.numba.machine.vectormath import sigmoid, tanh
from onnxlite.kernels.numba.product.epilogue import CLIP, SIGMOID, TANH, activate
from onnxlite.kernels.numba.product.product import multiply_block

_INFINITY = np.float32(math.inf)


@sealed
def lstm_units(
    start: int,
    stop: int,
    gates: int,
    h: int,
    c: int,
    r: int,
    peepholes: int,
    following: int,
    y: int,
    y_sequence: int,
    alive: int,
    rows: int,
    hidden: int,
    units: int,
    functions: int,
) -> None:
    """``c = forget c + input candidate`` and ``h = output squash(c)``; ``peepholes`` is 0 where there are none."""
    columns, first = 4 * units, gates + 16 * start
    multiply_block(
        h, units, 1, rows, r + 16 * start * hidden, TILE_COLUMNS, TILE_COLUMNS * hidden,
        4 * (stop - start), hidden, first, columns, 1, 0,
    )  # fmt: skip
    f = floats(functions, 11)
    usual = f[0] == SIGMOID and f[3] == TANH and f[6] == TANH and f[9] == _INFINITY and f[10] == 0 and peepholes == 0
    for row in range(rows):
        if alive != 0 and floats(alive, rows)[row] == 0:
            _keep(start, stop, h + 4 * row * units, following + 4 * row * units, y + 4 * row * y_sequence, hidden)
            continue
        for unit in range(start, stop, LANES):
            four = gates + 4 * (row * columns + 4 * unit)
            cell, result = c + 4 * (row * units + unit), following + 4 * (row * units + unit)
            if usual:
                _usual_lstm(four, cell, result)
            else:
                _other_lstm(four, cell, result, peepholes + 4 * unit if peepholes != 0 else 0, units, functions)
        copy(following + 4 * (row * units + start), y + 4 * (row * y_sequence + start), min(stop, hidden) - start)


@jit
def _usual_lstm(gates, c, h):  # type: ignore[no-untyped-def]
    """LANES units with the default activations and nothing else."""
    to_input, to_output = floats(gates, LANES), floats(gates + 4 * LANES, LANES)
    to_forget, to_cell = floats(gates + 8 * LANES, LANES), floats(gates + 12 * LANES, LANES)
    cell, result = floats(c, LANES), floats(h, LANES)
    for i in range(LANES):
        new = sigmoid(to_forget[i]) * cell[i] + sigmoid(to_input[i]) * tanh(to_cell[i])
        cell[i] = new
        result[i] = sigmoid(to_output[i]) * tanh(new)


@sealed
def _other_lstm(gates: int, c: int, h: int, peepholes: int, units: int, functions: int) -> None:
    """LANES units with whatever an LSTM may have."""
    to_input, to_output = floats(gates, LANES), floats(gates + 4 * LANES, LANES)
    to_forget, to_cell = floats(gates + 8 * LANES, LANES), floats(gates + 12 * LANES, LANES)
    cell, result = floats(c, LANES), floats(h, LANES)
    if peepholes != 0:
        _add_product(to_input, floats(peepholes, LANES), cell)
        _add_product(to_forget, floats(peepholes + 8 * units, LANES), cell)
    _function(gates, LANES, functions, 0)
    _function(gates + 8 * LANES, LANES, functions, 0)
    _function(gates + 12 * LANES, LANES, functions, 1)
    coupled = floats(functions, 11)[10] != 0
    for i in range(LANES):
        forget = np.float32(1) - to_input[i] if coupled else to_forget[i]
        cell[i] = forget * cell[i] + to_input[i] * to_cell[i]
    if peepholes != 0:
        _add_product(to_output, floats(peepholes + 4 * units, LANES), cell)
    _function(gates + 4 * LANES, LANES, functions, 0)
    copy(c, h, LANES)
    _function(h, LANES, functions, 2)
    for i in range(LANES):
        result[i] *= to_output[i]


@sealed
def rnn_units(
    start: int,
    stop: int,
    gates: int,
    h: int,
    r: int,
    following: int,
    y: int,
    y_sequence: int,
    alive: int,
    rows: int,
    hidden: int,
    units: int,
    functions: int,
) -> None:
    """``h = f(gates + h R)``."""
    count = stop - start
    multiply_block(
        h, units, 1, rows, r + 4 * start * hidden, TILE_COLUMNS, TILE_COLUMNS * hidden,
        count, hidden, gates + 4 * start, units, 1, 0,
    )  # fmt: skip
    for row in range(rows):
        old, new, out = h + 4 * row * units, following + 4 * row * units, y + 4 * row * y_sequence
        if alive != 0 and floats(alive, rows)[row] == 0:
            _keep(start, stop, old, new, out, hidden)
            continue
        gate = gates + 4 * (row * units + start)
        _function(gate, count, functions, 0)
        copy(gate, new + 4 * start, count)
        copy(new + 4 * start, out + 4 * start, min(stop, hidden) - start)


@sealed
def gru_gates(
    start: int,
    stop: int,
    gates: int,
    work: int,
    h: int,
    r: int,
    after: int,
    rows: int,
    hidden: int,
    units: int,
    functions: int,
) -> None:
    """The update and the reset gate; where the reset comes first (``after`` 0), the second is times h."""
    columns, count = 3 * units, stop - start
    for gate in range(2):
        multiply_block(
            h, units, 1, rows, r + 4 * (gate * units + start) * hidden, TILE_COLUMNS,
            TILE_COLUMNS * hidden, count, hidden, work + 4 * (gate * units + start), columns, 0, 0,
        )  # fmt: skip
        for row in range(rows):
            place = 4 * (row * columns + gate * units + start)
            result, addend = floats(work + place, count), floats(gates + place, count)
            for i in range(count):
                result[i] += addend[i]
            _function(work + place, count, functions, 0)
            if gate == 1 and after == 0:
                state = floats(h + 4 * (row * units + start), count)
                for i in range(count):
                    result[i] *= state[i]


@sealed
def gru_candidates(
    start: int,
    stop: int,
    gates: int,
    work: int,
    h: int,
    r: int,
    bias: int,
    after: int,
    following: int,
    y: int,
    y_sequence: int,
    alive: int,
    rows: int,
    hidden: int,
    units: int,
    functions: int,
) -> None:
    """``h = (1 - update) candidate + update h``, the candidate made from the state as the reset gate leaves it."""
    columns, count = 3 * units, stop - start
    left, row_stride = (h, units) if after != 0 else (work + 4 * units, columns)
    multiply_block(
        left, row_stride, 1, rows, r + 4 * (2 * units + start) * hidden, TILE_COLUMNS,
        TILE_COLUMNS * hidden, count, hidden, work + 4 * (2 * units + start), columns, 0, 0,
    )  # fmt: skip
    addend = floats(bias + 4 * start, count)
    for row in range(rows):
        old, new, out = h + 4 * row * units, following + 4 * row * units, y + 4 * row * y_sequence
        if alive != 0 and floats(alive, rows)[row] == 0:
            _keep(start, stop, old, new, out, hidden)
            continue
        place = 4 * (row * columns + start)
        update, reset = floats(work + place, count), floats(work + place + 4 * units, count)
        candidate, given = floats(work + place + 8 * units, count), floats(gates + place + 8 * units, count)
        if after != 0:
            for i in range(count):
                candidate[i] = given[i] + reset[i] * (candidate[i] + addend[i])
        else:
            for i in range(count):
                candidate[i] += given[i]
        _function(work + place + 8 * units, count, functions, 1)
        state, result = floats(old + 4 * start, count), floats(new + 4 * start, count)
        for i in range(count):
            result[i] = (np.float32(1) - update[i]) * candidate[i] + update[i] * state[i]
        copy(new + 4 * start, out + 4 * start, min(stop, hidden) - start)


@sealed
def _function(place: int, count: int, functions: int, number: int) -> None:
    """Activation 0 (f), 1 (g) or 2 (h) in place, after the bound on its inputs."""
    f = floats(functions, 11)
    if f[9] != _INFINITY:
        activate(place, count, CLIP, -f[9], f[9])
    activate(place, count, int(f[3 * number]), f[3 * number + 1], f[3 * number + 2])


@jit
def _add_product(x, y, z):  # type: ignore[no-untyped-def]
    for i in range(x.size):
        x[i] += y[i] * z[i]


@jit
def _keep(start, stop, h, following, y, hidden):  # type: ignore[no-untyped-def]
    """What a step leaves of a sequence that is over."""
    copy(h + 4 * start, following + 4 * start, stop - start)
    clear(y + 4 * start, min(stop, hidden) - start)
