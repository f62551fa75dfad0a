"""What a provider or a user claims for itself, graph passes leave alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import parser

import onnxlite
from onnxlite.kernels.op import KernelTable
from onnxlite.passes.optimize import optimize
from onnxlite.passes.prepare import prepare
from onnxlite.plan import bind
from onnxlite.plan.bind import Binding
from onnxlite.plan.plan import run_plan
from onnxlite.providers import TableProvider, create_provider

MODEL = parser.parse_model("""
    <ir_version: 8, opset_import: ["": 17]>
    g (float[1, 2, 5, 5] x) => (float[N, C, H, W] y)
    <float[3, 2, 3, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9,
                            1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9}> {
        c = Conv (x, w)  r = Relu (c)  n = Neg (r)  y = Abs (n)
    }""")
X = np.random.default_rng(0).standard_normal((1, 2, 5, 5), np.float32)


def shifted_relu(x: Any) -> Any:
    return np.maximum(x, 0) + np.float32(1)


def expected() -> Any:
    return onnxlite.InferenceSession(MODEL, providers=["ReferenceExecutionProvider"]).run(None, {"x": X})[0] + 1


def test_an_operator_of_the_users_own_is_not_fused_away() -> None:
    options = onnxlite.SessionOptions()
    options.op("", "Relu", since=6)(shifted_relu)
    session = onnxlite.InferenceSession(MODEL, options, providers=["CPUExecutionProvider"])
    for _ in range(2):
        np.testing.assert_allclose(session.run(None, {"x": X})[0], expected(), rtol=1e-5)
    (relu,) = [p for p in session.explain_placement() if p.node.op_type == "Relu"]
    assert relu.provider == "user-defined"


def test_a_provider_that_comes_first_gets_its_nodes() -> None:
    table = KernelTable()
    table.op("Relu")(shifted_relu)
    first = TableProvider("FirstExecutionProvider", (table,))
    providers = [first, create_provider("CPUExecutionProvider", {}), create_provider("ReferenceExecutionProvider", {})]
    graph = optimize(prepare(onnxlite.InferenceSession(MODEL).model, providers), ["y"], 99, providers)
    plan = bind(graph, ["y"], Binding(providers, wait_for_compiler=True))
    assert [step.provider for step in plan.steps if step.node.op_type == "Relu"] == ["FirstExecutionProvider"]
    np.testing.assert_allclose(run_plan(plan, [X])[0], expected(), rtol=1e-5)


def test_behind_the_reference_nothing_is_rewritten() -> None:
    session = onnxlite.InferenceSession(MODEL, providers=["ReferenceExecutionProvider", "CPUExecutionProvider"])
    assert [step.node.operator for step in session.plan.steps] == ["Conv", "Relu", "Neg", "Abs"]
