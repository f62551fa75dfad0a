"""Compiled Concat and Split against the reference kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.compiled import KernelDeclined, bind_and_run
from onnxlite.conformance.differential import assert_same, kernel_outputs

FEW = settings(max_examples=60, deadline=None, derandomize=True)

TYPES = st.sampled_from([np.float32, np.int64, np.uint8])
shapes = st.lists(st.sampled_from([1, 2, 3, 8, 17]), min_size=1, max_size=4)


def numbers(shape: Any, dtype: Any, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 100, tuple(shape)).astype(dtype)


@FEW
@given(shapes, st.data(), TYPES)
def test_concat(shape: list[int], data: st.DataObject, dtype: Any) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    parts = []
    for seed, length in enumerate(data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=8))):
        shape[axis] = length
        parts.append(numbers(shape, dtype, seed))
    (expected,) = kernel_outputs("Concat", 13, *parts, axis=axis)
    for threads in (1, 2):
        (actual,) = bind_and_run("Concat", 13, *parts, axis=axis, threads=threads)
        assert_same(actual, expected)


def test_concat_takes_constants_and_long_tensors() -> None:
    a, b = numbers((1, 300_000), np.float32, 1), numbers((1, 5), np.float32, 2)
    for threads in (1, 2):
        (actual,) = bind_and_run("Concat", 4, a, b, a, axis=1, constants=(1,), threads=threads)
        np.testing.assert_array_equal(actual, np.concatenate([a, b, a], axis=1))


def test_many_parts() -> None:
    parts = [numbers((3, 2), np.float32, seed) for seed in range(32)]
    for count in (9, 16, 17, 32):
        (actual,) = bind_and_run("Concat", 13, *parts[:count], axis=1)
        np.testing.assert_array_equal(actual, np.concatenate(parts[:count], axis=1))
        pieces = bind_and_run("Split", 2, actual, axis=1, output_count=count)
        assert_same(pieces, tuple(parts[:count]))


def test_concat_1_has_axis_1_by_default() -> None:
    a = numbers((2, 3), np.float32)
    np.testing.assert_array_equal(bind_and_run("Concat", 1, a, a)[0], np.concatenate([a, a], axis=1))


@FEW
@given(shapes, st.data(), TYPES)
def test_split_by_sizes(shape: list[int], data: st.DataObject, dtype: Any) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    sizes = data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=8))
    shape[axis] = sum(sizes)
    x = numbers(shape, dtype)
    given_sizes, count = np.array(sizes), len(sizes)
    expected = kernel_outputs("Split", 13, x, given_sizes, axis=axis, output_count=count)
    actual = bind_and_run("Split", 13, x, given_sizes, axis=axis, output_count=count, constants=(1,), threads=2)
    assert_same(actual, expected)
    assert_same(bind_and_run("Split", 2, x, axis=axis, split=tuple(sizes), output_count=count), expected)


@pytest.mark.parametrize(("dim", "count"), [(6, 3), (7, 3), (8, 4)])
def test_split_equally(dim: int, count: int) -> None:
    x = numbers((2, dim, 3), np.float32)
    expected = kernel_outputs("Split", 18, x, axis=1, num_outputs=count, output_count=count)
    assert_same(bind_and_run("Split", 18, x, axis=1, num_outputs=count, output_count=count), expected)
    if dim % count == 0:
        assert_same(bind_and_run("Split", 11, x, axis=1, output_count=count), expected)


def test_declines_what_it_does_not_serve() -> None:
    x = numbers((2, 3), np.float32)
    for parts, attributes in (
        ((x, x.astype(np.int64)), {"axis": 0}),
        ((x, x[:1]), {"axis": 1}),
        ((x,) * 33, {"axis": 1}),
        ((x.astype(object),) * 2, {"axis": 1}),
        ((x, x), {"axis": 2}),
    ):
        with pytest.raises((KernelDeclined, ValueError)):
            bind_and_run("Concat", 13, *parts, **attributes)
    for attributes in ({"axis": 1, "split": (1, 1)}, {"axis": 0, "split": (3, -1)}, {"axis": 1}):
        with pytest.raises((KernelDeclined, ValueError)):
            bind_and_run("Split", 2, x, output_count=2, **attributes)
