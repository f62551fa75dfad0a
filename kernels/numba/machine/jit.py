"""The one decorator of the compiled kernels: flags, the cache on disk, and the ledger of what was compiled.

A kernel is a bare loop that a student could write; everything that is Numba's is here.
"""

from __future__ import annotations

import hashlib
import inspect
import io
import pickle
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from types import FunctionType
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numba
import numpy as np
from numba.core import compiler
from numba.core.caching import _Cache
from numba.core.environment import Environment
from numba.core.runtime._nrt_python import c_helpers

from onnxlite.kernels.cache_folder import cache_folder
from onnxlite.kernels.numba.machine import store
from onnxlite.kernels.numba.machine.sources import are_unchanged, sources_of

#: Fused multiply-add only: NaN, infinity and signed zero stay what the specification says.
_EXACT = frozenset({"contract"})

#: For sums, whose order the specification leaves open: lets LLVM add in vectors.
_REASSOCIATED = frozenset({"contract", "reassoc"})


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One signature of one kernel, as it became machine code in this process; ``size`` in bytes, 0 if not kept."""

    kernel: str
    signature: str
    seconds: float
    from_cache: bool
    size: int = 0


#: What was compiled or loaded in this process, in order.
LEDGER: list[LedgerEntry] = []


def jit(function: Callable[..., Any] | None = None, *, reassociate: bool = False, inline: bool = False) -> Any:
    """Compile a kernel on its first call with each combination of types, or take it from the cache.

    Args:
        function: The kernel.
        reassociate: Sums may be taken in any order, so that they vectorise.
        inline: Make the function part of its callers, so that their loops vectorise across the call.
    """
    if function is None:
        return lambda f: jit(f, reassociate=reassociate, inline=inline)
    flags = _REASSOCIATED if reassociate else _EXACT
    if "<locals>" in function.__qualname__:
        # Machine code from the cache is linked by its name, and one function may be made many times, each differently.
        digest = hashlib.sha256(repr(_identity(function)).encode()).hexdigest()[:16]
        function.__qualname__ = f"{function.__qualname__}_{digest}"
    dispatcher = numba.njit(
        nogil=True,
        fastmath=set(flags),
        error_model="numpy",
        boundscheck=False,
        inline="always" if inline else "never",
    )(function)
    dispatcher._cache = _DiskCache(function, flags)
    dispatcher._entries = {}
    return dispatcher


def signature_of(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """The types by which Numba tells calls of a compiled function apart."""
    return tuple(function.typeof_pyval(argument) for argument in arguments)  # type: ignore[attr-defined]


def entry_point(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Callable[..., Any]:
    """What calls a compiled function with arguments of these types, without looking at their types on every call."""
    entries: dict[Any, Callable[..., Any]] = function._entries  # type: ignore[attr-defined]
    kinds = _kinds(arguments)
    found = None if kinds is None else entries.get(kinds)
    if found is None:
        signature = signature_of(function, arguments)
        function.compile(signature)  # type: ignore[attr-defined]
        found = function.overloads[signature].entry_point  # type: ignore[attr-defined]
        if kinds is not None:
            entries[kinds] = found
    return found


def _kinds(arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """What Numba's types of arguments depend on, quicker to tell than the types; None for other kinds of arguments."""
    kinds: list[Any] = []
    for argument in arguments:
        if argument.__class__ is np.ndarray:
            kinds.append((argument.ndim, argument.dtype, argument.flags.num))
        elif isinstance(argument, tuple):
            kinds.append((argument.__class__, inner := _kinds(argument)))
            if inner is None:
                return None
        elif isinstance(argument, int | float | np.generic):
            kinds.append(argument.__class__)
        else:
            return None
    return tuple(kinds)


