"""The recurrent layers RNN, GRU and LSTM: each is a cell, the step that the loop in `recurrence` takes."""

from __future__ import annotations

from collections.abc import Sequence

from onnxlite.kernels.arrays import Array, array_namespace
from onnxlite.kernels.numpy.recurrence import States, Step, activation_functions, recur
from onnxlite.kernels.numpy.table import op


@op("RNN", since=14, widen=True)
def rnn(
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    sequence_lens: Array | None = None,
    initial_h: Array | None = None,
    *,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    activations: Sequence[str] = ("Tanh", "Tanh"),
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
) -> tuple[Array, ...]:
    """``h = f(x W + h R + b)`` at every step; gives the hidden state after each step and the last (ONNX RNN-14)."""
    functions = activation_functions(activations, 1, direction, activation_alpha, activation_beta, clip)

    def cell(d: int, weights: Array, bias: Array) -> Step:
        (f,) = functions[d]
        return lambda gate, states: (f(gate + states[0] @ weights.T + bias),)

    return recur(cell, x, w, r, b, sequence_lens, [initial_h], direction, hidden_size, layout)


@op("RNN", since=7, until=7, widen=True)
def rnn_7(
    *inputs: Array | None,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    activations: Sequence[str] = ("Tanh", "Tanh"),
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
) -> tuple[Array, ...]:
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


@op("RNN", since=1, until=1, widen=True)
def rnn_1(
    *inputs: Array | None,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    activations: Sequence[str] = ("Tanh", "Tanh"),
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    output_sequence: int = 0,
) -> tuple[Array, ...]:
    """RNN that may leave its first output out; it is given here whatever ``output_sequence`` says (ONNX RNN-1)."""
    return rnn_7(
        *inputs,
        activation_alpha=activation_alpha,
        activation_beta=activation_beta,
        activations=activations,
        clip=clip,
        direction=direction,
        hidden_size=hidden_size,
    )


@op("GRU", since=14, widen=True)
def gru(
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    sequence_lens: Array | None = None,
    initial_h: Array | None = None,
    *,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    activations: Sequence[str] | None = None,
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
    linear_before_reset: int = 0,
) -> tuple[Array, ...]:
    """``h = (1 - z) candidate + z h``, with an update gate z and a reset gate r for the candidate (ONNX GRU-14).

    ``candidate = g(x W + (r h) R + b)``, or with ``linear_before_reset`` ``g(x W + r (h R + b))``; f gives the gates.
    """
    names = ("Sigmoid", "Tanh") * 2 if activations is None else activations
    functions = activation_functions(names, 2, direction, activation_alpha, activation_beta, clip)
    hidden = r.shape[-1]

    def cell(d: int, weights: Array, bias: Array) -> Step:
        f, g = functions[d]
        of_gates, of_candidate = weights[: 2 * hidden].T, weights[2 * hidden :].T
        bias_of_gates, bias_of_candidate = bias[: 2 * hidden], bias[2 * hidden :]

        def step(inputs: Array, states: States) -> States:
            (h,) = states
            gates = f(inputs[:, : 2 * hidden] + h @ of_gates + bias_of_gates)
            update, reset = gates[:, :hidden], gates[:, hidden:]
            if linear_before_reset:
                recurrent = reset * (h @ of_candidate + bias_of_candidate)
            else:
                recurrent = (reset * h) @ of_candidate + bias_of_candidate
            candidate = g(inputs[:, 2 * hidden :] + recurrent)
            return ((1 - update) * candidate + update * h,)

        return step

    return recur(cell, x, w, r, b, sequence_lens, [initial_h], direction, hidden_size, layout)


@op("GRU", since=7, until=7, widen=True)
def gru_7(
    *inputs: Array | None,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    activations: Sequence[str] | None = None,
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    linear_before_reset: int = 0,
) -> tuple[Array, ...]:
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


