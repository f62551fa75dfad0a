"""The constants of a plan, which are large: how many copies of them there are at a time decides over the memory.

A compiled kernel reads a weight in a form of its own (``onnxlite.kernels.numba.prepared``), the original only when a
program is made.  Originals in a file take no memory.  Those that passes made are let go once nothing reads them, and
made again, by the passes, for the next program.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.mapped import forget
from onnxlite.kernels.numba.prepared import Shelf, replace_by, shelf_of
from onnxlite.plan.plan import Step

#: Arrays smaller than this stay.
_LEAST = 1 << 16

#: Letting go of less than this, in all, is not worth making it again.
_LEAST_TOTAL = 1 << 24


class Weights:
    """The constants of one plan by slot; not thread-safe.

    Args:
        template: The plan's template, from which constants are let go too.
        names: The names of the slots.
        made: The names of the constants that passes made, and that nobody else holds.
        remake: Makes them again: arrays by name.
    """

    def __init__(
        self,
        template: list[Any],
        names: Sequence[str],
        made: Collection[str] = (),
        remake: Callable[[], Mapping[str, Array]] | None = None,
    ) -> None:
        for slot, value in enumerate(template):
            template[slot] = as_constant(value)
        self.values = template
        self._names, self._remake = names, remake
        large = [
            slot
            for slot, value in enumerate(template)
            if value.__class__ is np.ndarray and names[slot] in made and value.nbytes >= _LEAST
        ]
        worth = remake is not None and sum(template[slot].nbytes for slot in large) >= _LEAST_TOTAL
        #: Whether constants are let go of while a program is made, or once it is made.
        self.at_once = True
        #: The slots that may be let go.
        self.passing = frozenset(large if worth else ())
        self._shelves: dict[int, Shelf] = {slot: shelf_of(template[slot]) for slot in self.passing}

    def restore(self, for_good: bool = False) -> None:
        """Have all constants again; ``for_good``: they are not let go of any more."""
        missing = [slot for slot in self.passing if self.values[slot] is None]
        if missing:
            assert self._remake is not None
            arrays = self._remake()
            for slot in missing:
                self.values[slot] = as_constant(arrays[self._names[slot]])
                replace_by(self.values[slot], self._shelves[slot])
        if for_good:
            self.passing = frozenset()

    def last_reads(self, steps: Sequence[Step]) -> dict[int, list[int]]:
        """The constants that can be let go of, by the identity of the step that is the last to read them."""
        last = {slot: step for step in steps for slot in step.inputs if slot in self.passing}
        slots: dict[int, list[int]] = {}
        for slot, step in last.items():
            slots.setdefault(id(step), []).append(slot)
        return slots

    def release(self, slot: int) -> None:
        """Let go of a constant that nothing reads any more."""
        if slot in self.passing:
            self.values[slot] = None

    def forget(self) -> None:
        """Take what files hold of the constants out of memory."""
        forget(value for value in self.values if value.__class__ is np.ndarray and value.nbytes >= _LEAST)


def as_constant(value: Any) -> Any:
    """A value as constants are: read-only and, if it is an array, contiguous and, unless it is in a file, aligned."""
    if value.__class__ is not np.ndarray or value.dtype == np.object_:
        return value
    usable = value.flags.c_contiguous and (value.flags.aligned or value.nbytes >= _LEAST)
    array = value if usable else np.array(value, order="C")
    if array.flags.writeable:
        array = array.view()
        array.flags.writeable = False
    return array
