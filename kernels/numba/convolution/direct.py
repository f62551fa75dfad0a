"""Conv of any kernel, stride and group, as a product of the image's rows, where they lie, with packed weights."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.geometry import Windows
from onnxlite.kernels.numba.convolution.channels_last import Padding, Patches, pad_image, patches
from onnxlite.kernels.numba.convolution.finish import apply_rest, finish
from onnxlite.kernels.numba.convolution.patch_product import multiply_patches, pack_filters, padded_bias
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.memory import address
from onnxlite.kernels.numba.machine.simd import LANES, TILE_COLUMNS, TILE_ROWS
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.prepared import prepared
from onnxlite.kernels.numba.product.epilogue import Epilogue
from onnxlite.kernels.numba.spec import FLOAT32, ArraySpec, Bound, Input, Output, Pool, Scratch

#: The bytes of a panel of weights that a step multiplies: it stays in the second-level cache.
_STEP_BYTES = 1 << 18
#: The rows that one piece of work multiplies with a panel of weights while that is in the cache.
_ROWS = 8 * TILE_ROWS
#: The distance of rows, in elements, that share lines of the first cache, and the columns that make copying them pay.
_ALIASED, _WORTH_COPYING = 1024, 256


class Layer(NamedTuple):
    """The numbers of a convolution: lengths in elements, for one group, and how it is divided.

    ``apart``: rows are copied first, to this distance, because where they lie the first cache cannot hold a tile of
    them; 0 if they are read where they are.
    """

    groups: int
    positions: int
    tap_count: int
    run: int
    filters: int
    splits: int
    tap_step: int
    apart: int = 0


@jit
def _copy_rows(a: Array, starts: Array, layer: Layer, own: Array) -> None:
    """Copy rows to where they lie apart."""
    for row in range(starts.size):
        source, target = starts[row], row * layer.apart
        own[target : target + layer.run] = a[source : source + layer.run]


@jit
def convolve_pieces(  # type: ignore[no-untyped-def]
    start, stop, thread, a, starts, taps, weights, y, target, bias, residual, layer, f, spare, own, own_starts
):
    """Some of the (block of rows, part of the columns) pieces of one image."""
    filters = layer.filters
    stride = layer.groups * filters
    panels = -(-filters // TILE_COLUMNS)
    for piece in range(start, stop):
        first = piece // layer.splits * _ROWS
        rows = min(_ROWS, layer.positions - first)
        part = piece % layer.splits
        left = part * panels // layer.splits * TILE_COLUMNS
        right = min(filters, (part + 1) * panels // layer.splits * TILE_COLUMNS)
        for group in range(layer.groups):
            place = target + first * stride + group * filters
            source, table = address(a, group * layer.run), address(starts, first)
            if layer.apart:
                _copy_rows(a[group * layer.run :], starts[first : first + rows], layer, own[thread])
                source, table = address(own, thread * own.shape[1]), address(own_starts, 0)
            multiply_patches(
                source, table, rows, address(taps, 0), layer.tap_count,
                layer.run, address(weights, group * weights.shape[1]), filters, left, right, address(y, place), stride,
                layer.tap_step, address(bias, group * bias.shape[1]),
                address(residual, place) if f.added else 0, f.added, f.low, f.high,
                address(spare, thread * spare.shape[1]),
            )  # fmt: skip
            apply_rest(y, place + left, rows, right - left, stride, residual, f)


@jit(inline=True)
def piece_count(layer: Layer) -> int:
    """The pieces of one image."""
    return -(-layer.positions // _ROWS) * layer.splits


@jit
def convolve(  # type: ignore[no-untyped-def]
    pool,
    x,
    weights,
    bias,
    residual,
    y,
    images,
    image_size,
    starts,
    taps,
    layer,
    f,
    padding,
    padded,
    spare,
    own,
    own_starts,
):
    """``y = activation(conv(x, weights) + bias + residual)``: images flat, channels last, weights a row per group."""
    pieces = piece_count(layer)
    for image in range(images):
        target = image * layer.positions * layer.groups * layer.filters
        if padded.size > 0:
            pad_image(pool, x, image * image_size, padding, np.float32(0), padded)
        source = padded if padded.size > 0 else x[image * image_size : (image + 1) * image_size]
        arguments = (source, starts, taps, weights, y, target, bias, residual, layer, f, spare, own, own_starts)
        parallel_for(pool, convolve_pieces, arguments, pieces, 1)


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
    tap_step = max(1, _STEP_BYTES // (4 * p.run * TILE_COLUMNS))
    apart = _distance_apart(p, filters // splits)
    layer = Layer(groups, positions, len(p.taps), p.run, filters, splits, tap_step, apart)
    return Bound(
        convolve,
        (
            Pool(),
            Input(0, flat=True),
            prepared(w, pack_filters, groups),
            padded_bias(b, w.shape[0], groups),
            residual,
            Output(flat=True),
            x.shape[0],
            p.image_size,
            p.starts,
            p.taps,
            layer,
            finish(e, isinstance(residual, Input)),
            p.padding or Padding(*(0,) * 10),
            Scratch((p.padded_size,)),
            Scratch((TILE_ROWS * TILE_COLUMNS,), per_thread=True),
            Scratch((_ROWS * apart,), per_thread=True),
            np.arange(_ROWS if apart else 0) * apart,
        ),
        (ArraySpec((x.shape[0], *where.output, w.shape[0]), FLOAT32),),
    )


def _distance_apart(p: Patches, columns: int) -> int:
    """The distance at which rows are better copied to, in elements, or 0 for none.

    Rows at a multiple of 4096 bytes share a few lines of the first cache, whatever its size.  To copy them pays if they
    are multiplied with that many columns at least.
    """
    aliased = len(p.taps) == 1 and len(p.starts) > TILE_ROWS + 1 and (p.starts[1] - p.starts[0]) % _ALIASED == 0
    return p.run + LANES if aliased and columns >= _WORTH_COPYING else 0
