"""Regions of interest: RoiAlign, MaxRoiPool, NonMaxSuppression."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array, array_namespace
from onnxlite.kernels.geometry import Ints
from onnxlite.kernels.numpy.table import op


@op("RoiAlign", since=16, widen=True)
def roi_align(
    x: Array,
    rois: Array,
    batch_indices: Array,
    *,
    coordinate_transformation_mode: str = "half_pixel",
    mode: str = "avg",
    output_height: int = 1,
    output_width: int = 1,
    sampling_ratio: int = 0,
    spatial_scale: float = 1.0,
) -> Array:
    """Regions (R, 4: x1, y1, x2, y2) of images x (N, C, H, W), sampled to (R, C, output height, width).

    Every bin takes the mean of ``sampling_ratio``² points, or as many as it has pixels if that is 0.  The mode max
    takes the largest of the points' neighbours, each times its weight.  ONNX RoiAlign-22.
    """
    if coordinate_transformation_mode not in ("half_pixel", "output_half_pixel"):
        raise ValueError(
            "coordinate_transformation_mode must be half_pixel or output_half_pixel, "
            f"not {coordinate_transformation_mode!r}"
        )
    if mode not in ("avg", "max"):
        raise ValueError(f"mode must be avg or max, not {mode!r}")
    batches = _checked_regions(x, rois, 4, batch_indices)
    xp = array_namespace(x)
    shifted = coordinate_transformation_mode == "half_pixel"
    edges = rois * spatial_scale - (0.5 if shifted else 0.0)
    starts, sizes = edges[:, :2], edges[:, 2:] - edges[:, :2]
    sizes = sizes if shifted else xp.maximum(sizes, 1)
    bins = sizes / xp.asarray([output_width, output_height], dtype=sizes.dtype)
    counts = np.full(bins.shape, sampling_ratio) if sampling_ratio > 0 else np.asarray(xp.ceil(bins).tolist())
    counts = counts.reshape(-1, 2).astype(np.int64)
    y = xp.zeros((rois.shape[0], x.shape[1], output_height, output_width), dtype=x.dtype)
    for r, batch in enumerate(batches):
        if counts[r].min() > 0:
            across = _neighbours(starts[r, 0], bins[r, 0], output_width, int(counts[r, 0]), x.shape[3])
            down = _neighbours(starts[r, 1], bins[r, 1], output_height, int(counts[r, 1]), x.shape[2])
            y[r] = _pooled_samples(x[batch], down, across, mode, y.shape[2:])
    return y


@op("RoiAlign", since=10, until=10, widen=True)
def roi_align_10(
    x: Array,
    rois: Array,
    batch_indices: Array,
    *,
    mode: str = "avg",
    output_height: int = 1,
    output_width: int = 1,
    sampling_ratio: int = 0,
    spatial_scale: float = 1.0,
) -> Array:
    """RoiAlign without the shift of half a pixel.  ONNX RoiAlign-10."""
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


def _neighbours(start: Array, size: Array, bins: int, count: int, length: int) -> tuple[tuple[Array, Array], ...]:
    """Along one axis, both neighbours (indices and weights) of ``count`` points in each of the bins.

    A point more than a pixel outside the image weighs nothing; one nearer to it reads the edge.
    """
    xp = array_namespace(start)
    points = (xp.arange(count, dtype=start.dtype) + 0.5) * (size / count)
    points = (start + xp.arange(bins, dtype=start.dtype)[:, None] * size + points).ravel()
    inside = (points >= -1) & (points <= length)
    points = xp.where(inside, xp.clip(points, 0, length - 1), 0)
    low = points.astype(np.int64)
    high = xp.minimum(low + 1, length - 1)
    ratio = points - low
    return (low, xp.where(inside, 1 - ratio, 0)), (high, xp.where(inside, ratio, 0))


def _pooled_samples(image: Array, down: Any, across: Any, mode: str, output: Ints) -> Array:
    """The image (C, H, W) read at the grid of points, and their mean or maximum in every bin."""
    xp = array_namespace(image)
    pixels = image.reshape(image.shape[0], -1)
    corners = [
        xp.take(pixels, rows[:, None] * image.shape[2] + columns, axis=1) * (row_weights[:, None] * column_weights)
        for (rows, row_weights), (columns, column_weights) in itertools.product(down, across)
    ]
    points = functools.reduce(xp.add if mode == "avg" else xp.maximum, corners)
    points = points.reshape(image.shape[0], output[0], -1, output[1], points.shape[2] // output[1])
    return points.mean(axis=(2, 4)) if mode == "avg" else points.max(axis=(2, 4))


@op("MaxRoiPool", widen=True)
def max_roi_pool(x: Array, rois: Array, *, pooled_shape: Ints, spatial_scale: float = 1.0) -> Array:
    """Maxima of a grid of bins over regions (R, 5: batch, x1, y1, x2, y2) of x (N, C, H, W).  ONNX MaxRoiPool-22.

    Gives (R, C, pooled height, width).  The corners are rounded to pixels and included; an empty bin gives 0.
    """
    if len(pooled_shape) != 2 or min(pooled_shape) < 1:
        raise ValueError(f"pooled_shape must be two positive numbers, got {pooled_shape}")
    batches = _checked_regions(x, rois, 5, rois[:, 0] if rois.ndim == 2 else None)
    xp = array_namespace(x)
    scaled = rois[:, 1:] * spatial_scale
    corners = xp.trunc(scaled + xp.copysign(0.5, scaled)).astype(np.int64).tolist()
    y = xp.empty((rois.shape[0], x.shape[1], *pooled_shape), dtype=x.dtype)
    for r, (batch, (left, top, right, bottom)) in enumerate(zip(batches, corners, strict=True)):
        rows, no_row = _bins(top, bottom, pooled_shape[0], x.shape[2])
        columns, no_column = _bins(left, right, pooled_shape[1], x.shape[3])
        lines = xp.take(x[batch], xp.asarray(rows), axis=1).max(axis=2)
        pooled = xp.take(lines, xp.asarray(columns), axis=2).max(axis=3)
        y[r] = xp.where(xp.asarray(no_row[:, None] | no_column), 0, pooled)
    return y


def _bins(start: int, end: int, count: int, length: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The pixels of each bin along one axis, padded by repeating the last one, and which bins have none."""
    size = np.float32(max(end - start + 1, 1)) / np.float32(count)
    steps = np.arange(count + 1, dtype=np.float32) * size
    lows = np.clip(np.floor(steps[:-1]).astype(np.int64) + start, 0, length)
    highs = np.clip(np.ceil(steps[1:]).astype(np.int64) + start, 0, length)
    pixels = lows[:, None] + np.arange(max(1, (highs - lows).max()))
    return np.clip(np.minimum(pixels, highs[:, None] - 1), 0, length - 1), highs <= lows


