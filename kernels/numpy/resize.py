"""Resize and its forerunner Upsample: interpolation along one axis after the other.

A coordinate of the output maps to a coordinate of the input; the elements near it, the taps, are gathered and added up
with weights.  Both depend on one axis only, so an N-dimensional resize is N resizes of one axis.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from onnxlite.kernels.arrays import Array, array_namespace, widen
from onnxlite.kernels.axes import normalize_axes
from onnxlite.kernels.geometry import Ints
from onnxlite.kernels.numpy.resample import narrowed
from onnxlite.kernels.numpy.table import op

#: A NumPy array: coordinates, indices and weights are made on the host.
_Vector: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class _Axis:
    """How one axis is resized: its lengths, their ratio as the model gives it, and the part that is read."""

    axis: int
    length: int
    resized: int
    scale: float
    start: float = 0.0
    end: float = 1.0

    @property
    def exact(self) -> bool:
        """Whether the scale, a rounded number, stands for the ratio of the lengths."""
        return bool(np.float32(self.scale) * np.float32(self.length) == self.resized)

    @property
    def scaled(self) -> float:
        """The length that the scale asks for, before it is cut to an integer."""
        return self.resized if self.exact else self.scale * self.length


@dataclass(frozen=True, slots=True)
class _Method:
    """How coordinates are mapped and what is read at them: Resize's attributes."""

    mode: str = "nearest"
    coordinates: str = "half_pixel"
    nearest: str = "round_prefer_floor"
    cubic_coeff_a: float = -0.75
    exclude_outside: bool = False
    extrapolation_value: float = 0.0
    antialias: bool = False


@op("Resize", since=18)
def resize(
    x: Array,
    roi: Array | None = None,
    scales: Array | None = None,
    sizes: Array | None = None,
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
) -> Array:
    """x with its axes resized by ``scales`` or to ``sizes``: nearest, linear or cubic interpolation.  ONNX Resize-19.

    ``roi`` (starts, then ends, in parts of the input's length) says what the coordinates tf_crop_and_resize read.
    Integers are rounded and saturate.
    """
    resized_axes = tuple(range(x.ndim)) if axes is None else normalize_axes(axes, x.ndim)
    cropped = coordinate_transformation_mode == "tf_crop_and_resize"
    regions = _regions(roi, len(resized_axes)) if cropped else [(0.0, 1.0)] * len(resized_axes)
    lengths = [x.shape[axis] for axis in resized_axes]
    plan = [
        _Axis(axis, length, resized, scale, *region)
        for axis, length, (resized, scale), region in zip(
            resized_axes, lengths, _targets(lengths, scales, sizes, keep_aspect_ratio_policy), regions, strict=True
        )
    ]
    method = _Method(
        mode,
        coordinate_transformation_mode,
        nearest_mode,
        cubic_coeff_a,
        bool(exclude_outside),
        extrapolation_value,
        bool(antialias),
    )
    return _resized(x, plan, method)


@op("Resize", since=11, until=13)
def resize_11(
    x: Array,
    roi: Array | None = None,
    scales: Array | None = None,
    sizes: Array | None = None,
    *,
    coordinate_transformation_mode: str = "half_pixel",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    mode: str = "nearest",
    nearest_mode: str = "round_prefer_floor",
) -> Array:
    """Resize of all axes without antialiasing; version 11 has tf_half_pixel_for_nn.  ONNX Resize-11 and 13."""
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
def resize_10(x: Array, scales: Array, *, mode: str = "nearest") -> Array:
    """Resize by scales with ``x_original = x_resized / scale``, nearest or linear.  ONNX Resize-10, Upsample-9 and 10.

    Nearest is the element before, and on an axis that shrinks the element after.
    """
    targets = _targets(list(x.shape), scales, None, "stretch")
    for axis, (resized, scale) in enumerate(targets):
        method = _Method(mode, "asymmetric", "ceil" if scale < 1 else "floor")
        x = _resized(x, [_Axis(axis, x.shape[axis], resized, scale)], method)
    return x


@op("Upsample", since=7, until=7)
def upsample_7(x: Array, *, mode: str = "nearest", scales: tuple[float, ...]) -> Array:
    """Upsample by scales in an attribute.  ONNX Upsample-7."""
    return resize_10(x, np.array(scales, dtype=np.float32), mode=mode)