class _DiskCache(_Cache):  # type: ignore[misc]
    """One file per kernel and signature, named by a hash of everything that the machine code depends on.

    The files are those of `onnxlite.kernels.numba.machine.store`.
    """

    def __init__(self, function: Callable[..., Any], flags: frozenset[str]) -> None:
        self._name = f"{function.__module__}.{function.__qualname__}"
        self._function = function
        self._flags = sorted(flags)
        self._started = 0.0

    @property
    def cache_path(self) -> str:
        return str(cache_folder() or "")

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        self._started = time.perf_counter()
        _link_runtime()
        path = self._path(sig, target_context.codegen())
        data = store.read(path) if path else None
        if data is None:
            return None
        try:
            result = compiler.CompileResult._rebuild(target_context, *unpickled(data))
        except Exception:  # Whatever is wrong with an old file, compiling again mends it.
            return None
        self._enter(sig, len(data), from_cache=True)
        return result

    def save_overload(self, sig: Any, data: Any) -> None:
        path = self._path(sig, data.codegen)
        # Sources that were edited after they were loaded would file the old code under the new text.
        kept = path is not None and not data.library.has_dynamic_globals and are_unchanged(self._function.__module__)
        code = pickle.dumps(data._reduce(), pickle.HIGHEST_PROTOCOL) if kept else b""
        entry = self._enter(sig, len(code), from_cache=False)
        if path is not None and kept:
            store.write(path, self._description(entry, data.codegen), code)

    def _enter(self, sig: Any, size: int, from_cache: bool) -> LedgerEntry:
        entry = LedgerEntry(self._name, str(sig), time.perf_counter() - self._started, from_cache, size)
        LEDGER.append(entry)
        return entry

    def _description(self, entry: LedgerEntry, codegen: Any) -> store.Description:
        try:
            source = inspect.getsource(self._function)
        except (OSError, TypeError):  # code that is in no file
            source = ""
        code = self._function.__code__
        return store.Description(
            kernel=self._name,
            signature=entry.signature,
            source=source,
            place=f"{Path(code.co_filename).name}:{code.co_firstlineno}",
            seconds=entry.seconds,
            versions=versions(self._function.__module__),
            processor=processor(codegen),
        )

    def holds(self, sig: Any, target_context: Any) -> bool:
        """Whether there is a file for a signature."""
        path = self._path(sig, target_context.codegen())
        return path is not None and path.is_file()

    def enable(self) -> None:
        """Numba's interface; the environment variable decides."""

    def disable(self) -> None:
        """Numba's interface; the environment variable decides."""

    def flush(self) -> None:
        """Numba's interface; files are never stale, since their names hold what they depend on."""

    def _path(self, sig: Any, codegen: Any) -> Path | None:
        folder = cache_folder()
        if folder is None:
            return None
        made_from = versions(self._function.__module__)
        key = repr((str(sig), self._flags, processor(codegen), made_from, _identity(self._function)))
        return folder / f"{self._name.rpartition('.')[2]}-{hashlib.sha256(key.encode()).hexdigest()[:32]}.kernel"


@cache
def _link_runtime() -> None:
    """Tell machine code where the functions of Numba's runtime are.

    The rest of Numba's preparations are for compiling, take half a second and 60 MiB, and are made by its compiler.
    """
    for name, address in c_helpers.items():
        llvm.add_symbol(name if name.startswith("_") else f"NRT_{name}", address)


class _Unpickler(pickle.Unpickler):
    """Reads compiled code without importing the modules of Numba that parts of it were written in."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("numba.core.environment", "_rebuild_env"):
            return _environment
        return super().find_class(module, name)


def unpickled(code: bytes) -> Any:
    """The parts of a compiled kernel that is pickled."""
    return _Unpickler(io.BytesIO(code)).load()


def _environment(module: str, constants: list[Any], name: str) -> Any:
    """The objects that compiled code refers to.  Their module's other names are for code that was not compiled."""
    found = Environment._memo.get(name)
    if found is None:
        found = Environment(vars(sys.modules[module]) if module in sys.modules else {})
        found.consts[:] = constants
        found.env_name = name
        Environment._memo[name] = found
    return found


@cache
def processor(codegen: Any) -> str:
    """What machine code is for: LLVM's target, the processor and its features."""
    return " ".join(codegen.magic_tuple())


@cache
def versions(module: str) -> tuple[str, ...]:
    """The versions that the code of a module's kernels is made with, and a hash of the sources that it is made from."""
    sources = hashlib.sha256(repr(sources_of(module)).encode()).hexdigest()
    return sys.version.split()[0], numba.__version__, llvmlite.__version__, sources


def _identity(value: Any, within: tuple[Any, ...] = ()) -> Any:
    """What tells a function, or a value that a function closes over, from all others; the same in every process."""
    function = getattr(value, "py_func", getattr(value, "_defn", value))
    if isinstance(function, FunctionType):
        code = function.__code__
        inside = (*within, function)
        cells = [_identity(_content(c), inside) for c in function.__closure__ or () if function not in within]
        text = _hash_of_file(code.co_filename) or (code.co_code, code.co_consts)
        return function.__module__, function.__qualname__, code.co_firstlineno, text, cells
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    return repr(value)


def _content(cell: Any) -> Any:
    """What a function closes over; None where that is the function itself, which is being made."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


@lru_cache(maxsize=256)
def _hash_of_file(path: str) -> str:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return ""
