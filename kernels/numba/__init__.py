"""The compiled CPU kernels, by the table that their decorator writes to."""

from __future__ import annotations

from onnxlite.kernels.op import KernelTable

COMPILED = KernelTable()
op = COMPILED.op

__all__ = ["COMPILED", "op"]
