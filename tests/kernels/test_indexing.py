"""Operators that read and write by index or condition, against onnxruntime and loops over single elements."""

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
seeds = st.integers(0, 2**32 - 1)


def data(*shape, dtype=np.float32):
    return np.arange(1, np.prod(shape, dtype=int) + 1).reshape(shape).astype(dtype)


def ints(*values):
    return np.array(values, np.int64)


def agree(op_type, inputs, opset, outputs=1, **attributes):
    """The kernel that serves an opset and onnxruntime give the same."""
    expected = onnxruntime_outputs(node_model(op_type, inputs, opset=opset, outputs=outputs, **attributes), inputs)
    version = onnx.defs.get_schema(op_type, opset).since_version
    assert_same(list(kernel_outputs(op_type, version, *inputs, **attributes))[:outputs], expected)


@quick
@given(
    seed=seeds,
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    index_shape=st.lists(st.integers(0, 3), max_size=2),
    dtype=st.sampled_from([np.int32, np.int64]),
)
def test_gather(seed, shape, index_shape, dtype):
    random = np.random.default_rng(seed)
    axis = int(random.integers(-len(shape), len(shape)))
    indices = np.asarray(random.integers(-shape[axis], shape[axis], index_shape), dtype)
    agree("Gather", [data(*shape), indices], 13, axis=axis)
    agree("Gather", [data(*shape), np.asarray(np.abs(indices) % shape[axis])], 1, axis=axis % len(shape))


@quick
@given(seed=seeds, rank=st.integers(1, 4))
def test_gather_and_scatter_elements(seed, rank):
    random = np.random.default_rng(seed)
    shape = random.integers(1, 5, rank)
    axis = int(random.integers(-rank, rank))
    index_shape = [int(random.integers(0, dim + 1)) for dim in shape]
    index_shape[axis] = int(random.integers(0, 6))
    indices = random.integers(-shape[axis], shape[axis], index_shape)
    x, updates = data(*shape), random.standard_normal(index_shape).astype(np.float32)
    agree("GatherElements", [x, indices], 13, axis=axis)
    agree("ScatterElements", [x, indices, updates], 11, axis=axis)
    agree("Scatter", [x, indices, updates], 9, axis=axis)
    for reduction in ("none", "add", "mul", "min", "max"):
        agree("ScatterElements", [x, indices, updates], 18, axis=axis, reduction=reduction)


@quick
@given(seed=seeds, batch=st.integers(0, 2), width=st.integers(1, 2), inner=st.integers(0, 1))
def test_gather_and_scatter_nd(seed, batch, width, inner):
    random = np.random.default_rng(seed)
    shape = tuple(random.integers(1, 5, batch + width + inner).tolist())
    indexed = shape[batch : batch + width]
    columns = [random.integers(-dim, dim, (*shape[:batch], 3)) for dim in indexed]
    indices = np.stack(columns, axis=-1)
    agree("GatherND", [data(*shape), indices], 13, batch_dims=batch)
    if batch == 0:
        agree("GatherND", [data(*shape), indices], 11)
        updates = random.standard_normal((3, *shape[width:])).astype(np.float32)
        agree("ScatterND", [data(*shape), indices, updates], 13)
        for reduction in ("none", "add", "mul", "min", "max"):
            agree("ScatterND", [data(*shape), indices, updates], 18, reduction=reduction)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.int8, np.uint64, np.complex64, np.bool_])
def test_reductions_count_duplicates_one_after_the_other(dtype):
    x, indices, updates = np.array([0, 1]).astype(dtype), ints(1, 1, -1), np.array([1, 1, 1]).astype(dtype)
    added = kernel_outputs("ScatterElements", 18, x, indices, updates, reduction="add")[0]
    assert_same(added, np.array([0, 4]).astype(dtype))
    multiplied = kernel_outputs("ScatterND", 18, x, indices[:, None], updates + updates, reduction="mul")[0]
    assert_same(multiplied, np.array([0, 8]).astype(dtype))


def test_the_last_of_duplicate_updates_stays():
    agree("ScatterElements", [data(4), ints(1, 1, -3), data(3)], 18)
    strings = kernel_outputs("ScatterND", 13, np.array(["a", "b"], object), ints(1)[:, None], np.array(["c"], object))
    assert strings[0].tolist() == ["a", "c"]


