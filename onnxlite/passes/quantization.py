"""What passes ask about nodes that quantize and dequantize."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.dtypes import dtype_of
from onnxlite.model.ir import Graph, Node

#: The types that products of integers are compiled for.
BYTES = frozenset(map(np.dtype, (np.uint8, np.int8)))


@dataclass(frozen=True, slots=True)
class Quantized:
    """A quantized tensor: real numbers are ``(values - zero_point) * scale``.

    Args:
        values: The name of the integers.
        scale: The name of the scale, a float32 constant, and its value.
        zero_point: The name of the zero point, a constant, empty if there is none; and its value.
        dtype: The type of the integers.
        axis: The axis that has a scale and a zero point for each index; None where the tensor has one.
    """

    values: str
    scale: str
    zero_point: str
    dtype: np.dtype[Any]
    of_scale: Array
    of_zero_point: Array
    axis: int | None

    def is_like(self, other: Quantized) -> bool:
        """Whether equal integers of both stand for equal numbers."""
        return (
            self.dtype == other.dtype
            and self.axis is other.axis is None
            and bool(self.of_scale.reshape(-1)[0] == other.of_scale.reshape(-1)[0])
            and bool(self.of_zero_point.reshape(-1)[0] == other.of_zero_point.reshape(-1)[0])
        )


def dequantized(
    node: Node | None, constants: Mapping[str, Array], types: Mapping[str, np.dtype[Any]]
) -> Quantized | None:
    """What a DequantizeLinear dequantizes to float32, with constant parameters for the whole tensor or an axis.

    Args:
        node: A node that may be one.
        constants: The values of initializers.
        types: The types of quantized tensors by the names of the integers, as far as they are known.
    """
    if node is None or node.domain or node.op_type != "DequantizeLinear" or node.attributes.get("output_dtype", 0) > 1:
        return None
    return _quantized(node, node.inputs[0], constants, types.get(node.inputs[0]))


def quantized(node: Node | None, constants: Mapping[str, Array]) -> Quantized | None:
    """What a QuantizeLinear makes, with constant parameters for the whole tensor or an axis."""
    if node is None or node.domain or node.op_type != "QuantizeLinear" or node.attributes.get("precision", 0) > 1:
        return None
    code = node.attributes.get("output_dtype", 0)
    return _quantized(node, node.outputs[0], constants, dtype_of(code) if code else np.dtype(np.uint8))


def _quantized(
    node: Node, values: str, constants: Mapping[str, Array], dtype: np.dtype[Any] | None
) -> Quantized | None:
    scale = constants.get(node.inputs[1])
    name = node.inputs[2] if len(node.inputs) > 2 else ""
    zero = constants.get(name) if name else None
    if scale is None or scale.dtype != np.float32 or (name and zero is None) or node.attributes.get("block_size", 0):
        return None
    if zero is not None:
        dtype = zero.dtype
    elif values in constants:
        dtype = constants[values].dtype
    if dtype is None or not np.all(np.isfinite(scale) & (scale > 0)):
        return None
    zero = np.zeros(scale.shape, dtype) if zero is None else zero
    if zero.shape != scale.shape or scale.ndim > 1:
        return None
    axis = None if scale.size == 1 else int(node.attributes.get("axis", 1))
    return Quantized(values, node.inputs[1], name, dtype, scale, zero, axis)


def quantized_types(graph: Graph, constants: Mapping[str, Array]) -> dict[str, np.dtype[Any]]:
    """The types of what the graph's nodes quantize, by name."""
    made = (quantized(node, constants) for node in graph.nodes)
    return {value.values: value.dtype for value in made if value is not None}


def axis_of(value: Quantized, rank: int) -> int | None:
    """The axis of its scales, counted from the front, perhaps none of the tensor's; None where it has one scale."""
    return value.axis if value.axis is None or value.axis >= 0 else value.axis + rank


def dequantizes_bytes(node: Node, constants: Mapping[str, Array]) -> bool:
    """Whether a node makes floats of constant bytes, which products want as they are."""
    array = constants.get(node.inputs[0]) if node.inputs else None
    return not node.domain and node.op_type == "DequantizeLinear" and array is not None and array.dtype in BYTES
