from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.compiled import KernelDeclined, bind_and_run
from onnxlite.conformance.differential import assert_same, kernel_outputs
from onnxlite.kernels.arrays import Array

_SETTINGS = settings(max_examples=40, deadline=None, derandomize=True)
_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def _random(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def _inputs(op_type: str, steps: int, batch: int, inputs: int, hidden: int, directions: int, layout: int) -> list[Any]:
    """X, W, R, B, sequence_lens, initial_h, and initial_c and P of an LSTM."""
    size = _GATES[op_type] * hidden
    state = (batch, directions, hidden) if layout else (directions, batch, hidden)
    lengths = np.random.default_rng(batch).integers(0, steps + 1, batch).astype(np.int32)
    arrays = [
        _random(*((batch, steps) if layout else (steps, batch)), inputs),
        _random(directions, size, inputs) * 0.5,
        _random(directions, size, hidden) * 0.3,
        _random(directions, 2 * size),
        lengths,
        _random(*state),
    ]
    return [*arrays, _random(*state), _random(directions, 3 * hidden)] if op_type == "LSTM" else arrays


def _check(
    op_type: str, version: int, inputs: list[Any], constants: tuple[int, ...] = (1, 2, 3, 7), **attributes: Any
) -> None:
    expected = kernel_outputs(op_type, version, *inputs, **attributes)
    one, two = (
        bind_and_run(op_type, version, *inputs, constants=constants, threads=threads, **attributes)
        for threads in (1, 2)
    )
    for first, second, wanted in zip(one, two, expected, strict=True):
        assert_same(first, wanted, rtol=1e-4, atol=1e-5)
        assert first.tobytes() == second.tobytes()


@_SETTINGS
@given(
    st.sampled_from(["LSTM", "GRU", "RNN"]),
    st.sampled_from([1, 2, 7]),
    st.sampled_from([1, 3, 9]),
    st.sampled_from([1, 5, 40]),
    st.sampled_from([1, 7, 16, 33, 64]),
    st.sampled_from(["forward", "reverse", "bidirectional"]),
    st.sampled_from([0, 1]),
    st.sampled_from([0, 1]),
    st.sets(st.integers(3, 7)),
)
def test_layers(
    op_type: str,
    steps: int,
    batch: int,
    inputs: int,
    hidden: int,
    direction: str,
    layout: int,
    linear_before_reset: int,
    absent: set[int],
) -> None:
    arrays = _inputs(op_type, steps, batch, inputs, hidden, 2 if direction == "bidirectional" else 1, layout)
    arrays = [None if index in absent else array for index, array in enumerate(arrays)]
    attributes: dict[str, Any] = {"linear_before_reset": linear_before_reset} if op_type == "GRU" else {}
    _check(op_type, 14, arrays, direction=direction, layout=layout, **attributes)


@pytest.mark.parametrize("op_type", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("version", [7, 14])
def test_versions_with_constant_states(op_type: str, version: int) -> None:
    _check(op_type, version, _inputs(op_type, 4, 2, 3, 20, 1, 0), constants=tuple(range(1, 8)), hidden_size=20)


@pytest.mark.parametrize(
    ("op_type", "activations"),
    [
        ("RNN", ["Relu"]),
        ("RNN", ["LeakyRelu"]),
        ("RNN", ["hardsigmoid"]),
        ("GRU", ["HardSigmoid", "Relu"]),
        ("GRU", ["Tanh", "Sigmoid"]),
        ("LSTM", ["HardSigmoid", "Tanh", "Tanh"]),
        ("LSTM", ["Sigmoid", "LeakyRelu", "HardSigmoid"]),
    ],
)
def test_other_activations(op_type: str, activations: list[str]) -> None:
    arrays = _inputs(op_type, 4, 2, 3, 20, 1, 0)
    _check(op_type, 14, arrays, activations=activations, clip=1.5)
    _check(op_type, 14, arrays, activations=activations, activation_alpha=[0.3, 0.4, 0.25], activation_beta=[0.45, 0.6])


def test_both_directions_have_their_own_activations() -> None:
    _check("RNN", 14, _inputs("RNN", 4, 2, 3, 20, 2, 0), activations=["Relu", "Sigmoid"], direction="bidirectional")


def test_coupled_gates() -> None:
    _check("LSTM", 14, _inputs("LSTM", 4, 2, 3, 20, 1, 0), input_forget=1)


@pytest.mark.parametrize("op_type", ["LSTM", "GRU", "RNN"])
def test_layers_so_large_that_a_step_is_divided(op_type: str) -> None:
    attributes = {"linear_before_reset": 1} if op_type == "GRU" else {}
    arrays = _inputs(op_type, 3, 9, 16, 400, 1, 0)
    arrays[4] = arrays[5] = None
    arrays[2] *= 0.2
    _check(op_type, 14, arrays, **attributes)


def test_many_steps_are_taken_in_chunks() -> None:
    _check("LSTM", 14, _inputs("LSTM", 300, 3, 2, 100, 2, 0), direction="bidirectional")


def test_lengths_that_do_not_fit_are_refused() -> None:
    arrays = _inputs("RNN", 3, 2, 4, 5, 1, 0)
    arrays[4][:] = 3, 4
    with pytest.raises(ValueError, match="sequence_lens"):
        bind_and_run("RNN", 14, *arrays, constants=(1, 2, 3))


def test_declines_what_is_not_compiled() -> None:
    arrays = _inputs("RNN", 3, 2, 4, 5, 1, 0)
    with pytest.raises(KernelDeclined, match="constant weights"):
        bind_and_run("RNN", 14, *arrays)
    with pytest.raises(KernelDeclined, match="activations"):
        bind_and_run("RNN", 14, *arrays, constants=(1, 2, 3), activations=["Softplus"])
