"""Convolutions with the channels last, as products of rows where they lie, against the reference."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.geometry import windows
from onnxlite.kernels.numba.convolution import direct
from onnxlite.kernels.numba.convolution.direct import bind_convolution, convolve
from onnxlite.kernels.numba.machine.simd import LANES, TILE_COLUMNS, TILE_ROWS
from onnxlite.kernels.numba.product.epilogue import Epilogue
from onnxlite.kernels.numba.spec import ArraySpec, Bound, Declined

sys.path.append(str(Path(__file__).parent))
from guarded_memory import run_alike
from image_kernels import ACTIVATIONS, answer, noise, reference, window_attributes

SETTINGS = settings(max_examples=120, deadline=None, derandomize=True)


def check(x: Array, w: Array, b: Array | None = None, residual: Array | None = None, **attributes: Any) -> None:
    bound = answer("Conv", x, w, b, residual, **attributes)
    assert isinstance(bound, Bound), bound
    actual, expected = run_alike(bound, (x, w, b, residual)), reference("Conv", x, w, b, residual, **attributes)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4, strict=True)


@SETTINGS
@given(st.data(), st.sampled_from([1, 2, 2, 3]))
def test_random_convolutions(data: st.DataObject, axes: int) -> None:
    spatial = tuple(data.draw(st.lists(st.integers(1, 9 if axes < 3 else 4), min_size=axes, max_size=axes)))
    kernel = tuple(data.draw(st.integers(1, 3)) for _ in spatial)
    group = data.draw(st.sampled_from([1, 1, 2, 3]))
    channels = group * data.draw(st.sampled_from([1, 2, 3, LANES]))
    filters = group * data.draw(st.sampled_from([1, 3, LANES, LANES + 1, TILE_COLUMNS + 5]))
    x = noise(data.draw(st.integers(1, 2)), *spatial, channels)
    w, b = noise(filters, channels // group, *kernel), data.draw(st.sampled_from([None, noise(filters)]))
    attributes = {"group": group, **data.draw(window_attributes(spatial, kernel))}
    try:
        shape = reference("Conv", x, w, **attributes).shape
    except ValueError:
        assume(False)
    residual = noise(*shape) if data.draw(st.booleans()) else None
    check(x, w, b, residual, **attributes, **data.draw(st.sampled_from(ACTIVATIONS)))


@pytest.mark.parametrize("rows", [1, 2, TILE_ROWS, 8 * TILE_ROWS - 1, 8 * TILE_ROWS, 8 * TILE_ROWS + 1, 150])
@pytest.mark.parametrize("filters", [1, 20, TILE_COLUMNS * 3 + 1])
def test_pointwise_convolutions_of_every_number_of_positions(rows: int, filters: int) -> None:
    check(noise(1, rows, 5), noise(filters, 5, 1), noise(filters), noise(1, rows, filters), activation="Relu")


def test_deep_convolutions_take_the_taps_in_several_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    for step in (1, 3 * 4 * TILE_COLUMNS * 5):
        monkeypatch.setattr(direct, "_STEP_BYTES", step)
        check(noise(1, 9, 8, 5), noise(40, 5, 3, 3), noise(40), pads=(1, 1, 1, 1), dilations=(1, 2))
    check(noise(1, 3, 3, 700), noise(9, 700, 3, 3), pads=(1, 1, 1, 1), strides=(2, 2))


def test_both_images_of_a_batch_are_padded_and_have_residuals_of_their_own() -> None:
    x, w = noise(3, 5, 6, 4), noise(6, 4, 3, 3)
    check(x, w, None, noise(3, 5, 6, 6), pads=(1, 1, 1, 1))


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf, -0.0, 1e-45])
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_special_numbers_stay_where_they_are(special: float, activation: dict[str, Any]) -> None:
    x = noise(1, 5, 5, 3)
    x[0, 2, 2, 1] = special
    check(x, noise(20, 3, 2, 2), noise(20), **activation)
    y = noise(1, 5, 5, 20)
    y[0, 1, 1, 1] = special
    check(x, noise(20, 3, 1, 1), None, y, **activation)


def test_the_way_that_suits_is_chosen() -> None:
    image = noise(1, 16, 16, 32)
    ways: list[tuple[str, Array, dict[str, Any]]] = [
        ("winograd", noise(32, 32, 3, 3), {"pads": (1, 1, 1, 1)}),
        ("convolve", noise(32, 32, 3, 3), {"pads": (1, 1, 1, 1), "strides": (2, 2)}),
        ("convolve", noise(32, 32, 1, 1), {}),
        ("convolve", noise(32, 16, 3, 3), {"group": 2}),
        ("convolve", noise(64, 1, 3, 3), {"group": 32}),
        ("convolve_depthwise", noise(32, 1, 3, 3), {"group": 32}),
    ]
    for name, w, attributes in ways:
        bound = answer("Conv", image, w, **attributes)
        assert isinstance(bound, Bound)
        assert bound.function.__name__ == name


def test_every_kind_of_bias_and_residual_uses_the_same_code() -> None:
    x, w = noise(1, 6, 6, 3), noise(5, 3, 3, 3)
    for b in (None, noise(5)):
        for residual in (None, noise(1, 4, 4, 5)):
            check(x, w, b, residual)
            check(noise(1, 6, 6, 5), noise(5, 1, 3, 3), b, residual, group=5)
    assert len(convolve.signatures) == 1


def test_three_by_three_kernels_of_many_channels_without_winograd() -> None:
    x, w = noise(2, 7, 6, 33), noise(50, 33, 3, 3)
    where = windows((7, 6), (3, 3), pads=(1, 1, 1, 1))
    bound = bind_convolution(
        ArraySpec(x.shape, x.dtype),
        w,
        None,
        np.empty(0, np.float32),
        where,
        1,
        Epilogue(0, 0, np.float32(0), np.float32(0)),
    )
    expected = reference("Conv", x, w, pads=(1, 1, 1, 1))
    np.testing.assert_allclose(run_alike(bound, (x,)), expected, rtol=1e-4, atol=1e-4)


X, W = noise(1, 4, 4, 3), noise(5, 3, 2, 2)


@pytest.mark.parametrize(
    ("inputs", "attributes"),
    [
        ((X.astype(np.float64), W.astype(np.float64)), {}),
        ((X, W.astype(np.float64)), {}),
        ((noise(4, 3), noise(5, 3)), {}),
        ((noise(1, 2, 2, 2, 2, 3), noise(5, 3, 1, 1, 1, 1)), {}),
        ((X[:0], W), {}),
        ((X, W[:0]), {}),
        ((X, noise(5, 4, 2, 2)), {}),
        ((X, noise(5, 3, 2)), {}),
        ((X, noise(5, 1, 2, 2)), {"group": 3}),
        ((X, W), {"kernel_shape": (3, 3)}),
        ((X, W, noise(4)), {}),
        ((X, W, None, noise(1, 1, 1, 5)), {}),
        ((X, W, None, noise(1, 3, 3, 5).astype(np.float64)), {}),
        ((X, W), {"activation": "Exp"}),
    ],
)
def test_what_is_declined(inputs: tuple[Array, ...], attributes: dict[str, Any]) -> None:
    refused = answer("Conv", *inputs, **attributes)
    assert isinstance(refused, Declined)
    assert refused.reason


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("group", [1, 2])
def test_rows_that_the_first_cache_cannot_hold_are_copied(stride: int, group: int) -> None:
    channels = 1024 // stride
    x, w, b = noise(1, 23 * stride, 12 * stride, channels), noise(512, channels // group, 1, 1) / 32, noise(512)
    residual = noise(1, *reference("Conv", x, w, b, group=group, strides=(stride, stride)).shape[1:])
    check(x, w, b, residual, group=group, strides=(stride, stride), activation="Relu")
    bound = answer("Conv", x, w, b, strides=(stride, stride), group=group)
    layer = next(argument for argument in bound.arguments if isinstance(argument, direct.Layer))
    assert bool(layer.apart) == (layer.filters // layer.splits >= 256)
    assert layer.apart or group == 2
