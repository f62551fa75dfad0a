"""Conv on images with the channels last: the way that suits kernel and sizes is chosen once, from a cost model."""

from __future__ import annotations

import numpy as np

from onnxlite.kernels.geometry import windows
from onnxlite.kernels.numba.convolution.depthwise import WIDEST, bind_depthwise
from onnxlite.kernels.numba.convolution.direct import bind_convolution
from onnxlite.kernels.numba.convolution.winograd import are_finite, bind_winograd, tile_size
from onnxlite.kernels.numba.prepared import prepared
from onnxlite.kernels.numba.product.epilogue import COLUMN_BIAS, NO_BIAS, Epilogue, activation_code
from onnxlite.kernels.numba.spec import FLOAT32, ArraySpec, Bound, Declined, Input
from onnxlite.kernels.numba.table import op


@op("Conv", domain="onnxlite", since=1)
def conv(
    x: ArraySpec,
    w: ArraySpec,
    b: ArraySpec | None = None,
    residual: ArraySpec | None = None,
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
) -> Bound | Declined:
    """``activation(Conv(x, w, b) + residual)``: x, residual and the result channels last, w as ONNX Conv-22 has it.

    With ``residual_last``, the residual is added to the activation's result.
    """
    if x.dtype != FLOAT32 or w.dtype != FLOAT32 or not 3 <= len(x.shape) <= 5 or not x.size or not w.size:
        return Declined("only float32 on one to three spatial axes is compiled")
    if w.value is None or x.value is not None:
        return Declined("only constant weights and an image that is not constant are compiled")
    if len(w.shape) != len(x.shape) or x.shape[-1] != w.shape[1] * group or w.shape[0] % group:
        return Declined("the channels do not fit: the reference says how")
    kernel = tuple(w.shape[2:])
    fits = b is None or (b.value is not None and b.shape == w.shape[:1] and b.dtype == FLOAT32)
    if (kernel_shape and tuple(kernel_shape) != kernel) or not fits:
        return Declined("only a constant bias, and a kernel_shape that is that of the weights, are compiled")
    where = windows(x.shape[1:-1], kernel, strides=strides, dilations=dilations, pads=pads, auto_pad=auto_pad)
    shape = (x.shape[0], *where.output, w.shape[0])
    code = activation_code(activation, alpha, beta, residual_last=residual_last)
    if code is None or (residual is not None and (residual.shape != shape or residual.dtype != FLOAT32)):
        return Declined(f"a residual of another shape, or the activation {activation}, is not compiled")
    bias = None if b is None else b.value
    epilogue = Epilogue(NO_BIAS if b is None else COLUMN_BIAS, *code)
    added = np.empty(0, np.float32) if residual is None else Input(3, flat=True)
    if group > 1 and w.shape[:2] == (group, 1) and len(x.shape) <= 4 and kernel[-1] <= WIDEST:
        return bind_depthwise(x, w.value, bias, added, where, epilogue)
    size = tile_size(where, *w.shape[1::-1]) if group == 1 else 0
    if size and prepared(w.value, are_finite):
        return bind_winograd(x, w.value, bias, added, where, epilogue, size)
    return bind_convolution(x, w.value, bias, added, where, group, epilogue)
