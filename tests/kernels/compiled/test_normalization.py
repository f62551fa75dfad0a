"""Compiled normalisations against the reference kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.compiled import KernelDeclined, bind_and_run
from onnxlite.conformance.differential import assert_same, kernel_outputs

FEW = settings(max_examples=30, deadline=None, derandomize=True)

lengths = st.sampled_from([1, 2, 3, 8, 17, 40])
rows = st.lists(lengths, min_size=1, max_size=3).map(tuple)
images = st.tuples(st.sampled_from([1, 2]), st.sampled_from([1, 4, 12]), lengths, lengths)


def numbers(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def check(op_type: str, version: int, *inputs: Any, **attributes: Any) -> None:
    (expected, *_) = kernel_outputs(op_type, version, *inputs, **attributes)
    attributes.pop("output_count", None)
    constants = range(1, len(inputs))
    for threads in (1, 2):
        (actual,) = bind_and_run(op_type, version, *inputs, constants=constants, threads=threads, **attributes)
        assert_same(actual, expected, rtol=2e-5, atol=2e-5)


@FEW
@given(rows, st.data(), st.booleans())
def test_layer_normalization(shape: tuple[int, ...], data: st.DataObject, with_bias: bool) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    inner = shape[axis:]
    bias = (numbers(2, *inner),) if with_bias else ()
    check("LayerNormalization", 17, numbers(0, *shape), numbers(1, *inner), *bias, axis=axis, epsilon=1e-3)


@FEW
@given(rows, st.data())
def test_rms_normalization(shape: tuple[int, ...], data: st.DataObject) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    check("RMSNormalization", 23, numbers(0, *shape), numbers(1, *shape[axis:]), axis=axis)


@FEW
@given(images, st.sampled_from([1, 6]))
def test_instance_normalization(shape: tuple[int, ...], version: int) -> None:
    channels = shape[1]
    check("InstanceNormalization", version, numbers(0, *shape), numbers(1, channels), numbers(2, channels))


@FEW
@given(images, st.sampled_from([1, 2, 4]), st.sampled_from([18, 21]))
def test_group_normalization(shape: tuple[int, ...], groups: int, version: int) -> None:
    groups = min(groups, shape[1])
    scales = groups if version == 18 else shape[1]
    check("GroupNormalization", version, numbers(0, *shape), numbers(1, scales), numbers(2, scales), num_groups=groups)


INFERENCE = [(15, {}), (14, {}), (9, {"output_count": 1}), (7, {"output_count": 1}), (6, {"is_test": 1})]


@FEW
@given(st.one_of(images, st.tuples(lengths, lengths)), st.sampled_from([*INFERENCE, (1, {"is_test": 1})]))
def test_batch_normalization(shape: tuple[int, ...], served: tuple[int, dict[str, Any]]) -> None:
    version, attributes = served
    if version == 1:
        attributes = {**attributes, "consumed_inputs": (0, 0, 0, 1, 1)}
    parameters = [numbers(seed, shape[1]) for seed in (1, 2, 3)]
    variance = np.abs(numbers(4, shape[1])) + np.float32(0.1)
    check("BatchNormalization", version, numbers(0, *shape), *parameters, variance, **attributes)


def test_batch_normalization_of_every_element_by_itself() -> None:
    x = numbers(0, 3, 4, 5)
    parameters = [numbers(seed, 20) for seed in (1, 2, 3)]
    check("BatchNormalization", 7, x, *parameters, np.abs(numbers(4, 20)), spatial=0, output_count=1)


@FEW
@given(rows, st.sampled_from([1, 2]))
def test_lp_normalization(shape: tuple[int, ...], p: int) -> None:
    x = numbers(0, *shape)
    x[0] = 0
    check("LpNormalization", 1, x, axis=-1, p=p)


@FEW
@given(images)
def test_mean_variance_normalization(shape: tuple[int, ...]) -> None:
    # A single element, whose deviation is 0, is divided by 1e-9: rounding decides what comes out.
    check("MeanVarianceNormalization", 13, numbers(0, 1, shape[1], shape[2] + 1, shape[3] + 1))


@FEW
@given(images, st.integers(1, 6), st.sampled_from([0.75, 0.5]))
def test_local_response_normalization(shape: tuple[int, ...], size: int, beta: float) -> None:
    check("LRN", 13, 3 * numbers(0, *shape), size=size, alpha=0.5, beta=beta, bias=2.0)


def test_nan_stays_in_its_row() -> None:
    x = numbers(0, 3, 40)
    x[1, 5] = np.nan
    (y,) = bind_and_run("LayerNormalization", 17, x, numbers(1, 40), constants=(1,))
    np.testing.assert_array_equal(np.isnan(y).all(axis=1), [False, True, False])
    assert not np.isnan(y[[0, 2]]).any()


def test_declines_what_it_does_not_serve() -> None:
    x, scale = numbers(0, 2, 6, 4), numbers(1, 6)
    declined: list[tuple[str, int, tuple[Any, ...], dict[str, Any]]] = [
        ("LayerNormalization", 17, (x, numbers(1, 1)), {}),
        ("LayerNormalization", 17, (x, numbers(1, 4)), {"output_count": 2}),
        ("LayerNormalization", 17, (x.astype(np.float16), numbers(1, 4).astype(np.float16)), {}),
        ("BatchNormalization", 15, (x, scale, scale, scale, scale), {"training_mode": 1}),
        ("BatchNormalization", 6, (x, scale, scale, scale, scale), {}),
        ("BatchNormalization", 15, (x, scale[:5], scale, scale, scale), {}),
        ("GroupNormalization", 21, (x, scale, scale), {"num_groups": 4}),
        ("LpNormalization", 1, (x,), {"axis": 1}),
        ("MeanVarianceNormalization", 13, (x[..., None],), {}),
    ]
    for op_type, version, inputs, attributes in declined:
        with pytest.raises((KernelDeclined, ValueError)):
            bind_and_run(op_type, version, *inputs, **attributes)
