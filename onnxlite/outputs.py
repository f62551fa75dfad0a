"""The outputs of a run: arrays that belong to the caller."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from onnxlite.devices import to_host
from onnxlite.kernels.arrays import Array


def owned(results: Sequence[Any], inputs: Iterable[Any], *, on_host: bool = True) -> list[Any]:
    """The results such that writing to one changes neither an input, nor a constant, nor another result.

    Arrays become contiguous and writable; what has memory of its own already is not copied.

    Args:
        results: What the plan returned.
        inputs: What it was given.
        on_host: Copy arrays from other devices to the host.
    """
    taken = {_memory(value) for value in _arrays(inputs)}
    return [_owned(to_host(result) if on_host else result, taken) for result in results]


def _owned(value: Any, taken: set[int]) -> Any:
    if isinstance(value, list):
        return [_owned(item, taken) for item in value]
    if value.__class__ is not np.ndarray:
        return value
    memory = _memory(value)
    if memory in taken or not value.flags.writeable or not value.flags.c_contiguous:
        return np.array(value, order="C")
    taken.add(memory)
    return value


def _memory(array: Array) -> int:
    """What identifies the memory that an array shows: the object at the end of its chain of bases."""
    owner = array
    while isinstance(owner, np.ndarray) and owner.base is not None:
        owner = owner.base
    return id(owner)


def _arrays(values: Iterable[Any]) -> Iterable[Array]:
    for value in values:
        if isinstance(value, np.ndarray):
            yield value
        elif isinstance(value, list):
            yield from _arrays(value)
