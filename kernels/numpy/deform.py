"""DeformConv: a convolution whose windows read at learned offsets."""

from __future__ import annotations

from math import prod

from onnxlite.kernels.arrays import Array, array_namespace
from onnxlite.kernels.geometry import Ints, Windows, spatial_shape, windows
from onnxlite.kernels.numpy.convolution import add_bias, check_weights
from onnxlite.kernels.numpy.resample import sample_linear
from onnxlite.kernels.numpy.table import op


@op("DeformConv", since=19, widen=True)
def deform_conv(
    x: Array,
    w: Array,
    offset: Array,
    b: Array | None = None,
    mask: Array | None = None,
    *,
    dilations: Ints | None = None,
    group: int = 1,
    kernel_shape: Ints | None = None,
    offset_group: int = 1,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Array:
    """Conv whose every tap reads x at its place plus an offset, interpolated linearly, times a mask.

    x (N, C, D...), w (M, C/group, K...), offset (N, offset_group × K × r, O...), mask (N, offset_group × K, O...).
    ONNX DeformConv-22.
    """
    check_weights(x, w, group, kernel_shape)
    places = windows(spatial_shape(x), w.shape[2:], strides=strides, dilations=dilations, pads=pads)
    n, c, rank, taps = x.shape[0], x.shape[1], len(places.kernel), prod(places.kernel)
    if offset_group < 1 or c % offset_group:
        raise ValueError(f"offset_group must divide the {c} channels, got {offset_group}")
    _check_shape("offset", offset, (n, offset_group * taps * rank, *places.output))
    lead = (n * offset_group, *places.kernel)
    points = _sampling_points(offset.reshape(*lead, rank, *places.output), places)
    columns = sample_linear(x.reshape(n * offset_group, c // offset_group, *places.image), points)
    if mask is not None:
        _check_shape("mask", mask, (n, offset_group * taps, *places.output))
        columns *= mask.reshape(*lead, *places.output)[:, None]
    columns = columns.reshape(n, group, c // group * taps, prod(places.output))
    y = w.reshape(group, w.shape[0] // group, -1) @ columns
    return add_bias(y.reshape(n, w.shape[0], *places.output), b)


def _sampling_points(offset: Array, places: Windows) -> list[Array]:
    """For each spatial axis, the coordinates (N, kernel..., output...) that the taps read."""
    xp = array_namespace(offset)
    rank = len(places.kernel)
    points = []
    for axis in range(rank):
        positions = xp.asarray(places.positions(axis).T.astype(offset.dtype))
        shape = [1] * (2 * rank)
        shape[axis], shape[rank + axis] = positions.shape
        points.append(offset[(slice(None),) * (1 + rank) + (axis,)] + positions.reshape(shape))
    return points


def _check_shape(name: str, array: Array, expected: Ints) -> None:
    if array.shape != expected:
        raise ValueError(f"the {name} must have the shape {expected}, got {array.shape}")
