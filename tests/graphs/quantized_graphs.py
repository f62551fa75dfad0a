"""Graphs that quantize and dequantize, for tests of the passes on them, and the comparison with what they mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.dtypes import element_type
from onnxlite.model import Graph, Node, Value
from onnxlite.model.types import TensorType
from onnxlite.options import GraphOptimizationLevel
from onnxlite.passes.optimize import optimize
from onnxlite.plan import Binding, bind, execute, run_plan
from onnxlite.providers import create_provider

OPSET = 19


def node(op_type: str, inputs: str, outputs: str, opset: int = OPSET, **attributes: Any) -> Node:
    """A node; the names of its inputs and outputs are separated by spaces, ``_`` stands for one that is left out."""
    given, made = (tuple("" if name == "_" else name for name in names.split()) for names in (inputs, outputs))
    return Node(op_type, given, made, name=made[0], opset=opset, attributes=attributes)


def graph(
    nodes: Sequence[Node],
    inputs: Mapping[str, tuple[Any, tuple[int | str, ...] | None]],
    outputs: str = "y",
    **constants: Any,
) -> Graph:
    """A graph of inputs of some types and shapes, with constants."""
    values = tuple(
        Value(name, TensorType(element_type(np.dtype(kind)), shape)) for name, (kind, shape) in inputs.items()
    )
    arrays = {name: np.asarray(value) for name, value in constants.items()}
    return Graph("g", values, tuple(map(Value, outputs.split())), tuple(nodes), arrays)


def integers(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> Array:
    """All kinds of numbers of a type."""
    limits = np.iinfo(dtype)
    return np.random.default_rng((seed, *shape)).integers(limits.min, limits.max, shape, dtype, endpoint=True)


def floats(shape: tuple[int, ...], seed: int = 0) -> Array:
    """Normally distributed float32 numbers."""
    return np.random.default_rng((seed, *shape)).standard_normal(shape).astype(np.float32)


def optimized(original: Graph, keep: str = "", level: int = GraphOptimizationLevel.ORT_ENABLE_ALL) -> Graph:
    """The graph after all passes."""
    reference = create_provider("ReferenceExecutionProvider", {})
    providers = [create_provider("CPUExecutionProvider", {}), reference]
    return optimize(original, [value.name for value in original.outputs] + keep.split(), level, providers)


def operators(after: Graph) -> list[str]:
    """The operators that are left, in alphabetical order; those of elementwise nodes in parentheses."""
    return sorted(_operator(node) for node in after.nodes)


def _operator(node: Node) -> str:
    if node.op_type != "Elementwise":
        return node.op_type
    return f"({' '.join(str(step[0]).partition('-')[0] for step in node.attributes['expression'])})"


def check(original: Graph, inputs: Sequence[Any], step: float, keep: str = "") -> list[str]:
    """The operators that are left; the results differ from those of the original by a step of quantization at most."""
    after = optimized(original, keep)
    wanted = [value.name for value in original.outputs] + keep.split()
    reference = create_provider("ReferenceExecutionProvider", {})
    providers = [create_provider("CPUExecutionProvider", {}), reference]
    with np.errstate(all="ignore"):
        expected = execute(bind(original, wanted, Binding([reference])), inputs)
        slow = execute(bind(after, wanted, Binding([reference])), inputs)
        plan = bind(after, wanted, Binding(providers, threads=1, wait_for_compiler=True))
        runs = [run_plan(plan, inputs) for _ in range(2)]
    for actual in (slow, *runs):
        for got, right in zip(actual, expected, strict=True):
            assert (got.dtype, got.shape) == (right.dtype, right.shape)
            difference = np.abs(got.astype(np.float64) - right.astype(np.float64))
            scale = max(1.0, float(np.abs(right.astype(np.float64)).max(initial=0)))
            assert difference.max(initial=0) <= step * 1.001 + 1e-5 * scale
            # A step is the exception, where a sum comes to lie on the other side of a tie.
            assert np.count_nonzero(difference > step / 2 + 1e-5 * scale) <= 0.01 * difference.size + 2
    return operators(after)
