"""The operators that read or change a shape, against onnxruntime and against NumPy's own words for the same thing."""

from __future__ import annotations

import itertools

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.differential import assert_same, kernel_outputs, node_model, onnxruntime_outputs
from onnxlite.kernels.dtypes import ELEMENT_TYPES

SHAPES = st.lists(st.integers(0, 4), max_size=4)
quick = settings(max_examples=25, deadline=None, derandomize=True)


def data(*shape, dtype=np.float32):
    return np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)


def ints(*values):
    return np.array(values, np.int64)


def agree(op_type, inputs, opset, **attributes):
    """The kernel that serves an opset and onnxruntime give the same."""
    expected = onnxruntime_outputs(node_model(op_type, inputs, opset=opset, **attributes), inputs)
    version = onnx.defs.get_schema(op_type, opset).since_version
    keywords = {name: tuple(value) if isinstance(value, list) else value for name, value in attributes.items()}
    assert_same(list(kernel_outputs(op_type, version, *inputs, **keywords)), expected)


@quick
@given(shape=SHAPES, start=st.integers(-6, 6), end=st.none() | st.integers(-6, 6))
def test_shape_clamps_its_bounds(shape, start, end):
    bounds = {"start": start} if end is None else {"start": start, "end": end}
    agree("Shape", [data(*shape)], 15, **bounds)


@pytest.mark.parametrize("row", ELEMENT_TYPES, ids=lambda row: row.onnx)
def test_every_element_type_keeps_its_elements(row):
    x = np.ones((2, 1, 3), row.dtype)
    x[0, 0, 1] = "a" if row.onnx == "string" else 0
    y = kernel_outputs("Transpose", 25, x)[0]
    y = kernel_outputs("Reshape", 25, y, ints(3, 2, -1))[0]
    y = kernel_outputs("Squeeze", 25, y, ints(-1))[0]
    y = kernel_outputs("Tile", 13, y, ints(1, 2))[0]
    y = kernel_outputs("Unsqueeze", 25, y, ints(0))[0]
    y = kernel_outputs("Flatten", 25, kernel_outputs("Expand", 13, y, ints(2, 3, 4))[0])[0]
    expected = np.concatenate([x[:, 0].T, x[:, 0].T], axis=1)
    assert_same(y, np.stack([expected.reshape(-1)] * 2))
    assert kernel_outputs("Shape", 25, x)[0].tolist() == [2, 1, 3]
    assert kernel_outputs("Size", 25, x)[0].tolist() == 6


@pytest.mark.parametrize("version", [1, 13, 25])
def test_size_of_a_scalar_and_of_nothing(version):
    assert_same(kernel_outputs("Size", version, data())[0], np.array(1, np.int64))
    assert_same(kernel_outputs("Size", version, data(3, 0))[0], np.array(0, np.int64))


@pytest.mark.parametrize("opset", [5, 13, 14, 21])
@pytest.mark.parametrize("target", [(6, 4), (-1,), (0, -1), (4, 0, -1), (2, 0, 4, 1), (24,), (2, -1, 2)])
def test_reshape(opset, target):
    agree("Reshape", [data(2, 3, 4), ints(*target)], opset)


def test_reshape_of_empty_tensors():
    agree("Reshape", [data(0, 3), ints(3, 0)], 14, allowzero=1)
    agree("Reshape", [data(0, 3), ints(0, 7)], 14)
    agree("Reshape", [data(1, 1), ints()], 14)


def test_reshape_1_reads_an_attribute():
    x = data(2, 3)
    assert_same(kernel_outputs("Reshape", 1, x, shape=(0, -1, 1), consumed_inputs=(0, 0))[0], x.reshape(2, 3, 1))
    assert_same(kernel_outputs("Reshape", 1, data(1, 1))[0], data())


@pytest.mark.parametrize(
    ("target", "allowzero"),
    [((-1, -1), 0), ((5,), 0), ((2, 3, 0), 0), ((-2, 3), 0), ((0, -1), 1), ((4, -1), 0), ((0, 6), 1)],
)
def test_reshape_refuses(target, allowzero):
    with pytest.raises(ValueError, match="expected a shape for the 6 elements"):
        kernel_outputs("Reshape", 14, data(2, 3), ints(*target), allowzero=allowzero)


@quick
@given(shape=SHAPES, axis=st.integers(-4, 4), opset=st.sampled_from([1, 9, 11, 13, 21]))
def test_flatten(shape, axis, opset):
    if abs(axis) > len(shape):
        with pytest.raises(ValueError, match="expected an axis"):
            kernel_outputs("Flatten", onnx.defs.get_schema("Flatten", opset).since_version, data(*shape), axis=axis)
    elif axis >= 0 or opset >= 11:
        agree("Flatten", [data(*shape)], opset, axis=axis)


