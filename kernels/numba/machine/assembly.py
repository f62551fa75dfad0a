"""The machine code of a cached kernel as assembly language, to see what became of its loops."""

from __future__ import annotations

from pathlib import Path

import llvmlite.binding as llvm
from numba.core.registry import cpu_target

from onnxlite.kernels.numba.machine import store
from onnxlite.kernels.numba.machine.jit import unpickled


def assembly_of(path: Path) -> str:
    """The assembly language of a file of the cache; empty where there is no such file.

    It is made from the optimized program that is kept beside the machine code, by the same compiler.
    """
    code = store.read(path)
    if code is None:
        return ""
    (_, kind, data), *_ = unpickled(code)
    module = llvm.parse_bitcode(data if kind == "bitcode" else data[1])
    return str(cpu_target.target_context.codegen()._tm.emit_assembly(module))
