"""The GPU kernels, by the table that their decorator writes to."""

from __future__ import annotations

from onnxlite.kernels.op import KernelTable

CUDA = KernelTable()
op = CUDA.op

__all__ = ["CUDA", "op"]
