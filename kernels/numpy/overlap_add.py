"""The reference of ``onnxlite.OverlapAdd``: the second half of a transposed convolution.

It is no operator of ONNX: `onnxlite.passes.lower_transposed` makes it.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from onnxlite.kernels.arrays import Array, array_namespace
from onnxlite.kernels.geometry import span
from onnxlite.kernels.numpy.table import op

Ints = tuple[int, ...]


@op("OverlapAdd", domain="onnxlite")
def overlap_add(
    x: Array,
    b: Array | None = None,
    *,
    kernel_shape: Ints,
    strides: Ints,
    dilations: Ints,
    crops: Ints,
    group: int = 1,
    channels_last: int = 0,
) -> Array:
    """``y[n, c, o...] = b[c] + Σ x[n, (group of c, k..., c in its group), i...]`` over all ``s*i + d*k = o + crop``.

    Args:
        x: What each position gives to the places of a kernel: (N, group * kernel * channels / group, spatial axes...),
            or with the channels last.
        b: A number per channel.
        kernel_shape: The places of a kernel along each spatial axis.
        strides: How far the kernels of neighbouring positions lie apart.
        dilations: How far the places of a kernel lie apart.
        crops: How many results are cut off before each spatial axis, and behind each; zeros are added if negative.
        group: The number of groups that the channels are in.
        channels_last: Whether the channels of x and of the result come last.
    """
    xp = array_namespace(x)
    rank = len(strides)
    first = xp.moveaxis(x, -1, 1) if channels_last else x
    n, image = first.shape[0], first.shape[2:]
    channels = first.shape[1] // (group * math.prod(kernel_shape))
    parts = first.reshape(n, group, *kernel_shape, channels, *image)
    full = [
        s * (length - 1) + span(k, d) + max(0, -crop)
        for length, k, s, d, crop in zip(image, kernel_shape, strides, dilations, crops[rank:], strict=True)
    ]
    y = xp.zeros((n, group, channels, *full), dtype=x.dtype)
    for tap in itertools.product(*map(range, kernel_shape)):
        starts = [k * d for k, d in zip(tap, dilations, strict=True)]
        places = tuple(
            slice(start, start + s * (length - 1) + 1, s)
            for start, s, length in zip(starts, strides, image, strict=True)
        )
        y[(..., *places)] += parts[(slice(None), slice(None), *tap)]
    ends = [length - max(0, crop) for length, crop in zip(full, crops[rank:], strict=True)]
    y = y.reshape(n, group * channels, *full)
    y = y[(..., *(slice(start, end) for start, end in zip(crops[:rank], ends, strict=True)))]
    if b is not None:
        y = (y + b.reshape(-1, *(1,) * rank)).astype(np.float32)
    return xp.moveaxis(y, 1, -1) if channels_last else y
