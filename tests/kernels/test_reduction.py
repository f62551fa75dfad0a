"""The Reduce* operators and the running totals against onnxruntime and independent formulas."""

from __future__ import annotations

import itertools

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.differential import assert_same, kernel_outputs, node_model, onnxruntime_outputs

REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")
FORMULAS = {
    "L1": lambda x, axes: np.abs(x).sum(axes, keepdims=True),
    "L2": lambda x, axes: np.sqrt((x * x).sum(axes, keepdims=True)),
    "LogSum": lambda x, axes: np.log(x.sum(axes, keepdims=True)),
    "LogSumExp": lambda x, axes: np.log(np.exp(x).sum(axes, keepdims=True)),
    "Max": lambda x, axes: x.max(axes, keepdims=True),
    "Mean": lambda x, axes: x.mean(axes, keepdims=True),
    "Min": lambda x, axes: x.min(axes, keepdims=True),
    "Prod": lambda x, axes: x.prod(axes, keepdims=True),
    "Sum": lambda x, axes: x.sum(axes, keepdims=True),
    "SumSquare": lambda x, axes: (x * x).sum(axes, keepdims=True),
}


def data(shape, dtype=np.float32, seed=0):
    values = np.random.default_rng(seed).integers(1, 7, shape)
    return values.astype(dtype)


def axes_as_input(name):
    return 13 if name == "Sum" else 18


def reduce(name, x, axes, version=20, **attributes):
    given_axes = None if axes is None else np.array(axes, np.int64)
    return kernel_outputs(f"Reduce{name}", version, x, given_axes, **attributes)[0]


@pytest.mark.parametrize("name", REDUCTIONS)
@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    shape=st.lists(st.integers(1, 4), min_size=0, max_size=4),
    pick=st.lists(st.integers(-4, 3), max_size=3),
    keepdims=st.integers(0, 1),
    old=st.booleans(),
)
def test_like_onnxruntime(name, shape, pick, keepdims, old):
    rank = len(shape)
    axes = sorted({axis % rank for axis in pick}) if rank else []
    axes = [axis - rank if axis % 2 else axis for axis in axes]
    x = data(shape)
    if old:
        attributes = {"keepdims": keepdims, **({"axes": axes} if axes else {})}
        model, inputs = node_model(f"Reduce{name}", [x], opset=12, **attributes), [x]
        arguments = {"keepdims": keepdims, **({"axes": tuple(axes)} if axes else {})}
    else:
        arguments = {"keepdims": keepdims}
        inputs = [x, np.array(axes, np.int64)]
        model = node_model(f"Reduce{name}", inputs, opset=18, **arguments)
    actual = kernel_outputs(f"Reduce{name}", 11 if old else 20, *inputs, **arguments)
    assert_same(list(actual), onnxruntime_outputs(model, inputs))


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_integers_like_onnxruntime(name, dtype):
    x = np.array([[-3, 4, 1], [7, -2, 2]], dtype)
    inputs = [x, np.array([1], np.int64)]
    expected = onnxruntime_outputs(node_model(f"Reduce{name}", inputs, opset=18), inputs)
    assert_same(list(kernel_outputs(f"Reduce{name}", 18, *inputs)), expected)


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize(
    "dtype", [np.float16, ml_dtypes.bfloat16, np.float64, np.int32, np.int64, np.uint32, np.uint64]
)
def test_every_type_is_kept(name, dtype):
    x = data((3, 4), dtype)
    expected = FORMULAS[name](x.astype(np.float64), (1,)).astype(dtype)
    assert_same(reduce(name, x, [1]), expected, rtol=1e-2)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.bool_])
def test_small_integers_and_booleans(dtype):
    x = np.array([[0, 1, 1], [0, 0, 0], [1, 1, 1]], dtype)
    assert_same(reduce("Max", x, [1], keepdims=0), np.array([1, 0, 1], dtype))
    assert_same(reduce("Min", x, [1], keepdims=0), np.array([0, 0, 1], dtype))


@pytest.mark.parametrize("name", REDUCTIONS)
def test_views_give_what_their_copies_give(name):
    view = data((4, 5, 6))[::2, ::-1].transpose(2, 0, 1)
    assert_same(reduce(name, view, [0, 2]), reduce(name, view.copy(), [0, 2]), rtol=1e-6)


