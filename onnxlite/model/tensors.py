"""TensorProto and SparseTensorProto to arrays; the sizes are checked before anything is allocated."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from onnxlite.errors import InvalidGraph
from onnxlite.kernels.arrays import Array
from onnxlite.kernels.dtypes import ElementType, element_type
from onnxlite.model.external import map_external, parse_reference

#: What a dense tensor in a protobuf can hold; a sparse one that expands to more is refused.
_MAX_DENSE_BYTES = 2**31


def tensor_array(tensor: onnx.TensorProto, folder: Path | None) -> Array:
    """The tensor as a read-only array, without a copy where the file's layout allows it.

    Args:
        tensor: The protobuf; its data may be in its fields, raw, or external.
        folder: The folder that external data is confined to; None refuses external data.

    Raises:
        InvalidGraph: The element type is unknown, or the data does not fill the shape.
    """
    element = _element(tensor)
    count = _element_count(tensor.dims, tensor.name)
    if tensor.HasField("segment"):
        raise InvalidGraph(f"tensor '{tensor.name}' is segmented, which no version of ONNX defines the reading of")
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        return _external_array(tensor, element, count, folder)
    if tensor.HasField("raw_data"):
        return _raw_array(tensor, element, count)
    if count > _field_capacity(tensor, element):
        raise InvalidGraph(f"tensor '{tensor.name}' has shape {list(tensor.dims)}, but its data does not fill it")
    array = numpy_helper.to_array(tensor)
    return _frozen(_text(array) if element.onnx == "string" else array)


def dense_array(sparse: onnx.SparseTensorProto, folder: Path | None) -> Array:
    """The sparse tensor as a dense array.

    Raises:
        InvalidGraph: The indices are outside the shape, or the dense form would be larger than a dense tensor can be.
    """
    values = tensor_array(sparse.values, folder)
    indices = tensor_array(sparse.indices, folder)
    shape = tuple(sparse.dims)
    count = _element_count(shape, sparse.values.name)
    if count * values.dtype.itemsize > _MAX_DENSE_BYTES:
        raise InvalidGraph(f"sparse tensor '{sparse.values.name}' of shape {list(shape)} is too large to expand")
    flat = indices if indices.ndim == 1 else _linear_indices(indices, shape)
    if flat.shape != values.shape or (flat.size and (flat.min() < 0 or flat.max() >= count)):
        raise InvalidGraph(f"sparse tensor '{sparse.values.name}' has indices that do not fit shape {list(shape)}")
    dense = np.zeros(count, values.dtype)
    dense[flat] = values
    return _frozen(dense.reshape(shape))


def _linear_indices(indices: Array, shape: tuple[int, ...]) -> Array:
    fits = indices.ndim == 2 and indices.shape[1] == len(shape)
    if not fits or (indices.size and (indices.min() < 0 or bool((indices >= np.array(shape)).any()))):
        raise InvalidGraph(f"a sparse tensor of shape {list(shape)} has indices that do not fit it")
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    return indices @ np.array(strides, np.int64)


def _element(tensor: onnx.TensorProto) -> ElementType:
    try:
        return element_type(tensor.data_type)
    except ValueError as error:
        raise InvalidGraph(f"tensor '{tensor.name}' has the unknown element type {tensor.data_type}") from error


def _element_count(dims: object, name: str) -> int:
    shape = tuple(dims)  # type: ignore[arg-type]
    if any(length < 0 for length in shape):
        raise InvalidGraph(f"tensor '{name}' has a negative dimension: {list(shape)}")
    return math.prod(shape)


def _raw_array(tensor: onnx.TensorProto, element: ElementType, count: int) -> Array:
    size = _byte_size(element, count, tensor.name)
    if len(tensor.raw_data) != size:
        raise InvalidGraph(
            f"tensor '{tensor.name}' of type {element} and shape {list(tensor.dims)} takes {size} bytes, "
            f"but has {len(tensor.raw_data)}"
        )
    return _frozen(numpy_helper.to_array(tensor))


def _external_array(tensor: onnx.TensorProto, element: ElementType, count: int, folder: Path | None) -> Array:
    reference = parse_reference({entry.key: entry.value for entry in tensor.external_data}, tensor.name)
    data = map_external(reference, folder, tensor.name, _byte_size(element, count, tensor.name))
    if element.bits >= 8:
        return data.view(element.dtype.newbyteorder("<")).astype(element.dtype, copy=False).reshape(tuple(tensor.dims))
    packed = onnx.TensorProto(dims=tensor.dims, data_type=tensor.data_type, raw_data=data.tobytes())
    return _frozen(numpy_helper.to_array(packed))


def _byte_size(element: ElementType, count: int, name: str) -> int:
    if element.onnx == "string":
        raise InvalidGraph(f"tensor '{name}' holds strings, which cannot be raw or external data")
    return -(-count * element.bits // 8)


def _field_capacity(tensor: onnx.TensorProto, element: ElementType) -> int:
    """How many elements the typed fields hold: sub-byte types share an int32, complex ones take two numbers."""
    fields = (tensor.float_data, tensor.int32_data, tensor.string_data, tensor.int64_data)
    stored = max(map(len, (*fields, tensor.double_data, tensor.uint64_data)))
    if element.onnx.startswith("complex"):
        return stored // 2
    return stored * max(1, 8 // element.bits) if 0 < element.bits < 8 else stored


def _text(array: Array) -> Array:
    """An object array of str: protobuf holds strings as bytes."""
    flat = [s.decode("utf-8", "surrogateescape") if isinstance(s, bytes) else str(s) for s in array.ravel().tolist()]
    text = np.empty(len(flat), np.object_)
    text[:] = flat
    return text.reshape(array.shape)


def _frozen(array: Array) -> Array:
    if array.flags.writeable:
        array.flags.writeable = False
    return array
