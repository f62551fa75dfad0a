"""How the first versions of the elementwise operators took their operands.

Before version 7 only the second operand was broadcast, on request and along a given axis; version 1 carried a hint
about memory, ``consumed_inputs``, that has no effect on values.  The functions here turn a kernel into one of these.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from onnxlite.kernels.arrays import Array

Kernel = Callable[..., Any]


def limited(function: Kernel) -> Kernel:
    """A binary kernel with the attributes ``axis`` and ``broadcast`` of the versions before 7 (ONNX Add-6)."""

    @functools.wraps(function)
    def call(a: Array, b: Array, *, axis: int | None = None, broadcast: int = 0) -> Any:
        return function(a, align(a, b, axis) if broadcast else _require_same_shape(a, b))

    return _with_signature(call, inspect.signature(call, follow_wrapped=False))


def align(a: Array, b: Array, axis: int | None = None) -> Array:
    """``b`` in a shape that broadcasts to ``a``: its dimensions are those of ``a`` that start at ``axis``, or 1.

    A single element fits everywhere; without an axis, ``b`` is matched with the last dimensions of ``a``.
    """
    if b.size == 1:
        return b.reshape(())
    first = a.ndim - b.ndim if axis is None else axis + a.ndim * (axis < 0)
    aligned = a.shape[max(first, 0) : first + b.ndim]
    if first < 0 or len(aligned) != b.ndim or any(n not in (1, m) for n, m in zip(b.shape, aligned, strict=True)):
        place = "the last dimensions" if axis is None else f"the dimensions from axis {axis}"
        raise ValueError(f"the second operand must have one element or {place} of the first {a.shape}, got {b.shape}")
    return b.reshape(b.shape + (1,) * (a.ndim - first - b.ndim))


def same_shapes(function: Kernel) -> Kernel:
    """A variadic kernel without broadcasting: all inputs have one shape, as before version 8 (ONNX Sum-6)."""

    @functools.wraps(function)
    def call(*xs: Array) -> Any:
        return function(xs[0], *(_require_same_shape(xs[0], x) for x in xs[1:]))

    return call


def consuming(function: Kernel) -> Kernel:
    """A kernel that accepts, and has no use for, the attribute ``consumed_inputs`` of version 1."""

    @functools.wraps(function)
    def call(*inputs: Any, consumed_inputs: Sequence[int] | None = None, **attributes: Any) -> Any:
        return function(*inputs, **attributes)

    signature = inspect.signature(function)
    hint = inspect.Parameter("consumed_inputs", inspect.Parameter.KEYWORD_ONLY, default=None)
    return _with_signature(call, signature.replace(parameters=[*signature.parameters.values(), hint]))


def _require_same_shape(a: Array, b: Array) -> Array:
    if a.shape != b.shape:
        raise ValueError(f"inputs must have one shape where nothing is broadcast, got {a.shape} and {b.shape}")
    return b


def _with_signature(function: Kernel, signature: inspect.Signature) -> Kernel:
    # What a kernel table reads; functools.wraps alone would show the signature of the wrapped kernel.
    function.__signature__ = signature  # type: ignore[attr-defined]
    return function
