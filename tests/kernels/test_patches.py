import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.differential import assert_same, kernel_outputs, node_model, onnxruntime_outputs

SETTINGS = settings(max_examples=25, deadline=None, derandomize=True)


def agrees(op_type, version, inputs, **attributes):
    """The kernel and onnxruntime give the same."""
    expected = onnxruntime_outputs(node_model(op_type, inputs, opset=version, **attributes), inputs)
    assert_same(kernel_outputs(op_type, version, *inputs, **attributes), tuple(expected))


def counting(*shape, dtype=np.float32):
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
@pytest.mark.parametrize("version", [11, 13])
def test_depth_to_space(version, mode):
    agrees("DepthToSpace", version, [counting(2, 12, 2, 3)], blocksize=2, mode=mode)


def test_depth_to_space_1_is_depth_column_row():
    agrees("DepthToSpace", 1, [counting(2, 18, 2, 3)], blocksize=3)


@pytest.mark.parametrize("version", [1, 13])
def test_space_to_depth(version):
    agrees("SpaceToDepth", version, [counting(2, 3, 4, 6)], blocksize=2)


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
@pytest.mark.parametrize("dtype", ["float16", "int8", "complex64", "bool", "object"])
def test_depth_and_space_are_inverse(mode, dtype):
    x = (counting(2, 4, 6, 2) % 3).T.astype(str if dtype == "object" else dtype).astype(dtype)
    (depth,) = kernel_outputs("SpaceToDepth", 28, x, blocksize=2, mode=mode)
    assert depth.shape == (2, 24, 2, 1)
    (back,) = kernel_outputs("DepthToSpace", 28, depth, blocksize=2, mode=mode)
    assert_same(back, x)


def test_crd_keeps_the_channels_of_a_block_together():
    (y,) = kernel_outputs("SpaceToDepth", 28, counting(1, 2, 2, 2), blocksize=2, mode="CRD")
    np.testing.assert_array_equal(y.ravel(), np.arange(8))
    (y,) = kernel_outputs("SpaceToDepth", 28, counting(1, 2, 2, 2), blocksize=2)
    np.testing.assert_array_equal(y.ravel(), [0, 4, 1, 5, 2, 6, 3, 7])


@pytest.mark.parametrize(
    ("op_type", "shape", "attributes", "message"),
    [
        ("DepthToSpace", (1, 6, 2, 2), {"blocksize": 2}, "multiple of blocksize², 4, got 6"),
        ("DepthToSpace", (1, 4, 2, 2), {"blocksize": 0}, "blocksize must be positive"),
        ("DepthToSpace", (1, 4, 2, 2), {"blocksize": 2, "mode": "RCD"}, "mode must be DCR or CRD"),
        ("DepthToSpace", (4, 2, 2), {"blocksize": 2}, r"must have the axes \(N, C, H, W\)"),
        ("SpaceToDepth", (1, 1, 3, 2), {"blocksize": 2}, "multiples of blocksize, 2, got 3 and 2"),
    ],
)
def test_depth_and_space_refuse(op_type, shape, attributes, message):
    with pytest.raises(ValueError, match=message):
        kernel_outputs(op_type, 28, counting(*shape), **attributes)


@st.composite
def foldings(draw, rank=None):
    rank = rank or draw(st.integers(2, 3))

    def axes(low, high):
        return tuple(draw(st.lists(st.integers(low, high), min_size=rank, max_size=rank)))

    block, strides, dilations, pads = axes(1, 3), axes(1, 2), axes(1, 2), axes(0, 2) + axes(0, 2)
    image = tuple((k - 1) * d + extra for k, d, extra in zip(block, dilations, axes(1, 4), strict=True))
    return image, block, {"strides": strides, "dilations": dilations, "pads": pads}


def block_positions(image, block, attributes):
    """The image positions of every element of every block, block elements first; None in the padding."""
    axes = []
    for axis, (length, k) in enumerate(zip(image, block, strict=True)):
        s, d, b = (attributes[name][axis] for name in ("strides", "dilations", "pads"))
        e = attributes["pads"][len(image) + axis]
        starts = range(-b, length + e - (k - 1) * d, s)
        axes.append([[start + tap * d for start in starts] for tap in range(k)])
    taps = itertools.product(*axes)
    return [list(itertools.product(*tap)) for tap in taps]


@given(foldings(), st.sampled_from([np.float32, np.float64, np.int16, np.complex64]))
@SETTINGS
def test_col2im_adds_the_blocks_up(case, dtype):
    image, block, attributes = case
    positions = block_positions(image, block, attributes)
    x = np.random.default_rng(0).integers(-9, 9, (2, 3 * len(positions), len(positions[0]))).astype(dtype)
    expected = np.zeros((2, 3, *image), dtype)
    for tap, places in enumerate(positions):
        for number, place in enumerate(places):
            if all(0 <= p < length for p, length in zip(place, image, strict=True)):
                expected[(slice(None), slice(None), *place)] += x[:, tap :: len(positions), number]
    (y,) = kernel_outputs("Col2Im", 18, x, np.array(image), np.array(block), **attributes)
    assert_same(y, expected)


@given(foldings(2))
@SETTINGS
def test_col2im(case):
    image, block, attributes = case
    positions = block_positions(image, block, attributes)
    x = np.random.default_rng(0).standard_normal((2, 3 * len(positions), len(positions[0]))).astype(np.float32)
    agrees("Col2Im", 18, [x, np.array(image), np.array(block)], **attributes)


def test_col2im_moves_strings_and_booleans():
    strings = np.array([["a", "b"], ["c", "d"], ["e", "f"], ["g", "h"]], dtype=object)[None]
    (y,) = kernel_outputs("Col2Im", 18, strings, np.array([2, 4]), np.array([2, 2]), strides=(2, 2))
    assert y.tolist() == [[[["a", "c", "b", "d"], ["e", "g", "f", "h"]]]]
    flags = np.array([[[True, False], [False, True]]])
    (y,) = kernel_outputs("Col2Im", 18, flags, np.array([1, 3]), np.array([1, 2]))
    assert_same(y, np.array([[[[True, False, True]]]]))


@pytest.mark.parametrize("shape", [(1, 5, 4), (1, 4, 3), (4, 4)])
def test_col2im_refuses_columns_that_do_not_fit(shape):
    with pytest.raises(ValueError, match="columns must have the shape"):
        kernel_outputs("Col2Im", 18, counting(*shape), np.array([3, 3]), np.array([2, 2]))
