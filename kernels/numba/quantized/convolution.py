"""The convolution of quantized images with the channels last: with one channel per group, or any other."""

from __future__ import annotations

import numpy as np

from onnxlite.kernels.geometry import windows
from onnxlite.kernels.numba.quantized.binding import BYTE_TYPES, Left, bind_windows, finish
from onnxlite.kernels.numba.quantized.depthwise import bind_channels
from onnxlite.kernels.numba.spec import ArraySpec, Bound, Declined
from onnxlite.kernels.numba.table import op


@op("QuantizedConv", domain="onnxlite")
def quantized_conv(
    x: ArraySpec,
    x_scale: ArraySpec,
    x_zero_point: ArraySpec | None,
    w: ArraySpec,
    w_scale: ArraySpec,
    w_zero_point: ArraySpec | None = None,
    bias: ArraySpec | None = None,
    y_scale: ArraySpec | None = None,
    y_zero_point: ArraySpec | None = None,
    *,
    lowest: int | None = None,
    highest: int | None = None,
    channels_last: int = 0,
    auto_pad: str = "NOTSET",
    dilations: tuple[int, ...] | None = None,
    group: int = 1,
    kernel_shape: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> Bound | Declined:
    """The convolution of a quantized image with constant weights, in float32 or quantized; see the reference."""
    left = Left(x, x_scale, x_zero_point, (0, 1, 2))
    refusal = left.refusal()
    if refusal is not None:
        return refusal
    if not channels_last or not 3 <= len(x.shape) <= 5 or len(w.shape) != len(x.shape):
        return Declined("only images with the channels last, on one to three spatial axes, are compiled")
    if w.value is None or w.dtype not in BYTE_TYPES or not w.size or w.shape[0] % group:
        return Declined("only constant weights of bytes are compiled")
    kernel = tuple(w.shape[2:])
    if x.shape[-1] != w.shape[1] * group or (kernel_shape and tuple(kernel_shape) != kernel):
        return Declined("the channels or the kernel do not fit: the reference says how")
    if w_zero_point is not None and (w_zero_point.value is None or w_zero_point.size not in (1, w.shape[0])):
        return Declined("only constant zero points, one or one for each filter, are compiled for the weights")
    of_y = finish(w.shape[0], w_scale, bias, y_scale, y_zero_point, (lowest, highest))
    if isinstance(of_y, Declined):
        return of_y
    where = windows(x.shape[1:-1], kernel, strides=strides, dilations=dilations, pads=pads, auto_pad=auto_pad)
    if not np.prod(where.output) or min(where.begins) < 0:
        return Declined("empty results and negative pads are not compiled")
    zeros = (0,) if w_zero_point is None else tuple(np.asarray(w_zero_point.value).reshape(-1).tolist())
    if w.shape[1] == 1 and w.shape[0] == group > 1:
        return bind_channels(left, w.value, zeros, where, of_y)
    return bind_windows(left, w.value, zeros, where, group, of_y)
