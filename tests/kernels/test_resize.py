import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.differential import assert_same, kernel_outputs, node_model, onnxruntime_outputs

SETTINGS = settings(max_examples=25, deadline=None, derandomize=True)
COORDINATES = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]
SCALES = [0.3, 0.5, 0.6, 0.8, 1, 1.5, 1.7, 2, 3, 1 / 3]
NEAREST = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]


def agrees(op_type, version, inputs, **attributes):
    """The kernel and onnxruntime give the same."""
    expected = onnxruntime_outputs(node_model(op_type, inputs, opset=version, **attributes), inputs)
    assert_same(kernel_outputs(op_type, version, *inputs, **attributes), tuple(expected), rtol=1e-3, atol=2e-4)


def resize(x, *, roi=None, scales=None, sizes=None, version=19, **attributes):
    roi = None if roi is None else np.array(roi, np.float32)
    scales = None if scales is None else np.array(scales, np.float32)
    sizes = None if sizes is None else np.array(sizes, np.int64)
    return kernel_outputs("Resize", version, x, roi, scales, sizes, **attributes)[0]


def images(seed):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((1, 2, *rng.integers(2, 9, 2))).astype(np.float32)


def attributes_of(draw, version, mode):
    attributes = {"mode": mode}
    if mode == "nearest":
        attributes["nearest_mode"] = draw(st.sampled_from(NEAREST))
    if mode == "cubic":
        attributes |= {
            "exclude_outside": draw(st.integers(0, 1)),
            "cubic_coeff_a": draw(st.sampled_from([-0.5, -0.75])),
        }
    if mode != "nearest" and version >= 18:
        attributes["antialias"] = draw(st.integers(0, 1))
    return attributes


@pytest.mark.parametrize("version", [11, 13, 18, 19])
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_resize(version, mode):
    @given(st.data(), st.integers(0, 1000))
    @SETTINGS
    def check(data, seed):
        x, attributes = images(seed), attributes_of(data.draw, version, mode)
        coordinates = COORDINATES + ["tf_half_pixel_for_nn"] * (version == 11)
        attributes["coordinate_transformation_mode"] = data.draw(st.sampled_from(coordinates))
        roi = np.zeros(0, np.float32)
        # Where a scale asks for a fraction of an element, onnxruntime aligns the corners of the whole ones instead.
        if data.draw(st.booleans()) and attributes["coordinate_transformation_mode"] != "align_corners":
            scales = [data.draw(st.sampled_from(SCALES)) for _ in range(2)]
            agrees("Resize", version, [x, roi, np.array([1, 1, *scales], np.float32)], **attributes)
        else:
            sizes = np.array([1, 2, data.draw(st.integers(1, 14)), data.draw(st.integers(1, 14))])
            empty = np.zeros(0, np.float32) if version == 11 else None
            agrees("Resize", version, [x, roi, empty, sizes], **attributes)

    check()


@pytest.mark.parametrize("version", [11, 13, 18, 19])
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_crop_and_resize(version, mode):
    @given(st.integers(0, 1000), st.floats(-0.25, 0.5, width=16), st.floats(0.5, 1.25, width=16))
    @SETTINGS
    def check(seed, start, end):
        x = images(seed)
        roi = np.array([0, 0, start, 0.25, 1, 1, end, 0.75], np.float32)
        # A size that differs: onnxruntime reads no roi along an axis that keeps its length.
        sizes = np.array([1, 2, x.shape[2] + 3, 2 * x.shape[3] + 1])
        attributes = {"coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": 7.5, "mode": mode}
        empty = np.zeros(0, np.float32) if version == 11 else None
        agrees("Resize", version, [x, roi, empty, sizes], **attributes)

    check()


@given(
    st.integers(0, 1000),
    st.sampled_from(["nearest", "linear"]),
    st.lists(st.sampled_from(SCALES), min_size=2, max_size=2),
)
@SETTINGS
def test_resize_10(seed, mode, scales):
    agrees("Resize", 10, [images(seed), np.array([1, 1, *scales], np.float32)], mode=mode)


