"""Compiled reductions against the reference kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from onnxlite.conformance.compiled import KernelDeclined, bind_and_run
from onnxlite.conformance.differential import assert_same, kernel_outputs
from onnxlite.kernels.numba.reduction.reduction import collapsed

FEW = settings(max_examples=60, deadline=None, derandomize=True)

FLOATS = (np.float32, np.float64)
INTEGERS = (np.int32, np.int64)
TYPES: dict[str, tuple[Any, ...]] = {
    "ReduceSum": FLOATS + INTEGERS,
    "ReduceMean": FLOATS,
    "ReduceProd": FLOATS + INTEGERS,
    "ReduceMax": (*FLOATS, *INTEGERS, np.int8, np.uint8),
    "ReduceMin": (*FLOATS, *INTEGERS, np.int8, np.uint8),
    "ReduceL1": FLOATS,
    "ReduceL2": FLOATS,
    "ReduceSumSquare": FLOATS,
    "ReduceLogSum": FLOATS,
}

shapes = st.lists(st.sampled_from([1, 2, 3, 15, 16, 17, 33, 65]), min_size=0, max_size=4)


def numbers(seed: int, shape: tuple[int, ...], dtype: Any, special: bool = False) -> Any:
    """Numbers near 1, of both signs unless they are bytes; a few floats that are not finite."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    if dtype.kind != "f":
        low = 0 if dtype.kind == "u" else -3
        return np.asarray(rng.integers(low, 100 if dtype.itemsize == 1 else 4, shape), dtype)
    x = np.asarray(rng.standard_normal(shape) + 1, dtype)
    if special:
        odd = rng.random(shape) < 0.02
        x[odd] = rng.choice(np.array([np.nan, -np.nan, np.inf, -np.inf, -0.0], dtype), size=int(odd.sum()))
    return x


def check(op_type: str, x: Any, axes: tuple[int, ...], keepdims: int, threads: int = 1) -> None:
    """Compare the version that takes axes as an input, where there is one given."""
    given_axes = np.array(axes, np.int64)
    (expected,) = kernel_outputs(op_type, 18, x, given_axes, keepdims=keepdims)
    (actual,) = bind_and_run(op_type, 18, x, given_axes, constants=(1,), keepdims=keepdims, threads=threads)
    assert_same(actual, expected, rtol=1e-4 if x.dtype == np.float32 else 1e-11, atol=1e-5)


@pytest.mark.parametrize("op_type", TYPES)
@FEW
@given(shapes, st.data(), st.integers(0, 1), st.booleans())
def test_float32_along_any_axes(
    op_type: str, shape: list[int], data: st.DataObject, keepdims: int, special: bool
) -> None:
    axes = tuple(data.draw(st.sets(st.integers(0, len(shape) - 1)))) if shape else ()
    assume(collapsed(tuple(shape), axes) is not None)
    check(op_type, numbers(len(shape), tuple(shape), np.float32, special), axes, keepdims)


OTHERS = [(name, dtype) for name, types in TYPES.items() for dtype in types[1:]]


@pytest.mark.parametrize("number", range(len(OTHERS)))
def test_other_types(number: int) -> None:
    op_type, dtype = OTHERS[number]
    check(op_type, numbers(0, (3, 5, 21), dtype), ((1,), (0, 2))[number % 2], keepdims=1)


@pytest.mark.parametrize("op_type", TYPES)
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (2, 0, 4)])
def test_reducing_nothing(op_type: str, shape: tuple[int, ...]) -> None:
    for axis in range(len(shape)):
        check(op_type, np.zeros(shape, np.float32), (axis,), keepdims=0)


@pytest.mark.parametrize("op_type", TYPES)
def test_axes_as_an_attribute_and_all_axes(op_type: str) -> None:
    x = numbers(3, (4, 6, 5), np.float32)
    for attributes in ({"axes": (0, -1)}, {"axes": None}, {"axes": (1,), "keepdims": 0}):
        (expected,) = kernel_outputs(op_type, 11, x, **attributes)
        (actual,) = bind_and_run(op_type, 11, x, **attributes)
        assert_same(actual, expected, rtol=1e-4, atol=1e-5)
    (actual,) = bind_and_run(op_type, 18, x, None, noop_with_empty_axes=1)
    assert_same(actual, kernel_outputs(op_type, 18, x, None, noop_with_empty_axes=1)[0])


def test_long_sums_keep_their_precision() -> None:
    x = np.full((1, 1_000_003), 0.1, np.float32)
    (total,) = bind_and_run("ReduceSum", 11, x, axes=(1,))
    np.testing.assert_allclose(total, x.astype(np.float64).sum(axis=1, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize("rows", [63, 64, 65, 512, 4099])
def test_sums_of_equal_rows_keep_their_precision(rows: int) -> None:
    # Each addition of equal numbers rounds the same way.
    row = np.linspace(0.1, 0.9, 37, dtype=np.float32)
    (total,) = bind_and_run("ReduceSum", 13, np.tile(row, (rows, 1)), np.array([0]), constants=(1,), keepdims=0)
    np.testing.assert_allclose(total, row.astype(np.float64) * rows, rtol=2e-6)


@pytest.mark.parametrize("axes", [(1,), (0, 2), (2,)])
def test_number_of_threads_does_not_show(axes: tuple[int, ...]) -> None:
    x = numbers(5, (40, 70, 90), np.float32, special=True)
    results = [bind_and_run("ReduceMean", 11, x, axes=axes, threads=threads)[0] for threads in (1, 2)]
    np.testing.assert_array_equal(*results)


def test_shapes_collapse_to_two_kept_and_two_reduced_axes() -> None:
    assert collapsed((2, 3, 4, 5), (2, 3)) == (1, 1, 6, 20)
    assert collapsed((2, 3, 4, 5), (0, 2, 3)) == (1, 2, 3, 20)
    assert collapsed((2, 3, 4, 5), (1,)) == (2, 3, 20, 1)
    assert collapsed((2, 1, 4, 1), (0, 1)) == (1, 2, 4, 1)
    assert collapsed((), ()) == (1, 1, 1, 1)
    assert collapsed((2, 3, 4, 5, 6), (0, 2, 4)) is None


def test_declines_what_it_does_not_serve() -> None:
    x = np.zeros((2, 3, 2, 3, 2), np.float32)
    for value, attributes in ((x, {"axes": (0, 2, 4)}), (x.astype(np.float16), {}), (x, {"axes": (7,)})):
        with pytest.raises((KernelDeclined, ValueError)):
            bind_and_run("ReduceMean", 11, value, **attributes)
    with pytest.raises((KernelDeclined, ValueError)):
        bind_and_run("ReduceMean", 18, x, np.array([1]))
