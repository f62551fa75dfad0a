"""TensorProto and SparseTensorProto to arrays; the sizes are checked before anything is allocated."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import onnx
from onnx import numpy_helper

from onnxlite.errors import InvalidGraph
from onnxlite.kernels.arrays import Array
from onnxlite.kernels.dtypes import ElementType, element_type
from onnxlite.model.external import ExternalFiles, parse_reference
from onnxlite.model.inside import INSIDE, LEAST

#: What a dense tensor in a protobuf can hold; a sparse one that expands to more is refused.
_MAX_DENSE_BYTES = 2**31

#: The fields of TensorProto that hold elements.
_FIELDS = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")


def tensor_array(tensor: onnx.TensorProto, files: ExternalFiles) -> Array:
    """The tensor as a read-only array, without a copy where the file's layout allows it.

    Args:
        tensor: The protobuf; its data may be in its fields, raw, or external.
        files: The files that external data may be in.

    Raises:
        InvalidGraph: The element type is unknown, or the data does not fill the shape exactly.
    """
    element = _element(tensor)
    count = _element_count(tensor.dims, tensor.name)
    if tensor.HasField("segment"):
        raise InvalidGraph(f"tensor '{tensor.name}' is segmented, which no version of ONNX defines the reading of")
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        return _external_array(tensor, element, count, files)
    if tensor.HasField("raw_data"):
        return _raw_array(tensor, element, count)
    stored, needed = _stored_count(tensor, element), _needed_count(element, count)
    if stored != needed:
        raise InvalidGraph(
            f"tensor '{tensor.name}' of type {element} and shape {list(tensor.dims)} takes {needed} entries of its "
            f"data field, which has {stored}"
        )
    if element.onnx == "string":
        return _frozen(_text(tensor.string_data, tuple(tensor.dims)))
    return _frozen(_normalized(numpy_helper.to_array(tensor)))


def dense_array(sparse: onnx.SparseTensorProto, files: ExternalFiles) -> Array:
    """The sparse tensor as a dense array.

    Raises:
        InvalidGraph: The indices are outside the shape, or the dense form would be larger than a dense tensor can be.
    """
    name = sparse.values.name
    values, indices = tensor_array(sparse.values, files), tensor_array(sparse.indices, files)
    shape = tuple(sparse.dims)
    count = _element_count(shape, name)
    if count * values.dtype.itemsize > _MAX_DENSE_BYTES:
        raise InvalidGraph(f"sparse tensor '{name}' of shape {list(shape)} is too large to expand")
    if indices.dtype != np.int64:
        raise InvalidGraph(f"sparse tensor '{name}' has indices of type {indices.dtype}, expected int64")
    flat = indices if indices.ndim == 1 else _linear_indices(indices, shape, name)
    if flat.shape != values.shape or (flat.size and (flat.min() < 0 or flat.max() >= count)):
        raise InvalidGraph(
            f"sparse tensor '{name}' of shape {list(shape)} has {values.shape} values and indices of shape "
            f"{indices.shape} that do not fit"
        )
    if values.dtype.kind == "O":
        dense = np.full(count, "", np.object_)
    else:
        dense = np.zeros(count, values.dtype)
    dense[flat] = values
    return _frozen(dense.reshape(shape))


def _linear_indices(indices: Array, shape: tuple[int, ...], name: str) -> Array:
    fits = indices.ndim == 2 and indices.shape[1] == len(shape)
    if not fits or (indices.size and (indices.min() < 0 or bool((indices >= np.array(shape)).any()))):
        raise InvalidGraph(f"sparse tensor '{name}' of shape {list(shape)} has indices that do not fit it")
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    return indices @ np.array(strides, np.int64)


def _element(tensor: onnx.TensorProto) -> ElementType:
    try:
        return element_type(tensor.data_type)
    except ValueError as error:
        raise InvalidGraph(f"tensor '{tensor.name}' has the unknown element type {tensor.data_type}") from error


def _element_count(dims: Iterable[int], name: str) -> int:
    shape = tuple(dims)
    if any(length < 0 for length in shape):
        raise InvalidGraph(f"tensor '{name}' has a negative dimension: {list(shape)}")
    # NumPy's limit; also the product of the lengths that are not zero has to fit its index type.
    if len(shape) > 64 or math.prod(length or 1 for length in shape) > 2**63 - 1:
        raise InvalidGraph(f"tensor '{name}' has a shape of {len(shape)} dimensions that no array can have")
    return math.prod(shape)


def _raw_array(tensor: onnx.TensorProto, element: ElementType, count: int) -> Array:
    _check_size(tensor, element, len(tensor.raw_data), _byte_size(element, count, tensor.name))
    return _frozen(_normalized(numpy_helper.to_array(tensor)))


def _check_size(tensor: onnx.TensorProto, element: ElementType, size: int, needed: int) -> None:
    if size != needed:
        raise InvalidGraph(
            f"tensor '{tensor.name}' of type {element} and shape {list(tensor.dims)} takes {needed} bytes, "
            f"but has {size}"
        )


def _external_array(tensor: onnx.TensorProto, element: ElementType, count: int, files: ExternalFiles) -> Array:
    reference = parse_reference(_entries(tensor), tensor.name)
    size = _byte_size(element, count, tensor.name)
    if reference.location == INSIDE and reference.length is not None:
        _check_size(tensor, element, reference.length, size)
    data = files.read(reference, tensor.name, size)
    shape = tuple(tensor.dims)
    if element.bits < 8:
        packed = onnx.TensorProto(dims=shape, data_type=tensor.data_type, raw_data=data.tobytes())
        return _frozen(numpy_helper.to_array(packed))
    array = data.view(element.dtype.newbyteorder("<")).astype(element.dtype, copy=False).reshape(shape)
    # Arrays that start anywhere are slow to read.  Large ones are copied by whoever reads them again and again.
    return _frozen(_normalized(array if array.flags.aligned or array.nbytes >= LEAST else array.copy()))


def _entries(tensor: onnx.TensorProto) -> dict[str, str]:
    """The entries of the external data; protobuf hands over as bytes what is not UTF-8."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    if any(isinstance(text, bytes) for pair in entries.items() for text in pair):
        raise InvalidGraph(f"tensor '{tensor.name}': its external data is described in a text that is not UTF-8")
    return entries


