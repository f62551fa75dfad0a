"""The widths of the host's vector registers, which LLVM names: SSE, AVX2, AVX-512 and NEON share all sources."""

from __future__ import annotations

import llvmlite.binding as llvm


def _registers() -> tuple[int, int]:
    """The float32 lanes of a vector register, and how many of the registers an accumulator tile may fill."""
    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        return 16, 24
    if features.get("avx"):
        return 8, 12
    return 4, 24 if features.get("neon") else 12


#: float32 lanes of a vector register.
LANES, _ACCUMULATORS = _registers()
#: The vectors in a row of a tile of the matrix product, and the rows of the tile.
TILE_VECTORS = 2
TILE_COLUMNS = LANES * TILE_VECTORS
TILE_ROWS = _ACCUMULATORS // TILE_VECTORS
HALF_ROWS = TILE_ROWS // 2