def test_max_keeps_nan():
    # onnxruntime compares with <, which drops the NaN; the maximum of a set with NaN is NaN.
    updates = np.array([np.nan, 9], np.float32)
    for reduction in ("max", "min"):
        y = kernel_outputs("ScatterElements", 18, data(3), ints(1, 1), updates, reduction=reduction)[0]
        assert_same(y, np.array([1, np.nan, 3], np.float32))


@pytest.mark.parametrize("row", ELEMENT_TYPES, ids=lambda row: row.onnx)
def test_every_element_type_passes_through(row):
    x = np.ones((2, 3), row.dtype)
    x[0, 1] = "a" if row.onnx == "string" else 0
    assert_same(kernel_outputs("Gather", 13, x, ints(1, 0), axis=1)[0], x[:, [1, 0]])
    assert_same(kernel_outputs("GatherElements", 13, x, ints(1)[:, None], axis=1)[0], x[:1, 1:2])
    assert_same(kernel_outputs("GatherND", 13, x, ints(0, 1))[0], x[0, 1])
    assert_same(kernel_outputs("ScatterND", 18, x, ints(1)[:, None], x[:1])[0], x[[0, 0]])
    assert_same(
        kernel_outputs("ScatterElements", 18, x, ints(0, 1)[:, None], x[:, 1:2], axis=1)[0],
        np.stack([x[0, [1, 1, 2]], x[1, [0, 1, 2]]]),
    )
    assert_same(kernel_outputs("Compress", 28, x, np.array([False, True]))[0], x[0, 1:2])
    reversed_ = kernel_outputs("ReverseSequence", 28, x, ints(2, 2), batch_axis=0, time_axis=1)[0]
    assert_same(reversed_, x[:, [1, 0, 2]])
    written = kernel_outputs("TensorScatter", 24, x[..., None], x[:, 1:2, None], ints(0, 2))[0]
    assert_same(written[..., 0], np.stack([x[0, [1, 1, 2]], x[1]]))


@pytest.mark.parametrize(
    ("op_type", "inputs"),
    [
        ("Gather", (ints(3),)),
        ("Gather", (ints(-4),)),
        ("GatherElements", (ints(3),)),
        ("GatherND", (ints(3),)),
        ("GatherND", (ints(-4),)),
        ("ScatterElements", (ints(3), data(1))),
        ("ScatterND", (ints(-4)[None], data(1))),
    ],
)
def test_an_index_out_of_range_is_an_error(op_type, inputs):
    with pytest.raises(IndexError, match="expected indices from -3 to 2 into a dimension of 3, got"):
        kernel_outputs(op_type, 18, data(3), *inputs)


@pytest.mark.parametrize(
    ("op_type", "inputs", "attributes"),
    [
        ("Gather", (data(3), ints(0)), {"axis": 1}),
        ("GatherElements", (data(2, 2), ints(0)), {}),
        ("GatherElements", (data(2, 2), np.zeros((2, 3), np.int64)), {}),
        ("GatherND", (data(2, 2), ints(0, 0, 0)), {}),
        ("GatherND", (data(2, 2), ints(0)), {"batch_dims": 1}),
        ("GatherND", (data(2, 2), np.zeros((3, 1), np.int64)), {"batch_dims": 1}),
        ("ScatterElements", (data(3), ints(0), data(2)), {}),
        ("ScatterElements", (data(3), ints(0), data(1)), {"reduction": "mean"}),
        ("ScatterND", (data(3, 2), ints(0)[None], data(1, 3)), {}),
        ("OneHot", (ints(0), ints(-1), data(2)), {}),
        ("OneHot", (ints(0), ints(2), data(3)), {}),
        ("Trilu", (data(3),), {}),
        ("ReverseSequence", (data(2, 2), ints(1, 3)), {}),
        ("ReverseSequence", (data(2, 2), ints(1)), {}),
        ("ReverseSequence", (data(2, 2), ints(1, 1)), {"batch_axis": 0}),
    ],
)
def test_what_does_not_fit_is_an_error(op_type, inputs, attributes):
    with pytest.raises(ValueError, match="expected"):
        kernel_outputs(op_type, 18, *inputs, **attributes)


