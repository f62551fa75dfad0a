import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.differential import assert_same, kernel_outputs, node_model, onnxruntime_outputs

SETTINGS = settings(max_examples=25, deadline=None, derandomize=True)
PADDINGS = ["zeros", "border", "reflection"]


def agrees(op_type, version, inputs, **attributes):
    """The kernel and onnxruntime give the same."""
    expected = onnxruntime_outputs(node_model(op_type, inputs, opset=version, **attributes), inputs)
    assert_same(kernel_outputs(op_type, version, *inputs, **attributes), tuple(expected), rtol=1e-3, atol=1e-4)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def sample(x, grid, version=22, **attributes):
    return kernel_outputs("GridSample", version, x, grid, **attributes)[0]


@pytest.mark.parametrize("padding_mode", PADDINGS)
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_grid_sample(mode, padding_mode):
    @given(st.integers(0, 1000), st.integers(2, 3), st.integers(0, 1), st.sampled_from([16, 20, 22]))
    @SETTINGS
    def check(seed, rank, align_corners, version):
        if version == 16 or mode == "cubic":
            rank = 2  # onnxruntime's cubic is for images only
        rng = np.random.default_rng(seed)
        x = normal(2, 3, *rng.integers(2, 6, rank), seed=seed)
        grid = rng.uniform(-2, 2, (2, *rng.integers(1, 5, rank), rank)).astype(np.float32)
        name = f"bi{mode}" if version == 16 and mode != "nearest" else mode
        agrees("GridSample", version, [x, grid], mode=name, padding_mode=padding_mode, align_corners=align_corners)

    check()


def positions(length, align_corners):
    """The grid coordinates of the elements of an axis."""
    if align_corners:
        return np.linspace(-1, 1, length)
    return (2 * np.arange(length) + 1) / length - 1


@pytest.mark.parametrize("padding_mode", PADDINGS)
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("align_corners", [0, 1])
@pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 3, 4), (2, 1, 3, 2)])
def test_sampling_at_the_elements_gives_the_elements(shape, align_corners, mode, padding_mode):
    x = normal(*shape[::-1], 2, 1).T
    axes = np.meshgrid(*(positions(length, align_corners) for length in shape), indexing="ij")
    grid = np.stack(axes[::-1], axis=-1)[None]
    y = sample(x, grid, align_corners=align_corners, mode=mode, padding_mode=padding_mode)
    assert_same(y, x, rtol=1e-5, atol=1e-5)


def test_reflection_goes_on_until_it_is_inside():
    x = np.arange(4.0, dtype=np.float32)[None, None]
    # Pixel coordinates -1, -2.5, 4, 9 and 10.25, mirrored at the centres of the first and the last element.
    pixels = np.array([-1, -2.5, 4, 9, 10.25], np.float32)
    grid = (2 * pixels / 3 - 1)[None, :, None]
    y = sample(x, grid, align_corners=1, padding_mode="reflection")
    np.testing.assert_allclose(y[0, 0], [1, 2.5, 2, 3, 1.75], rtol=1e-5)


def test_an_axis_of_one_element_reflects_to_that_element():
    x = np.array([[[7.0]]], np.float32)
    grid = np.array([[[-3.0], [0], [0.5], [9]]], np.float32)
    for mode in ("nearest", "linear", "cubic"):
        np.testing.assert_allclose(sample(x, grid, align_corners=1, padding_mode="reflection", mode=mode), 7, rtol=1e-6)


def test_nowhere_and_far_away():
    x = np.ones((1, 1, 3), np.float32)
    grid = np.array([np.inf, -np.inf, 1e30, np.nan], np.float32)[None, :, None]
    np.testing.assert_array_equal(sample(x, grid, mode="nearest")[0, 0], [0, 0, 0, 0])
    np.testing.assert_array_equal(sample(x, grid)[0, 0], [0, 0, 0, np.nan])
    for mode in ("linear", "cubic"):
        np.testing.assert_array_equal(sample(x, grid, mode=mode, padding_mode="border")[0, 0], [1, 1, 1, np.nan])
        np.testing.assert_array_equal(sample(x, grid, mode=mode, padding_mode="reflection")[0, 0, -1], np.nan)


