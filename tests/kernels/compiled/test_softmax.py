"""Compiled Softmax and LogSoftmax against the reference kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.compiled import KernelDeclined, bind_and_run
from onnxlite.conformance.differential import assert_same, kernel_outputs

FEW = settings(max_examples=40, deadline=None, derandomize=True)

lengths = st.sampled_from([1, 2, 3, 15, 16, 17, 40, 67])
operators = st.sampled_from(["Softmax", "LogSoftmax"])


def numbers(seed: int, shape: tuple[int, ...], special: bool) -> Any:
    """float32 of all sizes, a few of them not finite."""
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal(shape) * rng.choice([1, 30], size=shape)).astype(np.float32)
    if special:
        odd = rng.random(shape) < 0.02
        x[odd] = rng.choice(np.array([np.nan, np.inf, -np.inf, -0.0, 1e38, -1e38], np.float32), size=int(odd.sum()))
    return x


@FEW
@given(operators, st.lists(lengths, min_size=1, max_size=4), st.data(), st.booleans())
def test_along_any_axis(op_type: str, shape: list[int], data: st.DataObject, special: bool) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = numbers(len(shape) * 7 + axis, tuple(shape), special)
    (expected,) = kernel_outputs(op_type, 13, x, axis=axis)
    (actual,) = bind_and_run(op_type, 13, x, axis=axis)
    assert_same(actual, expected, rtol=2e-6, atol=2e-7 if op_type == "Softmax" else 2e-6)


@FEW
@given(operators, st.lists(lengths, min_size=1, max_size=3), st.data())
def test_trailing_axes_together(op_type: str, shape: list[int], data: st.DataObject) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = numbers(axis + 9, tuple(shape), special=False)
    (expected,) = kernel_outputs(op_type, 11, x, axis=axis)
    (actual,) = bind_and_run(op_type, 11, x, axis=axis)
    assert_same(actual, expected, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("op_type", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("axis", [1, 2])
def test_number_of_threads_does_not_show(op_type: str, axis: int) -> None:
    x = numbers(0, (3, 300, 700), special=True)
    alone, shared = (bind_and_run(op_type, 13, x, axis=axis, threads=threads)[0] for threads in (1, 2))
    np.testing.assert_array_equal(alone, shared)


@pytest.mark.parametrize("inner", [1, 5])
def test_masked_elements_are_exactly_zero(inner: int) -> None:
    x = np.zeros((2, 40, inner), np.float32)
    x[:, 7:] = -np.inf
    x[:, 20:] = -1e9
    (y,) = bind_and_run("Softmax", 13, x, axis=1)
    assert not y[:, 7:].any()
    np.testing.assert_allclose(y[:, :7], 1 / 7, rtol=1e-6)


def test_results_are_close_to_the_exact_ones() -> None:
    x = numbers(1, (50, 300), special=False)
    exact = np.exp((x - x.max(axis=1, keepdims=True)).astype(np.float64))
    exact /= exact.sum(axis=1, keepdims=True)
    (y,) = bind_and_run("Softmax", 13, x)
    normal = exact > 1e-37
    np.testing.assert_allclose(y[normal], exact[normal], rtol=5e-7)


@pytest.mark.parametrize(("dtype", "axis"), [(np.float64, -1), (np.float32, 2)])
def test_declines_what_it_does_not_serve(dtype: Any, axis: int) -> None:
    with pytest.raises((KernelDeclined, ValueError)):
        bind_and_run("Softmax", 13, np.zeros((2, 3), dtype), axis=axis)
