"""The files of the cache of compiled kernels: one for each kernel and signature, which says what it is.

A file is the SHA-256 of what follows, the length of a description, the description as JSON, and the machine code.
There is no index that processes could race for: a file is written beside its place and renamed into it.  A file that
cannot be read, or is not what was written, counts as missing.  A file's time of modification is when it was last used,
to the day.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from onnxlite.kernels.cache_folder import cache_limit

_SUFFIX = ".kernel"
_WRITING = ".writing-"
_DAY = 86_400
_CHECKSUM, _LENGTH = 32, 4

#: A process looks after the size of the cache when it first writes to it, and after as many writes as this.
_WRITES_BETWEEN = 200

_writes = 0


@dataclass(frozen=True, slots=True)
class Description:
    """What a file of the cache says about itself.

    Args:
        kernel: The function's module and name.
        signature: The types of its arguments.
        source: Its Python source.
        place: The file and line of the source.
        seconds: How long it took to compile.
        versions: Of Python, Numba, llvmlite and the sources that it is made from.
        processor: What the machine code is for.
    """

    kernel: str
    signature: str
    source: str
    place: str
    seconds: float
    versions: tuple[str, ...]
    processor: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the cache."""

    path: Path
    description: Description
    size: int
    last_used: float


def read(path: Path) -> bytes | None:
    """The machine code in a file, which is marked as used; None where there is none that is whole."""
    try:
        content = path.read_bytes()
        data = content[_CHECKSUM:]
        if hashlib.sha256(data).digest() != content[:_CHECKSUM]:
            return None
        _mark(path)
        return data[_LENGTH + int.from_bytes(data[:_LENGTH], "little") :]
    except OSError:
        return None


def _mark(path: Path) -> None:
    with contextlib.suppress(OSError):  # in a folder that is only for reading
        if time.time() - path.stat().st_mtime > _DAY:
            os.utime(path)


def write(path: Path, description: Description, code: bytes) -> None:
    """Write a file whole or not at all; a folder that cannot be written to is left alone."""
    global _writes
    header = json.dumps(asdict(description)).encode()
    data = len(header).to_bytes(_LENGTH, "little") + header + code
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=_WRITING)
        try:
            with open(descriptor, "wb") as file:
                file.write(hashlib.sha256(data).digest() + data)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    if _writes % _WRITES_BETWEEN == 0:
        bound_size(path.parent, cache_limit())
    _writes += 1


def entries(folder: Path) -> Iterator[Entry]:
    """The files of the cache; damaged ones, and those of older formats, are passed over."""
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            with open(path, "rb") as file:
                file.seek(_CHECKSUM)
                header = json.loads(file.read(min(int.from_bytes(file.read(_LENGTH), "little"), 1 << 24)))
            status = path.stat()
            description = Description(**{**header, "versions": tuple(header["versions"])})
            yield Entry(path, description, status.st_size, status.st_mtime)


def bound_size(folder: Path, limit: int) -> int:
    """Remove files until the rest takes no more than ``limit`` bytes, the ones that were used last; returns how many.

    What processes that were ended left half written is removed as well.
    """
    files = []
    removed = 0
    with contextlib.suppress(OSError):
        for found in os.scandir(folder):
            with contextlib.suppress(OSError):
                status = found.stat()
                if found.name.startswith(_WRITING) and time.time() - status.st_mtime > _DAY:
                    removed += remove(Path(found.path))
                elif found.name.endswith(_SUFFIX):
                    files.append((status.st_mtime, status.st_size, found.path))
    total = 0
    for _, size, path in sorted(files, reverse=True):
        total += size
        if total > limit:
            removed += remove(Path(path))
    return removed


def clear(folder: Path) -> int:
    """Remove all files of the cache, and nothing else; returns how many kernels that were."""
    kernels, others = list(folder.glob(f"*{_SUFFIX}")), [*folder.glob(f"{_WRITING}*"), *folder.glob("source/*")]
    for path in others:
        remove(path)
    return sum(map(remove, kernels))


def remove(path: Path) -> bool:
    """Whether a file could be removed; another process may have done it."""
    try:
        path.unlink()
    except OSError:
        return False
    return True
