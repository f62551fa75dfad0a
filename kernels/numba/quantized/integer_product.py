"""What becomes of the sums of a convolution of 8-bit integers, one filter after the other."""

from __future__ import annotations

import numpy as np

from onnxlite.kernels.numba.machine.lanes import rint
from onnxlite.kernels.numba.machine.memory import int32s, uint8s
from onnxlite.kernels.numba.machine.sealed import sealed

#: They stay int32, or are scaled and rounded to unsigned or signed bytes.
INT32, UINT8, INT8 = range(3)


@sealed
def finish_filter(
    c: int,
    count: int,
    term: int,
    zero: int,
    totals: int,
    kind: int,
    scale: np.float32,
    zero_point: int,
    out: int,
) -> None:
    """Finish outputs of one filter: ``c + term - zero * totals``, stored or scaled, rounded and saturated."""
    sums, addend, weight = int32s(c, count), np.int32(term), np.int32(zero)
    if totals != 0 and zero != 0:
        factors = int32s(totals, count)
        for i in range(count):
            sums[i] -= np.int32(factors[i] * weight)
    if kind == INT32:
        results = int32s(out, count)
        for i in range(count):
            results[i] = np.int32(sums[i] + addend)
        return
    low, high, shift = np.float32(0), np.float32(255), np.float32(zero_point)
    if kind == INT8:
        low, high = np.float32(-128), np.float32(127)
    bytes_out = uint8s(out, count)
    for i in range(count):
        value = rint(np.float32(np.int32(sums[i] + addend)) * scale) + shift
        value = value if value > low else low
        bytes_out[i] = np.int32(high if value > high else value)
