"""The reference of ``onnxlite.Interleave``: the phases of a transposed convolution, put between each other.

It is no operator of ONNX: `onnxlite.plan.lower_transposed` makes it.
"""

from __future__ import annotations

import math

from onnxlite.kernels.arrays import Array, array_namespace
from onnxlite.kernels.numpy.table import op


@op("Interleave", domain="onnxlite")
def interleave(
    x: Array, *, strides: tuple[int, ...], crops: tuple[int, ...], group: int = 1, channels_last: int = 0
) -> Array:
    """``y[n, c, s*i + r - crop...] = x[n, (group of c, r..., c in its group), i...]``.

    Args:
        x: Images (N, group * phases * channels / group, spatial axes...), or with the channels last.
        strides: The number of phases along each spatial axis.
        crops: How many results are cut off before each spatial axis, and behind each.
        group: The number of groups that the channels are in.
        channels_last: Whether the channels of x and of the result come last.
    """
    xp = array_namespace(x)
    rank = len(strides)
    first = xp.moveaxis(x, -1, 1) if channels_last else x
    n, image = first.shape[0], first.shape[2:]
    channels = first.shape[1] // (group * math.prod(strides))
    parts = first.reshape(n, group, *strides, channels, *image)
    pairs = [axis for index in range(rank) for axis in (3 + rank + index, 2 + index)]
    whole = tuple(length * stride for length, stride in zip(image, strides, strict=True))
    y = parts.transpose(0, 1, 2 + rank, *pairs).reshape(n, group * channels, *whole)
    ends = (length - crop for length, crop in zip(whole, crops[rank:], strict=True))
    y = y[(..., *(slice(start, end) for start, end in zip(crops[:rank], ends, strict=True)))]
    return xp.moveaxis(y, 1, -1) if channels_last else y
