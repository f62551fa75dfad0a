"""NonMaxSuppression, NonZero and Compress, compiled and in the reference: results whose lengths a run finds out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import parser

import onnxlite
from onnxlite.conformance.compiled import KernelDeclined, bind_and_run
from onnxlite.conformance.differential import kernel_outputs
from onnxlite.kernels.arrays import Array

_SETTINGS = settings(max_examples=60, deadline=None, derandomize=True)


def _check(op_type: str, version: int, *inputs: Array | None, constants: Any = (), **attributes: Any) -> None:
    expected = kernel_outputs(op_type, version, *inputs, **attributes)[0]
    for threads in (1, 2):
        (actual,) = bind_and_run(op_type, version, *inputs, constants=constants, threads=threads, **attributes)
        assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
        np.testing.assert_array_equal(actual, expected)


@_SETTINGS
@given(
    st.integers(0, 999),
    st.sampled_from([1, 2]),
    st.sampled_from([1, 3, 20]),
    st.sampled_from([1, 7, 200]),
    st.sampled_from([1, 5, 1000]),
    st.sampled_from([None, 0.0, 0.3, 1.0]),
    st.sampled_from([None, 0.25, 0.9]),
    st.integers(0, 1),
)
def test_non_max_suppression(
    seed: int, images: int, classes: int, count: int, limit: int, overlap: Any, least: Any, centered: int
) -> None:
    rng = np.random.default_rng(seed)
    boxes = rng.integers(0, 9, (images, count, 4)).astype(np.float32)  # of the same corners, and empty ones, too
    scores = (rng.integers(0, 9, (images, classes, count)) / 8).astype(np.float32)
    if seed % 3 == 0:
        scores[rng.random(scores.shape) < 0.1] = np.nan
    thresholds = [None if number is None else np.float32([number]) for number in (overlap, least)]
    inputs = (boxes, scores, np.array([limit], np.int64), *thresholds)
    _check("NonMaxSuppression", 11, *inputs, constants=(2, 3, 4), center_point_box=centered)


def test_without_a_limit_nothing_is_selected_and_nothing_compiled() -> None:
    boxes, scores = np.zeros((1, 3, 4), np.float32), np.zeros((1, 1, 3), np.float32)
    with pytest.raises(KernelDeclined, match="none are wanted"):
        bind_and_run("NonMaxSuppression", 11, boxes, scores)
    with pytest.raises(KernelDeclined, match="not known"):
        bind_and_run("NonMaxSuppression", 11, boxes, scores, np.array([1]))


@_SETTINGS
@given(
    st.integers(0, 999),
    st.sampled_from([(1,), (9,), (3, 4), (2, 3, 5)]),
    st.sampled_from([np.bool_, np.float32, np.float64, np.int64, np.int32, np.uint8]),
)
def test_non_zero(seed: int, shape: tuple[int, ...], dtype: Any) -> None:
    x = np.random.default_rng(seed).integers(0, 3, shape).astype(dtype)
    if x.dtype.kind == "f":
        x.reshape(-1)[0] = -0.0 if seed % 2 else np.nan
    _check("NonZero", 13, x)


@_SETTINGS
@given(st.integers(0, 999), st.sampled_from([np.float32, np.int64, np.uint8]), st.sampled_from([None, 0, -3]))
def test_compress(seed: int, dtype: Any, axis: int | None) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 99, (5, 2, 3)).astype(dtype)
    condition = rng.random(rng.integers(1, 9)) < 0.5
    _check("Compress", 11, x, condition, **({} if axis is None else {"axis": axis}))


def test_runs_of_one_shape_give_results_of_several_lengths() -> None:
    model = parser.parse_model(
        '<ir_version: 10, opset_import: ["": 18]> g (float[4] x) => (int64[1, N] i, float[1, N] y) '
        "{ p = Relu(x) i = NonZero(p) f = Cast<to = 1>(i) y = Neg(f) }"
    )
    options = onnxlite.SessionOptions()
    options.add_session_config_entry("session.compile", "wait")
    session = onnxlite.InferenceSession(model.SerializeToString(), options)
    for x in ([1, 0, 2, 0], [0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 5]):
        i, y = session.run(None, {"x": np.float32(x)})
        expected = np.flatnonzero(x)[None]
        np.testing.assert_array_equal(i, expected)
        np.testing.assert_array_equal(y, -expected.astype(np.float32))
        assert i.flags.owndata
