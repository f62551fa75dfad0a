"""How far the results of two engines are apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

#: An error above this is worth a look.
NOTABLE = 1e-3


def agrees(error: float, spread: float | None) -> bool:
    """Whether an error is small, or no more than twice what rounding does to the rival's own results."""
    return error <= max(NOTABLE, 2 * (spread or 0.0))


def error(results: Sequence[Any], expected: Sequence[Any]) -> float:
    """The largest difference of an element, in units of the largest element that is expected in its output.

    Raises:
        ValueError: Outputs differ in number, type, shape, text, or in where they are infinite or NaN.
    """
    ours, theirs = list(_arrays(list(results))), list(_arrays(list(expected)))
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} arrays instead of {len(theirs)}")
    return max((_error(a, b, index) for index, (a, b) in enumerate(zip(ours, theirs, strict=True))), default=0.0)


def _arrays(value: Any) -> Iterator[np.ndarray[Any, Any]]:
    """The arrays in nested lists and maps."""
    if isinstance(value, dict):
        yield np.array(list(value))
        value = list(value.values())
    if isinstance(value, list) and any(isinstance(item, list | dict | np.ndarray) for item in value):
        for item in value:
            yield from _arrays(item)
    elif value is not None:
        yield np.asarray(value)


def _error(result: np.ndarray[Any, Any], expected: np.ndarray[Any, Any], index: int) -> float:
    if result.shape != expected.shape or result.dtype != expected.dtype:
        raise ValueError(
            f"output {index} is {result.dtype}{list(result.shape)} instead of {expected.dtype}{list(expected.shape)}"
        )
    if expected.dtype.kind in "OSU":
        if not np.array_equal(result, expected):
            raise ValueError(f"output {index} has other texts")
        return 0.0
    if not expected.size:
        return 0.0
    a, b = result.astype(np.float64), expected.astype(np.float64)
    finite = np.isfinite(b)
    if not np.array_equal(a[~finite], b[~finite], equal_nan=True) or not np.isfinite(a[finite]).all():
        raise ValueError(f"output {index} is infinite or NaN in other places")
    if not finite.any():
        return 0.0
    return float(np.abs(a[finite] - b[finite]).max() / (np.abs(b[finite]).max() or 1.0))
