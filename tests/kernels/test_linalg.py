"""Matrix products, Einsum and Det against onnxruntime and NumPy without its shortcuts."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.differential import assert_same, kernel_outputs, node_model, onnxruntime_outputs

FLOATS = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]
WIDE_INTEGERS = [np.int32, np.int64, np.uint32, np.uint64]
SMALL_INTEGERS = [np.int8, np.uint8, np.int16, np.uint16]


def values(shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).integers(0, 7, shape).astype(dtype)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    batch_a=st.lists(st.sampled_from([1, 2]), max_size=2),
    batch_b=st.lists(st.sampled_from([1, 2]), max_size=2),
    sizes=st.tuples(st.integers(0, 4), st.integers(1, 4), st.integers(0, 4)),
    vector_a=st.booleans(),
    vector_b=st.booleans(),
    opset=st.sampled_from([7, 9, 13]),
)
def test_matmul_like_onnxruntime(batch_a, batch_b, sizes, vector_a, vector_b, opset):
    rows, inner, columns = sizes
    a = values((inner,) if vector_a else (*batch_a, rows, inner))
    b = values((inner,) if vector_b else (*batch_b, inner, columns), seed=1)
    model = node_model("MatMul", [a, b], opset=opset)
    version = {7: 1}.get(opset, opset)
    assert_same(list(kernel_outputs("MatMul", version, a, b)), onnxruntime_outputs(model, [a, b]))


@pytest.mark.parametrize("dtype", FLOATS + WIDE_INTEGERS)
def test_matmul_of_every_type(dtype):
    a, b = values((2, 3, 4), dtype), values((4, 5), dtype, 1)
    expected = (a.astype(np.int64) @ b.astype(np.int64)).astype(dtype)
    assert_same(kernel_outputs("MatMul", 13, a, b)[0], expected)


def test_integer_products_wrap():
    a = np.full((1, 2), 2**31, np.uint32)
    assert_same(kernel_outputs("MatMul", 13, a, np.full((2, 1), 3, np.uint32))[0], np.zeros((1, 1), np.uint32))


def test_half_precision_products_sum_in_single_precision():
    ones = np.ones((1, 4096), np.float16)
    assert_same(kernel_outputs("MatMul", 13, ones, ones.T)[0], np.array([[4096]], np.float16))


@pytest.mark.parametrize(("a", "b"), [((2, 3), (2, 3)), ((3,), (2,)), ((), (2, 2)), ((2, 3), (3, 2, 3)), ((2, 2), ())])
def test_factors_that_do_not_fit_are_an_error(a, b):
    with pytest.raises(ValueError, match="as many columns in A as rows in B"):
        kernel_outputs("MatMul", 13, values(a), values(b))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    sizes=st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4)),
    shape_c=st.sampled_from([None, "", "1", "n", "1n", "m1", "11", "mn"]),
    trans_a=st.integers(0, 1),
    trans_b=st.integers(0, 1),
    factors=st.sampled_from([{}, {"alpha": 0.5, "beta": 2.0}, {"beta": 0.0}]),
    opset=st.sampled_from([7, 9, 11, 13]),
)
def test_gemm_like_onnxruntime(sizes, shape_c, trans_a, trans_b, factors, opset):
    m, k, n = sizes
    a = values((k, m) if trans_a else (m, k))
    b = values((n, k) if trans_b else (k, n), seed=1)
    inputs = [a, b]
    if shape_c is not None:
        inputs.append(values(tuple({"m": m, "n": n, "1": 1}[letter] for letter in shape_c), seed=2))
    elif opset < 11:
        return
    attributes = {"transA": trans_a, "transB": trans_b, **factors}
    model = node_model("Gemm", inputs, opset=opset, **attributes)
    assert_same(list(kernel_outputs("Gemm", opset, *inputs, **attributes)), onnxruntime_outputs(model, inputs))


@pytest.mark.parametrize("dtype", FLOATS + WIDE_INTEGERS)
def test_gemm_of_every_type(dtype):
    a, b, c = values((2, 3), dtype), values((3, 4), dtype, 1), values((4,), dtype, 2)
    expected = 2 * (a.astype(np.int64) @ b.astype(np.int64)) + 3 * c.astype(np.int64)
    assert_same(kernel_outputs("Gemm", 13, a, b, c, alpha=2.0, beta=3.0)[0], expected.astype(dtype))


@pytest.mark.parametrize("version", [1, 6])
def test_old_gemm_broadcasts_only_where_told(version):
    a, b, c = values((2, 3)), values((3, 4), seed=1), values((4,), seed=2)
    assert_same(kernel_outputs("Gemm", version, a, b, c, broadcast=1)[0], a @ b + c)
    assert_same(kernel_outputs("Gemm", version, a, b, np.stack([c, c]))[0], a @ b + c)
    with pytest.raises(ValueError, match=r"the shape \(2, 4\), or broadcast=1, got \(4,\)"):
        kernel_outputs("Gemm", version, a, b, c)


def test_gemm_does_not_grow_to_the_shape_of_c():
    with pytest.raises(ValueError, match="broadcast"):
        kernel_outputs("Gemm", 13, values((1, 3)), values((3, 4)), values((2, 4)))
    with pytest.raises(ValueError, match="two matrices"):
        kernel_outputs("Gemm", 13, values((3,)), values((3, 4)))


EQUATIONS = [
    ("ij->ji", [(2, 3)]),
    ("ij", [(2, 3)]),
    ("ba", [(2, 3)]),
    ("ii->i", [(3, 3)]),
    ("ii", [(3, 3)]),
    ("...ij->...i", [(2, 3, 4)]),
    ("i,j->ij", [(2,), (3,)]),
    ("i,i", [(3,), (3,)]),
    ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]),
    ("bij, bjk", [(2, 3, 4), (2, 4, 5)]),
    ("bhid,bhjd->bhij", [(2, 2, 3, 4), (2, 2, 5, 4)]),
    ("...ij,...jk->...ik", [(2, 1, 3, 4), (1, 3, 4, 5)]),
    ("ij,ij->", [(2, 3), (2, 3)]),
    ("ijk,k->ij", [(2, 3, 4), (4,)]),
    ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 2)]),
    ("iji,jk->k", [(2, 3, 2), (3, 4)]),
    ("abc,d->dab", [(2, 3, 4), (2,)]),
    ("i,i->i", [(1,), (3,)]),
    (",i->i", [(), (3,)]),
]


@pytest.mark.parametrize(("equation", "shapes"), EQUATIONS)
def test_einsum_like_onnxruntime(equation, shapes):
    inputs = [values(shape, seed=seed) for seed, shape in enumerate(shapes)]
    actual = kernel_outputs("Einsum", 12, *inputs, equation=equation)
    assert_same(list(actual), onnxruntime_outputs(node_model("Einsum", inputs, opset=12, equation=equation), inputs))


@pytest.mark.parametrize(("equation", "shapes"), [*EQUATIONS, ("aB", [(2, 3)]), ("AbC,bCd", [(2, 3, 4), (3, 4, 5)])])
@pytest.mark.parametrize("dtype", FLOATS + WIDE_INTEGERS + SMALL_INTEGERS)
def test_einsum_of_every_type(equation, shapes, dtype):
    inputs = [values(shape, dtype, seed) for seed, shape in enumerate(shapes)]
    expected = np.einsum(equation, *(x.astype(np.int64) for x in inputs), optimize=False)
    actual = kernel_outputs("Einsum", 28, *inputs, equation=equation)[0]
    assert_same(actual, expected.astype(dtype), rtol=1e-2 if np.dtype(dtype).itemsize == 2 else 1e-6)


def test_an_equation_that_does_not_fit_is_an_error():
    for equation, operands in [
        ("ij,jk->ik", [values((2, 3))]),
        ("ij->ik", [values((2, 3))]),
        ("ij->i", [values((2,))]),
    ]:
        with pytest.raises(ValueError, match=r"\w"):
            kernel_outputs("Einsum", 12, *operands, equation=equation)


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (2, 4, 4), (2, 3, 2, 2)])
def test_det_like_onnxruntime(shape):
    x = values(shape) + 5 * np.eye(shape[-1], dtype=np.float32)
    assert_same(
        list(kernel_outputs("Det", 11, x)), onnxruntime_outputs(node_model("Det", [x], opset=11), [x]), rtol=1e-4
    )


@pytest.mark.parametrize("dtype", FLOATS)
def test_det_of_every_type(dtype):
    x = np.array([[2, 1], [3, 4]], dtype)
    assert_same(kernel_outputs("Det", 22, x)[0], np.array(5, dtype))
    assert_same(kernel_outputs("Det", 22, np.zeros((0, 2, 2), dtype))[0], np.zeros(0, dtype))


@pytest.mark.parametrize("shape", [(3,), (2, 3)])
def test_det_needs_square_matrices(shape):
    with pytest.raises(ValueError, match="square matrices"):
        kernel_outputs("Det", 22, values(shape))


def test_views_give_what_their_copies_give():
    view = values((4, 6, 5))[::2, ::-1].transpose(2, 1, 0)
    for x in (view, view.copy()):
        assert_same(kernel_outputs("MatMul", 13, x, x.transpose(0, 2, 1))[0], np.einsum("bij,bkj->bik", view, view))
