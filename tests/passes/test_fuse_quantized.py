"""Products of dequantized bytes become products of bytes, and mean the same."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.model import Graph, Node
from onnxlite.options import GraphOptimizationLevel

sys.path.append(str(Path(__file__).parents[1] / "graphs"))
from quantized_graphs import check, floats, graph, integers, node, operators, optimized

F = np.float32
_SETTINGS = settings(max_examples=25, deadline=None, derandomize=True)

#: x is quantized and dequantized, w is constant; what a test puts between reads a and b.
BEFORE = [
    node("QuantizeLinear", "x xs xz", "q"),
    node("DequantizeLinear", "q xs xz", "a"),
    node("DequantizeLinear", "w ws wz", "b", axis=1),
]
AFTER = [node("QuantizeLinear", "r ys yz", "s"), node("DequantizeLinear", "s ys yz", "y")]


def product(
    nodes: list[Node],
    shape: tuple[int, ...] = (5, 8),
    weights: tuple[int, ...] = (8, 6),
    outputs: str = "y",
    **constants: Any,
) -> Graph:
    given = {
        "xs": F(0.03),
        "xz": np.uint8(120),
        "w": integers(weights, np.int8),
        "ws": F(0.01),
        "wz": np.int8(0),
        "ys": F(0.2),
        "yz": np.uint8(100),
        "bias": floats((6,)),
        **constants,
    }
    return graph(nodes, {"x": (np.float32, shape)}, outputs, **given)


@pytest.mark.parametrize("result", [np.uint8, np.int8])
@pytest.mark.parametrize("per_column", [False, True])
def test_matmul_is_one_node_with_its_bias_and_quantization(result: Any, per_column: bool) -> None:
    between = [node("MatMul", "a b", "m"), node("Add", "bias m", "r")]
    scales = np.linspace(0.005, 0.02, 6, dtype=F) if per_column else F(0.01)
    zeros = np.zeros(6, np.int8) if per_column else np.int8(0)
    original = product([*BEFORE, *between, *AFTER], ws=scales, wz=zeros, yz=np.asarray(10, result))
    left = check(original, [floats((5, 8))], 0.2)
    assert left == ["DequantizeLinear", "QuantizeLinear", "QuantizedMatMul"]


def test_a_product_that_nothing_quantizes_is_float32() -> None:
    original = product([*BEFORE, node("MatMul", "a b", "y")])
    assert check(original, [floats((5, 8))], 0) == ["QuantizeLinear", "QuantizedMatMul"]


@pytest.mark.parametrize("transposed", [0, 1])
def test_gemm(transposed: int) -> None:
    weights = (6, 8) if transposed else (8, 6)
    between = [node("DequantizeLinear", "c cs", "d"), node("Gemm", "a b d", "r", transB=transposed)]
    bias = {"c": integers((6,), np.int16).astype(np.int32), "cs": F(0.0003)}
    original = product([*BEFORE, *between, *AFTER], weights=weights, **bias)
    assert "QuantizedMatMul" in check(original, [floats((5, 8))], 0.2)


@pytest.mark.parametrize("attributes", [{"alpha": 2.0}, {"beta": 0.5}, {"transA": 1}])
def test_other_gemms_stay(attributes: dict[str, Any]) -> None:
    shape = (8, 5) if "transA" in attributes else (5, 8)
    original = product([*BEFORE, node("Gemm", "a b bias", "r", **attributes), *AFTER], shape)
    assert "QuantizedMatMul" not in check(original, [floats(shape)], 0.2)


def test_weights_that_are_transposed_after_they_are_dequantized() -> None:
    before = [*BEFORE[:2], node("DequantizeLinear", "w ws wz", "v", axis=0), node("Transpose", "v", "b", perm=(1, 0))]
    scales, zeros = np.linspace(0.005, 0.02, 6, dtype=F), np.zeros(6, np.int8)
    original = product([*before, node("MatMul", "a b", "r"), *AFTER], weights=(6, 8), ws=scales, wz=zeros)
    assert check(original, [floats((5, 8))], 0.2) == ["DequantizeLinear", "QuantizeLinear", "QuantizedMatMul"]


def test_filters_that_are_transposed_after_they_are_dequantized() -> None:
    before = [*BEFORE[:2], node("DequantizeLinear", "w ws wz", "v", axis=3)]
    between = [node("Transpose", "v", "b", perm=(3, 2, 0, 1)), node("Conv", "a b", "r")]
    scales, zeros = np.linspace(0.005, 0.02, 6, dtype=F), np.zeros(6, np.int8)
    original = product([*before, *between, *AFTER], (1, 4, 5, 5), (2, 3, 4, 6), ws=scales, wz=zeros)
    assert "QuantizedConv" in check(original, [floats((1, 4, 5, 5))], 0.2)


def test_scales_along_the_depth_stay() -> None:
    before = [*BEFORE[:2], node("DequantizeLinear", "w ws wz", "b", axis=0)]
    scales, zeros = np.linspace(0.005, 0.02, 8, dtype=F), np.zeros(8, np.int8)
    original = product([*before, node("MatMul", "a b", "r"), *AFTER], ws=scales, wz=zeros)
    assert "QuantizedMatMul" not in check(original, [floats((5, 8))], 0.2)


@pytest.mark.parametrize(
    "between",
    [
        [node("MatMul", "a b", "m"), node("Relu", "m", "r")],
        [node("MatMul", "a b", "m"), node("Clip", "m low high", "r")],
        [node("MatMul", "a b", "m"), node("Relu", "m", "n"), node("Clip", "n _ high", "r")],
    ],
)
def test_limits_before_a_quantization_are_limits_of_its_integers(between: list[Node]) -> None:
    original = product([*BEFORE, *between, *AFTER], low=F(-3.3), high=F(4.7))
    left = check(original, [floats((5, 8)) * 3], 0.2)
    assert left == ["DequantizeLinear", "QuantizeLinear", "QuantizedMatMul"]


def test_limits_without_a_quantization_stay() -> None:
    original = product([*BEFORE, node("MatMul", "a b", "m"), node("Relu", "m", "y")])
    assert "QuantizedMatMul" in check(original, [floats((5, 8))], 0)


@pytest.mark.parametrize("name", ["m", "r"])
def test_values_that_must_remain_remain(name: str) -> None:
    between = [node("MatMul", "a b", "m"), node("Add", "bias m", "r")]
    original = product([*BEFORE, *between, *AFTER])
    assert "QuantizedMatMul" in check(original, [floats((5, 8))], 0.2, keep=name)


def test_a_second_reader_gets_the_floats() -> None:
    nodes = [*BEFORE, node("MatMul", "a b", "r"), node("Exp", "r", "z"), *AFTER]
    original = product(nodes, outputs="y z", xs=F(0.001))
    left = check(original, [floats((5, 8))], 0.2)
    assert "QuantizedMatMul" in left


@pytest.mark.parametrize("constants", [{"xz": np.uint16(120)}, {"wz": np.int16(0), "w": integers((8, 6), np.int16)}])
def test_wider_integers_stay(constants: dict[str, Any]) -> None:
    nodes = [node(n.op_type, " ".join(n.inputs), n.outputs[0], opset=21, **n.attributes) for n in BEFORE]
    original = product([*nodes, node("MatMul", "a b", "y")], **constants)
    assert "QuantizedMatMul" not in operators(optimized(original))


@pytest.mark.parametrize("scale", [0, -0.1, np.inf, np.nan])
def test_scales_that_are_none_stay(scale: float) -> None:
    original = product([*BEFORE, node("MatMul", "a b", "r"), *AFTER], ys=F(scale))
    after = optimized(original)
    assert [len(n.inputs) for n in after.nodes if n.op_type == "QuantizedMatMul"] == [6]
    assert "QuantizedMatMul" not in operators(optimized(product([*BEFORE, node("MatMul", "a b", "y")], ws=F(scale))))


def test_scales_that_only_a_run_knows_stay() -> None:
    original = product([*BEFORE, node("MatMul", "a b", "y")])
    inputs = {"x": (np.float32, (5, 8)), "xs": (np.float32, ())}
    constants = {name: array for name, array in original.initializers.items() if name != "xs"}
    assert "QuantizedMatMul" not in operators(optimized(graph(original.nodes, inputs, **constants)))


def test_products_of_two_values_of_the_run() -> None:
    nodes = [
        *BEFORE[:2],
        node("Transpose", "a", "t", perm=(0, 2, 1)),
        node("MatMul", "a t", "r"),
        *AFTER,
    ]
    left = check(product(nodes, (3, 5, 8)), [floats((3, 5, 8))], 0.2)
    assert left == ["DequantizeLinear", "QuantizeLinear", "QuantizedMatMul", "Transpose"]


CONV = [
    *BEFORE[:2],
    node("DequantizeLinear", "w ws wz", "b", axis=0),
    node("DequantizeLinear", "c cs cz", "d", axis=0),
]


@_SETTINGS
@given(st.data())
def test_convolutions(data: st.DataObject) -> None:
    rank, group = data.draw(st.integers(1, 3)), data.draw(st.sampled_from([1, 1, 2, 4]))
    channels, filters = (
        group * data.draw(st.sampled_from([1, 2, 3, 4, 8])),
        group * data.draw(st.sampled_from([1, 2, 3])),
    )
    kernel = tuple(data.draw(st.integers(1, 3)) for _ in range(rank))
    attributes = {
        "group": group,
        "pads": tuple(data.draw(st.integers(0, 2)) for _ in range(2 * rank)),
        "strides": tuple(data.draw(st.integers(1, 2)) for _ in range(rank)),
        "dilations": tuple(data.draw(st.integers(1, 2)) for _ in range(rank)),
    }
    left, right, result = (data.draw(st.sampled_from([np.uint8, np.int8])) for _ in range(3))
    relu = [node("Conv", "a b d", "m", **attributes), node("Relu", "m", "r")]
    between = data.draw(st.sampled_from([relu, [node("Conv", "a b d", "r", **attributes)]]))
    after = data.draw(st.sampled_from([AFTER, [node("Identity", "r", "y")]]))
    scales = np.linspace(0.005, 0.02, filters, dtype=F)
    zeros = np.zeros(filters, right) if data.draw(st.booleans()) else np.full(filters, 3, right)
    shape = (data.draw(st.integers(1, 2)), channels, *(data.draw(st.integers(5, 8)) for _ in range(rank)))
    original = product(
        [*CONV, *between, *after],
        shape,
        xz=np.asarray(20, left),
        w=integers((filters, channels // group, *kernel), right),
        ws=scales,
        wz=zeros,
        yz=np.asarray(30, result),
        c=integers((filters,), np.int16).astype(np.int32),
        cs=scales * F(0.03),
        cz=np.zeros(filters, np.int32),
    )
    assert "QuantizedConv" in check(original, [floats(shape)], 0.2 if after is AFTER else 0)


def test_convolutions_wait_for_the_layout() -> None:
    original = product([*BEFORE, node("Conv", "a b", "r"), *AFTER], (1, 2, 4, 4), (3, 2, 1, 1))
    assert "QuantizedConv" in operators(optimized(original))
    basic = optimized(original, level=GraphOptimizationLevel.ORT_ENABLE_EXTENDED)
    assert "QuantizedConv" not in operators(basic)
    assert "Conv" in operators(basic)


def test_qlinear_conv_takes_the_channels_last() -> None:
    names = "q xs xz w ws wz ys yz c"
    nodes = [BEFORE[0], node("QLinearConv", names, "s", pads=(1, 1, 1, 1)), AFTER[1]]
    bias = integers((6,), np.int16).astype(np.int32)
    original = product(
        nodes, (2, 8, 5, 6), (6, 8, 3, 3), c=bias, ws=np.linspace(0.01, 0.02, 6, dtype=F), wz=np.zeros(6, np.int8)
    )
    left = check(original, [floats((2, 8, 5, 6))], 0.2)
    assert left == ["DequantizeLinear", "QuantizeLinear", "QuantizedConv", "Transpose", "Transpose"]


def dynamic(op_type: str, addend: str = "bias", scale: str = "ws") -> list[Node]:
    return [
        node("DynamicQuantizeLinear", "x", "q qs qz"),
        node(op_type, "q w qz wz", "i"),
        node("Cast", "i", "f", to=1),
        node("Mul", f"qs {scale}", "t"),
        node("Mul", "f t", "m"),
        node("Add", f"m {addend}", "y"),
    ]


@pytest.mark.parametrize("scale", [F(0.01), np.linspace(0.005, 0.02, 6, dtype=F)])
def test_products_that_are_quantized_on_the_run(scale: Any) -> None:
    left = check(product(dynamic("MatMulInteger"), (2, 5, 8), ws=scale), [floats((2, 5, 8))], 0)
    assert left == ["DynamicQuantizeLinear", "QuantizedMatMul"]


def test_convolutions_that_are_quantized_on_the_run() -> None:
    original = product(dynamic("ConvInteger"), (1, 8, 5, 5), (6, 8, 3, 3), bias=floats((1, 6, 1, 1)))
    left = check(original, [floats((1, 8, 5, 5))], 0)
    assert left == ["DynamicQuantizeLinear", "QuantizedConv", "Transpose", "Transpose"]


def test_a_scale_of_another_axis_stays() -> None:
    original = product(dynamic("MatMulInteger"), (5, 8), ws=np.linspace(0.005, 0.02, 5, dtype=F)[:, None])
    assert "QuantizedMatMul" not in check(original, [floats((5, 8))], 0)


def test_sums_that_somebody_reads_stay() -> None:
    assert "MatMulInteger" in check(product(dynamic("MatMulInteger"), (5, 8)), [floats((5, 8))], 0, keep="i")
