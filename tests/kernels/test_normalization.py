"""The normalisations of all versions against onnxruntime and the formulas in the specification."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.differential import assert_same, kernel_outputs, node_model, onnxruntime_outputs

SHAPES = [(4,), (3, 4), (2, 3, 5), (2, 3, 4, 5), (1, 1, 1, 1), (2, 3, 2, 2, 2), (0, 3, 2)]
FLOATS = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]


def normal(shape, dtype=np.float32, seed=0):
    return (2 * np.random.default_rng(seed).normal(size=shape) + 1).astype(dtype)


def positive(shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).uniform(0.5, 2, shape).astype(dtype)


def batch_inputs(shape, parameters=None, dtype=np.float32, statistics=None):
    """X, scale, bias, mean and variance."""
    channels = shape[1] if len(shape) > 1 else 1
    parameters = (channels,) if parameters is None else parameters
    statistics = statistics or dtype
    return [
        normal(shape, dtype),
        positive(parameters, dtype, 1),
        normal(parameters, dtype, 2),
        normal(parameters, statistics, 3),
        positive(parameters, statistics, 4),
    ]


def batch_formula(x, scale, bias, mean, var, epsilon=1e-5):
    """Straight from the specification, in float64."""
    lead = (1, -1) if x.ndim > 1 else (-1,)
    scale, bias, mean, var = (
        p.astype(np.float64).reshape(*lead, *(1,) * (x.ndim - 2)) for p in (scale, bias, mean, var)
    )
    return (x.astype(np.float64) - mean) / np.sqrt(var + epsilon) * scale + bias


def batch_statistics(x):
    axes = tuple(axis for axis in range(x.ndim) if axis != 1)
    wide = x.astype(np.float64)
    return wide.mean(axes), wide.var(axes)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("version", [7, 9, 14, 15])
def test_batch_inference_like_onnxruntime(shape, version):
    inputs = batch_inputs(shape)
    attributes = {"epsilon": 0.01, "momentum": 0.7}
    model = node_model("BatchNormalization", inputs, opset=version, **attributes)
    if version < 14:
        attributes["output_count"] = 1
    actual = kernel_outputs("BatchNormalization", version, *inputs, **attributes)
    assert_same(list(actual), onnxruntime_outputs(model, inputs), rtol=1e-4)
    assert_same(actual[0], batch_formula(*inputs, epsilon=0.01).astype(np.float32), rtol=1e-4)


@pytest.mark.parametrize("version", [7, 9, 14])
def test_batch_inference_ignores_momentum(version):
    inputs = batch_inputs((2, 3, 4))
    count = {"output_count": 1} if version < 14 else {}
    results = [kernel_outputs("BatchNormalization", version, *inputs, momentum=m, **count)[0] for m in (0.0, 0.9)]
    assert_same(*results)


@pytest.mark.parametrize("version", [1, 6])
def test_batch_versions_with_is_test(version):
    inputs = batch_inputs((2, 3, 4, 5))
    consumed = {"consumed_inputs": (0, 0, 0, 1, 1)} if version == 1 else {}
    (result,) = kernel_outputs("BatchNormalization", version, *inputs, is_test=1, **consumed)
    assert_same(result, batch_formula(*inputs).astype(np.float32))
    mean, var = batch_statistics(inputs[0])
    outputs = kernel_outputs("BatchNormalization", version, *inputs, **consumed)
    check_training(inputs, outputs, mean, var, 0.9)


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 5), (2, 3, 4, 5)])
@pytest.mark.parametrize("version", [7, 9])
def test_batch_training_where_there_are_more_outputs(shape, version):
    inputs = batch_inputs(shape)
    outputs = kernel_outputs("BatchNormalization", version, *inputs, momentum=0.75, output_count=5)
    check_training(inputs, outputs, *batch_statistics(inputs[0]), 0.75)
    model = node_model("BatchNormalization", inputs, opset=version, outputs=5, momentum=0.75)
    # onnxruntime saves the inverse deviation where the specification says variance: the last output is left out.
    assert_same(list(outputs)[:4], onnxruntime_outputs(model, inputs)[:4], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 5), (2, 3, 4, 5)])
@pytest.mark.parametrize("version", [14, 15])
def test_batch_training_mode_like_onnxruntime(shape, version):
    inputs = batch_inputs(shape)
    attributes = {"training_mode": 1, "momentum": 0.75}
    outputs = kernel_outputs("BatchNormalization", version, *inputs, **attributes)
    model = node_model("BatchNormalization", inputs, opset=version, outputs=3, **attributes)
    assert_same(list(outputs), onnxruntime_outputs(model, inputs), rtol=1e-4, atol=1e-5)


def check_training(inputs, outputs, mean, var, momentum):
    x, scale, bias, input_mean, input_var = inputs
    expected = [
        batch_formula(x, scale, bias, mean, var),
        input_mean * momentum + mean * (1 - momentum),
        input_var * momentum + var * (1 - momentum),
        mean,
        var,
    ]
    assert_same(list(outputs), [value.astype(np.float32) for value in expected], rtol=1e-4, atol=1e-5)


def test_batch_without_spatial_every_element_is_a_channel():
    inputs = batch_inputs((4, 3, 2, 5), parameters=(3, 2, 5))
    model = node_model("BatchNormalization", inputs, opset=7, spatial=0)
    (result,) = kernel_outputs("BatchNormalization", 7, *inputs, spatial=0, output_count=1)
    assert_same([result], onnxruntime_outputs(model, inputs), rtol=1e-4)
    outputs = kernel_outputs("BatchNormalization", 7, *inputs, spatial=0, output_count=5)
    assert_same(outputs[3], inputs[0].mean(0), rtol=1e-4)
    assert_same(outputs[4], inputs[0].var(0), rtol=1e-4)
    assert_same(outputs[0].mean(0), inputs[2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("statistics", FLOATS)
def test_batch_the_statistics_keep_their_own_type(dtype, statistics):
    inputs = batch_inputs((4, 3, 8), dtype=dtype, statistics=statistics)
    y, mean, var = kernel_outputs("BatchNormalization", 15, *inputs, training_mode=1)
    assert (y.dtype, mean.dtype, var.dtype) == (dtype, statistics, statistics)
    batch_mean, batch_var = batch_statistics(inputs[0])
    assert_same(y, batch_formula(*inputs[:3], batch_mean, batch_var).astype(dtype), rtol=0.02, atol=0.02)
    expected = inputs[4].astype(np.float64) * 0.9 + batch_var * 0.1
    assert_same(var, expected.astype(statistics), rtol=0.02, atol=0.02)
    (y,) = kernel_outputs("BatchNormalization", 15, *inputs)
    assert_same(y, batch_formula(*inputs).astype(dtype), rtol=0.02, atol=0.02)


def test_batch_a_half_precision_statistic_does_not_overflow():
    x = np.full((1, 1, 4096), 100, np.float16)
    ones = np.ones(1, np.float16)
    _, mean, _ = kernel_outputs("BatchNormalization", 15, x, ones, ones, ones, ones, training_mode=1, momentum=0.0)
    assert_same(mean, np.array([100], np.float16))


def test_batch_parameters_that_do_not_fit_are_an_error():
    inputs = batch_inputs((2, 3, 4), parameters=(4,))
    with pytest.raises(ValueError, match="each of 3 channels"):
        kernel_outputs("BatchNormalization", 15, *inputs)


@pytest.mark.parametrize("shape", [(2, 3, 5), (1, 2, 3, 4), (2, 1, 1)])
@pytest.mark.parametrize("version", [1, 6, 22])
def test_instance_normalization(shape, version):
    inputs = [normal(shape), positive(shape[1], seed=1), normal(shape[1], seed=2)]
    model = node_model("InstanceNormalization", inputs, opset=22 if version == 22 else 7, epsilon=0.01)
    assert_same(
        list(kernel_outputs("InstanceNormalization", version, *inputs, epsilon=0.01)),
        onnxruntime_outputs(model, inputs),
        rtol=1e-4,
    )


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    axis=st.integers(-4, 3),
    with_bias=st.booleans(),
    scale_whole=st.booleans(),
)
def test_layer_normalization_like_onnxruntime(shape, axis, with_bias, scale_whole):
    axis = (axis % len(shape)) - (len(shape) if axis < 0 else 0)
    tail = shape[axis:]
    inputs = [normal(shape), positive(tail, seed=1)] + ([normal(tail, seed=2)] if with_bias else [])
    model = node_model("LayerNormalization", inputs, opset=17, outputs=3, axis=axis, epsilon=0.01)
    actual = kernel_outputs("LayerNormalization", 17, *inputs, axis=axis, epsilon=0.01)
    assert_same(list(actual), onnxruntime_outputs(model, inputs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("stash", [1, 16])
def test_layer_normalization_keeps_statistics_in_the_stash_type(dtype, stash):
    x = (100 + normal((4, 64))).astype(dtype)
    ones = np.ones(64, dtype)
    y, mean, inverse = kernel_outputs("LayerNormalization", 17, x, ones, stash_type=stash)
    stash_dtype = {1: np.float32, 16: ml_dtypes.bfloat16}[stash]
    wide = x.astype(np.float64)
    deviation = np.sqrt(wide.var(1, keepdims=True) + 1e-5)
    tolerance = {"rtol": 1e-2, "atol": 1e-2} if np.dtype(dtype).itemsize == 2 or stash == 16 else {"rtol": 1e-3}
    assert_same(y, ((wide - wide.mean(1, keepdims=True)) / deviation).astype(dtype), **tolerance)
    assert_same(mean, wide.mean(1, keepdims=True).astype(stash_dtype), **tolerance)
    assert_same(inverse, (1 / deviation).astype(stash_dtype), **tolerance)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("scale_dtype", FLOATS)
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_rms_normalization(dtype, scale_dtype, axis):
    x, axes = normal((3, 4, 5), dtype), tuple(range(axis % 3, 3))
    scale = positive(x.shape[axis:], scale_dtype, 1)
    (result,) = kernel_outputs("RMSNormalization", 23, x, scale, axis=axis, epsilon=0.01)
    wide = x.astype(np.float64)
    expected = wide / np.sqrt((wide**2).mean(axes, keepdims=True) + 0.01) * scale.astype(np.float64)
    narrow = 2 in (np.dtype(dtype).itemsize, np.dtype(scale_dtype).itemsize)
    assert_same(result, expected.astype(scale_dtype), rtol=2e-2 if narrow else 1e-5)


@pytest.mark.parametrize("shape", [(2, 6), (2, 6, 5), (1, 6, 3, 4)])
@pytest.mark.parametrize("groups", [1, 2, 6])
def test_group_normalization_like_onnxruntime(shape, groups):
    for version, parameters in ((21, 6), (18, groups)):
        inputs = [normal(shape), positive(parameters, seed=1), normal(parameters, seed=2)]
        attributes = {"num_groups": groups, "epsilon": 0.01}
        actual = kernel_outputs("GroupNormalization", version, *inputs, **attributes)[0]
        grouped = inputs[0].astype(np.float64).reshape(shape[0], groups, -1)
        deviation = np.sqrt(grouped.var(2, keepdims=True) + 0.01)
        expected = ((grouped - grouped.mean(2, keepdims=True)) / deviation).reshape(shape)
        scale, bias = (np.repeat(p, 6 // len(p)).reshape(6, *(1,) * (len(shape) - 2)) for p in inputs[1:])
        assert_same(actual, (expected * scale + bias).astype(np.float32), rtol=1e-4, atol=1e-5)
        if len(shape) > 2:
            model = node_model("GroupNormalization", inputs, opset=version, **attributes)
            assert_same([actual], onnxruntime_outputs(model, inputs), rtol=1e-4, atol=1e-5)


def test_the_groups_divide_the_channels():
    inputs = [normal((2, 6, 5)), positive(6), normal(6)]
    for groups in (4, 0):
        with pytest.raises(ValueError, match=f"divide the 6 channels, got {groups}"):
            kernel_outputs("GroupNormalization", 21, *inputs, num_groups=groups)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_lp_normalization(dtype, p, axis):
    x = normal((3, 4), dtype)
    (result,) = kernel_outputs("LpNormalization", 22, x, p=p, axis=axis)
    wide = x.astype(np.float64)
    expected = wide / np.linalg.norm(wide, p, axis, keepdims=True)
    assert_same(result, expected.astype(dtype), rtol=1e-2 if np.dtype(dtype).itemsize == 2 else 1e-5)
    if dtype in (np.float32, np.float64):
        assert_same([result], onnxruntime_outputs(node_model("LpNormalization", [x], opset=12, p=p, axis=axis), [x]))


def test_lp_normalization_of_zeros_is_zero():
    x = np.array([[0, 0], [3, -4]], np.float32)
    assert_same(kernel_outputs("LpNormalization", 1, x)[0], np.array([[0, 0], [0.6, -0.8]], np.float32))
    with pytest.raises(ValueError, match="1 or 2, got 3"):
        kernel_outputs("LpNormalization", 1, x, p=3)


@pytest.mark.parametrize("axes", [None, (0, 2, 3), (2, 3), (-1,)])
def test_mean_variance_normalization(axes):
    x = normal((2, 3, 4, 5))
    attributes = {} if axes is None else {"axes": axes}
    (result,) = kernel_outputs("MeanVarianceNormalization", 13, x, **attributes)
    along = (0, 2, 3) if axes is None else axes
    expected = (x - x.mean(along, keepdims=True)) / x.std(along, keepdims=True)
    assert_same(result, expected, rtol=1e-4, atol=1e-5)
    constant = np.ones((2, 3, 4, 5), np.float32)
    assert_same(kernel_outputs("MeanVarianceNormalization", 9, constant)[0], np.zeros_like(constant))


@pytest.mark.parametrize("shape", [(1, 5, 2, 3), (2, 1, 4, 1), (2, 7, 1, 1)])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 9])
def test_lrn(shape, size):
    x = normal(shape)
    attributes = {"size": size, "alpha": 0.1, "beta": 0.6, "bias": 2.0}
    (result,) = kernel_outputs("LRN", 13, x, **attributes)
    squares = np.stack(
        [
            (x[:, max(0, c - (size - 1) // 2) : c + size // 2 + 1].astype(np.float64) ** 2).sum(1)
            for c in range(shape[1])
        ],
        axis=1,
    )
    assert_same(result, (x / (2 + 0.1 / size * squares) ** 0.6).astype(np.float32))
    if size % 2:
        assert_same([result], onnxruntime_outputs(node_model("LRN", [x], opset=12, **attributes), [x]))


def test_views_give_what_their_copies_give():
    view = normal((6, 4, 5))[::2, ::-1].transpose(0, 2, 1)
    scale, bias = positive(5), normal(5)
    cases = [
        ("BatchNormalization", 15, [scale, bias, bias, scale], {}),
        ("InstanceNormalization", 6, [scale, bias], {}),
        ("GroupNormalization", 21, [scale, bias], {"num_groups": 5}),
        ("LayerNormalization", 17, [positive(4)], {}),
        ("LRN", 13, [], {"size": 3}),
        ("LpNormalization", 1, [], {}),
    ]
    for name, version, parameters, attributes in cases:
        actual, expected = (kernel_outputs(name, version, x, *parameters, **attributes) for x in (view, view.copy()))
        assert_same(list(actual), list(expected), where=name)
