"""Constants in the form that kernels want them, made once: packed, transformed or transposed weights.

A plan is bound again for every new set of shapes; what is made of its weights does not depend on those, and is shared.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.mapped import copied, mapped_file

Result = TypeVar("Result")
Function = TypeVar("Function", bound=Callable[..., Any])

#: What was made of one constant, by the transform and its parameters.
Shelf: TypeAlias = dict[tuple[Any, ...], Any]

_shelves: dict[int, tuple[weakref.ref[Array], Shelf]] = {}
_lock = threading.RLock()


def prepared(array: Array, transform: Callable[..., Result], *parameters: Any) -> Result:
    """``transform(array, *parameters)``, kept for as long as the array, or its shelf, lives.

    The transform gets an aligned array in memory, unless `reads_files` is on it.

    Args:
        array: A constant, which nobody changes.
        transform: A function of a module.
        *parameters: Hashable arguments of the transform.
    """
    shelf, key = shelf_of(array), (transform, parameters)
    if key in shelf:
        found: Result = shelf[key]
        return found
    usable = _is_usable(array) or hasattr(transform, "reads_files")
    given = array if usable else shelf.get((_copied, ()))
    result = transform(copied(array) if given is None else given, *parameters)
    with _lock:
        kept: Result = shelf.setdefault(key, result)
    return kept


def reads_files(transform: Function) -> Function:
    """Mark a transform that takes constants as they are: in files, and not aligned."""
    transform.reads_files = True  # type: ignore[attr-defined]
    return transform


def in_memory(array: Array) -> Array:
    """The constant itself, or a copy that is made once if it is in a file or not aligned; read-only."""
    return array if _is_usable(array) else prepared(array, _copied)


def _is_usable(array: Array) -> bool:
    return bool(array.flags.aligned) and mapped_file(array) is None


def _copied(copy: Array) -> Array:
    """The copy that `prepared` makes."""
    copy.flags.writeable = False
    return copy


def shelf_of(array: Array) -> Shelf:
    """What was made of a constant: whoever keeps this keeps it all, even when the constant is gone."""
    with _lock:
        found = _shelves.get(id(array))
        if found is None:
            found = _registered(array, {})
        return found[1]


def replace_by(array: Array, shelf: Shelf) -> None:
    """Let an array stand for a constant that is gone, of equal content, from which things were made."""
    with _lock:
        _registered(array, shelf)


def _registered(array: Array, shelf: Shelf) -> tuple[weakref.ref[Array], Shelf]:
    key = id(array)

    def remove(reference: weakref.ref[Array]) -> None:
        with _lock:
            if key in _shelves and _shelves[key][0] is reference:
                del _shelves[key]

    _shelves[key] = weakref.ref(array, remove), shelf
    return _shelves[key]
