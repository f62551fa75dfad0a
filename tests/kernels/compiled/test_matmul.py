from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from onnxlite.conformance.compiled import KernelDeclined, bind_and_run
from onnxlite.conformance.differential import assert_same, kernel_outputs
from onnxlite.kernels.arrays import Array

_SETTINGS = settings(max_examples=40, deadline=None, derandomize=True)
_LENGTHS = st.sampled_from([1, 2, 3, 5, 8, 11, 12, 13, 31, 32, 33, 64, 70])


def _random(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def _check(op_type: str, version: int, *inputs: Array | None, constants: tuple[int, ...], **attributes: object) -> None:
    expected = kernel_outputs(op_type, version, *inputs, **attributes)
    for threads in (1, 2):
        actual = bind_and_run(op_type, version, *inputs, constants=constants, threads=threads, **attributes)
        assert_same(actual, expected, rtol=1e-4, atol=1e-4)


@_SETTINGS
@given(_LENGTHS, _LENGTHS, _LENGTHS, st.sampled_from([(), (0,), (1,), (0, 1)]))
def test_matrices(rows: int, depth: int, columns: int, constants: tuple[int, ...]) -> None:
    _check("MatMul", 13, _random(rows, depth), _random(depth, columns), constants=constants)


@pytest.mark.parametrize("constants", [(), (1,)])
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((5,), (5,)),
        ((5,), (5, 7)),
        ((7, 5), (5,)),
        ((3, 7, 5), (5,)),
        ((3, 7, 5), (5, 4)),
        ((5,), (3, 5, 7)),
        ((3, 1, 7, 5), (2, 5, 33)),
        ((1, 7, 5), (4, 5, 40)),
        ((4, 7, 5), (1, 5, 40)),
        ((7, 5), (2, 3, 5, 40)),
        ((2, 3, 1, 40), (2, 3, 40, 50)),
        ((1, 1, 3, 4), (1, 1, 1, 4, 2)),
    ],
)
def test_ranks_and_batches(a: tuple[int, ...], b: tuple[int, ...], constants: tuple[int, ...]) -> None:
    _check("MatMul", 13, _random(*a), _random(*b), constants=constants)


@pytest.mark.parametrize("constants", [(), (1,)])
@pytest.mark.parametrize("size", [(1, 1500, 700), (3, 1100, 37), (300, 520, 45), (200, 30, 600), (130, 600, 1)])
def test_more_than_one_block(size: tuple[int, int, int], constants: tuple[int, ...]) -> None:
    rows, depth, columns = size
    a, b = _random(rows, depth), _random(depth, columns)
    _check("MatMul", 1, a, b, constants=constants)
    one, two = (bind_and_run("MatMul", 1, a, b, constants=constants, threads=threads)[0] for threads in (1, 2))
    assert one.tobytes() == two.tobytes()


@pytest.mark.parametrize("constants", [(), (1,)])
@pytest.mark.parametrize("size", [(12, 1024, 40), (37, 2048, 45), (130, 1024, 700), (25, 3072, 1), (11, 1024, 32)])
def test_left_rows_at_a_distance_that_suits_no_cache(size: tuple[int, int, int], constants: tuple[int, ...]) -> None:
    rows, depth, columns = size
    _check("MatMul", 13, _random(rows, depth), _random(depth, columns), constants=constants)


@pytest.mark.parametrize("columns", [1, 5, 40])
@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize("constants", [(), (1,)])
def test_infinities_and_nan_stay_in_their_rows_and_columns(rows: int, columns: int, constants: tuple[int, ...]) -> None:
    a, b = _random(rows, 6), _random(6, columns)
    a[0, 2], b[3, columns - 1], b[4, 0] = np.inf, -np.inf, np.nan
    _check("MatMul", 13, a, b, constants=constants)


@_SETTINGS
@given(
    st.sampled_from([1, 5, 13, 32]),
    st.sampled_from([1, 6, 33]),
    st.sampled_from([1, 7, 32, 45]),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["none", "matrix", "row", "vector", "column", "one", "scalar"]),
    st.sampled_from([(), (1,), (1, 2), (2,)]),
    st.sampled_from([(1.0, 1.0), (0.5, 1.0), (1.0, 0.25), (2.0, 3.0), (1.0, 0.0)]),
    st.sampled_from([7, 9, 11, 13]),
)
def test_gemm(
    rows: int,
    depth: int,
    columns: int,
    transposed_a: bool,
    transposed_b: bool,
    addend: str,
    constants: tuple[int, ...],
    factors: tuple[float, float],
    version: int,
) -> None:
    a = _random(depth, rows) if transposed_a else _random(rows, depth)
    b = _random(columns, depth) if transposed_b else _random(depth, columns)
    shapes = {"matrix": (rows, columns), "row": (1, columns), "vector": (columns,), "column": (rows, 1), "one": (1,)}
    c = None if addend == "none" else _random(*shapes.get(addend, ()))
    assume(c is None or c.size > 1 or rows * columns == 1 or 2 in constants)
    _check(
        "Gemm", version, a, b, c, constants=tuple(i for i in constants if i < 2 or c is not None),
        alpha=factors[0], beta=factors[1], transA=int(transposed_a), transB=int(transposed_b),
    )  # fmt: skip


