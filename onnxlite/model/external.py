"""External tensor data: mapped from files beside the model, and from nowhere else.

The rules are those of onnx's docs/ExternalDataSecurity.md: the location is relative, holds no ``..``, passes through no
symbolic link, ends at a regular file with a single hard link inside the model's folder; the offset and the length are
non-negative and inside the file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from onnxlite.errors import InvalidGraph
from onnxlite.kernels.arrays import Array

_KEYS = frozenset({"location", "offset", "length", "checksum", "basepath"})


@dataclass(frozen=True, slots=True)
class ExternalReference:
    """Where a tensor's bytes are: the entries of TensorProto.external_data, checked."""

    location: str
    offset: int = 0
    length: int | None = None


def parse_reference(entries: Mapping[str, str], tensor: str) -> ExternalReference:
    """The checked entries of one tensor.

    Raises:
        InvalidGraph: A key is unknown, the location is missing, or a number is not one or is negative.
    """
    unknown = sorted(set(entries) - _KEYS)
    if unknown:
        raise InvalidGraph(f"tensor '{tensor}': external data has the unknown key '{unknown[0]}'")
    if not entries.get("location"):
        raise InvalidGraph(f"tensor '{tensor}': external data names no location")
    length = _number(entries, "length", tensor) if "length" in entries else None
    return ExternalReference(entries["location"], _number(entries, "offset", tensor), length)


def _number(entries: Mapping[str, str], key: str, tensor: str) -> int:
    text = entries.get(key, "0")
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise InvalidGraph(f"tensor '{tensor}': external data has {key} '{text}', expected a non-negative integer")
    return int(text)


def map_external(reference: ExternalReference, folder: Path | None, tensor: str, size: int) -> Array:
    """The bytes of an external tensor as a read-only, memory-mapped uint8 array of ``size`` elements.

    Raises:
        InvalidGraph: The model has no folder, the location leaves it, or the file does not hold the bytes.
    """
    if folder is None:
        raise InvalidGraph(
            f"tensor '{tensor}' is in the external file '{reference.location}', but a model given as bytes has no folder; "
            "load it by path, or set the session entry 'session.model_external_initializers_file_folder_path'"
        )
    length = size if reference.length is None else reference.length
    if length != size:
        raise InvalidGraph(f"tensor '{tensor}': external data has length {length}, but its type and shape take {size} bytes")
    with open(_open_confined(folder, reference.location, tensor), "rb") as file:
        available = os.fstat(file.fileno()).st_size
        if reference.offset + size > available:
            raise InvalidGraph(
                f"tensor '{tensor}': external data takes bytes {reference.offset} to {reference.offset + size} of "
                f"'{reference.location}', which has {available}"
            )
        if not size:
            return np.empty(0, np.uint8)
        return np.memmap(file, np.uint8, "r", reference.offset, (size,)).view(np.ndarray)


def _open_confined(folder: Path, location: str, tensor: str) -> int:
    """A file descriptor for a location inside a folder; every step is opened without following links."""
    parts = PurePosixPath(location).parts
    windows = PureWindowsPath(location)
    if "\0" in location or PurePosixPath(location).is_absolute() or windows.drive or windows.root or "\\" in location:
        raise InvalidGraph(f"tensor '{tensor}': external location {location!r} is not a path relative to the model's folder")
    if ".." in parts or not parts:
        raise InvalidGraph(f"tensor '{tensor}': external location {location!r} leaves the model's folder")
    try:
        descriptor = _open_steps(folder, parts)
    except OSError as error:
        reason = "is or passes through a symbolic link" if _has_link(folder, parts) else str(error.strerror or error)
        raise InvalidGraph(f"tensor '{tensor}': external file {location!r} cannot be used: {reason}") from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(descriptor)
        kind = "has several hard links" if stat.S_ISREG(status.st_mode) else "is not a regular file"
        raise InvalidGraph(f"tensor '{tensor}': external file {location!r} {kind}")
    return descriptor


def _open_steps(folder: Path, parts: tuple[str, ...]) -> int:
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    if os.open not in os.supports_dir_fd:
        if _has_link(folder, parts):
            raise OSError(None, "a link")
        return os.open(folder.joinpath(*parts), flags)
    # Opening step by step relative to the folder's descriptor leaves no moment in which a checked path can be swapped.
    here = os.open(folder, os.O_RDONLY)
    try:
        for part in parts[:-1]:
            below = os.open(part, flags | os.O_DIRECTORY, dir_fd=here)
            os.close(here)
            here = below
        return os.open(parts[-1], flags, dir_fd=here)
    finally:
        os.close(here)


def _has_link(folder: Path, parts: tuple[str, ...]) -> bool:
    path: Any = folder
    for part in parts:
        path = path / part
        if path.is_symlink():
            return True
    return False
