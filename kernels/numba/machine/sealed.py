"""Functions that compiled kernels call by address, so that their code is compiled once and not into every caller.

Numba compiles what a kernel calls into the kernel, again for each one.  For small functions that is a gain, for the
micro-kernels of a matrix product it is a second of waiting each time.  A sealed function takes numbers only (addresses
of memory among them)::

    @sealed
    def scale(x: int, count: int, factor: np.float32) -> None: ...

It is compiled, or taken from the cache, when a compiled kernel first calls it: until then its slot holds the address of
a function that does this, as in the lazy binding of shared libraries.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from onnxlite.kernels.numba.machine.jit import jit

_INT = ir.IntType(64)
_BYTES = ir.IntType(8).as_pointer()

#: What an annotation means to Numba, LLVM and ctypes.
_KINDS: dict[str, tuple[Any, Any, Any]] = {
    "int": (types.int64, _INT, ctypes.c_int64),
    "np.float32": (types.float32, ir.FloatType(), ctypes.c_float),
}

#: One function for each sealed one, which compiles it ahead of its first call.
COMPILERS: list[Callable[[], None]] = []

#: What must stay in memory as long as compiled code may run.
_KEPT: list[Any] = []


def sealed(function: Callable[..., None] | None = None, *, reassociate: bool = False) -> Any:
    """The function as compiled kernels call it; its parameters are annotated ``int`` or ``np.float32``.

    ``reassociate`` is that of `jit`.
    """
    if function is None:
        return lambda f: sealed(f, reassociate=reassociate)
    kinds = [_KINDS[kind] for name, kind in function.__annotations__.items() if name != "return"]
    symbol = f"{function.__module__}.{function.__qualname__}"
    llvm.add_symbol(symbol, _slot(jit(function, reassociate=reassociate), kinds))
    signature = types.void(*(kind[0] for kind in kinds))
    # What Numba's calling convention adds: places for the result and for an exception, and a status.
    callee_type = ir.FunctionType(
        ir.IntType(32), [_BYTES.as_pointer(), _BYTES.as_pointer(), *(kind[1] for kind in kinds)]
    )

    @intrinsic
    def call(typing_context: Any, *arguments: Any) -> Any:
        def generate(context: Any, builder: Any, caller: Any, values: Any) -> Any:
            given = cgutils.unpack_tuple(builder, values[0])
            numbers = [
                context.cast(builder, value, source, target)
                for value, source, target in zip(given, caller.args[0].types, signature.args, strict=True)
            ]
            known = builder.module.globals
            slot = known[symbol] if symbol in known else ir.GlobalVariable(builder.module, _INT, symbol)
            callee = builder.inttoptr(builder.load_atomic(slot, "acquire", 8), callee_type.as_pointer())
            place = cgutils.alloca_once_value(builder, ir.Constant(_BYTES, None))
            builder.call(callee, [place, place, *numbers])
            return context.get_dummy_value()

        return types.void(types.StarArgTuple.from_types(tuple(map(types.unliteral, arguments)))), generate

    return call


def _slot(dispatcher: Any, kinds: list[tuple[Any, Any, Any]]) -> int:
    """The address of a place in memory that holds the address of the compiled function, or of what compiles it."""
    prototype = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, *(kind[2] for kind in kinds))
    slot = ctypes.c_int64()

    def compile_now() -> None:
        dispatcher.compile(tuple(kind[0] for kind in kinds))
        compiled = dispatcher.overloads[tuple(kind[0] for kind in kinds)]
        slot.value = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)

    def compile_and_call(*arguments: Any) -> int:
        compile_now()
        return int(prototype(slot.value)(*arguments))

    COMPILERS.append(compile_now)
    binder = prototype(compile_and_call)
    slot.value = ctypes.cast(binder, ctypes.c_void_p).value or 0
    _KEPT.extend((slot, binder, dispatcher))
    return ctypes.addressof(slot)
