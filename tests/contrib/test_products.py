"""Products and convolutions of com.microsoft against onnxruntime."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from onnxlite.conformance.differential import assert_same

sys.path.insert(0, str(Path(__file__).parent))
from agreement import PROVIDERS, agree, contrib_model, gives, ours

RANDOM = np.random.default_rng(2)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
@pytest.mark.parametrize("turned_a", [0, 1])
@pytest.mark.parametrize("turned_b", [0, 1])
def test_fused_matmul(batch: tuple[int, ...], turned_a: int, turned_b: int) -> None:
    a = floats(*batch, *((5, 4) if turned_a else (4, 5)))
    b = floats(*batch, *((6, 5) if turned_b else (5, 6)))
    agree("FusedMatMul", a, b, transA=turned_a, transB=turned_b, alpha=0.25)
    agree("TransposeMatMul", a, b, transA=turned_a, transB=turned_b)


@pytest.mark.parametrize("turned", [0, 1])
def test_fused_matmul_with_the_batch_behind(turned: int) -> None:
    a = floats(4, 3, 2, 5)
    b = floats(6, 3, 2, 5) if turned else floats(5, 3, 2, 6)
    agree("FusedMatMul", a, b, transBatchA=1, transBatchB=1, transB=turned)


def test_fused_matmul_of_operands_of_unknown_rank() -> None:
    a, b = floats(2, 3, 5, 4), floats(2, 3, 5, 6)
    model = contrib_model("FusedMatMul", [a, b], transA=1)
    for value in model.graph.input:
        value.type.tensor_type.ClearField("shape")
    for provider in PROVIDERS:
        assert_same(ours(model, {"x0": a, "x1": b}, provider)[0], a.swapaxes(2, 3) @ b, 1e-5, 1e-5)


@pytest.mark.parametrize("name", ["Relu", "Tanh", "Sigmoid", "LeakyRelu", "HardSigmoid"])
@pytest.mark.parametrize("bias", [(6,), (4, 6), None])
def test_fused_gemm(name: str, bias: tuple[int, ...] | None) -> None:
    given = {"LeakyRelu": {"activation_alpha": 0.3}, "HardSigmoid": {"activation_alpha": 0.3, "activation_beta": 0.4}}
    c = floats(*bias) if bias else None
    agree("FusedGemm", floats(5, 4), floats(6, 5), c, transA=1, transB=1, alpha=0.5, beta=2.0, activation=name,
          **given.get(name, {}))  # fmt: skip


@pytest.mark.parametrize("name", ["Relu", "Tanh", "Sigmoid", "LeakyRelu", "Clip", "HardSigmoid"])
@pytest.mark.parametrize("residual", [False, True])
def test_fused_conv(name: str, residual: bool) -> None:
    given = {"LeakyRelu": [0.3], "Clip": [-0.5, 0.5], "HardSigmoid": [0.3, 0.4]}
    parameters = {"activation_params": given[name]} if name in given else {}
    inputs = [floats(2, 4, 7, 5), floats(6, 2, 3, 3), floats(6), floats(2, 6, 4, 3) if residual else None]
    agree("FusedConv", *inputs, constants=(1, 2), group=2, pads=[1, 1, 1, 1], strides=[2, 2], activation=name,
          **parameters)  # fmt: skip


def test_products_that_onnxruntime_has_on_gpus_alone() -> None:
    x, w, bias = floats(2, 3, 5), floats(5, 6), floats(6)
    y = x @ w + bias
    gelu = 0.5 * y * (1 + np.tanh(np.sqrt(2 / np.pi) * (y + 0.044715 * y**3)))
    gives("GemmFastGelu", gelu.astype(np.float32), x, w, bias)
    gives("FusedMatMulActivation", np.maximum(x @ w, 0), x, w, activation="Relu")


@pytest.mark.parametrize("shape", [(3, 3), (2, 4, 4), (2, 3, 5, 5), (1, 1)])
def test_inverse(shape: tuple[int, ...]) -> None:
    agree("Inverse", floats(*shape), rtol=1e-3, atol=1e-4)


def test_inverse_exchanges_rows() -> None:
    agree("Inverse", np.array([[0, 1, 0], [0, 0, 2], [4, 0, 0]], np.float32))
