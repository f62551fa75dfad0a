"""When two values are the same: structure, element type and shape exactly, elements within a tolerance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np

from onnxlite.kernels.arrays import is_array
from onnxlite.kernels.dtypes import NARROW_FLOATS

#: Two units in the last place of bfloat16: the onnx suite's least relative tolerance for that type.
BFLOAT16_RTOL = 2.0**-6


class MismatchError(AssertionError):
    """Two values differ; the message is one sentence that says where and how."""


def compare_outputs(actual: Sequence[Any], expected: Sequence[Any], rtol: float, atol: float) -> None:
    """Raise MismatchError unless the outputs of a run are as the onnx suite expects them.

    The rules are those of the suite's own runner, closed where it looks away: containers must have equal lengths, and
    integers must be equal.
    """
    if len(actual) != len(expected):
        raise MismatchError(f"expected {len(expected)} outputs, got {len(actual)}")
    for index, (got, wanted) in enumerate(zip(actual, expected, strict=True)):
        compare(got, wanted, rtol, atol, f"output {index}", bfloat16_rtol=BFLOAT16_RTOL)


def compare(
    actual: Any, expected: Any, rtol: float, atol: float, where: str = "output", *, bfloat16_rtol: float = 0.0
) -> None:
    """Raise MismatchError unless two values agree: tensors, and the sequences, maps and optionals around them."""
    if isinstance(expected, list | tuple):
        if not isinstance(actual, list | tuple):
            raise MismatchError(f"{where}: expected a sequence, got {type(actual).__name__}")
        if len(actual) != len(expected):
            raise MismatchError(f"{where}: expected a sequence of {len(expected)}, got {len(actual)} elements")
        for index, (got, wanted) in enumerate(zip(actual, expected, strict=True)):
            compare(got, wanted, rtol, atol, f"{where}[{index}]", bfloat16_rtol=bfloat16_rtol)
    elif isinstance(expected, dict):
        if not isinstance(actual, dict) or list(actual) != list(expected):
            raise MismatchError(f"{where}: expected a map with the keys {list(expected)}, got {actual!r:.200}")
        for key, wanted in expected.items():
            compare(actual[key], wanted, rtol, atol, f"{where}[{key!r}]", bfloat16_rtol=bfloat16_rtol)
    elif is_array(expected):
        if not is_array(actual):
            raise MismatchError(f"{where}: expected a tensor, got {type(actual).__name__}")
        compare_types(actual, expected, where)
        _compare_elements(np.asarray(actual), np.asarray(expected), rtol, atol, where, bfloat16_rtol)
    elif actual is not expected and actual != expected:
        raise MismatchError(f"{where}: expected {expected!r:.200}, got {actual!r:.200}")


def compare_types(actual: Any, expected: Any, where: str) -> None:
    """Raise MismatchError unless two tensors have the same element type and shape."""
    if actual.dtype != expected.dtype:
        raise MismatchError(f"{where}: expected the element type {expected.dtype}, got {actual.dtype}")
    if actual.shape != expected.shape:
        raise MismatchError(f"{where}: expected the shape {expected.shape}, got {actual.shape}")


def _compare_elements(actual: Any, expected: Any, rtol: float, atol: float, where: str, bfloat16_rtol: float) -> None:
    if expected.dtype in NARROW_FLOATS:
        rtol = max(rtol, bfloat16_rtol) if expected.dtype == ml_dtypes.bfloat16 else rtol
        actual, expected = actual.astype(np.float32), expected.astype(np.float32)
    if expected.dtype.kind in "fc":
        wrong = ~np.isclose(actual, expected, rtol=rtol, atol=atol, equal_nan=True)
    else:
        wrong = actual != expected
    if np.any(wrong):
        first = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise MismatchError(
            f"{where}: {np.count_nonzero(wrong)} of {wrong.size} elements differ; "
            f"at {list(first)} expected {expected[first]!s:.60}, got {actual[first]!s:.60}"
        )
