"""Conv with 3x3 kernels and stride 1 by Winograd's minimal filtering: fewer multiplications for the same result.

Tiles of m x m outputs (m = 2 or 4) are computed from (m + 2) x (m + 2) inputs as ``A' [(G g G') * (B' d B)] A`` (Lavin
and Gray, 2016).  The products in the middle, for all channels, filters and tiles, are (m + 2)^2 matrix products, tiles
x channels times channels x filters, with the transformed weights packed beforehand.  Images have the channels last, so
that the transforms work on vectors of channels.  Images whose numbers are not all finite are convolved directly.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.geometry import Windows
from onnxlite.kernels.numba.convolution.channels_last import Padding, pad_image
from onnxlite.kernels.numba.convolution.finish import apply_rest, finish
from onnxlite.kernels.numba.convolution.patch import ADD_RESIDUAL, ADD_RESIDUAL_LAST
from onnxlite.kernels.numba.convolution.patch_product import multiply_patches, pack_filters, padded_bias
from onnxlite.kernels.numba.convolution.winograd_exact import (
    any_seen,
    convolve_exactly,
    exact_layer,
    exact_scratch,
    taps_of_points,
)
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.memory import address
from onnxlite.kernels.numba.machine.simd import LANES, TILE_COLUMNS, TILE_ROWS
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.machine.vector import fma, limited, load, splat, store
from onnxlite.kernels.numba.prepared import prepared
from onnxlite.kernels.numba.product.epilogue import NONE, Epilogue
from onnxlite.kernels.numba.spec import FLOAT32, ArraySpec, Bound, Input, Output, Pool, Scratch

#: G for m = 2 and m = 4: kernels (3) to the transformed domain (m + 2).
_KERNEL_TRANSFORMS = {
    2: np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]]),
    4: np.array(
        [
            [1 / 4, 0, 0],
            [-1 / 6, -1 / 6, -1 / 6],
            [-1 / 6, 1 / 6, -1 / 6],
            [1 / 24, 1 / 12, 1 / 6],
            [1 / 24, -1 / 12, 1 / 6],
            [0, 0, 1],
        ]
    ),
}

#: The bytes of transformed inputs and products that all threads work on at a time, and that one does by itself.
_BLOCK_BYTES, _OWN_BYTES = 1 << 21, 1 << 19
#: The fewest blocks that are left to one thread each: fewer are not shared out evenly.
_OWN_BLOCKS = 8


class Tiles(NamedTuple):
    """The tiles of an image: the outputs along an edge of a tile, and lengths and counts along the axes."""

    size: int
    channels: int
    filters: int
    rows: int
    columns: int
    padded_width: int
    output_height: int
    output_width: int


@jit(inline=True)
def _inputs_4(a, s, step, b, t, to):  # type: ignore[no-untyped-def]
    """B' for m = 2: four vectors, ``step`` elements apart, to four that are ``to`` apart."""
    d0, d1, d2, d3 = load(a, s), load(a, s + step), load(a, s + 2 * step), load(a, s + 3 * step)
    store(b, t, d0 - d2)
    store(b, t + to, d1 + d2)
    store(b, t + 2 * to, d2 - d1)
    store(b, t + 3 * to, d1 - d3)


@jit(inline=True)
def _inputs_6(a, s, step, b, t, to):  # type: ignore[no-untyped-def]
    """B' for m = 4."""
    two, four, five = splat(np.float32(2)), splat(np.float32(4)), splat(np.float32(5))
    d0, d1, d2 = load(a, s), load(a, s + step), load(a, s + 2 * step)
    d3, d4, d5 = load(a, s + 3 * step), load(a, s + 4 * step), load(a, s + 5 * step)
    even, odd = d4 - four * d2, d3 - four * d1
    near, far = d4 - d2, two * (d3 - d1)
    store(b, t, four * d0 - five * d2 + d4)
    store(b, t + to, even + odd)
    store(b, t + 2 * to, even - odd)
    store(b, t + 3 * to, near + far)
    store(b, t + 4 * to, near - far)
    store(b, t + 5 * to, four * d1 - five * d3 + d5)