def _checked_regions(x: Array, rois: Array, columns: int, batches: Array | None) -> list[int]:
    """The regions' batch indices, after a check of all shapes and of the indices' range."""
    if x.ndim != 4 or 0 in x.shape[2:]:
        raise ValueError(f"the input must be images (N, C, H, W) with elements, got shape {x.shape}")
    if rois.ndim != 2 or rois.shape[1] != columns or batches is None or batches.shape != rois.shape[:1]:
        raise ValueError(f"the regions must have the shape (R, {columns}), one batch index each, got {rois.shape}")
    indices = [int(index) for index in batches.tolist()]
    wrong = next((index for index in indices if not 0 <= index < x.shape[0]), None)
    if wrong is not None:
        raise IndexError(f"a region's batch index must lie in 0 to {x.shape[0] - 1}, got {wrong}")
    return indices


@op("NonMaxSuppression", since=10, host=True)
def non_max_suppression(
    boxes: Array,
    scores: Array,
    max_output_boxes_per_class: Array | None = None,
    iou_threshold: Array | None = None,
    score_threshold: Array | None = None,
    *,
    center_point_box: int = 0,
) -> Array:
    """The boxes (N, B, 4) that keep clear of better ones: rows (batch, class, box), best first.

    Of the scores (N, classes, B) above ``score_threshold``, per batch and class, the best box is taken and all whose
    intersection over union with it exceeds ``iou_threshold`` are dropped, again and again.  ONNX NonMaxSuppression-11.
    """
    if boxes.ndim != 3 or boxes.shape[2] != 4 or scores.ndim != 3 or scores.shape[::2] != boxes.shape[:2]:
        raise ValueError(
            f"expected boxes (N, B, 4) and scores (N, classes, B), got shapes {boxes.shape} and {scores.shape}"
        )
    limit = int(_scalar(max_output_boxes_per_class, 0))
    overlap = _scalar(iou_threshold, 0.0)
    if not 0 <= overlap <= 1:
        raise ValueError(f"iou_threshold must lie in 0 to 1, got {overlap}")
    least = None if score_threshold is None else _scalar(score_threshold, 0.0)
    chosen = []
    for batch in range(boxes.shape[0]):
        corners = _corners(boxes[batch], center_point_box)
        for label in range(scores.shape[1]):
            selected = _suppress(corners, scores[batch, label], limit, overlap, least)
            chosen += [(batch, label, box) for box in selected]
    return np.array(chosen, dtype=np.int64).reshape(-1, 3)


def _scalar(value: Array | None, default: Any) -> Any:
    """The only element of a scalar input, in its own type."""
    return default if value is None or value.size == 0 else value.reshape(-1)[0]


def _corners(boxes: Array, center_point_box: int) -> Array:
    """The boxes (B, 4) as (y1, x1, y2, x2), the lower corner first."""
    if center_point_box:
        half = boxes[:, 2:] / 2
        return np.concatenate((boxes[:, :2] - half, boxes[:, :2] + half), axis=1)
    return np.concatenate((np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])), axis=1)


def _suppress(corners: Array, scores: Array, limit: int, overlap: float, least: float | None) -> list[int]:
    """The indices of the boxes of one class that are selected, best score first, equal scores by index."""
    order = np.argsort(-scores, kind="stable")
    if least is not None:
        order = order[scores[order] > least]
    areas = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    selected: list[int] = []
    while order.size and len(selected) < limit:
        best, order = int(order[0]), order[1:]
        selected.append(best)
        lower, upper = (
            np.maximum(corners[best, :2], corners[order, :2]),
            np.minimum(corners[best, 2:], corners[order, 2:]),
        )
        common = np.clip(upper - lower, 0, None).prod(axis=1)
        union = areas[best] + areas[order] - common
        proper = (common > 0) & (areas[best] > 0) & (areas[order] > 0) & (union > 0)
        order = order[~(proper & (common / union > overlap))]
    return selected
