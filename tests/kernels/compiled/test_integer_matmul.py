from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.compiled import KernelDeclined, bind_and_run
from onnxlite.conformance.differential import assert_same, kernel_outputs
from onnxlite.kernels.arrays import Array

_SETTINGS = settings(max_examples=50, deadline=None, derandomize=True)
_LENGTHS = st.sampled_from([1, 2, 3, 4, 5, 7, 8, 9, 31, 33, 64, 70])
_BYTES = st.sampled_from([np.uint8, np.int8])


def _integers(shape: tuple[int, ...], dtype: Any) -> Array:
    limits = np.iinfo(dtype)
    return np.random.default_rng(sum(shape)).integers(limits.min, limits.max, shape, dtype, endpoint=True)


def _check(op_type: str, version: int, *inputs: Array | None, constants: tuple[int, ...]) -> None:
    (expected,) = kernel_outputs(op_type, version, *inputs)
    for threads in (1, 2):
        (actual,) = bind_and_run(op_type, version, *inputs, constants=constants, threads=threads)
        assert_same(actual, expected, rtol=0, atol=0)


@_SETTINGS
@given(
    _LENGTHS,
    _LENGTHS,
    _LENGTHS,
    _BYTES,
    _BYTES,
    st.booleans(),
    st.sampled_from(["none", "one", "columns"]),
    st.booleans(),
)
def test_matmul_integer(
    rows: int, depth: int, columns: int, left: Any, right: Any, zero: bool, zeros: str, constant: bool
) -> None:
    zero_points = {"none": None, "one": _integers((), right), "columns": _integers((columns,), right)}
    _check(
        "MatMulInteger",
        10,
        _integers((rows, depth), left),
        _integers((depth, columns), right),
        _integers((), left) if zero else None,
        zero_points[zeros],
        constants=(1, 2, 3) if constant else (1, 3),
    )


@pytest.mark.parametrize("value", [(0, -128), (255, 127), (255, -128), (0, 127)])
def test_extreme_sums(value: tuple[int, int]) -> None:
    a, b = np.full((3, 1000), value[0], np.uint8), np.full((1000, 40), value[1], np.int8)
    _check("MatMulInteger", 10, a, b, np.asarray(np.uint8(255 - value[0])), None, constants=(1, 2))


@_SETTINGS
@given(_LENGTHS, _LENGTHS, _LENGTHS, _BYTES, _BYTES, _BYTES, st.booleans())
def test_qlinear_matmul(
    rows: int, depth: int, columns: int, left: Any, right: Any, result: Any, per_column: bool
) -> None:
    parameter = (columns,) if per_column else ()
    b_scale = np.asarray(np.random.default_rng(columns).random(parameter) * 0.01 + 0.001, np.float32)
    _check(
        "QLinearMatMul",
        10,
        _integers((2, rows, depth), left),
        np.asarray(np.float32(0.02)),
        _integers((), left),
        _integers((depth, columns), right),
        b_scale,
        _integers(parameter, right),
        np.asarray(np.float32(0.05)),
        _integers((), result),
        constants=(1, 2, 3, 4, 5, 6, 7),
    )


def test_more_than_one_block() -> None:
    a, b = _integers((130, 300), np.uint8), _integers((300, 700), np.int8)
    _check("MatMulInteger", 10, a, b, np.asarray(np.uint8(120)), _integers((700,), np.int8), constants=(1, 3))


@_SETTINGS
@given(_LENGTHS, _LENGTHS, _LENGTHS, _BYTES, _BYTES, st.booleans(), st.sampled_from([(), (3,), (2, 3), (2, 1)]))
def test_matrices_that_only_a_run_knows(
    rows: int, depth: int, columns: int, left: Any, right: Any, zero: bool, batch: tuple[int, ...]
) -> None:
    a, b = _integers((2, 3, rows, depth), left), _integers((*batch, depth, columns), right)
    zero_point = _integers((), right) if zero else None
    _check("MatMulInteger", 10, a, b, _integers((), left), zero_point, constants=(3,))


def test_declines_what_is_not_compiled() -> None:
    a, b = _integers((3, 4), np.uint8), _integers((4, 5), np.int8)
    with pytest.raises(KernelDeclined, match="constant zero point"):
        bind_and_run("MatMulInteger", 10, a, b, None, _integers((), np.int8), constants=(1,))
    with pytest.raises(KernelDeclined, match="one zero point"):
        bind_and_run("MatMulInteger", 10, a, b, _integers((3,), np.uint8), constants=(1,))
