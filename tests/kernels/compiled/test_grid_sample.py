"""GridSample, compiled and in the reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.compiled import KernelDeclined, bind_and_run
from onnxlite.conformance.differential import assert_same, kernel_outputs


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.integers(0, 9999),
    st.sampled_from([1, 2, 2, 3]),
    st.sampled_from(["nearest", "linear", "cubic"]),
    st.sampled_from(["zeros", "border", "reflection"]),
    st.integers(0, 1),
    st.sampled_from([0.9, 1.5, 9.0]),
)
def test_any_mode_gives_the_reference_s_results(
    seed: int, rank: int, mode: str, padding: str, align: int, reach: float
) -> None:
    rng = np.random.default_rng(seed)
    lengths = tuple(rng.integers(1, 6, rank).tolist())
    x = rng.standard_normal((2, 3, *lengths)).astype(np.float32)
    grid = ((rng.random((2, *rng.integers(1, 13, rank), rank)) * 2 - 1) * reach).astype(np.float32)
    if seed % 5 == 0:
        grid[rng.random(grid.shape) < 0.2] = rng.choice([np.nan, np.inf, -np.inf])
    if seed % 7 == 0:
        x.reshape(-1)[0] = np.inf
    attributes = {"align_corners": align, "mode": mode, "padding_mode": padding}
    expected = kernel_outputs("GridSample", 20, x, grid, **attributes)
    for threads in (1, 2):
        actual = bind_and_run("GridSample", 20, x, grid, threads=threads, **attributes)
        assert_same(actual[0], expected[0], rtol=1e-4, atol=1e-4)


def test_the_names_of_version_16() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 2, 4, 5)).astype(np.float32)
    grid = (rng.random((1, 6, 7, 2)) * 2 - 1).astype(np.float32)
    for mode in ("bilinear", "bicubic", "nearest"):
        expected = kernel_outputs("GridSample", 16, x, grid, mode=mode)
        assert_same(bind_and_run("GridSample", 16, x, grid, mode=mode)[0], expected[0], rtol=1e-5, atol=1e-5)


def test_other_types_and_wrong_grids_are_left_to_the_reference() -> None:
    x, grid = np.zeros((1, 1, 2, 2), np.float32), np.zeros((1, 1, 1, 2), np.float32)
    with pytest.raises(KernelDeclined, match="float64"):
        bind_and_run("GridSample", 20, x.astype(np.float64), grid)
    with pytest.raises(KernelDeclined, match="fit"):
        bind_and_run("GridSample", 20, x, grid[..., :1])