@quick
@given(
    seed=seeds,
    axis=st.sampled_from([1, 2, 3, -1, -2, -3]),
    circular=st.booleans(),
    length=st.integers(0, 4),
)
def test_tensor_scatter_is_the_loop_of_the_specification(seed, axis, circular, length):
    random = np.random.default_rng(seed)
    shape = [2, 4, 4, 4]
    cache = random.standard_normal(shape).astype(np.float32)
    shape[axis] = length
    update = random.standard_normal(shape).astype(np.float32)
    starts = random.integers(0, 9 if circular else 5 - length, 2)
    expected = np.moveaxis(cache.copy(), axis, 1)
    for entry, step in np.ndindex(2, length):
        expected[entry, (starts[entry] + step) % 4] = np.moveaxis(update, axis, 1)[entry, step]
    mode = "circular" if circular else "linear"
    written = kernel_outputs("TensorScatter", 24, cache, update, starts, axis=axis, mode=mode)[0]
    assert_same(written, np.moveaxis(expected, 1, axis))


def test_tensor_scatter_refuses():
    cache, update = data(1, 4, 2), data(1, 3, 2)
    with pytest.raises(IndexError, match="expected to write positions 0 to 3"):
        kernel_outputs("TensorScatter", 24, cache, update, ints(2))
    for arguments, keywords in [([update], {"axis": 0}), ([data(1, 5, 2)], {}), ([update], {"mode": "ring"})]:
        with pytest.raises(ValueError, match="expected"):
            kernel_outputs("TensorScatter", 24, cache, *arguments, **keywords)


@pytest.mark.parametrize("condition", [[True, False, True], [True], [], [False, True, False, True, True, True, True]])
@pytest.mark.parametrize("attributes", [{}, {"axis": 0}, {"axis": -1}])
def test_compress(condition, attributes):
    agree("Compress", [data(3, 2), np.array(condition, bool)], 11, **attributes)
    if attributes.get("axis") != -1:
        agree("Compress", [data(3, 2), np.array(condition, bool)], 9, **attributes)


@pytest.mark.parametrize("axis", [-1, 0, 1, -3, 2])
def test_one_hot(axis):
    indices = np.array([[-4, -3, -1], [0, 2, 3]])
    agree("OneHot", [indices, np.array(3), np.array([2, 5], np.float32)], 11, axis=axis)
    agree("OneHot", [indices.astype(np.float32) + 0.5, np.array([3.5], np.float32), data(2)], 11, axis=axis)


def test_one_hot_of_many_types():
    strings = kernel_outputs("OneHot", 11, ints(1), ints(2), np.array(["off", "on"], object))[0]
    assert strings.tolist() == [["off", "on"]]
    for dtype in (np.uint8, np.int8):  # a depth beyond what the type of the indices holds
        y = kernel_outputs("OneHot", 11, np.array([100], dtype), ints(300), data(2))[0]
        assert y[0].argmax() == 100
    huge = np.array([2**64 - 1, 1], np.uint64)
    assert kernel_outputs("OneHot", 11, huge, ints(2), np.array([0, 1]))[0].tolist() == [[0, 0], [0, 1]]


def test_one_hot_9_counts_only_from_the_front():
    indices = ints(-1, 0, 2, 3)
    y = kernel_outputs("OneHot", 9, indices, ints(3), np.array([0, 1]))[0]
    assert y.tolist() == [[0, 0, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]]


def test_non_zero():
    for opset in (9, 13):
        agree("NonZero", [np.array([[0, 3, 0], [np.nan, 0, -1]], np.float32)], opset)
        agree("NonZero", [np.zeros((2, 0), np.float32)], opset)
        agree("NonZero", [np.array([True, False, True])], opset)
    # The specification: a scalar has no coordinates.  (onnxruntime gives it one.)
    assert kernel_outputs("NonZero", 13, np.array(3.0))[0].shape == (0, 1)
    assert kernel_outputs("NonZero", 13, np.array(0.0))[0].shape == (0, 0)
    assert kernel_outputs("NonZero", 13, np.array(["", "a"], object))[0].tolist() == [[1]]