@jit(inline=True)
def _outputs_4(a, s, step, b, t, to):  # type: ignore[no-untyped-def]
    """A' for m = 2: four vectors to two."""
    m0, m1, m2, m3 = load(a, s), load(a, s + step), load(a, s + 2 * step), load(a, s + 3 * step)
    store(b, t, m0 + m1 + m2)
    store(b, t + to, m1 - m2 - m3)


@jit(inline=True)
def _outputs_6(a, s, step, b, t, to):  # type: ignore[no-untyped-def]
    """A' for m = 4: six vectors to four."""
    two, four, eight = splat(np.float32(2)), splat(np.float32(4)), splat(np.float32(8))
    m0, m1, m2 = load(a, s), load(a, s + step), load(a, s + 2 * step)
    m3, m4, m5 = load(a, s + 3 * step), load(a, s + 4 * step), load(a, s + 5 * step)
    near, low = m1 + m2, m1 - m2
    far, high = m3 + m4, m3 - m4
    store(b, t, m0 + near + far)
    store(b, t + to, low + two * high)
    store(b, t + 2 * to, near + four * far)
    store(b, t + 3 * to, low + eight * high + m5)


@jit
def _transform_inputs(start, stop, thread, x, g, first, count, transformed, work):  # type: ignore[no-untyped-def]
    """The transformed inputs of some tiles, shape (points, tiles, channels)."""
    edge = g.size + 2
    row, plane = g.padded_width * g.channels, count * g.channels
    half = work[thread]
    for tile in range(start, stop):
        y, column = (first + tile) // g.columns, (first + tile) % g.columns
        corner = y * g.size * row + column * g.size * g.channels
        for block in range(0, g.channels, LANES):
            channel = min(block, g.channels - LANES)
            target = tile * g.channels + channel
            for j in range(edge):
                source = corner + j * g.channels + channel
                if g.size == 4:
                    _inputs_6(x, source, row, half, j * LANES, edge * LANES)
                else:
                    _inputs_4(x, source, row, half, j * LANES, edge * LANES)
            for i in range(edge):
                if g.size == 4:
                    _inputs_6(half, i * edge * LANES, LANES, transformed, target + i * edge * plane, plane)
                else:
                    _inputs_4(half, i * edge * LANES, LANES, transformed, target + i * edge * plane, plane)


