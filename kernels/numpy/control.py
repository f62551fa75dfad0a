"""Control flow: operators that run graphs.  A graph is a callable ``body(*inputs) -> tuple of outputs``.

A body also has ``output_types``: for each output None, or an object with ``dtype`` and ``shape`` (whose dimensions are
integers, names or None), which says what a loop that never runs would have collected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array, array_namespace, is_array
from onnxlite.kernels.axes import normalize_axis
from onnxlite.kernels.numpy.table import op

Body = Callable[..., tuple[Any, ...]]


@op("If")
def if_(cond: Array, *, then_branch: Body, else_branch: Body) -> tuple[Any, ...]:
    """The outputs of the branch that ``cond``, a boolean of one element, selects (ONNX If-25)."""
    return tuple(then_branch() if _truth(cond) else else_branch())


@op("Loop")
def loop(max_trip_count: Array | None, cond: Array | None, *initial: Any, body: Body) -> tuple[Any, ...]:
    """The final states, then the values collected in each iteration, stacked on a new first axis (ONNX Loop-25).

    ``body(iteration, condition, *states) -> (condition, *states, *collected)``.
    """
    states = list(initial)
    collected: list[tuple[Any, ...]] = []
    limit = None if max_trip_count is None else int(np.asarray(max_trip_count).reshape(()))
    # Without `cond` the specification ignores the body's condition; only if nothing else can end the loop, it counts.
    heeds_condition = cond is not None or limit is None
    condition: Any = np.array(True) if cond is None else cond
    iteration = 0
    while (limit is None or iteration < limit) and (not heeds_condition or _truth(condition)):
        condition, *outputs = body(np.array(iteration, dtype=np.int64), condition, *states)
        states = outputs[: len(states)]
        collected.append(tuple(outputs[len(states) :]))
        iteration += 1
    if not collected:
        return (*states, *(_nothing(kind) for kind in _types(body)[1 + len(states) :]))
    return (*states, *(_stack(elements) for elements in zip(*collected, strict=True)))


@op("Scan", since=9)
def scan(
    *inputs: Array,
    body: Body,
    num_scan_inputs: int,
    scan_input_axes: Sequence[int] | None = None,
    scan_input_directions: Sequence[int] | None = None,
    scan_output_axes: Sequence[int] | None = None,
    scan_output_directions: Sequence[int] | None = None,
) -> tuple[Any, ...]:
    """The final states, then the values collected along the scanned axes (ONNX Scan-25).

    ``body(*states, *elements) -> (*states, *collected)``; an element is a scan input without its scanned axis.
    """
    states, scanned = _states_and_scanned(inputs, num_scan_inputs)
    axes = scan_input_axes or (0,) * num_scan_inputs
    columns = [_axis_first(x, axis) for x, axis in zip(scanned, axes, strict=True)]
    states, collected = _iterate(body, states, _reversed(columns, scan_input_directions), _length(columns))
    output_axes = scan_output_axes or (0,) * len(collected)
    results = [
        _stack(elements, axis) if elements else _nothing(kind, axis)
        for elements, axis, kind in zip(
            _reversed(collected, scan_output_directions), output_axes, _types(body, len(states), collected), strict=True
        )
    ]
    return (*states, *results)


@op("Scan", since=8, until=8)
def scan_8(
    sequence_lens: Array | None,
    *inputs: Array,
    body: Body,
    num_scan_inputs: int,
    directions: Sequence[int] | None = None,
) -> tuple[Any, ...]:
    """Each sample of a batch scanned along axis 1, up to its own length; zeros fill the outputs (ONNX Scan-8)."""
    initial, scanned = _states_and_scanned(inputs, num_scan_inputs)
    length = _length([_axis_first(x, 1) for x in scanned])
    batch_size = scanned[0].shape[0]
    lengths = [length] * batch_size if sequence_lens is None else [int(n) for n in sequence_lens]
    if len(lengths) != batch_size or not all(0 <= n <= length for n in lengths):
        raise ValueError(f"sequence_lens must be {batch_size} lengths of at most {length}, got {lengths}")
    samples = []
    for sample, steps in enumerate(lengths):
        columns = _reversed([x[sample, :steps] for x in scanned], directions)
        states, collected = _iterate(body, [state[sample] for state in initial], columns, steps)
        kinds = _types(body, len(states), collected)
        padded = [_padded(elements, kind, length) for elements, kind in zip(collected, kinds, strict=True)]
        samples.append((*states, *padded))
    return tuple(_stack(outputs) for outputs in zip(*samples, strict=True))


@op("SequenceMap", since=17)
def sequence_map(sequence: list[Array], *additional: Any, body: Body, output_count: int = 1) -> tuple[list[Any], ...]:
    """What ``body`` gives for each element of the input sequences, as sequences (ONNX SequenceMap-17).

    An additional input that is a tensor goes to every call.
    """
    for other in additional:
        if isinstance(other, list) and len(other) != len(sequence):
            raise ValueError(f"the input sequences must have {len(sequence)} elements each, got one with {len(other)}")
    results = [
        body(element, *(other[index] if isinstance(other, list) else other for other in additional))
        for index, element in enumerate(sequence)
    ]
    if not results:
        return tuple([] for _ in range(output_count))
    return tuple(list(column) for column in zip(*results, strict=True))


def _truth(condition: Any) -> bool:
    if condition.size != 1:
        raise ValueError(f"the condition must have one element, got the shape {condition.shape}")
    return bool(condition.reshape(()))


def _states_and_scanned(inputs: tuple[Array, ...], count: int) -> tuple[list[Array], list[Array]]:
    if not 0 < count <= len(inputs):
        raise ValueError(f"num_scan_inputs must be in [1, {len(inputs)}], the number of inputs, got {count}")
    return list(inputs[: len(inputs) - count]), list(inputs[len(inputs) - count :])


def _axis_first(x: Array, axis: int) -> Array:
    return array_namespace(x).moveaxis(x, normalize_axis(axis, x.ndim), 0)


def _length(columns: Sequence[Array]) -> int:
    lengths = {column.shape[0] for column in columns}
    if len(lengths) != 1:
        raise ValueError(f"the scan inputs must be equally long, got the lengths {sorted(lengths)}")
    return int(lengths.pop())


def _reversed(columns: Sequence[Any], directions: Sequence[int] | None) -> list[Any]:
    """The columns, those with direction 1 backwards."""
    if directions is None:
        return list(columns)
    return [column[::-1] if backward else column for column, backward in zip(columns, directions, strict=True)]


def _iterate(
    body: Body, states: list[Any], columns: Sequence[Array], steps: int
) -> tuple[list[Any], list[list[Array]]]:
    """The states after ``steps`` iterations over the columns, and what each of the other outputs of the body gave."""
    collected: list[list[Array]] = [[] for _ in _types(body)[len(states) :]]
    for step in range(steps):
        outputs = body(*states, *(column[step] for column in columns))
        collected = collected or [[] for _ in outputs[len(states) :]]
        states = list(outputs[: len(states)])
        for elements, value in zip(collected, outputs[len(states) :], strict=True):
            elements.append(value)
    return states, collected


def _types(body: Body, start: int = 0, like: Iterable[Any] | None = None) -> list[Any]:
    """The body's declared output types from ``start`` on; None for each of ``like`` where it declares nothing."""
    declared = getattr(body, "output_types", None)
    if declared is None:
        return [None for _ in like or ()]
    return list(declared)[start:]


