import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.differential import assert_same, kernel_outputs, node_model, onnxruntime_outputs
from onnxlite.kernels.geometry import windows

SETTINGS = settings(max_examples=25, deadline=None, derandomize=True)


def agrees(op_type, version, x, outputs=1, **attributes):
    """The kernel and onnxruntime give the same."""
    expected = onnxruntime_outputs(node_model(op_type, [x], opset=version, outputs=outputs, **attributes), [x])
    actual = kernel_outputs(op_type, version, x, **attributes)
    assert_same(actual[:outputs], tuple(expected), rtol=1e-4, atol=1e-5)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def window_values(x, w):
    """For every window of every channel: its output index, and its image elements with their flat index in x."""
    for n, c, o in itertools.product(*map(range, x.shape[:2]), np.ndindex(*w.output)):
        axes = [w.positions(axis)[o[axis]] for axis in range(len(o))]
        places = [p for p in itertools.product(*axes) if all(0 <= i < d for i, d in zip(p, w.image, strict=True))]
        yield (n, c, *o), [(x[(n, c, *p)], np.ravel_multi_index((n, c, *p), x.shape)) for p in places]


@st.composite
def pools(draw, version, ceil_since=10, dilations_since=10):
    rank = draw(st.integers(1, 3))

    def axes(values):
        return tuple(draw(values) for _ in range(rank))

    kernel = axes(st.integers(1, 3))
    attributes = {"kernel_shape": kernel, "strides": axes(st.integers(1, 3))}
    auto_pad = draw(st.sampled_from(["NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    if auto_pad == "NOTSET":
        attributes["pads"] = tuple(draw(st.integers(0, k - 1)) for k in kernel * 2)
        if version >= dilations_since:
            attributes["dilations"] = axes(st.integers(1, 2))
    else:
        # Where a stride jumps over the kernel, onnxruntime computes negative pads for SAME.
        attributes["strides"] = tuple(min(s, k) for s, k in zip(attributes["strides"], kernel, strict=True))
        attributes["auto_pad"] = auto_pad
    if version >= ceil_since:
        attributes["ceil_mode"] = draw(st.integers(0, 1))
    x = normal(draw(st.integers(1, 2)), 2, *axes(st.integers(5, 8)), seed=draw(st.integers(0, 1000)))
    return x.round(1), attributes  # rounded, so that maxima tie


@pytest.mark.parametrize("version", [7, 10, 11, 19, 22])
def test_average_pool(version):
    @given(pools(version, dilations_since=19), st.integers(0, 1))
    @settings(SETTINGS, max_examples=15)
    def check(case, count_include_pad):
        x, attributes = case
        agrees("AveragePool", version, x, count_include_pad=count_include_pad, **attributes)

    check()


@given(pools(1))
@SETTINGS
def test_average_pool_1_leaves_the_padding_out(case):
    x, attributes = case
    (y,) = kernel_outputs("AveragePool", 1, x, **attributes)
    w = windows(x.shape[2:], attributes.pop("kernel_shape"), **attributes)
    for index, elements in window_values(x, w):
        np.testing.assert_allclose(y[index], np.mean([value for value, _ in elements]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("version", [1, 8, 10, 11, 12, 22])
def test_max_pool(version):
    @given(pools(version), st.integers(0, 1))
    @settings(SETTINGS, max_examples=15)
    def check(case, storage_order):
        x, attributes = case
        if version >= 8:
            attributes["storage_order"] = storage_order
        agrees("MaxPool", version, x, 1 if version == 1 else 2, **attributes)
        if version >= 12:
            integers = (x * 40).astype(np.int8)
            agrees("MaxPool", version, integers, **attributes)
            agrees("MaxPool", version, integers.view(np.uint8), **attributes)

    check()


@pytest.mark.parametrize("version", [2, 11, 18, 22])
def test_lp_pool(version):
    @given(pools(version, 18, 18), st.integers(1, 3))
    @settings(SETTINGS, max_examples=15)
    def check(case, p):
        x, attributes = case
        agrees("LpPool", version, x, p=p, **attributes)

    check()


def test_lp_pool_1_has_a_real_exponent():
    x = normal(1, 2, 6)
    (y,) = kernel_outputs("LpPool", 1, x, kernel_shape=(2,), p=1.5)
    expected = (np.abs(x[..., :-1]) ** 1.5 + np.abs(x[..., 1:]) ** 1.5) ** (1 / 1.5)
    np.testing.assert_allclose(y, expected, rtol=1e-5)
    with pytest.raises(ValueError, match="needs kernel_shape"):
        kernel_outputs("LpPool", 1, x)


def test_same_padding_covers_the_dilated_kernel():
    x = normal(1, 1, 7, 6)
    attributes = {"strides": (2, 1), "dilations": (2, 3), "auto_pad": "SAME_LOWER"}
    w = windows((7, 6), (3, 2), **attributes)
    assert (w.output, w.begins, w.ends) == ((4, 6), (2, 2), (2, 1))
    (average,) = kernel_outputs("AveragePool", 22, x, kernel_shape=(3, 2), **attributes)
    largest, indices = kernel_outputs("MaxPool", 22, x, kernel_shape=(3, 2), **attributes)
    for index, elements in window_values(x, w):
        best = max(elements, key=lambda element: element[0])
        assert (largest[index], indices[index]) == best
        np.testing.assert_allclose(average[index], np.mean([value for value, _ in elements]), rtol=1e-5)


def test_ceil_mode_ignores_windows_that_start_in_the_padding_at_the_end():
    w = windows((5,), (3,), strides=(3,), pads=(1, 1), ceil_mode=1)
    assert w.output == (2,)
    assert windows((4,), (3,), strides=(3,), ceil_mode=1).output == (2,)
    # What lies beyond the padding does not count.
    (y,) = kernel_outputs(
        "AveragePool",
        22,
        np.ones((1, 1, 4), np.float32),
        kernel_shape=(3,),
        strides=(3,),
        ceil_mode=1,
        count_include_pad=1,
    )
    np.testing.assert_array_equal(y[0, 0], [1, 1])


def test_max_pool_takes_nan_for_the_largest_and_its_first_place():
    x = np.array([[[1, np.nan, 3, np.nan, 2, 5]]], np.float32)
    y, indices = kernel_outputs("MaxPool", 22, x, kernel_shape=(3,))
    np.testing.assert_array_equal(y[0, 0], [np.nan, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(indices[0, 0], [1, 1, 3, 3])


@pytest.mark.parametrize("value", [-np.inf, np.finfo(np.float32).min])
def test_max_pool_never_points_into_the_padding(value):
    x = np.full((1, 1, 3, 3), value, np.float32)
    y, indices = kernel_outputs("MaxPool", 22, x, kernel_shape=(2, 2), pads=(1, 1, 0, 0))
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(indices[0, 0], [[0, 0, 1], [0, 0, 1], [3, 3, 4]])


@pytest.mark.parametrize("op_type", ["AveragePool", "MaxPool", "LpPool"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_every_float_keeps_its_type(op_type, dtype):
    import ml_dtypes

    dtype = np.dtype(getattr(ml_dtypes, dtype, None) or dtype)
    x = normal(1, 2, 5, 5).astype(dtype)
    y = kernel_outputs(op_type, 22, x, kernel_shape=(3, 3), pads=(1, 1, 1, 1))[0]
    wide = kernel_outputs(op_type, 22, x.astype(np.float32), kernel_shape=(3, 3), pads=(1, 1, 1, 1))[0]
    assert y.dtype == dtype
    assert_same(y, wide.astype(dtype), rtol=1e-5)


@pytest.mark.parametrize("op_type", ["AveragePool", "MaxPool", "LpPool"])
def test_a_pool_of_single_elements_is_the_input_of_any_layout(op_type):
    x = normal(4, 5, 3, 2).T
    np.testing.assert_allclose(
        kernel_outputs(op_type, 22, x, kernel_shape=(1, 1))[0], abs(x) if op_type[0] == "L" else x
    )
    empty = kernel_outputs(op_type, 22, x[:0], kernel_shape=(2, 2), strides=(2, 2))
    assert all(y.shape == (0, 3, 2, 2) for y in empty)


@pytest.mark.parametrize(
    ("op_type", "version"), [(f"Global{kind}Pool", v) for kind in ("Average", "Max") for v in (1, 22)]
)
@pytest.mark.parametrize("spatial", [(5,), (3, 4), (2, 3, 4)])
def test_global_pools(op_type, version, spatial):
    agrees(op_type, version, normal(2, 3, *spatial))


@pytest.mark.parametrize("version", [2, 22])
@pytest.mark.parametrize("p", [1, 2, 3])
def test_global_lp_pool(version, p):
    x = normal(2, 3, 4, 5)
    (y,) = kernel_outputs("GlobalLpPool", version, x, p=p)
    np.testing.assert_allclose(y, (abs(x) ** p).sum(axis=(2, 3), keepdims=True) ** (1 / p), rtol=1e-5)
    if version == 2:
        agrees("GlobalLpPool", version, x, p=p)


def test_global_lp_pool_1_has_a_real_exponent():
    x = normal(1, 2, 6)
    (y,) = kernel_outputs("GlobalLpPool", 1, x, p=0.5)
    np.testing.assert_allclose(y, np.sqrt(abs(x)).sum(axis=2, keepdims=True) ** 2, rtol=1e-5)


@pytest.mark.parametrize("version", [9, 11, 22])
def test_max_unpool_undoes_max_pool(version):
    x = normal(2, 3, 6, 4)
    attributes = {"kernel_shape": (2, 2), "strides": (2, 2)}
    y, indices = kernel_outputs("MaxPool", 22, x, **attributes)
    (back,) = kernel_outputs("MaxUnpool", version, y, indices, **attributes)
    again, places = kernel_outputs("MaxPool", 22, np.where(back == 0, -np.inf, back), **attributes)
    np.testing.assert_array_equal(again, y)
    np.testing.assert_array_equal(places, indices)
    assert (back != 0).sum() == y.size
    if version < 22:
        expected = onnxruntime_outputs(node_model("MaxUnpool", [y, indices], opset=version, **attributes), [y, indices])
        assert_same(back, expected[0])


@pytest.mark.parametrize(
    ("indices", "output_shape", "error", "message"),
    [
        ([[[0, 4]]], None, IndexError, "lie in 0 to 3"),
        ([[[-1, 2]]], None, IndexError, "lie in 0 to 3"),
        ([[[0]]], None, ValueError, "shape of the values"),
        ([[[0, 1]]], [1, 1, 3], ValueError, "at least the unpooled shape"),
    ],
)
def test_max_unpool_refuses(indices, output_shape, error, message):
    shape = None if output_shape is None else np.array(output_shape)
    with pytest.raises(error, match=message):
        kernel_outputs("MaxUnpool", 11, normal(1, 1, 2), np.array(indices), shape, kernel_shape=(2,), strides=(2,))


@pytest.mark.parametrize("op_type", ["AveragePool", "MaxPool", "LpPool"])
@pytest.mark.parametrize(
    ("shape", "attributes", "message"),
    [
        ((1, 1, 5), {"kernel_shape": (6,)}, "does not fit an axis of 5"),
        ((1, 1, 5), {"kernel_shape": (2, 2)}, "kernel_shape must have 1 elements"),
        ((1, 1, 5), {"kernel_shape": (0,)}, "kernel_shape must be at least 1"),
        ((1, 1, 5), {"kernel_shape": (2,), "strides": (0,)}, "strides must be at least 1"),
        ((1, 1, 5), {"kernel_shape": (2,), "pads": (0,)}, "pads must have 2 elements"),
        ((1, 5), {"kernel_shape": (2,)}, "at least 1 spatial axes"),
    ],
)
def test_pools_refuse(op_type, shape, attributes, message):
    with pytest.raises(ValueError, match=message):
        kernel_outputs(op_type, 22, normal(*shape), **attributes)