@op("Upsample", since=1, until=1)
def upsample_1(x: Array, *, height_scale: float, mode: str = "nearest", width_scale: float) -> Array:
    """Upsample of images (N, C, H, W); linear interpolation is called bilinear.  ONNX Upsample-1."""
    return upsample_7(x, mode=mode.removeprefix("bi"), scales=(1.0, 1.0, height_scale, width_scale))


def _regions(roi: Array | None, count: int) -> list[tuple[float, float]]:
    """The start and end of every axis in a roi of starts and then ends."""
    values = [] if roi is None else [float(value) for value in roi.tolist()]
    if len(values) != 2 * count:
        raise ValueError(f"tf_crop_and_resize needs a roi of {2 * count} elements for {count} axes, got {len(values)}")
    return list(zip(values[:count], values[count:], strict=True))


def _targets(lengths: list[int], scales: Array | None, sizes: Array | None, policy: str) -> list[tuple[int, float]]:
    """For every axis, the resized length and the scale that the coordinates are mapped with.

    A roi does not change the length: shape inference multiplies by the scale alone.
    """
    given = [(name, v.tolist()) for name, v in (("scales", scales), ("sizes", sizes)) if v is not None and v.size]
    if len(given) != 1 and lengths:
        raise ValueError(
            f"exactly one of scales and sizes must be given, got {' and '.join(n for n, _ in given) or 'none'}"
        )
    name, values = given[0] if given else ("scales", [])
    if len(values) != len(lengths):
        raise ValueError(f"{name} must have one element for each of the {len(lengths)} resized axes, got {len(values)}")
    if min(values, default=1) <= 0 and (name == "scales" or min(values) < 0):
        raise ValueError(f"{name} must be positive, got {values}")
    if name == "scales":
        # In float32, as the scales are: 0.7 of 10 elements are 7, not the 6.99... of the rounded factor.
        products = np.asarray(lengths, dtype=np.float32) * np.asarray(values, dtype=np.float32)
        return [(int(length), scale) for length, scale in zip(np.floor(products), values, strict=True)]
    ratios = [size / length if length else 1.0 for size, length in zip(values, lengths, strict=True)]
    if policy == "stretch":
        return list(zip(values, ratios, strict=True))
    if policy not in ("not_larger", "not_smaller"):
        raise ValueError(f"keep_aspect_ratio_policy must be stretch, not_larger or not_smaller, not {policy!r}")
    ratio = min(ratios) if policy == "not_larger" else max(ratios)
    return [(int(np.floor(ratio * length + 0.5)), ratio) for length in lengths]


def _resized(x: Array, plan: list[_Axis], method: _Method) -> Array:
    """x resized along every axis of the plan that changes, those that shrink most first."""
    if method.mode not in ("nearest", "linear", "cubic"):
        raise ValueError(f"mode must be nearest, linear or cubic, not {method.mode!r}")
    if method.mode != "nearest" and x.dtype.kind == "O":
        raise ValueError(f"the mode {method.mode} needs numbers; only the mode nearest can resize strings")
    moved = method.mode == "nearest"
    y = x if moved else x.astype(np.float64) if x.dtype.kind in "iub" else widen(x)
    for axis in sorted(plan, key=lambda axis: axis.scale):
        if (axis.length, axis.scale, axis.start, axis.end) != (axis.resized, 1.0, 0.0, 1.0):
            y = _resize_axis(y, axis, method)
    return y if moved else narrowed(y, x.dtype, rounded=True)


def _resize_axis(x: Array, axis: _Axis, method: _Method) -> Array:
    """x with one axis resized: a gather for nearest, else the weighted sum of one gather for every tap."""
    xp = array_namespace(x)
    if axis.length == 0 and axis.resized:
        raise ValueError(f"cannot resize an axis without elements to {axis.resized}")
    # A tie between two nearest elements is decided in the type of scales and roi: float64 would show their rounding.
    rough = method.mode == "nearest" and (not axis.exact or method.coordinates == "tf_crop_and_resize")
    position = _original(axis, method.coordinates, np.float32 if rough else np.float64)
    column = (-1,) + (1,) * (x.ndim - 1 - axis.axis)
    if method.mode == "nearest":
        y = xp.take(x, xp.asarray(_nearest(position, method.nearest, axis)), axis=axis.axis)
    else:
        indices, weights = _taps(position, axis, method)
        weights = xp.asarray(weights.astype(x.real.dtype))
        y = None
        for tap in range(indices.shape[1]):
            part = xp.take(x, xp.asarray(indices[:, tap]), axis=axis.axis)
            part *= weights[:, tap].reshape(column)
            y = part if y is None else xp.add(y, part, out=y)
    if method.coordinates == "tf_crop_and_resize":
        outside = (position < 0) | (position > axis.length - 1)
        if outside.any():
            value = xp.asarray(method.extrapolation_value).astype(y.dtype)
            y = xp.where(xp.asarray(outside).reshape(column), value, y)
    return y