@quick
@given(rows=st.integers(0, 4), columns=st.integers(0, 4), k=st.none() | st.integers(-6, 6), upper=st.integers(0, 1))
def test_trilu(rows, columns, k, upper):
    inputs = [data(2, rows, columns), *([] if k is None else [np.array(k)])]
    agree("Trilu", inputs, 14, upper=upper)


def test_trilu_of_other_types():
    assert kernel_outputs("Trilu", 14, np.full((2, 2), "a", object))[0].tolist() == [["a", "a"], ["", "a"]]
    assert_same(kernel_outputs("Trilu", 14, np.ones((2, 2), bool), upper=0)[0], np.array([[True, False], [True, True]]))
    for k in (-(2**63), 2**63 - 1):
        assert kernel_outputs("Trilu", 14, np.ones((2, 2)), np.array(k))[0].sum() == (4 if k < 0 else 0)


@pytest.mark.parametrize(("batch_axis", "time_axis"), [(0, 1), (1, 0)])
def test_reverse_sequence(batch_axis, time_axis):
    for lengths in ([4, 3, 2, 1], [1, 1, 4, 2]):
        agree("ReverseSequence", [data(4, 4), ints(*lengths)], 10, batch_axis=batch_axis, time_axis=time_axis)
        agree("ReverseSequence", [data(4, 4, 2), ints(*lengths)], 10, batch_axis=batch_axis, time_axis=time_axis)


def first_seen(slices):
    """Unique by the definition: the classes in order of occurrence, first indices, class of each, and counts."""
    keys, inverse = [], []
    for part in slices:
        if part not in keys:
            keys.append(part)
        inverse.append(keys.index(part))
    return keys, [inverse.index(k) for k in range(len(keys))], inverse, [inverse.count(k) for k in range(len(keys))]


@quick
@given(seed=seeds, axis=st.sampled_from([None, 0, 1, -1]), kind=st.sampled_from(["float", "int", "bool", "string"]))
def test_unique(seed, axis, kind):
    numbers = np.random.default_rng(seed).integers(0, 2 if axis is None or kind == "bool" else 3, (4, 3))
    dtype = {"float": "f4", "int": "i2", "bool": "?"}.get(kind)
    x = np.array(["a", "bc", "B"], object)[numbers] if kind == "string" else numbers.astype(dtype)
    along = {} if axis is None else {"axis": axis}
    slices = x.reshape(-1).tolist() if axis is None else [part.tolist() for part in np.moveaxis(x, axis, 0)]
    keys, first, inverse, counts = first_seen(slices)
    order = sorted(range(len(keys)), key=lambda k: np.ravel(keys[k]).tolist())
    for is_sorted, classes in ((0, range(len(keys))), (1, order)):
        y, *rest = kernel_outputs("Unique", 11, x, sorted=is_sorted, **along)
        parts = y.tolist() if axis is None else [part.tolist() for part in np.moveaxis(y, axis, 0)]
        assert parts == [keys[k] for k in classes]
        rank = {k: position for position, k in enumerate(classes)}
        expected = [[first[k] for k in classes], [rank[k] for k in inverse], [counts[k] for k in classes]]
        assert_same(rest, [np.array(numbers, np.int64) for numbers in expected])
        assert y.dtype == x.dtype
    if kind in ("float", "string"):
        agree("Unique", [x], 11, outputs=4, **along)


def test_unique_of_nothing():
    for axis in (None, 0, 1):
        results = kernel_outputs("Unique", 11, np.zeros((0, 3), np.float32), axis=axis)
        assert [len(r) for r in results[1:3]] == [{0: 0, 1: 1, None: 0}[axis], {0: 0, 1: 3, None: 0}[axis]]


def test_inputs_stay_as_they_are():
    x = data(2, 3).T
    x.setflags(write=False)
    zeroed = kernel_outputs("ScatterElements", 18, x, np.zeros((1, 2), np.int64), x[:1] * 0)[0]
    assert zeroed.tolist() == [[0, 0], [2, 5], [3, 6]]
    doubled = kernel_outputs("ScatterND", 18, x, ints(0)[None], x[:1], reduction="add")[0]
    assert doubled.tolist() == [[2, 8], [2, 5], [3, 6]]
    assert_same(x, data(2, 3).T)
