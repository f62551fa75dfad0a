"""Compiling beside the work: until a kernel's machine code is there, its first calls can go to the reference.

A model's first answer then does not wait for the compiler.  ``ONNXLITE_COMPILE=wait`` (or the session's entry
``session.compile``) turns that off: the first call of a kernel compiles it.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Iterator
from typing import Any

from onnxlite.kernels.numba.machine.jit import signature_of
from onnxlite.kernels.numba.machine.sealed import COMPILERS

_LOGGER = logging.getLogger("onnxlite")

_requests: queue.SimpleQueue[tuple[Any, Any]] = queue.SimpleQueue()
_pending: set[tuple[int, Any]] = set()
_lock = threading.Lock()
_threads: list[threading.Thread] = []

#: The first answers that are under way, and whether there is none; the compiler waits so many seconds for that at most.
_answering = 0
_calm = threading.Event()
_calm.set()
_PATIENCE = 5.0


def is_ready(function: Any, arguments: tuple[Any, ...]) -> bool:
    """Whether a compiled function can be called with arguments of these types without compiling anything."""
    signature = signature_of(function, arguments)
    return signature in function.overloads or function._cache.holds(signature, function.targetctx)


def compile_later(function: Any, arguments: tuple[Any, ...]) -> None:
    """Have a compiled function compiled for arguments of these types, in another thread."""
    signature = signature_of(function, arguments)
    with _lock:
        if (id(function), signature) in _pending:
            return
        _pending.add((id(function), signature))
        _requests.put((function, signature))
        if not any(thread.is_alive() for thread in _threads):
            thread = threading.Thread(target=_work, name="onnxlite-compiler", daemon=True)
            _threads[:] = [thread]
            thread.start()


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Let the compiler wait: a first answer needs the processor and the interpreter for itself."""
    global _answering
    with _lock:
        _answering += 1
        _calm.clear()
    try:
        yield
    finally:
        with _lock:
            _answering -= 1
            if not _answering:
                _calm.set()


def is_idle() -> bool:
    """Whether nothing waits for the compiler."""
    with _lock:
        return not _pending


def _work() -> None:
    for compile_sealed in COMPILERS:
        _calm.wait(_PATIENCE)
        compile_sealed()
    while True:
        function, signature = _requests.get()
        _calm.wait(_PATIENCE)
        try:
            function.compile(signature)
        except Exception:
            # It stays pending, so that it is not tried again: the reference goes on serving it.
            _LOGGER.exception("the kernel %s could not be compiled for %s", function.__qualname__, signature)
            continue
        with _lock:
            _pending.discard((id(function), signature))
