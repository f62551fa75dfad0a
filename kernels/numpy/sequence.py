"""Sequences and optionals: lists of tensors that no kernel changes in place, and values that may be absent (None)."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array, array_namespace
from onnxlite.kernels.axes import normalize_axis
from onnxlite.kernels.numpy.table import op


@op("SequenceConstruct", since=11, host=True)
def sequence_construct(*inputs: Array) -> list[Array]:
    """The sequence of its inputs, in order (ONNX SequenceConstruct-11)."""
    return list(inputs)


@op("SequenceEmpty", since=11, host=True)
def sequence_empty(*, dtype: int | None = None) -> list[Array]:
    """A sequence without elements; ``dtype`` only types the model (ONNX SequenceEmpty-11)."""
    return []


@op("SequenceLength", since=11, host=True)
def sequence_length(sequence: list[Array]) -> Array:
    """How many tensors the sequence holds, as an int64 scalar (ONNX SequenceLength-11)."""
    return np.array(len(sequence), dtype=np.int64)


@op("SequenceAt", since=11, host=True)
def sequence_at(sequence: list[Array], position: Array) -> Array:
    """The tensor at ``position``, in [-n, n - 1] (ONNX SequenceAt-11)."""
    return sequence[_position(position, len(sequence), len(sequence) - 1)]


@op("SequenceInsert", since=11, host=True)
def sequence_insert(sequence: list[Array], tensor: Array, position: Array | None = None) -> list[Array]:
    """A new sequence with ``tensor`` before ``position``, in [-n, n], or at the end (ONNX SequenceInsert-11)."""
    size = len(sequence)
    index = size if position is None else _position(position, size, size)
    return [*sequence[:index], tensor, *sequence[index:]]


@op("SequenceErase", since=11, host=True)
def sequence_erase(sequence: list[Array], position: Array | None = None) -> list[Array]:
    """A new sequence without the tensor at ``position``, in [-n, n - 1], or the last (ONNX SequenceErase-11)."""
    size = len(sequence)
    index = _position(-1 if position is None else position, size, size - 1)
    return [*sequence[:index], *sequence[index + 1 :]]


def _position(position: Any, size: int, last: int) -> int:
    """The position counted from the front; IndexError unless it is in [-size, last]."""
    index = int(np.asarray(position).reshape(()))
    if not -size <= index <= last:
        raise IndexError(f"the position must be in [{-size}, {last}] for a sequence of {size} tensors, got {index}")
    return index + size if index < 0 else index


@op("SplitToSequence", since=11, host=True)
def split_to_sequence(x: Array, split: Array | None = None, *, axis: int = 0, keepdims: int = 1) -> list[Array]:
    """The parts of ``x`` along ``axis`` (ONNX SplitToSequence-24).

    A scalar ``split`` is the size of all parts (1 by default) but perhaps the last, a vector the size of each.
    Only without ``split`` does ``keepdims=0`` drop the axis.
    """
    axis = normalize_axis(axis, x.ndim)
    prefix = (slice(None),) * axis
    if split is None and not keepdims:
        return [x[(*prefix, index)] for index in range(x.shape[axis])]
    ends = _part_ends(np.asarray(1 if split is None else split), x.shape[axis])
    return [x[(*prefix, slice(start, end))] for start, end in zip([0, *ends], ends, strict=False)]


def _part_ends(split: Array, length: int) -> list[int]:
    """Where each part ends along an axis of ``length``."""
    if split.ndim == 0:
        if split <= 0:
            raise ValueError(f"a scalar split must be positive, got {int(split)}")
        return [min(end, length) for end in range(int(split), length + int(split), int(split))]
    if split.ndim != 1 or np.any(split < 0) or split.sum() != length:
        raise ValueError(f"split must be lengths that add up to {length}, the size of the axis, got {split.tolist()}")
    return [int(end) for end in np.cumsum(split)]


@op("ConcatFromSequence", since=11, host=True)
def concat_from_sequence(sequence: list[Array], *, axis: int, new_axis: int = 0) -> Array:
    """The tensors concatenated along ``axis``, or stacked along a new one (ONNX ConcatFromSequence-11)."""
    if not sequence:
        raise ValueError("the sequence must hold at least one tensor, got an empty sequence")
    xp = array_namespace(*sequence)
    axis = normalize_axis(axis, sequence[0].ndim + (1 if new_axis else 0))
    return xp.stack(sequence, axis=axis) if new_axis else xp.concatenate(sequence, axis=axis)


@op("Optional", since=15, host=True)
def optional(element: Any = None, *, type: Any = None) -> Any:
    """The optional that holds ``element``, or the empty one; ``type`` only types the model (ONNX Optional-28)."""
    return element


@op("OptionalGetElement", since=15, host=True)
def optional_get_element(element: Any) -> Any:
    """What the optional holds; an empty one is an error (ONNX OptionalGetElement-28)."""
    if element is None:
        raise ValueError("the optional must hold an element, got an empty optional")
    return element


@op("OptionalHasElement", since=15, host=True)
def optional_has_element(element: Any = None) -> Array:
    """Whether the optional holds an element, as a boolean scalar (ONNX OptionalHasElement-28)."""
    return np.array(element is not None)
