"""Axes as ONNX writes them: negative ones count from the end, and an axis that the tensor lacks is an error."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def normalize_axis(axis: int, rank: int) -> int:
    """The axis counted from the front: ``normalize_axis(-1, 3) == 2``.

    Raises:
        ValueError: The tensor has no such axis.
    """
    axis = int(axis)
    if not -rank <= axis < rank:
        expected = f"from {-rank} to {rank - 1}" if rank else "none at all, as a scalar has no axis"
        raise ValueError(f"expected an axis of a tensor of rank {rank} ({expected}), got {axis}")
    return axis + rank if axis < 0 else axis


def normalize_axes(axes: Any, rank: int) -> tuple[int, ...]:
    """The axes counted from the front, in the order given; None means all of them.

    Args:
        axes: None, or a sequence or tensor of integers.
        rank: The rank of the tensor that they belong to.

    Raises:
        ValueError: The tensor lacks one of the axes, or one is named twice.
    """
    if axes is None:
        return tuple(range(rank))
    given: Iterable[int] = axes.reshape(-1).tolist() if hasattr(axes, "reshape") else axes
    normalized = tuple(normalize_axis(axis, rank) for axis in given)
    if len(set(normalized)) != len(normalized):
        raise ValueError(f"expected every axis at most once, got {normalized} for a tensor of rank {rank}")
    return normalized
