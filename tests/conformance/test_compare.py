from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from onnxlite.conformance.compare import MismatchError, compare, compare_outputs

RTOL, ATOL = 1e-3, 1e-7


def _f32(*values: float) -> Any:
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("actual", "expected", "message"),
    [
        (_f32(1, 2), _f32(1, 3), "1 of 2 elements differ; at [1] expected 3.0, got 2.0"),
        (_f32(1, 2).astype(np.float64), _f32(1, 2), "expected the element type float32, got float64"),
        (_f32(1, 2).reshape(1, 2), _f32(1, 2), "expected the shape (2,), got (1, 2)"),
        (_f32(1), _f32(1).reshape(()), "expected the shape (), got (1,)"),
        (_f32(np.nan), _f32(0), "differ"),
        (_f32(0), _f32(np.nan), "differ"),
        (_f32(np.inf), _f32(-np.inf), "differ"),
        (_f32(1e-6), _f32(0), "differ"),
        (np.array([10000]), np.array([10001]), "differ"),  # within the tolerance for floats
        (np.array([True]), np.array([False]), "differ"),
        (np.array(["a"], object), np.array(["b"], object), "differ"),
        (np.array(["a"]), np.array(["a"], object), "expected the element type object"),
        (np.array([1 + 1j]), np.array([1 + 1.1j]), "differ"),
        (1.0, _f32(1), "expected a tensor, got float"),
        (None, _f32(1), "expected a tensor, got NoneType"),
        (_f32(1), None, "expected None"),
        (_f32(1), [_f32(1)], "expected a sequence, got ndarray"),
        ([_f32(1)], [_f32(1), _f32(2)], "expected a sequence of 2, got 1 elements"),
        ([_f32(1), _f32(2)], [_f32(1), _f32(3)], "output[1]: 1 of 1 elements differ"),
        ({"a": 1.0}, {"b": 1.0}, "expected a map with the keys ['b']"),
        ({"a": _f32(1)}, {"a": _f32(2)}, "output['a']: 1 of 1 elements differ"),
        (np.array([1, 2], ml_dtypes.int4), np.array([1, 3], ml_dtypes.int4), "differ"),
    ],
)
def test_differences_are_found(actual: Any, expected: Any, message: str) -> None:
    with pytest.raises(MismatchError) as caught:
        compare(actual, expected, RTOL, ATOL)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (_f32(1.0005), _f32(1)),
        (_f32(np.nan, np.inf, -np.inf), _f32(np.nan, np.inf, -np.inf)),
        (_f32(5e-8), _f32(0)),
        (np.zeros((0, 3)), np.zeros((0, 3))),
        (np.array(["é", ""], object), np.array(["é", ""], object)),
        ([], []),
        (None, None),
        ({"a": 1}, {"a": 1}),
        (np.array([1.5], ml_dtypes.float8_e4m3fn), np.array([1.5], ml_dtypes.float8_e4m3fn)),
        (np.array([3, -4], ml_dtypes.int4), np.array([3, -4], ml_dtypes.int4)),
    ],
)
def test_equal_values_pass(actual: Any, expected: Any) -> None:
    compare(actual, expected, RTOL, ATOL)


def test_bfloat16_may_be_two_units_off_in_the_suite_only() -> None:
    near, one = np.array([1 + 2.0**-7], ml_dtypes.bfloat16), np.array([1], ml_dtypes.bfloat16)
    compare_outputs([near], [one], RTOL, ATOL)
    with pytest.raises(MismatchError, match="differ"):
        compare(near, one, RTOL, ATOL)
    with pytest.raises(MismatchError, match="differ"):
        compare_outputs([np.array([1.0625], ml_dtypes.bfloat16)], [one], RTOL, ATOL)


@pytest.mark.parametrize("actual", [[], [_f32(1), _f32(1)]])
def test_the_number_of_outputs_counts(actual: list[Any]) -> None:
    with pytest.raises(MismatchError, match=f"expected 1 outputs, got {len(actual)}"):
        compare_outputs(actual, [_f32(1)], RTOL, ATOL)
