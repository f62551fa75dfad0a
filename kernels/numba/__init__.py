"""The compiled CPU kernels.

Importing this package imports Numba and fills `COMPILED`, the table that the decorator `op` of this package writes to.
The functions in it are builders: see `onnxlite.kernels.numba.spec`.
"""

from __future__ import annotations

import importlib
import pkgutil

from onnxlite.kernels.numba.table import COMPILED, op

for _module in pkgutil.walk_packages(__path__, f"{__name__}."):
    importlib.import_module(_module.name)

__all__ = ["COMPILED", "op"]
