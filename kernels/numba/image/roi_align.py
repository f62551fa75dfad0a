"""RoiAlign of float32 images."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.lanes import load
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.spec import FLOAT32, ArraySpec, Bound, Declined, Input, Output, Pool
from onnxlite.kernels.numba.table import op


class _Regions(NamedTuple):
    """The lengths of the images and of the results, and how regions are sampled."""

    channels: int
    height: int
    width: int
    rows: int
    columns: int
    ratio: int
    scale: np.float32
    shift: np.float32
    is_max: int


@jit
def _neighbours(start, size, count, length, places, weights):  # type: ignore[no-untyped-def]
    """Both neighbours along an axis of each sample, ``count`` in each bin, and their weights: 0 for samples outside."""
    step = size / np.float32(count)
    for number in range(len(places)):
        point = start + np.float32(number // count) * size + (np.float32(number % count) + np.float32(0.5)) * step
        places[number] = 0
        weights[number] = 0
        if -1 <= point <= length:
            point = min(max(point, np.float32(0)), np.float32(length - 1))
            low = np.int64(point)
            places[number, 0], places[number, 1] = low, min(low + 1, length - 1)
            weights[number, 0], weights[number, 1] = np.float32(1) - (point - np.float32(low)), point - np.float32(low)


@jit(inline=True)
def _bin_value(x, corner, width, down, across, above, before, rows, columns, is_max):  # type: ignore[no-untyped-def]
    """The mean or maximum of a bin's samples in the plane that begins at ``corner``."""
    total = np.float32(-np.inf) if is_max else np.float32(0)
    for i in range(rows[0], rows[1]):
        top, bottom = corner + down[i, 0] * width, corner + down[i, 1] * width
        for j in range(columns[0], columns[1]):
            a = load(x, top + across[j, 0]) * (above[i, 0] * before[j, 0])
            b = load(x, top + across[j, 1]) * (above[i, 0] * before[j, 1])
            c = load(x, bottom + across[j, 0]) * (above[i, 1] * before[j, 0])
            d = load(x, bottom + across[j, 1]) * (above[i, 1] * before[j, 1])
            total = max(total, max(max(a, b), max(c, d))) if is_max else total + (a + b + c + d)
    return total if is_max else total / np.float32((rows[1] - rows[0]) * (columns[1] - columns[0]))


@jit
def _align(start, stop, thread, x, rois, batches, y, r):  # type: ignore[no-untyped-def]
    bins = r.rows * r.columns
    for region in range(start, stop):
        edges = rois[region * 4 : region * 4 + 4]
        left, top = edges[0] * r.scale - r.shift, edges[1] * r.scale - r.shift
        width, height = edges[2] * r.scale - r.shift - left, edges[3] * r.scale - r.shift - top
        if r.shift == 0:
            width, height = max(width, np.float32(1)), max(height, np.float32(1))
        width, height = width / np.float32(r.columns), height / np.float32(r.rows)
        x_count = r.ratio if r.ratio > 0 else np.int64(np.ceil(width))
        y_count = r.ratio if r.ratio > 0 else np.int64(np.ceil(height))
        if min(x_count, y_count) < 1:
            y[region * r.channels * bins : (region + 1) * r.channels * bins] = 0
            continue
        down, above = np.empty((r.rows * y_count, 2), np.int64), np.empty((r.rows * y_count, 2), np.float32)
        across, before = np.empty((r.columns * x_count, 2), np.int64), np.empty((r.columns * x_count, 2), np.float32)
        _neighbours(top, height, y_count, r.height, down, above)
        _neighbours(left, width, x_count, r.width, across, before)
        for channel in range(r.channels):
            corner = (np.int64(batches[region]) * r.channels + channel) * r.height * r.width
            target = (region * r.channels + channel) * bins
            for row in range(r.rows):
                rows = (row * y_count, (row + 1) * y_count)
                for column in range(r.columns):
                    columns = (column * x_count, (column + 1) * x_count)
                    y[target + row * r.columns + column] = _bin_value(
                        x, corner, r.width, down, across, above, before, rows, columns, r.is_max
                    )


@jit
def align(pool, x, rois, batches, y, r, images, regions, piece):  # type: ignore[no-untyped-def]
    """Sample all regions."""
    for region in range(batches.size):
        if not 0 <= batches[region] < images:
            raise IndexError("expected batch indices within the images, got one outside")
    parallel_for(pool, _align, (x, rois, batches, y, r), regions, piece)


@op("RoiAlign", since=16)
def roi_align(
    x: ArraySpec,
    rois: ArraySpec,
    batch_indices: ArraySpec,
    *,
    coordinate_transformation_mode: str = "half_pixel",
    mode: str = "avg",
    output_height: int = 1,
    output_width: int = 1,
    sampling_ratio: int = 0,
    spatial_scale: float = 1.0,
) -> Bound | Declined:
    """Regions (R, 4: x1, y1, x2, y2) of images (N, C, H, W), sampled (ONNX RoiAlign-22)."""
    shifts = {"half_pixel": 0.5, "output_half_pixel": 0.0}
    if x.dtype != FLOAT32 or rois.dtype != FLOAT32 or len(x.shape) != 4 or not x.size:
        return Declined("only images and regions of float32 are compiled")
    if rois.shape != (*batch_indices.shape, 4) or len(rois.shape) != 2 or sampling_ratio < 0:
        return Declined("the regions do not fit: the reference says how")
    if mode not in ("avg", "max") or coordinate_transformation_mode not in shifts:
        return Declined("the mode is unknown: the reference says how")
    scale, shift = np.float32(spatial_scale), np.float32(shifts[coordinate_transformation_mode])
    lengths = (*x.shape[1:], output_height, output_width, sampling_ratio)
    regions = _Regions(*lengths, scale, shift, int(mode == "max"))
    arrays = (Pool(), Input(0, flat=True), Input(1, flat=True), Input(2, flat=True), Output(flat=True))
    bins = output_height * output_width * max(1, sampling_ratio) ** 2
    arguments = (*arrays, regions, x.shape[0], rois.shape[0], max(1, 2048 // max(bins * x.shape[1], 1)))
    return Bound(align, arguments, (ArraySpec((rois.shape[0], x.shape[1], output_height, output_width), FLOAT32),))


@op("RoiAlign", since=10, until=10)
def roi_align_10(
    x: ArraySpec,
    rois: ArraySpec,
    batch_indices: ArraySpec,
    *,
    mode: str = "avg",
    output_height: int = 1,
    output_width: int = 1,
    sampling_ratio: int = 0,
    spatial_scale: float = 1.0,
) -> Bound | Declined:
    """RoiAlign without the shift of half a pixel (ONNX RoiAlign-10)."""
    return roi_align(
        x,
        rois,
        batch_indices,
        coordinate_transformation_mode="output_half_pixel",
        mode=mode,
        output_height=output_height,
        output_width=output_width,
        sampling_ratio=sampling_ratio,
        spatial_scale=spatial_scale,
    )