def _original(axis: _Axis, coordinates: str, dtype: Any) -> _Vector:
    """The coordinates in the input of every element of the output."""
    resized = np.arange(axis.resized, dtype=dtype)
    last = dtype(axis.length - 1)
    if coordinates in ("half_pixel", "half_pixel_symmetric") or (
        coordinates == "pytorch_half_pixel" and axis.resized > 1
    ):
        position = _unscaled(resized + dtype(0.5), axis) - dtype(0.5)
        if coordinates == "half_pixel_symmetric":
            position += dtype(axis.length / 2 * (1 - axis.resized / axis.scaled))
        return position
    if coordinates == "pytorch_half_pixel":
        return resized
    if coordinates == "asymmetric":
        return _unscaled(resized, axis)
    if coordinates == "tf_half_pixel_for_nn":
        return _unscaled(resized + dtype(0.5), axis)
    if coordinates == "align_corners":
        return resized * last / dtype(axis.scaled - 1) if axis.scaled != 1 else resized
    if coordinates == "tf_crop_and_resize":
        start, end = dtype(axis.start), dtype(axis.end)
        if axis.resized > 1:
            return start * last + resized * (end - start) * last / dtype(axis.resized - 1)
        return resized + dtype(0.5) * (start + end) * last
    raise ValueError(f"unknown coordinate_transformation_mode {coordinates!r}")


def _unscaled(position: _Vector, axis: _Axis) -> _Vector:
    """Positions in the output divided by the scale: where it stands for a ratio of integers, with a single rounding."""
    if axis.exact:
        return position * position.dtype.type(axis.length) / position.dtype.type(axis.resized)
    return position / position.dtype.type(axis.scale)


_ROUNDINGS: dict[str, Callable[[_Vector], _Vector]] = {
    "round_prefer_floor": lambda position: np.floor(position) + (position - np.floor(position) > 0.5),
    "round_prefer_ceil": lambda position: np.floor(position) + (position - np.floor(position) >= 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def _nearest(position: _Vector, nearest_mode: str, axis: _Axis) -> _Vector:
    """The index of the element nearest to every position."""
    if nearest_mode not in _ROUNDINGS:
        raise ValueError(f"nearest_mode must be one of {', '.join(_ROUNDINGS)}, not {nearest_mode!r}")
    return np.clip(_ROUNDINGS[nearest_mode](position), 0, axis.length - 1).astype(np.int64)


def _taps(position: _Vector, axis: _Axis, method: _Method) -> tuple[_Vector, _Vector]:
    """The indices and the weights, shape (resized, taps), of the elements that every position is made of.

    Antialiasing stretches the filter over more elements where the axis shrinks.  Taps outside repeat the edge.
    """
    stretch = min(axis.scale, 1.0) if method.antialias else 1.0
    reach = (1 if method.mode == "linear" else 2) / stretch
    first = int(np.floor(-reach)) + 1
    taps = np.floor(position)[:, None] + np.arange(first, 2 - first)
    distance = np.abs(taps - position[:, None]) * stretch
    if method.mode == "linear":
        weights = np.clip(1 - distance, 0, 1)
    else:
        weights = _cubic(distance, method.cubic_coeff_a)
    if method.exclude_outside:
        weights = np.where((taps < 0) | (taps > axis.length - 1), 0, weights)
    if method.exclude_outside or method.antialias:
        weights = weights / weights.sum(axis=1, keepdims=True)
    return np.clip(taps, 0, axis.length - 1).astype(np.int64), weights


def _cubic(distance: _Vector, a: float) -> _Vector:
    """Keys' cubic convolution kernel at a distance of 0 or more."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
