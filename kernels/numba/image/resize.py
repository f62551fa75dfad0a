"""Resize and Upsample: nearest elements along any axes, linear interpolation along the last two, else sums along three.

What an axis does depends on its own length and scale alone: the reference kernel resizes the numbers of the places
along the axis (nearest), or the unit vectors (linear), and shows which elements are read and how they are weighted.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.axes import normalize_axes
from onnxlite.kernels.geometry import Ints
from onnxlite.kernels.numba.image.resample import MAX_AXES, bind_resampling
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.lanes import load
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.machine.views import part
from onnxlite.kernels.numba.movement.placement import bind_placement
from onnxlite.kernels.numba.spec import FLOAT32, ArraySpec, Bound, Declined, Input, Output, Pool, Scratch, View
from onnxlite.kernels.numba.table import op
from onnxlite.kernels.numpy import resize as reference

#: The elements that one piece of work writes.
_PIECE = 1 << 14

#: The largest matrix that is made to see how an axis is interpolated.
_MANY = 1 << 23

#: Resizes the first axis of a tensor as an axis of the model's is: ``f(tensor, axis)``.
_ResizeAxis = Callable[..., Array]


@jit
def _interpolate_row(x, first, places, weights, line):  # type: ignore[no-untyped-def]
    """``line[j] = w0[j] * x[first + p0[j]] + w1[j] * x[first + p1[j]]``."""
    before, after, w0, w1 = places[0], places[1], weights[0], weights[1]
    for j in range(line.size):
        a, b = load(x, first + load(before, j)), load(x, first + load(after, j))
        line[j] = a * load(w0, j) + b * load(w1, j)


@jit
def _interpolate_rows(  # type: ignore[no-untyped-def]
    start, stop, thread, x, y, height, width, row_places, row_weights, places, weights, lines
):
    rows, columns = row_places.shape[1], places.shape[1]
    held_0, held_1 = -1, -1
    upper, lower = lines[thread, 0], lines[thread, 1]
    for row in range(start, stop):
        plane, place = row // rows, row % rows
        # The rows of x, counted over all planes; two neighbouring rows of y often read the same ones.
        first, second = plane * height + row_places[0, place], plane * height + row_places[1, place]
        if held_1 == first:
            upper, lower = lower, upper
            held_0, held_1 = held_1, held_0
        if held_0 != first:
            _interpolate_row(x, first * width, places, weights, upper)
            held_0 = first
        if held_1 != second:
            _interpolate_row(x, second * width, places, weights, lower)
            held_1 = second
        w0, w1 = row_weights[0, place], row_weights[1, place]
        target = part(y, row * columns, columns)
        for j in range(columns):
            target[j] = upper[j] * w0 + lower[j] * w1


@jit
def interpolate_rows(  # type: ignore[no-untyped-def]
    pool, x, y, height, width, row_places, row_weights, places, weights, lines, rows, piece
) -> None:
    """Interpolate planes of height x width elements along both axes."""
    arguments = (x, y, height, width, row_places, row_weights, places, weights, lines)
    parallel_for(pool, _interpolate_rows, arguments, rows, piece)


@jit
def _interpolate_pixels(  # type: ignore[no-untyped-def]
    start, stop, thread, x, y, height, width, channels, row_places, row_weights, places, weights
):
    rows, columns = row_places.shape[1], places.shape[1]
    for row in range(start, stop):
        plane, place = row // rows, row % rows
        upper, lower = (plane * height + row_places[0, place]) * width, (plane * height + row_places[1, place]) * width
        above, below = row_weights[0, place], row_weights[1, place]
        for j in range(columns):
            left, right = places[0, j], places[1, j]
            a, b = part(x, (upper + left) * channels, channels), part(x, (upper + right) * channels, channels)
            c, d = part(x, (lower + left) * channels, channels), part(x, (lower + right) * channels, channels)
            w0, w1 = weights[0, j], weights[1, j]
            target = part(y, (row * columns + j) * channels, channels)
            for i in range(channels):
                target[i] = (a[i] * w0 + b[i] * w1) * above + (c[i] * w0 + d[i] * w1) * below


@jit
def interpolate_pixels(  # type: ignore[no-untyped-def]
    pool, x, y, height, width, channels, row_places, row_weights, places, weights, rows, piece
) -> None:
    """Interpolate planes of height x width pixels of some channels, which lie side by side."""
    arguments = (x, y, height, width, channels, row_places, row_weights, places, weights)
    parallel_for(pool, _interpolate_pixels, arguments, rows, piece)


@op("Resize", since=18)
def resize(
    x: ArraySpec,
    roi: ArraySpec | None = None,
    scales: ArraySpec | None = None,
    sizes: ArraySpec | None = None,
    *,
    antialias: int = 0,
    axes: Ints | None = None,
    coordinate_transformation_mode: str = "half_pixel",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: str = "stretch",
    mode: str = "nearest",
    nearest_mode: str = "round_prefer_floor",
) -> Bound | View | Declined:
    """x with some axes resized by ``scales`` or to ``sizes`` (ONNX Resize-19)."""
    if keep_aspect_ratio_policy != "stretch" or coordinate_transformation_mode == "tf_crop_and_resize":
        return Declined("keeping the aspect ratio, and cropping, are not compiled")
    factors, lengths = _known(scales), _known(sizes)
    if (factors is None) == (lengths is None):
        return Declined("the size of the result is not known before the model runs")
    given = factors if lengths is None else lengths
    assert given is not None
    resized = tuple(range(len(x.shape))) if axes is None else normalize_axes(axes, len(x.shape))
    if len(given) != len(resized):
        return Declined(f"expected a number for each of {len(resized)} axes, got {len(given)}")
    targets = dict(zip(resized, given, strict=True))

    def resize_axis(tensor: Array, axis: int) -> Array:
        unchanged = tensor.shape[1:] if lengths is not None else (1.0,) * (tensor.ndim - 1)
        target = np.array([targets[axis], *unchanged], np.int64 if lengths is not None else np.float32)
        return reference.resize(
            tensor,
            None,
            target if lengths is None else None,
            target if lengths is not None else None,
            antialias=antialias,
            coordinate_transformation_mode=coordinate_transformation_mode,
            cubic_coeff_a=cubic_coeff_a,
            exclude_outside=exclude_outside,
            mode=mode,
            nearest_mode=nearest_mode,
        )

    same = [
        axis not in targets or targets[axis] == (1 if lengths is None else x.shape[axis])
        for axis in range(len(x.shape))
    ]
    return _bind(x, mode, same, resize_axis)


@op("Resize", since=11, until=13)
def resize_11(
    x: ArraySpec,
    roi: ArraySpec | None = None,
    scales: ArraySpec | None = None,
    sizes: ArraySpec | None = None,
    *,
    coordinate_transformation_mode: str = "half_pixel",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    mode: str = "nearest",
    nearest_mode: str = "round_prefer_floor",
) -> Bound | View | Declined:
    """Resize of all axes without antialiasing (ONNX Resize-11 and 13)."""
    return resize(
        x,
        roi,
        scales,
        sizes,
        coordinate_transformation_mode=coordinate_transformation_mode,
        cubic_coeff_a=cubic_coeff_a,
        exclude_outside=exclude_outside,
        extrapolation_value=extrapolation_value,
        mode=mode,
        nearest_mode=nearest_mode,
    )


@op("Resize", since=10, until=10)
@op("Upsample", since=9)
def resize_10(x: ArraySpec, scales: ArraySpec, *, mode: str = "nearest") -> Bound | View | Declined:
    """Resize by scales with ``x_original = x_resized / scale`` (ONNX Resize-10, Upsample-9 and 10)."""
    factors = _known(scales)
    if factors is None or len(factors) != len(x.shape):
        return Declined("the size of the result is not known before the model runs")
    return _by_scales(x, factors, mode)


@op("Upsample", since=7, until=7)
def upsample_7(x: ArraySpec, *, mode: str = "nearest", scales: tuple[float, ...]) -> Bound | View | Declined:
    """Upsample by scales in an attribute (ONNX Upsample-7)."""
    if len(scales) != len(x.shape):
        return Declined(f"expected a scale for each of {len(x.shape)} axes, got {len(scales)}")
    return _by_scales(x, scales, mode)


@op("Upsample", since=1, until=1)
def upsample_1(
    x: ArraySpec, *, height_scale: float, mode: str = "nearest", width_scale: float
) -> Bound | View | Declined:
    """Upsample of images (N, C, H, W) (ONNX Upsample-1)."""
    return upsample_7(x, mode=mode.removeprefix("bi"), scales=(1.0, 1.0, height_scale, width_scale))


def _by_scales(x: ArraySpec, scales: Sequence[float], mode: str) -> Bound | View | Declined:
    def resize_axis(tensor: Array, axis: int) -> Array:
        factors = np.array([scales[axis], *(1.0,) * (tensor.ndim - 1)], np.float32)
        return reference.resize_10(tensor, factors, mode=mode)

    return _bind(x, mode, [scale == 1 for scale in scales], resize_axis)


def _known(spec: ArraySpec | None) -> list[Any] | None:
    """The elements of a constant input, or None if there are none."""
    return None if spec is None or spec.value is None or not spec.size else list(np.ravel(spec.value).tolist())


def _bind(x: ArraySpec, mode: str, same: Sequence[bool], resize_axis: _ResizeAxis) -> Bound | View | Declined:
    if all(same):
        return View(x.shape)
    if mode == "nearest":
        numbers = [np.arange(length) for length in x.shape]
        places = [n if same[axis] else resize_axis(n, axis) for axis, n in enumerate(numbers)]
        return bind_placement(x, places)
    changed = [axis for axis, unchanged in enumerate(same) if not unchanged]
    first, last = changed[0], changed[-1]
    if x.dtype != FLOAT32 or not x.size or len(changed) > MAX_AXES:
        return Declined(f"interpolation of {x.dtype} along {len(changed)} axes is not compiled")
    matrices = [_matrix(x.shape[axis], functools.partial(resize_axis, axis=axis)) for axis in changed]
    known = [matrix for matrix in matrices if matrix is not None]
    if len(known) < len(changed) or not all(map(len, known)):
        return Declined("interpolation along a long axis, or to nothing, is not compiled")
    maps = [taps for taps in map(_taps, known) if taps is not None]
    if last - first > 1 or len(maps) < len(changed):
        return bind_resampling(x, changed, known)
    single = np.zeros((2, 1), np.int64), np.array([[1], [0]], np.float32)
    (row_places, row_weights), (columns, weights) = [single] * (2 - len(maps)) + maps
    height = x.shape[first] if len(changed) == 2 else 1
    channels = math.prod(x.shape[last + 1 :])
    shape = list(x.shape)
    shape[first], shape[last] = row_places.shape[1], columns.shape[1]
    line = columns.shape[1] * channels
    rows = math.prod(x.shape[:first]) * row_places.shape[1]
    arrays, tables = (Pool(), Input(0, flat=True), Output(flat=True)), (row_places, row_weights, columns, weights)
    piece, result = max(1, _PIECE // line), (ArraySpec(tuple(shape), FLOAT32),)
    if channels > 1:
        return Bound(interpolate_pixels, (*arrays, height, x.shape[last], channels, *tables, rows, piece), result)
    lines = Scratch((2, line), per_thread=True)
    return Bound(interpolate_rows, (*arrays, height, x.shape[last], *tables, lines, rows, piece), result)


def _matrix(length: int, resize_axis: Callable[[Array], Array]) -> Array | None:
    """What every element of the resized axis is made of: a row of weights for each; None if it is too large."""
    if length * length > _MANY:
        return None
    matrix = resize_axis(np.eye(length))
    return None if matrix.size > _MANY else matrix


def _taps(matrix: Array) -> tuple[Array, Array] | None:
    """The two places that every element of the resized axis is made of, and their weights; None if there are more."""
    used = matrix != 0
    length = matrix.shape[1]
    if (used.sum(axis=1) > 2).any():
        return None
    first = used.argmax(axis=1)
    last = length - 1 - used[:, ::-1].argmax(axis=1)
    last = np.where(used.any(axis=1), last, first)
    places = np.stack([first, last])
    weights = np.take_along_axis(matrix.T, places, axis=0)
    weights[1, first == last] = 0
    return places, weights.astype(np.float32)
