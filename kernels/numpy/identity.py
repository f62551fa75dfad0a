"""Identity, and Dropout, which is the identity outside of training."""

from __future__ import annotations

import numpy as np

from onnxlite.kernels.arrays import Array, array_namespace, widen
from onnxlite.kernels.numpy.broadcast import consuming
from onnxlite.kernels.numpy.table import op


@op("Identity")
def identity(x: Array) -> Array:
    """``x`` itself: a tensor, a sequence or an optional (ONNX Identity-25)."""
    return x


@op("Dropout", since=12)
def dropout(
    data: Array, ratio: Array | None = None, training_mode: Array | None = None, *, rng: np.random.Generator
) -> tuple[Array, Array]:
    """The data and a mask of ones; in training ``data * mask / (1 - ratio)``, the mask 0 with chance ``ratio``.

    ONNX Dropout-22.
    """
    training = training_mode is not None and bool(training_mode.item())
    chance = 0.5 if ratio is None else float(widen(ratio).item())
    return _drop(data, chance, rng) if training else _keep(data)


@op("Dropout", since=10, until=10)
def dropout_10(data: Array, *, ratio: float = 0.5) -> tuple[Array, Array]:
    """Dropout in inference: the data, and a mask of ones (ONNX Dropout-10)."""
    return _keep(data)


@op("Dropout", since=7, until=7)
def dropout_7(data: Array, *, ratio: float = 0.5) -> tuple[Array, Array]:
    """Dropout in inference, its mask in the type of the data (ONNX Dropout-7)."""
    return data, array_namespace(data).ones_like(data)


@op("Dropout", since=6, until=6)
def dropout_6(data: Array, *, is_test: int = 0, ratio: float = 0.5, rng: np.random.Generator) -> tuple[Array, Array]:
    """Dropout in training, or with ``is_test`` in inference; its mask is in the type of the data (ONNX Dropout-6)."""
    output, mask = _keep(data) if is_test else _drop(data, ratio, rng)
    return output, mask.astype(data.dtype)


op("Dropout", since=1, until=1)(consuming(dropout_6))


def _keep(data: Array) -> tuple[Array, Array]:
    return data, array_namespace(data).ones(data.shape, dtype=np.bool_)


def _drop(data: Array, ratio: float, rng: np.random.Generator) -> tuple[Array, Array]:
    if not 0 <= ratio < 1:
        raise ValueError(f"ratio must be in [0, 1), got {ratio}")
    mask = array_namespace(data).asarray(rng.random(data.shape) >= ratio)
    return (widen(data) * mask * (1 / (1 - ratio))).astype(data.dtype), mask