@jit
def _multiply_points(start, stop, thread, transformed, starts, taps, g, count, weights, product, spare):  # type: ignore[no-untyped-def]
    """The matrix products; a piece is a panel of filters at one point of the tiles."""
    panels = -(-g.filters // TILE_COLUMNS)
    for piece in range(start, stop):
        point, panel = piece // panels, piece % panels
        left, right = panel * TILE_COLUMNS, min(g.filters, (panel + 1) * TILE_COLUMNS)
        multiply_patches(
            address(transformed, point * count * g.channels), address(starts, 0), count, address(taps, 0), 1,
            g.channels, address(weights, point * weights.shape[1]), g.filters, left, right,
            address(product, point * count * g.filters), g.filters, 1, 0, 0, 0, np.float32(-np.inf),
            np.float32(np.inf), address(spare, thread * spare.shape[1]),
        )  # fmt: skip


@jit
def _transform_outputs(start, stop, thread, product, g, first, count, y, target, bias, residual, f, work, notes):  # type: ignore[no-untyped-def]
    """The outputs of some tiles, with what follows them; notes become NaN where one is not finite."""
    edge, size = g.size + 2, g.size
    plane = count * g.filters
    places = edge * edge * LANES
    half, result = work[thread, :places], work[thread, places:]
    zero, seen = splat(np.float32(0)), splat(np.float32(0))
    for tile in range(start, stop):
        top, left = (first + tile) // g.columns * size, (first + tile) % g.columns * size
        height, width = min(size, g.output_height - top), min(size, g.output_width - left)
        corner = target + (top * g.output_width + left) * g.filters
        for block in range(0, g.filters, LANES):
            lane = min(block, g.filters - LANES)
            source, shift = tile * g.filters + lane, load(bias, lane)
            for j in range(edge):
                if size == 4:
                    _outputs_6(product, source + j * plane, edge * plane, half, j * LANES, edge * LANES)
                else:
                    _outputs_4(product, source + j * plane, edge * plane, half, j * LANES, edge * LANES)
            for i in range(size):
                if size == 4:
                    _outputs_6(half, i * edge * LANES, LANES, result, i * size * LANES, LANES)
                else:
                    _outputs_4(half, i * edge * LANES, LANES, result, i * size * LANES, LANES)
            for i in range(height):
                for j in range(width):
                    place = corner + (i * g.output_width + j) * g.filters + lane
                    value = load(result, (i * size + j) * LANES)
                    seen = fma(value, zero, seen)
                    value = value + shift
                    if f.added == ADD_RESIDUAL:
                        value = value + load(residual, place)
                    value = limited(value, f.low, f.high)
                    if f.added == ADD_RESIDUAL_LAST:
                        value = value + load(residual, place)
                    store(y, place, value)
        if f.activation != NONE:
            for i in range(height):
                row = corner + i * g.output_width * g.filters
                apply_rest(y, row, width, g.filters, g.filters, residual, f)
    store(notes[thread], 0, load(notes[thread], 0) + seen)


@jit
def _whole_blocks(  # type: ignore[no-untyped-def]
    start, stop, thread, padded, g, block, transformed, starts, taps, weights, product, y, target, bias, residual, f,
    work, spare, notes,
):  # fmt: skip
    """Some blocks of tiles from the inputs to the outputs: all that is between stays in the thread's cache."""
    tiles, points = g.rows * g.columns, (g.size + 2) * (g.size + 2)
    panels = -(-g.filters // TILE_COLUMNS)
    own, result = transformed[thread], product[thread]
    for first in range(start * block, min(stop * block, tiles), block):
        count = min(block, tiles - first)
        _transform_inputs(0, count, thread, padded, g, first, count, own, work)
        _multiply_points(0, points * panels, thread, own, starts, taps, g, count, weights, result, spare)
        _transform_outputs(0, count, thread, result, g, first, count, y, target, bias, residual, f, work, notes)


@jit(inline=True)
def _piece(count: int, most: int) -> int:
    """The tiles of a piece: few enough that there are pieces for all threads."""
    return max(1, min(most, -(-count // 16)))


@jit
def winograd(  # type: ignore[no-untyped-def]
    pool, x, weights, bias, residual, y, images, g, starts, taps, block, own, f, padding, padded, transformed, product,
    work, spare, notes, inverse, layer, exact_weights, exact_starts, exact_taps,
):  # fmt: skip
    """``y = activation(conv(x, weights) + bias + residual)``, all arrays flat, channels last."""
    tiles = g.rows * g.columns
    points = (g.size + 2) * (g.size + 2)
    panels = -(-g.filters // TILE_COLUMNS)
    image_size = padding.height * padding.width * padding.channels
    for image in range(images):
        pad_image(pool, x, image * image_size, padding, np.float32(0), padded)
        target = image * g.output_height * g.output_width * g.filters
        notes[:] = 0
        if own:
            blocks = (
                padded, g, block, transformed, starts, taps, weights, product, y, target, bias, residual, f, work,
                spare, notes,
            )  # fmt: skip
            parallel_for(pool, _whole_blocks, blocks, -(-tiles // block), 1)
        else:
            for first in range(0, tiles, block):
                count = min(block, tiles - first)
                inputs = (padded, g, first, count, transformed[0], work)
                parallel_for(pool, _transform_inputs, inputs, count, _piece(count, 4096 // g.channels))
                products = (transformed[0], starts, taps, g, count, weights, product[0], spare)
                work_of_panel = count * g.channels * TILE_COLUMNS
                parallel_for(pool, _multiply_points, products, points * panels, max(1, 1_000_000 // work_of_panel))
                results = (product[0], g, first, count, y, target, bias, residual, f, work, notes)
                parallel_for(pool, _transform_outputs, results, count, _piece(count, 4096 // g.filters))
        if any_seen(notes):
            convolve_exactly(
                pool, padded, g.padded_width, weights, inverse, bias.reshape(1, -1), residual, y, target,
                g.output_width, layer, f, spare, exact_weights, exact_starts, exact_taps,
            )  # fmt: skip


def are_finite(w: Array) -> bool:
    """Whether the weights can be transformed: an infinity among them would become NaN."""
    return bool(np.isfinite(w).all())


def transformed_weights(w: Array, size: int) -> Array:
    """The weights (filters, channels, 3, 3) in the transformed domain, packed for each point: shape (points, n)."""
    g = _KERNEL_TRANSFORMS[size]
    points = np.empty((len(g) ** 2, *w.shape[:2]), np.float32)
    for taps, transformed in zip(w, np.moveaxis(points, 1, 0), strict=True):
        transformed[...] = np.kron(g, g) @ taps.reshape(-1, 9).T.astype(np.float64)
    return pack_filters(points.reshape(-1, w.shape[1]), len(g) ** 2)


def bind_winograd(
    x: ArraySpec, w: Array, b: Array | None, residual: Array | Input, where: Windows, e: Epilogue, size: int
) -> Bound:
    """The convolution by tiles of ``size`` x ``size`` outputs."""
    filters, channels = w.shape[:2]
    height, width = where.output
    rows, columns = -(-height // size), -(-width // size)
    points = (size + 2) ** 2
    image, begins = where.image, where.begins
    padded = max(rows * size + 2, begins[0] + image[0]), max(columns * size + 2, begins[1] + image[1])
    padding = Padding(1, *image, channels, 0, *begins, 1, *padded)  # type: ignore[call-arg]
    block, own = _blocks(rows * columns, points, channels, filters)
    return Bound(
        winograd,
        (
            Pool(),
            Input(0, flat=True),
            prepared(w, transformed_weights, size),
            padded_bias(b, filters).reshape(-1),
            residual,
            Output(flat=True),
            x.shape[0],
            Tiles(size, channels, filters, rows, columns, padding.padded_width, height, width),
            np.minimum(np.arange(block + TILE_ROWS), block - 1) * channels,
            np.zeros(1, np.int64),
            block,
            int(own),
            finish(e, isinstance(residual, Input)),
            padding,
            Scratch((padding.padded_height * padding.padded_width * channels,)),
            Scratch((points * block * channels,), per_thread=own) if own else Scratch((1, points * block * channels)),
            Scratch((points * block * filters,), per_thread=own) if own else Scratch((1, points * block * filters)),
            Scratch((2 * points * LANES,), per_thread=True),
            Scratch((TILE_ROWS * TILE_COLUMNS,), per_thread=True),
            Scratch((LANES,), per_thread=True),
            taps_of_points(size),
            exact_layer(channels, filters, height * width),
            *exact_scratch(channels, filters, height * width),
        ),
        (ArraySpec((x.shape[0], height, width, filters), FLOAT32),),
    )


def _blocks(tiles: int, points: int, channels: int, filters: int) -> tuple[int, bool]:
    """The tiles that are worked on at a time, and whether each thread takes blocks of its own.

    A block of its own reads all weights once more, so that it grows with them.
    """
    size = 4 * points * (channels + filters) * TILE_ROWS
    fitting = max(1, max(_OWN_BYTES, points * channels * filters // 2) // size) * TILE_ROWS
    if -(-tiles // fitting) >= _OWN_BLOCKS:
        return fitting, True
    return min(max(1, _BLOCK_BYTES // size), -(-tiles // TILE_ROWS)) * TILE_ROWS, False


def tile_size(where: Windows, channels: int, filters: int) -> int:
    """The tile that computes a convolution in the least time, 0 for none: a model of arithmetic and weight traffic."""
    eligible = where.kernel == (3, 3) and where.strides == (1, 1) and where.dilations == (1, 1)
    if not eligible or channels < max(LANES, 32) or filters < max(LANES, 32):
        return 0
    best, least = 0, _direct_cost(where, channels, filters)
    for size in (2, 4):
        cost = _winograd_cost(where, channels, filters, size)
        if cost < least:
            best, least = size, cost
    return best


def _direct_cost(where: Windows, channels: int, filters: int) -> float:
    positions = where.output[0] * where.output[1]
    return positions * channels * filters * 9.0


def _winograd_cost(where: Windows, channels: int, filters: int, size: int) -> float:
    """In multiply-adds: the products, the transforms of each element, and the weights that come from memory."""
    rows, columns = -(-where.output[0] // size), -(-where.output[1] // size)
    tiles, points = rows * columns, (size + 2) ** 2
    whole = -(-tiles // (TILE_ROWS // 2)) * (TILE_ROWS // 2)
    products = float(whole * points * channels * filters)
    transforms = 14.0 * tiles * points * (channels + filters)
    traffic = 5.0 * points * channels * filters
    return products + transforms + traffic
