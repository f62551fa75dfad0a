"""RNN, GRU and LSTM against onnxruntime, and what it lacks against the cells' equations, one sequence at a time."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.differential import assert_same, kernel_outputs, node_model, onnxruntime_outputs

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}
HIDDEN = 5
layers = pytest.mark.parametrize("layer", GATES)


def sequences(layer, directions=1, steps=4, batch=3, lengths=None, bias=True, initial=True, peepholes=True, seed=0):
    """Random inputs in the operator's order."""
    random = np.random.default_rng(seed)
    gates = GATES[layer] * HIDDEN

    def draw(*shape):
        return (random.standard_normal(shape) * 0.7).astype(np.float32)

    inputs = [draw(steps, batch, 2), draw(directions, gates, 2), draw(directions, gates, HIDDEN)]
    inputs.append(draw(directions, 2 * gates) if bias else None)
    inputs.append(None if lengths is None else np.array(lengths, np.int32))
    inputs += [draw(directions, batch, HIDDEN) if initial else None] * (2 if layer == "LSTM" else 1)
    if layer == "LSTM":
        inputs.append(draw(directions, 3 * HIDDEN) if peepholes else None)
    return inputs


def run(layer, inputs, version=14, **attributes):
    return list(kernel_outputs(layer, version, *inputs, hidden_size=HIDDEN, **attributes))


def agree(layer, inputs, opset, **attributes):
    """The kernel that serves an opset and onnxruntime give the same."""
    while inputs[-1] is None:
        inputs = inputs[:-1]
    outputs = 3 if layer == "LSTM" else 2
    model = node_model(layer, inputs, opset=opset, outputs=outputs, hidden_size=HIDDEN, **attributes)
    version = onnx.defs.get_schema(layer, opset).since_version
    assert_same(run(layer, inputs, version, **attributes), onnxruntime_outputs(model, inputs), rtol=1e-4, atol=1e-5)


@layers
@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    direction=st.sampled_from(list(DIRECTIONS)),
    lengths=st.none() | st.lists(st.integers(0, 4), min_size=3, max_size=3).filter(any),
    bias=st.booleans(),
    initial=st.booleans(),
    peepholes=st.booleans(),
    opset=st.sampled_from([7, 14, 22]),
    seed=st.integers(0, 99),
)
def test_like_onnxruntime(layer, direction, lengths, bias, initial, peepholes, opset, seed):
    inputs = sequences(
        layer, DIRECTIONS[direction], lengths=lengths, bias=bias, initial=initial, peepholes=peepholes, seed=seed
    )
    agree(layer, inputs, opset, direction=direction)
    if layer == "GRU":
        agree(layer, inputs, opset, direction=direction, linear_before_reset=1)
    if layer == "LSTM":
        agree(layer, inputs, opset, direction=direction, input_forget=1)


@pytest.mark.parametrize("name", ["Relu", "Tanh", "Sigmoid", "LeakyRelu", "HardSigmoid", "Elu", "Softsign", "Softplus"])
def test_activations_with_their_defaults(name):
    agree("GRU", sequences("GRU"), 14, activations=["Sigmoid", name])
    agree("GRU", sequences("GRU"), 14, activations=["sigmoid", name.lower()])


@pytest.mark.parametrize("name", ["Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh", "HardSigmoid", "Elu"])
def test_activations_with_alpha_and_beta(name):
    agree("RNN", sequences("RNN"), 14, activations=[name], activation_alpha=[0.3], activation_beta=[0.6])


def test_alphas_and_betas_go_to_the_functions_that_have_them():
    agree(
        "LSTM",
        sequences("LSTM", 2),
        14,
        direction="bidirectional",
        activations=["HardSigmoid", "ScaledTanh", "Softsign", "Sigmoid", "LeakyRelu", "Affine"],
        activation_alpha=[0.3, 0.7, 0.02, 0.8],
        activation_beta=[0.6, 0.5, 0.1],
    )
    agree("GRU", sequences("GRU"), 7, activations=["HardSigmoid", "Elu"], activation_alpha=[0.3])


@pytest.mark.parametrize("layer", ["RNN", "GRU"])
def test_clip_like_onnxruntime(layer):
    agree(layer, sequences(layer), 14, clip=0.3)
    agree(layer, sequences(layer, 2), 14, clip=0.3, direction="bidirectional")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_clip_of_lstm_reaches_every_activation():
    """Also that of the output: clip "is applied to the input of activations".  (onnxruntime leaves that one out.)"""
    x, w, r, b, _, h, c, p = (None if i is None else i.astype(np.float64) for i in sequences("LSTM", batch=1))
    h, c, states = h[0, 0], c[0, 0], []
    of_input, of_output, of_forget = np.split(p[0], 3)
    bias = b[0].reshape(2, -1).sum(0)

    def clip(value):
        return np.clip(value, -0.4, 0.4)

    for step in x[:, 0]:
        i, o, f, g = np.split(w[0] @ step + r[0] @ h + bias, 4)
        c = sigmoid(clip(f + of_forget * c)) * c + sigmoid(clip(i + of_input * c)) * np.tanh(clip(g))
        h = sigmoid(clip(o + of_output * c)) * np.tanh(clip(c))
        states.append(h)
    y, _, y_c = run("LSTM", sequences("LSTM", batch=1), clip=0.4)
    assert_same(y[:, 0, 0], np.array(states, np.float32))
    assert_same(y_c[0, 0], c.astype(np.float32))


