"""Random operators and Dropout: types, shapes, the generator's state, and the statistics of what is drawn."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from onnxlite.conformance.differential import assert_same, kernel_outputs, node_model, onnxruntime_outputs
from onnxlite.kernels.dtypes import element_type

FLOATS = [np.float16, np.float32, np.float64, ml_dtypes.bfloat16]
FLOAT8 = [ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e4m3fnuz, ml_dtypes.float8_e5m2, ml_dtypes.float8_e5m2fnuz]


def code(dtype: Any) -> int:
    return element_type(np.dtype(dtype)).code


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("version", [1, 22])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (50, 40)])
def test_variates_have_the_type_and_the_shape(version: int, dtype: Any, shape: tuple[int, ...]) -> None:
    for op_type in ("RandomNormal", "RandomUniform"):
        result = kernel_outputs(op_type, version, shape=shape, dtype=code(dtype), rng=rng())[0]
        assert result.dtype == dtype
        assert result.shape == shape
        like = kernel_outputs(f"{op_type}Like", version, np.zeros(shape, dtype), rng=rng())[0]
        assert_same(like, result)
        like = kernel_outputs(f"{op_type}Like", version, np.zeros(shape, np.int64), dtype=code(dtype), rng=rng())[0]
        assert_same(like, result)
    assert kernel_outputs("RandomNormal", version, shape=shape, rng=rng())[0].dtype == np.float32


def test_normal_variates_have_their_mean_and_deviation() -> None:
    for x in (
        kernel_outputs("RandomNormal", 22, shape=(200, 500), mean=3.0, scale=0.5, rng=rng())[0],
        kernel_outputs("RandomNormalLike", 22, np.zeros((200, 500), np.float32), mean=3.0, scale=0.5, rng=rng())[0],
    ):
        # Ten standard errors of 100000 variates.
        assert abs(x.mean(dtype=np.float64) - 3) < 0.016
        assert abs(x.std(dtype=np.float64) - 0.5) < 0.012
        assert abs(np.mean(x < 3 - 0.5) - 0.15866) < 0.012


def test_uniform_variates_fill_their_interval() -> None:
    for x in (
        kernel_outputs("RandomUniform", 22, shape=(200, 500), low=-2.0, high=6.0, rng=rng())[0],
        kernel_outputs("RandomUniformLike", 22, np.zeros((200, 500), np.float32), low=-2.0, high=6.0, rng=rng())[0],
    ):
        assert -2 <= x.min() < -1.99
        assert 5.99 < x.max() <= 6
        assert abs(np.mean(x < 0) - 0.25) < 0.014


def test_integers_are_no_random_variates() -> None:
    for op_type in ("RandomNormalLike", "RandomUniformLike"):
        with pytest.raises(ValueError, match="floating-point type, got int64"):
            kernel_outputs(op_type, 22, np.zeros(3, np.int64), rng=rng())


def test_a_generator_goes_on_where_it_was() -> None:
    generator = rng(7)
    first = kernel_outputs("RandomNormal", 1, shape=(4,), rng=generator)[0]
    second = kernel_outputs("RandomNormal", 1, shape=(4,), rng=generator)[0]
    assert (first != second).all()
    assert_same(kernel_outputs("RandomNormal", 1, shape=(4,), rng=rng(7))[0], first)


@pytest.mark.parametrize("version", [15, 22])
@pytest.mark.parametrize("dtype", FLOATS)
def test_bernoulli_draws_ones_with_the_given_probability(version: int, dtype: Any) -> None:
    p = np.broadcast_to(np.array([[0.0], [0.25], [0.75], [1.0]]), (4, 20000)).astype(dtype)
    drawn = kernel_outputs("Bernoulli", version, p, rng=rng())[0]
    assert drawn.dtype == dtype
    assert set(np.unique(drawn.astype(np.float32))) == {0, 1}
    share = drawn.astype(np.float64).mean(axis=1)
    assert share[0] == 0
    assert share[3] == 1
    assert np.abs(share[1:3] - [0.25, 0.75]).max() < 0.031  # ten standard errors


@pytest.mark.parametrize("target", [*FLOATS, np.bool_, np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint64])
def test_bernoulli_in_another_type(target: Any) -> None:
    p = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    expected = kernel_outputs("Bernoulli", 22, p, rng=rng())[0].astype(target)
    assert_same(kernel_outputs("Bernoulli", 22, p, dtype=code(target), rng=rng())[0], expected)


@pytest.mark.parametrize("version", [7, 22])
@pytest.mark.parametrize("dtype", FLOATS)
def test_multinomial_draws_by_log_probabilities(version: int, dtype: Any) -> None:
    probabilities = np.array([[0.5, 0.0, 0.25, 0.25], [0.0, 0.0, 1.0, 0.0], [0.125, 0.125, 0.25, 0.5]])
    with np.errstate(divide="ignore"):
        logits = (np.log(probabilities) + np.array([[0.0], [50.0], [-3.0]])).astype(dtype)
    drawn = kernel_outputs("Multinomial", version, logits, sample_size=20000, rng=rng())[0]
    assert drawn.dtype == np.int32
    assert drawn.shape == (3, 20000)
    share = np.stack([np.bincount(row, minlength=4) for row in drawn]) / 20000
    assert (share[probabilities == 0] == 0).all()
    assert np.abs(share - probabilities).max() < 0.035 + 0.01 * (dtype == ml_dtypes.bfloat16)


def test_multinomial_types_and_shapes() -> None:
    x = np.zeros((2, 3), np.float32)
    assert kernel_outputs("Multinomial", 7, x, rng=rng())[0].shape == (2, 1)
    assert kernel_outputs("Multinomial", 7, x, dtype=7, rng=rng())[0].dtype == np.int64
    assert kernel_outputs("Multinomial", 7, x[:0], sample_size=4, rng=rng())[0].shape == (0, 4)
    with pytest.raises(ValueError, match="int32 or int64, got float32"):
        kernel_outputs("Multinomial", 7, x, dtype=1, rng=rng())
    with pytest.raises(ValueError, match=r"at least one class, got \(2, 0\)"):
        kernel_outputs("Multinomial", 7, x[:, :0], rng=rng())


@pytest.mark.parametrize("opset", [7, 10, 12, 13])
@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
def test_dropout_in_inference_gives_the_data(opset: int, shape: tuple[int, ...]) -> None:
    data = np.asarray(rng().normal(size=shape), np.float32)
    expected = onnxruntime_outputs(node_model("Dropout", [data], opset=opset, outputs=1), [data])
    generator = {"rng": rng()} if opset >= 12 else {}
    output, mask = kernel_outputs("Dropout", opset, data, **generator)
    assert_same((output,), tuple(expected))
    assert mask.dtype == (np.float32 if opset == 7 else np.bool_)
    assert mask.shape == shape
    assert mask.all()


@pytest.mark.parametrize("version", [12, 13, 22])
@pytest.mark.parametrize("ratio_type", [np.float16, np.float32, np.float64])
def test_dropout_in_training_drops_a_share_and_scales_the_rest(version: int, ratio_type: Any) -> None:
    data = rng().uniform(1, 2, (100, 200)).astype(np.float32)
    ratio = np.array(0.25, ratio_type)
    output, mask = kernel_outputs("Dropout", version, data, ratio, np.array(True), rng=rng())
    assert abs(mask.mean() - 0.75) < 0.031
    assert_same(output, np.where(mask, data / np.float32(0.75), np.float32(0)))
    output, mask = kernel_outputs("Dropout", version, data, None, np.array(True), rng=rng())
    assert abs(mask.mean() - 0.5) < 0.036
    assert_same(output, np.where(mask, data * 2, np.float32(0)))
    assert_same(kernel_outputs("Dropout", version, data, ratio, np.array(False), rng=rng())[0], data)


@pytest.mark.parametrize("dtype", FLOATS + FLOAT8)
def test_dropout_keeps_the_type_of_the_data(dtype: Any) -> None:
    data = np.ones((8, 9)).astype(dtype)
    for ratio in (0.0, 0.5):
        output, mask = kernel_outputs("Dropout", 22, data, np.array(ratio).astype(dtype), np.array(True), rng=rng())
        assert output.dtype == dtype
        assert mask.dtype == np.bool_
        assert_same(output.astype(np.float32), mask.astype(np.float32) / np.float32(1 - ratio))


@pytest.mark.parametrize("version", [1, 6])
def test_dropout_before_version_7_trains_unless_it_is_a_test(version: int) -> None:
    data = rng().uniform(1, 2, (100, 200)).astype(np.float16)
    output, mask = kernel_outputs("Dropout", version, data, is_test=1, rng=rng())
    assert_same(output, data)
    assert_same(mask, np.ones_like(data))
    output, mask = kernel_outputs("Dropout", version, data, ratio=0.5, rng=rng())
    assert mask.dtype == np.float16
    assert abs(mask.astype(np.float64).mean() - 0.5) < 0.036
    assert_same(output, data * 2 * mask)


@pytest.mark.parametrize("ratio", [1.0, -0.5, np.nan])
def test_dropout_refuses_a_ratio_outside_its_range(ratio: float) -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\), got"):
        kernel_outputs("Dropout", 13, np.ones(3), np.array(ratio), np.array(True), rng=rng())


def test_identity_gives_what_it_takes() -> None:
    for value in (np.arange(3), np.array(["a"], object), np.zeros((0, 2), ml_dtypes.int4), [np.ones(2)], None):
        assert kernel_outputs("Identity", 25, value)[0] is value
