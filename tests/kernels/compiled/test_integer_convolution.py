from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from onnxlite.conformance.compiled import KernelDeclined, bind_and_run
from onnxlite.conformance.differential import assert_same, kernel_outputs
from onnxlite.kernels.arrays import Array

_SETTINGS = settings(max_examples=60, deadline=None, derandomize=True)
_BYTES = st.sampled_from([np.uint8, np.int8])


def _integers(shape: tuple[int, ...], dtype: Any) -> Array:
    limits = np.iinfo(dtype)
    return np.random.default_rng(sum(shape)).integers(limits.min, limits.max, shape, dtype, endpoint=True)


def _check(op_type: str, *inputs: Array | None, constants: tuple[int, ...], **attributes: Any) -> None:
    (expected,) = kernel_outputs(op_type, 10, *inputs, **attributes)
    for threads in (1, 2):
        (actual,) = bind_and_run(op_type, 10, *inputs, constants=constants, threads=threads, **attributes)
        assert_same(actual, expected, rtol=0, atol=0)


@_SETTINGS
@given(
    st.sampled_from([(5,), (40,), (6, 7), (9, 40)]),
    st.sampled_from([1, 2, 3]),
    st.sampled_from([1, 2]),
    st.sampled_from([1, 2]),
    st.sampled_from([0, 1]),
    st.sampled_from([1, 2, 3]),
    st.sampled_from([1, 3, 4, 5]),
    st.sampled_from([1, 2, 9]),
    _BYTES,
    _BYTES,
    st.sampled_from(["none", "one", "filters"]),
)
def test_conv_integer(
    image: tuple[int, ...],
    kernel: int,
    stride: int,
    dilation: int,
    pad: int,
    group: int,
    channels: int,
    filters: int,
    left: Any,
    right: Any,
    zeros: str,
) -> None:
    rank = len(image)
    assume(all((kernel - 1) * dilation < size + 2 * pad for size in image))
    x = _integers((2, group * channels, *image), left)
    w = _integers((group * filters, channels, *(kernel,) * rank), right)
    zero_points = {"none": None, "one": _integers((), right), "filters": _integers((group * filters,), right)}
    _check(
        "ConvInteger", x, w, _integers((), left) if zeros != "none" else None, zero_points[zeros], constants=(1, 3),
        strides=(stride,) * rank, dilations=(dilation,) * rank, pads=(pad,) * 2 * rank, group=group,
    )  # fmt: skip


@_SETTINGS
@given(_BYTES, _BYTES, _BYTES, st.booleans(), st.booleans(), st.sampled_from(["VALID", "SAME_UPPER", "SAME_LOWER"]))
def test_qlinear_conv(left: Any, right: Any, result: Any, per_filter: bool, bias: bool, auto_pad: str) -> None:
    parameter = (11,) if per_filter else ()
    _check(
        "QLinearConv",
        _integers((1, 6, 10, 9), left),
        np.asarray(np.float32(0.02)),
        _integers((), left),
        _integers((11, 6, 3, 3), right),
        np.asarray(np.random.default_rng(0).random(parameter) * 0.01 + 0.001, np.float32),
        _integers(parameter, right),
        np.asarray(np.float32(0.05)),
        _integers((), result),
        np.arange(-500, 600, 100, dtype=np.int32) if bias else None,
        constants=(1, 2, 3, 4, 5, 6, 7, 8),
        auto_pad=auto_pad,
        strides=(2, 2),
    )


@pytest.mark.parametrize("group", [1, 40])
def test_more_than_one_block(group: int) -> None:
    x, w = _integers((1, 40, 30, 31), np.uint8), _integers((40, 40 // group, 3, 3), np.int8)
    _check("ConvInteger", x, w, np.asarray(np.uint8(3)), None, constants=(1,), pads=(1, 1, 1, 1), group=group)


def test_declines_what_is_not_compiled() -> None:
    x, w = _integers((1, 2, 3, 3, 3), np.uint8), _integers((2, 2, 1, 1, 1), np.int8)
    with pytest.raises(KernelDeclined, match="one or two spatial axes"):
        bind_and_run("ConvInteger", 10, x, w, constants=(1,))