@given(
    st.integers(0, 1000),
    st.sampled_from(["nearest", "linear"]),
    st.lists(st.sampled_from(SCALES[4:9]), min_size=2, max_size=2),
)
@SETTINGS
def test_upsample(seed, mode, scales):
    x, factors = images(seed), np.array([1, 1, *scales], np.float32)
    agrees("Upsample", 9, [x, factors], mode=mode)
    agrees("Upsample", 7, [x], mode=mode, scales=tuple(factors.tolist()))
    (newest,) = kernel_outputs("Upsample", 10, x, factors, mode=mode)
    height, width = factors[2:].tolist()
    name = "bilinear" if mode == "linear" else mode
    (oldest,) = kernel_outputs("Upsample", 1, x, mode=name, height_scale=height, width_scale=width)
    assert_same(oldest, newest)


def test_scales_are_float32():
    x = np.arange(10.0, dtype=np.float32)
    assert resize(x, scales=[0.7]).shape == (7,)
    # 8 / 1.6 is 5, whatever float32 makes of 1.6.
    y = resize(x, scales=[1.6], coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    np.testing.assert_array_equal(y, np.arange(16) * 10 // 16)
    third = resize(x[:9], scales=[1 / 3], coordinate_transformation_mode="half_pixel", nearest_mode="floor")
    np.testing.assert_array_equal(third, [1, 4, 7])


def test_ties_between_two_elements():
    x = np.arange(4.0)
    expected = {"round_prefer_floor": [0, 2], "round_prefer_ceil": [1, 3], "floor": [0, 2], "ceil": [1, 3]}
    for nearest_mode, values in expected.items():
        np.testing.assert_array_equal(resize(x, scales=[0.5], nearest_mode=nearest_mode), values)


def test_a_single_element_of_the_output():
    x = np.arange(1.0, 6)
    for mode in ("linear", "cubic"):
        attributes = {"sizes": [1], "mode": mode}
        np.testing.assert_allclose(resize(x, coordinate_transformation_mode="pytorch_half_pixel", **attributes), [1])
        np.testing.assert_allclose(resize(x, coordinate_transformation_mode="align_corners", **attributes), [1])
        np.testing.assert_allclose(resize(x, coordinate_transformation_mode="half_pixel", **attributes), [3])
        crop = {"coordinate_transformation_mode": "tf_crop_and_resize", "roi": [0, 0.5]}
        np.testing.assert_allclose(resize(x, **crop, **attributes), [2])


def test_half_pixel_symmetric_keeps_the_middle():
    x = np.arange(7.0)
    y = resize(x, scales=[0.5], mode="linear", coordinate_transformation_mode="half_pixel_symmetric")
    assert y.shape == (3,)
    np.testing.assert_allclose(y, 6 - y[::-1])
    np.testing.assert_allclose(y, [1, 3, 5])


def test_a_roi_counts_along_an_axis_that_keeps_its_length():
    x = np.arange(5.0)
    y = resize(x, roi=[0.25, 0.75], sizes=[5], mode="linear", coordinate_transformation_mode="tf_crop_and_resize")
    np.testing.assert_allclose(y, [1, 1.5, 2, 2.5, 3])


def test_antialiasing_averages_what_a_shrinking_axis_skips():
    x = np.zeros(8)
    x[3] = 1
    assert resize(x, scales=[0.25], mode="linear").tolist() == [0, 0]
    np.testing.assert_allclose(resize(x, scales=[0.25], mode="linear", antialias=1).sum(), 0.25, atol=0.02)
    constant = np.full(9, 3.0)
    for mode in ("linear", "cubic"):
        for exclude_outside in (0, 1):
            y = resize(constant, sizes=[4], mode=mode, antialias=1, exclude_outside=exclude_outside)
            np.testing.assert_allclose(y, 3)


@pytest.mark.parametrize(("policy", "shape"), [("stretch", (9, 9)), ("not_larger", (5, 9)), ("not_smaller", (9, 18))])
def test_aspect_ratio(policy, shape):
    x = np.random.default_rng(0).standard_normal((1, 4, 8)).astype(np.float32)
    attributes = {"axes": (-2, 2), "keep_aspect_ratio_policy": policy, "mode": "linear"}
    assert resize(x, sizes=[9, 9], **attributes).shape == (1, *shape)
    attributes["axes"] = (1, 2)  # onnxruntime does not count axes from the end here
    agrees("Resize", 19, [x, None, None, np.array([9, 9])], **attributes)


def test_axes_order_scales_and_roi():
    x = np.random.default_rng(0).standard_normal((3, 4, 5)).astype(np.float32)
    attributes = {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize"}
    y = resize(x, roi=[0, 0.25, 1, 0.75], sizes=[7, 6], axes=(2, 0), **attributes)
    expected = resize(x, roi=[0.25, 0, 0, 0.75, 1, 1], sizes=[6, 4, 7], **attributes)
    assert_same(y, expected)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bool"])
def test_integers_are_rounded_and_saturate(dtype):
    x = np.array([0, 1, 1, 0]).astype(dtype)
    doubled = {"scales": [2], "mode": "linear"}
    # 0.25, 0.75 and so on, rounded.
    assert_same(resize(x, **doubled), np.array([0, 0, 1, 1, 1, 1, 0, 0]).astype(dtype))
    high, low = (True, False) if dtype == "bool" else (np.iinfo(dtype).max, np.iinfo(dtype).min)
    edge = np.array([low, low, high, high], dtype)
    cubic = resize(edge, scales=[2], mode="cubic")  # overshoots on both sides of the edge
    assert cubic.dtype == edge.dtype
    assert (cubic[2], cubic[5]) == (low, high)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64, np.complex64])
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_floats_keep_their_type(dtype, mode):
    x = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32).astype(dtype)
    y = resize(x, scales=[2, 1.5], mode=mode)
    wide = resize(x.astype(np.complex128), scales=[2, 1.5], mode=mode)
    assert_same(y, (wide if dtype == np.complex64 else wide.real).astype(dtype), rtol=1e-2, atol=1e-2)


