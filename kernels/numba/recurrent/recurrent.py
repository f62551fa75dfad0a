"""LSTM, GRU and RNN with constant weights: the builders, which lay out what is constant for `recurrence`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numba.machine.simd import LANES, TILE_COLUMNS
from onnxlite.kernels.numba.product.epilogue import activation_code
from onnxlite.kernels.numba.product.matmul import writable
from onnxlite.kernels.numba.product.product import aligned, pack_right
from onnxlite.kernels.numba.recurrent.recurrence import (
    GRU_RESET_AFTER,
    GRU_RESET_FIRST,
    LSTM,
    PIECE_WORK,
    RNN,
    Layer,
    recur,
)
from onnxlite.kernels.numba.spec import FLOAT32, ArraySpec, Bound, Declined, Input, Output, Pool, Scratch
from onnxlite.kernels.numba.table import op

#: The elements of the gates that are computed from the input at a time, about.
_CHUNK = 1 << 18
#: The multiply-adds of a step from which on threads divide each step; below, they divide batch and directions.
_LARGE_STEP = 1_000_000
#: The sequences that take their steps together where threads divide the batch.
_TOGETHER = 4

_BACKWARDS = {"forward": 0, "reverse": 1, "bidirectional": 2}
_GATES = {LSTM: 4, GRU_RESET_FIRST: 3, GRU_RESET_AFTER: 3, RNN: 1}

#: The activation functions that are compiled: names in lower case, the operator, and whether alpha and beta are taken.
_ACTIVATIONS = {
    "relu": ("Relu", ()),
    "tanh": ("Tanh", ()),
    "sigmoid": ("Sigmoid", ()),
    "leakyrelu": ("LeakyRelu", ("alpha",)),
    "hardsigmoid": ("HardSigmoid", ("alpha", "beta")),
}


@op("LSTM", since=14)
def lstm(
    x: ArraySpec,
    w: ArraySpec,
    r: ArraySpec,
    b: ArraySpec | None = None,
    sequence_lens: ArraySpec | None = None,
    initial_h: ArraySpec | None = None,
    initial_c: ArraySpec | None = None,
    p: ArraySpec | None = None,
    *,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    activations: Sequence[str] | None = None,
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    input_forget: int = 0,
    layout: int = 0,
) -> Bound | Declined:
    """Long short-term memory (ONNX LSTM-14)."""
    names = ("Sigmoid", "Tanh", "Tanh") * 2 if activations is None else activations
    functions = _functions(names, 3, direction, activation_alpha, activation_beta, clip, input_forget)
    return _bind(LSTM, x, w, r, b, sequence_lens, initial_h, initial_c, p, functions, direction, hidden_size, layout)


@op("LSTM", since=7, until=7)
def lstm_7(
    *inputs: Any,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    activations: Sequence[str] | None = None,
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    input_forget: int = 0,
) -> Bound | Declined:
    """LSTM with the steps first (ONNX LSTM-7)."""
    return lstm(
        *inputs,
        activation_alpha=activation_alpha,
        activation_beta=activation_beta,
        activations=activations,
        clip=clip,
        direction=direction,
        hidden_size=hidden_size,
        input_forget=input_forget,
    )


@op("GRU", since=14)
def gru(
    x: ArraySpec,
    w: ArraySpec,
    r: ArraySpec,
    b: ArraySpec | None = None,
    sequence_lens: ArraySpec | None = None,
    initial_h: ArraySpec | None = None,
    *,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    activations: Sequence[str] | None = None,
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
    linear_before_reset: int = 0,
) -> Bound | Declined:
    """Gated recurrent units (ONNX GRU-14)."""
    names = ("Sigmoid", "Tanh") * 2 if activations is None else activations
    functions = _functions(names, 2, direction, activation_alpha, activation_beta, clip, 0)
    kind = GRU_RESET_AFTER if linear_before_reset else GRU_RESET_FIRST
    return _bind(kind, x, w, r, b, sequence_lens, initial_h, None, None, functions, direction, hidden_size, layout)


@op("GRU", since=7, until=7)
def gru_7(
    *inputs: Any,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    activations: Sequence[str] | None = None,
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    linear_before_reset: int = 0,
) -> Bound | Declined:
    """GRU with the steps first (ONNX GRU-7)."""
    return gru(
        *inputs,
        activation_alpha=activation_alpha,
        activation_beta=activation_beta,
        activations=activations,
        clip=clip,
        direction=direction,
        hidden_size=hidden_size,
        linear_before_reset=linear_before_reset,
    )


@op("RNN", since=14)
def rnn(
    x: ArraySpec,
    w: ArraySpec,
    r: ArraySpec,
    b: ArraySpec | None = None,
    sequence_lens: ArraySpec | None = None,
    initial_h: ArraySpec | None = None,
    *,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    activations: Sequence[str] = ("Tanh", "Tanh"),
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
) -> Bound | Declined:
    """A recurrent layer of one gate (ONNX RNN-14)."""
    functions = _functions(activations, 1, direction, activation_alpha, activation_beta, clip, 0)
    return _bind(RNN, x, w, r, b, sequence_lens, initial_h, None, None, functions, direction, hidden_size, layout)


@op("RNN", since=7, until=7)
def rnn_7(
    *inputs: Any,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    activations: Sequence[str] = ("Tanh", "Tanh"),
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
) -> Bound | Declined:
    """RNN with the steps first (ONNX RNN-7)."""
    return rnn(
        *inputs,
        activation_alpha=activation_alpha,
        activation_beta=activation_beta,
        activations=activations,
        clip=clip,
        direction=direction,
        hidden_size=hidden_size,
    )


def _functions(
    names: Sequence[str],
    count: int,
    direction: str,
    alphas: Sequence[float] | None,
    betas: Sequence[float] | None,
    clip: float | None,
    input_forget: int,
) -> Array | None:
    """For each direction, the 11 numbers that `cells` describes; None where an activation is not compiled."""
    directions = 2 if direction == "bidirectional" else 1
    if len(names) < count * directions:
        return None
    left = {"alpha": iter(alphas or ()), "beta": iter(betas or ())}
    rows = np.zeros((directions, 11), np.float32)
    rows[:, 9] = math.inf if clip is None else clip
    rows[:, 10] = input_forget
    for number, name in enumerate(names[: count * directions]):
        operator, parameters = _ACTIVATIONS.get(name.lower(), ("?", ()))
        code = activation_code(operator, *(next(left[p], None) for p in parameters))
        if code is None:
            return None
        place = 3 * (number % count)
        rows[number // count, place : place + 3] = code
    return rows.reshape(-1)


def _bind(
    kind: int,
    x: ArraySpec,
    w: ArraySpec,
    r: ArraySpec,
    b: ArraySpec | None,
    lengths: ArraySpec | None,
    h0: ArraySpec | None,
    c0: ArraySpec | None,
    peepholes: ArraySpec | None,
    functions: Array | None,
    direction: str,
    hidden_size: int | None,
    layout: int,
) -> Bound | Declined:
    """The call of `recur` for a layer."""
    if x.dtype != FLOAT32 or w.value is None or r.value is None:
        return Declined("only float32 with constant weights is compiled")
    if any(spec is not None and spec.value is None for spec in (b, peepholes)):
        return Declined("only constant biases and peepholes are compiled")
    if functions is None or direction not in _BACKWARDS:
        return Declined("only the activations Sigmoid, Tanh, Relu, LeakyRelu and HardSigmoid are compiled")
    if len(x.shape) != 3 or len(w.shape) != 3 or len(r.shape) != 3 or not x.size or not w.size:
        return Declined("the shapes do not fit, or are empty: the reference says how")
    directions, gates, hidden = len(functions) // 11, _GATES[kind], r.shape[2]
    batch, steps = (x.shape[0], x.shape[1]) if layout else (x.shape[1], x.shape[0])
    inputs = x.shape[2]
    state = (batch, directions, hidden) if layout else (directions, batch, hidden)
    fitting = w.shape == (directions, gates * hidden, inputs) and r.shape == (directions, gates * hidden, hidden)
    states_fit = all(spec is None or spec.shape == state for spec in (h0, c0))
    if not fitting or not states_fit or hidden_size not in (None, hidden):
        return Declined("the shapes do not fit: the reference says how")
    if lengths is not None and (lengths.shape != (batch,) or lengths.dtype != np.int32):
        return Declined("the shapes do not fit: the reference says how")
    step_work = batch * gates * hidden * hidden
    large = step_work >= _LARGE_STEP or directions * batch == 1
    rows = batch if large or batch < 2 * _TOGETHER else _TOGETHER
    unit_block = LANES if kind == LSTM else TILE_COLUMNS
    units = -(-hidden // unit_block) * unit_block
    columns = gates * units
    chunk = min(steps, max(1, _CHUNK // (columns * rows)))
    piece_work = rows * gates * unit_block * hidden
    y_shape, y_strides = _output_layout(layout, steps, directions, batch, hidden)
    layer = Layer(
        kind=kind,
        steps=steps,
        batch=batch,
        inputs=inputs,
        hidden=hidden,
        units=units,
        columns=columns,
        block=unit_block,
        backwards=_BACKWARDS[direction],
        rows=rows,
        chunk=chunk,
        x_step=inputs if layout else batch * inputs,
        x_sequence=steps * inputs if layout else inputs,
        y_step=y_strides[0],
        y_sequence=y_strides[1],
        y_direction=y_strides[2],
        state_sequence=directions * hidden if layout else hidden,
        state_direction=hidden if layout else batch * hidden,
        step_piece=max(1, PIECE_WORK // piece_work),
        outer_piece=directions if large else 1,
    )
    parts = directions * -(-batch // rows)
    bias, extra = _biases(kind, b, peepholes, directions, hidden, units)
    nothing = np.zeros(0, np.float32)
    outputs = [ArraySpec(y_shape, FLOAT32), ArraySpec(state, FLOAT32)]
    if kind == LSTM:
        outputs.append(ArraySpec(state, FLOAT32))
    return Bound(
        recur,
        (
            Pool(),
            writable(x, 0),
            _packed(kind, w.value, units),
            _packed(kind, r.value, units),
            bias,
            extra,
            functions,
            np.zeros(0, np.int32) if lengths is None else _lengths(lengths),
            nothing if h0 is None else writable(h0, 5),
            nothing if c0 is None else writable(c0, 6),
            Output(0, flat=True),
            Output(1, flat=True),
            Output(2, flat=True) if kind == LSTM else Scratch((1,)),
            layer,
            directions,
            Scratch((parts, chunk * rows * columns)),
            Scratch((parts, 1 if kind in (LSTM, RNN) else rows * columns)),
            Scratch((parts, rows * (3 * units + 1))),
        ),
        tuple(outputs),
    )


def _output_layout(
    layout: int, steps: int, directions: int, batch: int, hidden: int
) -> tuple[tuple[int, ...], tuple[int, int, int]]:
    """The shape of the first output, and its strides: of steps, of sequences, of directions."""
    if layout:
        return (batch, steps, directions, hidden), (directions * hidden, steps * directions * hidden, hidden)
    return (steps, directions, batch, hidden), (directions * batch * hidden, hidden, batch * hidden)


def _lengths(spec: ArraySpec) -> Any:
    return Input(4, flat=True) if spec.value is None else np.array(spec.value)


def _arranged(kind: int, values: Array, units: int) -> Array:
    """Gates times hidden units in the first axis, padded and in the order of the gates in memory."""
    gates = _GATES[kind]
    by_gate = values.reshape(gates, -1, *values.shape[1:])
    padding = [(0, 0), (0, units - by_gate.shape[1])] + [(0, 0)] * (values.ndim - 1)
    padded = np.pad(np.asarray(by_gate, np.float32), padding)
    if kind == LSTM:
        padded = np.swapaxes(padded.reshape(gates, units // LANES, LANES, *values.shape[1:]), 0, 1)
    return np.ascontiguousarray(padded).reshape(gates * units, *values.shape[1:])


def _packed(kind: int, weights: Array, units: int) -> Array:
    """The weights of each direction (gates * hidden, depth) as right matrices (depth, columns) in panels."""
    directions, _, depth = weights.shape
    columns = _GATES[kind] * units
    packed = aligned((directions, depth * columns))
    for d in range(directions):
        right = np.ascontiguousarray(_arranged(kind, weights[d], units).T)
        pack_right(right.reshape(-1), 0, columns, depth, columns, packed[d])
    return packed.reshape(-1)


def _biases(
    kind: int, b: ArraySpec | None, peepholes: ArraySpec | None, directions: int, hidden: int, units: int
) -> tuple[Array, Array]:
    """The biases of the gates, and the peepholes of an LSTM or the recurrence bias of a GRU's candidates."""
    size = _GATES[kind] * hidden
    both = np.zeros((directions, 2 * size), np.float32) if b is None else np.asarray(b.value, np.float32)
    of_input, of_state = both[:, :size].copy(), both[:, size:].copy()
    extra = np.zeros((directions, 3, units), np.float32)
    if kind == GRU_RESET_AFTER:
        extra[:, 0, :hidden] = of_state[:, 2 * hidden :]
        of_state[:, 2 * hidden :] = 0
    if peepholes is not None:
        extra[:, :, :hidden] = np.asarray(peepholes.value).reshape(directions, 3, hidden)
    bias = np.stack([_arranged(kind, row, units) for row in of_input + of_state])
    empty = kind == LSTM and peepholes is None
    return bias.reshape(-1), np.zeros(0, np.float32) if empty else extra.reshape(-1)
