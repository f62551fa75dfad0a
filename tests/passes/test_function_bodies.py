"""The function bodies of the specification, run in place of the kernels, give what the kernels give.

Each operator version with a body runs the inputs of onnx's node cases of that operator, once with a provider that
declines the operator alone, and once with one that declines every operator that has a body.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import defs, helper

from onnxlite.conformance.cases import load_cases
from onnxlite.conformance.compare import BFLOAT16_RTOL, compare, compare_types
from onnxlite.kernels.numpy import REFERENCE
from onnxlite.kernels.op import Kernel
from onnxlite.model import load_model
from onnxlite.passes.prepare import prepare
from onnxlite.plan import Binding, bind, run_plan
from onnxlite.providers import Declined, Operator, Provider, TableProvider

#: Draw their result from a generator: a body that uses another operator for it draws other numbers.
RANDOM = {"Bernoulli"}


@dataclass(frozen=True)
class Body:
    """An operator version with a body, under an imported opset."""

    domain: str
    name: str
    version: int
    opset: int

    def __str__(self) -> str:
        return f"{self.domain or 'ai.onnx'}.{self.name}-{self.version}-opset{self.opset}"


def with_bodies() -> list[Body]:
    bodies = []
    for schema in defs.get_all_schemas_with_history():
        written_for = (*schema.function_opset_versions, *schema.context_dependent_function_opset_versions)
        for opset in (
            {schema.since_version, *(v for v in written_for if v > schema.since_version)} if written_for else ()
        ):
            if defs.get_schema(schema.name, opset, schema.domain).since_version == schema.since_version:
                bodies.append(Body(schema.domain, schema.name, schema.since_version, opset))
    return sorted(bodies, key=str)


BODIES = with_bodies()


@dataclass(frozen=True)
class Without:
    """The reference provider, but for some operator versions."""

    operators: frozenset[tuple[str, str, int]]
    name: str = "Without"

    def choose(self, operator: Operator) -> Kernel | Declined:
        if (operator.domain, operator.name, operator.version) in self.operators:
            return Declined("to see the body run")
        return TableProvider(self.name, (REFERENCE,)).choose(operator)


ALL_BUT_BODIES = Without(frozenset((body.domain, body.name, body.version) for body in BODIES))
REFERENCE_ONLY = TableProvider("reference", (REFERENCE,))


@functools.cache
def node_cases(domain: str, name: str) -> list[Any]:
    cases = [case for case in load_cases() if case.kind == "node" and len(case.model.graph.node) == 1]
    return [case for case in cases if _operator(case.model.graph.node[0]) == (domain, name)]


def _operator(node: onnx.NodeProto) -> tuple[str, str]:
    return "" if node.domain == "ai.onnx" else node.domain, node.op_type


def under_opset(model: onnx.ModelProto, body: Body) -> onnx.ModelProto | None:
    """The model with another opset, or None where that version of the operator cannot do what the case asks for."""
    node, schema = model.graph.node[0], defs.get_schema(body.name, body.opset, body.domain)
    if not {attribute.name for attribute in node.attribute} <= set(schema.attributes):
        return None
    if len(node.input) > schema.max_input or len(node.input) < schema.min_input or len(node.output) > schema.max_output:
        return None
    allowed = {constraint.type_param_str: constraint.allowed_type_strs for constraint in schema.type_constraints}
    types = {value.name: type_text(value.type) for value in model.graph.input}
    for index, name in enumerate(node.input):
        formal = schema.inputs[min(index, len(schema.inputs) - 1)].type_str
        if name and types[name] not in allowed.get(formal, [formal]):
            return None
    imports = {"": defs.onnx_opset_version(), body.domain: body.opset}
    changed = onnx.ModelProto.FromString(model.SerializeToString())
    del changed.opset_import[:]
    changed.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in imports.items())
    return changed


def adapted(inputs: tuple[Any, ...], node: onnx.NodeProto, body: Body) -> tuple[Any, ...]:
    """The inputs as the version takes them: GroupNormalization-18 has one scale and bias for each group."""
    if (body.name, body.version) != ("GroupNormalization", 18):
        return inputs
    groups = next(attribute.i for attribute in node.attribute if attribute.name == "num_groups")
    return (inputs[0], *(parameter[:groups] for parameter in inputs[1:]))


def type_text(kind: onnx.TypeProto) -> str:
    if kind.HasField("tensor_type"):
        name = helper.tensor_dtype_to_string(kind.tensor_type.elem_type).removeprefix("TensorProto.").lower()
        return f"tensor({name})"
    if kind.HasField("sequence_type"):
        return f"seq({type_text(kind.sequence_type.elem_type)})"
    return f"optional({type_text(kind.optional_type.elem_type)})"


def results(model: onnx.ModelProto, inputs: tuple[Any, ...], provider: Provider) -> tuple[list[Any], set[str]]:
    """The outputs, and the operators that ran."""
    providers = [provider]
    graph = prepare(load_model(model), providers)
    plan = bind(graph, [value.name for value in graph.outputs], Binding(providers, np.random.SeedSequence(0)))
    with np.errstate(all="ignore"):
        return run_plan(plan, inputs), {step.node.op_type for step in plan.steps}


@pytest.mark.parametrize("provider", ["this", "all"])
@pytest.mark.parametrize("body", BODIES, ids=str)
def test_body_agrees_with_kernel(body: Body, provider: str) -> None:
    this = Without(frozenset({(body.domain, body.name, body.version)}))
    compared = 0
    for case in node_cases(body.domain, body.name):
        model = under_opset(case.model, body)
        if model is None:
            continue
        for inputs, _ in case.data_sets:
            inputs = adapted(inputs, model.graph.node[0], body)
            expected, _ = results(model, inputs, REFERENCE_ONLY)
            actual, operators = results(model, inputs, this if provider == "this" else ALL_BUT_BODIES)
            assert body.name not in operators, f"{case.name}: the body did not run"
            compared += 1
            for got, wanted in zip(actual, expected, strict=True):
                if body.name in RANDOM:
                    compare_types(got, wanted, case.name)
                else:
                    compare(got, wanted, case.rtol, max(case.atol, 1e-6), case.name, bfloat16_rtol=BFLOAT16_RTOL)
    assert compared, "no case of the suite applies"