EMPTY = {"Sum": 0, "Prod": 1, "L1": 0, "L2": 0, "SumSquare": 0, "LogSum": -np.inf, "LogSumExp": -np.inf}
EMPTY |= {"Max": -np.inf, "Min": np.inf, "Mean": np.nan}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", REDUCTIONS)
def test_an_empty_set(name):
    x = np.zeros((2, 0, 3), np.float32)
    assert_same(reduce(name, x, [1], keepdims=0), np.full((2, 3), EMPTY[name], np.float32))
    assert_same(reduce(name, x, [1]), np.full((2, 1, 3), EMPTY[name], np.float32))
    assert reduce(name, x, [0]).shape == (1, 0, 3)


def test_an_empty_set_of_integers_has_the_limits_of_the_type():
    x = np.zeros((0,), np.int32)
    assert_same(reduce("Max", x, None, keepdims=0), np.array(-(2**31), np.int32))
    assert_same(reduce("Min", x, None, keepdims=0), np.array(2**31 - 1, np.int32))
    empty = np.zeros((0,), np.bool_)
    assert not reduce("Max", empty, None)
    assert reduce("Min", empty, None)


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize(("axes", "noop"), list(itertools.product([None, []], [0, 1])))
def test_without_axes(name, axes, noop):
    x = data((2, 3))
    expected = FORMULAS[name](x, () if noop else None)
    assert_same(reduce(name, x, axes, axes_as_input(name), noop_with_empty_axes=noop), expected)


@pytest.mark.parametrize("name", REDUCTIONS)
def test_a_nan_is_never_lost(name):
    x = np.array([[1, np.nan, 2], [1, 2, 3]], np.float32)
    result = reduce(name, x, [1], keepdims=0)
    assert np.isnan(result).tolist() == [True, False]


def test_log_sum_exp_does_not_overflow():
    x = np.array([[1000, 1000], [-np.inf, -np.inf], [np.inf, 0], [-np.inf, 5]], np.float32)
    expected = np.array([1000 + np.log(2), -np.inf, np.inf, 5], np.float32)
    assert_same(reduce("LogSumExp", x, [1], keepdims=0), expected)


def test_half_precision_sums_in_single_precision():
    x = np.full(4096, 1.0, np.float16)
    assert_same(reduce("Mean", x, None), np.array([1], np.float16))
    assert_same(reduce("L2", np.full(4, 300, np.float16), None), np.array([600], np.float16))


def test_integer_means_divide_towards_zero_and_sums_wrap():
    assert_same(reduce("Mean", np.array([[-7, 0], [7, 0]], np.int64), [1], keepdims=0), np.array([-3, 3], np.int64))
    big = np.full(2, 2**62, np.int64)
    assert_same(reduce("Sum", big, None), np.array([-(2**63)], np.int64))


@pytest.mark.parametrize("axes", [[2], [-3], [0, 0], [0, -2]])
def test_wrong_axes_are_an_error(axes):
    with pytest.raises(ValueError, match="axis"):
        reduce("Sum", data((2, 3)), axes)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    shape=st.lists(st.integers(0, 4), min_size=1, max_size=3),
    axis=st.integers(-3, 2),
    exclusive=st.integers(0, 1),
    reverse=st.integers(0, 1),
    dtype=st.sampled_from([np.float32, np.float64, np.int32, np.int64]),
)
def test_cumulative_sums_like_onnxruntime(shape, axis, exclusive, reverse, dtype):
    axis = (axis % len(shape)) - (len(shape) if axis < 0 else 0)
    inputs = [data(shape, dtype), np.array(axis, np.int64)]
    attributes = {"exclusive": exclusive, "reverse": reverse}
    model = node_model("CumSum", inputs, opset=14, **attributes)
    assert_same(list(kernel_outputs("CumSum", 14, *inputs, **attributes)), onnxruntime_outputs(model, inputs))


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16, np.int32, np.uint32, np.uint64])
@pytest.mark.parametrize(("exclusive", "reverse"), list(itertools.product([0, 1], repeat=2)))
def test_cumulative_products(dtype, exclusive, reverse):
    x = np.array([[1, 2, 3], [2, 1, 4]], dtype)
    rows = {(0, 0): [[1, 2, 6], [2, 2, 8]], (1, 0): [[1, 1, 2], [1, 2, 2]]}
    rows |= {(0, 1): [[6, 6, 3], [8, 4, 4]], (1, 1): [[6, 3, 1], [4, 4, 1]]}
    result = kernel_outputs("CumProd", 26, x, np.array([-1], np.int32), exclusive=exclusive, reverse=reverse)
    assert_same(list(result), [np.array(rows[exclusive, reverse], dtype)])


def test_a_cumulative_sum_needs_an_axis_of_the_tensor():
    with pytest.raises(ValueError, match="from -1 to 0"):
        kernel_outputs("CumSum", 14, data((3,)), np.array(1, np.int64))
