"""Rows of patches times packed weights: every height and width of a tile, every edge."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numba.convolution.patch import ADD_RESIDUAL, ADD_RESIDUAL_LAST
from onnxlite.kernels.numba.convolution.patch_product import multiply_patches, pack_filters, padded_bias, panel_width
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.memory import address
from onnxlite.kernels.numba.machine.simd import HALF_ROWS, LANES, TILE_COLUMNS, TILE_ROWS

sys.path.append(str(Path(__file__).parent))
from guarded_memory import GuardedMemory

SETTINGS = settings(max_examples=150, deadline=None, derandomize=True)
ROWS = sorted(
    {1, 2, HALF_ROWS - 1, HALF_ROWS, HALF_ROWS + 1, TILE_ROWS - 1, TILE_ROWS, TILE_ROWS + 1, 2 * TILE_ROWS + 3}
)
COLUMNS = sorted(
    {1, LANES - 1, LANES, LANES + 1, TILE_COLUMNS - 1, TILE_COLUMNS, TILE_COLUMNS + 1, 2 * TILE_COLUMNS + LANES}
)


def product(
    a: Array,
    starts: Array,
    taps: Array,
    run: int,
    w: Array,
    *,
    first: int = 0,
    part: tuple[int, int] | None = None,
    extra: int = 0,
    tap_step: int = 99,
    bias: Array | None = None,
    residual: Array | None = None,
    residual_last: bool = False,
    limits: tuple[float, float] = (-np.inf, np.inf),
) -> Array:
    """The rows from ``first`` on times some panels of the weights (filters, taps * run), on guarded memory."""
    memory = GuardedMemory()
    columns, rows = len(w), len(starts) - first
    left, right = part or (0, columns)
    table = np.concatenate([starts, np.repeat(starts[-1:], TILE_ROWS)]).astype(np.int64)
    packed = memory.array((pack_filters(w, 1).size,), np.float32, pack_filters(w, 1).reshape(-1))
    stride = columns + extra
    c = memory.array((rows * stride,), np.float32)
    spare = memory.array((TILE_ROWS * TILE_COLUMNS,), np.float32)
    image = memory.array(a.shape, np.float32, a)
    shifts = (
        None
        if bias is None
        else memory.array((padded_bias(bias, columns).size,), np.float32, padded_bias(bias, columns).reshape(-1))
    )
    others = None
    if residual is not None:
        others = memory.array((rows * stride,), np.float32)
        others.reshape(rows, stride)[:, :columns] = residual
    multiply(
        image, table[first:], rows, taps.astype(np.int64), run, packed, columns, left, right, c, stride, tap_step,
        NOTHING if shifts is None else shifts, NOTHING if others is None else others,
        (ADD_RESIDUAL_LAST if residual_last else ADD_RESIDUAL) if others is not None else 0,
        np.float32(limits[0]), np.float32(limits[1]), spare,
    )  # fmt: skip
    memory.check()
    result = c.reshape(rows, stride)
    written = np.zeros((rows, stride), bool)
    written[:, left:right] = True
    assert np.isnan(result[~written]).all(), "other columns were written to"
    return result[:, left:right]


NOTHING = np.empty(0, np.float32)


@jit
def multiply(  # type: ignore[no-untyped-def]
    a, starts, rows, taps, run, b, columns, left, right, c, stride, tap_step, bias, residual, then, low, high, spare,
):  # fmt: skip
    multiply_patches(
        address(a, 0), address(starts, 0), rows, address(taps, 0), taps.size, run, address(b, 0), columns, left, right,
        address(c, 0), stride, tap_step, address(bias, 0) if bias.size else 0,
        address(residual, 0) if residual.size else 0, then, low, high, address(spare, 0),
    )  # fmt: skip


def expected(a: Array, starts: Array, taps: Array, run: int, w: Array) -> Array:
    index = starts[:, None, None] + taps[None, :, None] + np.arange(run)
    patches = a[index].reshape(len(starts), -1)
    return np.asarray(patches.astype(np.float64) @ w.T.astype(np.float64))


def noise(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("columns", COLUMNS)
def test_every_height_and_width(rows: int, columns: int) -> None:
    """A plain product of matrices: one tap."""
    a, w = noise(rows * 7), noise(columns, 7)
    starts, taps = np.arange(rows) * 7, np.zeros(1)
    np.testing.assert_allclose(
        product(a, starts, taps, 7, w), a.reshape(rows, 7).astype(np.float64) @ w.T, rtol=1e-5, atol=1e-5
    )


@SETTINGS
@given(st.data())
def test_rows_anywhere_with_taps_in_steps(data: st.DataObject) -> None:
    rows, columns = data.draw(st.integers(1, 2 * TILE_ROWS + 1)), data.draw(st.integers(1, 2 * TILE_COLUMNS + 1))
    run, count = data.draw(st.sampled_from([1, 2, 5])), data.draw(st.integers(1, 6))
    a, w = noise(200), noise(columns, run * count)
    taps = np.array(data.draw(st.lists(st.integers(0, 60), min_size=count, max_size=count)))
    starts = np.array(data.draw(st.lists(st.integers(0, 130), min_size=rows, max_size=rows)))
    panels = -(-columns // TILE_COLUMNS)
    left = data.draw(st.integers(0, panels - 1)) * TILE_COLUMNS
    right = data.draw(st.sampled_from([min(columns, left + TILE_COLUMNS), columns]))
    first = data.draw(st.integers(0, rows - 1))
    actual = product(
        a,
        starts,
        taps,
        run,
        w,
        first=first,
        part=(left, right),
        extra=data.draw(st.sampled_from([0, 3])),
        tap_step=data.draw(st.integers(1, 7)),
    )
    np.testing.assert_allclose(actual, expected(a, starts, taps, run, w)[first:, left:right], rtol=1e-5, atol=1e-5)


def test_infinity_and_nan_stay_in_their_rows_and_columns() -> None:
    a, w = noise(5 * 4).reshape(5, 4), noise(LANES + 3, 4)
    a[1, 2], a[3, 0], w[2, 1] = np.inf, np.nan, np.inf
    actual = product(a.reshape(-1), np.arange(5) * 4, np.zeros(1), 4, w)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(actual, a @ w.T, rtol=1e-5, atol=1e-5)


@SETTINGS
@given(
    st.sampled_from(ROWS),
    st.sampled_from(COLUMNS),
    st.booleans(),
    st.sampled_from([None, False, True]),
    st.sampled_from([(-np.inf, np.inf), (0, np.inf), (-0.5, 0.5)]),
    st.integers(1, 3),
)
def test_bias_residual_and_limits_follow_the_product(
    rows: int,
    columns: int,
    with_bias: bool,
    residual_last: bool | None,
    limits: tuple[float, float],
    tap_step: int,
) -> None:
    a, w = noise(rows * 6), noise(columns, 6)
    a[0], w[-1, -1] = np.nan, np.inf
    bias = noise(columns) if with_bias else None
    residual = None if residual_last is None else noise(rows, columns)
    actual = product(
        a,
        np.arange(rows) * 6,
        np.array([0, 2, 4]),
        2,
        w,
        extra=2,
        tap_step=tap_step,
        bias=bias,
        residual=residual,
        residual_last=bool(residual_last),
        limits=limits,
    )
    with np.errstate(all="ignore"):
        sums = a.reshape(rows, 6).astype(np.float64) @ w.T.astype(np.float64)
        sums += 0 if bias is None else bias
        sums += residual if residual is not None and not residual_last else 0
        sums = np.clip(sums, *limits)
        sums += residual if residual is not None and residual_last else 0
    np.testing.assert_allclose(actual, sums, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("columns", range(1, 2 * TILE_COLUMNS + 2))
def test_weights_are_packed_in_panels(columns: int) -> None:
    w = noise(2 * columns, 3, 2, 2)
    packed = pack_filters(w, 2)
    depth, panels = 12, -(-columns // TILE_COLUMNS)
    assert packed.shape == (2, depth * ((panels - 1) * TILE_COLUMNS + panel_width(columns)))
    rows = np.moveaxis(w, 1, -1).reshape(2, columns, depth)
    for group in range(2):
        for panel in range(panels):
            left = panel * TILE_COLUMNS
            width = TILE_COLUMNS if panel < panels - 1 else panel_width(columns)
            matrix = packed[group, left * depth : (left + width) * depth].reshape(depth, width)
            filled = min(width, columns - left)
            np.testing.assert_array_equal(matrix[:, :filled], rows[group, left : left + filled].T)
            assert not matrix[:, filled:].any()
