"""Tensors of types that NumPy lacks (bfloat16, float8, 4-bit, ...) in and out of onnxruntime.

Its ``run`` takes and gives NumPy's own types only, though its kernels know more.  So values of the other types pass
through an ``OrtValue`` of the right type, whose memory is read and written in onnx's packed layout.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from onnxlite.kernels.arrays import is_array
from onnxlite.kernels.dtypes import ELEMENT_TYPES, element_type

_USER_DEFINED = 2  # what dtype.isbuiltin says of a type that another package has registered

_FOREIGN = {f"tensor({row.onnx})" for row in ELEMENT_TYPES if row.dtype.isbuiltin == _USER_DEFINED}


def run(session: Any, feeds: Mapping[str, Any]) -> list[Any]:
    """Run an onnxruntime session, whatever the element types of its inputs and outputs are."""
    if not any(value.type in _FOREIGN for value in (*session.get_inputs(), *session.get_outputs())):
        return list(session.run(None, dict(feeds)))
    outputs = session.run_with_ort_values(None, {name: _to_ort(value) for name, value in feeds.items()})
    return [_from_ort(output) for output in outputs]


def _to_ort(value: Any) -> Any:
    from onnxruntime import OrtValue

    if not is_array(value) or value.dtype.isbuiltin != _USER_DEFINED:
        return OrtValue.ortvalue_from_numpy(value)
    packed = numpy_helper.from_array(value).raw_data
    tensor = OrtValue.ortvalue_from_shape_and_type(list(value.shape), element_type(value.dtype).code)
    ctypes.memmove(tensor.data_ptr(), packed, len(packed))
    return tensor


def _from_ort(value: Any) -> Any:
    if not value.has_value() or not value.is_tensor() or value.data_type() not in _FOREIGN:
        return value.numpy()
    packed = ctypes.string_at(value.data_ptr(), value.tensor_size_in_bytes())
    tensor = onnx.TensorProto(data_type=value.element_type(), dims=value.shape(), raw_data=packed)
    return np.asarray(numpy_helper.to_array(tensor))
