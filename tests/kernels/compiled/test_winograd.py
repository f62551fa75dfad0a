"""Convolutions by Winograd's minimal filtering, against the reference."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.geometry import windows
from onnxlite.kernels.numba.convolution import winograd as module
from onnxlite.kernels.numba.convolution.winograd import bind_winograd, tile_size
from onnxlite.kernels.numba.machine.simd import LANES, TILE_COLUMNS
from onnxlite.kernels.numba.product.epilogue import COLUMN_BIAS, NO_BIAS, Epilogue, activation_code
from onnxlite.kernels.numba.spec import ArraySpec, Input

sys.path.append(str(Path(__file__).parent))
from guarded_memory import run_alike
from image_kernels import ACTIVATIONS, answer, noise, reference

SETTINGS = settings(max_examples=60, deadline=None, derandomize=True)
ONES = (1, 1, 1, 1)


def computed(
    x: Array,
    w: Array,
    size: int,
    b: Array | None = None,
    residual: Array | None = None,
    *,
    pads: tuple[int, ...] = ONES,
    activation: str = "",
    alpha: float | None = None,
    beta: float | None = None,
    residual_last: int = 0,
) -> Array:
    """The convolution by tiles of a size."""
    code = activation_code(activation, alpha, beta, residual_last=residual_last)
    assert code is not None
    bound = bind_winograd(
        ArraySpec(x.shape, x.dtype),
        w,
        b,
        np.empty(0, np.float32) if residual is None else Input(3, flat=True),
        windows(x.shape[1:3], (3, 3), pads=pads),
        Epilogue(NO_BIAS if b is None else COLUMN_BIAS, *code),
        size,
    )
    return run_alike(bound, (x, w, b, residual))


def check(x: Array, w: Array, size: int, *more: Array | None, **attributes: Any) -> None:
    actual, expected = (
        computed(x, w, size, *more, **attributes),
        reference("Conv", x, w, *more, **{"pads": ONES, **attributes}),
    )
    # The transforms add and subtract multiples of what is summed: the error grows with the size of a tile.
    scale = float(np.abs(reference("Conv", np.abs(x), np.abs(w), pads=attributes.get("pads", ONES))).max())
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=2e-6 * scale, strict=True)


@SETTINGS
@given(st.data(), st.sampled_from([2, 4]))
def test_random_convolutions(data: st.DataObject, size: int) -> None:
    pads = tuple(data.draw(st.integers(0, 2)) for _ in range(4))
    height, width = (data.draw(st.integers(max(1, 3 - pads[i] - pads[i + 2]), 14)) for i in (0, 1))
    channels = data.draw(st.sampled_from([LANES, LANES + 1, 2 * LANES + 3]))
    filters = data.draw(st.sampled_from([LANES, LANES + 1, TILE_COLUMNS, TILE_COLUMNS + LANES + 2]))
    x, w = noise(data.draw(st.integers(1, 2)), height, width, channels), noise(filters, channels, 3, 3)
    shape = (len(x), height + pads[0] + pads[2] - 2, width + pads[1] + pads[3] - 2, filters)
    b = data.draw(st.sampled_from([None, noise(filters)]))
    residual = data.draw(st.sampled_from([None, noise(*shape)]))
    check(x, w, size, b, residual, pads=pads, **data.draw(st.sampled_from(ACTIVATIONS)))


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("length", range(1, 10))
def test_every_number_of_rows_and_columns(length: int, size: int) -> None:
    w = noise(LANES, LANES, 3, 3)
    check(noise(1, length, 5, LANES), w, size)
    check(noise(1, 6, length, LANES), w, size)


@pytest.mark.parametrize("size", [2, 4])
def test_an_image_of_more_tiles_than_fit_the_cache_is_done_in_blocks(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BLOCK_BYTES", 1)
    for height, width in ((9, 11), (24, 5), (1, 30)):
        check(noise(2, height, width, LANES), noise(LANES + 3, LANES, 3, 3), size, noise(LANES + 3))


@pytest.mark.parametrize("size", [2, 4])
def test_small_integers_are_convolved_exactly_enough(size: int) -> None:
    generator = np.random.default_rng(0)
    x = generator.integers(-4, 5, (1, 8, 8, 32)).astype(np.float32)
    w = generator.integers(-2, 3, (32, 32, 3, 3)).astype(np.float32)
    np.testing.assert_array_equal(np.rint(computed(x, w, size)), reference("Conv", x, w, pads=ONES))


def test_the_size_of_the_tiles_depends_on_the_image() -> None:
    def chosen(length: int, channels: int, filters: int | None = None, **attributes: Any) -> int:
        where = windows((length, length), (3, 3), **{"pads": ONES, **attributes})
        return tile_size(where, channels, filters or channels)

    assert chosen(56, 64) == 4
    assert chosen(1, 512) == 0
    assert chosen(56, 8) == 0
    assert chosen(56, 64, 8) == 0
    assert chosen(56, 64, strides=(2, 2)) == 0
    assert chosen(56, 64, dilations=(2, 2)) == 0
    assert tile_size(windows((56, 56), (1, 3)), 64, 64) == 0
    assert tile_size(windows((56,), (3,)), 64, 64) == 0
    assert {chosen(length, 128) for length in range(1, 40)} == {0, 2, 4}


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("activation", ["", "Relu", "Sigmoid"])
@pytest.mark.parametrize("filters", [LANES, TILE_COLUMNS + 3])
def test_special_numbers_stay_where_they_are(size: int, special: float, activation: str, filters: int) -> None:
    x, w = noise(2, 11, 9, LANES + 2), noise(filters, LANES + 2, 3, 3)
    x[1, 4, 5, 2] = special
    b, residual = noise(filters), noise(2, 11, 9, filters)
    actual = computed(x, w, size, b, residual, activation=activation)
    expected = reference("Conv", x, w, b, residual, pads=ONES, activation=activation)
    assert np.isfinite(expected[0]).all()
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("size", [2, 4])
def test_large_images_are_divided_into_blocks_for_one_thread_each(size: int) -> None:
    x, w = noise(2, 120, 131, LANES), noise(LANES + 1, LANES, 3, 3)
    check(x, w, size, noise(LANES + 1), noise(2, 120, 131, LANES + 1), activation="Relu")
    x[1, 7, 8, 3] = np.inf
    actual, expected = computed(x, w, size), reference("Conv", x, w, pads=ONES)
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-3)


def test_weights_that_are_not_finite_are_not_transformed() -> None:
    x, w = noise(1, 16, 16, 32), noise(32, 32, 3, 3)
    assert answer("Conv", x, w, pads=ONES).function.__name__ == "winograd"
    w[3, 4, 1, 2] = np.inf
    bound = answer("Conv", x, w, pads=ONES)
    assert bound.function.__name__ == "convolve"
    np.testing.assert_allclose(
        run_alike(bound, (x, w, None, None)), reference("Conv", x, w, pads=ONES), rtol=1e-3, atol=1e-3
    )