@op("GRU", since=3, until=3, widen=True)
def gru_3(
    *inputs: Array | None,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    activations: Sequence[str] | None = None,
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    linear_before_reset: int = 0,
    output_sequence: int = 0,
) -> tuple[Array, ...]:
    """GRU that may leave its first output out; it is given here whatever ``output_sequence`` says (ONNX GRU-3)."""
    return gru_7(
        *inputs,
        activation_alpha=activation_alpha,
        activation_beta=activation_beta,
        activations=activations,
        clip=clip,
        direction=direction,
        hidden_size=hidden_size,
        linear_before_reset=linear_before_reset,
    )


@op("GRU", since=1, until=1, widen=True)
def gru_1(
    *inputs: Array | None,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    activations: Sequence[str] | None = None,
    clip: float | None = None,
    direction: str = "foward",
    hidden_size: int | None = None,
    output_sequence: int = 0,
) -> tuple[Array, ...]:
    """GRU that always resets first; its default direction is misspelt in the specification (ONNX GRU-1)."""
    return gru_3(
        *inputs,
        activation_alpha=activation_alpha,
        activation_beta=activation_beta,
        activations=activations,
        clip=clip,
        direction="forward" if direction == "foward" else direction,
        hidden_size=hidden_size,
        output_sequence=output_sequence,
    )


@op("LSTM", since=14, widen=True)
def lstm(
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    sequence_lens: Array | None = None,
    initial_h: Array | None = None,
    initial_c: Array | None = None,
    p: Array | None = None,
    *,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    activations: Sequence[str] | None = None,
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    input_forget: int = 0,
    layout: int = 0,
) -> tuple[Array, ...]:
    """``c = forget c + input candidate`` and ``h = output g(c)``, with peepholes from c to the gates (ONNX LSTM-14).

    f gives the gates, g the candidate and h the output; with ``input_forget`` the forget gate is 1 - input.
    """
    names = ("Sigmoid", "Tanh", "Tanh") * 2 if activations is None else activations
    functions = activation_functions(names, 3, direction, activation_alpha, activation_beta, clip)
    xp, hidden = array_namespace(x), r.shape[-1]

    def cell(d: int, weights: Array, bias: Array) -> Step:
        f, g, squash = functions[d]
        peepholes = xp.zeros(3 * hidden, x.dtype) if p is None else p[d]
        peep_input, peep_output, peep_forget = (peepholes[k * hidden : (k + 1) * hidden] for k in range(3))

        def step(inputs: Array, states: States) -> States:
            h, c = states
            gates = inputs + h @ weights.T + bias
            to_input, to_output, to_forget, to_cell = (gates[:, k * hidden : (k + 1) * hidden] for k in range(4))
            input_gate = f(to_input + peep_input * c)
            forget_gate = 1 - input_gate if input_forget else f(to_forget + peep_forget * c)
            c = forget_gate * c + input_gate * g(to_cell)
            return f(to_output + peep_output * c) * squash(c), c

        return step

    return recur(cell, x, w, r, b, sequence_lens, [initial_h, initial_c], direction, hidden_size, layout)


@op("LSTM", since=7, until=7, widen=True)
def lstm_7(
    *inputs: Array | None,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    activations: Sequence[str] | None = None,
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    input_forget: int = 0,
) -> tuple[Array, ...]:
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


@op("LSTM", since=1, until=1, widen=True)
def lstm_1(
    *inputs: Array | None,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    activations: Sequence[str] | None = None,
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    input_forget: int = 0,
    output_sequence: int = 0,
) -> tuple[Array, ...]:
    """LSTM that may leave its first output out; it is given here whatever ``output_sequence`` says (ONNX LSTM-1)."""
    return lstm_7(
        *inputs,
        activation_alpha=activation_alpha,
        activation_beta=activation_beta,
        activations=activations,
        clip=clip,
        direction=direction,
        hidden_size=hidden_size,
        input_forget=input_forget,
    )
