"""Runs like earlier ones: names, types and shapes were checked then, and the program is at hand.

In a model of a few small operators, checking what is fed takes longer than the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from onnxlite.outputs import owned
from onnxlite.plan.plan import ShapedProgram

#: How many kinds of runs are remembered.
_MAX_KINDS = 16


class Shortcuts:
    """The programs of earlier runs, by the names that were asked for and the shapes and types of what was fed.

    Args:
        names: The inputs that have to be fed.  Runs that feed others besides, or other things than arrays of numbers,
            are not remembered.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._programs: dict[Any, tuple[ShapedProgram, bool, tuple[int, ...]]] = {}

    def run(
        self, output_names: Sequence[str] | None, feeds: Mapping[str, Any], on_host: bool = True
    ) -> list[Any] | None:
        """The results of a run, as arrays of the caller's own; None if none of that kind was remembered."""
        found = self._kind(output_names, feeds)
        if found is None:
            return None
        kind, arrays = found
        entry = self._programs.get(kind)
        if entry is None:
            return None
        program, silent, shared = entry
        if silent:
            results = program.run(arrays)
        else:
            with np.errstate(all="ignore"):
                results = program.run(arrays)
        if shared:
            for i, value in zip(shared, owned([results[i] for i in shared], arrays, on_host=on_host), strict=True):
                results[i] = value
        return results

    def remember(self, output_names: Sequence[str] | None, feeds: Mapping[str, Any], program: ShapedProgram) -> None:
        """Let runs of this kind, one of which went well, use the program."""
        found = self._kind(output_names, feeds)
        if found is None or not program.takes_arrays:
            return
        if len(self._programs) >= _MAX_KINDS:
            self._programs.clear()
        self._programs[found[0]] = program, program.is_silent, program.shared_outputs

    def _kind(self, output_names: Any, feeds: Any) -> tuple[tuple[Any, ...], list[Any]] | None:
        """What runs are told apart by, and the arrays in the order of the names; None for unusual runs."""
        names = tuple(output_names) if output_names.__class__ is list else output_names
        if (names is not None and names.__class__ is not tuple) or feeds.__class__ is not dict:
            return None
        if len(feeds) != len(self._names):
            return None
        kind: list[Any] = [names]
        arrays = []
        for name in self._names:
            value = feeds.get(name)
            if value.__class__ is not np.ndarray:
                return None
            arrays.append(value)
            kind += value.shape, value.dtype
        return tuple(kind), arrays