@quick
@given(shape=st.lists(st.sampled_from([1, 1, 2, 0]), min_size=1, max_size=4), pick=st.data())
def test_squeeze_and_unsqueeze(shape, pick):
    x, ones = data(*shape), [axis for axis, dim in enumerate(shape) if dim == 1]
    agree("Squeeze", [x], 13)
    agree("Squeeze", [x], 1)
    if ones:
        axes = pick.draw(st.lists(st.sampled_from(ones), unique=True, min_size=1))
        negative = [axis - len(shape) for axis in axes]
        agree("Squeeze", [x, ints(*negative)], 13)
        agree("Squeeze", [x], 11, axes=negative)
    rank = len(shape) + 2
    axes = pick.draw(st.permutations(range(rank)))[:2]
    agree("Unsqueeze", [x, ints(axes[0] - rank, axes[1])], 13)
    agree("Unsqueeze", [x], 1, axes=axes)


def test_squeeze_of_no_axes_is_not_squeeze_of_all():
    assert kernel_outputs("Squeeze", 13, data(1, 3, 1), ints())[0].shape == (1, 3, 1)


def test_squeeze_and_unsqueeze_refuse():
    with pytest.raises(ValueError, match="expected dimensions of size 1 at axes"):
        kernel_outputs("Squeeze", 13, data(1, 3), ints(1))
    with pytest.raises(ValueError, match="axis"):
        kernel_outputs("Unsqueeze", 13, data(3), ints(2, 2))
    with pytest.raises(ValueError, match="axis"):
        kernel_outputs("Unsqueeze", 13, data(3), ints(2))


@pytest.mark.parametrize("opset", [1, 13, 21])
def test_transpose(opset):
    agree("Transpose", [data(2, 0, 3)], opset)
    for perm in itertools.permutations(range(3)):
        agree("Transpose", [data(2, 3, 4)], opset, perm=perm)
    with pytest.raises(ValueError, match="expected perm"):
        kernel_outputs("Transpose", opset, data(2, 3), perm=(0, 0))


@pytest.mark.parametrize(
    ("shape", "target"),
    [((3, 1), (2, 1, 6)), ((3, 1), (3, 4)), ((3, 4), (1,)), ((), (2, 3)), ((1, 3), (0, 1)), ((2,), ()), ((1,), (0,))],
)
def test_expand(shape, target):
    agree("Expand", [data(*shape), ints(*target)], 8)
    agree("Expand", [data(*shape), ints(*target)], 13)


def test_expand_refuses():
    with pytest.raises(ValueError, match=r"expected a shape that broadcasts with \(3,\), got \(2,\)"):
        kernel_outputs("Expand", 13, data(3), ints(2))


@quick
@given(shape=st.lists(st.integers(0, 3), min_size=1, max_size=3), pick=st.data())
def test_tile(shape, pick):
    repeats = pick.draw(st.lists(st.integers(0, 3), min_size=len(shape), max_size=len(shape)))
    agree("Tile", [data(*shape), ints(*repeats)], 6)
    agree("Tile", [data(*shape, dtype=np.int32), ints(*repeats)], 13)


def test_tile_1_takes_count_and_axis_as_tensors_of_the_data_type():
    x = data(2, 3)
    repeated = kernel_outputs("Tile", 1, x, np.array([2.0], np.float32), np.array([1.0], np.float32))[0]
    assert_same(repeated, np.concatenate([x, x], axis=1))


@pytest.mark.parametrize("repeats", [(1,), (1, 2, 3), (-1, 1)])
def test_tile_refuses(repeats):
    with pytest.raises(ValueError, match="expected 2 repeats"):
        kernel_outputs("Tile", 13, data(2, 3), ints(*repeats))


@quick
@given(dim=st.integers(0, 7), wanted=st.integers(0, 7))
def test_center_crop_pad_keeps_the_centre(dim, wanted):
    x = np.arange(1, dim + 1, dtype=np.float32)
    (y,) = kernel_outputs("CenterCropPad", 18, x[None], ints(wanted), axes=(-1,))
    if wanted <= dim:
        start = (dim - wanted) // 2
        expected = x[start : start + wanted]
    else:
        before = (wanted - dim) // 2
        expected = np.r_[np.zeros(before), x, np.zeros(wanted - dim - before)].astype(np.float32)
    assert_same(y, expected[None])


def test_center_crop_pad_fills_strings_and_small_types():
    strings = np.array(["a", "b"], object)
    assert kernel_outputs("CenterCropPad", 18, strings, ints(4))[0].tolist() == ["", "a", "b", ""]
    small = np.array([1, 2], ml_dtypes.bfloat16)
    assert_same(kernel_outputs("CenterCropPad", 18, small, ints(3))[0], np.array([1, 2, 0], ml_dtypes.bfloat16))
    with pytest.raises(ValueError, match="expected 1 dimensions"):
        kernel_outputs("CenterCropPad", 18, strings, ints(4, 4))


def test_transposed_input_is_read_in_its_own_order():
    x = data(2, 3).T
    assert_same(kernel_outputs("Reshape", 14, x, ints(6))[0], np.array([0, 3, 1, 4, 2, 5], np.float32))
    assert_same(kernel_outputs("Flatten", 13, x, axis=0)[0], np.array([[0, 3, 1, 4, 2, 5]], np.float32))
