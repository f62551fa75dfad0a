"""Compiled Slice, Expand, Tile and Pad against the reference kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.compiled import KernelDeclined, bind_and_run
from onnxlite.conformance.differential import assert_same, kernel_outputs

FEW = settings(max_examples=80, deadline=None, derandomize=True)

TYPES = st.sampled_from([np.float32, np.int64, np.uint8, np.complex128])
shapes = st.lists(st.sampled_from([1, 2, 3, 8, 17, 40]), min_size=1, max_size=4).map(tuple)


def numbers(shape: tuple[int, ...], dtype: Any) -> Any:
    return np.random.default_rng(0).integers(0, 100, shape).astype(dtype)


def check(op_type: str, version: int, *inputs: Any, **attributes: Any) -> None:
    (expected,) = kernel_outputs(op_type, version, *inputs, **attributes)
    for threads in (1, 2):
        constants = range(1, len(inputs))
        (actual,) = bind_and_run(op_type, version, *inputs, constants=constants, threads=threads, **attributes)
        assert_same(actual, expected, rtol=0, atol=0)


@FEW
@given(shapes, st.data(), TYPES)
def test_slice(shape: tuple[int, ...], data: st.DataObject, dtype: Any) -> None:
    axes = data.draw(st.lists(st.integers(0, len(shape) - 1), unique=True, min_size=1))
    bounds = st.lists(st.integers(-45, 45), min_size=len(axes), max_size=len(axes))
    steps = data.draw(st.lists(st.sampled_from([-3, -1, 1, 2, 5]), min_size=len(axes), max_size=len(axes)))
    given_axes, by = np.array(axes), np.array(steps)
    check("Slice", 13, numbers(shape, dtype), np.array(data.draw(bounds)), np.array(data.draw(bounds)), given_axes, by)


def test_slice_without_axes_and_by_attributes() -> None:
    x = numbers((5, 6, 7), np.float32)
    check("Slice", 10, x, np.array([1, 2]), np.array([4, 2**31 - 1]))
    check("Slice", 10, x, np.array([0]), np.array([2**62]), np.array([-1], np.int32))
    check("Slice", 1, x, starts=(1, -3), ends=(1000, -1), axes=(0, 2))
    check("Slice", 1, x, starts=(1,), ends=(3,))


@FEW
@given(shapes, st.data(), TYPES)
def test_expand(shape: tuple[int, ...], data: st.DataObject, dtype: Any) -> None:
    source = tuple(data.draw(st.sampled_from([1, dim])) for dim in shape)
    source = source[data.draw(st.integers(0, len(shape) - 1)) :]
    target = tuple(data.draw(st.sampled_from([1, dim])) for dim in shape)
    check("Expand", 13, numbers(source, dtype), np.array(target))


@FEW
@given(shapes, st.data(), TYPES)
def test_tile(shape: tuple[int, ...], data: st.DataObject, dtype: Any) -> None:
    counts = data.draw(st.lists(st.integers(0, 3), min_size=len(shape), max_size=len(shape)))
    # More than three repeated axes are more than a block has.
    counts[3:] = [1] * len(counts[3:])
    check("Tile", 13, numbers(shape, dtype), np.array(counts))


def test_tile_1() -> None:
    check("Tile", 1, numbers((2, 3), np.float32), np.array(3), np.array(1))


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
@FEW
@given(shapes, st.data(), TYPES)
def test_pad(mode: str, shape: tuple[int, ...], data: st.DataObject, dtype: Any) -> None:
    longest = 4 if mode == "constant" else 2
    pads = [data.draw(st.integers(-1 if dim > 2 else 0, longest)) for dim in shape * 2]
    value = np.array(7, dtype) if mode == "constant" else None
    check("Pad", 19, numbers(shape, dtype), np.array(pads), value, mode=mode)


def test_pad_versions() -> None:
    x = numbers((3, 4), np.float32)
    check("Pad", 18, x, np.array([1, 2]), np.array(5, np.float32), np.array([-1]))
    check("Pad", 11, x, np.array([1, 0, 2, 0]), None)
    check("Pad", 2, x, pads=(0, 1, 2, 3), value=1.5)
    check("Pad", 1, x, paddings=(0, 1, 2, 3), mode="edge")


def test_a_value_that_the_model_computes() -> None:
    x, pads, value = numbers((3, 4), np.float32), np.array([1, 1, 0, 2]), np.array(5, np.float32)
    (actual,) = bind_and_run("Pad", 13, x, pads, value, constants=(1,))
    assert_same(actual, kernel_outputs("Pad", 13, x, pads, value)[0])


def test_declines_what_it_does_not_serve() -> None:
    x, ones = numbers((3, 4), np.float32), np.array([1, 1])
    for op_type, version, inputs, constants in (
        ("Slice", 13, (x, ones, ones), (1,)),
        ("Slice", 13, (x, ones, ones[:1]), (1, 2)),
        ("Slice", 13, (x, ones, ones, np.array([0, 2])), (1, 2, 3)),
        ("Expand", 13, (x, np.array([2, 4])), (1,)),
        ("Expand", 13, (x.astype(object), np.array([2, 3, 4])), (1,)),
        ("Tile", 13, (x, ones[:1]), (1,)),
        ("Pad", 13, (x, ones), (1,)),
        ("Pad", 13, (x, np.array([0, 0, 0, -5])), (1,)),
        ("Pad", 13, (x, np.array([0, 0, 0, 1])), ()),
    ):
        with pytest.raises((KernelDeclined, ValueError)):
            bind_and_run(op_type, version, *inputs, constants=constants)
