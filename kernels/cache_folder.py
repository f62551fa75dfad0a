"""When kernels are compiled, and where they are kept between processes; nothing here needs the compiler."""

from __future__ import annotations

import os
import sys
from pathlib import Path

#: The environment variable that names the cache's folder; empty: no cache.
CACHE_VARIABLE = "ONNXLITE_CACHE_DIR"

#: The environment variable with the most MiB that the cache may take.
SIZE_VARIABLE = "ONNXLITE_CACHE_MIB"
_DEFAULT_MIB = 1024

#: The environment variable that says when kernels are compiled: ``background`` (the default) or ``wait``.
COMPILE_VARIABLE = "ONNXLITE_COMPILE"

_chosen: str | None = None


def choose_cache_folder(folder: str | os.PathLike[str]) -> None:
    """Use another folder for the rest of the process; an empty text: none."""
    global _chosen
    _chosen = os.fspath(folder)


def cache_folder() -> Path | None:
    """Where compiled kernels are kept, or None for nowhere.

    What `choose_cache_folder` was told decides, then ``ONNXLITE_CACHE_DIR``; by default it is ``onnxlite`` in the
    user's cache folder.
    """
    chosen = os.environ.get(CACHE_VARIABLE) if _chosen is None else _chosen
    if chosen is not None:
        return Path(chosen) if chosen else None
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "onnxlite"


def cache_limit() -> int:
    """The most bytes that the cache may take; what was not used for longest gives way."""
    given = os.environ.get(SIZE_VARIABLE, "")
    return (int(given) if given.isdecimal() else _DEFAULT_MIB) << 20


def waits_by_default() -> bool:
    """Whether sessions that do not say otherwise wait for the compiler."""
    return os.environ.get(COMPILE_VARIABLE, "background") == "wait"