def test_infinity_outside_the_border_is_not_read():
    x = np.array([[[np.inf, 1, 2]]], np.float32)
    np.testing.assert_array_equal(sample(x, np.array([[[2.5]]], np.float32))[0, 0], [0])


@pytest.mark.parametrize(
    "dtype", [np.uint8, np.int64, np.bool_, np.complex64, np.float16, ml_dtypes.bfloat16, np.float64]
)
@pytest.mark.parametrize("grid_dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_the_output_has_the_type_of_the_input(dtype, grid_dtype, mode):
    x = (np.arange(4) % 3).astype(dtype)[None, None]
    grid = positions(4, 0).astype(grid_dtype)[None, :, None]
    assert_same(sample(x, grid, mode=mode), x, rtol=1e-2, atol=1e-2)


def test_integers_lose_their_fraction_and_saturate():
    x = np.array([[[0, 255, 255, 0]]], np.uint8)
    grid = np.array([[[-0.5], [0], [0.999]]], np.float32)
    assert sample(x, grid, mode="linear").tolist() == [[[127, 255, 0]]]
    assert sample(x, grid, mode="cubic").tolist() == [[[127, 255, 0]]]
    high = np.iinfo(np.int64).max
    assert sample(np.full((1, 1, 2), high), np.zeros((1, 1, 1), np.float64)).tolist() == [[[high]]]


def test_strings_are_sampled_by_nearest():
    x = np.array([[["a", "b"]]], dtype=object)
    grid = np.array([[[-0.5], [0.5], [2]]], np.float32)
    assert sample(x, grid, mode="nearest").tolist() == [[["a", "b", ""]]]
    with pytest.raises(ValueError, match="only the mode nearest"):
        sample(x, grid)


@pytest.mark.parametrize(
    ("grid", "attributes", "message"),
    [
        ((1, 4, 4, 3), {}, "the grid for an input of shape"),
        ((2, 4, 4, 2), {}, "the grid for an input of shape"),
        ((1, 4, 4, 2), {"mode": "bilinear"}, "mode must be nearest"),
        ((1, 4, 4, 2), {"padding_mode": "edge"}, "padding_mode must be zeros"),
    ],
)
def test_grid_sample_refuses(grid, attributes, message):
    with pytest.raises(ValueError, match=message):
        sample(normal(1, 1, 3, 3), normal(*grid), **attributes)


@pytest.mark.parametrize("align_corners", [0, 1])
@pytest.mark.parametrize("shape", [(3, 5), (4, 2, 3)])
def test_affine_grid(shape, align_corners):
    theta = normal(2, len(shape), len(shape) + 1)
    agrees("AffineGrid", 20, [theta, np.array([2, 3, *shape])], align_corners=align_corners)


@pytest.mark.parametrize("dtype", [np.float64, np.float16, ml_dtypes.bfloat16])
def test_the_identity_map_samples_the_image_itself(dtype):
    theta = np.eye(2, 3)[None].astype(dtype)
    for align_corners in (0, 1):
        (grid,) = kernel_outputs("AffineGrid", 20, theta, np.array([1, 1, 4, 3]), align_corners=align_corners)
        assert grid.dtype == dtype
        x = normal(1, 1, 4, 3)
        np.testing.assert_allclose(sample(x, grid, align_corners=align_corners), x, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("align_corners", [0, 1])
def test_affine_grid_of_a_single_position_is_the_middle(align_corners):
    theta = np.array([[[1, 0, 5], [0, 1, 7]]], np.float32)
    (grid,) = kernel_outputs("AffineGrid", 20, theta, np.array([1, 1, 1, 1]), align_corners=align_corners)
    assert grid.tolist() == [[[[5, 7]]]]


def test_affine_grid_refuses_a_theta_of_another_rank():
    with pytest.raises(ValueError, match=r"theta must have the shape \(1, 3, 4\)"):
        kernel_outputs("AffineGrid", 20, normal(1, 2, 3), np.array([1, 1, 2, 2, 2]))
