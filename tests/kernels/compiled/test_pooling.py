"""Compiled pools against the reference kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from onnxlite.conformance.compiled import KernelDeclined, bind_and_run
from onnxlite.conformance.differential import assert_same, kernel_outputs

FEW = settings(max_examples=40, deadline=None, derandomize=True)


def numbers(seed: int, shape: tuple[int, ...], dtype: Any, special: bool = False) -> Any:
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind != "f":
        return rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, shape).astype(dtype)
    x = rng.standard_normal(shape).astype(dtype)
    if special:
        odd = rng.random(shape) < 0.05
        x[odd] = rng.choice(np.array([np.nan, -np.nan, np.inf, -np.inf], dtype), size=int(odd.sum()))
    return x


@st.composite
def pools(draw: st.DrawFn, rank: int) -> tuple[tuple[int, ...], dict[str, Any]]:
    """An image's shape and the attributes of a pool whose windows fit it."""
    longest = {1: 70, 2: 40, 3: 9}[rank]
    kernel = tuple(draw(st.lists(st.integers(1, 5), min_size=rank, max_size=rank)))
    strides = tuple(draw(st.lists(st.integers(1, 4), min_size=rank, max_size=rank)))
    dilations = tuple(draw(st.lists(st.integers(1, 2), min_size=rank, max_size=rank)))
    pads = tuple(draw(st.integers(0, kernel[axis % rank] - 1)) for axis in range(2 * rank))
    image = tuple(draw(st.integers(1, longest)) for _ in range(rank))
    for axis in range(rank):
        assume((kernel[axis] - 1) * dilations[axis] + 1 <= image[axis] + pads[axis] + pads[rank + axis])
    attributes = {"kernel_shape": kernel, "strides": strides, "dilations": dilations, "pads": pads}
    attributes["ceil_mode"] = draw(st.integers(0, 1))
    return (draw(st.integers(1, 2)), draw(st.integers(1, 3)), *image), attributes


def check(op_type: str, version: int, x: Any, **attributes: Any) -> None:
    provided = {"output_count": 1} if op_type == "MaxPool" and version >= 8 else {}
    (expected, *_) = kernel_outputs(op_type, version, x, **attributes, **provided)
    for threads in (1, 2):
        (actual,) = bind_and_run(op_type, version, x, threads=threads, **attributes)
        assert_same(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rank", [1, 2, 3])
@FEW
@given(st.data(), st.booleans())
def test_max_pool(rank: int, data: st.DataObject, special: bool) -> None:
    shape, attributes = data.draw(pools(rank))
    check("MaxPool", 12, numbers(0, shape, np.float32, special), **attributes)


@pytest.mark.parametrize("rank", [1, 2, 3])
@FEW
@given(st.data(), st.integers(0, 1))
def test_average_pool(rank: int, data: st.DataObject, count_include_pad: int) -> None:
    shape, attributes = data.draw(pools(rank))
    check("AveragePool", 19, numbers(0, shape, np.float32), count_include_pad=count_include_pad, **attributes)


SQUARES = [(2, 2, 0), (3, 1, 1), (3, 2, 1), (3, 2, 0), (3, 3, 1), (5, 1, 2), (7, 2, 3)]


@pytest.mark.parametrize(("length", "stride", "pad"), SQUARES)
@pytest.mark.parametrize("width", [7, 14, 33])
def test_square_windows(length: int, stride: int, pad: int, width: int) -> None:
    x = numbers(1, (1, 2, 9, width), np.float32, special=True)
    attributes = {"kernel_shape": (length, length), "strides": (stride, stride), "pads": (pad,) * 4}
    check("MaxPool", 12, x, **attributes)
    check("AveragePool", 11, np.nan_to_num(x, posinf=1, neginf=-1), **attributes)


@pytest.mark.parametrize(("dtype", "stride"), [(np.float64, 2), (np.int8, 3), (np.uint8, 1)])
def test_other_types(dtype: Any, stride: int) -> None:
    for width in (7, 140):
        x = numbers(1, (1, 2, 9, width), dtype, special=True)
        check("MaxPool", 12, x, kernel_shape=(3, 3), strides=(stride, stride), pads=(1,) * 4)


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"])
@pytest.mark.parametrize("version", [1, 7, 8, 10, 11, 12, 19, 22])
def test_versions_and_automatic_padding(auto_pad: str, version: int) -> None:
    x = numbers(2, (1, 2, 11, 12), np.float32)
    attributes = {"kernel_shape": (3, 2), "strides": (2, 3), "auto_pad": auto_pad}
    if version in (1, 8, 10, 11, 12, 22):
        check("MaxPool", version, x, **attributes)
    if version in (1, 7, 10, 11, 19, 22):
        check("AveragePool", version, x, **attributes)


@pytest.mark.parametrize("op_type", ["GlobalAveragePool", "GlobalMaxPool"])
@pytest.mark.parametrize("shape", [(1, 3, 7, 7), (2, 5, 40), (1, 2, 3, 4, 5), (2, 3)])
def test_global_pools(op_type: str, shape: tuple[int, ...]) -> None:
    check(op_type, 1, numbers(3, shape, np.float32))


@pytest.mark.parametrize("op_type", ["AveragePool", "MaxPool"])
def test_one_window_for_all(op_type: str) -> None:
    check(op_type, 11, numbers(3, (2, 5, 7, 7), np.float32), kernel_shape=(7, 7))


def test_declines_what_it_does_not_serve() -> None:
    x = numbers(0, (1, 1, 4, 4), np.float32)
    for value, attributes in (
        (x.astype(np.uint8), {"kernel_shape": (2, 2), "output_count": 2}),
        (x.astype(np.float16), {"kernel_shape": (2, 2)}),
        (x, {"kernel_shape": (5, 5)}),
        (x, {"kernel_shape": (2,)}),
        (x[..., None, None], {"kernel_shape": (2, 2, 1, 1)}),
    ):
        with pytest.raises((KernelDeclined, ValueError)):
            bind_and_run("MaxPool", 12, value, **attributes)
