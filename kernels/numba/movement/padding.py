"""Pad: a tensor whose axes read another one's, the filling where there is nothing to read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.axes import normalize_axes
from onnxlite.kernels.numba.movement.placement import bind_placement
from onnxlite.kernels.numba.spec import ArraySpec, Bound, Declined, Input, View
from onnxlite.kernels.numba.table import op
from onnxlite.kernels.numpy.joining import padded


@op("Pad", since=18)
def pad(
    data: ArraySpec,
    pads: ArraySpec,
    constant_value: ArraySpec | None = None,
    axes: ArraySpec | None = None,
    *,
    mode: str = "constant",
) -> Bound | View | Declined:
    """The tensor with elements added or removed before and after some axes (ONNX Pad-18)."""
    if pads.value is None or (axes is not None and axes.value is None):
        return Declined("the pads are not known before the model runs")
    chosen = normalize_axes(None if axes is None else axes.value, len(data.shape))
    given = constant_value if constant_value is not None and constant_value.size else None
    if given is not None and (given.dtype != data.dtype or given.size != 1):
        return Declined("expected a single value of the tensor's type to fill with")
    value = np.zeros(1, data.dtype) if given is None else Input(2, flat=True)
    return _bind(data, np.ravel(pads.value).tolist(), chosen, mode, value)


@op("Pad", since=11, until=13)
def pad_11(
    data: ArraySpec, pads: ArraySpec, constant_value: ArraySpec | None = None, *, mode: str = "constant"
) -> Bound | View | Declined:
    """Pad on all axes (ONNX Pad-11)."""
    return pad(data, pads, constant_value, mode=mode)


@op("Pad", since=2, until=2)
def pad_2(
    data: ArraySpec, *, mode: str = "constant", pads: Sequence[int], value: float = 0.0
) -> Bound | View | Declined:
    """Pad on all axes, with attributes (ONNX Pad-2)."""
    if data.dtype.kind not in "biuf":
        return Declined(f"padding {data.dtype} is not compiled")
    return _bind(data, pads, range(len(data.shape)), mode, np.full(1, value, data.dtype))


@op("Pad", since=1, until=1)
def pad_1(
    data: ArraySpec, *, mode: str = "constant", paddings: Sequence[int], value: float = 0.0
) -> Bound | View | Declined:
    """Pad whose counts are called ``paddings`` (ONNX Pad-1)."""
    return pad_2(data, mode=mode, pads=paddings, value=value)


def _bind(
    x: ArraySpec, pads: Sequence[int], axes: Sequence[int], mode: str, value: Array | Input
) -> Bound | View | Declined:
    if len(pads) != 2 * len(axes):
        return Declined(f"expected {2 * len(axes)} pads for {len(axes)} axes, got {len(pads)}")
    widths = dict(zip(axes, zip(pads, pads[len(axes) :], strict=False), strict=True))
    if not any(any(width) for width in widths.values()):
        return View(x.shape)
    # The reference kernel pads the numbers of the places along an axis.
    places = [padded(np.arange(dim), [widths.get(axis, (0, 0))], mode, -1) for axis, dim in enumerate(x.shape)]
    return bind_placement(x, places, value)
