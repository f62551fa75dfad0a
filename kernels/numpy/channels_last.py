"""The reference of the fused operators on images with the channels last, (N, spatial axes..., C).

They are no operators of ONNX: plans use them (domain ``onnxlite``) where a compiled kernel can be expected, and these
functions say what they mean.
"""

from __future__ import annotations

from onnxlite.kernels.arrays import Array, array_namespace
from onnxlite.kernels.numpy.convolution import conv
from onnxlite.kernels.numpy.epilogue import finished
from onnxlite.kernels.numpy.pooling import average_pool, max_pool
from onnxlite.kernels.numpy.table import op


@op("Conv", domain="onnxlite")
def conv_channels_last(
    x: Array,
    w: Array,
    b: Array | None = None,
    residual: Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: tuple[int, ...] | None = None,
    group: int = 1,
    kernel_shape: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
    activation: str = "",
    alpha: float | None = None,
    beta: float | None = None,
    residual_last: int = 0,
) -> Array:
    """``activation(Conv(x, w, b) + residual)``; the weights are as ONNX Conv-22 has them.

    With ``residual_last``, the residual is added to the activation's result.
    """
    xp = array_namespace(x)
    y = conv(
        xp.moveaxis(x, -1, 1), w, b, auto_pad=auto_pad, dilations=dilations, group=group, kernel_shape=kernel_shape,
        pads=pads, strides=strides,
    )  # fmt: skip
    y = xp.moveaxis(y, 1, -1)
    return finished(y, residual, activation, alpha, beta, residual_last)


@op("MaxPool", domain="onnxlite")
def max_pool_channels_last(
    x: Array,
    *,
    kernel_shape: tuple[int, ...],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    storage_order: int = 0,
    strides: tuple[int, ...] | None = None,
) -> Array:
    """The largest element of each window, without indices (ONNX MaxPool-22)."""
    xp = array_namespace(x)
    y = max_pool(
        xp.moveaxis(x, -1, 1), kernel_shape=kernel_shape, auto_pad=auto_pad, ceil_mode=ceil_mode, dilations=dilations,
        pads=pads, strides=strides, output_count=1,
    )  # fmt: skip
    return xp.moveaxis(y[0] if isinstance(y, tuple) else y, 1, -1)


@op("AveragePool", domain="onnxlite")
def average_pool_channels_last(
    x: Array,
    *,
    kernel_shape: tuple[int, ...],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> Array:
    """The mean of each window (ONNX AveragePool-22)."""
    xp = array_namespace(x)
    y = average_pool(
        xp.moveaxis(x, -1, 1), kernel_shape=kernel_shape, auto_pad=auto_pad, ceil_mode=ceil_mode,
        count_include_pad=count_include_pad, dilations=dilations, pads=pads, strides=strides,
    )  # fmt: skip
    return xp.moveaxis(y, 1, -1)
