"""The pass that gives products what follows them, for MatMul and Gemm."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.model import Graph, Node
from onnxlite.passes.fuse_product import fuse_product

sys.path.append(str(Path(__file__).parents[1] / "graphs"))
from image_graphs import assert_close, made, node, operators, results

NOISE = np.random.default_rng(5)


def noise(*shape: int) -> Any:
    return NOISE.standard_normal(shape).astype(np.float32)


X, Z = noise(2, 7, 6), noise(2, 7, 5)
CONSTANTS = {"w": noise(6, 5), "b": noise(5)}
PRODUCT = node("MatMul", ["x", "w"], ["c"])


def check(graph: Graph, outputs: Sequence[str], inputs: Mapping[str, Any], keep: Sequence[str] = ()) -> Graph:
    after = fuse_product(graph, frozenset([*outputs, *keep]), {})
    given = list(inputs.values())
    assert_close(results(after, outputs, given), results(graph, outputs, given), outputs)
    return after


def of(
    *nodes: Node, inputs: Mapping[str, Any] | None = None, outputs: Sequence[str] = ("y",), **constants: Any
) -> Graph:
    given = {"x": X, "z": Z} if inputs is None else inputs
    return check(made(nodes, list(given), outputs, {**CONSTANTS, **constants}, given), outputs, given)


#: What a product takes up: nodes after c, constants, and the attributes it has then.
TAKEN: dict[str, tuple[list[Node], dict[str, Any], dict[str, Any]]] = {
    "bias": ([node("Add", ["c", "b"], ["y"])], {}, {}),
    "bias, first": ([node("Add", ["k", "c"], ["y"])], {"k": noise(1, 1, 5)}, {}),
    "bias of all": ([node("Add", ["c", "k"], ["y"])], {"k": np.float32(2)}, {}),
    "subtrahend": ([node("Sub", ["c", "b"], ["y"])], {}, {}),
    "factor of all": ([node("Mul", ["c", "k"], ["y"])], {"k": np.float32([3])}, {"scale": 3.0}),
    "divisor of all": ([node("Div", ["c", "k"], ["y"])], {"k": np.float32(8)}, {"scale": 0.125}),
    "factor per column": ([node("Mul", ["b", "c"], ["y"])], {}, {}),
    "bias and factor": (
        [node("Add", ["c", "b"], ["d"]), node("Mul", ["d", "k"], ["y"])],
        {"k": np.float32(2)},
        {"scale": 2.0},
    ),
    "activation": ([node("Relu", ["c"], ["y"])], {}, {"activation": "Relu"}),
    "gelu": ([node("Add", ["b", "c"], ["d"]), node("Gelu", ["d"], ["y"], opset=20)], {}, {"activation": "Gelu"}),
    "residual": ([node("Add", ["z", "c"], ["y"])], {}, {}),
    "constant residual": ([node("Add", ["c", "k"], ["y"])], {"k": noise(2, 7, 5)}, {}),
    "activation and residual": (
        [node("Tanh", ["c"], ["t"]), node("Add", ["t", "z"], ["y"])],
        {},
        {"activation": "Tanh", "residual_last": 1},
    ),
    "all": (
        [
            node("Mul", ["c", "k"], ["d"]),
            node("Add", ["d", "b"], ["e"]),
            node("Add", ["z", "e"], ["f"]),
            node("Sigmoid", ["f"], ["y"]),
        ],
        {"k": np.float32(0.5)},
        {"activation": "Sigmoid", "scale": 0.5},
    ),
}


@pytest.mark.parametrize("taken", TAKEN)
def test_a_product_takes_up_what_follows_it(taken: str) -> None:
    nodes, constants, attributes = TAKEN[taken]
    (fused,) = of(PRODUCT, *nodes, **constants).nodes
    assert (fused.operator, fused.outputs) == ("onnxlite.MatMul", ("y",))
    assert dict(fused.attributes) == attributes


#: What it does not take up.
LEFT: dict[str, tuple[list[Node], dict[str, Any]]] = {
    "no rule": ([node("Exp", ["c"], ["y"])], {}),
    "two readers": ([node("Relu", ["c"], ["r"]), node("Add", ["r", "c"], ["y"])], {}),
    "a term per row": ([node("Add", ["c", "k"], ["y"])], {"k": noise(7, 1)}),
    "a term per item": ([node("Add", ["c", "k"], ["y"])], {"k": noise(2, 1, 1)}),
    "a factor per row": ([node("Mul", ["c", "k"], ["y"])], {"k": noise(7, 1)}),
    "more axes": ([node("Mul", ["c", "k"], ["y"])], {"k": noise(1, 1, 1, 1)}),
    "a quotient of a constant": ([node("Div", ["k", "c"], ["y"])], {"k": np.float32(2)}),
    "a quotient by zero": ([node("Div", ["c", "k"], ["y"])], {"k": np.float32(0)}),
    "a quotient by a tiny number": ([node("Div", ["c", "k"], ["y"])], {"k": np.float32(1e-40)}),
    "a quotient by a huge number": ([node("Div", ["c", "k"], ["y"])], {"k": np.float32(3e38)}),
    "a row": (
        [node("Slice", ["z", "zero", "one", "one"], ["s"]), node("Add", ["c", "s"], ["y"])],
        {"zero": np.array([0]), "one": np.array([1])},
    ),
    "a product with a value": ([node("Mul", ["c", "z"], ["y"])], {}),
    "more axes of a residual": (
        [node("Unsqueeze", ["z", "zero"], ["s"]), node("Add", ["c", "s"], ["y"])],
        {"zero": np.array([0])},
    ),
    "another domain": ([Node("Relu", ("c",), ("y",), domain="shielded:", opset=17)], {}),
}


@pytest.mark.parametrize("left", LEFT)
def test_what_it_cannot_do_is_left(left: str) -> None:
    nodes, constants = LEFT[left]
    given = {"x": X, "z": Z}
    graph = made([PRODUCT, *nodes], list(given), ["y"], {**CONSTANTS, **constants}, given)
    assert fuse_product(graph, frozenset(["y"]), {}).nodes == (PRODUCT, *nodes)


def test_other_types_are_left() -> None:
    nodes = [PRODUCT, node("Add", ["c", "b"], ["y"])]
    double = {name: array.astype(np.float64) for name, array in CONSTANTS.items()}
    after = of(*nodes, inputs={"x": X.astype(np.float64)}, **double)
    assert operators(after) == {"MatMul": 1, "Add": 1}


def test_values_of_unknown_type_are_left() -> None:
    nodes = [node("MatMul", ["x", "z"], ["c"]), node("Relu", ["c"], ["y"])]
    assert fuse_product(made(nodes, ["x", "z"], ["y"]), frozenset(["y"]), {}).nodes == tuple(nodes)


def test_a_product_of_two_values_takes_a_factor_and_a_residual_but_no_factor_per_column() -> None:
    given = {"x": X, "v": noise(2, 6, 5), "z": Z}
    product = node("MatMul", ["x", "v"], ["c"])
    scaled = [node("Div", ["c", "k"], ["d"]), node("Add", ["d", "z"], ["y"])]
    (fused,) = of(product, *scaled, inputs=given, k=np.float32(4)).nodes
    assert (fused.inputs, dict(fused.attributes)) == (("x", "v", "", "z"), {"scale": 0.25})
    assert operators(of(product, node("Mul", ["c", "b"], ["y"]), inputs=given)) == {"MatMul": 1, "Mul": 1}


def test_a_bias_of_a_product_whose_columns_are_unknown_is_left() -> None:
    nodes = [node("MatMul", ["x", "v"], ["c"]), node("Add", ["c", "b"], ["y"])]
    graph = made(nodes, ["x", "v"], ["y"], CONSTANTS, {"x": X})
    assert fuse_product(graph, frozenset(["y"]), {}).nodes == tuple(nodes)


def test_a_bias_of_a_product_of_unknown_rank_is_taken_if_it_gives_no_axis() -> None:
    for k, left in ((noise(5), 0), (noise(1), 0), (noise(1, 5), 1)):
        graph = made([PRODUCT, node("Add", ["c", "k"], ["y"])], ["x"], ["y"], {**CONSTANTS, "k": k})
        after = check(graph, ["y"], {"x": X})
        assert operators(after)["Add"] == left
        check(graph, ["y"], {"x": noise(6)})


def test_vectors() -> None:
    for x, w in ((noise(6), noise(6, 5)), (noise(3, 6), noise(6)), (noise(6), noise(6))):
        for k in (noise(1), np.float32(2), noise(w.shape[-1] if w.ndim > 1 else 1)):
            of(PRODUCT, node("Add", ["c", "k"], ["y"]), inputs={"x": x}, w=w, k=k)
            of(PRODUCT, node("Mul", ["c", "k"], ["y"]), inputs={"x": x}, w=w, k=k)


def test_outputs_remain() -> None:
    relu = node("Relu", ["c"], ["y"])
    assert of(PRODUCT, relu, outputs=["c", "y"]).nodes == (PRODUCT, relu)


def test_a_sum_of_two_products_goes_to_the_one_without_an_activation() -> None:
    nodes = [
        node("MatMul", ["x", "w"], ["c"]),
        node("Relu", ["c"], ["d"]),
        node("MatMul", ["x", "v"], ["e"]),
        node("Add", ["d", "e"], ["s"]),
        node("Relu", ["s"], ["y"]),
    ]
    assert operators(of(*nodes, v=noise(6, 5))) == {"onnxlite.MatMul": 2}


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.booleans(),
    st.booleans(),
    st.sampled_from([1.0, 0.5]),
    st.sampled_from([1.0, 2.0, 0.0]),
    st.sampled_from([None, (), (1,), (5,), (1, 5), (7, 1), (7, 5), (1, 1)]),
    st.booleans(),
)
def test_gemm(
    turned_a: bool, turned_b: bool, alpha: float, beta: float, c: tuple[int, ...] | None, constant: bool
) -> None:
    x = noise(6, 7) if turned_a else noise(7, 6)
    attributes = {"transA": int(turned_a), "transB": int(turned_b), "alpha": alpha, "beta": beta}
    inputs = ["x", "w"] if c is None else ["x", "w", "c"]
    nodes = [node("Gemm", inputs, ["g"], **attributes), node("Mul", ["g", "b"], ["m"]), node("Relu", ["m"], ["y"])]
    arrays = {"w": noise(5, 6) if turned_b else noise(6, 5)} | ({} if c is None else {"c": noise(*c)})
    constants = arrays if constant else {}
    given = {"x": x} | ({} if constant else arrays)
    graph = made(nodes, list(given), ["y"], {"b": CONSTANTS["b"], **constants}, given)
    after = check(graph, ["y"], given)
    simple = c is None or beta == 0 or (constant and c not in ((7, 1), (7, 5)))
    assert operators(after)["Gemm"] == (not (simple and constant))


def test_an_old_gemm_with_a_bias_is_left() -> None:
    nodes = [node("Gemm", ["x", "w", "b"], ["c"], opset=6, broadcast=1), node("Relu", ["c"], ["y"])]
    assert operators(of(*nodes, inputs={"x": noise(7, 6)})) == {"Gemm": 1, "Relu": 1}


def test_an_old_sum_with_axes_of_its_own_is_left() -> None:
    nodes = [PRODUCT, node("Add", ["c", "b"], ["y"], opset=6, broadcast=1)]
    assert operators(of(*nodes)) == {"MatMul": 1, "Add": 1}


@pytest.mark.parametrize("perm", [(0, 2, 1), (1, 2, 0), (2, 0, 1), (1, 0, 2)])
def test_a_transposed_left_operand_is_read_where_it_is(perm: tuple[int, ...]) -> None:
    nodes = [node("Transpose", ["x"], ["t"], perm=perm), node("MatMul", ["t", "v"], ["y"])]
    x = noise(*(int(n) for n in np.array((2, 7, 6))[list(np.argsort(perm))]))
    (fused,) = of(*nodes, inputs={"x": x}, v=noise(6, 5)).nodes
    assert (fused.operator, fused.inputs, dict(fused.attributes)) == ("onnxlite.MatMul", ("x", "v"), {"a_perm": perm})


def test_a_transposed_right_operand_is_read_where_its_rows_stay_rows() -> None:
    for perm, left in (((0, 2, 1, 3), 0), ((0, 2, 3, 1), 1)):
        v = noise(*(int(n) for n in np.array((2, 3, 6, 5))[list(np.argsort(perm))]))
        nodes = [
            node("Transpose", ["v"], ["t"], perm=perm),
            node("MatMul", ["x", "t"], ["c"]),
            node("Relu", ["c"], ["y"]),
        ]
        after = of(*nodes, inputs={"x": noise(2, 3, 7, 6), "v": v})
        assert operators(after) == {"onnxlite.MatMul": 1} | ({"Transpose": 1} if left else {})


def test_a_transposed_gemm_of_a_transposed_matrix() -> None:
    nodes = [node("Transpose", ["x"], ["t"], perm=(1, 0)), node("Gemm", ["t", "w", "b"], ["y"], transA=1)]
    (fused,) = of(*nodes, inputs={"x": noise(7, 6)}).nodes
    assert dict(fused.attributes) == {"a_perm": (0, 1)}


def test_a_transpose_that_others_read_or_that_is_kept_remains() -> None:
    turned = node("Transpose", ["x"], ["t"], perm=(0, 2, 1))
    product = node("MatMul", ["t", "v"], ["y"])
    for more, outputs in (([node("Neg", ["t"], ["n"])], ["y", "n"]), ([], ["y", "t"])):
        graph = made([turned, product, *more], ["x"], outputs, {"v": noise(7, 5)}, {"x": X})
        assert fuse_product(graph, frozenset(outputs), {}).nodes == (turned, product, *more)
    square = [node("Transpose", ["x"], ["t"], perm=(0, 2, 1)), node("MatMul", ["t", "t"], ["y"])]
    assert operators(of(*square, inputs={"x": noise(2, 4, 4)})) == {"Transpose": 1, "MatMul": 1}
