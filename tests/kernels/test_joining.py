"""Concat, Split, Slice and Pad against onnxruntime, and where it departs from the specification against formulas."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.differential import assert_same, kernel_outputs, node_model, onnxruntime_outputs
from onnxlite.kernels.dtypes import ELEMENT_TYPES

quick = settings(max_examples=25, deadline=None, derandomize=True)
LOWEST, HIGHEST = -(2**63), 2**63 - 1


def data(*shape, dtype=np.float32):
    return np.arange(1, np.prod(shape, dtype=int) + 1).reshape(shape).astype(dtype)


def ints(*values):
    return np.array(values, np.int64)


def agree(op_type, inputs, opset, outputs=1, **attributes):
    """The kernel that serves an opset and onnxruntime give the same."""
    expected = onnxruntime_outputs(node_model(op_type, inputs, opset=opset, outputs=outputs, **attributes), inputs)
    version = onnx.defs.get_schema(op_type, opset).since_version
    keywords = {name: tuple(value) if isinstance(value, list) else value for name, value in attributes.items()}
    if op_type == "Split":
        keywords["output_count"] = outputs
    assert_same(list(kernel_outputs(op_type, version, *inputs, **keywords)), expected)


@pytest.mark.parametrize("opset", [4, 11, 13])
def test_concat(opset):
    agree("Concat", [data(2, 3), data(2, 1), data(2, 0)], opset, axis=1)
    agree("Concat", [data(2), data(3)], opset, axis=0)
    agree("Concat", [np.array(["a"], object), np.array(["b", ""], object)], opset, axis=0)


def test_concat_1_has_axis_1_by_default():
    x = data(2, 3)
    assert_same(kernel_outputs("Concat", 1, x, x)[0], np.concatenate([x, x], axis=1))
    assert_same(kernel_outputs("Concat", 1, x, x, axis=0)[0], np.concatenate([x, x], axis=0))


def test_concat_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"expected equal shapes apart from axis 0, got \(2, 3\), \(2, 4\)"):
        kernel_outputs("Concat", 13, data(2, 3), data(2, 4), axis=0)
    with pytest.raises(ValueError, match="expected equal shapes"):
        kernel_outputs("Concat", 13, data(2, 3), data(2), axis=0)


@pytest.mark.parametrize("row", ELEMENT_TYPES, ids=lambda row: row.onnx)
def test_every_element_type_passes_through(row):
    x = np.ones((2, 3), row.dtype)
    x[0, 1] = "a" if row.onnx == "string" else 0
    first, second = kernel_outputs("Split", 13, x, ints(1, 2), axis=1, output_count=2)
    assert_same(kernel_outputs("Concat", 13, first, second, axis=1)[0], x)
    backwards = kernel_outputs("Slice", 13, x, ints(-1), ints(LOWEST), ints(1), ints(-1))[0]
    assert_same(backwards, x[:, ::-1])
    for mode in ("edge", "wrap", "reflect"):
        assert kernel_outputs("Pad", 25, x, ints(0, 1, 0, 0), mode=mode)[0].dtype == row.dtype
    blank = np.full((1, 3), "", object) if row.onnx == "string" else np.zeros((1, 3), row.dtype)
    assert_same(kernel_outputs("Pad", 25, x, ints(1, 0, 0, 0))[0], np.concatenate([blank, x]))


@pytest.mark.parametrize("opset", [2, 11])
def test_split_by_attribute(opset):
    agree("Split", [data(4, 3)], opset, outputs=2)
    agree("Split", [data(4, 3)], opset, outputs=3, axis=1)
    agree("Split", [data(4, 3)], opset, outputs=3, split=[1, 0, 3])


def test_split_by_input():
    agree("Split", [data(4, 3), ints(3, 1)], 13, outputs=2)
    agree("Split", [data(6, 3)], 13, outputs=3, axis=-2)
    agree("Split", [data(4, 3), ints(2, 0, 1)], 18, outputs=3, axis=1)


@pytest.mark.parametrize(("dim", "count"), [(6, 3), (7, 3), (4, 3), (1, 1), (0, 2)])
def test_split_into_num_outputs(dim, count):
    if dim:
        agree("Split", [data(dim, 2)], 18, outputs=count, num_outputs=count)
    pieces = kernel_outputs("Split", 18, data(dim, 2), num_outputs=count, output_count=count)
    assert_same(np.concatenate(pieces), data(dim, 2))
    assert len({len(piece) for piece in pieces[:-1]}) <= 1


def test_split_1_takes_lengths_as_input_or_attribute():
    x = data(4, 3)
    by_input = kernel_outputs("Split", 1, x, np.array([1, 2], np.float32), axis=1, output_count=2)
    by_attribute = kernel_outputs("Split", 1, x, split=(1, 2), axis=1, output_count=2)
    assert_same(list(by_input), [x[:, :1], x[:, 1:]])
    assert_same(list(by_attribute), [x[:, :1], x[:, 1:]])
    assert_same(list(kernel_outputs("Split", 1, x, output_count=2)), [x[:2], x[2:]])


def test_split_refuses():
    x = data(5)
    for version, arguments, keywords in [
        (13, [x], {}),
        (13, [x, ints(2, 2)], {}),
        (13, [x, ints(6, -1)], {}),
        (18, [x], {"num_outputs": 4}),
        (18, [x, ints(2, 3)], {"num_outputs": 2}),
    ]:
        with pytest.raises(ValueError, match="expected"):
            kernel_outputs("Split", version, *arguments, output_count=2, **keywords)


bounds = st.integers(-8, 8) | st.sampled_from([LOWEST, 1 - 2**31])


@quick
@given(
    dim=st.integers(0, 5),
    start=bounds | st.just(HIGHEST),
    end=bounds,
    step=st.sampled_from([1, 2, 3, 7, -1, -2, -3, -7]),
    dtype=st.sampled_from([np.int64, np.int32]),
)
def test_slice(dim, start, end, step, dtype):
    clamp = np.iinfo(dtype)
    start, end = (int(np.clip(bound, clamp.min, clamp.max)) for bound in (start, end))
    x = data(2, dim)
    arguments = [np.array([value], dtype) for value in (start, end, -1, step)]
    agree("Slice", [x, *arguments], 13)
    agree("Slice", [x, *arguments], 11)
    if step == 1:
        agree("Slice", [x], 1, starts=[start], ends=[end], axes=[1])


def test_slice_of_several_axes():
    x = data(4, 5, 6)
    agree("Slice", [x, ints(1, -2), ints(3, -100)], 10)
    agree("Slice", [x, ints(1, -2), ints(3, LOWEST), ints(2, 0), ints(1, -2)], 10)
    agree("Slice", [x], 1, starts=[1, 0], ends=[-1, 1000])


def test_slice_backwards_never_passes_the_end_that_it_starts_from():
    # An end beyond the dimension is clamped to the last element, so nothing lies between (Slice-13).
    x = data(5)
    for end in (7, 2**31 - 1, HIGHEST):
        assert kernel_outputs("Slice", 13, x, ints(3), ints(end), ints(0), ints(-1))[0].shape == (0,)


def test_slice_refuses():
    x = data(5, 5)
    with pytest.raises(ValueError, match="step other than 0"):
        kernel_outputs("Slice", 13, x, ints(0), ints(1), ints(0), ints(0))
    with pytest.raises(ValueError, match="as many starts"):
        kernel_outputs("Slice", 13, x, ints(0, 1), ints(1), ints(0), ints(1))
    with pytest.raises(ValueError, match="at most once"):
        kernel_outputs("Slice", 13, x, ints(0, 1), ints(1, 2), ints(0, -2))


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
@quick
@given(dim=st.integers(2, 6), before=st.integers(-3, 7), after=st.integers(-3, 7))
def test_pad(mode, dim, before, after):
    kept = dim + min(before, 0) + min(after, 0)
    longest = kept - 1 if mode == "reflect" else 7
    if mode != "constant" and (kept < 2 or max(before, after) > longest):
        return
    if dim + before + after < 0:
        return
    agree("Pad", [data(2, dim), ints(1, before, 0, after)], 19, mode=mode)
    agree("Pad", [data(2, dim), ints(before, after), None, ints(-1)], 19, mode=mode)
    if mode != "wrap":
        agree("Pad", [data(2, dim), ints(0, before, 1, after)], 11, mode=mode)
        agree("Pad", [data(2, dim)], 2, pads=[0, before, 1, after], mode=mode)


@pytest.mark.parametrize("mode", ["reflect", "wrap"])
def test_pad_repeats_a_short_axis_as_numpy_does(mode):
    for dim in (1, 2, 3):
        x = data(dim)
        assert_same(kernel_outputs("Pad", 19, x, ints(7, 8), mode=mode)[0], np.pad(x, (7, 8), mode=mode))


def test_pad_values():
    x = data(2, 2)
    agree("Pad", [x, ints(1, 0, 0, 1), np.array(1.5, np.float32)], 11)
    agree("Pad", [x.astype(np.int32), ints(1, 0, 0, 1), np.array([7], np.int32)], 13)
    agree("Pad", [x], 2, pads=[1, 0, 0, 1], value=-2.5)
    agree("Pad", [x > 2, ints(1, 0, 0, 1), np.array(True)], 13)
    strings = kernel_outputs("Pad", 18, np.array(["a"], object), ints(1, 1), np.array("x", object))[0]
    assert strings.tolist() == ["x", "a", "x"]
    small = kernel_outputs("Pad", 21, np.array([1], ml_dtypes.int4), ints(1, 1), np.array(-8, ml_dtypes.int4))[0]
    assert small.tolist() == [-8, 1, -8]


def test_pad_1_calls_its_pads_paddings():
    assert_same(kernel_outputs("Pad", 1, data(2), paddings=(1, 2), value=3.0)[0], np.array([3, 1, 2, 3, 3], np.float32))


def test_pad_of_nothing():
    agree("Pad", [np.zeros((0, 2), np.float32), ints(1, 0, 1, 0)], 13)
    scalar = kernel_outputs("Pad", 13, np.array(2.0, np.float32), ints())[0]
    assert_same(scalar, np.array(2.0, np.float32))
    assert kernel_outputs("Pad", 19, np.zeros((0, 0)), ints(1, 0, 1, 0), mode="wrap")[0].shape == (2, 0)
    with pytest.raises(ValueError, match="expected elements to edge on axis 0"):
        kernel_outputs("Pad", 13, np.zeros((0, 2), np.float32), ints(1, 0, 1, 0), mode="edge")


def test_pad_refuses():
    for arguments, keywords in [
        ([ints(1)], {}),
        ([ints(1, 1)], {"mode": "mirror"}),
        ([ints(-2, -2)], {}),
        ([ints(1, 1, 1, 1), None, ints(0, 0)], {}),
    ]:
        with pytest.raises(ValueError, match="expected"):
            kernel_outputs("Pad", 18, data(3), *arguments, **keywords)


def test_inputs_stay_as_they_are():
    x = np.asfortranarray(data(2, 3))
    x.setflags(write=False)
    assert_same(kernel_outputs("Pad", 18, x, ints(0, 1, 0, 1))[0][:, 1:-1], data(2, 3))
    assert_same(kernel_outputs("Pad", 18, x, ints(0, 1, 0, 1), mode="edge")[0][:, 1:-1], data(2, 3))
