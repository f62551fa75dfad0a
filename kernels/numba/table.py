"""The table of the compiled kernels and the decorator that fills it."""

from __future__ import annotations

from onnxlite.kernels.op import KernelTable

COMPILED = KernelTable(builders=True)
op = COMPILED.op
