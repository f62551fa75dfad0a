"""Normalisation of float32: rows to mean 0 and variance 1 or to norm 1, and channels by given statistics."""

from __future__ import annotations

import math

import numpy as np

from onnxlite.kernels.axes import normalize_axes, normalize_axis
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.lanes import load, store
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.machine.views import part
from onnxlite.kernels.numba.reduction.reduction import collapsed
from onnxlite.kernels.numba.reduction.row_reduction import (
    sum_of,
    sum_of_magnitudes,
    sum_of_squared_deviations,
    sum_of_squares,
)
from onnxlite.kernels.numba.spec import FLOAT32, ArraySpec, Bound, Declined, Input, Output, Pool, Scratch
from onnxlite.kernels.numba.table import op

#: The elements that one piece of work normalises.
_PIECE = 1 << 15

#: The columns of LRN that are computed together.
_COLUMNS = 512

_ZERO = np.float32(0)
_ONE = np.float32(1)


@jit(inline=True)
def _mean(x, first, length):  # type: ignore[no-untyped-def]
    return sum_of(x, first, length, _ZERO, _ZERO) / np.float32(length)


@jit(inline=True)
def _variance(x, first, length, mean):  # type: ignore[no-untyped-def]
    return sum_of_squared_deviations(x, first, length, _ZERO, mean) / np.float32(length)


@jit
def _normalize_layers(start, stop, thread, x, scale, bias, y, length, epsilon):  # type: ignore[no-untyped-def]
    for row in range(start, stop):
        first = row * length
        mean = _mean(x, first, length)
        inverse = _ONE / np.sqrt(_variance(x, first, length, mean) + epsilon)
        for i in range(length):
            normalized = (load(x, first + i) - mean) * inverse
            store(y, first + i, normalized * load(scale, i) + load(bias, i))


@jit
def normalize_layers(pool, x, scale, bias, y, rows, length, epsilon, piece):  # type: ignore[no-untyped-def]
    """Every row to mean 0 and variance 1, then scaled and shifted element by element."""
    parallel_for(pool, _normalize_layers, (x, scale, bias, y, length, epsilon), rows, piece)


@jit
def _divide_by_root_mean_square(start, stop, thread, x, scale, y, length, epsilon):  # type: ignore[no-untyped-def]
    for row in range(start, stop):
        first = row * length
        mean = sum_of_squares(x, first, length, _ZERO, _ZERO) / np.float32(length)
        inverse = _ONE / np.sqrt(mean + epsilon)
        for i in range(length):
            store(y, first + i, load(x, first + i) * inverse * load(scale, i))


@jit
def divide_by_root_mean_square(pool, x, scale, y, rows, length, epsilon, piece):  # type: ignore[no-untyped-def]
    """Every row divided by the root of its mean square, then scaled element by element."""
    parallel_for(pool, _divide_by_root_mean_square, (x, scale, y, length, epsilon), rows, piece)


@jit
def _normalize_groups(  # type: ignore[no-untyped-def]
    start, stop, thread, x, scale, bias, y, groups, channels, length, channels_per_scale, epsilon
) -> None:
    for row in range(start, stop):
        first = row * channels * length
        mean = _mean(x, first, channels * length)
        inverse = _ONE / np.sqrt(_variance(x, first, channels * length, mean) + epsilon)
        for channel in range(channels):
            place = (row % groups * channels + channel) // channels_per_scale
            factor, shift = scale[place] * inverse, bias[place]
            here = first + channel * length
            for i in range(here, here + length):
                store(y, i, (load(x, i) - mean) * factor + shift)


@jit
def normalize_groups(  # type: ignore[no-untyped-def]
    pool, x, scale, bias, y, rows, groups, channels, length, channels_per_scale, epsilon, piece
) -> None:
    """Groups of channels of ``length`` elements to mean 0 and variance 1, then channels scaled and shifted."""
    arguments = (x, scale, bias, y, groups, channels, length, channels_per_scale, epsilon)
    parallel_for(pool, _normalize_groups, arguments, rows, piece)


