"""TopK of float32 and int32: a heap of the best elements of each row.

An element and its place are one 64-bit integer, whose order is the order of the results: larger elements first, of
equal ones the earlier.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from onnxlite.kernels.axes import normalize_axis
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.lanes import bits_of
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.machine.views import part
from onnxlite.kernels.numba.spec import ArraySpec, Bound, Declined, Input, Output, Pool, Scratch
from onnxlite.kernels.numba.table import op

#: The elements that one piece of work looks at.
_PIECE = 1 << 14

#: The elements that are compared with the worst of the heap before one is looked at by itself.
_BLOCK = 64

_INT32, _INT64 = np.dtype(np.int32), np.dtype(np.int64)
_LARGEST = np.int32(2**31 - 1)


@jit
def float_key(x):  # type: ignore[no-untyped-def]
    """An int32 in the order of the float32 numbers; zeros are equal, NaN is the largest."""
    bits = bits_of(x + np.float32(0))
    key = np.int32(bits ^ np.int32(np.int32(bits >> np.int32(31)) & _LARGEST))
    return key if x == x else _LARGEST


@jit
def int_key(x):  # type: ignore[no-untyped-def]
    """The number itself."""
    return x


@jit
def _sink(heap, count):  # type: ignore[no-untyped-def]
    """Move the first element down until no element above another is larger than it."""
    value, place = heap[0], 0
    while True:
        child = 2 * place + 1
        if child >= count:
            break
        if child + 1 < count and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= value:
            break
        heap[place] = heap[child]
        place = child
    heap[place] = value


@jit
def _rise(heap, place):  # type: ignore[no-untyped-def]
    """Move an element up until the one above it is not larger."""
    value = heap[place]
    while place > 0 and heap[(place - 1) // 2] > value:
        heap[place] = heap[(place - 1) // 2]
        place = (place - 1) // 2
    heap[place] = value


@jit
def _best(keys, count, heap):  # type: ignore[no-untyped-def]
    """The largest ``count`` of the keys with their places, the best first."""
    for i in range(count):
        heap[i] = (np.int64(keys[i]) << 31) - i
        _rise(heap, i)
    i, length = count, keys.size
    while i < length:
        # A later key must be larger than that of the worst, not equal: an earlier place is better.
        worst = np.int32((heap[0] + length) >> 31)
        if i + _BLOCK <= length:
            found, block = np.int32(0), part(keys, i, _BLOCK)
            for j in range(_BLOCK):
                found |= np.int32(block[j] > worst)
            if found == 0:
                i += _BLOCK
                continue
        for j in range(i, min(i + _BLOCK, length)):
            entry = (np.int64(keys[j]) << 31) - j
            if entry > heap[0]:
                heap[0] = entry
                _sink(heap, count)
        i += _BLOCK
    for last in range(count - 1, 0, -1):
        heap[0], heap[last] = heap[last], heap[0]
        _sink(heap, last)


def _top_of(name: str, key: Any) -> Any:
    """TopK of the type that a key is made of."""

    def select(start, stop, thread, x, values, indices, length, inner, count, largest, all_keys, heaps):  # type: ignore[no-untyped-def]
        keys, heap = all_keys[thread], heaps[thread]
        flip = np.int32(0 if largest else -1)
        for column in range(start, stop):
            outer, offset = column // inner, column % inner
            first = outer * length * inner + offset
            if inner == 1:
                row = part(x, first, length)
                for i in range(length):
                    keys[i] = key(row[i]) ^ flip
            else:
                for i in range(length):
                    keys[i] = key(x[first + i * inner]) ^ flip
            _best(keys, count, heap)
            target = outer * count * inner + offset
            for i in range(count):
                place = -heap[i] & 0x7FFFFFFF
                values[target + i * inner] = x[first + place * inner]
                indices[target + i * inner] = place

    select.__name__ = select.__qualname__ = f"{name}_select"
    select = jit(select)

    def top_k(pool, x, values, indices, length, inner, count, largest, keys, heaps, columns, piece):  # type: ignore[no-untyped-def]
        arguments = (x, values, indices, length, inner, count, largest, keys, heaps)
        parallel_for(pool, select, arguments, columns, piece)

    top_k.__name__ = top_k.__qualname__ = name
    return jit(top_k)


_FUNCTIONS = {
    np.dtype(np.float32): _top_of("top_k_of_floats", float_key),
    np.dtype(np.int32): _top_of("top_k_of_integers", int_key),
}


@op("TopK", since=11)
def top_k(x: ArraySpec, k: ArraySpec, *, axis: int = -1, largest: int = 1, sorted: int = 1) -> Bound | Declined:
    """The k largest (or smallest) elements along an axis, in order, and their indices (ONNX TopK-24)."""
    if k.value is None:
        return Declined("the number of elements is not known before the model runs")
    return _bind(x, int(np.ravel(k.value)[0]), axis, bool(largest))


@op("TopK", since=10, until=10)
def top_k_10(x: ArraySpec, k: ArraySpec, *, axis: int = -1) -> Bound | Declined:
    """The k largest elements along an axis (ONNX TopK-10)."""
    return top_k(x, k, axis=axis)


@op("TopK", since=1, until=9)
def top_k_1(x: ArraySpec, *, axis: int = -1, k: int) -> Bound | Declined:
    """The k largest elements along an axis, k being an attribute (ONNX TopK-1)."""
    return _bind(x, k, axis, largest=True)


def _bind(x: ArraySpec, count: int, axis: int, largest: bool) -> Bound | Declined:
    axis = normalize_axis(axis, len(x.shape))
    length = x.shape[axis]
    if x.dtype not in _FUNCTIONS or not x.size or not 1 <= count <= length or length >= 1 << 31:
        return Declined(f"{count} of {length} elements of {x.dtype} are not compiled")
    inner = math.prod(x.shape[axis + 1 :])
    shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
    arguments = (
        *(Pool(), Input(0, flat=True), Output(0, flat=True), Output(1, flat=True), length, inner, count, largest),
        *(Scratch((length,), _INT32, per_thread=True), Scratch((count,), _INT64, per_thread=True)),
        *(x.size // length, max(1, _PIECE // length)),
    )
    return Bound(_FUNCTIONS[x.dtype], arguments, (ArraySpec(shape, x.dtype), ArraySpec(shape, _INT64)))