@pytest.mark.parametrize("linear", [0, 1])
def test_gru_cell(linear):
    x, w, r, b, _, h = (None if i is None else i.astype(np.float64) for i in sequences("GRU", steps=1, batch=1))
    inputs, state = w[0] @ x[0, 0], h[0, 0]
    of_input, of_state = b[0].reshape(2, -1)
    wz, wr, wh = np.split(inputs + of_input, 3)
    update_weights, reset_weights, candidate_weights = np.split(r[0], 3)
    update_bias, reset_bias, candidate_bias = np.split(of_state, 3)
    update = sigmoid(wz + update_weights @ state + update_bias)
    reset = sigmoid(wr + reset_weights @ state + reset_bias)
    if linear:
        candidate = np.tanh(wh + reset * (candidate_weights @ state + candidate_bias))
    else:
        candidate = np.tanh(wh + candidate_weights @ (reset * state) + candidate_bias)
    expected = (1 - update) * candidate + update * state
    y, y_h = run("GRU", sequences("GRU", steps=1, batch=1), linear_before_reset=linear)
    assert_same(y[0, 0, 0], expected.astype(np.float32))
    assert_same(y_h[0, 0], expected.astype(np.float32))


@layers
def test_layout_1_puts_the_batch_first(layer):
    inputs = sequences(layer, 2, lengths=[4, 2, 1])
    y, *states = run(layer, inputs, direction="bidirectional")
    swapped = list(inputs)
    for position in (0, 5, 6):
        if position < len(inputs):
            swapped[position] = inputs[position].swapaxes(0, 1)
    y_1, *states_1 = run(layer, swapped[:7] + inputs[7:], direction="bidirectional", layout=1)
    assert_same(y_1, y.transpose(2, 0, 1, 3))
    assert_same(states_1, [state.swapaxes(0, 1) for state in states])


@layers
def test_a_batch_with_lengths_is_its_sequences_one_by_one(layer):
    lengths = [4, 1, 3]
    inputs = sequences(layer, 2, lengths=lengths)
    batch = run(layer, inputs, direction="bidirectional")
    for entry, length in enumerate(lengths):
        alone = list(inputs)
        alone[0], alone[4] = inputs[0][:length, entry : entry + 1], None
        for position in (5, 6) if layer == "LSTM" else (5,):
            alone[position] = inputs[position][:, entry : entry + 1]
        y, *states = run(layer, alone, direction="bidirectional")
        assert_same(batch[0][:length, :, entry : entry + 1], y)
        assert not batch[0][length:, :, entry].any()
        assert_same([state[:, entry : entry + 1] for state in batch[1:]], states)


@layers
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_other_float_types(layer, dtype):
    inputs = [None if i is None else i.astype(dtype) for i in sequences(layer)]
    exact = [None if i is None else i.astype(np.float64) for i in inputs]
    tolerance = 1e-12 if dtype is np.float64 else 0.02
    for actual, expected in zip(run(layer, inputs, 22), run(layer, exact, 22), strict=True):
        assert actual.dtype == dtype
        np.testing.assert_allclose(actual.astype(np.float64), expected, rtol=tolerance, atol=tolerance)


@layers
def test_old_versions(layer):
    inputs = sequences(layer)
    newest = run(layer, inputs)
    for version in {"RNN": (1, 7), "GRU": (1, 3, 7), "LSTM": (1, 7)}[layer]:
        assert_same(run(layer, inputs, version), newest)
    if layer == "GRU":
        assert_same(run(layer, inputs, 1, direction="foward", output_sequence=1), newest)


@layers
def test_no_steps_and_no_batch(layer):
    inputs = sequences(layer, steps=0)
    y, *states = run(layer, inputs)
    assert y.shape == (0, 1, 3, HIDDEN)
    assert_same(states, inputs[5:7] if layer == "LSTM" else inputs[5:6])
    assert run(layer, sequences(layer, batch=0))[0].shape == (4, 1, 0, HIDDEN)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"direction": "sideways"}, "expected direction forward"),
        ({"direction": "bidirectional"}, r"expected weights for 2 direction\(s\)"),
        ({"activations": ["Sine"]}, "expected an activation of relu"),
        ({"activations": []}, "expected 1 activations"),
        ({"hidden_size": 4}, "expected recurrence weights of hidden_size 4"),
    ],
)
def test_refusals(attributes, message):
    with pytest.raises(ValueError, match=message):
        kernel_outputs("RNN", 14, *sequences("RNN"), **attributes)


@pytest.mark.parametrize("lengths", [[5, 1, 1], [-1, 1, 1], [1, 1]])
def test_lengths_outside_the_sequence_are_an_error(lengths):
    with pytest.raises(ValueError, match="expected 3 sequence_lens from 0 to 4"):
        run("RNN", sequences("RNN", lengths=lengths))
