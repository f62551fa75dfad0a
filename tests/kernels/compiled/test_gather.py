"""Compiled Gather and Scatter operators against the reference kernels."""

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
shapes = st.lists(st.sampled_from([1, 2, 3, 9, 40]), min_size=1, max_size=4).map(tuple)
indices_of = st.lists(st.sampled_from([1, 2, 5]), min_size=0, max_size=2).map(tuple)


def numbers(shape: tuple[int, ...], dtype: Any) -> Any:
    return np.random.default_rng(0).integers(0, 100, shape).astype(dtype)


def places(shape: tuple[int, ...], length: int, dtype: Any = np.int64) -> Any:
    return np.asarray(np.random.default_rng(1).integers(-length, length, shape), dtype)


def check(op_type: str, version: int, *inputs: Any, **attributes: Any) -> None:
    (expected,) = kernel_outputs(op_type, version, *inputs, **attributes)
    for threads in (1, 2):
        (actual,) = bind_and_run(op_type, version, *inputs, threads=threads, **attributes)
        assert_same(actual, expected, rtol=0, atol=0)


@FEW
@given(shapes, indices_of, st.data(), TYPES, st.sampled_from([np.int32, np.int64]))
def test_gather(shape: tuple[int, ...], of: tuple[int, ...], data: st.DataObject, dtype: Any, index_type: Any) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    check("Gather", 13, numbers(shape, dtype), places(of, shape[axis], index_type), axis=axis)


def test_gather_of_nothing() -> None:
    check("Gather", 1, numbers((3, 4), np.float32), np.zeros((0,), np.int64))
    check("Gather", 1, numbers((3, 0), np.float32), np.zeros((2,), np.int64))


@FEW
@given(shapes, st.data(), TYPES, st.integers(1, 6))
def test_elements(shape: tuple[int, ...], data: st.DataObject, dtype: Any, count: int) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    of = list(shape)
    of[axis] = count
    x, indices = numbers(shape, dtype), places(tuple(of), shape[axis])
    check("GatherElements", 13, x, indices, axis=axis)
    updates = numbers(tuple(of), dtype) + np.array(100, dtype)
    check("ScatterElements", 18, x, indices, updates, axis=axis)
    check("ScatterElements", 11, x, indices, updates, axis=axis)
    check("Scatter", 9, x, indices, updates, axis=axis)


@FEW
@given(shapes, st.data(), TYPES, indices_of)
def test_tuples(shape: tuple[int, ...], data: st.DataObject, dtype: Any, of: tuple[int, ...]) -> None:
    depth = data.draw(st.integers(1, len(shape)))
    columns = [places(of, length) for length in shape[:depth]]
    x, indices = numbers(shape, dtype), np.stack(columns, axis=-1)
    check("GatherND", 13, x, indices)
    check("GatherND", 11, x, indices)
    updates = numbers(of + shape[depth:], dtype) + np.array(100, dtype)
    check("ScatterND", 18, x, indices, updates)
    check("ScatterND", 11, x, indices, updates)


def test_tuples_in_batches() -> None:
    check("GatherND", 12, numbers((2, 3, 4, 5), np.float32), places((2, 6, 2), 3), batch_dims=1)
    check("GatherND", 12, numbers((2, 3, 4, 5), np.float32), places((2, 3, 1), 4), batch_dims=2)


def test_an_index_outside_is_an_error() -> None:
    x = numbers((3, 4), np.float32)
    wrong = np.array([[0, 3], [-4, 0]])
    for op_type, version, inputs in (
        ("Gather", 13, (x, wrong)),
        ("GatherElements", 13, (x, wrong.T.repeat(2, axis=1))),
        ("GatherND", 13, (x, wrong[:, ::-1].copy())),
        ("ScatterND", 18, (x, wrong, numbers((2,), np.float32))),
        ("ScatterElements", 18, (x, wrong.T.repeat(2, axis=1), numbers((2, 4), np.float32))),
    ):
        with pytest.raises(IndexError):
            kernel_outputs(op_type, version, *inputs)
        for threads in (1, 2):
            with pytest.raises(IndexError):
                bind_and_run(op_type, version, *inputs, threads=threads)


def test_declines_what_it_does_not_serve() -> None:
    x, indices = numbers((3, 4), np.float32), np.zeros((1, 2), np.int64)
    for op_type, version, inputs, attributes in (
        ("Gather", 13, (x, indices.astype(np.uint8)), {}),
        ("Gather", 13, (x.astype(object), indices), {}),
        ("Gather", 13, (x, indices), {"axis": 2}),
        ("GatherElements", 13, (x, indices), {"axis": 0}),
        ("GatherND", 13, (x, np.zeros((1, 3), np.int64)), {}),
        ("ScatterND", 18, (x, indices, np.zeros(1, np.float32)), {"reduction": "mean"}),
        ("ScatterElements", 18, (x, indices, np.zeros((1, 3), np.float32)), {"axis": 0}),
    ):
        with pytest.raises((KernelDeclined, ValueError)):
            bind_and_run(op_type, version, *inputs, **attributes)


def test_an_equal_type_that_was_made_anew_is_moved() -> None:
    """As that of an array that is read from a file."""
    data = np.arange(12, dtype=np.dtype(np.float32).newbyteorder("<")).reshape(4, 3)
    (result,) = bind_and_run("Gather", 13, data, np.array([2, 0]))
    np.testing.assert_array_equal(result, data[[2, 0]])
