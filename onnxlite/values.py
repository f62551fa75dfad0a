"""OrtValue: a value with its type and device, as onnxruntime's users hold inputs and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxlite.devices import array_on, device_of, to_host
from onnxlite.errors import Fail, InvalidArgument, NotImplemented
from onnxlite.kernels.arrays import Array, is_array
from onnxlite.kernels.dtypes import ElementType, element_type
from onnxlite.model.types import OptionalType, SequenceType, TensorType, ValueType


class OrtValue:
    """A tensor, a sequence, a map or an empty optional.

    Args:
        value: The array, list or dict, or None.
        declared: Its ONNX type, where the value alone does not tell it (an empty sequence, an empty optional).
    """

    def __init__(self, value: Any, declared: ValueType | None = None) -> None:
        self._value = value
        self._type = declared.element if isinstance(declared, OptionalType) and value is not None else declared

    @classmethod
    def ortvalue_from_numpy(
        cls, numpy_obj: Array, /, device_type: str = "cpu", device_id: int = 0, vendor_id: int = -1
    ) -> OrtValue:
        """The value of an array; on the CPU it shares the array's memory, unless the array has gaps.

        Raises:
            Fail: It is no array, or the device is not there.
        """
        if not is_array(numpy_obj):
            raise Fail(f"an OrtValue is made from a NumPy array, not from {type(numpy_obj).__name__}")
        _element_of(numpy_obj)
        return cls(array_on(np.asarray(numpy_obj, order="C"), device_type, device_id))

    @classmethod
    def ortvalue_from_numpy_with_onnx_type(cls, data: Array, /, onnx_element_type: int) -> OrtValue:
        """The value of an array whose bits are read as another element type of the same size.

        Raises:
            Fail: The sizes differ.
        """
        element = element_of(onnx_element_type)
        if data.dtype.itemsize != element.dtype.itemsize or element.bits < 8:
            raise Fail(f"the elements of an array of {data.dtype} cannot be read as {element}: the sizes differ")
        return cls(np.asarray(data, order="C").view(element.dtype))

    @classmethod
    def ortvalue_from_shape_and_type(
        cls,
        shape: Sequence[int],
        element_type: Any,
        device_type: str = "cpu",
        device_id: int = 0,
        vendor_id: int = -1,
    ) -> OrtValue:
        """A tensor of zeros (of empty strings).

        Args:
            shape: Its shape.
            element_type: A NumPy type, or a code of ``onnx.TensorProto``.
            device_type: ``cpu`` or ``cuda``.
            device_id: Which device.
            vendor_id: Has no effect.

        Raises:
            Fail: A dimension is negative, or the device is not there.
        """
        element = element_of(element_type)
        if any(length < 0 for length in shape):
            raise Fail(f"a tensor cannot have the shape {list(shape)}")
        fill = "" if element.onnx == "string" else 0
        return cls(array_on(np.full(tuple(shape), fill, element.dtype), device_type, device_id))

    @classmethod
    def from_dlpack(cls, data: Any, /) -> OrtValue:
        """The value of an object with ``__dlpack__``; it shares the memory."""
        if hasattr(data, "__cuda_array_interface__"):
            return cls(array_on(data, "cuda", 0))
        return cls(np.from_dlpack(data))

    @property
    def value(self) -> Any:
        """The array, list or dict, or None, itself."""
        return self._value

    def numpy(self) -> Array:
        """The tensor as a NumPy array; on the CPU it shares the memory.

        Raises:
            Fail: The value is no tensor.
        """
        return to_host(self._tensor())

    def update_inplace(self, data: Array | OrtValue) -> None:
        """Copy a tensor of the same shape and type into this one's memory.

        Raises:
            TypeError: The data is no array.
            Fail: The shapes or types differ, or the memory may not be written to.
        """
        if not isinstance(data, OrtValue | np.ndarray):
            raise TypeError("data must be a numpy.ndarray or an OrtValue.")
        source, target = data._tensor() if isinstance(data, OrtValue) else data, self._tensor()
        if source.shape != target.shape or source.dtype != target.dtype:
            raise Fail(
                f"an OrtValue of shape {list(target.shape)} and {target.dtype} cannot take data of shape "
                f"{list(source.shape)} and {source.dtype}"
            )
        if isinstance(target, np.ndarray) and not target.flags.writeable:
            raise Fail("the memory of this OrtValue may not be written to")
        target[...] = to_host(source) if isinstance(target, np.ndarray) else array_on(source, *device_of(target))

    def shape(self) -> list[int]:
        """The tensor's shape."""
        return list(self._tensor().shape)

    def data_type(self) -> str:
        """The type as ONNX spells it: ``tensor(float)``, ``seq(tensor(int64))``."""
        return str(self._type or _type_of(self._value))

    def element_type(self) -> int:
        """The code of ``onnx.TensorProto`` for the tensor's elements."""
        return _element_of(self._tensor()).code

    def tensor_size_in_bytes(self) -> int:
        """The bytes of the tensor's elements; types below 8 bits are counted packed, as in onnxruntime."""
        tensor = self._tensor()
        element = _element_of(tensor)
        return -(-int(tensor.size) * element.bits // 8) if element.bits else int(tensor.nbytes)

    def data_ptr(self) -> int:
        """The address of the tensor's memory."""
        tensor = self._tensor()
        return int(tensor.ctypes.data if isinstance(tensor, np.ndarray) else tensor.data.ptr)

    def device_name(self) -> str:
        """``cpu`` or ``cuda``."""
        return device_of(self._value)[0]

    def has_value(self) -> bool:
        """Whether the value is anything but an empty optional."""
        return self._value is not None

    def is_tensor(self) -> bool:
        """Whether the value is a tensor."""
        return is_array(self._value)

    def is_sparse_tensor(self) -> bool:
        """Never: sparse tensors arrive dense."""
        return False

    def is_tensor_sequence(self) -> bool:
        """Whether the value is a sequence of tensors."""
        if not isinstance(self._value, list):
            return False
        return all(map(is_array, self._value))

    def as_sparse_tensor(self) -> Any:
        """Sparse tensors arrive dense.

        Raises:
            NotImplemented: Always.
        """
        raise NotImplemented("there are no sparse OrtValues: sparse tensors are handed over as dense arrays")

    def _tensor(self) -> Array:
        if not is_array(self._value):
            raise Fail(f"the OrtValue holds {self.data_type() if self.has_value() else 'nothing'}, not a tensor")
        return self._value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        array = self.numpy()
        return np.array(array, dtype, copy=copy) if copy is not None else np.asarray(array, dtype)

    def __dlpack__(self, *, stream: Any = None) -> Any:
        tensor = self._tensor()
        return tensor.__dlpack__() if isinstance(tensor, np.ndarray) else tensor.__dlpack__(stream=stream)

    def __dlpack_device__(self) -> Any:
        return self._tensor().__dlpack_device__()

    def __repr__(self) -> str:
        shape = f", shape={self.shape()}" if self.is_tensor() else ""
        return f"OrtValue({self.data_type()}{shape}, device={self.device_name()})"


@dataclass(frozen=True, slots=True)
class OrtDevice:
    """A device by name and number."""

    name: str
    number: int = 0

    @staticmethod
    def make(ort_device_name: str, device_id: int, vendor_id: int = -1) -> OrtDevice:
        """The device of a name (``cpu``, ``cuda``).

        Raises:
            InvalidArgument: There is no such kind of device.
        """
        if ort_device_name not in _DEVICE_TYPES:
            raise InvalidArgument(f"Unsupported device type: {ort_device_name}")
        return OrtDevice(ort_device_name, device_id)

    def device_id(self) -> int:
        """Its number."""
        return self.number

    def device_type(self) -> int:
        """onnxruntime's number for the kind of device: 0 for the CPU, 1 for a GPU."""
        return _DEVICE_TYPES[self.name]


_DEVICE_TYPES = {"cpu": 0, "cuda": 1, "gpu": 1}


def element_of(code_or_type: Any) -> ElementType:
    """The element type of a NumPy type or of a code of ``onnx.TensorProto``.

    Raises:
        InvalidArgument: There is none.
    """
    try:
        return element_type(code_or_type)
    except (ValueError, TypeError) as error:
        raise InvalidArgument(f"{code_or_type!r} is not an element type of ONNX") from error


def _element_of(array: Array) -> ElementType:
    return element_of(array.dtype)


def _type_of(value: Any) -> ValueType | str:
    if is_array(value):
        return TensorType(_element_of(value))
    if isinstance(value, list):
        first = _type_of(value[0]) if value else None
        return SequenceType(None if isinstance(first, str) else first)
    return "map" if isinstance(value, dict) else "optional"
