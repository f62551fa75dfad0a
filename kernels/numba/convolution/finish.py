"""What a convolution's micro-kernels do of its epilogue while the sums are in registers, and what is left for later.

Limits (Relu, Clip) and the residual cost nothing there.  Other activations work on the block when it is in memory.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numba.convolution.patch import ADD_RESIDUAL, ADD_RESIDUAL_LAST
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.product.epilogue import CLIP, NO_BIAS, NONE, RELU, RESIDUAL_LAST, Epilogue, apply_epilogue


class Finish(NamedTuple):
    """What follows the sums of a convolution.

    ``added`` says when the micro-kernel adds the residual (`onnxlite.kernels.numba.convolution.patch`), 0 if it does
    not; ``low`` and ``high`` are the limits that it cuts the sums to; ``activation`` is one that is left, with its
    parameters.
    """

    added: int
    low: np.float32
    high: np.float32
    activation: int
    alpha: np.float32
    beta: np.float32


def finish(e: Epilogue, has_residual: bool) -> Finish:
    """An epilogue divided into what the micro-kernels do and what is left."""
    low, high = np.float32(-np.inf), np.float32(np.inf)
    last = e.activation >= RESIDUAL_LAST
    code = e.activation - RESIDUAL_LAST if last else e.activation
    if code not in (NONE, RELU, CLIP):
        return Finish(ADD_RESIDUAL if has_residual and not last else 0, low, high, e.activation, e.alpha, e.beta)
    if code == RELU:
        low = np.float32(0)
    elif code == CLIP:
        low, high = e.alpha, e.beta
    added = (ADD_RESIDUAL_LAST if last else ADD_RESIDUAL) if has_residual else 0
    return Finish(added, low, high, NONE, e.alpha, e.beta)


@jit(inline=True)
def apply_rest(y: Array, start: int, rows: int, columns: int, stride: int, residual: Array, f: Finish) -> None:
    """The activation that is left, and the residual after it, on a block of a flat array."""
    if f.activation != NONE:
        after = residual[:0] if f.added else residual
        apply_epilogue(y, start, rows, columns, stride, residual, 0, NO_BIAS, after, f.activation, f.alpha, f.beta)
