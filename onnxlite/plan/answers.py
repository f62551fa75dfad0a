"""What the builders of a plan's steps answered: most see the same shapes again when a plan's inputs change theirs.

A sequence that grows by one element each run changes the shapes of attention, but not those of the layers around it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxlite.kernels.numba.spec import Bound, Declined, View
from onnxlite.plan.plan import Step

#: The answers that are kept for each step.
_KEPT = 4

#: Constants that a walk found, up to this many bytes, are compared by their content.
_SMALL = 1 << 12


@dataclass(slots=True)
class Answer:
    """What a builder answered and, once it was called, what calls its function directly."""

    answer: Bound | View | Declined
    entry: Callable[..., Any] | None = None


class Answers:
    """The last answers for each step of a plan; thread-safe.

    Args:
        steps: The plan's steps.
        constants: The slots that hold the same constants in every run.
    """

    def __init__(self, steps: Sequence[Step], constants: frozenset[int]) -> None:
        self._kept: dict[int, dict[Any, Answer]] = {id(step): {} for step in steps}
        self._steps = steps  # which keeps their identities
        self._constants = constants
        self._lock = threading.Lock()

    def key(self, step: Step, inputs: Sequence[Any], constant: Sequence[bool]) -> Any:
        """What the answer to a step depends on, or None if it cannot be compared."""
        if id(step) not in self._kept:
            return None
        parts: list[Any] = []
        for slot, value, fixed in zip(step.inputs, inputs, constant, strict=True):
            if value is None:
                parts.append(None)
            elif fixed and slot in self._constants:
                parts.append(slot)
            elif value.__class__ is not np.ndarray or (fixed and (value.nbytes > _SMALL or value.dtype.hasobject)):
                return None
            else:
                parts.append((value.shape, value.dtype, value.tobytes() if fixed else None))
        return tuple(parts)

    def find(self, step: Step, key: Any) -> Answer | None:
        """The answer that is kept for a key."""
        with self._lock:
            return None if key is None else self._kept[id(step)].get(key)

    def keep(self, step: Step, key: Any, answer: Answer) -> None:
        """Keep an answer, in the place of the oldest one if there are many."""
        if key is None:
            return
        with self._lock:
            kept: dict[Any, Answer] = self._kept[id(step)]
            if len(kept) >= _KEPT:
                del kept[next(iter(kept))]
            kept[key] = answer


def constant_slots(values: Sequence[Any]) -> frozenset[int]:
    """The slots of a plan's template that hold constants."""
    return frozenset(slot for slot, value in enumerate(values) if value is not None)
