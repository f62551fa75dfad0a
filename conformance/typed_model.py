"""The model of an example: one node, typed inputs and outputs; and what shape inference says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper

from onnxlite.conformance.examples import Argument, Example
from onnxlite.conformance.kinds import spelled_type, type_proto
from onnxlite.conformance.retype import formals, tensor_proto
from onnxlite.kernels.arrays import is_array

#: The IR version that the releases of onnxruntime in use accept; newer ones are refused whatever the model holds.
_IR_VERSION = 10

#: The version of ai.onnx that goes with an operator of another domain.
_OPSET = 21


#: Operators whose function body onnx's inference rejects for types that the schema allows: its constants are float32.
_LENIENT = frozenset({"MeanVarianceNormalization"})


@dataclass(frozen=True)
class Output:
    """What is known of one output before anything has run: its type, and its shape where that is static."""

    name: str
    kind: str
    shape: tuple[int, ...] | None


def feeds_of(example: Example) -> dict[str, Any]:
    """The values of the model's inputs."""
    return {name: argument.value for name, argument in _arguments(example).items()}


def outputs_of(example: Example, *, strict: bool = True) -> list[Output]:
    """The outputs as onnx's own inference and, where that is silent, the type variables tell them.

    Raises:
        onnx.shape_inference.InferenceError: The model is not valid.
    """
    model = _model(example, {}, constant=True)
    strict = strict and example.name not in _LENIENT
    inferred = onnx.shape_inference.infer_shapes(model, check_type=strict, strict_mode=strict, data_prop=True)
    types = {info.name: info.type for info in inferred.graph.output}
    binding: dict[str, str] = {}
    for formal, argument in zip(formals(example.schema.inputs, len(example.inputs)), example.inputs, strict=True):
        if argument is not None and formal.is_homogeneous:
            binding.setdefault(formal.type_str, argument.kind)
    outputs = []
    for position, formal in enumerate(formals(example.schema.outputs, len(example.outputs))):
        own = example.outputs[position]
        if own is not None:
            fixed = formal.type_str if "(" in formal.type_str else ""
            bound = fixed or (binding.get(formal.type_str, "") if formal.is_homogeneous else "")
            outputs.append(_output(f"y{position}", bound, own, types[f"y{position}"]))
    return outputs


def model_of(example: Example, outputs: list[Output]) -> onnx.ModelProto:
    """The model: the example's inputs are the graph's, and so are its outputs."""
    return _model(example, {output.name: type_proto(output.kind) for output in outputs}, constant=False)


def _output(name: str, bound: str, own: str, inferred: onnx.TypeProto) -> Output:
    kind = spelled_type(inferred) or bound or own
    if bound and kind != bound:
        raise ValueError(f"output {name}: shape inference says {kind}, the type variables say {bound}")
    shape = None
    if inferred.WhichOneof("value") == "tensor_type" and inferred.tensor_type.HasField("shape"):
        dims = inferred.tensor_type.shape.dim
        if all(dim.HasField("dim_value") for dim in dims):
            shape = tuple(dim.dim_value for dim in dims)
    return Output(name, kind, shape)


def _arguments(example: Example) -> Mapping[str, Argument]:
    own = {f"x{position}": argument for position, argument in enumerate(example.inputs) if argument is not None}
    return own | dict(example.outer)


def _model(example: Example, outputs: Mapping[str, onnx.TypeProto], *, constant: bool) -> onnx.ModelProto:
    arguments = _arguments(example)
    node = onnx.NodeProto(op_type=example.name, domain=example.domain, name=example.name.lower())
    node.input.extend("" if argument is None else f"x{i}" for i, argument in enumerate(example.inputs))
    node.output.extend("" if kind is None else f"y{i}" for i, kind in enumerate(example.outputs))
    node.attribute.extend(example.attributes.values())
    known = {name: a.value for name, a in arguments.items() if constant and _is_parameter(a)}
    shape = {name: np.shape(a.value) if a.kind.startswith("tensor") else None for name, a in arguments.items()}
    graph = helper.make_graph(
        [*example.neighbours, node],
        example.name,
        [helper.make_value_info(n, type_proto(a.kind, shape[n])) for n, a in arguments.items() if n not in known],
        [
            helper.make_value_info(name, outputs[name]) if name in outputs else onnx.ValueInfoProto(name=name)
            for name in node.output
            if name
        ],
        [_named(tensor_proto(value), name) for name, value in known.items()],
    )
    imports = [helper.make_opsetid(example.domain, example.version)]
    if example.domain:
        imports.append(helper.make_opsetid("", _OPSET))
    return helper.make_model(graph, opset_imports=imports, ir_version=_IR_VERSION)


def _is_parameter(argument: Argument) -> bool:
    """Whether an input states a shape, axes, a length: values that inference looks at."""
    return argument.kind in ("tensor(int64)", "tensor(float)") and is_array(argument.value) and argument.value.size < 10


def _named(tensor: onnx.TensorProto, name: str) -> onnx.TensorProto:
    tensor.name = name
    return tensor
