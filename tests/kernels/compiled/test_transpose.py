"""Compiled Transpose, DepthToSpace and SpaceToDepth against the reference kernels."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.compiled import KernelDeclined, bind_and_run, bound_kernel
from onnxlite.conformance.differential import assert_same, kernel_outputs
from onnxlite.kernels.numba.spec import View

FEW = settings(max_examples=100, deadline=None, derandomize=True)

TYPES = [np.float32, np.uint8, np.bool_, np.complex128]


def numbers(shape: tuple[int, ...], dtype: Any) -> Any:
    return np.random.default_rng(0).integers(0, 100, shape).astype(dtype)


def check(op_type: str, version: int, x: Any, **attributes: Any) -> None:
    (expected,) = kernel_outputs(op_type, version, x, **attributes)
    for threads in (1, 2):
        (actual,) = bind_and_run(op_type, version, x, threads=threads, **attributes)
        assert_same(actual, expected, rtol=0, atol=0)


@FEW
@given(st.lists(st.sampled_from([1, 2, 3, 4, 5, 16, 17]), min_size=0, max_size=5), st.data(), st.sampled_from(TYPES))
def test_any_order_of_axes(shape: list[int], data: st.DataObject, dtype: Any) -> None:
    perm = tuple(data.draw(st.permutations(range(len(shape)))))
    check("Transpose", 13, numbers(tuple(shape), dtype), perm=perm)


@pytest.mark.parametrize("perm", list(itertools.permutations(range(4))))
def test_every_order_of_four_axes(perm: tuple[int, ...]) -> None:
    check("Transpose", 1, numbers((3, 17, 5, 34), np.float32), perm=perm)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.int64])
@pytest.mark.parametrize("rows", [2, 3, 4, 15, 33])
@pytest.mark.parametrize("columns", [3, 47])
def test_matrices(dtype: Any, rows: int, columns: int) -> None:
    check("Transpose", 13, numbers((2, rows, columns), dtype), perm=(0, 2, 1))


def test_long_narrow_matrices_and_many_pieces() -> None:
    check("Transpose", 13, numbers((2, 20_001, 3), np.float32), perm=(0, 2, 1))
    check("Transpose", 13, numbers((3, 20_001), np.float32))
    check("Transpose", 13, numbers((7, 300, 200), np.float32), perm=(2, 0, 1))


def test_axes_of_length_one_cost_nothing() -> None:
    for shape, perm in (((1, 5, 1, 7), (2, 1, 3, 0)), ((3, 1), (1, 0)), ((0, 4), (1, 0)), ((), ())):
        assert isinstance(bound_kernel("Transpose", 13, np.zeros(shape, np.float32), perm=perm), View)


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
@pytest.mark.parametrize("blocksize", [1, 2, 3])
def test_blocks(mode: str, blocksize: int) -> None:
    x = numbers((2, 2 * blocksize**2, 5, 7), np.float32)
    check("DepthToSpace", 13, x, blocksize=blocksize, mode=mode)
    check("DepthToSpace", 1, x, blocksize=blocksize)
    y = numbers((2, 3, 2 * blocksize, 3 * blocksize), np.float32)
    check("SpaceToDepth", 28, y, blocksize=blocksize, mode=mode)
    check("SpaceToDepth", 13, y, blocksize=blocksize)


def test_declines_what_it_does_not_serve() -> None:
    declined: list[tuple[Any, tuple[int, ...]]] = [
        (np.array([["a", "b"], ["c", "d"]], object), (1, 0)),
        (numbers((2, 3), np.float16), (1, 0)),
        (numbers((2, 3), np.float32), (0, 0)),
        (numbers((2,) * 8, np.float32), (7, 6, 5, 4, 3, 2, 1, 0)),
    ]
    for x, perm in declined:
        with pytest.raises((KernelDeclined, ValueError)):
            bind_and_run("Transpose", 13, x, perm=perm)
