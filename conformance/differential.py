"""One operator, several engines: build a model of a single node, run it, and compare the results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

from onnxlite.conformance.compare import compare
from onnxlite.kernels.dtypes import element_type
from onnxlite.kernels.numpy import REFERENCE

#: The IR version that onnxruntime releases in use accept; newer ones are refused whatever the model holds.
_IR_VERSION = 10


def node_model(
    op_type: str,
    inputs: Sequence[Any],
    *,
    opset: int,
    domain: str = "",
    outputs: int | Sequence[str] = 1,
    **attributes: Any,
) -> onnx.ModelProto:
    """A model of one node whose graph inputs have the types and shapes of ``inputs`` (None: an absent input).

    Args:
        op_type: The operator.
        inputs: Arrays; lists of arrays stand for sequences.
        opset: The version of the operator's domain that the model imports.
        domain: The operator's domain.
        outputs: How many outputs the node has, or their names ("" for an absent one).
        **attributes: The node's attributes, as onnx.helper.make_node takes them.
    """
    names = ["" if value is None else f"x{index}" for index, value in enumerate(inputs)]
    output_names = [f"y{index}" for index in range(outputs)] if isinstance(outputs, int) else list(outputs)
    node = helper.make_node(op_type, names, output_names, domain=domain, **attributes)
    graph = helper.make_graph(
        [node],
        op_type,
        [_value_info(name, value) for name, value in zip(names, inputs, strict=True) if name],
        [onnx.ValueInfoProto(name=name) for name in output_names if name],
    )
    imports = [helper.make_opsetid(domain, opset)]
    if domain not in ("", "ai.onnx"):
        imports.append(helper.make_opsetid("", 21))
    model = helper.make_model(graph, opset_imports=imports, ir_version=_IR_VERSION)
    return onnx.shape_inference.infer_shapes(model, data_prop=True)


def _value_info(name: str, value: Any) -> onnx.ValueInfoProto:
    if isinstance(value, list):
        element = helper.make_tensor_type_proto(element_type(value[0].dtype).code, None)
        return helper.make_value_info(name, helper.make_sequence_type_proto(element))
    return helper.make_tensor_value_info(name, element_type(value.dtype).code, value.shape)


def onnxruntime_outputs(model: onnx.ModelProto, inputs: Sequence[Any]) -> list[Any]:
    """What onnxruntime computes on the CPU, without graph optimisations, for the model's inputs in order."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    present = [value for value in inputs if value is not None]
    return list(session.run(None, dict(zip((i.name for i in session.get_inputs()), present, strict=True))))


def kernel_outputs(op_type: str, version: int, *inputs: Any, domain: str = "", **attributes: Any) -> tuple[Any, ...]:
    """What the reference kernel of an operator version gives, called without any graph around it."""
    kernel = REFERENCE.find(domain, op_type, version)
    if kernel is None:
        raise LookupError(f"no reference kernel serves {domain or 'ai.onnx'}.{op_type}, version {version}")
    with np.errstate(all="ignore"):
        results = kernel.function(*inputs, **attributes)
    results = results if isinstance(results, tuple) else (results,)
    return tuple(np.asarray(r) if isinstance(r, np.generic) else r for r in results)


def assert_same(actual: Any, expected: Any, rtol: float = 1e-5, atol: float = 1e-6, where: str = "output") -> None:
    """Fail unless two values have the same structure, element type and shape, and equal or close elements.

    NaN equals NaN; integers, booleans and strings must be equal; narrow floats are compared in float32.
    """
    compare(actual, expected, rtol, atol, where)
