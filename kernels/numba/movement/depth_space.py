"""DepthToSpace and SpaceToDepth: transpositions of the tensor under another shape."""

from __future__ import annotations

from onnxlite.kernels.numba.movement.transpose import bind_transpose
from onnxlite.kernels.numba.spec import ArraySpec, Bound, Declined, View
from onnxlite.kernels.numba.table import op


@op("DepthToSpace", since=11)
def depth_to_space(x: ArraySpec, *, blocksize: int, mode: str = "DCR") -> Bound | View | Declined:
    """Blocks of channels moved into blocks of the image (ONNX DepthToSpace-13)."""
    if len(x.shape) != 4 or blocksize < 1 or x.shape[1] % blocksize**2 or mode not in ("DCR", "CRD"):
        return Declined(f"expected images whose channels {blocksize} x {blocksize} divides, got {x.shape}")
    n, channels, height, width = x.shape
    rest = channels // blocksize**2
    result = (n, rest, height * blocksize, width * blocksize)
    if mode == "DCR":
        shape, order = (n, blocksize, blocksize, rest, height, width), (0, 3, 4, 1, 5, 2)
    else:
        shape, order = (n, rest, blocksize, blocksize, height, width), (0, 1, 4, 2, 5, 3)
    return bind_transpose(x.dtype, shape, order, result)


@op("DepthToSpace", since=1, until=1)
def depth_to_space_1(x: ArraySpec, *, blocksize: int) -> Bound | View | Declined:
    """DepthToSpace in the mode DCR (ONNX DepthToSpace-1)."""
    return depth_to_space(x, blocksize=blocksize)


@op("SpaceToDepth", since=28)
def space_to_depth(x: ArraySpec, *, blocksize: int, mode: str = "DCR") -> Bound | View | Declined:
    """Blocks of the image moved into blocks of channels (ONNX SpaceToDepth-28)."""
    divides = len(x.shape) == 4 and blocksize > 0 and not x.shape[2] % blocksize and not x.shape[3] % blocksize
    if not divides or mode not in ("DCR", "CRD"):
        return Declined(f"expected images that blocks of {blocksize} x {blocksize} divide, got {x.shape}")
    n, channels, height, width = x.shape
    rows, columns = height // blocksize, width // blocksize
    shape = (n, channels, rows, blocksize, columns, blocksize)
    order = (0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4)
    return bind_transpose(x.dtype, shape, order, (n, channels * blocksize**2, rows, columns))


@op("SpaceToDepth", since=1, until=13)
def space_to_depth_1(x: ArraySpec, *, blocksize: int) -> Bound | View | Declined:
    """SpaceToDepth in the mode DCR (ONNX SpaceToDepth-13)."""
    return space_to_depth(x, blocksize=blocksize)
