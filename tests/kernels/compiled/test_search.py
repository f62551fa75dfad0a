"""Compiled ArgMax, ArgMin, TopK and CumSum against the reference kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.compiled import KernelDeclined, bind_and_run
from onnxlite.conformance.differential import assert_same, kernel_outputs

FEW = settings(max_examples=60, deadline=None, derandomize=True)

shapes = st.lists(st.sampled_from([1, 2, 3, 17, 70, 150]), min_size=1, max_size=3).map(tuple)


def numbers(seed: int, shape: tuple[int, ...], dtype: Any, special: bool = False) -> Any:
    """Small whole numbers, many of them equal; a few floats that are not finite, and zeros of both signs."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0 if np.dtype(dtype).kind == "u" else -20, 20, shape).astype(dtype)
    if special:
        odd = rng.random(shape) < 0.05
        values = np.array([np.nan, -np.nan, np.inf, -np.inf, -0.0], dtype)
        x[odd] = rng.choice(values, size=int(odd.sum()))
    return x


def check(op_type: str, version: int, *inputs: Any, output_count: int = 1, **attributes: Any) -> None:
    expected = kernel_outputs(op_type, version, *inputs, **attributes)
    for threads in (1, 2):
        actual = bind_and_run(
            op_type, version, *inputs, constants=(1,), threads=threads, output_count=output_count, **attributes
        )
        assert_same(actual, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("op_type", ["ArgMax", "ArgMin"])
@FEW
@given(shapes, st.data(), st.booleans(), st.integers(0, 1))
def test_arg_extremes(op_type: str, shape: tuple[int, ...], data: Any, special: bool, keepdims: int) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = numbers(axis + 5, shape, np.float32, special)
    check(op_type, 13, x, axis=axis, keepdims=keepdims)
    check(op_type, 11, x, axis=axis, keepdims=keepdims)


@pytest.mark.parametrize("op_type", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize(("dtype", "axis"), [(np.float64, 0), (np.int32, 1), (np.int64, 1), (np.uint8, 0)])
def test_arg_extremes_of_other_types(op_type: str, dtype: Any, axis: int) -> None:
    check(op_type, 13, numbers(0, (90, 130), dtype), axis=axis)


@FEW
@given(shapes, st.data(), st.booleans(), st.integers(0, 1))
def test_top_k(shape: tuple[int, ...], data: Any, special: bool, largest: int) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    k = np.array([data.draw(st.integers(1, shape[axis]))])
    check("TopK", 11, numbers(0, shape, np.float32, special), k, axis=axis, largest=largest, output_count=2)


@pytest.mark.parametrize("k", [1, 5, 1000, 3000])
def test_top_k_of_many(k: int) -> None:
    x = np.random.default_rng(0).standard_normal((2, 3000)).astype(np.float32)
    check("TopK", 10, x, np.array([k]), output_count=2)
    check("TopK", 1, x, k=k, output_count=2)
    integers = numbers(1, (2, 3000), np.int32) * 1_000_003
    check("TopK", 11, integers, np.array([k]), largest=0, output_count=2)


@FEW
@given(shapes, st.data(), st.integers(0, 1), st.integers(0, 1))
def test_cum_sum(shape: tuple[int, ...], data: Any, exclusive: int, reverse: int) -> None:
    axis = np.array(data.draw(st.integers(-len(shape), len(shape) - 1)))
    dtype = data.draw(st.sampled_from([np.float32, np.int64]))
    check("CumSum", 14, numbers(0, shape, dtype), axis, exclusive=exclusive, reverse=reverse)


def test_declines_what_it_does_not_serve() -> None:
    x = numbers(0, (3, 4), np.float32)
    for op_type, version, inputs, attributes in (
        ("ArgMax", 13, (x,), {"select_last_index": 1}),
        ("ArgMax", 13, (x.astype(np.float16),), {}),
        ("ArgMin", 13, (x[:0],), {}),
        ("TopK", 11, (x, np.array([5])), {}),
        ("TopK", 11, (x.astype(np.float64), np.array([1])), {}),
        ("CumSum", 14, (x, np.array(2)), {}),
        ("CumSum", 14, (x.astype(np.float16), np.array(0)), {}),
    ):
        with pytest.raises((KernelDeclined, ValueError)):
            bind_and_run(op_type, version, *inputs, constants=(1,), **attributes)
