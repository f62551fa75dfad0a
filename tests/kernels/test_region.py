import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.differential import assert_same, kernel_outputs, node_model, onnxruntime_outputs

SETTINGS = settings(max_examples=25, deadline=None, derandomize=True)


def agrees(op_type, version, inputs, **attributes):
    """The kernel and onnxruntime give the same."""
    expected = onnxruntime_outputs(node_model(op_type, inputs, opset=version, **attributes), inputs)
    assert_same(kernel_outputs(op_type, version, *inputs, **attributes), tuple(expected), rtol=1e-3, atol=1e-4)


def images(seed):
    return np.random.default_rng(seed).standard_normal((2, 3, 9, 11)).astype(np.float32)


def regions(seed, count=6):
    """Corners of proper regions, some of them partly outside the images."""
    corners = np.random.default_rng(seed).uniform(-2, 12, (count, 2, 2))
    return np.sort(corners, axis=1).reshape(count, 4).astype(np.float32)


@given(
    seed=st.integers(0, 1000),
    version=st.sampled_from([10, 16]),
    mode=st.sampled_from(["avg", "max"]),
    coordinates=st.sampled_from(["half_pixel", "output_half_pixel"]),
    height=st.integers(1, 3),
    width=st.integers(1, 3),
    ratio=st.integers(0, 2),
    scale=st.sampled_from([1.0, 0.5]),
)
@settings(SETTINGS, max_examples=50)
def test_roi_align(seed, version, mode, coordinates, height, width, ratio, scale):
    attributes = {"output_height": height, "output_width": width, "sampling_ratio": ratio, "spatial_scale": scale}
    if version == 16:
        attributes["coordinate_transformation_mode"] = coordinates
    batches = np.random.default_rng(seed).integers(0, 2, 6)
    agrees("RoiAlign", version, [images(seed), regions(seed), batches], mode=mode, **attributes)


def test_roi_align_22_is_roi_align_16():
    inputs = images(0), regions(0), np.zeros(6, np.int64)
    assert_same(kernel_outputs("RoiAlign", 22, *inputs), kernel_outputs("RoiAlign", 16, *inputs))


def test_roi_align_of_a_linear_image_reads_the_centres_of_the_bins():
    x = np.add.outer(10.0 * np.arange(8), np.arange(9))[None, None]
    rois = np.array([[2.0, 1, 6, 5]])
    for dtype in (np.float64, np.float16):
        (y,) = kernel_outputs(
            "RoiAlign", 16, x.astype(dtype), rois.astype(dtype), np.array([0]), output_height=2, output_width=4
        )
        expected = np.add.outer(10 * np.array([1.5, 3.5]), [2, 3, 4, 5.0])
        assert_same(y, expected[None, None].astype(dtype))


def test_roi_align_of_regions_outside_or_turned_over_is_zero():
    rois = np.array([[100, 100, 120, 120], [5, 5, 1, 1]], np.float32)
    for mode in ("avg", "max"):
        (y,) = kernel_outputs("RoiAlign", 16, images(0) + 9, rois, np.array([0, 1]), mode=mode, output_height=2)
        assert_same(y, np.zeros((2, 3, 2, 1), np.float32))


@given(st.integers(0, 1000), st.integers(1, 4), st.integers(1, 4), st.sampled_from([1.0, 0.5]))
@SETTINGS
def test_max_roi_pool(seed, height, width, scale):
    batches = np.random.default_rng(seed).integers(0, 2, (6, 1)).astype(np.float32)
    rois = np.concatenate((batches, regions(seed)), axis=1)
    agrees("MaxRoiPool", 1, [images(seed), rois], pooled_shape=(height, width), spatial_scale=scale)


def test_max_roi_pool_takes_the_largest_pixel_of_every_bin():
    x = np.arange(36, dtype=np.float32).reshape(1, 1, 6, 6)
    (y,) = kernel_outputs("MaxRoiPool", 22, x, np.array([[0, 1, 1, 4, 4]], np.float32), pooled_shape=(2, 2))
    assert y.tolist() == [[[[14, 16], [26, 28]]]]


@pytest.mark.parametrize("index", [-1, 2])
def test_a_batch_index_outside_is_refused(index):
    with pytest.raises(IndexError, match="batch index must lie in 0 to 1"):
        kernel_outputs("RoiAlign", 22, images(0), regions(0, 1), np.array([index]))
    rois = np.concatenate((np.float32([[index]]), regions(0, 1)), axis=1)
    with pytest.raises(IndexError, match="batch index must lie in 0 to 1"):
        kernel_outputs("MaxRoiPool", 22, images(0), rois, pooled_shape=(1, 1))


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"mode": "mean"}, "mode must be avg or max"),
        ({"coordinate_transformation_mode": "asymmetric"}, "coordinate_transformation_mode must be"),
    ],
)
def test_roi_align_refuses(attributes, message):
    with pytest.raises(ValueError, match=message):
        kernel_outputs("RoiAlign", 22, images(0), regions(0), np.zeros(6, np.int64), **attributes)
    with pytest.raises(ValueError, match=r"must have the shape \(R, 4\)"):
        kernel_outputs("RoiAlign", 22, images(0), regions(0), np.zeros(5, np.int64))


@given(
    seed=st.integers(0, 1000),
    limit=st.integers(0, 8),
    overlap=st.floats(0, 1, width=32),
    least=st.none() | st.floats(0, 1, width=32),
    center=st.integers(0, 1),
    version=st.sampled_from([10, 11]),
)
@settings(SETTINGS, max_examples=50)
def test_non_max_suppression(seed, limit, overlap, least, center, version):
    rng = np.random.default_rng(seed)
    inputs = [
        rng.random((2, 20, 4)).astype(np.float32),
        rng.random((2, 3, 20)).astype(np.float32).round(1),  # rounded, so that scores tie
        np.array([limit]),
        np.array(overlap, np.float32),
    ]
    if least is not None:
        inputs.append(np.array([least], np.float32))
    agrees("NonMaxSuppression", version, inputs, center_point_box=center)


def test_non_max_suppression_selects_nothing_by_default():
    (selected,) = kernel_outputs(
        "NonMaxSuppression", 11, np.ones((1, 2, 4), np.float32), np.ones((1, 1, 2), np.float32)
    )
    assert_same(selected, np.zeros((0, 3), np.int64))


def test_non_max_suppression_keeps_boxes_without_area_and_touching_ones():
    boxes = np.array([[[0, 0, 1, 1], [1, 0, 2, 1], [0, 0, 0, 1], [1, 1, 0, 0]]], np.float32)
    scores = np.array([[[0.9, 0.8, 0.7, 0.6]]], np.float32)
    (selected,) = kernel_outputs("NonMaxSuppression", 11, boxes, scores, np.array(9))
    assert selected[:, 2].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("boxes", "scores", "overlap", "message"),
    [
        ((1, 2, 4), (1, 1, 3), 0.5, "expected boxes"),
        ((1, 2, 3), (1, 1, 2), 0.5, "expected boxes"),
        ((1, 2, 4), (1, 1, 2), 1.5, "iou_threshold must lie in 0 to 1"),
    ],
)
def test_non_max_suppression_refuses(boxes, scores, overlap, message):
    with pytest.raises(ValueError, match=message):
        kernel_outputs("NonMaxSuppression", 11, np.ones(boxes), np.ones(scores), np.array(1), np.array(overlap))
