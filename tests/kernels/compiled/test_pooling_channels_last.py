"""MaxPool and AveragePool on images with the channels last, against the reference."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numba.machine.simd import LANES
from onnxlite.kernels.numba.spec import ArraySpec, Declined
from onnxlite.kernels.numba.table import COMPILED

sys.path.append(str(Path(__file__).parent))
from guarded_memory import run_alike
from image_kernels import answer, noise, reference, window_attributes

SETTINGS = settings(max_examples=150, deadline=None, derandomize=True)
POOLS = ["MaxPool", "AveragePool"]


def check(op: str, x: Array, **attributes: Any) -> None:
    actual, expected = run_alike(answer(op, x, **attributes), (x,)), reference(op, x, **attributes)
    if op == "MaxPool":
        np.testing.assert_array_equal(actual, expected, strict=True)
    else:
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6, strict=True)


@SETTINGS
@given(st.data(), st.sampled_from(POOLS), st.sampled_from([1, 2, 2, 3]))
def test_random_pools(data: st.DataObject, op: str, axes: int) -> None:
    # Every kind of windows along the last axis is compiled on its own: there are few here.
    spatial = (*(data.draw(st.integers(1, 9 if axes < 3 else 5)) for _ in range(axes - 1)), 7)
    kernel = (*(data.draw(st.integers(1, 3)) for _ in range(axes - 1)), 3)
    channels = data.draw(st.sampled_from([1, 2, 3, LANES - 1, LANES, LANES + 1, 2 * LANES + 3]))
    attributes = {"kernel_shape": kernel, **data.draw(window_attributes(spatial, kernel))}
    if "strides" in attributes:
        attributes["strides"] = (*attributes["strides"][:-1], min(2, attributes["strides"][-1]))
    attributes["ceil_mode"] = data.draw(st.integers(0, 1))
    if op == "AveragePool":
        attributes["count_include_pad"] = data.draw(st.integers(0, 1))
    x = noise(data.draw(st.integers(1, 2)), *spatial, channels)
    try:
        reference(op, x, **attributes)
    except ValueError:
        assume(False)
    check(op, x, **attributes)


@pytest.mark.parametrize("op", POOLS)
@pytest.mark.parametrize("channels", [1, LANES - 1, LANES, LANES + 5])
@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf, 3.4e38])
def test_special_numbers_stay_in_their_windows(op: str, channels: int, special: float) -> None:
    x = noise(1, 6, 7, channels)
    for place in ((0, 0), (2, 3), (5, 6)):
        x[(0, *place, channels // 2)] = special
    check(op, x, kernel_shape=(2, 3), pads=(1, 1, 1, 1))
    x[:] = special
    check(op, x, kernel_shape=(3, 2), pads=(1, 1, 1, 1), strides=(2, 1))


@pytest.mark.parametrize("channels", [2, LANES])
def test_nan_wins_wherever_it_stands_in_a_window(channels: int) -> None:
    for place in range(6):
        x = noise(1, 2, 3, channels)
        x.reshape(6, channels)[place] = np.nan
        assert np.isnan(run_alike(answer("MaxPool", x, kernel_shape=(2, 3)), (x,))).all()


@pytest.mark.parametrize("op", POOLS)
@pytest.mark.parametrize("channels", [1, LANES + 1])
def test_windows_that_lie_in_the_padding_altogether(op: str, channels: int) -> None:
    x = noise(1, 2, 2, channels)
    check(op, x, kernel_shape=(2, 2), pads=(3, 3, 3, 3))
    if op == "AveragePool":
        check(op, x, kernel_shape=(2, 2), pads=(3, 3, 3, 3), count_include_pad=1)


@pytest.mark.parametrize("op", POOLS)
def test_large_images_are_divided_among_threads(op: str) -> None:
    check(op, noise(2, 60, 50, 20), kernel_shape=(3, 3), pads=(1, 1, 1, 1), strides=(2, 2))


@pytest.mark.parametrize("op", POOLS)
def test_what_is_declined(op: str) -> None:
    kernel = COMPILED.find("onnxlite", op, 1)
    assert kernel is not None
    x = noise(1, 4, 4, 3)
    for spec in (
        ArraySpec((1, 4, 4, 3), np.dtype(np.float64)),
        ArraySpec((1, 4, 4, 3), np.dtype(np.int16)),
        ArraySpec((0, 4, 4, 3), x.dtype),
        ArraySpec((1, 2, 2, 2, 2, 3), x.dtype),
        ArraySpec(x.shape, x.dtype, x),
    ):
        assert isinstance(kernel.function(spec, kernel_shape=(2,) * (len(spec.shape) - 2)), Declined)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize("kernel", [(3, 3), (2, 1)])
@pytest.mark.parametrize("channels", [1, 5, 64])
def test_the_largest_bytes(dtype: Any, kernel: tuple[int, int], channels: int) -> None:
    limits = np.iinfo(dtype)
    x = np.random.default_rng(0).integers(limits.min, limits.max, (2, 30, 31, channels), dtype, endpoint=True)
    attributes = {"kernel_shape": kernel, "pads": (1, 0, 1, 0), "strides": (2, 1)}
    expected = reference("MaxPool", x, **attributes)
    np.testing.assert_array_equal(run_alike(answer("MaxPool", x, **attributes), (x,)), expected)


@pytest.mark.parametrize("op", POOLS)
@pytest.mark.parametrize("kernel", [20, 50])
def test_windows_too_wide_for_a_kernel_of_their_own(op: str, kernel: int) -> None:
    check(op, noise(1, 3, 90, LANES + 1), kernel_shape=(1, kernel), strides=(1, 13), pads=(0, 3, 0, 3))
