"""What the machine code of a kernel depends on: the sources of its module and of those that it imports.

A file in the cache of compiled kernels is named by a hash of them, so that it is never older than its source.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

#: The package whose modules kernels are made of, and its folder.
_PACKAGE = "onnxlite.kernels"
_FOLDER = Path(__file__).parents[2]

_IMPORT = re.compile(
    rf"^\s*(?:from|import) +({re.escape(_PACKAGE)}[.\w]*)(?: +import +(\([^)]*\)|[^\n]*))?", re.MULTILINE
)


def sources_of(module: str) -> tuple[str, ...]:
    """The hashes of the sources of a module of this package, and of those that it imports, as they were loaded.

    Any other module's sources are all of this package's.
    """
    loaded = _loaded()
    return tuple(loaded[name] for name in _needed(module))


def are_unchanged(module: str) -> bool:
    """Whether those sources are still what they were."""
    return all(_hash(_path(name)) == _loaded()[name] for name in _needed(module))


def _path(module: str) -> Path:
    parts = module.split(".")[_PACKAGE.count(".") + 1 :]
    file = _FOLDER.joinpath(*parts).with_suffix(".py") if parts else _FOLDER / "__init__.py"
    return file if file.is_file() else _FOLDER.joinpath(*parts, "__init__.py")


def _hash(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _module(path: Path) -> str:
    parts = path.relative_to(_FOLDER).with_suffix("").parts
    return ".".join((_PACKAGE, *(part for part in parts if part != "__init__")))


@cache
def _loaded() -> dict[str, str]:
    """The hash of each module's source."""
    paths = (*_FOLDER.glob("*.py"), *Path(__file__).parents[1].rglob("*.py"))
    return {_module(path): _hash(path) for path in sorted(paths)}


@cache
def _needed(module: str) -> tuple[str, ...]:
    """The module and what it imports, directly or not, of this package; all modules if it is none of them."""
    loaded = _loaded()
    if module not in loaded:
        return tuple(sorted(loaded))
    found, waiting = {module}, [module]
    while waiting:
        new = {name for name in _imports(waiting.pop()) if name in loaded} - found
        found |= new
        waiting.extend(new)
    return tuple(sorted(found))


@cache
def _imports(module: str) -> tuple[str, ...]:
    return tuple(_imported(_path(module).read_text("utf-8")))


def _imported(source: str) -> Iterator[str]:
    """The names that may be modules among those that a source imports."""
    for match in _IMPORT.finditer(source):
        yield match[1]
        for name in re.findall(r"(\w+)(?:\s+as\s+\w+)?", match[2] or ""):
            yield f"{match[1]}.{name}"


# Read now, before the kernels are loaded, so that a source that is edited later is known to have changed.
_loaded()
