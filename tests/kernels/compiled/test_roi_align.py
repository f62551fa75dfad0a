"""RoiAlign, compiled and in the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.compiled import bind_and_run
from onnxlite.conformance.differential import assert_same, kernel_outputs


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    st.integers(0, 999),
    st.sampled_from([10, 16, 22]),
    st.sampled_from(["avg", "max"]),
    st.sampled_from([0, 1, 3]),
    st.sampled_from([0.25, 1.0]),
    st.booleans(),
)
def test_any_mode_gives_the_reference_s_results(
    seed: int, version: int, mode: str, ratio: int, scale: float, shifted: bool
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((2, 3, *rng.integers(1, 9, 2))).astype(np.float32)
    rois = (rng.random((5, 4)) * 20 - 5).astype(np.float32)
    if seed % 2:
        rois[:, 2:] = rois[:, :2] + np.abs(rois[:, 2:])
    attributes: dict[str, Any] = {"mode": mode, "output_height": 3, "output_width": 2}
    attributes |= {"sampling_ratio": ratio, "spatial_scale": scale}
    if version >= 16:
        attributes["coordinate_transformation_mode"] = "half_pixel" if shifted else "output_half_pixel"
    batches = rng.integers(0, 2, 5)
    expected = kernel_outputs("RoiAlign", version, x, rois, batches, **attributes)
    for threads in (1, 2):
        actual = bind_and_run("RoiAlign", version, x, rois, batches, threads=threads, **attributes)
        assert_same(actual[0], expected[0], rtol=1e-4, atol=1e-4)


def test_a_batch_index_outside_is_refused() -> None:
    x, rois = np.zeros((1, 1, 2, 2), np.float32), np.zeros((1, 4), np.float32)
    with pytest.raises(IndexError):
        bind_and_run("RoiAlign", 16, x, rois, np.array([1]))
