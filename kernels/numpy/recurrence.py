"""What the recurrent layers RNN, GRU and LSTM share: their loop over the time steps, and their activation functions.

All sequences of a batch take a step together.  What the input adds to the gates is computed for all steps beforehand,
so that only the products with the hidden state are left to the loop.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TypeAlias

from onnxlite.kernels.arrays import Array, array_namespace
from onnxlite.kernels.numpy.activation import elu, hard_sigmoid, leaky_relu, relu, sigmoid, softplus, softsign
from onnxlite.kernels.numpy.trigonometry import tanh

#: The states of a cell; the first is the hidden state, which is also its output.
States: TypeAlias = tuple[Array, ...]
#: One step of a cell: from what the input adds to the gates, and the states before, to the states after.
Step: TypeAlias = Callable[[Array, States], States]
Activation: TypeAlias = Callable[[Array], Array]

_BACKWARDS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}


def _affine(x: Array, *, alpha: float, beta: float) -> Array:
    return alpha * x + beta


def _scaled_tanh(x: Array, *, alpha: float, beta: float) -> Array:
    return alpha * tanh(beta * x)


def _thresholded_relu(x: Array, *, alpha: float) -> Array:
    # Unlike the operator of that name, this one keeps the threshold itself.
    return array_namespace(x).where(x >= alpha, x, 0)


#: The activation functions by name in lower case, each with the defaults of its parameters.
_ACTIVATIONS: dict[str, tuple[Callable[..., Array], dict[str, float]]] = {
    "relu": (relu, {}),
    "tanh": (tanh, {}),
    "sigmoid": (sigmoid, {}),
    "affine": (_affine, {"alpha": 1.0, "beta": 0.0}),
    "leakyrelu": (leaky_relu, {"alpha": 0.01}),
    "thresholdedrelu": (_thresholded_relu, {"alpha": 1.0}),
    "scaledtanh": (_scaled_tanh, {"alpha": 1.0, "beta": 1.0}),
    "hardsigmoid": (hard_sigmoid, {"alpha": 0.2, "beta": 0.5}),
    "elu": (elu, {"alpha": 1.0}),
    "softsign": (softsign, {}),
    "softplus": (softplus, {}),
}


def activation_functions(
    names: Sequence[str],
    count: int,
    direction: str,
    alphas: Sequence[float] | None,
    betas: Sequence[float] | None,
    clip: float | None,
) -> list[list[Activation]]:
    """The ``count`` activation functions of each direction, by name, their input clipped.

    A function that has an alpha or a beta takes the next one of the list, or its default when the list is used up.
    """
    needed = count * len(_directions(direction))
    if len(names) < needed:
        raise ValueError(f"expected {needed} activations for direction {direction}, got {list(names)}")
    left = {"alpha": iter(alphas or ()), "beta": iter(betas or ())}
    functions: list[Activation] = []
    for name in names[:needed]:
        if name.lower() not in _ACTIVATIONS:
            raise ValueError(f"expected an activation of {', '.join(_ACTIVATIONS)}, got {name!r}")
        function, defaults = _ACTIVATIONS[name.lower()]
        parameters = {parameter: next(left[parameter], default) for parameter, default in defaults.items()}
        functions.append(_clipped(functools.partial(function, **parameters), clip))
    return [functions[first : first + count] for first in range(0, needed, count)]


def _clipped(function: Activation, clip: float | None) -> Activation:
    return function if clip is None else lambda x: function(array_namespace(x).clip(x, -clip, clip))


def recur(
    cell: Callable[[int, Array, Array], Step],
    x: Array,
    w: Array,
    r: Array,
    b: Array | None,
    sequence_lens: Array | None,
    initial: Sequence[Array | None],
    direction: str,
    hidden_size: int | None,
    layout: int,
) -> tuple[Array, ...]:
    """Run a recurrent layer in its directions.

    Args:
        cell: Given a direction, and that direction's recurrence weights and bias, the step of the cell.
        x: The input sequences, [steps, batch, input size], or [batch, steps, input size] with ``layout`` 1.
        w: The input weights, [directions, gates * hidden size, input size].
        r: The recurrence weights, [directions, gates * hidden size, hidden size].
        b: The input bias and the recurrence bias, side by side in [directions, 2 * gates * hidden size].
        sequence_lens: The number of steps of each sequence in the batch; None means all.
        initial: The initial states, [directions, batch, hidden size], batch first with ``layout`` 1; None means zeros.
        direction: forward, reverse or bidirectional.
        hidden_size: The attribute, checked against the weights.
        layout: Whether batches come first.

    Returns:
        The hidden state after each step, [steps, directions, batch, hidden size] or [batch, steps, directions, hidden
        size], and the last states, shaped like the initial ones.
    """
    xp = array_namespace(x)
    backwards = _directions(direction)
    _check_weights(w, r, len(backwards), hidden_size)
    if layout:
        x = x.swapaxes(0, 1)
        initial = [None if state is None else state.swapaxes(0, 1) for state in initial]
    gates, hidden = r.shape[1:]
    zero_bias, zero_state = xp.zeros(2 * gates, x.dtype), xp.zeros((x.shape[1], hidden), x.dtype)
    lengths = _lengths(sequence_lens, *x.shape[:2])
    runs = []
    for d, is_backwards in enumerate(backwards):
        bias = zero_bias if b is None else b[d]
        inputs = xp.matmul(x, w[d].T) + bias[:gates]
        states = tuple(zero_state if state is None else state[d] for state in initial)
        runs.append(_scan(cell(d, r[d], bias[gates:]), inputs, states, lengths, is_backwards))
    outputs, last = (list(parts) for parts in zip(*runs, strict=True))
    y = xp.stack(outputs, axis=1)
    states = tuple(xp.stack(state, axis=0) for state in zip(*last, strict=True))
    if layout:
        return y.transpose(2, 0, 1, 3), *(state.swapaxes(0, 1) for state in states)
    return y, *states


def _directions(direction: str) -> tuple[bool, ...]:
    """For each direction of a layer, whether it runs from the last step to the first."""
    if direction not in _BACKWARDS:
        raise ValueError(f"expected direction forward, reverse or bidirectional, got {direction!r}")
    return _BACKWARDS[direction]


def _check_weights(w: Array, r: Array, directions: int, hidden_size: int | None) -> None:
    if w.ndim != 3 or r.ndim != 3 or not w.shape[0] == r.shape[0] == directions or w.shape[1] != r.shape[1]:
        raise ValueError(f"expected weights for {directions} direction(s), got shapes {w.shape} and {r.shape}")
    if hidden_size is not None and hidden_size != r.shape[-1]:
        raise ValueError(f"expected recurrence weights of hidden_size {hidden_size}, got shape {r.shape}")


def _lengths(sequence_lens: Array | None, steps: int, batch: int) -> Array | None:
    """The lengths as a column, or None if every sequence takes every step."""
    if sequence_lens is None or not batch:
        return None
    shortest, longest = int(sequence_lens.min()), int(sequence_lens.max())
    if sequence_lens.shape != (batch,) or shortest < 0 or longest > steps:
        raise ValueError(f"expected {batch} sequence_lens from 0 to {steps}, got {sequence_lens.tolist()}")
    return None if shortest == steps else sequence_lens.reshape(-1, 1)


def _scan(step: Step, inputs: Array, states: States, lengths: Array | None, backwards: bool) -> tuple[Array, States]:
    """Take every step; a sequence that is shorter keeps its states, and its output is zero, outside its length."""
    xp = array_namespace(inputs)
    steps, batch = inputs.shape[:2]
    outputs = xp.zeros((steps, batch, states[0].shape[-1]), inputs.dtype)
    for t in range(steps - 1, -1, -1) if backwards else range(steps):
        after = step(inputs[t], states)
        if lengths is None:
            outputs[t] = after[0]
        else:
            inside = t < lengths
            after = tuple(xp.where(inside, new, old) for new, old in zip(after, states, strict=True))
            outputs[t] = xp.where(inside, after[0], 0)
        states = after
    if lengths is not None:
        # A sequence without any step has no last state: zero, not the initial state, as in onnxruntime.
        states = tuple(xp.where(lengths > 0, state, 0) for state in states)
    return outputs, states
