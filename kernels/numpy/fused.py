"""Fused operators: several operators of the specification in one node, made by the passes that prepare a graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array, array_namespace
from onnxlite.kernels.expression import (
    CONSTANT,
    Instruction,
    attributes_of,
    operand_value,
    operands_of,
    operator_of,
)
from onnxlite.kernels.numpy.table import REFERENCE, op


@op("Elementwise", domain="onnxlite")
def elementwise(*xs: Array, expression: tuple[Any, ...]) -> Array:
    """An expression of elementwise operators, one after the other (`onnxlite.kernels.expression` has the grammar)."""
    results: list[Any] = []
    for step in expression:
        results.append(_result(step, xs, results))
    return results[-1]


def _result(step: Instruction, xs: tuple[Array, ...], results: list[Array]) -> Array:
    attributes = attributes_of(step)
    if step[0] == CONSTANT:
        return array_namespace(*xs).asarray(attributes["value"], dtype=attributes["dtype"])
    name, version = operator_of(step)
    kernel = REFERENCE.find("", name, version)
    if kernel is None:
        raise ValueError(f"the expression has the unknown operator {step[0]}")
    result = kernel.function(*(operand_value(operand, xs, results) for operand in operands_of(step)), **attributes)
    return np.asarray(result) if isinstance(result, np.generic) else result
