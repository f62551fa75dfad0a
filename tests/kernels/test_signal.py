"""Fourier transforms, windows and the mel scale against onnxruntime and numpy.fft."""

from __future__ import annotations

import itertools

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from onnxlite.conformance.differential import assert_same, kernel_outputs, node_model, onnxruntime_outputs

FLOATS = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]
WINDOWS = ["HannWindow", "HammingWindow", "BlackmanWindow"]


def signal(shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def as_complex(x):
    return x[..., 0].astype(np.float64) + (1j * x[..., 1].astype(np.float64) if x.shape[-1] == 2 else 0)


def as_pairs(x, dtype=np.float32):
    return np.stack((x.real, x.imag), axis=-1).astype(dtype)


def scalar(value, dtype=np.int64):
    return np.array(value, dtype)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    parts=st.integers(1, 2),
    axis=st.integers(-4, 2),
    length=st.sampled_from([None, 1, 2, 5, 8, 9]),
    inverse=st.integers(0, 1),
    onesided=st.integers(0, 1),
)
def test_dft_is_that_of_numpy(shape, parts, axis, length, inverse, onesided):
    rank = len(shape) + 1
    position = axis % (rank - 1)
    axis = position - rank if axis < 0 else position
    if onesided and not inverse:
        parts = 1
    if onesided and inverse and length is None and shape[position] == 1:
        length = 2
    x = signal((*shape, parts))
    size = scalar(length) if length is not None else None
    old = kernel_outputs("DFT", 17, x, size, axis=axis, inverse=inverse, onesided=onesided)
    new = kernel_outputs("DFT", 20, x, size, scalar(axis), inverse=inverse, onesided=onesided)
    wide = as_complex(x)
    if inverse and onesided:
        expected = np.fft.irfft(wide, length, position)[..., None].astype(np.float32)
    elif onesided:
        expected = as_pairs(np.fft.rfft(wide.real, length, position))
    else:
        expected = as_pairs((np.fft.ifft if inverse else np.fft.fft)(wide, length, position))
    assert_same(list(old), [expected], atol=1e-5)
    assert_same(list(new), [expected], atol=1e-5)


@pytest.mark.parametrize(("opset", "parts", "attributes"), [
    (17, 1, {}),
    (17, 2, {"inverse": 1}),
    (17, 1, {"onesided": 1}),
    (17, 2, {"axis": 2}),
    (20, 1, {"onesided": 1}),
    (20, 2, {"inverse": 1}),
    (20, 2, {"inverse": 1, "onesided": 1}),
])  # fmt: skip
@pytest.mark.parametrize("length", [None, 5, 8])
def test_dft_like_onnxruntime(opset, parts, attributes, length):
    if attributes == {"inverse": 1, "onesided": 1} and length == 5:
        length = 11  # onnxruntime mixes in bins above length // 2 of a spectrum that is longer than needed
    inputs = [signal((2, 6, 4, parts)), None if length is None else scalar(length)]
    if opset == 20:
        inputs.append(scalar(1))
    while inputs[-1] is None:
        inputs.pop()
    model = node_model("DFT", inputs, opset=opset, **attributes)
    actual = kernel_outputs("DFT", opset, *inputs, **attributes)
    assert_same(list(actual), onnxruntime_outputs(model, inputs), atol=1e-5)


def test_the_default_axes_of_dft_differ():
    x = signal((2, 3, 4, 1))
    assert_same(kernel_outputs("DFT", 17, x), kernel_outputs("DFT", 20, x, None, scalar(1)))
    assert_same(kernel_outputs("DFT", 20, x), kernel_outputs("DFT", 20, x, None, scalar(2)))


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_signal_comes_back_from_its_spectrum(dtype):
    x = signal((2, 8, 1), dtype)
    (spectrum,) = kernel_outputs("DFT", 20, x, onesided=1)
    assert spectrum.shape == (2, 5, 2)
    (back,) = kernel_outputs("DFT", 20, spectrum, onesided=1, inverse=1)
    assert_same(back, x, rtol=0, atol=0.02 if np.dtype(dtype).itemsize == 2 else 1e-6)


