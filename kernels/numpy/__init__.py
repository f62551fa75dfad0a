"""The reference kernels: every operator and version, written over the array namespace of its arguments.

Importing this package fills `REFERENCE`, the table that the decorator `op` of this package writes to.
"""

from __future__ import annotations

import importlib
import pkgutil

from onnxlite.kernels.numpy.table import REFERENCE, op

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["REFERENCE", "op"]