def _byte_size(element: ElementType, count: int, name: str) -> int:
    if element.onnx == "string":
        raise InvalidGraph(f"tensor '{name}' holds strings, which cannot be raw or external data")
    return -(-count * element.bits // 8)


def _stored_count(tensor: onnx.TensorProto, element: ElementType) -> int:
    """How many entries the field of the element type has.

    Raises:
        InvalidGraph: Another field has some.
    """
    own = onnx.helper.tensor_dtype_to_field(tensor.data_type)
    other = next((field for field in _FIELDS if field != own and len(getattr(tensor, field))), None)
    if other is not None:
        raise InvalidGraph(f"tensor '{tensor.name}' of type {element} has its data in {other}, expected it in {own}")
    return len(getattr(tensor, own))


def _needed_count(element: ElementType, count: int) -> int:
    """How many entries the field has for so many elements: 4- and 2-bit types share one, complex ones take two."""
    if element.onnx.startswith("complex"):
        return 2 * count
    return -(-count // (8 // element.bits)) if 0 < element.bits < 8 else count


def _text(strings: Iterable[bytes], shape: tuple[int, ...]) -> Array:
    """An object array of str: protobuf holds strings as bytes."""
    flat = [string.decode("utf-8", "surrogateescape") for string in strings]
    text = np.empty(len(flat), np.object_)
    text[:] = flat
    return text.reshape(shape)


def _normalized(array: Array) -> Array:
    """The array with truth values that are 0 or 1: a file may hold any byte."""
    return array.view(np.uint8) != 0 if array.dtype == np.bool_ else array


def _frozen(array: Array) -> Array:
    if array.flags.writeable:
        array.flags.writeable = False
    return array
