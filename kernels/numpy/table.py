"""The table of the reference kernels and the decorator that fills it."""

from __future__ import annotations

from onnxlite.kernels.op import KernelTable

REFERENCE = KernelTable()
op = REFERENCE.op