def test_what_dft_refuses():
    x = signal((2, 4, 2))
    with pytest.raises(ValueError, match="real and imaginary parts"):
        kernel_outputs("DFT", 20, x, None, scalar(-1))
    with pytest.raises(ValueError, match="complex one"):
        kernel_outputs("DFT", 20, x, onesided=1)
    with pytest.raises(ValueError, match="last axis of length 1"):
        kernel_outputs("DFT", 20, signal((2, 4, 3)))
    with pytest.raises(ValueError, match="at least one point, got 0"):
        kernel_outputs("DFT", 20, x, scalar(0))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    samples=st.integers(1, 20),
    step=st.integers(1, 5),
    length=st.integers(1, 20),
    windowed=st.booleans(),
    give_length=st.booleans(),
    parts=st.integers(1, 2),
    onesided=st.sampled_from([None, 0, 1]),
)
def test_stft_is_a_dft_of_every_frame(samples, step, length, windowed, give_length, parts, onesided):
    length = min(length, samples)
    x, window = signal((2, samples, parts)), signal(length, seed=1)
    inputs = [x, scalar(step), window if windowed else None, scalar(length) if give_length else None]
    attributes = {} if onesided is None else {"onesided": onesided}
    (actual,) = kernel_outputs("STFT", 17, *inputs, **attributes)
    if not windowed:
        length = length if give_length else samples
        window = np.ones(length)
    frames = [as_complex(x)[:, start : start + length] * window for start in range(0, samples - length + 1, step)]
    spectrum = np.fft.fft(np.stack(frames, axis=1))
    if onesided != 0:
        spectrum = spectrum[..., : length // 2 + 1]
    assert_same(actual, as_pairs(spectrum), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("onesided", [0, 1])
@pytest.mark.parametrize("length", [6, 7])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_stft_like_onnxruntime(onesided, length, dtype):
    inputs = [signal((2, 20, 1), dtype), scalar(3), signal((length,), dtype, 1), scalar(length)]
    model = node_model("STFT", inputs, opset=17, onesided=onesided)
    actual = kernel_outputs("STFT", 17, *inputs, onesided=onesided)
    assert_same(list(actual), onnxruntime_outputs(model, inputs), rtol=1e-4, atol=1e-5)


def test_what_stft_refuses():
    x = signal((1, 8, 1))
    with pytest.raises(ValueError, match="frames of 1 to 8 samples, got 2 and 9"):
        kernel_outputs("STFT", 17, x, scalar(2), None, scalar(9))
    with pytest.raises(ValueError, match="window of 4 samples"):
        kernel_outputs("STFT", 17, x, scalar(2), signal((3,)), scalar(4))


@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("periodic", [0, 1])
@pytest.mark.parametrize("size", [0, 1, 2, 7, 16])
def test_windows_like_numpy_and_onnxruntime(name, periodic, size):
    (actual,) = kernel_outputs(name, 17, scalar(size, np.int32), periodic=periodic)
    formula = {"HannWindow": np.hanning, "BlackmanWindow": np.blackman}.get(name)
    if formula is not None:
        expected = formula(size + 1)[:-1] if periodic else formula(size)
        assert_same(actual, expected.astype(np.float32))
    if size > 1:  # onnxruntime divides 0 by 0 in a symmetric window of one sample
        inputs = [scalar(size)]
        expected = onnxruntime_outputs(node_model(name, inputs, opset=17, periodic=periodic), inputs)
        assert_same([actual], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("output_type", ["FLOAT16", "BFLOAT16", "FLOAT", "DOUBLE", "INT8", "UINT8", "INT32", "UINT64"])
def test_windows_of_every_type(name, output_type):
    code = getattr(TensorProto, output_type)
    (actual,) = kernel_outputs(name, 17, scalar(9), output_datatype=code, periodic=0)
    (wide,) = kernel_outputs(name, 17, scalar(9), output_datatype=TensorProto.DOUBLE, periodic=0)
    wide = wide.astype(np.float32) if "INT" in output_type else wide  # where the middle is 1, not 0.999...
    assert_same(actual, wide.astype(helper.tensor_dtype_to_np_dtype(code)))


@pytest.mark.parametrize("name", ["HannWindow", "BlackmanWindow"])
def test_integer_windows_keep_the_1_in_their_middle(name):
    (actual,) = kernel_outputs(name, 17, scalar(10), output_datatype=TensorProto.INT32)
    assert_same(actual, np.array([0, 0, 0, 0, 0, 1, 0, 0, 0, 0], np.int32))


@pytest.mark.parametrize(("bands", "length", "rate", "low", "high"), [
    (8, 16, 8192, 0.0, 4096.0),
    (4, 64, 16000, 20.0, 8000.0),
    (1, 32, 8000, 0.0, 4000.0),
    (20, 33, 16000, 0.0, 7600.0),
])  # fmt: skip
def test_mel_weights_like_onnxruntime(bands, length, rate, low, high):
    integers = [scalar(value) for value in (bands, length, rate)]
    inputs = integers + [scalar(value, np.float32) for value in (low, high)]
    (actual,) = kernel_outputs("MelWeightMatrix", 17, *inputs)
    assert_same([actual], onnxruntime_outputs(node_model("MelWeightMatrix", inputs, opset=17), inputs))
    assert actual.shape == (length // 2 + 1, bands)
    assert (actual.max(0) == 1).all()


@pytest.mark.parametrize(("edge", "output_type"), list(itertools.product(FLOATS, ["BFLOAT16", "DOUBLE", "INT32"])))
def test_mel_weights_of_every_type(edge, output_type):
    integers = [scalar(value, np.int32) for value in (8, 64, 8192)]
    code = getattr(TensorProto, output_type)
    edges = [scalar(value, edge) for value in (0, 4096)]
    (actual,) = kernel_outputs("MelWeightMatrix", 17, *integers, *edges, output_datatype=code)
    (wide,) = kernel_outputs("MelWeightMatrix", 17, *integers, *edges, output_datatype=TensorProto.DOUBLE)
    assert_same(actual, wide.astype(helper.tensor_dtype_to_np_dtype(code)))