@jit
def _normalize_channels(  # type: ignore[no-untyped-def]
    start, stop, thread, x, scale, bias, mean, variance, y, channels, length, epsilon
) -> None:
    for row in range(start, stop):
        channel = row % channels
        centre, shift = mean[channel], bias[channel]
        factor = scale[channel] / np.sqrt(variance[channel] + epsilon)
        for i in range(row * length, (row + 1) * length):
            store(y, i, (load(x, i) - centre) * factor + shift)


@jit
def normalize_channels(  # type: ignore[no-untyped-def]
    pool, x, scale, bias, mean, variance, y, rows, channels, length, epsilon, piece
) -> None:
    """Channels of ``length`` elements by their given means and variances."""
    arguments = (x, scale, bias, mean, variance, y, channels, length, epsilon)
    parallel_for(pool, _normalize_channels, arguments, rows, piece)


@jit
def _normalize_features(  # type: ignore[no-untyped-def]
    start, stop, thread, x, scale, bias, mean, variance, y, features, epsilon
) -> None:
    for row in range(start, stop):
        first = row * features
        for i in range(features):
            factor = load(scale, i) / np.sqrt(load(variance, i) + epsilon)
            store(y, first + i, (load(x, first + i) - load(mean, i)) * factor + load(bias, i))


@jit
def normalize_features(  # type: ignore[no-untyped-def]
    pool, x, scale, bias, mean, variance, y, rows, features, epsilon, piece
) -> None:
    """Rows whose elements have means and variances of their own."""
    arguments = (x, scale, bias, mean, variance, y, features, epsilon)
    parallel_for(pool, _normalize_features, arguments, rows, piece)


@jit
def _divide_by_norm(start, stop, thread, x, y, length, p):  # type: ignore[no-untyped-def]
    for row in range(start, stop):
        first = row * length
        if p == 1:
            norm = sum_of_magnitudes(x, first, length, _ZERO, _ZERO)
        else:
            norm = np.sqrt(sum_of_squares(x, first, length, _ZERO, _ZERO))
        for i in range(first, first + length):
            store(y, i, _ZERO if norm == 0 else load(x, i) / norm)


@jit
def divide_by_norm(pool, x, y, rows, length, p, piece):  # type: ignore[no-untyped-def]
    """Every row divided by its norm, or zeros where that is 0."""
    parallel_for(pool, _divide_by_norm, (x, y, length, p), rows, piece)


@jit
def _centre_and_scale(start, stop, thread, x, y, length):  # type: ignore[no-untyped-def]
    for row in range(start, stop):
        first = row * length
        mean = _mean(x, first, length)
        deviation = np.sqrt(_variance(x, first, length, mean)) + np.float32(1e-9)
        for i in range(first, first + length):
            store(y, i, (load(x, i) - mean) / deviation)


@jit
def centre_and_scale(pool, x, y, rows, length, piece):  # type: ignore[no-untyped-def]
    """Every row minus its mean, divided by its deviation."""
    parallel_for(pool, _centre_and_scale, (x, y, length), rows, piece)


