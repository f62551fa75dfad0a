"""Convolutions with a filter per channel, against the reference."""

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
from onnxlite.kernels.numba.spec import Bound

sys.path.append(str(Path(__file__).parent))
from guarded_memory import run_alike
from image_kernels import ACTIVATIONS, answer, noise, reference, window_attributes

SETTINGS = settings(max_examples=150, deadline=None, derandomize=True)


def check(x: Array, w: Array, b: Array | None = None, residual: Array | None = None, **attributes: Any) -> None:
    attributes = {"group": x.shape[-1], **attributes}
    bound = answer("Conv", x, w, b, residual, **attributes)
    assert isinstance(bound, Bound), bound
    assert bound.function.__name__ == "convolve_depthwise"
    actual, expected = run_alike(bound, (x, w, b, residual)), reference("Conv", x, w, b, residual, **attributes)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4, strict=True)


@SETTINGS
@given(st.data(), st.sampled_from([1, 2]))
def test_random_convolutions(data: st.DataObject, axes: int) -> None:
    # Every kind of windows along the last axis is compiled on its own: there are few here.
    spatial = (*(data.draw(st.integers(1, 14)) for _ in range(axes - 1)), data.draw(st.sampled_from([3, 7, 8, 13])))
    kernel = (*(data.draw(st.integers(1, 5)) for _ in range(axes - 1)), 3)
    channels = data.draw(st.sampled_from([2, 3, LANES - 1, LANES, LANES + 1, 2 * LANES, 2 * LANES + 3]))
    x = noise(data.draw(st.integers(1, 2)), *spatial, channels)
    w, b = noise(channels, 1, *kernel), data.draw(st.sampled_from([None, noise(channels)]))
    attributes = data.draw(window_attributes(spatial, kernel))
    if "strides" in attributes:
        attributes["strides"] = (*attributes["strides"][:-1], min(2, attributes["strides"][-1]))
    try:
        shape = reference("Conv", x, w, group=channels, **attributes).shape
    except ValueError:
        assume(False)
    residual = noise(*shape) if data.draw(st.booleans()) else None
    check(x, w, b, residual, **attributes, **data.draw(st.sampled_from(ACTIVATIONS)))


@pytest.mark.parametrize("width", range(1, 14))
@pytest.mark.parametrize("channels", [3, LANES + 2])
def test_every_number_of_columns_with_and_without_a_border(width: int, channels: int) -> None:
    w = noise(channels, 1, 3, 3)
    check(noise(1, 4, width, channels), w, noise(channels), pads=(1, 1, 1, 1))
    check(noise(1, 4, width, channels), w, pads=(1, 2, 1, 2), strides=(2, 2), dilations=(1, 2))
    if width >= 3:
        check(noise(1, 4, width, channels), w)


@pytest.mark.parametrize("channels", [3, LANES])
def test_windows_that_lie_in_the_padding_altogether(channels: int) -> None:
    x, w = noise(1, 2, 2, channels), noise(channels, 1, 2, 2)
    check(x, w, noise(channels), pads=(5, 5, 5, 5))
    check(x, w, pads=(4, 0, 0, 4), strides=(1, 3), dilations=(2, 1), activation="Sigmoid")
    check(noise(1, 1, 1, channels), noise(channels, 1, 3, 3), pads=(0, 9, 9, 0), dilations=(3, 4))


@pytest.mark.parametrize("channels", [5, LANES + 1])
@pytest.mark.parametrize("special", [np.nan, np.inf, -0.0])
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_special_numbers_stay_where_they_are(special: float, activation: dict[str, Any], channels: int) -> None:
    x = noise(1, 7, 9, channels)
    x[0, 3, 4, 1] = special
    check(x, noise(channels, 1, 3, 3), noise(channels), noise(1, 7, 9, channels), pads=(1, 1, 1, 1), **activation)


def test_many_rows_are_divided_among_threads() -> None:
    check(noise(2, 90, 40, 40), noise(40, 1, 3, 3), noise(40), pads=(1, 1, 1, 1), activation="Relu")


def test_windows_of_any_width_are_compiled() -> None:
    x, w = noise(1, 1, 60, 5), noise(5, 1, 1, 50)
    bound = answer("Conv", x, w, None, None, group=5)
    assert isinstance(bound, Bound), bound
    np.testing.assert_allclose(
        run_alike(bound, (x, w, None, None)), reference("Conv", x, w, group=5), rtol=1e-4, atol=1e-4, strict=True
    )
