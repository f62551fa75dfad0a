import itertools

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from onnxlite.conformance.differential import assert_same, kernel_outputs, node_model, onnxruntime_outputs
from onnxlite.kernels.geometry import windows

SETTINGS = settings(max_examples=25, deadline=None, derandomize=True)


def agrees(op_type, version, inputs, **attributes):
    """The kernel and onnxruntime give the same."""
    expected = onnxruntime_outputs(node_model(op_type, inputs, opset=version, **attributes), inputs)
    assert_same(kernel_outputs(op_type, version, *inputs, **attributes), tuple(expected), rtol=1e-4, atol=1e-4)


def normal(*shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def naive_conv(x, w, places, group):
    """Conv by its definition: one loop for every index."""
    n, m, width = x.shape[0], w.shape[0], w.shape[1]
    y = np.zeros((n, m, *places.output))
    for b, f, o in itertools.product(range(n), range(m), np.ndindex(*places.output)):
        for c, k in itertools.product(range(width), np.ndindex(*places.kernel)):
            at = tuple(places.positions(axis)[o[axis], k[axis]] for axis in range(len(o)))
            if all(0 <= p < length for p, length in zip(at, places.image, strict=True)):
                y[(b, f, *o)] += x[(b, f // (m // group) * width + c, *at)] * w[(f, c, *k)]
    return y


@st.composite
def convolutions(draw):
    rank = draw(st.integers(1, 3))

    def axes(low, high):
        return tuple(draw(st.lists(st.integers(low, high), min_size=rank, max_size=rank)))

    group, channels, features = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    auto_pad = draw(st.sampled_from(["NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    attributes = {"group": group, "strides": axes(1, 3), "auto_pad": auto_pad}
    if not auto_pad.startswith("SAME"):  # onnxruntime has no dilations with SAME
        attributes["dilations"] = axes(1, 2)
    if auto_pad == "NOTSET":
        attributes["pads"] = axes(0, 2) + axes(0, 2)
    spatial = tuple(6 - rank + s for s in axes(0, 4))
    kernel = tuple(min(3, k) for k in axes(1, 2 if auto_pad == "VALID" else 3))
    seed = draw(st.integers(0, 1000))
    x = normal(draw(st.integers(1, 2)), group * channels, *spatial, seed=seed)
    w = normal(group * features, channels, *kernel, seed=seed + 1)
    return x, w, normal(group * features, seed=seed + 2), attributes


@given(convolutions(), st.sampled_from([1, 11, 22]))
@SETTINGS
def test_conv(case, version):
    x, w, b, attributes = case
    agrees("Conv", version, [x, w, b], **attributes)
    (y,) = kernel_outputs("Conv", version, x, w, b, **attributes)
    (double,) = kernel_outputs("Conv", version, *(a.astype(np.float64) for a in (x, w, b)), **attributes)
    assert_same(double, y.astype(np.float64), rtol=1e-4, atol=1e-4)


@given(convolutions(), st.sampled_from([1, 11, 22]), st.data())
@SETTINGS
def test_conv_transpose(case, version, data):
    x, w, b, attributes = case
    w = w.reshape(x.shape[1], -1, *w.shape[2:])
    strides = attributes["strides"]
    attributes["output_padding"] = tuple(data.draw(st.integers(0, s - 1)) for s in strides)
    if data.draw(st.booleans()):
        attributes.pop("pads", None)
        attributes["output_shape"] = tuple(length * s for length, s in zip(x.shape[2:], strides, strict=True))
    try:
        model = node_model("ConvTranspose", [x, w, b], opset=version, **attributes)
        expected = onnxruntime_outputs(model, [x, w, b])
    except Exception:  # an output without elements, or larger than what the kernel makes
        reject()
    assert_same(kernel_outputs("ConvTranspose", version, x, w, b, **attributes), tuple(expected), 1e-4, 1e-4)


def test_conv_transpose_is_the_adjoint_of_conv():
    x, w, y = normal(2, 4, 7, 6), normal(6, 2, 3, 2), normal(2, 6, 4, 6)
    attributes = {"strides": (2, 1), "pads": (1, 0, 1, 1), "group": 2, "dilations": (1, 1)}
    (forward,) = kernel_outputs("Conv", 22, x, w, **attributes)
    (backward,) = kernel_outputs("ConvTranspose", 22, y, w, **attributes)
    np.testing.assert_allclose(np.vdot(forward, y), np.vdot(x, backward), rtol=1e-4)


def test_conv_transpose_output_shape_beyond_the_kernel_is_filled_with_zeros():
    x, w = normal(1, 1, 3), normal(1, 1, 2)
    (full,) = kernel_outputs("ConvTranspose", 11, x, w, strides=(2,))
    (wide,) = kernel_outputs("ConvTranspose", 11, x, w, strides=(2,), output_shape=(9,))
    np.testing.assert_array_equal(wide, np.pad(full, ((0, 0), (0, 0), (0, 3))))


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("group", [1, 2])
def test_conv_with_same_padding_and_dilations(auto_pad, group):
    x, w = normal(2, 4, 7, 6), normal(4, 4 // group, 3, 2)
    attributes = {"strides": (2, 1), "dilations": (2, 3), "auto_pad": auto_pad}
    places = windows((7, 6), (3, 2), **attributes)
    assert places.output == (4, 6)
    (y,) = kernel_outputs("Conv", 22, x, w, group=group, **attributes)
    np.testing.assert_allclose(y, naive_conv(x, w, places, group), rtol=1e-4, atol=1e-5)


def test_conv_in_blocks_is_conv_at_once(monkeypatch):
    x, w = normal(3, 4, 20, 9), normal(6, 2, 3, 3)
    (expected,) = kernel_outputs("Conv", 22, x, w, group=2, pads=(1, 0, 2, 1))
    for block in (1, 1000, 5000):
        monkeypatch.setattr("onnxlite.kernels.numpy.convolution._BLOCK", block)
        (y,) = kernel_outputs("Conv", 22, x, w, group=2, pads=(1, 0, 2, 1))
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("op_type", ["Conv", "ConvTranspose"])
def test_narrow_floats_are_summed_in_float32(op_type, dtype):
    import ml_dtypes

    narrow = np.dtype(getattr(ml_dtypes, dtype, None) or dtype)
    x, w, b = (normal(*shape).astype(narrow) for shape in [(1, 8, 5, 5), (8, 8, 3, 3), (8,)])
    (y,) = kernel_outputs(op_type, 22, x, w, b, pads=(1, 1, 1, 1))
    (wide,) = kernel_outputs(op_type, 22, *(a.astype(np.float32) for a in (x, w, b)), pads=(1, 1, 1, 1))
    assert_same(y, wide.astype(narrow), rtol=0, atol=0)


@pytest.mark.parametrize("kernel", [1, 3])
def test_conv_of_views_and_of_empty_batches(kernel):
    x, w = normal(9, 8, 4, 2).T, normal(5, 4, kernel, kernel)
    x.flags.writeable = False
    attributes = {"strides": (2, 2)}
    (y,) = kernel_outputs("Conv", 22, x, w, **attributes)
    (expected,) = kernel_outputs("Conv", 22, np.ascontiguousarray(x), w, **attributes)
    np.testing.assert_array_equal(y, expected)
    (empty,) = kernel_outputs("Conv", 22, x[:0], w, **attributes)
    assert empty.shape == (0, *y.shape[1:])


def test_nan_stays_in_its_windows():
    x = np.ones((1, 1, 6), np.float32)
    x[0, 0, 2] = np.nan
    (y,) = kernel_outputs("Conv", 22, x, np.ones((1, 1, 2), np.float32))
    np.testing.assert_array_equal(np.isnan(y[0, 0]), [False, True, True, False, False])


@pytest.mark.parametrize(
    ("x", "w", "attributes", "message"),
    [
        ((1, 2, 5), (1, 2, 2), {"strides": (0,)}, "strides must be at least 1"),
        ((1, 2, 5), (1, 2, 2), {"dilations": (1, 1)}, "dilations must have 1 elements"),
        ((1, 2, 5), (1, 2, 2), {"pads": (-1, 0)}, "pads must be at least 0"),
        ((1, 2, 5), (1, 2, 6), {}, "does not fit an axis of 5"),
        ((1, 2, 5), (1, 3, 2), {}, "weights must have the shape"),
        ((1, 2, 5), (3, 1, 2), {"group": 2}, "weights must have the shape"),
        ((1, 2, 5), (1, 2, 2), {"kernel_shape": (3,)}, "kernel_shape"),
        ((1, 2, 5), (1, 2, 2), {"auto_pad": "SAME"}, "auto_pad must be"),
        ((2, 5), (1, 5), {}, "at least 1 spatial axes"),
        ((1, 2, 5), (1, 2, 0), {}, "must not be empty"),
    ],
)
def test_conv_refuses(x, w, attributes, message):
    with pytest.raises(ValueError, match=message):
        kernel_outputs("Conv", 22, normal(*x), normal(*w), **attributes)


def test_conv_refuses_a_bias_of_another_length():
    with pytest.raises(ValueError, match=r"bias must have the shape \(3,\)"):
        kernel_outputs("Conv", 22, normal(1, 2, 5), normal(3, 2, 2), normal(1))


def test_causal_conv_continues_from_its_state():
    x, w, b = normal(2, 3, 9), normal(3, 1, 4), normal(3)
    whole, last = kernel_outputs("CausalConvWithState", 27, x, w, b, activation="silu")
    first, state = kernel_outputs("CausalConvWithState", 27, x[:, :, :2], w, b, None, activation="silu")
    second, end = kernel_outputs("CausalConvWithState", 27, x[:, :, 2:], w, b, state, activation="swish")
    np.testing.assert_allclose(np.concatenate((first, second), axis=2), whole, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(end, last)
    np.testing.assert_array_equal(last, x[:, :, -3:])
    plain, _ = kernel_outputs("CausalConvWithState", 27, x, w, b)
    (expected,) = kernel_outputs("Conv", 22, x, w, b, group=3, pads=(3, 0))
    np.testing.assert_allclose(plain, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(whole, expected / (1 + np.exp(-expected)), rtol=1e-5, atol=1e-6)


def test_causal_conv_refuses_a_state_of_another_shape():
    with pytest.raises(ValueError, match=r"past_state must have the shape \(1, 2, 2\)"):
        kernel_outputs("CausalConvWithState", 27, normal(1, 2, 5), normal(2, 1, 3), None, normal(1, 2, 3))


def quantized(case, seed=0):
    x, w, _, attributes = case
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, x.shape, np.uint8), rng.integers(-128, 128, w.shape, np.int8), attributes


@given(convolutions())
@SETTINGS
def test_conv_integer(case):
    x, w, attributes = quantized(case)
    w = w.view(np.uint8)
    agrees("ConvInteger", 10, [x, w, np.array(7, np.uint8), np.array(120, np.uint8)], **attributes)
    agrees("ConvInteger", 10, [x, w], **attributes)


def test_conv_integer_with_a_zero_point_for_each_channel():
    rng = np.random.default_rng(0)
    x, w = rng.integers(-128, 128, (1, 2, 6, 5), np.int8), rng.integers(0, 256, (3, 2, 2, 3), np.uint8)
    zeros = np.array([0, 128, 255], np.uint8)
    (y,) = kernel_outputs("ConvInteger", 10, x, w, np.array(-5, np.int8), zeros, pads=(1, 0, 1, 0))
    places = windows((6, 5), (2, 3), pads=(1, 0, 1, 0))
    centred = w.astype(np.int64) - zeros.reshape(3, 1, 1, 1)
    assert_same(y, naive_conv(x.astype(np.int64) + 5, centred, places, 1).astype(np.int32))


def test_conv_integer_is_exact_over_many_channels():
    x, w = np.full((1, 300, 3, 3), 255, np.uint8), np.full((1, 300, 3, 3), 255, np.uint8)
    x[0, 0, 0, 0] = 254  # float32 would round the sum
    (y,) = kernel_outputs("ConvInteger", 10, x, w)
    assert y.item() == 300 * 9 * 255 * 255 - 255


@given(convolutions())
@SETTINGS
def test_qlinear_conv(case):
    x, w, attributes = quantized(case)
    features = w.shape[0]
    rng = np.random.default_rng(1)
    scales = rng.uniform(0.001, 0.02, features).astype(np.float32)
    scalars = [np.array(0.1, np.float32), np.array(7, np.uint8)]
    result = [np.array(0.3, np.float32), np.array(99, np.uint8)]
    bias = rng.integers(-1000, 1000, features, np.int32)
    inputs = [x, *scalars, w, scales, np.zeros(features, np.int8), *result, bias]
    agrees("QLinearConv", 10, inputs, **attributes)


def test_qlinear_conv_saturates_and_rounds_half_to_even():
    x, w = np.array([[[1, 2, 3, 200, 0]]], np.uint8), np.array([[[1]]], np.int8)
    one, half = np.array(1, np.float32), np.array(2, np.float32)
    inputs = [x, one, np.array(0, np.uint8), w, one, np.array(0, np.int8), half, np.array(3, np.int8)]
    (y,) = kernel_outputs("QLinearConv", 10, *inputs)
    assert_same(y, np.array([[[3, 4, 5, 103, 3]]], np.int8))
    (y,) = kernel_outputs("QLinearConv", 10, *inputs[:6], one, np.array(0, np.int8))
    assert_same(y, np.array([[[1, 2, 3, 127, 0]]], np.int8))


def test_deform_conv_without_offsets_is_conv():
    x, w, b = normal(2, 4, 6, 7), normal(6, 2, 3, 2), normal(6)
    attributes = {"strides": (2, 1), "pads": (1, 0, 1, 1), "dilations": (1, 2), "group": 2}
    (expected,) = kernel_outputs("Conv", 22, x, w, b, **attributes)
    offset = np.zeros((2, 2 * 6 * 2, *expected.shape[2:]), np.float32)
    (y,) = kernel_outputs("DeformConv", 22, x, w, offset, b, offset_group=2, **attributes)
    assert_same(y, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("version", [19, 22])
@pytest.mark.parametrize(("group", "offset_group"), [(1, 1), (2, 1), (1, 2), (2, 4)])
def test_deform_conv(version, group, offset_group):
    x, w, b = normal(2, 4, 6, 7), normal(2, 4 // group, 3, 2), normal(2)
    offset = 2 * normal(2, offset_group * 12, 3, 7)
    mask = normal(2, offset_group * 6, 3, 7)
    attributes = {"group": group, "offset_group": offset_group, "strides": (2, 1), "pads": (1, 0, 1, 1)}
    agrees("DeformConv", version, [x, w, offset, b, mask], kernel_shape=(3, 2), **attributes)


def test_deform_conv_of_one_and_three_axes_shifts_by_whole_offsets():
    for spatial, kernel in (((6,), (2,)), ((4, 3, 5), (1, 2, 2))):
        x, w = normal(1, 2, *spatial), normal(1, 2, *kernel)
        (plain,) = kernel_outputs("Conv", 22, x, w)
        taps, rank = int(np.prod(kernel)), len(spatial)
        offset = np.zeros((1, taps, rank, *plain.shape[2:]), np.float32)
        offset[:, :, -1] = 1  # every tap reads the next element of the last axis
        (y,) = kernel_outputs("DeformConv", 22, x, w, offset.reshape(1, -1, *plain.shape[2:]))
        np.testing.assert_allclose(y[..., :-1], plain[..., 1:], rtol=1e-4, atol=1e-5)


def test_deform_conv_refuses_an_offset_of_another_shape():
    with pytest.raises(ValueError, match=r"offset must have the shape \(1, 2, 4\)"):
        kernel_outputs("DeformConv", 22, normal(1, 2, 5), normal(1, 2, 2), normal(1, 2, 4)[:, :1])
