"""The pass that keeps weights of 4 bits, and those with a scale for each block, as narrow as they are.

    DequantizeLinear(w, in blocks) [-> Transpose] -> MatMul or Gemm

becomes ``onnxlite.MatMulQuantizedWeights``, which dequantizes them a few rows at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import ml_dtypes
import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.model.ir import Graph, Node
from onnxlite.plan.bind import needed_nodes

_TYPES = frozenset(map(np.dtype, (ml_dtypes.int4, ml_dtypes.uint4, np.int8, np.uint8)))


def fuse_quantized_weights(graph: Graph, keep: frozenset[str], outer: Mapping[str, Array]) -> Graph:
    """The graph with products of narrow constant weights.

    Args:
        graph: The graph, its nodes in order.
        keep: Names of values that must remain.
        outer: The initializers of the graphs around it.
    """
    constants = {**outer, **graph.initializers}
    makers = {name: node for node in graph.nodes for name in node.outputs}
    added: dict[str, Array] = {}
    nodes = [_product(node, makers, constants, added) or node for node in graph.nodes]
    if not added:
        return graph
    graph = replace(graph, nodes=tuple(nodes), initializers={**graph.initializers, **added})
    wanted = keep | {value.name for value in graph.outputs}
    return replace(graph, nodes=tuple(needed_nodes(graph, sorted(wanted))))


def dequantizes_blocks(node: Node, constants: Mapping[str, Array]) -> bool:
    """Whether a node dequantizes constant weights of 4 or 8 bits to float32, with a scale for each block of them."""
    if node.domain or node.op_type != "DequantizeLinear" or not all(name in constants for name in node.inputs if name):
        return False
    if not node.attributes.get("block_size", 0) or node.attributes.get("output_dtype", 0) > 1:
        return False
    weights, scale = constants[node.inputs[0]], constants[node.inputs[1]]
    return weights.dtype in _TYPES and scale.dtype == np.float32 and weights.ndim == scale.ndim == 2


def _product(
    node: Node, makers: Mapping[str, Node], constants: Mapping[str, Array], added: dict[str, Array]
) -> Node | None:
    """The product that a MatMul or Gemm becomes, with its weights among the constants that are added."""
    given = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0, **node.attributes}
    if node.domain or node.op_type not in ("MatMul", "Gemm") or len([name for name in node.inputs if name]) != 2:
        return None
    if given["alpha"] != 1 or given["transA"]:
        return None
    transposed, maker = bool(given["transB"]), makers.get(node.inputs[1])
    if maker is not None and not maker.domain and maker.op_type == "Transpose":
        if tuple(maker.attributes.get("perm", (1, 0))) != (1, 0):
            return None
        transposed, maker = not transposed, makers.get(maker.inputs[0])
    if maker is None or not dequantizes_blocks(maker, constants):
        return None
    # The blocks must lie along the depth, which is the last axis of what is transposed.
    if int(maker.attributes.get("axis", 1)) % 2 != int(transposed):
        return None
    names = [name for name in maker.inputs if name]
    for name in names if transposed else ():
        added[f"{name}/transposed"] = np.ascontiguousarray(constants[name].T)
    weights = tuple(f"{name}/transposed" if transposed else name for name in names)
    added.setdefault(weights[0], constants[names[0]])
    return replace(
        node,
        op_type="MatMulQuantizedWeights",
        domain="onnxlite",
        opset=1,
        inputs=(node.inputs[0], *weights),
        attributes={"block_size": int(maker.attributes["block_size"])},
    )
