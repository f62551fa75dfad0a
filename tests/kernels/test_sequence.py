"""Sequences and optionals against onnxruntime, and against Python's lists where it has no such version."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.differential import assert_same, kernel_outputs, node_model, onnxruntime_outputs

quick = settings(max_examples=25, deadline=None, derandomize=True)


def position(index: int, dtype: type = np.int64) -> np.ndarray:
    return np.array(index, dtype=dtype)


def tensors(count: int) -> list[np.ndarray]:
    return [np.full((index + 1, 2), index, dtype=np.float32) for index in range(count)]


@quick
@given(count=st.integers(1, 5), data=st.data())
def test_at_and_erase_agree_with_onnxruntime(count: int, data: st.DataObject) -> None:
    index = position(data.draw(st.integers(-count, count - 1)), data.draw(st.sampled_from([np.int32, np.int64])))
    sequence = tensors(count)
    for operator in ("SequenceAt", "SequenceErase"):
        expected = onnxruntime_outputs(node_model(operator, [sequence, index], opset=11), [sequence, index])
        assert_same(list(kernel_outputs(operator, 11, sequence, index)), expected)


@quick
@given(count=st.integers(1, 4), data=st.data())
def test_insert_agrees_with_onnxruntime(count: int, data: st.DataObject) -> None:
    index = data.draw(st.one_of(st.none(), st.integers(-count, count).map(position)))
    inputs = [tensors(count), np.full((3,), 9, np.float32), *([] if index is None else [index])]
    expected = onnxruntime_outputs(node_model("SequenceInsert", inputs, opset=11), inputs)
    assert_same(list(kernel_outputs("SequenceInsert", 11, *inputs)), expected)


def test_kernels_leave_their_input_sequence_as_it_was() -> None:
    sequence = tensors(3)
    before = list(sequence)
    kernel_outputs("SequenceInsert", 11, sequence, tensors(1)[0], position(0))
    kernel_outputs("SequenceErase", 11, sequence)
    assert all(a is b for a, b in zip(sequence, before, strict=True))


@pytest.mark.parametrize(
    ("operator", "index"), [("SequenceAt", 3), ("SequenceAt", -4), ("SequenceErase", 3), ("SequenceInsert", 4)]
)
def test_a_position_out_of_range_is_an_error(operator: str, index: int) -> None:
    extra = tensors(1) if operator == "SequenceInsert" else []
    with pytest.raises(IndexError, match=rf"sequence of 3 tensors, got {index}"):
        kernel_outputs(operator, 11, tensors(3), *extra, position(index))


def test_an_empty_sequence_has_nothing_to_take() -> None:
    (empty,) = kernel_outputs("SequenceEmpty", 11, dtype=7)
    assert empty == []
    with pytest.raises(IndexError):
        kernel_outputs("SequenceErase", 11, empty)
    with pytest.raises(ValueError, match="empty sequence"):
        kernel_outputs("ConcatFromSequence", 11, empty, axis=0)


def test_construct_and_length() -> None:
    (sequence,) = kernel_outputs("SequenceConstruct", 11, *tensors(3))
    assert_same(sequence, tensors(3))
    assert_same(kernel_outputs("SequenceLength", 11, sequence)[0], np.array(3, np.int64))


@quick
@given(
    shape=st.lists(st.integers(0, 5), min_size=1, max_size=3),
    chunk=st.integers(1, 4),
    keepdims=st.booleans(),
    data=st.data(),
)
def test_split_agrees_with_onnxruntime(shape: list[int], chunk: int, keepdims: bool, data: st.DataObject) -> None:
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    cut = data.draw(st.integers(0, shape[axis]))
    for split in (position(chunk, np.int32), np.array([cut, 0, shape[axis] - cut], np.int64), None):
        inputs = [x] if split is None else [x, split]
        # With `split` the specification ignores keepdims; onnxruntime drops the axis even then.
        attributes = {"axis": axis, "keepdims": int(keepdims or split is not None)}
        if shape[axis] == 0 and split is not None and split.ndim == 0:
            assert kernel_outputs("SplitToSequence", 11, *inputs, **attributes) == ([],)
            continue
        expected = onnxruntime_outputs(node_model("SplitToSequence", inputs, opset=11, **attributes), inputs)
        assert_same(list(kernel_outputs("SplitToSequence", 11, *inputs, **attributes)), expected)


def test_split_ignores_keepdims_where_split_is_given() -> None:
    (parts,) = kernel_outputs("SplitToSequence", 24, np.zeros((2, 3), np.float32), position(1), keepdims=0)
    assert [part.shape for part in parts] == [(1, 3), (1, 3)]


@pytest.mark.parametrize("split", [np.array(0), np.array(-1), np.array([1, 1]), np.array([4, -1])])
def test_split_rejects_lengths_that_do_not_fit(split: np.ndarray) -> None:
    with pytest.raises(ValueError, match="split must be"):
        kernel_outputs("SplitToSequence", 24, np.zeros((3, 2), np.float32), split)


@pytest.mark.parametrize(("new_axis", "axis"), [(0, 0), (0, -1), (1, 0), (1, -1), (1, 2), (1, -3)])
@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.bool_, object])
def test_concat_agrees_with_onnxruntime(new_axis: int, axis: int, dtype: type) -> None:
    values = np.array(["a", "b", "c", ""], dtype=object) if dtype is object else np.array([1, 0, 3, 0], dtype=dtype)
    sequence = [values.reshape(2, 2), values[::-1].reshape(2, 2)]
    attributes = {"new_axis": new_axis, "axis": axis}
    expected = onnxruntime_outputs(node_model("ConcatFromSequence", [sequence], opset=11, **attributes), [sequence])
    assert_same(list(kernel_outputs("ConcatFromSequence", 11, sequence, **attributes)), expected)


def test_concat_rejects_an_axis_that_the_tensors_lack() -> None:
    with pytest.raises(ValueError, match="axis"):
        kernel_outputs("ConcatFromSequence", 11, tensors(1), axis=2)
    kernel_outputs("ConcatFromSequence", 11, tensors(1), axis=2, new_axis=1)


@pytest.mark.parametrize("version", [15, 18, 28])
@pytest.mark.parametrize("value", [np.zeros((2,), np.float32), tensors(2), []], ids=["tensor", "sequence", "empty"])
def test_an_optional_holds_any_value(version: int, value: object) -> None:
    (full,) = kernel_outputs("Optional", 15, value)
    assert kernel_outputs("OptionalGetElement", version, full)[0] is value
    assert_same(kernel_outputs("OptionalHasElement", version, full)[0], np.array(True))


def test_an_empty_optional_holds_nothing() -> None:
    (empty,) = kernel_outputs("Optional", 28, type="tensor(float)")
    assert_same(kernel_outputs("OptionalHasElement", 28, empty)[0], np.array(False))
    assert_same(kernel_outputs("OptionalHasElement", 28)[0], np.array(False))
    with pytest.raises(ValueError, match="empty optional"):
        kernel_outputs("OptionalGetElement", 28, empty)
