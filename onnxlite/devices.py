"""Arrays on devices: where one is, and how it gets to another."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxlite.errors import Fail, InvalidArgument
from onnxlite.kernels.arrays import Array


def device_of(value: Any) -> tuple[str, int]:
    """The kind and the number of the device that an array is on; the CPU's for everything that is no array."""
    if hasattr(value, "__cuda_array_interface__"):
        return "cuda", int(value.device.id)
    return "cpu", 0


def to_host(value: Any) -> Any:
    """The value in host memory; what is there already is not copied."""
    if isinstance(value, list):
        return [to_host(item) for item in value]
    return value.get() if hasattr(value, "__cuda_array_interface__") else value


def array_on(array: Array, device_type: str, device_id: int) -> Array:
    """The array on a device; where it is there already it is not copied.

    Raises:
        InvalidArgument: There is no such kind of device.
        Fail: This machine has no such device.
    """
    kind = device_type.lower()
    if kind == "cpu":
        return to_host(array)
    if kind not in ("cuda", "gpu"):
        raise InvalidArgument(f"Unsupported device type: {device_type}; it is 'cpu' or 'cuda'")
    from onnxlite.providers.registry import why_unavailable

    reason = why_unavailable("CUDAExecutionProvider")
    if reason is not None:
        raise Fail(f"no memory can be taken on the device '{device_type}': {reason}")
    import cupy

    with cupy.cuda.Device(device_id):
        return cupy.asarray(array)


def array_at(pointer: int, shape: Sequence[int], dtype: np.dtype[Any], device_type: str, device_id: int) -> Array:
    """The memory at an address as an array; the caller sees to it that it stays valid."""
    size = math.prod(shape) * dtype.itemsize
    if device_type.lower() == "cpu":
        buffer = (ctypes.c_char * size).from_address(pointer)
        return np.frombuffer(memoryview(buffer), dtype).reshape(tuple(shape))
    import cupy

    with cupy.cuda.Device(device_id):
        memory = cupy.cuda.UnownedMemory(pointer, size, owner=None, device_id=device_id)
        return cupy.ndarray(tuple(shape), dtype, cupy.cuda.MemoryPointer(memory, 0))
