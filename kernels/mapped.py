"""Arrays that show files: what is not in use of them takes no memory.

A mapped file that somebody cuts short ends the process that reads it.  What is read on every run is therefore copied
out of it, and before anything else is read, `MappedFile.is_unchanged` says whether the file still is what it was.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from onnxlite.kernels.arrays import Array

#: Windows neither overwrites nor deletes a file that is mapped.
_MAPS = sys.platform != "win32"


#: How many bytes of a file are in memory while it is copied.
_COPIED_AT_ONCE = 1 << 24


class MappedFile(mmap.mmap):
    """A file in memory, for reading, and what it was when it was mapped."""

    path: Path
    status: os.stat_result

    def is_unchanged(self) -> bool:
        """Whether nobody wrote to the file.  One that was deleted, or replaced by another, is still there."""
        try:
            now = os.stat(self.path)
        except OSError:
            return True
        was = self.status
        if (now.st_dev, now.st_ino) != (was.st_dev, was.st_ino):
            return True
        return (now.st_size, now.st_mtime_ns) == (was.st_size, was.st_mtime_ns)

    def forget(self, array: Array) -> None:
        """Take the part of the file that an array shows out of this process's memory, until it is read again."""
        if hasattr(mmap, "MADV_DONTNEED"):
            start = array.ctypes.data - np.frombuffer(self, np.uint8).ctypes.data
            page = start // mmap.PAGESIZE * mmap.PAGESIZE
            with contextlib.suppress(OSError, ValueError):
                self.madvise(mmap.MADV_DONTNEED, page, start + array.nbytes - page)


def file_bytes(path: Path, descriptor: int) -> Array:
    """The bytes of an open file as a read-only array; the descriptor can be closed afterwards."""
    status = os.fstat(descriptor)
    if not _MAPS or not status.st_size:
        with open(descriptor, "rb", closefd=False) as file:
            content: bytes = file.read()
            return np.frombuffer(content, np.uint8)
    mapped = MappedFile(descriptor, 0, access=mmap.ACCESS_READ)
    mapped.path, mapped.status = path.absolute(), status
    return np.frombuffer(mapped, np.uint8)


def mapped_file(array: Array) -> MappedFile | None:
    """The file that an array shows a part of, if it does."""
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    owner = base.obj if isinstance(base, memoryview) else base
    return owner if isinstance(owner, MappedFile) else None


def copied(array: Array) -> Array:
    """An aligned copy; of a file, only the copy is in memory afterwards."""
    file = mapped_file(array)
    if file is None or not array.flags.c_contiguous:
        return np.array(array, order="C")
    copy = np.empty_like(array)
    source, target = array.reshape(-1), copy.reshape(-1)
    step = max(1, _COPIED_AT_ONCE // max(1, array.itemsize))
    for start in range(0, array.size, step):
        some = source[start : start + step]
        target[start : start + step] = some
        file.forget(some)
    return copy


def forget(arrays: Iterable[Array]) -> None:
    """Take what arrays show of files out of this process's memory, until it is read again."""
    for array in arrays:
        file = mapped_file(array)
        if file is not None:
            file.forget(array)
