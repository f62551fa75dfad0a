"""Small graphs, one or few operators each, in the shapes that models have them; in ONNX's text format.

Inputs whose names begin with ``w`` are constants of the model, random numbers; the others are fed.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import numpy_helper, parser, shape_inference

from benchmarks.feeds import random_array

OPSET, IR_VERSION = 21, 10


def _convolution(channels: str, image: str, weights: str, attributes: str, operator: str = "Conv") -> str:
    return (
        f"(float[1,{channels},{image}] x, float[{weights}] w, float[N] w_bias) => (y)"
        f" {{ y = {operator}<{attributes}>(x, w, w_bias) }}"
    )


def _product(left: str, right: str) -> str:
    return f"(float[{left}] x, float[{right}] w) => (y) {{ y = MatMul(x, w) }}"


def _unary(shape: str, expression: str) -> str:
    return f"(float[{shape}] x) => (y) {{ y = {expression} }}"


def _recurrence(operator: str, gates: int, size: int, hidden: int, steps: int, directions: int = 1) -> str:
    d, direction = directions, "bidirectional" if directions == 2 else "forward"
    inputs = (
        f"float[{steps},1,{size}] x, float[{d},{gates * hidden},{size}] w, float[{d},{gates * hidden},{hidden}] w_r"
    )
    return (
        f"({inputs}, float[{d},{2 * gates * hidden}] w_b) => (y)"
        f' {{ y = {operator}<hidden_size={hidden}, direction="{direction}">(x, w, w_r, w_b) }}'
    )


_SCALES = "s = Constant<value = float {0.02}>() z = Constant<value = uint8 {128}>() t = Constant<value = int8 {0}>()"
_TEN_STEPS = " ".join(f"h{i + 1} = {'Mul' if i % 2 else 'Add'}(h{i}, w)" for i in range(1, 9))
_MANY_TINY = " ".join(f"h{i + 1} = Add(h{i}, w)" for i in range(1, 49))

CASES: Mapping[str, Mapping[str, str]] = {
    "convolution": {
        "conv_7x7_stride2_3to64_224": _convolution(
            "3", "224,224", "64,3,7,7", "kernel_shape=[7,7], strides=[2,2], pads=[3,3,3,3]"
        ),
        "conv_3x3_64_56": _convolution("64", "56,56", "64,64,3,3", "pads=[1,1,1,1]"),
        "conv_3x3_128_28": _convolution("128", "28,28", "128,128,3,3", "pads=[1,1,1,1]"),
        "conv_3x3_256_14": _convolution("256", "14,14", "256,256,3,3", "pads=[1,1,1,1]"),
        "conv_3x3_512_7": _convolution("512", "7,7", "512,512,3,3", "pads=[1,1,1,1]"),
        "conv_3x3_stride2_64to128_56": _convolution("64", "56,56", "128,64,3,3", "pads=[1,1,1,1], strides=[2,2]"),
        "conv_3x3_dilated_64_28": _convolution("64", "28,28", "64,64,3,3", "pads=[2,2,2,2], dilations=[2,2]"),
        "conv_3x3_32groups_128_28": _convolution("128", "28,28", "128,4,3,3", "pads=[1,1,1,1], group=32"),
        "conv_1x1_64to256_56": _convolution("64", "56,56", "256,64,1,1", "kernel_shape=[1,1]"),
        "conv_1x1_1024to256_14": _convolution("1024", "14,14", "256,1024,1,1", "kernel_shape=[1,1]"),
        "conv_1x1_2048to512_7": _convolution("2048", "7,7", "512,2048,1,1", "kernel_shape=[1,1]"),
        "conv_depthwise_3x3_144_56": _convolution("144", "56,56", "144,1,3,3", "pads=[1,1,1,1], group=144"),
        "conv_depthwise_3x3_stride2_96_112": _convolution(
            "96", "112,112", "96,1,3,3", "pads=[1,1,1,1], strides=[2,2], group=96"
        ),
        "conv_depthwise_5x5_672_14": _convolution("672", "14,14", "672,1,5,5", "pads=[2,2,2,2], group=672"),
        "conv_depthwise_3x3_960_7": _convolution("960", "7,7", "960,1,3,3", "pads=[1,1,1,1], group=960"),
        "conv_1d_3_384_3000": _convolution("80", "3000", "384,80,3", "pads=[1,1]"),
        "conv_3d_3x3x3_16_16": _convolution("16", "16,16,16", "16,16,3,3,3", "pads=[1,1,1,1,1,1]"),
        "conv_transpose_2x2_stride2_64_40": _convolution(
            "64", "40,40", "64,64,2,2", "kernel_shape=[2,2], strides=[2,2]", "ConvTranspose"
        ),
        "conv_3x3_residual_relu_64_56": (
            "(float[1,64,56,56] x, float[1,64,56,56] r, float[64,64,3,3] w, float[64] w_b) => (y)"
            " { c = Conv<pads=[1,1,1,1]>(x, w, w_b) d = Add(c, r) y = Relu(d) }"
        ),
        "conv_1x1_silu_64_80": (
            "(float[1,64,80,80] x, float[64,64,1,1] w, float[64] w_b) => (y)"
            " { c = Conv(x, w, w_b) d = Sigmoid(c) y = Mul(c, d) }"
        ),
    },
    "matrix product": {
        "matmul_1x768x3072": _product("1,1,768", "768,3072"),
        "matmul_1x768x50257": _product("1,1,768", "768,50257"),
        "matmul_16x768x768": _product("1,16,768", "768,768"),
        "matmul_128x768x768": _product("1,128,768", "768,768"),
        "matmul_128x768x3072": _product("1,128,768", "768,3072"),
        "matmul_128x3072x768": _product("1,128,3072", "3072,768"),
        "matmul_512x512x512": _product("512,512", "512,512"),
        "matmul_1024x1024x1024": _product("1024,1024", "1024,1024"),
        "matmul_variable_12x128x64x128": ("(float[1,12,128,64] x, float[1,12,64,128] v) => (y) { y = MatMul(x, v) }"),
        "matmul_variable_6x1500x64x1500": ("(float[1,6,1500,64] x, float[1,6,64,1500] v) => (y) { y = MatMul(x, v) }"),
        "gemm_1x2048x1000": (
            "(float[1,2048] x, float[1000,2048] w, float[1000] w_b) => (y) { y = Gemm<transB=1>(x, w, w_b) }"
        ),
        "matmul_bias_gelu_128x768x3072": (
            "(float[1,128,768] x, float[768,3072] w, float[3072] w_b) => (y)"
            ' { m = MatMul(x, w) b = Add(m, w_b) y = Gelu<approximate="none">(b) }'
        ),
    },
    "attention": {
        "softmax_12x128x128": _unary("1,12,128,128", "Softmax<axis=-1>(x)"),
        "softmax_12x197x197": _unary("1,12,197,197", "Softmax<axis=-1>(x)"),
        "softmax_1x1000": _unary("1,1000", "Softmax<axis=-1>(x)"),
        "softmax_axis1_4x16x8400": _unary("4,16,8400", "Softmax<axis=1>(x)"),
        "attention_12x128x64": (
            "(float[1,12,128,64] q, float[1,12,64,128] k, float[1,12,128,64] v, float[1,1,1,128] m) => (y)"
            " { c = Constant<value = float {8.0}>() s = MatMul(q, k) d = Div(s, c) e = Add(d, m)"
            " p = Softmax<axis=-1>(e) y = MatMul(p, v) }"
        ),
    },
    "normalisation": {
        "layer_norm_128x768": (
            "(float[1,128,768] x, float[768] w, float[768] w_b) => (y) { y = LayerNormalization(x, w, w_b) }"
        ),
        "layer_norm_1500x384": (
            "(float[1,1500,384] x, float[384] w, float[384] w_b) => (y) { y = LayerNormalization(x, w, w_b) }"
        ),
        "layer_norm_1x768": (
            "(float[1,1,768] x, float[768] w, float[768] w_b) => (y) { y = LayerNormalization(x, w, w_b) }"
        ),
        "group_norm_32_128_28": (
            "(float[1,128,28,28] x, float[128] w, float[128] w_b) => (float[1,128,28,28] y)"
            " { y = GroupNormalization<num_groups=32>(x, w, w_b) }"
        ),
        "instance_norm_64_56": (
            "(float[1,64,56,56] x, float[64] w, float[64] w_b) => (y) { y = InstanceNormalization(x, w, w_b) }"
        ),
        "lrn_64_56": _unary("1,64,56,56", "LRN<size=5>(x)"),
    },
    "elementwise": {
        "add_1m": "(float[1000000] x, float[1000000] r) => (y) { y = Add(x, r) }",
        "add_bias_128x3072": "(float[1,128,3072] x, float[3072] w) => (y) { y = Add(x, w) }",
        "mul_channels_240_28": "(float[1,240,28,28] x, float[1,240,1,1] r) => (y) { y = Mul(x, r) }",
        "relu_1m": _unary("1000000", "Relu(x)"),
        "sigmoid_1m": _unary("1000000", "Sigmoid(x)"),
        "tanh_1m": _unary("1000000", "Tanh(x)"),
        "exp_1m": _unary("1000000", "Exp(x)"),
        "erf_1m": _unary("1000000", "Erf(x)"),
        "sqrt_abs_1m": "(float[1000000] x) => (y) { a = Abs(x) y = Sqrt(a) }",
        "hard_swish_1m": _unary("1000000", "HardSwish(x)"),
        "gelu_in_steps_128x3072": (
            "(float[1,128,3072] x) => (y) { r = Constant<value = float {1.41421356}>()"
            " one = Constant<value = float {1.0}>() half = Constant<value = float {0.5}>()"
            " d = Div(x, r) e = Erf(d) a = Add(e, one) m = Mul(x, a) y = Mul(m, half) }"
        ),
        "silu_64_80": "(float[1,64,80,80] x) => (y) { s = Sigmoid(x) y = Mul(x, s) }",
        "chain_of_10_100k": f"(float[100000] x, float[1] w) => (y) {{ h1 = Add(x, w) {_TEN_STEPS} y = Add(h9, w) }}",
        "where_less_1m": "(float[1000000] x, float[1000000] r) => (y) { c = Less(x, r) y = Where(c, x, r) }",
        "50_tiny_additions": f"(float[10] x, float[10] w) => (y) {{ h1 = Add(x, w) {_MANY_TINY} y = Add(h49, w) }}",
    },
    "reduction": {
        "reduce_mean_last_1500x384": (
            "(float[1,1500,384] x) => (y) { a = Constant<value = int64[1] {-1}>() y = ReduceMean(x, a) }"
        ),
        "reduce_sum_first_1000x1000": (
            "(float[1000,1000] x) => (y) { a = Constant<value = int64[1] {0}>() y = ReduceSum(x, a) }"
        ),
        "reduce_max_80x8400": (
            "(float[1,8400,80] x) => (y) { a = Constant<value = int64[1] {2}>() y = ReduceMax(x, a) }"
        ),
        "argmax_1x50257": _unary("1,50257", "ArgMax<axis=-1>(x)"),
        "top_k_300_of_8400": (
            "(float[1,8400] x) => (y, i) { k = Constant<value = int64[1] {300}>() y, i = TopK(x, k) }"
        ),
        "cumsum_1000x1000": ("(float[1000,1000] x) => (y) { a = Constant<value = int64 {1}>() y = CumSum(x, a) }"),
    },
    "pooling": {
        "max_pool_3x3_stride2_64_112": _unary(
            "1,64,112,112", "MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(x)"
        ),
        "max_pool_5x5_128_20": _unary("1,128,20,20", "MaxPool<kernel_shape=[5,5], pads=[2,2,2,2]>(x)"),
        "average_pool_3x3_192_28": _unary("1,192,28,28", "AveragePool<kernel_shape=[3,3], pads=[1,1,1,1]>(x)"),
        "global_average_pool_2048_7": _unary("1,2048,7,7", "GlobalAveragePool(x)"),
        "global_average_pool_96_112": _unary("1,96,112,112", "GlobalAveragePool(x)"),
    },
    "movement": {
        "transpose_heads_128x12x64": _unary("1,128,12,64", "Transpose<perm=[0,2,1,3]>(x)"),
        "transpose_keys_12x128x64": _unary("1,12,128,64", "Transpose<perm=[0,1,3,2]>(x)"),
        "transpose_to_channels_last_64_56": _unary("1,64,56,56", "Transpose<perm=[0,2,3,1]>(x)"),
        "concat_channels_128_40": ("(float[1,128,40,40] x, float[1,128,40,40] r) => (y) { y = Concat<axis=1>(x, r) }"),
        "concat_cache_12x128x64": ("(float[1,12,128,64] x, float[1,12,1,64] r) => (y) { y = Concat<axis=2>(x, r) }"),
        "split_3_128x2304": ("(float[1,128,2304] x) => (a, b, c) { a, b, c = Split<axis=2, num_outputs=3>(x) }"),
        "slice_step2_64_112": (
            "(float[1,64,112,112] x) => (y) { b = Constant<value = int64[2] {0, 0}>()"
            " e = Constant<value = int64[2] {112, 112}>() a = Constant<value = int64[2] {2, 3}>()"
            " s = Constant<value = int64[2] {2, 2}>() y = Slice(x, b, e, a, s) }"
        ),
        "gather_rows_128_of_8192x768": "(int64[1,128] i, float[8192,768] w) => (y) { y = Gather(w, i) }",
        "pad_64_56": (
            "(float[1,64,56,56] x) => (y) { p = Constant<value = int64[8] {0, 0, 1, 1, 0, 0, 1, 1}>() y = Pad(x, p) }"
        ),
        "resize_nearest_2x_128_40": (
            "(float[1,128,40,40] x) => (y) { s = Constant<value = float[4] {1.0, 1.0, 2.0, 2.0}>()"
            ' y = Resize<mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor">(x, , s) }'
        ),
        "resize_linear_2x_64_56": (
            "(float[1,64,56,56] x) => (y) { s = Constant<value = float[4] {1.0, 1.0, 2.0, 2.0}>()"
            ' y = Resize<mode="linear">(x, , s) }'
        ),
        "depth_to_space_64_56": _unary("1,64,56,56", "DepthToSpace<blocksize=2>(x)"),
        "cast_float_to_int64_1m": _unary("1000000", "Cast<to=7>(x)"),
    },
    "recurrence": {
        "lstm_1x64to128": _recurrence("LSTM", 4, 64, 128, 1),
        "lstm_100x128to128": _recurrence("LSTM", 4, 128, 128, 100),
        "lstm_both_ways_100x128to128": _recurrence("LSTM", 4, 128, 128, 100, 2),
        "gru_100x128to128": _recurrence("GRU", 3, 128, 128, 100),
    },
    "quantization": {
        "quantize_1m": f"(float[1000000] x) => (y) {{ {_SCALES} y = QuantizeLinear(x, s, z) }}",
        "dequantize_1m": f"(uint8[1000000] x) => (y) {{ {_SCALES} y = DequantizeLinear(x, s, z) }}",
        "dynamic_quantize_128x768": "(float[1,128,768] x) => (y, s, z) { y, s, z = DynamicQuantizeLinear(x) }",
        "matmul_integer_128x768x768": (
            f"(uint8[1,128,768] x, int8[768,768] w) => (y) {{ {_SCALES} y = MatMulInteger(x, w, z) }}"
        ),
        "conv_integer_3x3_64_56": (
            f"(uint8[1,64,56,56] x, int8[64,64,3,3] w) => (y) {{ {_SCALES} y = ConvInteger<pads=[1,1,1,1]>(x, w, z) }}"
        ),
        "qlinear_conv_3x3_64_56": (
            f"(uint8[1,64,56,56] x, int8[64,64,3,3] w) => (y)"
            f" {{ {_SCALES} y = QLinearConv<pads=[1,1,1,1]>(x, s, z, w, s, t, s, z) }}"
        ),
        "qlinear_matmul_128x768x768": (
            f"(uint8[1,128,768] x, int8[768,768] w) => (y) {{ {_SCALES} y = QLinearMatMul(x, s, z, w, s, t, s, z) }}"
        ),
        "qdq_conv_1x1_256_14": (
            f"(uint8[1,256,14,14] x, int8[256,256,1,1] w) => (y) {{ {_SCALES} f = DequantizeLinear(x, s, z)"
            " g = DequantizeLinear(w, s, t) c = Conv(f, g) y = QuantizeLinear(c, s, z) }"
        ),
    },
}


def build(text: str) -> onnx.ModelProto:
    """The model of a case."""
    model = parser.parse_model(f'<ir_version: {IR_VERSION}, opset_import: ["": {OPSET}]> case {text}')
    generator = np.random.default_rng(0)
    for value in [value for value in model.graph.input if value.name.startswith("w")]:
        model.graph.input.remove(value)
        model.graph.initializer.append(_constant(value, model.graph, generator))
    model = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    onnx.checker.check_model(model)
    return model


def _constant(value: onnx.ValueInfoProto, graph: onnx.GraphProto, generator: np.random.Generator) -> onnx.TensorProto:
    kind = value.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
    shape = [d.dim_value or _outputs(graph) for d in kind.shape.dim]
    array = random_array(dtype.type, {"shape": shape}, generator)
    return numpy_helper.from_array(array * dtype.type(0.05) if dtype.kind == "f" else array, value.name)


def _outputs(graph: onnx.GraphProto) -> int:
    """The number of output channels, which a bias of length N has: the first axis of the weights."""
    (weights,) = (tensor for tensor in graph.initializer if tensor.name == "w")
    return int(weights.dims[0])
