"""The products and convolutions of quantized operands in a graph, in all the ways in which ONNX writes them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.model.ir import Graph, Node
from onnxlite.model.order import reads
from onnxlite.passes.quantization import BYTES, Quantized, axis_of, dequantized, quantized_types


@dataclass(frozen=True, slots=True)
class Product:
    """A product of quantized operands, as far as it is fused.

    Args:
        node: The node of the plan, without what is behind the operands.
        columns: How many elements a bias has; 0 if that is not known.
        bias: A constant float32 addend, one or one for each column, or None.
        members: The nodes behind the main one that are part of it.
        limits: What its results are held between, real numbers.
    """

    node: Node
    columns: int
    bias: Array | None
    members: tuple[Node, ...] = ()
    limits: tuple[float, float] = (-np.inf, np.inf)


@dataclass(slots=True)
class Operands:
    """What is known of a graph's values, and the initializers that a pass adds."""

    graph: Graph
    keep: frozenset[str]
    constants: dict[str, Array]
    initializers: dict[str, Array]
    makers: dict[str, Node] = field(default_factory=dict)
    readers: dict[str, list[Node]] = field(default_factory=lambda: defaultdict(list))
    types: dict[str, np.dtype[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.types = quantized_types(self.graph, self.constants)
        for node in self.graph.nodes:
            self.makers.update(dict.fromkeys(node.outputs, node))
            for name in set(reads(node)):
                self.readers[name].append(node)

    def operand(self, name: str) -> Quantized | None:
        """What a value is dequantized from: bytes with constant parameters."""
        value = dequantized(self.makers.get(name), self.constants, self.types)
        return value if value is not None and value.dtype in BYTES else None

    def image(self, name: str) -> Quantized | None:
        """The bytes that a value is dequantized from with one scale."""
        value = self.operand(name)
        return value if value is not None and value.axis is None else None

    def floats(self, name: str) -> Array | None:
        """The value of a float32 constant, perhaps one that is dequantized."""
        array = self.constants.get(name)
        if array is None:
            value = dequantized(self.makers.get(name), self.constants, self.types)
            integers = None if value is None else self.constants.get(value.values)
            if value is None or integers is None or (value.axis is not None and integers.ndim != 1):
                return None
            # The differences of 32-bit integers are taken before they are rounded.
            difference = integers.astype(np.int64) - value.of_zero_point.astype(np.int64)
            array = difference.astype(np.float32) * value.of_scale
        return array if array.dtype == np.float32 else None

    def matrix(self, name: str, transposed: bool) -> tuple[Quantized, int] | None:
        """The right operand of a product and its columns (0 if not known), with one scale or one for each column."""
        value = self.operand(name)
        if value is None:
            return None
        array = self.constants.get(value.values)
        if array is None:
            return (value, 0) if value.axis is None and not transposed else None
        axis = axis_of(value, array.ndim)
        if axis is not None and (array.ndim != 2 or axis != (0 if transposed else 1)):
            return None
        if transposed:
            if array.ndim != 2:
                return None
            value = replace(value, values=self.add(f"{value.values}/transposed", array.T))
        return value, int(self.constants[value.values].shape[-1])

    def are_image_and_filters(self, image: str, weights: Array) -> bool:
        """Whether weights are filters on one to three spatial axes, and an image has as many, if it is a constant."""
        array = self.constants.get(image)
        return 3 <= weights.ndim <= 5 and (array is None or array.ndim == weights.ndim)

    def scales(self, name: str) -> tuple[str, str] | None:
        """The scale that a run finds, and the constant one, whose product a value is."""
        maker = self.makers.get(name)
        if maker is None or maker.domain or maker.op_type != "Mul" or maker.opset < 7:
            return None
        for dynamic, constant in (maker.inputs, maker.inputs[::-1]):
            quantizer = self.makers.get(dynamic)
            made = quantizer is not None and not quantizer.domain and quantizer.op_type == "DynamicQuantizeLinear"
            if made and quantizer is not None and quantizer.outputs[1] == dynamic and constant in self.constants:
                return (dynamic, constant) if self.constants[constant].dtype == np.float32 else None
        return None

    def only_reader(self, name: str) -> Node | None:
        """The node that reads a value, if nobody else does."""
        readers = self.readers[name]
        return readers[0] if len(readers) == 1 and name not in self.keep and name in readers[0].inputs else None

    def add(self, name: str, array: Array) -> str:
        """Add an initializer, and return its name."""
        self.initializers[name] = self.constants[name] = np.ascontiguousarray(array)
        return name


def quantized_product(node: Node, operands: Operands) -> Product | None:
    """The product of quantized operands that a node is the main part of, if it is one."""
    rule = None if node.domain else _PRODUCTS.get(node.op_type)
    return rule(operands, node) if rule else None


def _node(node: Node, name: str, left: Quantized, right: Quantized, attributes: Mapping[str, object]) -> Node:
    inputs = (left.values, left.scale, left.zero_point, right.values, right.scale, right.zero_point)
    return replace(node, op_type=name, domain="onnxlite", opset=1, inputs=inputs, attributes=attributes)


def _matmul(operands: Operands, node: Node) -> Product | None:
    left, right = operands.image(node.inputs[0]), operands.matrix(node.inputs[1], False)
    if left is None or right is None:
        return None
    return Product(_node(node, "QuantizedMatMul", left, right[0], {}), right[1], None)


def _gemm(operands: Operands, node: Node) -> Product | None:
    """A Gemm with a factor of 1, a constant matrix and at most an addend for its columns."""
    given = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0, **node.attributes}
    if given["alpha"] != 1 or given["beta"] != 1 or given["transA"] or node.opset < 7:
        return None
    left, right = operands.image(node.inputs[0]), operands.matrix(node.inputs[1], bool(given["transB"]))
    if left is None or right is None or not right[1]:
        return None
    bias = None
    if len(node.inputs) > 2 and node.inputs[2]:
        bias = operands.floats(node.inputs[2])
        if bias is None or bias.size not in (1, right[1]) or bias.shape[-1:] not in ((), (bias.size,)):
            return None
        bias = bias.reshape(-1)
    return Product(_node(node, "QuantizedMatMul", left, right[0], {}), right[1], bias)


def _conv(operands: Operands, node: Node) -> Product | None:
    """A Conv with constant weights and bias on one to three spatial axes."""
    left, right = operands.image(node.inputs[0]), operands.operand(node.inputs[1])
    weights = None if right is None else operands.constants.get(right.values)
    if left is None or right is None or weights is None or not operands.are_image_and_filters(left.values, weights):
        return None
    if axis_of(right, weights.ndim) not in (None, 0):
        return None
    bias = None
    if len(node.inputs) > 2 and node.inputs[2]:
        bias = operands.floats(node.inputs[2])
        if bias is None or bias.shape != weights.shape[:1]:
            return None
    product = _node(node, "QuantizedConv", left, right, node.attributes)
    return Product(product, int(weights.shape[0]), bias)


def _qlinear_conv(operands: Operands, node: Node) -> Product | None:
    """QLinearConv with constants beside the image."""
    constants = [operands.constants.get(name) for name in node.inputs[1:] if name]
    if any(array is None for array in constants):
        return None
    x_scale, w_scale, y_scale, w = (operands.constants[node.inputs[index]] for index in (1, 4, 6, 3))
    if not operands.are_image_and_filters(node.inputs[0], w):
        return None
    if any(scale.dtype != np.float32 for scale in (x_scale, w_scale, y_scale)) or x_scale.size != 1 != y_scale.size:
        return None
    bias = None
    if len(node.inputs) > 8 and node.inputs[8]:
        bias = operands.constants[node.inputs[8]].astype(np.float32) * (x_scale.reshape(()) * w_scale.reshape(-1))
    inputs = (*node.inputs[:6], "", *node.inputs[6:8])
    product = replace(node, op_type="QuantizedConv", domain="onnxlite", opset=1, inputs=inputs)
    return Product(product, int(w.shape[0]), bias)


def _dynamic(operands: Operands, node: Node) -> Product | None:
    """A product of integers, of which at least one is quantized on the run, that is cast and scaled:

    MatMulInteger or ConvInteger -> Cast -> Mul by the product of both scales
    """
    cast = operands.only_reader(node.outputs[0])
    if cast is None or cast.domain or cast.op_type != "Cast" or cast.attributes.get("to") != 1:
        return None
    scaling = operands.only_reader(cast.outputs[0])
    if scaling is None or scaling.domain or scaling.op_type != "Mul" or scaling.opset < 7:
        return None
    weights = operands.constants.get(node.inputs[1])
    other = [name for name in scaling.inputs if name != cast.outputs[0]]
    scales = operands.scales(other[0]) if other else None
    if weights is None or scales is None or weights.ndim < 2:
        return None
    of_weights = operands.constants[scales[1]]
    is_matrix = node.op_type == "MatMulInteger"
    if not is_matrix and not operands.are_image_and_filters(node.inputs[0], weights):
        return None
    columns = int(weights.shape[-1 if is_matrix else 0])
    if of_weights.size != 1 and (not is_matrix or of_weights.shape != (columns,)):
        return None
    x, w, *zero_points = (*node.inputs, "", "")
    inputs = (x, scales[0], zero_points[0], w, scales[1], zero_points[1])
    product = replace(
        node,
        op_type="QuantizedMatMul" if is_matrix else "QuantizedConv",
        domain="onnxlite",
        opset=1,
        inputs=inputs,
        outputs=scaling.outputs,
    )
    return Product(product, columns, None, (cast, scaling))


_PRODUCTS: Mapping[str, Callable[[Operands, Node], Product | None]] = {
    "MatMul": _matmul,
    "Gemm": _gemm,
    "Conv": _conv,
    "QLinearConv": _qlinear_conv,
    "MatMulInteger": _dynamic,
    "ConvInteger": _dynamic,
}
