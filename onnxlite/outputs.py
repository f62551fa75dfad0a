"""The outputs of a run: arrays that belong to the caller."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
    found = [result if result.__class__ is np.ndarray or not on_host else to_host(result) for result in results]
    if next(_arrays(found), None) is None:
        return found
    taken = {_memory(value) for value in _arrays(inputs)}
    return [_owned(result, taken) for result in found]


def _owned(value: Any, taken: set[int]) -> Any:
    if value.__class__ is np.ndarray:
        memory = _memory(value)
        flags = value.flags
        if memory in taken or not flags.writeable or not flags.c_contiguous:
            return np.array(value, order="C")
        taken.add(memory)
        return value
    return [_owned(item, taken) for item in value] if isinstance(value, list) else value


def _memory(array: Array) -> int:
    """What identifies the memory that an array shows: the object at the end of its chain of bases."""
    owner = array
    while (base := getattr(owner, "base", None)) is not None and isinstance(owner, np.ndarray):
        owner = base
    return id(owner)


def _arrays(values: Iterable[Any]) -> Iterator[Array]:
    for value in values:
        if isinstance(value, np.ndarray):
            yield value
        elif isinstance(value, list):
            yield from _arrays(value)
