"""Moving data between depth and space, and from columns to images: DepthToSpace, SpaceToDepth, Col2Im."""

from __future__ import annotations

from math import prod

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.geometry import Ints, fold, windows
from onnxlite.kernels.numpy.table import op


@op("DepthToSpace", since=11)
def depth_to_space(x: Array, *, blocksize: int, mode: str = "DCR") -> Array:
    """Channels of x (N, C, H, W) to blocks of pixels: (N, C/b², bH, bW).  ONNX DepthToSpace-28.

    The channel number counts (row, column, depth) in the mode DCR, (depth, row, column) in CRD.
    """
    n, c, h, w = _image_shape(x, blocksize, mode)
    depth = c // blocksize**2
    if depth * blocksize**2 != c:
        raise ValueError(f"the channels must be a multiple of blocksize², {blocksize**2}, got {c}")
    if mode == "DCR":
        blocks = x.reshape(n, blocksize, blocksize, depth, h, w).transpose(0, 3, 4, 1, 5, 2)
    else:
        blocks = x.reshape(n, depth, blocksize, blocksize, h, w).transpose(0, 1, 4, 2, 5, 3)
    return blocks.reshape(n, depth, h * blocksize, w * blocksize)


@op("DepthToSpace", since=1, until=1)
def depth_to_space_1(x: Array, *, blocksize: int) -> Array:
    """DepthToSpace in the mode DCR.  ONNX DepthToSpace-1."""
    return depth_to_space(x, blocksize=blocksize)


@op("SpaceToDepth", since=28)
def space_to_depth(x: Array, *, blocksize: int, mode: str = "DCR") -> Array:
    """Blocks of pixels of x (N, C, H, W) to channels: (N, b²C, H/b, W/b).  ONNX SpaceToDepth-28.

    The channel number counts (row, column, depth) in the mode DCR, (depth, row, column) in CRD.
    """
    n, c, h, w = _image_shape(x, blocksize, mode)
    if h % blocksize or w % blocksize:
        raise ValueError(f"height and width must be multiples of blocksize, {blocksize}, got {h} and {w}")
    blocks = x.reshape(n, c, h // blocksize, blocksize, w // blocksize, blocksize)
    blocks = blocks.transpose((0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4))
    return blocks.reshape(n, c * blocksize**2, h // blocksize, w // blocksize)


@op("SpaceToDepth", since=1, until=13)
def space_to_depth_1(x: Array, *, blocksize: int) -> Array:
    """SpaceToDepth in the mode DCR.  ONNX SpaceToDepth-1 and 13."""
    return space_to_depth(x, blocksize=blocksize)


def _image_shape(x: Array, blocksize: int, mode: str) -> Ints:
    if x.ndim != 4:
        raise ValueError(f"the input must have the axes (N, C, H, W), got shape {x.shape}")
    if blocksize < 1:
        raise ValueError(f"blocksize must be positive, got {blocksize}")
    if mode not in ("DCR", "CRD"):
        raise ValueError(f"mode must be DCR or CRD, not {mode!r}")
    return tuple(x.shape)


@op("Col2Im", since=18, widen=True)
def col2im(
    x: Array,
    image_shape: Array,
    block_shape: Array,
    *,
    dilations: Ints | None = None,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Array:
    """Columns (N, C × block elements, blocks) added up at their places in an image (N, C, image_shape).

    ONNX Col2Im-18.  Booleans add up as "or", strings by concatenation.
    """
    image, block = tuple(map(int, image_shape.tolist())), tuple(map(int, block_shape.tolist()))
    places = windows(image, block, strides=strides, dilations=dilations, pads=pads)
    if x.ndim != 3 or x.shape[1] % prod(block) or x.shape[2] != prod(places.output):
        raise ValueError(
            f"the columns must have the shape (N, C × {prod(block)}, {prod(places.output)}) for blocks of {block} "
            f"in an image of {image}, got {x.shape}"
        )
    return fold(x.reshape(x.shape[0], x.shape[1] // prod(block), *block, *places.output), places)
