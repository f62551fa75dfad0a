"""The pass that makes integer kernels of graphs that say with QuantizeLinear and DequantizeLinear what is quantized.

A product or convolution of dequantized bytes becomes one node with its bias, and the QuantizeLinear behind it:

    DequantizeLinear(x), DequantizeLinear(w) -> Conv [-> Add bias] [-> Relu or Clip] [-> QuantizeLinear]

becomes ``onnxlite.QuantizedConv`` or ``onnxlite.QuantizedMatMul``, whose result is float32 where nothing quantizes it.
The sums are exact, and scaled and rounded once: a result may differ from that of the float32 graph by a step of its
quantization, where float32 sums fall on the other side of a tie.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.quantization import saturated
from onnxlite.model.ir import Graph, Node
from onnxlite.passes.quantization import BYTES, Quantized, quantized
from onnxlite.passes.quantized_products import Operands, Product, quantized_product
from onnxlite.plan.bind import needed_nodes


def fuse_quantized(graph: Graph, keep: frozenset[str], outer: Mapping[str, Array], *, images: bool) -> Graph:
    """The graph with products of dequantized bytes as products of bytes.

    Args:
        graph: The graph, its nodes in order.
        keep: Names of values that must remain.
        outer: The initializers of the graphs around it.
        images: Whether convolutions are fused, too; the layout of their images changes after this pass.
    """
    wanted = keep | {value.name for value in graph.outputs}
    operands = Operands(graph, wanted, {**outer, **graph.initializers}, dict(graph.initializers))
    replaced: dict[int, Node | None] = {}
    for node in graph.nodes:
        product = quantized_product(node, operands) if images or "Conv" not in node.op_type else None
        if product is not None:
            fused, followers = _followed(product, operands)
            members = (node, *product.members, *followers)
            replaced.update((id(member), None) for member in members)
            # The last member's place is behind everything that the product reads.
            replaced[id(members[-1])] = fused
    if not replaced:
        return graph
    nodes = tuple(n for node in graph.nodes if (n := replaced.get(id(node), node)) is not None)
    graph = replace(graph, nodes=nodes, initializers=operands.initializers)
    return replace(graph, nodes=tuple(needed_nodes(graph, sorted(wanted))))


def _followed(product: Product, operands: Operands) -> tuple[Node, list[Node]]:
    """The node of a product with what follows it in it, and the nodes that that was."""
    members: list[Node] = []
    pending: list[Node] = []
    node = product.node
    if len(node.inputs) > 7:
        return _finished(operands, product, None), members
    while True:
        name = (pending or members or [node])[-1].outputs[0]
        reader = operands.only_reader(name)
        made = quantized(reader, operands.constants)
        if reader is not None and made is not None and made.axis is None and made.dtype in BYTES:
            members += [*pending, reader]
            return _finished(operands, replace(product, node=_with_result(node, made, reader)), made), members
        fused = None if reader is None else _with_addend(product, reader, name, operands)
        if fused is not None and reader is not None and not pending:
            product, node = fused, replace(node, outputs=reader.outputs, name=reader.name or node.name)
            members.append(reader)
            continue
        limits = None if reader is None else _limits(reader, operands)
        if limits is None or reader is None:
            return _finished(operands, replace(product, node=node), None), members
        # A limit is kept only where a quantization follows.
        product = replace(product, limits=_within(product.limits, limits))
        pending.append(reader)


def _with_addend(product: Product, node: Node, name: str, operands: Operands) -> Product | None:
    """The product with a constant that a node adds to its columns."""
    if node.domain or node.op_type != "Add" or node.opset < 7 or product.bias is not None or not product.columns:
        return None
    others = [other for other in node.inputs if other != name]
    bias = operands.floats(others[0]) if len(others) == 1 else None
    # With the channels first, what is added to them has an axis for each spatial one, too.
    is_matrix = product.node.op_type == "QuantizedMatMul"
    after = 0 if is_matrix else operands.constants[product.node.inputs[3]].ndim - 2
    if bias is None or not (bias.size == 1 or bias.shape[-1 - after :] == (product.columns, *(1,) * after)):
        return None
    if bias.ndim > 1 + (0 if is_matrix else after + 1) or bias.size not in (1, product.columns):
        return None
    return replace(product, bias=bias.reshape(-1))


def _limits(node: Node, operands: Operands) -> tuple[float, float] | None:
    """What a Relu or a Clip holds numbers between."""
    if node.domain or len(node.outputs) != 1:
        return None
    if node.op_type == "Relu":
        return 0.0, np.inf
    if node.op_type != "Clip":
        return None
    given = [float(node.attributes.get("min", -np.inf)), float(node.attributes.get("max", np.inf))]
    for index, name in enumerate(node.inputs[1:]):
        if name and (name not in operands.constants or operands.constants[name].size != 1):
            return None
        if name:
            given[index] = float(operands.constants[name].item())
    return (given[0], given[1]) if given[0] <= given[1] else None


def _finished(operands: Operands, product: Product, made: Quantized | None) -> Node:
    """The node with its bias, and with its limits as quantized numbers."""
    node = product.node
    inputs = [*node.inputs, *[""] * (9 - len(node.inputs))]
    if product.bias is not None:
        inputs[6] = operands.add(f"{node.outputs[0]}/bias", product.bias)
    attributes = dict(node.attributes)
    if made is not None:
        limits = saturated(
            np.array(product.limits, np.float32) / made.of_scale.reshape(()), made.of_zero_point.reshape(()), made.dtype
        )
        whole = np.iinfo(made.dtype)
        bounds = zip(("lowest", "highest"), limits.tolist(), (whole.min, whole.max), strict=True)
        attributes |= {name: int(limit) for name, limit, bound in bounds if limit != bound}
    while not inputs[-1]:
        inputs.pop()
    return replace(node, inputs=tuple(inputs), attributes=attributes)


def _with_result(node: Node, made: Quantized, quantizer: Node) -> Node:
    inputs = (*node.inputs, *[""] * (7 - len(node.inputs)), made.scale, made.zero_point)
    return replace(node, inputs=inputs, outputs=quantizer.outputs, name=quantizer.name or node.name)


def _within(limits: tuple[float, float], others: tuple[float, float]) -> tuple[float, float]:
    """The limits of what is held between some and then between others."""
    low, high = (min(max(limit, others[0]), others[1]) for limit in limits)
    return low, high
