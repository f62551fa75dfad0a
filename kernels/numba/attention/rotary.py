"""RotaryEmbedding of float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxlite.kernels.numba.attention.attention import head_strides
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.memory import address, floats
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.product.matmul import writable
from onnxlite.kernels.numba.spec import FLOAT32, ArraySpec, Bound, Declined, Input, Output, Pool
from onnxlite.kernels.numba.table import op

#: The elements in a piece of work, about.
_PIECE = 1 << 14


@jit
def _turn_rows(start, stop, thread, x, cos, sin, positions, y, h, pairs, interleaved):  # type: ignore[no-untyped-def]
    """Rows of single heads, numbered by batch, head and place in the sequence."""
    for index in range(start, stop):
        batch, head, row = index // (h.heads * h.length), index // h.length % h.heads, index % h.length
        place = batch * h.batch_stride + head * h.head_stride + row * h.row_stride
        angle = batch * h.length + row
        if positions.size > 0:
            angle = positions[angle]
        source, target = floats(address(x, place), h.size), floats(address(y, place), h.size)
        c, s = floats(address(cos, angle * pairs), pairs), floats(address(sin, angle * pairs), pairs)
        if interleaved:
            for i in range(pairs):
                first, second = source[2 * i], source[2 * i + 1]
                target[2 * i] = c[i] * first - s[i] * second
                target[2 * i + 1] = s[i] * first + c[i] * second
        else:
            for i in range(pairs):
                first, second = source[i], source[i + pairs]
                target[i] = c[i] * first - s[i] * second
                target[i + pairs] = s[i] * first + c[i] * second
        for i in range(2 * pairs, h.size):
            target[i] = source[i]


@jit
def turn(pool, x, cos, sin, positions, y, batch, h, pairs, interleaved):  # type: ignore[no-untyped-def]
    """Turn pairs of elements of every head by the angles of its position."""
    rows = cos.size // pairs
    for position in positions:
        if position < 0 or position >= rows:
            raise IndexError("the positions must be rows of the cosines and sines")
    arguments = (x, cos, sin, positions, y, h, pairs, interleaved)
    parallel_for(pool, _turn_rows, arguments, batch * h.heads * h.length, max(1, _PIECE // h.size))


@op("RotaryEmbedding", since=23)
def rotary_embedding(
    x: ArraySpec,
    cos_cache: ArraySpec,
    sin_cache: ArraySpec,
    position_ids: ArraySpec | None = None,
    *,
    interleaved: int = 0,
    num_heads: int | None = None,
    rotary_embedding_dim: int = 0,
) -> Bound | Declined:
    """RotaryEmbedding of float32 (ONNX RotaryEmbedding-23)."""
    if any(spec.dtype != FLOAT32 for spec in (x, cos_cache, sin_cache)) or not x.size:
        return Declined("only float32 is compiled")
    heads = head_strides(x.shape, num_heads)
    if heads is None:
        return Declined("the shapes do not fit: the reference says how")
    size = rotary_embedding_dim or heads.size
    if size % 2 or size > heads.size:
        return Declined("the number of elements that turn does not fit: the reference says how")
    batch, pairs = x.shape[0], size // 2
    expected = (batch, heads.length, pairs) if position_ids is None else (cos_cache.shape[0], pairs)
    if cos_cache.shape != expected or sin_cache.shape != expected:
        return Declined("the cosines and sines do not fit: the reference says how")
    positions: Any = np.zeros(0, np.int64)
    if position_ids is not None:
        if position_ids.dtype != np.int64 or position_ids.shape != (batch, heads.length):
            return Declined("the positions do not fit: the reference says how")
        given = position_ids.value
        positions = Input(3, flat=True) if given is None else np.array(given).reshape(-1)
    arrays = (writable(spec, index) for index, spec in enumerate((x, cos_cache, sin_cache)))
    return Bound(
        turn,
        (Pool(), *arrays, positions, Output(0, flat=True), batch, heads, pairs, interleaved),
        (ArraySpec(x.shape, FLOAT32),),
    )
