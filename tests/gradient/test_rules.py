"""Every gradient rule against central finite differences in float64, of the first and the second order."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxlite.errors import NotImplemented
from onnxlite.gradient.rules import operators_with_rules

sys.path.append(str(Path(__file__).parents[1] / "graphs"))
from gradient_models import Differentiated, between, distinct, integers


@dataclass(frozen=True)
class Case:
    """Nodes that compute ``y``; the inputs that are not floating-point numbers, or not in ``xs``, are constants."""

    text: str
    feeds: dict[str, np.ndarray]
    opset: int = 18
    xs: tuple[str, ...] = ()
    ranked: bool = False

    def differentiated(self, shapes: str) -> Differentiated:
        return Differentiated(self.text, self.feeds, self.xs, opset=self.opset, shapes=shapes)


def case(text: str, opset: int = 18, xs: str = "", ranked: bool = False, **feeds: np.ndarray) -> Case:
    return Case(text, feeds, opset, tuple(xs.split()), ranked)


SMALL, UNIT, ABOVE, SIGNED = between(0.3, 2.0), between(-0.9, 0.9), between(1.2, 3.0), between(-2.0, 2.0)

UNARY = {
    "Abs": SIGNED, "Exp": SIGNED, "Log": SMALL, "Sqrt": SMALL, "Reciprocal": SMALL, "Neg": SIGNED, "Sin": SIGNED,
    "Cos": SIGNED, "Tan": UNIT, "Asin": UNIT, "Acos": UNIT, "Atan": SIGNED, "Sinh": SIGNED, "Cosh": SIGNED,
    "Asinh": SIGNED, "Acosh": ABOVE, "Atanh": UNIT, "Erf": SIGNED, "Tanh": SIGNED, "Sigmoid": SIGNED,
    "Softplus": SIGNED, "Softsign": SIGNED, "LeakyRelu": SIGNED, "Elu": SIGNED, "Selu": SIGNED, "Relu": SIGNED,
    "HardSigmoid": SIGNED, "ThresholdedRelu": SIGNED, "Celu": SIGNED, "HardSwish": SIGNED, "Mish": SIGNED,
    "Shrink": SIGNED, "Identity": SIGNED, "Floor": SIGNED, "Sign": SIGNED,
}  # fmt: skip

CASES: dict[str, Case] = {f"{name}": case(f"y = {name} (x)", x=draw(2, 3)) for name, draw in UNARY.items()}
CASES |= {
    "Gelu": case("y = Gelu (x)", opset=20, x=SIGNED(2, 3)),
    "Gelu-tanh": case('y = Gelu <approximate = "tanh"> (x)', opset=20, x=SIGNED(2, 3)),
    "Elu-alpha": case("y = Elu <alpha = 0.5> (x)", x=SIGNED(2, 3)),
    "Clip-bounds": case("y = Clip (x, low, high)", x=distinct(3, 3), low=np.array(-1.1), high=np.array(0.7)),
    "Clip-6": case("y = Clip <min = -1.05, max = 0.55> (x)", opset=6, x=distinct(3, 3)),
    "PRelu": case("y = PRelu (x, slope)", x=SIGNED(2, 3, 4), slope=SIGNED(3, 1)),
    "Add": case("y = Add (a, b)", a=SIGNED(2, 3), b=SIGNED(4, 1, 3)),
    "Sub": case("y = Sub (a, b)", a=SIGNED(2, 1), b=SIGNED(1, 3)),
    "Mul": case("y = Mul (a, b)", a=SIGNED(2, 3), b=SIGNED()),
    "Mul-square": case("y = Mul (a, a)", a=SIGNED(2, 3)),
    "Div": case("y = Div (a, b)", a=SIGNED(2, 3), b=SMALL(3)),
    "Pow": case("y = Pow (a, b)", a=SMALL(2, 3), b=SIGNED(3)),
    "Pow-integers": case("y = Pow (a, b)", a=SIGNED(2, 3), b=np.array([3, 2, 1])),
    "Mod": case("y = Mod <fmod = 1> (a, b)", a=between(5.1, 5.9)(2, 3), b=between(1.01, 1.2)(3)),
    "Sum": case("y = Sum (a, b, c)", a=SIGNED(2, 3), b=SIGNED(3), c=SIGNED(2, 1)),
    "Mean": case("y = Mean (a, b)", a=SIGNED(2, 3), b=SIGNED(3)),
    "Max": case("y = Max (a, b, c)", a=distinct(3, 4), b=distinct(4) + 0.01, c=distinct(3, 1) - 0.02),
    "Min": case("y = Min (a, b)", a=distinct(3, 4), b=distinct(3, 1) + 0.01),
    "Where": case("y = Where (c, a, b)", c=integers(2)(3, 4) > 0, a=SIGNED(4), b=SIGNED(3, 1)),
    "Cast": case("z = Cast <to = 11> (x) y = Mul (z, x)", x=SIGNED(3)),
    "CastLike": case("z = CastLike (x, x) y = Mul (z, x)", x=SIGNED(3)),
    "Dropout-inference": case("y = Dropout (x)", x=SIGNED(3)),
    "Reshape": case("s = Constant <value = int64[2] {3, -1}> () y = Reshape (x, s)", x=SIGNED(2, 3, 2)),
    "Flatten": case("y = Flatten (x)", x=SIGNED(2, 3, 2)),
    "Squeeze": case("s = Constant <value = int64[1] {1}> () y = Squeeze (x, s)", x=SIGNED(2, 1, 2)),
    "Squeeze-11": case("y = Squeeze <axes = [1]> (x)", opset=11, x=SIGNED(2, 1, 2)),
    "Unsqueeze": case("s = Constant <value = int64[1] {-1}> () y = Unsqueeze (x, s)", x=SIGNED(2, 2)),
    "Transpose": case("y = Transpose <perm = [2, 0, 1]> (x)", x=SIGNED(2, 3, 4)),
    "Transpose-reversed": case("y = Transpose (x)", x=SIGNED(2, 3, 4)),
    "Expand": case("s = Constant <value = int64[3] {2, 3, 4}> () y = Expand (x, s)", x=SIGNED(3, 1)),
    "Trilu": case("k = Constant <value = int64 {1}> () y = Trilu <upper = 0> (x, k)", x=SIGNED(2, 3, 4)),
    "Concat": case("y = Concat <axis = -1> (a, b, a)", a=SIGNED(2, 3), b=SIGNED(2, 1)),
    "Split": case("s = Constant <value = int64[2] {1, 2}> () a, b = Split <axis = 1> (x, s) y = Mul (a, b)",
                  x=SIGNED(2, 3)),
    "Split-one": case("a, y = Split <num_outputs = 2> (x)", x=SIGNED(3, 2)),
    "Split-11": case("a, b = Split <axis = 1> (x) y = Mul (a, b)", opset=11, x=SIGNED(2, 4)),
    "Pad": case("p = Constant <value = int64[4] {1, -1, 0, 2}> () y = Pad (x, p, v)", x=SIGNED(2, 3), v=SIGNED()),
    "Pad-axes": case("p = Constant <value = int64[2] {1, 2}> () a = Constant <value = int64[1] {-1}> () "
                     "n = Constant <value = double {0}> () y = Pad (x, p, n, a)", x=SIGNED(2, 3)),
    "Pad-reflect": case('p = Constant <value = int64[4] {1, 2, 0, 1}> () y = Pad <mode = "reflect"> (x, p)',
                        x=SIGNED(2, 3)),
    "Pad-2": case("y = Pad <pads = [1, 0, 0, 2]> (x)", opset=2, x=SIGNED(2, 3)),
    "Slice": case("s = Constant <value = int64[2] {-1, 0}> () e = Constant <value = int64[2] {-9, 5}> () "
                  "a = Constant <value = int64[2] {0, 2}> () t = Constant <value = int64[2] {-2, 3}> () "
                  "y = Slice (x, s, e, a, t)", x=SIGNED(4, 2, 6)),
    "Slice-1": case("y = Slice <starts = [1], ends = [3], axes = [1]> (x)", opset=1, x=SIGNED(2, 4)),
    "Tile": case("r = Constant <value = int64[2] {2, 3}> () y = Tile (x, r)", x=SIGNED(2, 2)),
    "Gather": case("y = Gather (x, i)", x=SIGNED(4, 3), i=np.array([[0, -1], [2, 0]])),
    "Gather-scalar": case("y = Gather (x, i)", x=SIGNED(4, 3), i=np.array(2)),
    "Gather-axis": case("y = Gather <axis = 1> (x, i)", x=SIGNED(2, 4, 2), i=np.array([3, 1, 3])),
    "GatherElements": case("y = GatherElements <axis = 1> (x, i)", x=SIGNED(2, 4), i=np.array([[1, 1, -1]])),
    "GatherND": case("y = GatherND (x, i)", x=SIGNED(3, 2, 2), i=np.array([[0, 1], [2, -1], [0, 1]])),
    "GatherND-batch": case("y = GatherND <batch_dims = 1> (x, i)", x=SIGNED(2, 3, 2), i=np.array([[1], [0]])),
    "Compress": case("y = Compress <axis = 1> (x, c)", x=SIGNED(2, 4), c=np.array([True, False, True])),
    "DepthToSpace": case("y = DepthToSpace <blocksize = 2> (x)", x=SIGNED(1, 8, 2, 1)),
    "SpaceToDepth": case("y = SpaceToDepth <blocksize = 2> (x)", x=SIGNED(1, 2, 2, 4)),
    "ReverseSequence": case("y = ReverseSequence (x, n)", x=SIGNED(4, 3), n=np.array([1, 3, 4])),
    "CenterCropPad": case("y = CenterCropPad <axes = [1]> (x, n)", x=SIGNED(2, 5), n=np.array([3])),
    "Resize": case('s = Constant <value = float[4] {1, 1, 2, 1.5}> () '
                   'y = Resize <mode = "nearest"> (x, , s)', x=SIGNED(1, 2, 2, 4)),
    "Upsample": case('s = Constant <value = float[4] {1, 1, 2, 3}> () y = Upsample (x, s)', opset=9,
                     x=SIGNED(1, 2, 2, 2)),
    "ScatterElements": case("y = ScatterElements <axis = 1> (x, i, u)", x=SIGNED(2, 4), i=np.array([[1, -1], [0, 2]]),
                            u=SIGNED(2, 2)),
    "Scatter": case("y = Scatter (x, i, u)", opset=10, x=SIGNED(3, 2), i=np.array([[1, 0]]), u=SIGNED(1, 2)),
    "ScatterElements-add": case('y = ScatterElements <reduction = "add"> (x, i, u)', x=SIGNED(3, 2),
                                i=np.array([[1, 0], [1, 2]]), u=SIGNED(2, 2)),
    "ScatterND": case("y = ScatterND (x, i, u)", x=SIGNED(4, 2), i=np.array([[1], [3]]), u=SIGNED(2, 2)),
    "ScatterND-add": case('y = ScatterND <reduction = "add"> (x, i, u)', x=SIGNED(4, 2), i=np.array([[1], [1]]),
                          u=SIGNED(2, 2)),
    "TopK": case("k = Constant <value = int64[1] {2}> () y, i = TopK <axis = 0> (x, k)", x=distinct(4, 3)),
    "CumSum": case("a = Constant <value = int64 {1}> () y = CumSum <exclusive = 1> (x, a)", x=SIGNED(2, 4)),
    "Softmax": case("y = Softmax <axis = 1> (x)", x=SIGNED(2, 3, 2)),
    "Softmax-11": case("y = Softmax <axis = 1> (x)", opset=11, x=SIGNED(2, 3, 2)),
    "LogSoftmax": case("y = LogSoftmax (x)", x=SIGNED(2, 3)),
    "LogSoftmax-1": case("y = LogSoftmax (x)", opset=1, x=SIGNED(2, 3, 2)),
    "MatMul": case("y = MatMul (a, b)", a=SIGNED(2, 3), b=SIGNED(3, 4)),
    "MatMul-batch": case("y = MatMul (a, b)", a=SIGNED(2, 1, 2, 3), b=SIGNED(4, 3, 2)),
    "MatMul-shared": case("y = MatMul (a, b)", a=SIGNED(2, 2, 3), b=SIGNED(3, 2)),
    "MatMul-row": case("y = MatMul (a, b)", a=SIGNED(3), b=SIGNED(2, 3, 4)),
    "MatMul-column": case("y = MatMul (a, b)", a=SIGNED(2, 2, 3), b=SIGNED(3)),
    "MatMul-vectors": case("y = MatMul (a, b)", a=SIGNED(3), b=SIGNED(3)),
    "Gemm": case("y = Gemm (a, b, c)", a=SIGNED(2, 3), b=SIGNED(3, 4), c=SIGNED(4)),
    "Gemm-tt": case("y = Gemm <transA = 1, transB = 1, alpha = 0.5, beta = 2.0> (a, b, c)", a=SIGNED(3, 2),
                    b=SIGNED(4, 3), c=SIGNED(2, 1)),
    "Gemm-tn": case("y = Gemm <transA = 1> (a, b)", a=SIGNED(3, 2), b=SIGNED(3, 4)),
    "Gemm-nt": case("y = Gemm <transB = 1> (a, b)", a=SIGNED(2, 3), b=SIGNED(4, 3)),
    "Einsum": case('y = Einsum <equation = "bij,bjk->bik"> (a, b)', a=SIGNED(2, 3, 2), b=SIGNED(2, 2, 2)),
    "Einsum-implicit": case('y = Einsum <equation = "ij,jk"> (a, b)', a=SIGNED(3, 2), b=SIGNED(2, 2)),
    "Einsum-ellipsis": case('y = Einsum <equation = "...i,i...->..."> (a, b)', a=SIGNED(3, 2), b=SIGNED(2, 3)),
    "Einsum-sum": case('y = Einsum <equation = "ijk->j"> (a)', a=SIGNED(2, 3, 2)),
    "Einsum-three": case('y = Einsum <equation = "i,ij,j->"> (a, b, c)', a=SIGNED(2), b=SIGNED(2, 3), c=SIGNED(3)),
    "GlobalAveragePool": case("y = GlobalAveragePool (x)", x=SIGNED(2, 2, 3, 2)),
    "GlobalMaxPool": case("y = GlobalMaxPool (x)", x=distinct(2, 2, 3, 2)),
    "GlobalLpPool": case("y = GlobalLpPool <p = 3> (x)", x=SIGNED(2, 2, 3, 2)),
    "LpPool": case("y = LpPool <kernel_shape = [2, 2], p = 3> (x)", x=SMALL(1, 2, 3, 4)),
    "BatchNormalization": case("y = BatchNormalization (x, s, b, m, v)", ranked=True, x=SIGNED(2, 3, 2), s=SIGNED(3),
                               b=SIGNED(3), m=SIGNED(3), v=SMALL(3)),
    "BatchNormalization-9": case("y = BatchNormalization <epsilon = 0.1> (x, s, b, m, v)", opset=9, ranked=True,
                                 x=SIGNED(2, 3), s=SIGNED(3), b=SIGNED(3), m=SIGNED(3), v=SMALL(3)),
    "BatchNormalization-training": case("y, m2, v2 = BatchNormalization <training_mode = 1> (x, s, b, m, v)",
                                        ranked=True, x=SIGNED(3, 2, 2), s=SIGNED(2), b=SIGNED(2), m=SIGNED(2),
                                        v=SMALL(2), xs="x s b"),
    "InstanceNormalization": case("y = InstanceNormalization (x, s, b)", ranked=True, x=SIGNED(2, 3, 4), s=SIGNED(3),
                                  b=SIGNED(3)),
    "LayerNormalization": case("y = LayerNormalization <stash_type = 11> (x, s, b)", ranked=True, x=SIGNED(2, 4),
                               s=SIGNED(4), b=SIGNED(4)),
    "GroupNormalization": case("y = GroupNormalization <num_groups = 2, stash_type = 11> (x, s, b)", opset=21,
                               ranked=True, x=SIGNED(2, 4, 3), s=SIGNED(4), b=SIGNED(4)),
    "RMSNormalization": case("y = RMSNormalization <stash_type = 11> (x, s)", opset=23, ranked=True,
                             x=SIGNED(2, 4), s=SIGNED(4)),
    "MeanVarianceNormalization": case("y = MeanVarianceNormalization (x)", x=SIGNED(2, 2, 2, 3)),
    "LpNormalization": case("y = LpNormalization <axis = 0> (x)", x=SIGNED(3, 2)),
    "LpNormalization-1": case("y = LpNormalization <p = 1> (x)", x=SIGNED(2, 3)),
    "LRN": case("y = LRN <size = 3, alpha = 0.5> (x)", x=SIGNED(1, 5, 2, 2)),
    "LRN-even": case("y = LRN <size = 4, alpha = 0.5, bias = 2.0> (x)", x=SIGNED(2, 5, 3)),
    "NegativeLogLikelihoodLoss": case("y = NegativeLogLikelihoodLoss (x, i, w)", ranked=True, x=SIGNED(3, 4),
                                      i=np.array([0, 3, 1]), w=SMALL(4), xs="x"),
    "SoftmaxCrossEntropyLoss": case("y = SoftmaxCrossEntropyLoss (x, i)", ranked=True, x=SIGNED(3, 4),
                                    i=np.array([0, 3, 1])),
    "SoftmaxCrossEntropyLoss-ignored": case('y = SoftmaxCrossEntropyLoss <ignore_index = 3, reduction = "none"> (x, i)',
                                            ranked=True, x=SIGNED(2, 4, 2), i=np.array([[0, 3], [1, 2]])),
    "Attention": case("y = Attention (q, k, v)", opset=23, ranked=True, q=SIGNED(1, 2, 3, 4), k=SIGNED(1, 2, 2, 4),
                      v=SIGNED(1, 2, 2, 3)),
    "network": case(
        "c = Conv <pads = [1, 1, 1, 1]> (x, w, b) r = Tanh (c) "
        "p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (r) f = Flatten (p) y = Gemm <transB = 1> (f, v)",
        ranked=True, x=SIGNED(2, 1, 4, 4), w=SIGNED(2, 1, 3, 3), b=SIGNED(2), v=SIGNED(3, 8)),
}  # fmt: skip

REDUCTIONS = {
    "ReduceSum": SIGNED, "ReduceMean": SIGNED, "ReduceMax": distinct, "ReduceMin": distinct, "ReduceProd": SIGNED,
    "ReduceL1": SIGNED, "ReduceL2": SIGNED, "ReduceLogSum": SMALL, "ReduceLogSumExp": SIGNED, "ReduceSumSquare": SIGNED,
}  # fmt: skip

for _name, _draw in REDUCTIONS.items():
    _axes = "a = Constant <value = int64[2] {0, -1}> () "
    CASES |= {
        _name: case(f"y = {_name} (x)", x=_draw(2, 3)),
        f"{_name}-axes": case(f"{_axes} y = {_name} <keepdims = 0> (x, a)", x=_draw(2, 3, 2)),
        f"{_name}-kept": case(f"{_axes} y = {_name} <keepdims = 1> (x, a)", x=_draw(2, 3, 2)),
        f"{_name}-11": case(f"y = {_name} <axes = [1], keepdims = 0> (x)", opset=11, x=_draw(2, 3)),
        f"{_name}-all": case(f"y = {_name} <keepdims = 0> (x)", x=_draw(2, 3)),
    }

WINDOWS = {
    "plain": "",
    "pads": "pads = [1, 0, 2, 1]",
    "strides": "strides = [2, 3]",
    "dilations": "dilations = [2, 1], pads = [1, 1, 1, 1]",
    "all": "strides = [2, 2], dilations = [1, 2], pads = [0, 1, 1, 2]",
    "upper": 'auto_pad = "SAME_UPPER", strides = [2, 1]',
    "lower": 'auto_pad = "SAME_LOWER", strides = [2, 3]',
    "valid": 'auto_pad = "VALID", strides = [1, 2]',
}

for _name, _attributes in WINDOWS.items():
    _more = f", {_attributes}" if _attributes else ""
    _conv = {"x": SIGNED(2, 4, 5, 6), "b": SIGNED(2)}
    _transposed = {"x": SIGNED(2, 4, 3, 2), "w": SIGNED(4, 1, 2, 3)}
    CASES |= {
        f"Conv-{_name}": case(f"y = Conv <group = 1{_more}> (x, w, b)", ranked=True, **_conv, w=SIGNED(2, 4, 2, 3)),
        f"Conv-{_name}-grouped": case(f"y = Conv <group = 2{_more}> (x, w)", ranked=True, x=SIGNED(1, 4, 5, 6),
                                      w=SIGNED(2, 2, 3, 2)),
        f"ConvTranspose-{_name}": case(f"y = ConvTranspose <group = 1{_more}> (x, w)", ranked=True, **_transposed),
        f"ConvTranspose-{_name}-grouped": case(f"y = ConvTranspose <group = 2{_more}> (x, w, b)", ranked=True,
                                               **_transposed, b=SIGNED(2)),
        f"AveragePool-{_name}": case(f"y = AveragePool <kernel_shape = [3, 2]{_more}> (x)", opset=19,
                                     x=SIGNED(1, 2, 5, 6)),
        f"AveragePool-{_name}-included": case(
            f"y = AveragePool <kernel_shape = [3, 2], count_include_pad = 1{_more}> (x)", opset=19,
            x=SIGNED(2, 1, 5, 6)),
        f"MaxPool-{_name}": case(f"y = MaxPool <kernel_shape = [3, 2]{_more}> (x)", x=distinct(1, 2, 5, 6)),
    }  # fmt: skip

CASES |= {
    "AveragePool-ceil": case("y = AveragePool <kernel_shape = [3], strides = [3], pads = [1, 1], ceil_mode = 1> (x)",
                             x=SIGNED(1, 2, 6)),
    "AveragePool-ceil-included": case("y = AveragePool <kernel_shape = [3], strides = [3], pads = [1, 1], "
                                      "ceil_mode = 1, count_include_pad = 1> (x)", x=SIGNED(1, 2, 6)),
    "MaxPool-ceil": case("y = MaxPool <kernel_shape = [2], strides = [2], ceil_mode = 1> (x)", x=distinct(1, 2, 5)),
    "MaxPool-indices": case("y, i = MaxPool <kernel_shape = [2], strides = [2]> (x)", x=distinct(1, 2, 6)),
    "MaxPool-1": case("y = MaxPool <kernel_shape = [2], strides = [2]> (x)", opset=1, x=distinct(1, 2, 6)),
    "Conv-1d": case("y = Conv <strides = [2], pads = [1, 1]> (x, w)", ranked=True, x=SIGNED(2, 3, 6),
                    w=SIGNED(2, 3, 3)),
    "Conv-depthwise": case("y = Conv <group = 3> (x, w)", ranked=True, x=SIGNED(2, 3, 6), w=SIGNED(6, 1, 3)),
    "ConvTranspose-padding": case("y = ConvTranspose <strides = [3], output_padding = [2], pads = [1, 0]> (x, w)",
                                  ranked=True, x=SIGNED(1, 2, 3), w=SIGNED(2, 2, 3)),
    "ConvTranspose-shape": case("y = ConvTranspose <strides = [2], output_shape = [6]> (x, w)", ranked=True,
                                x=SIGNED(1, 2, 3), w=SIGNED(2, 2, 3)),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        (name, shapes)
        for name, example in CASES.items()
        for shapes in ("known", "symbols", "unknown")
        if example.ranked or shapes != "symbols"
    ],
)
def test_agrees_with_finite_differences(name: str, shapes: str) -> None:
    example = CASES[name]
    differentiated = example.differentiated(shapes)
    if shapes == "unknown" and example.ranked:
        try:
            differentiated.session()
        except NotImplemented as error:
            assert "unknown rank" in str(error)  # noqa: PT017 - a rule may also do without the rank
            return
    differentiated.check()


@pytest.mark.parametrize("name", CASES)
def test_the_gradient_of_the_gradient_agrees_too(name: str) -> None:
    CASES[name].differentiated("known").check_second_order()


def test_every_rule_has_a_case() -> None:
    text = " ".join(example.text for example in CASES.values())
    assert [name for name in operators_with_rules() if f" {name} " not in text] == []


@pytest.mark.parametrize(
    ("text", "feeds"),
    [
        ('y = Resize <mode = "linear"> (x, , s)', {"x": SIGNED(1, 1, 2, 2), "s": np.ones(4, np.float32)}),
        ('y = Einsum <equation = "ii->i"> (x)', {"x": SIGNED(2, 2)}),
        ("y = Det (x)", {"x": SIGNED(2, 2)}),
    ],
)
def test_what_has_no_rule_is_named(text: str, feeds: dict[str, Any]) -> None:
    operator = text.split()[2]
    with pytest.raises(NotImplemented, match=f"gradient.* {operator}"):
        Differentiated(text, feeds, ("x",)).session()