def test_old_gemm_broadcasts_only_when_told_to() -> None:
    a, b, c = _random(3, 4), _random(4, 5), _random(5)
    _check("Gemm", 6, a, b, c, constants=(1, 2), broadcast=1)
    with pytest.raises(KernelDeclined):
        bind_and_run("Gemm", 6, a, b, c, constants=(1, 2))


ACTIVATIONS: list[dict[str, Any]] = [
    *(
        {"activation": name}
        for name in ("", "Relu", "Sigmoid", "Tanh", "HardSwish", "Swish", "Gelu", "GeluTanh", "Mish")
    ),
    *({"activation": name} for name in ("Mish", "LeakyRelu", "HardSigmoid", "Elu", "Softplus")),
    {"activation": "LeakyRelu", "alpha": 0.3},
    {"activation": "Clip", "alpha": -0.5, "beta": 1.25},
    {"activation": "HardSigmoid", "alpha": 0.3, "beta": 0.4},
    {"activation": "Swish", "alpha": 1.702},
    {"activation": "Elu", "alpha": 0.5},
]


def _check_fused(*inputs: Array | None, **attributes: Any) -> None:
    """Compare a fused product with the reference, its operands constant or not."""
    (expected,) = kernel_outputs("MatMul", 1, *inputs, domain="onnxlite", **attributes)
    for constants in ((), (1, 2), (0, 3)):
        given = tuple(i for i in constants if i < len(inputs) and inputs[i] is not None)
        (actual,) = bind_and_run("MatMul", 1, *inputs, constants=given, domain="onnxlite", **attributes)
        assert_same(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
@pytest.mark.parametrize("columns", [1, 10, 45])
def test_fused(activation: dict[str, Any], columns: int) -> None:
    a, b = _random(2, 13, 20), _random(20, columns)
    bias, residual = _random(columns), _random(2, 13, columns)
    for addends in ((None, None), (bias, None), (None, residual), (bias, residual)):
        for last in (0, 1):
            _check_fused(a, b, *addends, **activation, residual_last=last)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_fused_activations_of_special_numbers(activation: dict[str, Any]) -> None:
    a = np.array([[np.inf, -np.inf, np.nan, 0, -0.0, 1e30, -1e30, 1e-40, -87, 88, -104]], np.float32).T
    _check_fused(a, np.ones((1, 16), np.float32), **activation)


@st.composite
def _stacks(draw: st.DrawFn) -> tuple[Array, Array, dict[str, Any]]:
    """Two stacks of matrices, perhaps transposed, that fit after the transposition."""
    rows, depth, columns = (draw(_LENGTHS) for _ in range(3))
    batch = draw(st.sampled_from([(), (1,), (3,), (2, 3), (2, 1)]))
    shapes = (*batch, rows, depth), (*(n if draw(st.booleans()) else 1 for n in batch), depth, columns)
    if draw(st.booleans()):
        shapes = shapes[0], shapes[1][-2:]
    arrays, attributes = [], {}
    for name, shape in zip(("a_perm", "b_perm"), shapes, strict=True):
        perm = draw(st.sampled_from([None, *permutations(range(len(shape)))]))
        order = range(len(shape)) if perm is None else perm
        stored = [0] * len(shape)
        for axis, source in enumerate(order):
            stored[source] = shape[axis]
        arrays.append(_random(*stored))
        attributes |= {} if perm is None else {name: perm}
    return arrays[0], arrays[1], attributes


@settings(max_examples=150, deadline=None, derandomize=True)
@given(_stacks(), st.sampled_from([1.0, 0.125]), st.booleans(), st.booleans())
def test_transposed_operands(
    stacks: tuple[Array, Array, dict[str, Any]], scale: float, with_bias: bool, with_residual: bool
) -> None:
    a, b, attributes = stacks
    (product,) = kernel_outputs("MatMul", 1, a, b, domain="onnxlite", **attributes)
    bias = _random(product.shape[-1]) if with_bias else None
    residual = _random(*product.shape) if with_residual else None
    _check_fused(a, b, bias, residual, scale=scale, **attributes)


@pytest.mark.parametrize(
    ("shapes", "attributes"),
    [
        (((3, 4), (4, 5), (4,), None), {}),
        (((3, 4), (4, 5), (1, 5), None), {}),
        (((3, 4), (4,), (3,), None), {}),
        (((3, 4), (4, 5), None, (1, 5)), {}),
        (((3, 4), (4, 5), None, (1, 3, 5)), {}),
        (((3, 4), (4, 5), None, None), {"a_perm": (0, 1, 2)}),
        (((3, 4), (4, 5), None, None), {"activation": "Exp"}),
    ],
)
def test_what_does_not_fit_is_declined(shapes: tuple[Any, ...], attributes: dict[str, Any]) -> None:
    inputs = [None if shape is None else _random(*shape) for shape in shapes]
    with pytest.raises(KernelDeclined):
        bind_and_run("MatMul", 1, *inputs, domain="onnxlite", **attributes)
