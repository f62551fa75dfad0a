"""Results that a kernel derives from its attributes alone, kept from one run to the next."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")

#: How many results of each function are kept.
_KEPT = 64


def remembered(function: Callable[..., Result]) -> Callable[..., Result]:
    """The function, its last results found again by the identity of its arguments.

    A bound node hands the same attribute objects to every run, and comparing or hashing long ones would cost as much as
    it saves.  The arguments must not change: tuples, and tensors that nobody writes to.
    """
    kept: dict[tuple[int, ...], tuple[tuple[Any, ...], Result]] = {}
    lock = threading.Lock()

    @functools.wraps(function)
    def call(*arguments: Any) -> Result:
        key = tuple(map(id, arguments))
        entry = kept.get(key)
        if entry is None:
            # The entry holds the arguments, so that no other object can get their identities.
            entry = (arguments, function(*arguments))
            with lock:
                kept[key] = entry
                if len(kept) > _KEPT:
                    del kept[next(iter(kept))]
        return entry[1]

    return call
