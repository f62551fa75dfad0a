"""Conv of any kernel, stride and group, as a product of the image's rows, where they lie, with packed weights."""

from __future__ import annotations

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.geometry import Windows
from onnxlite.kernels.numba.channels_last import Padding, pad_rows, patches
from onnxlite.kernels.numba.epilogue import Epilogue, apply_epilogue
from onnxlite.kernels.numba.jit import jit
from onnxlite.kernels.numba.patch_product import multiply_patches, pack_filters
from onnxlite.kernels.numba.prepared import prepared
from onnxlite.kernels.numba.simd import TILE_COLUMNS, TILE_ROWS
from onnxlite.kernels.numba.spec import FLOAT32, ArraySpec, Bound, Input, Output, Pool, Scratch
from onnxlite.kernels.numba.threads import parallel_for

#: The bytes of a panel of weights that a step multiplies: it stays in the second-level cache.
_STEP_BYTES = 1 << 18
#: The rows that one piece of work multiplies with a panel of weights while that is in the cache.
_ROWS = 8 * TILE_ROWS


@jit
def _convolve_pieces(  # type: ignore[no-untyped-def]
    start, stop, thread, a, starts, positions, taps, run, weights, groups, filters, splits, y, target, tap_step, bias,
    residual, e, edges,
):  # fmt: skip
    """Some of the (block of rows, part of the columns) pieces of one image."""
    stride = groups * filters
    panels = -(-filters // TILE_COLUMNS)
    for piece in range(start, stop):
        first = piece // splits * _ROWS
        rows = min(_ROWS, positions - first)
        part = piece % splits
        left = part * panels // splits * TILE_COLUMNS
        right = min(filters, (part + 1) * panels // splits * TILE_COLUMNS)
        for group in range(groups):
            place = target + first * stride + group * filters
            multiply_patches(
                a[group * run :] if groups > 1 else a, starts, first, rows, taps, run, weights[group], filters,
                left, right, y, place, stride, tap_step, edges[thread],
            )  # fmt: skip
            apply_epilogue(
                y, place + left, rows, right - left, stride, bias, group * filters + left, e.bias_axis, residual,
                e.activation, e.alpha, e.beta,
            )  # fmt: skip


@jit
def convolve(  # type: ignore[no-untyped-def]
    pool, x, weights, bias, residual, y, images, image_size, starts, positions, taps, run, filters, splits, tap_step, e,
    padding, padded, edges,
):  # fmt: skip
    """``y = activation(conv(x, weights) + bias + residual)``, all arrays flat, channels last."""
    groups = weights.shape[0]
    pieces = -(-positions // _ROWS) * splits
    for image in range(images):
        target = image * positions * groups * filters
        if padded.size > 0:
            rows = padding.padded_depth * padding.padded_height
            piece = max(1, 16384 // (padding.padded_width * padding.channels))
            parallel_for(pool, pad_rows, (x, image * image_size, padding, np.float32(0), padded), rows, piece)
        source = padded if padded.size > 0 else x[image * image_size : (image + 1) * image_size]
        arguments = (
            source, starts, positions, taps, run, weights, groups, filters, splits, y, target, tap_step, bias, residual,
            e, edges,
        )  # fmt: skip
        parallel_for(pool, _convolve_pieces, arguments, pieces, 1)


def bind_convolution(
    x: ArraySpec, w: Array, b: Array | None, residual: Array | Input, where: Windows, groups: int, e: Epilogue
) -> Bound:
    """The convolution as a product of patches with packed weights."""
    filters = w.shape[0] // groups
    p = patches(where, x.shape[-1], w.shape[1])
    positions = len(p.starts) - TILE_ROWS
    blocks = -(-positions // _ROWS)
    panels = -(-filters // TILE_COLUMNS)
    splits = max(1, min(panels, 8 // blocks))
    return Bound(
        convolve,
        (
            Pool(),
            Input(0, flat=True),
            prepared(w, pack_filters, groups),
            np.zeros(1, np.float32) if b is None else np.array(b),
            residual,
            Output(flat=True),
            x.shape[0],
            p.image_size,
            p.starts,
            positions,
            p.taps,
            p.run,
            filters,
            splits,
            max(1, _STEP_BYTES // (4 * p.run * TILE_COLUMNS)),
            e,
            p.padding or Padding(*(0,) * 10),
            Scratch((p.padded_size,)),
            Scratch((TILE_ROWS * TILE_COLUMNS,), per_thread=True),
        ),
        (ArraySpec((x.shape[0], *where.output, w.shape[0]), FLOAT32),),
    )
