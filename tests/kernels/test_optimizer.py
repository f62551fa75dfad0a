"""Adagrad, Adam and Momentum against their textbook formulas, and over several steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from onnxlite.conformance.differential import assert_same, kernel_outputs

DOMAIN = "ai.onnx.preview.training"


def step(op_type: str, rate: Any, count: int, *inputs: Any, **attributes: Any) -> tuple[Any, ...]:
    rate = np.asarray(rate, np.float32)
    return kernel_outputs(op_type, 1, rate, np.array(count, np.int64), *inputs, domain=DOMAIN, **attributes)


def tensors(count, *shape, seed=0):
    random = np.random.default_rng(seed)
    return [random.uniform(0.1, 2, shape).astype(np.float32) for _ in range(count)]


@pytest.mark.parametrize("count", [0, 3])
def test_adagrad(count):
    x, g, h = tensors(3, 2, 3)
    y, sums = step("Adagrad", 0.1, count, x, g, h, decay_factor=0.5, epsilon=1e-3, norm_coefficient=0.2)
    slope = 0.2 * x + g
    assert_same(sums, h + slope**2)
    assert_same(y, x - 0.1 / (1 + 0.5 * count) * slope / (np.sqrt(h + slope**2) + np.float32(1e-3)))


@pytest.mark.parametrize("count", [0, 1, 4])
def test_adam(count):
    x, g, v, h = tensors(4, 2, 3)
    attributes = {"alpha": 0.8, "beta": 0.9, "epsilon": 1e-3, "norm_coefficient": 0.2, "norm_coefficient_post": 0.25}
    y, average, squares = step("Adam", 0.1, count, x, g, v, h, **attributes)
    slope = 0.2 * x + g
    rate = 0.1 * (np.sqrt(1 - 0.9**count) / (1 - 0.8**count) if count else 1)
    assert_same(average, 0.8 * v + np.float32(0.2) * slope)
    assert_same(squares, 0.9 * h + np.float32(0.1) * slope**2)
    expected = x - np.float32(rate) * average / (np.sqrt(squares) + np.float32(1e-3))
    assert_same(y, 0.75 * expected)


@pytest.mark.parametrize("mode", ["standard", "nesterov"])
@pytest.mark.parametrize("count", [0, 2])
def test_momentum(mode, count):
    x, g, v = tensors(3, 4)
    y, velocity = step("Momentum", 0.1, count, x, g, v, alpha=0.9, beta=0.5, mode=mode, norm_coefficient=0.2)
    slope = 0.2 * x + g
    expected = 0.9 * v + (0.5 if count else 1) * slope
    assert_same(velocity, expected)
    assert_same(y, x - np.float32(0.1) * (slope + 0.9 * expected if mode == "nesterov" else expected))


def test_several_tensors_are_grouped_by_kind_and_keep_their_types():
    first, second = tensors(4, 2), [t.astype(np.float64) for t in tensors(4, 3, seed=1)]
    both = step("Adam", 0.1, 2, *(t for pair in zip(first, second, strict=True) for t in pair))
    assert_same(list(both[0::2]), list(step("Adam", 0.1, 2, *first)))
    assert_same(list(both[1::2]), list(step("Adam", 0.1, 2, *second)))
    rate, count = np.array([0.1], np.float64), np.array([2], np.int64)
    (y, _, _) = kernel_outputs("Adam", 1, rate, count, *first, domain=DOMAIN)
    assert_same(y, both[0])


@pytest.mark.parametrize(
    ("op_type", "accumulators", "attributes"),
    [
        ("Adagrad", 1, {}),
        ("Adam", 2, {}),
        ("Momentum", 1, {"alpha": 0.9, "beta": 0.1, "mode": "nesterov", "norm_coefficient": 0.0}),
    ],
)
def test_repeated_steps_lead_downhill(op_type, accumulators, attributes):
    x = np.array([3, -2], np.float32)
    state = [np.zeros(2, np.float32)] * accumulators
    for count in range(200):
        x, *state = step(op_type, 0.3, count, x, 2 * x, *state, **attributes)
    assert np.abs(x).max() < 0.1


def test_refusals():
    with pytest.raises(ValueError, match="expected mode standard or nesterov"):
        step("Momentum", 0.1, 0, *tensors(3, 2), alpha=0.9, beta=1.0, mode="heavy", norm_coefficient=0.0)
    with pytest.raises(ValueError, match="expected 4 inputs for each tensor"):
        step("Adam", 0.1, 0, *tensors(3, 2))
