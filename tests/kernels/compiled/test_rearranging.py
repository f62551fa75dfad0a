"""Operators that mark, mirror, scatter or cut, and windows with places, compiled and in the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.compiled import bind_and_run
from onnxlite.conformance.differential import assert_same, kernel_outputs
from onnxlite.kernels.arrays import Array

_SETTINGS = settings(max_examples=60, deadline=None, derandomize=True)
_SEEDS = st.integers(0, 9999)


def _check(
    op_type: str,
    version: int,
    *inputs: Array | None,
    rtol: float = 0,
    outputs: int = 1,
    constants: Any = (),
    **given: Any,
) -> None:
    expected = kernel_outputs(op_type, version, *inputs, **given)
    for threads in (1, 2):
        actual = bind_and_run(
            op_type, version, *inputs, constants=constants, threads=threads, output_count=outputs, **given
        )
        for one, other in zip(actual, expected, strict=False):
            assert_same(one, other, rtol=rtol, atol=rtol)


@_SETTINGS
@given(
    _SEEDS,
    st.sampled_from([9, 11]),
    st.sampled_from([np.int64, np.int32, np.float32]),
    st.sampled_from([np.float32, np.int64, np.bool_]),
    st.sampled_from([(), (3,), (2, 3, 4)]),
)
def test_one_hot(seed: int, version: int, indices: Any, dtype: Any, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(seed)
    x = np.array(rng.integers(-6, 7, shape), indices)
    values = np.array([0, 1], dtype) if seed % 2 else np.array([1, 0], dtype)
    axis = int(rng.integers(-len(shape) - 1, len(shape) + 1))
    _check("OneHot", version, x, np.array([5]), values, constants=(1,), axis=axis)


@_SETTINGS
@given(_SEEDS, st.sampled_from([11, 13]), st.sampled_from([np.float32, np.float64]), st.integers(-3, 2))
def test_hardmax(seed: int, version: int, dtype: Any, axis: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 4, (2, 3, 5)).astype(dtype)
    if seed % 3 == 0:
        x[rng.random(x.shape) < 0.2] = np.nan
    _check("Hardmax", version, x, axis=axis)


@_SETTINGS
@given(
    _SEEDS,
    st.sampled_from([(3, 4), (1, 1), (2, 5, 3)]),
    st.sampled_from([np.float32, np.int64, np.bool_]),
    st.sampled_from([None, 0, 1, -2, 99, -99, 1 << 40]),
    st.integers(0, 1),
)
def test_trilu(seed: int, shape: tuple[int, ...], dtype: Any, diagonal: int | None, upper: int) -> None:
    x = np.random.default_rng(seed).integers(1, 9, shape).astype(dtype)
    k = None if diagonal is None else np.array(diagonal)
    _check("Trilu", 14, x, k, constants=(1,), upper=upper)


@_SETTINGS
@given(_SEEDS, st.booleans(), st.sampled_from([np.float32, np.int32]))
def test_reverse_sequence(seed: int, batch_first: bool, dtype: Any) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 99, (4, 5, 3)).astype(dtype)
    batch, time = (0, 1) if batch_first else (1, 0)
    lengths = rng.integers(0, x.shape[time] + 1, x.shape[batch])
    _check("ReverseSequence", 10, x, lengths, batch_axis=batch, time_axis=time)


def test_a_length_outside_is_refused() -> None:
    with pytest.raises(ValueError, match="lengths"):
        bind_and_run("ReverseSequence", 10, np.zeros((2, 1), np.float32), np.array([3]))


@_SETTINGS
@given(_SEEDS, st.sampled_from([None, (0,), (1,), (-1,), (0, 2), (1, 2), (0, 1, 2)]), st.integers(0, 1))
def test_reduce_log_sum_exp(seed: int, axes: tuple[int, ...] | None, keepdims: int) -> None:
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal((3, 4, 17)) * 50).astype(np.float32)
    if seed % 2:
        x[rng.random(x.shape) < 0.05] = [np.inf, -np.inf, np.nan][seed % 3]
        x[0, 0] = -np.inf
    given_axes = None if axes is None else np.array(axes)
    _check("ReduceLogSumExp", 18, x, given_axes, constants=(1,), rtol=1e-5, keepdims=keepdims)
    _check("ReduceLogSumExp", 13, x, rtol=1e-5, keepdims=keepdims, **({} if axes is None else {"axes": axes}))


def _windows(rng: np.random.Generator, rank: int) -> dict[str, Any]:
    kernel = tuple(rng.integers(1, 4, rank).tolist())
    pads = tuple(int(rng.integers(0, k)) for k in kernel * 2)
    return {"kernel_shape": kernel, "strides": tuple(rng.integers(1, 3, rank).tolist()), "pads": pads}


@_SETTINGS
@given(_SEEDS, st.integers(1, 3), st.sampled_from([np.float32, np.float64]), st.integers(0, 1))
def test_max_pool_with_indices(seed: int, rank: int, dtype: Any, order: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 5, (2, 2, *rng.integers(3, 7, rank))).astype(dtype)
    if seed % 3 == 0:
        x[rng.random(x.shape) < 0.1] = [np.nan, -np.inf][seed % 2]
    _check("MaxPool", 12, x, outputs=2, storage_order=order, ceil_mode=seed % 2, **_windows(rng, rank))


@_SETTINGS
@given(_SEEDS, st.integers(1, 3), st.booleans())
def test_max_unpool(seed: int, rank: int, larger: bool) -> None:
    rng = np.random.default_rng(seed)
    kernel = (2,) * rank
    x = rng.standard_normal((2, 3, *rng.integers(1, 4, rank) * 2)).astype(np.float32)
    y, places = kernel_outputs("MaxPool", 12, x, kernel_shape=kernel, strides=kernel)
    shape = np.array([*x.shape[:2], *(length + 2 for length in x.shape[2:])]) if larger else None
    _check("MaxUnpool", 11, y, places, shape, constants=(2,), kernel_shape=kernel, strides=kernel)


@_SETTINGS
@given(_SEEDS, st.integers(1, 3), st.sampled_from([np.float32, np.float64]), st.sampled_from([1, 2, 3]))
def test_lp_pool(seed: int, rank: int, dtype: Any, p: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((2, 2, *rng.integers(3, 7, rank))).astype(dtype)
    _check("LpPool", 18, x, rtol=1e-5, p=p, ceil_mode=seed % 2, **_windows(rng, rank))
    _check("GlobalLpPool", 2, x, rtol=1e-5, p=p)


_REDUCTIONS = st.sampled_from(["none", "add", "mul", "min", "max"])
_NUMBERS = st.sampled_from([np.float32, np.float64, np.int64, np.int32])


def _numbers(rng: np.random.Generator, shape: Any, dtype: Any) -> Array:
    x = rng.integers(-4, 5, shape).astype(dtype)
    if x.dtype.kind == "f" and rng.random() < 0.3:
        x[rng.random(x.shape) < 0.2] = np.nan
    return x


@_SETTINGS
@given(_SEEDS, _REDUCTIONS, _NUMBERS, st.integers(-3, 2), st.booleans())
def test_scatter_elements(seed: int, reduction: str, dtype: Any, axis: int, whole: bool) -> None:
    rng = np.random.default_rng(seed)
    shape = (3, 4, 5)
    part = tuple(n if whole and i != axis % 3 else int(rng.integers(1, n + 1)) for i, n in enumerate(shape))
    indices = rng.integers(-shape[axis], shape[axis], part)
    if reduction == "none":  # of several updates to one place, any may stay where they are not one thread's
        indices = np.argsort(rng.random(part), axis=axis) % shape[axis]
    data, updates = _numbers(rng, shape, dtype), _numbers(rng, part, dtype)
    _check("ScatterElements", 18, data, indices, updates, axis=axis, reduction=reduction)


@_SETTINGS
@given(_SEEDS, _REDUCTIONS, _NUMBERS, st.integers(1, 3))
def test_scatter_nd(seed: int, reduction: str, dtype: Any, depth: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (3, 4, 5)
    indices = np.stack([rng.integers(-n, n, 6) for n in shape[:depth]], axis=-1)
    data, updates = _numbers(rng, shape, dtype), _numbers(rng, (6, *shape[depth:]), dtype)
    _check("ScatterND", 18, data, indices, updates, reduction=reduction)


def test_indices_outside_are_refused() -> None:
    data, updates = np.zeros((2, 2), np.float32), np.ones((1, 1), np.float32)
    with pytest.raises(IndexError):
        bind_and_run("ScatterElements", 18, data, np.array([[2]]), updates, reduction="add")
    with pytest.raises(IndexError):
        bind_and_run("ScatterND", 18, data, np.array([[0, 5]]), np.ones(1, np.float32), reduction="add")
    x = np.ones((1, 1, 1), np.float32)
    with pytest.raises(IndexError):
        bind_and_run("MaxUnpool", 11, x, np.array([[[9]]]), kernel_shape=(2,), strides=(2,))
