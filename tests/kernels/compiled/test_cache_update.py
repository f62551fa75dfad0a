from __future__ import annotations

import numpy as np
import pytest

from onnxlite.conformance.compiled import bind_and_run
from onnxlite.conformance.differential import assert_same, kernel_outputs

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.int64])
@pytest.mark.parametrize("mode", ["linear", "circular"])
@pytest.mark.parametrize(("shape", "axis"), [((2, 3, 7, 5), 2), ((2, 7, 5), -2), ((2, 7), 1), ((2, 7, 3, 5), 1)])
def test_rows_are_written(shape: tuple[int, ...], axis: int, mode: str, dtype: type) -> None:
    cache = RANDOM.integers(0, 100, shape).astype(dtype)
    rows = list(shape)
    rows[axis] = 3
    update = RANDOM.integers(0, 100, rows).astype(dtype)
    starts = np.array([4, 1]) + 2 * (mode == "circular")
    for inputs in ((cache, update, starts), (cache, update)):
        expected = kernel_outputs("TensorScatter", 24, *inputs, axis=axis, mode=mode)[0]
        assert_same(bind_and_run("TensorScatter", 24, *inputs, axis=axis, mode=mode)[0], expected)


def test_a_place_outside_is_an_error() -> None:
    cache, update = np.zeros((1, 4, 2), np.float32), np.ones((1, 2, 2), np.float32)
    with pytest.raises(IndexError, match="within the cache"):
        bind_and_run("TensorScatter", 24, cache, update, np.array([3]))