def test_strings_are_resized_by_nearest():
    x = np.array([["a", "b"]], dtype=object)
    assert resize(x, scales=[1, 2]).tolist() == [["a", "a", "b", "b"]]
    with pytest.raises(ValueError, match="only the mode nearest"):
        resize(x, scales=[1, 2], mode="linear")


def test_views_and_empty_arrays():
    x = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32).T
    x.flags.writeable = False
    for mode in ("nearest", "linear", "cubic"):
        assert_same(resize(x, scales=[2, 2], mode=mode), resize(x.copy(), scales=[2, 2], mode=mode))
        assert resize(x[:, :0], scales=[2, 2], mode=mode).shape == (6, 0)
        assert resize(x, sizes=[0, 2], mode=mode).shape == (0, 2)
    with pytest.raises(ValueError, match="without elements"):
        resize(x[:, :0], sizes=[3, 2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "exactly one of scales and sizes"),
        ({"scales": [1, 2], "sizes": [3, 4]}, "exactly one of scales and sizes"),
        ({"scales": [2]}, "scales must have one element for each of the 2"),
        ({"scales": [2, 0]}, "scales must be positive"),
        ({"sizes": [-1, 2]}, "sizes must be positive"),
        ({"scales": [2, 2], "mode": "bilinear"}, "mode must be nearest"),
        ({"scales": [2, 2], "nearest_mode": "round"}, "nearest_mode must be one of"),
        ({"scales": [2, 2], "coordinate_transformation_mode": "center"}, "unknown coordinate_transformation_mode"),
        ({"scales": [2, 2], "coordinate_transformation_mode": "tf_crop_and_resize"}, "needs a roi of 4 elements"),
        ({"sizes": [2, 2], "keep_aspect_ratio_policy": "keep"}, "keep_aspect_ratio_policy must be"),
    ],
)
def test_resize_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        resize(np.ones((3, 4), np.float32), **arguments)