@jit
def _respond(start, stop, thread, x, y, channels, length, size, alpha, beta, bias, scratch):  # type: ignore[no-untyped-def]
    sums = scratch[thread]
    blocks = -(-length // _COLUMNS)
    for block in range(start, stop):
        left = block % blocks * _COLUMNS
        width = min(_COLUMNS, length - left)
        image = block // blocks * channels * length + left
        for channel in range(channels):
            for i in range(width):
                sums[i] = 0
            low = channel - (size - 1) // 2
            for other in range(max(0, low), min(channels, low + size)):
                neighbours = part(x, image + other * length, width)
                for i in range(width):
                    sums[i] += neighbours[i] * neighbours[i]
            for i in range(width):
                sums[i] = bias + alpha * sums[i]
            _power(sums, width, beta)
            a, b = part(x, image + channel * length, width), part(y, image + channel * length, width)
            for i in range(width):
                b[i] = a[i] / sums[i]


@jit
def _power(values, width, exponent):  # type: ignore[no-untyped-def]
    if exponent == np.float32(0.75):
        # What all models have; three roots are quicker than a logarithm and an exponential.
        for i in range(width):
            root = np.sqrt(values[i])
            values[i] = root * np.sqrt(root)
    else:
        for i in range(width):
            values[i] = values[i] ** exponent


@jit
def respond(pool, x, y, blocks, channels, length, size, alpha, beta, bias, scratch, piece):  # type: ignore[no-untyped-def]
    """Every element divided by a power of the sum of squares in the channels around."""
    parallel_for(pool, _respond, (x, y, channels, length, size, alpha, beta, bias, scratch), blocks, piece)


@op("LayerNormalization", since=17)
def layer_normalization(
    x: ArraySpec,
    scale: ArraySpec,
    bias: ArraySpec | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
    output_count: int,
) -> Bound | Declined:
    """The axes from ``axis`` on together to mean 0 and variance 1, scaled and shifted (ONNX LayerNormalization-17)."""
    axis = normalize_axis(axis, len(x.shape))
    length = math.prod(x.shape[axis:])
    if output_count > 1 or stash_type != 1:
        return Declined("the mean and the deviation as outputs are not compiled")
    if not _all_float32(x, scale, bias) or not x.size:
        return Declined("only float32 tensors with elements are compiled")
    if any(spec is not None and spec.size != length for spec in (scale, bias)):
        return Declined("a scale or a bias that is broadcast is not compiled")
    shift = np.zeros(length, np.float32) if bias is None else Input(2, flat=True)
    arguments = (
        *(Pool(), Input(0, flat=True), Input(1, flat=True), shift, Output(flat=True)),
        *(x.size // length, length, np.float32(epsilon), max(1, _PIECE // length)),
    )
    return _elementwise(normalize_layers, arguments, x)


@op("RMSNormalization", since=23)
def rms_normalization(
    x: ArraySpec, scale: ArraySpec, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> Bound | Declined:
    """``x / sqrt(mean(x**2) + epsilon) * scale`` over the axes from ``axis`` on (ONNX RMSNormalization-23)."""
    axis = normalize_axis(axis, len(x.shape))
    length = math.prod(x.shape[axis:])
    if not _all_float32(x, scale) or not x.size or scale.size != length:
        return Declined("only float32 tensors with elements and a scale of the normalised shape are compiled")
    arguments = (
        *(Pool(), Input(0, flat=True), Input(1, flat=True), Output(flat=True)),
        *(x.size // length, length, np.float32(epsilon), max(1, _PIECE // length)),
    )
    return _elementwise(divide_by_root_mean_square, arguments, x)


@op("InstanceNormalization", since=6)
def instance_normalization(
    x: ArraySpec, scale: ArraySpec, bias: ArraySpec, *, epsilon: float = 1e-5
) -> Bound | Declined:
    """Each channel of each instance to mean 0 and variance 1 (ONNX InstanceNormalization-22)."""
    return _grouped(x, scale, bias, x.shape[1] if len(x.shape) > 1 else 0, 1, epsilon)


@op("InstanceNormalization", since=1, until=5)
def instance_normalization_1(
    x: ArraySpec,
    scale: ArraySpec,
    bias: ArraySpec,
    *,
    consumed_inputs: tuple[int, ...] | None = None,
    epsilon: float = 1e-5,
) -> Bound | Declined:
    """As version 6 (ONNX InstanceNormalization-1)."""
    return _grouped(x, scale, bias, x.shape[1] if len(x.shape) > 1 else 0, 1, epsilon)


@op("GroupNormalization", since=21)
def group_normalization(
    x: ArraySpec, scale: ArraySpec, bias: ArraySpec, *, epsilon: float = 1e-5, num_groups: int, stash_type: int = 1
) -> Bound | Declined:
    """Each group of channels to mean 0 and variance 1, then each channel scaled (ONNX GroupNormalization-21)."""
    return _grouped(x, scale, bias, num_groups, 1, epsilon)


@op("GroupNormalization", since=18, until=20)
def group_normalization_18(
    x: ArraySpec, scale: ArraySpec, bias: ArraySpec, *, epsilon: float = 1e-5, num_groups: int
) -> Bound | Declined:
    """As version 21, with a scale and a bias per group (ONNX GroupNormalization-18)."""
    channels = x.shape[1] if len(x.shape) > 1 else 0
    return _grouped(x, scale, bias, num_groups, channels // max(num_groups, 1), epsilon)


def _grouped(
    x: ArraySpec, scale: ArraySpec, bias: ArraySpec, groups: int, channels_per_scale: int, epsilon: float
) -> Bound | Declined:
    """The normalisation of groups of channels, with a scale for each channel or for several of them."""
    if not _all_float32(x, scale, bias) or not x.size or len(x.shape) < 2:
        return Declined("only float32 tensors with channels and elements are compiled")
    channels, length = x.shape[1], math.prod(x.shape[2:])
    scales = channels // max(channels_per_scale, 1)
    if groups < 1 or channels % groups or (scale.size, bias.size) != (scales, scales):
        return Declined(f"expected {groups} groups of {channels} channels with a scale and a bias for each")
    size = channels // groups * length
    arguments = (
        *(Pool(), Input(0, flat=True), Input(1, flat=True), Input(2, flat=True), Output(flat=True)),
        *(x.size // size, groups, channels // groups, length, channels_per_scale),
        *(np.float32(epsilon), max(1, _PIECE // size)),
    )
    return _elementwise(normalize_groups, arguments, x)


@op("BatchNormalization", since=14)
def batch_normalization(
    x: ArraySpec,
    scale: ArraySpec,
    bias: ArraySpec,
    input_mean: ArraySpec,
    input_var: ArraySpec,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
) -> Bound | Declined:
    """``(x - mean) / sqrt(var + epsilon) * scale + bias`` per channel (ONNX BatchNormalization-15)."""
    return _by_statistics(x, (scale, bias, input_mean, input_var), epsilon, training=bool(training_mode))


@op("BatchNormalization", since=9, until=13)
def batch_normalization_9(
    x: ArraySpec,
    scale: ArraySpec,
    bias: ArraySpec,
    mean: ArraySpec,
    var: ArraySpec,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    output_count: int,
) -> Bound | Declined:
    """As version 15; more than one output means training (ONNX BatchNormalization-9)."""
    return _by_statistics(x, (scale, bias, mean, var), epsilon, training=output_count > 1)


@op("BatchNormalization", since=7, until=8)
def batch_normalization_7(
    x: ArraySpec,
    scale: ArraySpec,
    bias: ArraySpec,
    mean: ArraySpec,
    var: ArraySpec,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    spatial: int = 1,
    output_count: int,
) -> Bound | Declined:
    """As version 9; without ``spatial``, every element of an instance is a channel (ONNX BatchNormalization-7)."""
    return _by_statistics(x, (scale, bias, mean, var), epsilon, training=output_count > 1, spatial=bool(spatial))


@op("BatchNormalization", since=6, until=6)
def batch_normalization_6(
    x: ArraySpec,
    scale: ArraySpec,
    bias: ArraySpec,
    mean: ArraySpec,
    var: ArraySpec,
    *,
    epsilon: float = 1e-5,
    is_test: int = 0,
    momentum: float = 0.9,
    spatial: int = 1,
) -> Bound | Declined:
    """As version 7, in training unless ``is_test`` is set (ONNX BatchNormalization-6)."""
    return _by_statistics(x, (scale, bias, mean, var), epsilon, training=not is_test, spatial=bool(spatial))


@op("BatchNormalization", since=1, until=5)
def batch_normalization_1(
    x: ArraySpec,
    scale: ArraySpec,
    bias: ArraySpec,
    mean: ArraySpec,
    var: ArraySpec,
    *,
    consumed_inputs: tuple[int, ...],
    epsilon: float = 1e-5,
    is_test: int = 0,
    momentum: float = 0.9,
    spatial: int = 1,
) -> Bound | Declined:
    """As version 6 (ONNX BatchNormalization-1)."""
    return _by_statistics(x, (scale, bias, mean, var), epsilon, training=not is_test, spatial=bool(spatial))


def _by_statistics(
    x: ArraySpec, parameters: tuple[ArraySpec, ...], epsilon: float, *, training: bool, spatial: bool = True
) -> Bound | Declined:
    if training:
        return Declined("training is not compiled")
    if not _all_float32(x, *parameters) or not x.size or len(x.shape) < 2:
        return Declined("only float32 tensors with channels and elements are compiled")
    channels = x.shape[1] if spatial else math.prod(x.shape[1:])
    length = math.prod(x.shape[2:]) if spatial else 1
    if any(parameter.size != channels for parameter in parameters):
        return Declined(f"expected one number for each of {channels} channels")
    arrays = (Pool(), *(Input(index, flat=True) for index in range(5)), Output(flat=True))
    if length == 1:
        features = (x.shape[0], channels, np.float32(epsilon), max(1, _PIECE // channels))
        return _elementwise(normalize_features, (*arrays, *features), x)
    sizes = (x.shape[0] * channels, channels, length, np.float32(epsilon), max(1, _PIECE // length))
    return _elementwise(normalize_channels, (*arrays, *sizes), x)


@op("LpNormalization", since=1)
def lp_normalization(x: ArraySpec, *, axis: int = -1, p: int = 2) -> Bound | Declined:
    """x divided by its norm along the last axis, 0 where the norm is 0 (ONNX LpNormalization-22)."""
    axis = normalize_axis(axis, len(x.shape))
    if x.dtype != FLOAT32 or not x.size or math.prod(x.shape[axis + 1 :]) != 1 or p not in (1, 2):
        return Declined("only the 1-norm or 2-norm of float32 along the last axis is compiled")
    length = x.shape[axis]
    sizes = (x.size // length, length, p, max(1, _PIECE // length))
    return _elementwise(divide_by_norm, (Pool(), Input(0, flat=True), Output(flat=True), *sizes), x)


@op("MeanVarianceNormalization", since=9)
def mean_variance_normalization(x: ArraySpec, *, axes: tuple[int, ...] = (0, 2, 3)) -> Bound | Declined:
    """``(x - mean) / (deviation + 1e-9)`` along axes that lie side by side (ONNX MeanVarianceNormalization-13)."""
    shape = collapsed(x.shape, normalize_axes(axes, len(x.shape)))
    if x.dtype != FLOAT32 or not x.size or shape is None or shape[1] != 1:
        return Declined("only float32 tensors, and axes that are the last ones, are compiled")
    length = shape[3]
    sizes = (x.size // length, length, max(1, _PIECE // length))
    return _elementwise(centre_and_scale, (Pool(), Input(0, flat=True), Output(flat=True), *sizes), x)


@op("LRN", since=1)
def lrn(x: ArraySpec, *, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0, size: int) -> Bound | Declined:
    """``x / (bias + alpha / size * s)**beta``, s the sum of squares in ``size`` channels around (ONNX LRN-13)."""
    if x.dtype != FLOAT32 or not x.size or len(x.shape) < 2 or size < 1:
        return Declined("only float32 tensors with channels and elements are compiled")
    channels, length = x.shape[1], math.prod(x.shape[2:])
    arguments = (
        *(Pool(), Input(0, flat=True), Output(flat=True), x.shape[0] * -(-length // _COLUMNS), channels, length),
        *(size, np.float32(alpha / size), np.float32(beta), np.float32(bias)),
        *(Scratch((_COLUMNS,), per_thread=True), max(1, _PIECE // (channels * min(length, _COLUMNS)))),
    )
    return Bound(respond, arguments, (ArraySpec(x.shape, x.dtype),))


def _all_float32(*specs: ArraySpec | None) -> bool:
    return all(spec is None or spec.dtype == FLOAT32 for spec in specs)


def _elementwise(function: object, arguments: tuple[object, ...], x: ArraySpec) -> Bound:
    """A kernel whose output is like its first input, and may take its place."""
    return Bound(function, arguments, (ArraySpec(x.shape, x.dtype),), in_place=((0, 0),))  # type: ignore[arg-type]
