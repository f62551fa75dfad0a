"""Random tensors, all drawn from the generator of their node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from onnxlite.kernels import casting
from onnxlite.kernels.arrays import Array, array_namespace, widen
from onnxlite.kernels.dtypes import dtype_of
from onnxlite.kernels.numpy.table import op

_FLOAT, _INT32, _INT64 = 1, 6, 7

Doubles = npt.NDArray[np.float64]


@op("RandomNormal")
def random_normal(
    *, dtype: int = _FLOAT, mean: float = 0.0, scale: float = 1.0, shape: Sequence[int], rng: np.random.Generator
) -> Array:
    """Normal variates of a mean and a standard deviation ``scale`` (ONNX RandomNormal-22)."""
    return _as_floats(rng.normal(mean, scale, tuple(shape)), dtype_of(dtype))


@op("RandomNormalLike")
def random_normal_like(
    x: Array, *, dtype: int | None = None, mean: float = 0.0, scale: float = 1.0, rng: np.random.Generator
) -> Array:
    """RandomNormal in the shape of ``x``, and in its type unless one is given (ONNX RandomNormalLike-22)."""
    return array_namespace(x).asarray(_as_floats(rng.normal(mean, scale, x.shape), _type_like(x, dtype)))


@op("RandomUniform")
def random_uniform(
    *, dtype: int = _FLOAT, high: float = 1.0, low: float = 0.0, shape: Sequence[int], rng: np.random.Generator
) -> Array:
    """Uniform variates in [low, high) (ONNX RandomUniform-22)."""
    return _as_floats(rng.uniform(low, high, tuple(shape)), dtype_of(dtype))


@op("RandomUniformLike")
def random_uniform_like(
    x: Array, *, dtype: int | None = None, high: float = 1.0, low: float = 0.0, rng: np.random.Generator
) -> Array:
    """RandomUniform in the shape of ``x``, and in its type unless one is given (ONNX RandomUniformLike-22)."""
    return array_namespace(x).asarray(_as_floats(rng.uniform(low, high, x.shape), _type_like(x, dtype)))


@op("Bernoulli", since=15)
def bernoulli(x: Array, *, dtype: int | None = None, rng: np.random.Generator) -> Array:
    """1 with the probability that ``x`` holds, else 0, in the type of ``x`` unless one is given (ONNX Bernoulli-22)."""
    drawn = array_namespace(x).asarray(rng.random(x.shape)) < widen(x)
    return casting.cast(drawn, _type_like(x, dtype))


@op("Multinomial", since=7)
def multinomial(x: Array, *, dtype: int = _INT32, sample_size: int = 1, rng: np.random.Generator) -> Array:
    """Outcomes drawn by their unnormalised log-probabilities, (batch, classes) to (batch, samples) (Multinomial-22)."""
    if x.ndim != 2 or x.shape[1] == 0:
        raise ValueError(f"the input must have the shape [batch, classes] with at least one class, got {x.shape}")
    if dtype not in (_INT32, _INT64):
        raise ValueError(f"dtype must be int32 or int64, got {dtype_of(dtype)}")
    xp = array_namespace(x)
    x = x.astype(np.float64)
    cumulative = xp.exp(x - x.max(axis=1, keepdims=True)).cumsum(axis=1)
    targets = xp.asarray(rng.random((x.shape[0], sample_size))) * cumulative[:, -1:]
    outcomes = xp.empty(targets.shape, dtype=dtype_of(dtype))
    for row, (steps, target) in enumerate(zip(cumulative, targets, strict=True)):
        outcomes[row] = xp.searchsorted(steps, target, side="right")
    return xp.minimum(outcomes, x.shape[1] - 1)


def _type_like(x: Array, dtype: int | None) -> np.dtype[Any]:
    return np.dtype(x.dtype) if dtype is None else dtype_of(dtype)


def _as_floats(values: Doubles | float, dtype: np.dtype[Any]) -> Array:
    if not casting.is_float(dtype):
        raise ValueError(f"random variates need a floating-point type, got {dtype}")
    return np.asarray(values).astype(dtype)