def _stack(elements: Sequence[Any], axis: int = 0) -> Array:
    if not all(is_array(element) or isinstance(element, np.generic) for element in elements):
        raise ValueError("what a loop collects must be tensors; a sequence or an optional can only be a state")
    if len({element.shape for element in elements}) > 1:
        shapes = sorted({element.shape for element in elements})
        raise ValueError(f"what a loop collects must have one shape in all iterations, got the shapes {shapes}")
    return array_namespace(*elements).stack(elements, axis=axis)


def _nothing(kind: Any, axis: int = 0) -> Array:
    """What no iteration collects: an empty tensor of the declared type, unknown dimensions as 0."""
    dtype = getattr(kind, "dtype", None) or np.dtype(np.float32)
    shape = [n if isinstance(n, int) else 0 for n in getattr(kind, "shape", None) or ()]
    shape.insert(axis if axis >= 0 else axis + len(shape) + 1, 0)
    return np.empty(shape, dtype=dtype)


def _padded(elements: Sequence[Array], kind: Any, length: int) -> Array:
    """The elements stacked, then zeros up to ``length`` entries."""
    stacked = _stack(elements) if elements else _nothing(kind)
    xp = array_namespace(stacked)
    filler = xp.zeros((length - stacked.shape[0], *stacked.shape[1:]), dtype=stacked.dtype)
    return xp.concatenate([stacked, filler])
