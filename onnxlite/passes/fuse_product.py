"""The pass that gives products and convolutions what follows them: scale, bias, residual, activation.

The kernels apply these to the result while it is in the cache; `onnxlite.passes.followers` says what can follow.  They
also read matrices as they are that the graph transposes first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.model.ir import Graph, Node
from onnxlite.model.order import reads
from onnxlite.model.types import TensorType, ValueType
from onnxlite.passes.followers import ACTIVATIONS, Constants, Rules, is_activated
from onnxlite.plan.infer import types_beside
from onnxlite.plan.known_shapes import are_equal, known_shapes


def fuse_product(graph: Graph, keep: frozenset[str], outer: Mapping[str, Array]) -> Graph:
    """The graph with the followers of each channels-last convolution, MatMul and Gemm in the product's node.

    A MatMul or Gemm that has such followers, or a transposed operand, becomes a node ``onnxlite.MatMul``.

    Args:
        graph: The graph, its nodes in order.
        keep: Names of values that must remain.
        outer: The initializers of the graphs around it.
    """
    if not any(node.op_type in ("Conv", "MatMul", "Gemm") for node in graph.nodes):
        return graph
    constants = Constants({**outer, **graph.initializers}, dict(graph.initializers))
    types = types_beside(graph, constants.known)
    rules = Rules(constants, known_shapes(graph, types, constants.known))
    products = [_Product(node, own) for node in graph.nodes if (own := _started(node, types, rules)) is not None]
    readers, kept = _readers(graph), keep | {value.name for value in graph.outputs}
    transposes = {n.outputs[0]: n for n in graph.nodes if _is_transpose(n) and n.outputs[0] not in kept}
    for product in products:
        _take_transposes(product, transposes, readers)
    _take_followers(products, rules, readers, kept)
    _leave_to_others(products, rules, readers, kept)
    replaced: dict[int, Node | None] = {}
    for product in products:
        if product.followers or product.transposes:
            parts = (*product.transposes, product.origin, *product.followers)
            replaced.update((id(node), None) for node in parts)
            # The last one's place is behind everything that the product reads now.
            replaced[id(parts[-1])] = product.node
    nodes = tuple(n for node in graph.nodes if (n := replaced.get(id(node), node)) is not None)
    return replace(graph, nodes=nodes, initializers=constants.own)


@dataclass(slots=True)
class _Product:
    """A node of the graph, the same as a product with other nodes in it, and what that was before each follower."""

    origin: Node
    node: Node
    transposes: list[Node] = field(default_factory=list)
    followers: list[Node] = field(default_factory=list)
    before: list[Node] = field(default_factory=list)


def _readers(graph: Graph) -> dict[str, list[Node]]:
    readers: dict[str, list[Node]] = defaultdict(list)
    for node in graph.nodes:
        for name in set(reads(node)):
            readers[name].append(node)
    return readers


def _is_transpose(node: Node) -> bool:
    perm = node.attributes.get("perm", ())
    return not node.domain and node.op_type == "Transpose" and sorted(perm) == list(range(len(perm))) != []


def _take_transposes(product: _Product, transposes: Mapping[str, Node], readers: Mapping[str, list[Node]]) -> None:
    """Let a matrix product read what is transposed for it alone.

    A left matrix is read element by element, so that it may lie as it likes; the rows of a right one stay rows.
    """
    if product.node.op_type != "MatMul":
        return
    for index, key in enumerate(("a_perm", "b_perm")):
        name = product.node.inputs[index]
        transpose = transposes.get(name)
        if transpose is None or len(readers[name]) != 1 or product.node.inputs.count(name) != 1:
            continue
        perm = tuple(transpose.attributes["perm"])
        total = tuple(perm[axis] for axis in product.node.attributes.get(key, range(len(perm))))
        if key == "a_perm" or total[-1] == len(perm) - 1:
            inputs = list(product.node.inputs)
            inputs[index] = transpose.inputs[0]
            attributes = {**product.node.attributes, key: total}
            product.node = replace(product.node, inputs=tuple(inputs), attributes=attributes)
            product.transposes.append(transpose)


def _take_followers(
    products: Sequence[_Product], rules: Rules, readers: Mapping[str, list[Node]], keep: frozenset[str]
) -> None:
    """Put into each product what follows it and nobody else needs.

    A sum of two products goes to one without an activation, if there is one: it can take what follows the sum too.
    """
    claimed: set[int] = set()
    for activated in (False, True):
        for product in products:
            while is_activated(product.node) == activated:
                output = product.node.outputs[0]
                following = readers.get(output, [])
                if output in keep or len(following) != 1 or id(following[0]) in claimed:
                    break
                fused = rules.with_follower(product.node, following[0])
                if fused is None:
                    break
                claimed.add(id(following[0]))
                product.followers.append(following[0])
                product.before.append(product.node)
                product.node = replace(fused, outputs=following[0].outputs, name=following[0].name or fused.name)


def _leave_to_others(
    products: Sequence[_Product], rules: Rules, readers: Mapping[str, list[Node]], keep: frozenset[str]
) -> None:
    """Take out of products what an elementwise node that follows does as well: it passes over the result in any case.

    Factors and terms stay: in the weights and the bias they cost nothing.
    """
    taken = {id(follower) for product in products for follower in product.followers}
    for product in products:
        output = product.node.outputs[0]
        following = readers.get(output, [])
        if output in keep or len(following) != 1 or id(following[0]) in taken:
            continue
        result = following[0].outputs[0]
        if following[0].domain or following[0].op_type not in _ELEMENTWISE:
            continue
        if are_equal(rules.shapes[result], rules.shapes[output]) is True:
            while product.followers and _has_more_work(product.node, product.before[-1]):
                product.node = product.before.pop()
                product.followers.pop()


def _has_more_work(node: Node, before: Node) -> bool:
    return is_activated(node) != is_activated(before) or len(node.inputs) == 4 > len(before.inputs)


#: Operators that one pass over the elements computes, together with those before them.
_ELEMENTWISE = frozenset({"Add", "Sub", "Mul", "Div", "Max", "Min", "Pow", "PRelu", *ACTIVATIONS})


def _started(node: Node, types: Mapping[str, ValueType], rules: Rules) -> Node | None:
    """A node as a product that followers can be put into, if it is one of float32."""
    if node.domain == "onnxlite" and node.op_type in ("Conv", "MatMul"):
        return node
    if node.domain or node.op_type not in ("MatMul", "Gemm"):
        return None
    if not any(_is_float32(types.get(name)) for name in (*node.inputs[:2], *node.outputs)):
        return None
    product = replace(node, op_type="MatMul", domain="onnxlite", opset=1, inputs=node.inputs[:2], attributes={})
    return product if node.op_type == "MatMul" else _gemm(node, product, rules)


def _gemm(node: Node, product: Node, rules: Rules) -> Node | None:
    """A Gemm with a constant C that is the same for all rows, or without."""
    given = node.attributes
    attributes = {f"{x.lower()}_perm": (1, 0) for x in "AB" if given.get(f"trans{x}", 0)}
    if given.get("alpha", 1.0) != 1:
        attributes["scale"] = given["alpha"]
    product = replace(product, attributes=attributes)
    beta = given.get("beta", 1.0)
    if len(node.inputs) < 3 or not node.inputs[2] or beta == 0:
        return product
    c = rules.constants.known.get(node.inputs[2])
    if c is None or node.opset < 7 or c.ndim > 2:
        return None
    bias, added = rules.per_column(product, c), node.inputs[2]
    if bias is None:
        return None
    if beta != 1 or bias.shape != c.shape:
        added = rules.constants.add(f"{node.outputs[0]}/bias", bias * np.float32(beta))
    return replace(product, inputs=(*product.inputs, added))


def _is_float32(kind: ValueType | None) -> bool:
    return isinstance(kind, TensorType) and kind.dtype == np.float32
