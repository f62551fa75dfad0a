"""Constants in the form that kernels want them, made once: packed, transformed or transposed weights.

A plan is bound again for every new set of shapes; what is made of its weights does not depend on those, and is shared.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

from onnxlite.kernels.arrays import Array

Result = TypeVar("Result")

_made: dict[tuple[Any, ...], tuple[Any, Any]] = {}
_lock = threading.Lock()


def prepared(array: Array, transform: Callable[..., Result], *parameters: Any) -> Result:
    """``transform(array, *parameters)``, kept for as long as the array lives.

    Args:
        array: A constant, which nobody changes.
        transform: A function of a module.
        *parameters: Hashable arguments of the transform.
    """
    key = (id(array), transform, parameters)
    with _lock:
        found = _made.get(key)
    if found is not None:
        result: Result = found[1]
        return result
    result = transform(array, *parameters)
    with _lock:
        _made[key] = (weakref.ref(array, lambda _: _made.pop(key, None)), result)
    return result
