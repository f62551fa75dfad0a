"""Compiled Resize and Upsample against the reference kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.compiled import KernelDeclined, bind_and_run
from onnxlite.conformance.differential import assert_same, kernel_outputs

FEW = settings(max_examples=60, deadline=None, derandomize=True)

COORDINATES = ["half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "asymmetric", "align_corners"]
NEAREST = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]
lengths = st.integers(1, 40)
scales = st.sampled_from([0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 4.0])


def numbers(*shape: int, dtype: Any = np.float32) -> Any:
    return np.random.default_rng(0).integers(-99, 99, shape).astype(dtype)


def check(op_type: str, version: int, *inputs: Any, **attributes: Any) -> None:
    (expected,) = kernel_outputs(op_type, version, *inputs, **attributes)
    for threads in (1, 2):
        constants = range(1, len(inputs))
        (actual,) = bind_and_run(op_type, version, *inputs, constants=constants, threads=threads, **attributes)
        assert_same(actual, expected, rtol=1e-5, atol=1e-4)


@FEW
@given(lengths, lengths, scales, scales, st.sampled_from(COORDINATES), st.sampled_from(NEAREST), st.data())
def test_nearest(height: int, width: int, up: float, along: float, coordinates: str, nearest: str, data: Any) -> None:
    x = numbers(2, 3, height, width, dtype=data.draw(st.sampled_from([np.float32, np.uint8, np.int64])))
    attributes = {"mode": "nearest", "coordinate_transformation_mode": coordinates, "nearest_mode": nearest}
    if int(height * up) and int(width * along):
        check("Resize", 19, x, None, np.array([1, 1, up, along], np.float32), **attributes)
    sizes = np.array([2, 3, data.draw(lengths), data.draw(lengths)])
    check("Resize", 13, x, None, None, sizes, **attributes)


@FEW
@given(lengths, lengths, scales, scales, st.sampled_from(COORDINATES), st.data())
def test_linear(height: int, width: int, up: float, along: float, coordinates: str, data: Any) -> None:
    attributes = {"mode": "linear", "coordinate_transformation_mode": coordinates}
    if int(height * up) and int(width * along):
        x, factors = numbers(2, 3, height, width), np.array([1, 1, up, along], np.float32)
        check("Resize", 19, x, None, factors, **attributes)
        # The same with the channels last.
        check("Resize", 13, numbers(2, height, width, 5), None, factors[[0, 2, 3, 1]], **attributes)
    sizes = np.array([data.draw(lengths), data.draw(lengths)])
    check("Resize", 18, numbers(2, 3, height, width), None, None, sizes, axes=(2, 3), **attributes)


@FEW
@given(
    lengths,
    lengths,
    scales,
    scales,
    st.sampled_from(["cubic", "linear"]),
    st.sampled_from(COORDINATES),
    st.integers(0, 1),
    st.integers(0, 1),
)
def test_sums_of_many(
    height: int, width: int, up: float, along: float, mode: str, coordinates: str, antialias: int, exclude: int
) -> None:
    attributes = {"mode": mode, "coordinate_transformation_mode": coordinates}
    if int(height * up) and int(width * along):
        factors = np.array([1, 1, up, along], np.float32)
        x = numbers(2, 3, height, width)
        check("Resize", 19, x, None, factors, antialias=antialias, exclude_outside=exclude, **attributes)
        check("Resize", 13, numbers(2, height, width, 5), None, factors[[0, 2, 3, 1]], **attributes)
        check("Resize", 13, numbers(1, 2, 3, height, width), None, np.float32([1, 1, 2, up, along]), **attributes)
        check("Resize", 13, x, None, np.float32([2, 1, 1, along]), **attributes)


def test_infinity_stays_where_it_weighs_something() -> None:
    x = numbers(1, 1, 6, 6)
    x[0, 0, 2, 3] = np.inf
    check("Resize", 19, x, None, np.float32([1, 1, 2, 2]), mode="cubic")


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("factors", [(1, 1, 2, 2), (1, 1, 3, 3), (1, 1, 1, 2.5), (1, 1, 0.6, 1)])
def test_versions(mode: str, factors: tuple[float, ...]) -> None:
    x, given_scales = numbers(1, 2, 7, 40), np.array(factors, np.float32)
    check("Resize", 11, x, np.zeros(0, np.float32), given_scales, mode=mode)
    check("Resize", 10, x, given_scales, mode=mode)
    check("Upsample", 9, x, given_scales, mode=mode)
    check("Upsample", 7, x, scales=factors, mode=mode)
    old = {"nearest": "nearest", "linear": "bilinear"}[mode]
    check("Upsample", 1, x, height_scale=factors[2], width_scale=factors[3], mode=old)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.int64])
@pytest.mark.parametrize("factor", [2, 3, 4, 5])
def test_whole_factors_of_long_rows(dtype: Any, factor: int) -> None:
    x, factors = numbers(3, 5, 70, dtype=dtype), np.array([1, factor, factor], np.float32)
    check("Resize", 13, x, None, factors, coordinate_transformation_mode="asymmetric", nearest_mode="floor")


def test_declines_what_it_does_not_serve() -> None:
    x, factors = numbers(1, 1, 4, 4), np.array([1, 1, 2, 2], np.float32)
    for value, given_scales, attributes in (
        (x.astype(np.uint8), factors, {"mode": "linear"}),
        (x, factors * 2, {"mode": "linear"}),
        (x, factors, {"coordinate_transformation_mode": "tf_crop_and_resize"}),
        (x, factors[:2], {}),
    ):
        with pytest.raises((KernelDeclined, ValueError)):
            bind_and_run("Resize", 19, value, None, given_scales, constants=(2,), **attributes)
    with pytest.raises(KernelDeclined):
        bind_and_run("Resize", 19, x, None, factors)
