"""Activation functions: against onnxruntime where it has the version, else against the formula in Python's floats."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from onnxlite.conformance.differential import assert_same, kernel_outputs, node_model, onnxruntime_outputs
from onnxlite.kernels.dtypes import ELEMENT_TYPES

few = settings(max_examples=20, deadline=None, derandomize=True)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def gelu_tanh(x: float) -> float:
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def float32(value: float) -> float:
    return float(np.float32(value))


#: (operator, attributes, formula): the formula in double precision, the attributes as float32 numbers.
FORMULAS: list[tuple[str, dict[str, Any], Callable[[float], float]]] = [
    ("Relu", {}, lambda x: max(x, 0)),
    ("LeakyRelu", {}, lambda x: x if x >= 0 else float32(0.01) * x),
    ("LeakyRelu", {"alpha": 1.5}, lambda x: x if x >= 0 else 1.5 * x),
    ("Elu", {}, lambda x: x if x >= 0 else math.exp(x) - 1),
    ("Elu", {"alpha": -2.0}, lambda x: x if x >= 0 else -2 * (math.exp(x) - 1)),
    (
        "Selu",
        {},
        lambda x: float32(1.0507009873554805) * (x if x > 0 else float32(1.6732632423543772) * (math.exp(x) - 1)),
    ),
    ("Selu", {"alpha": 2.0, "gamma": 3.0}, lambda x: 3 * (x if x > 0 else 2 * (math.exp(x) - 1))),
    ("Celu", {}, lambda x: max(0, x) + min(0, math.exp(x) - 1)),
    ("Celu", {"alpha": 2.0}, lambda x: max(0, x) + min(0, 2 * (math.exp(x / 2) - 1))),
    ("Gelu", {}, lambda x: 0.5 * x * math.erfc(-x / math.sqrt(2))),
    ("Gelu", {"approximate": "tanh"}, gelu_tanh),
    ("Sigmoid", {}, sigmoid),
    ("HardSigmoid", {}, lambda x: max(0, min(1, float32(0.2) * x + 0.5))),
    ("HardSigmoid", {"alpha": 0.5, "beta": 0.25}, lambda x: max(0, min(1, 0.5 * x + 0.25))),
    ("HardSwish", {}, lambda x: x * max(0, min(1, x / 6 + 0.5))),
    ("Mish", {}, lambda x: x * math.tanh(math.log1p(math.exp(x)))),
    ("Softplus", {}, lambda x: math.log1p(math.exp(x))),
    ("Softsign", {}, lambda x: x / (1 + abs(x))),
    ("Swish", {}, lambda x: x * sigmoid(x)),
    ("Swish", {"alpha": 0.5}, lambda x: x * sigmoid(0.5 * x)),
    ("Shrink", {}, lambda x: x if abs(x) > 0.5 else 0),
    ("Shrink", {"bias": 1.5, "lambd": 1.25}, lambda x: x + 1.5 if x < -1.25 else x - 1.5 if x > 1.25 else 0),
    ("ThresholdedRelu", {}, lambda x: x if x > 1 else 0),
    ("ThresholdedRelu", {"alpha": -0.5}, lambda x: x if x > -0.5 else 0),
]
IDS = [f"{op_type}-{'-'.join(map(str, attributes.values()))}" for op_type, attributes, _ in FORMULAS]


def versions(op_type: str) -> list[int]:
    return sorted(
        schema.since_version
        for schema in onnx.defs.get_all_schemas_with_history()
        if schema.domain == "" and schema.name == op_type
    )


def float_types(op_type: str, version: int) -> list[Any]:
    allowed = onnx.defs.get_schema(op_type, version, "").type_constraints[0].allowed_type_strs
    return [row.dtype for row in ELEMENT_TYPES if f"tensor({row.onnx})" in allowed and "float" in row.onnx]


def same_as_onnxruntime(op_type: str, *inputs: Any, opset: int, **attributes: Any) -> None:
    expected = onnxruntime_outputs(node_model(op_type, inputs, opset=opset, **attributes), inputs)
    version = onnx.defs.get_schema(op_type, opset).since_version
    assert_same(kernel_outputs(op_type, version, *inputs, **attributes), expected)


@pytest.mark.parametrize(("op_type", "attributes", "formula"), FORMULAS, ids=IDS)
def test_every_version_and_float_type_follows_the_formula(
    op_type: str, attributes: dict[str, Any], formula: Callable[[float], float]
) -> None:
    for version in versions(op_type):
        if (op_type, version) == ("Selu", 1):
            continue  # its coefficients differ; it has a test of its own
        for dtype in [*float_types(op_type, version), np.dtype(np.float64)]:
            x = np.linspace(-9, 9, 73).reshape(1, 73).astype(dtype)
            exact = np.array([[formula(value) for value in x[0].astype(np.float64)]])
            precision = float(ml_dtypes.finfo(dtype).eps)
            actual = kernel_outputs(op_type, version, x, **attributes)[0]
            assert actual.dtype == dtype
            # 1 + erf(x) cancels in the far tail of Gelu, as the formula has it.
            tiny = 4e-7 if dtype != np.float64 else 4e-16 if op_type == "Gelu" else 0
            np.testing.assert_allclose(actual.astype(np.float64), exact, rtol=8 * precision, atol=tiny)


@pytest.mark.parametrize("op_type", ["Relu", "LeakyRelu", "PRelu", "Elu", "Sigmoid", "HardSigmoid", "Selu"])
def test_version_1_accepts_the_hint_about_consumed_inputs(op_type: str) -> None:
    x = np.linspace(-2, 2, 5, dtype=np.float32)
    inputs = (x, np.array([0.25], np.float32)) if op_type == "PRelu" else (x,)
    actual = kernel_outputs(op_type, 1, *inputs, consumed_inputs=(0,))
    assert_same(actual, kernel_outputs(op_type, 6, *inputs), rtol=1e-3)


def test_selu_1_has_coefficients_of_four_decimals() -> None:
    x = np.array([-3.0, -1.0, 0.0, 2.0])
    gamma, alpha = float32(1.0507), float32(1.6732)
    expected = np.where(x > 0, gamma * x, gamma * alpha * (np.exp(x) - 1))
    assert_same(kernel_outputs("Selu", 1, x)[0], expected, rtol=1e-14)


OPSETS = {
    "Relu": (6, 13, 14),
    "LeakyRelu": (6, 16),
    "Elu": (6,),
    "Selu": (6,),
    "Celu": (12,),
    "Gelu": (20,),
    "Sigmoid": (6, 13),
    "HardSigmoid": (6,),
    "HardSwish": (14,),
    "Mish": (18,),
    "Softplus": (1,),
    "Softsign": (1,),
    "Shrink": (9,),
    "ThresholdedRelu": (10,),
}


@pytest.mark.parametrize(("op_type", "opset"), [(name, opset) for name, opsets in OPSETS.items() for opset in opsets])
@few
@given(
    x=npst.arrays(
        np.float32,
        npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
        elements=st.floats(-200, 200, width=32) | st.sampled_from([np.nan, np.inf, -0.0, 1e30, -1e30]),
    )
)
def test_matches_onnxruntime(op_type: str, opset: int, x: Any) -> None:
    same_as_onnxruntime(op_type, x, opset=opset)


def test_values_far_out_do_not_overflow() -> None:
    x = np.array([-1e4, 1e4], np.float32)
    assert kernel_outputs("Softplus", 1, x)[0].tolist() == [0, 1e4]
    assert kernel_outputs("Sigmoid", 13, x)[0].tolist() == [0, 1]
    assert kernel_outputs("Mish", 18, x)[0].tolist() == [0, 1e4]
    assert kernel_outputs("Elu", 6, x)[0].tolist() == [-1, 1e4]
    assert kernel_outputs("Celu", 12, x)[0].tolist() == [-1, 1e4]
    assert kernel_outputs("Swish", 24, x)[0].tolist() == [0, 1e4]
    assert kernel_outputs("Gelu", 20, x)[0].tolist() == [0, 1e4]


def test_small_values_keep_their_precision() -> None:
    x = np.array([-1e-12, 1e-12])
    for op_type in ("Elu", "Celu"):
        assert_same(kernel_outputs(op_type, 12 if op_type == "Celu" else 6, x)[0], x, rtol=1e-11, atol=0)


@pytest.mark.parametrize("opset", [7, 9, 16])
@pytest.mark.parametrize("slope", [(), (1,), (5,), (4, 1), (3, 1, 1), (2, 3, 4, 5)])
def test_prelu_broadcasts_the_slope(opset: int, slope: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 3, 4, 5)).astype(np.float32)
    same_as_onnxruntime("PRelu", x, np.asarray(rng.uniform(size=slope), np.float32), opset=opset)


@pytest.mark.parametrize("slope", [(2,), (2, 1, 1, 1, 1), (2, 2, 3, 4, 5), (3, 4, 1, 1)])
def test_prelu_does_not_broadcast_the_input(slope: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"slope must broadcast to the input's shape \(2, 3, 4, 5\), got \("):
        kernel_outputs("PRelu", 16, np.zeros((2, 3, 4, 5)), np.zeros(slope))


@pytest.mark.parametrize("version", [1, 6])
def test_prelu_before_version_7_has_a_slope_for_each_channel(version: int) -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 3, 3))
    slope = np.array([0.1, 0.2, 0.3])
    expected = np.where(x < 0, slope[None, :, None, None] * x, x)
    assert_same(kernel_outputs("PRelu", version, x, slope)[0], expected)
    assert_same(kernel_outputs("PRelu", version, x, slope[1:2])[0], np.where(x < 0, 0.2 * x, x))
    assert_same(kernel_outputs("PRelu", version, x[0, 0, 0], slope)[0], np.where(x[0, 0, 0] < 0, slope, 1) * x[0, 0, 0])
    with pytest.raises(ValueError, match="axis 1"):
        kernel_outputs("PRelu", version, x, slope[:2])


def test_integers() -> None:
    for dtype in (np.int32, np.int64, np.uint32, np.uint64):
        x = np.array([-2, -1, 0, 3]).astype(dtype)
        same = np.where(x < 0, x * np.array(3).astype(dtype), x)
        assert_same(kernel_outputs("PRelu", 16, x, np.array(3, dtype))[0], same)
    for dtype in (np.int8, np.int16, np.int32, np.int64):
        assert_same(kernel_outputs("Relu", 14, np.array([-2, 0, 3], dtype))[0], np.array([0, 0, 3], dtype))
    for dtype in (np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64):
        x = np.array([0, 1, 2, 9], dtype)
        same_as_onnxruntime("Shrink", x, opset=9, lambd=1.5, bias=1.5)
        same_as_onnxruntime("Shrink", np.negative(x) if x.dtype.kind == "i" else x, opset=9, lambd=0.5, bias=-1.0)


def test_swiglu_gates_without_broadcasting() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 3, 4))
    for alpha in (1.0, 0.5):
        assert_same(kernel_outputs("SwiGLU", 28, a, b, alpha=alpha)[0], a / (1 + np.exp(-alpha * a)) * b, rtol=1e-14)
    # One rounding at the end, not one after the gate.
    narrow = [v.astype(ml_dtypes.bfloat16) for v in (a, b)]
    exact = kernel_outputs("SwiGLU", 28, *(v.astype(np.float32) for v in narrow))[0]
    assert_same(kernel_outputs("SwiGLU", 28, *narrow)[0], exact.astype(ml_dtypes.bfloat16), rtol=0, atol=0)
    with pytest.raises(ValueError, match=r"one shape, got \(2, 3, 4\) and \(1, 3, 4\)"):
        kernel_outputs("SwiGLU", 28, a, b[:1])


def test_gelu_refuses_another_approximation() -> None:
    with pytest.raises(ValueError, match="'none' or 'tanh', got 'sigmoid'"):
        kernel_outputs("Gelu", 20, np.zeros(1), approximate="sigmoid")


def test_inputs_may_be_strided_and_read_only() -> None:
    base = np.random.default_rng(0).normal(size=(6, 8)).astype(np.float32)
    base.flags.writeable = False
    for op_type, attributes, _ in FORMULAS:
        version = versions(op_type)[-1]
        expected = kernel_outputs(op_type, version, base[::-2, 1::3].copy(), **attributes)
        assert_same(kernel_outputs(op_type, version, base[::-2, 1::3], **attributes), expected)
