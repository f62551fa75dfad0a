"""BatchNormalization: with the estimated statistics, or with those of the batch (training)."""

from __future__ import annotations

from onnxlite.kernels.arrays import Array, array_namespace, widen
from onnxlite.kernels.numpy.normalization import per_channel
from onnxlite.kernels.numpy.reduction import reduce_mean
from onnxlite.kernels.numpy.table import op


@op("BatchNormalization", since=14)
def batch_normalization(
    x: Array,
    scale: Array,
    bias: Array,
    input_mean: Array,
    input_var: Array,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
) -> Array | tuple[Array, ...]:
    """``(x - mean) / sqrt(var + epsilon) * scale + bias`` per channel (ONNX BatchNormalization-15).

    In training, mean and var are those of the batch, and the running ones are further outputs.
    """
    if training_mode:
        return _by_batch_statistics(x, scale, bias, input_mean, input_var, epsilon, momentum)[:3]
    return _by_statistics(x, scale, bias, input_mean, input_var, epsilon)


@op("BatchNormalization", since=9, until=13)
def batch_normalization_9(
    x: Array,
    scale: Array,
    bias: Array,
    mean: Array,
    var: Array,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    output_count: int,
) -> Array | tuple[Array, ...]:
    """As version 15, in training where the node has more than one output (ONNX BatchNormalization-9).

    The outputs of training are Y, the running mean and variance, and the batch's own mean and variance.
    """
    return batch_normalization_7(
        x, scale, bias, mean, var, epsilon=epsilon, momentum=momentum, spatial=1, output_count=output_count
    )


@op("BatchNormalization", since=7, until=8)
def batch_normalization_7(
    x: Array,
    scale: Array,
    bias: Array,
    mean: Array,
    var: Array,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    spatial: int = 1,
    output_count: int,
) -> Array | tuple[Array, ...]:
    """As version 9; with ``spatial=0`` every element of an instance is a channel (ONNX BatchNormalization-7)."""
    return batch_normalization_6(
        x, scale, bias, mean, var, epsilon=epsilon, is_test=output_count == 1, momentum=momentum, spatial=spatial
    )


@op("BatchNormalization", since=6, until=6)
def batch_normalization_6(
    x: Array,
    scale: Array,
    bias: Array,
    mean: Array,
    var: Array,
    *,
    epsilon: float = 1e-5,
    is_test: int = 0,
    momentum: float = 0.9,
    spatial: int = 1,
) -> Array | tuple[Array, ...]:
    """As version 7, in training unless ``is_test`` is set (ONNX BatchNormalization-6)."""
    matrix = x if spatial else x.reshape(x.shape[0], -1)
    if is_test:
        return _by_statistics(matrix, scale, bias, mean, var, epsilon).reshape(x.shape)
    y, *statistics = _by_batch_statistics(matrix, scale, bias, mean, var, epsilon, momentum)
    return y.reshape(x.shape), *statistics


@op("BatchNormalization", since=1, until=5)
def batch_normalization_1(
    x: Array,
    scale: Array,
    bias: Array,
    mean: Array,
    var: Array,
    *,
    consumed_inputs: tuple[int, ...],
    epsilon: float = 1e-5,
    is_test: int = 0,
    momentum: float = 0.9,
    spatial: int = 1,
) -> Array | tuple[Array, ...]:
    """As version 6; ``consumed_inputs`` only told which buffers may be reused (ONNX BatchNormalization-1)."""
    return batch_normalization_6(
        x, scale, bias, mean, var, epsilon=epsilon, is_test=is_test, momentum=momentum, spatial=spatial
    )


def _by_statistics(x: Array, scale: Array, bias: Array, mean: Array, var: Array, epsilon: float) -> Array:
    scale, bias, mean, var = (per_channel(widen(parameter), x) for parameter in (scale, bias, mean, var))
    factor = scale / array_namespace(x).sqrt(var + epsilon)
    return ((widen(x) - mean) * factor + bias).astype(x.dtype)


def _by_batch_statistics(
    x: Array, scale: Array, bias: Array, mean: Array, var: Array, epsilon: float, momentum: float
) -> tuple[Array, Array, Array, Array, Array]:
    """Y, the running mean and variance, and the batch's mean and (population) variance, all in their inputs' types."""
    wide = widen(x)
    axes = tuple(axis for axis in range(x.ndim) if axis != 1)
    batch_mean = reduce_mean(wide, axes, True)
    batch_var = reduce_mean((wide - batch_mean) ** 2, axes, True).reshape(mean.shape)
    batch_mean = batch_mean.reshape(mean.shape)
    y = _by_statistics(x, scale, bias, batch_mean, batch_var, epsilon)
    running_mean = widen(mean) * momentum + batch_mean * (1 - momentum)
    running_var = widen(var) * momentum + batch_var * (1 - momentum)
    return (
        y,
        running_mean.astype(mean.dtype),
        running_var.astype(var.dtype),
        batch_mean.astype(mean.dtype),
        batch_var.astype(var.dtype),
    )
