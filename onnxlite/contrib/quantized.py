"""Operators on quantized tensors: they dequantize, compute in float32 and quantize.

Source: onnxruntime, docs/ContribOperators.md.
"""

from __future__ import annotations

from onnxlite.contrib.call import Call, attributes, constant, function


@function("QuantizeLinear", inputs="x y_scale y_zero_point", outputs="y")
def quantize_linear(call: Call, *, axis: int | None = None) -> str:
    """The operator of ai.onnx, which has it for integers of 16 bits too."""
    return f"y = QuantizeLinear{attributes(axis=axis)}(x, y_scale, y_zero_point)"


@function("DequantizeLinear", inputs="x x_scale x_zero_point", outputs="y")
def dequantize_linear(call: Call, *, axis: int | None = None) -> str:
    """The operator of ai.onnx, which has it for integers of 16 and 32 bits too."""
    return f"y = DequantizeLinear{attributes(axis=axis)}(x, x_scale, x_zero_point)"


def _dequantized(*names: str) -> str:
    """``NAME_real``, of NAME, NAME_scale and NAME_zero_point."""
    lines = (f"{name}_real = DequantizeLinear({name}, {name}_scale, {name}_zero_point)" for name in names)
    return "\n".join(lines)


def _quantized(call: Call, source: str, target: str, like: str, scale: str, zero_point: str) -> str:
    """The target, with integers of the type of ``like``."""
    if call.has(zero_point):
        return f"{target} = QuantizeLinear({source}, {scale}, {zero_point})"
    return f"""
        no_number = {constant(0)}
        zero = CastLike(no_number, {like})
        {target} = QuantizeLinear({source}, {scale}, zero)
    """


@function("QLinearAdd", inputs="A A_scale A_zero_point B B_scale B_zero_point C_scale C_zero_point", outputs="C")
def qlinear_add(call: Call) -> str:
    """The quantized sum."""
    return _binary(call, "Add")


@function("QLinearMul", inputs="A A_scale A_zero_point B B_scale B_zero_point C_scale C_zero_point", outputs="C")
def qlinear_mul(call: Call) -> str:
    """The quantized product of elements."""
    return _binary(call, "Mul")


def _binary(call: Call, name: str) -> str:
    return f"""
        {_dequantized("A", "B")}
        real = {name}(A_real, B_real)
        {_quantized(call, "real", "C", "A", "C_scale", "C_zero_point")}
    """


@function("QLinearSigmoid", inputs="X X_scale X_zero_point Y_scale Y_zero_point", outputs="Y")
def qlinear_sigmoid(call: Call) -> str:
    """The quantized Sigmoid."""
    return _unary(call, "Sigmoid")


@function("QLinearLeakyRelu", inputs="X X_scale X_zero_point Y_scale Y_zero_point", outputs="Y")
def qlinear_leaky_relu(call: Call, *, alpha: float = 0.01) -> str:
    """The quantized LeakyRelu."""
    return _unary(call, f"LeakyRelu{attributes(alpha=alpha)}")


@function("QLinearSoftmax", inputs="X X_scale X_zero_point Y_scale Y_zero_point", outputs="Y")
def qlinear_softmax(call: Call, *, axis: int = -1, opset: int) -> str:
    """The quantized Softmax of a version of ai.onnx: before 13 it is one over all dimensions from the axis on."""
    if opset >= 13:
        return _unary(call, f"Softmax<axis = {axis}>")
    return f"""
        {_dequantized("X")}
        shape = Shape(X_real)
        flat = Flatten<axis = {axis}>(X_real)
        probabilities = Softmax<axis = -1>(flat)
        real = Reshape<allowzero = 1>(probabilities, shape)
        {_quantized(call, "real", "Y", "X", "Y_scale", "Y_zero_point")}
    """


def _unary(call: Call, operator: str) -> str:
    return f"""
        {_dequantized("X")}
        real = {operator}(X_real)
        {_quantized(call, "real", "Y", "X", "Y_scale", "Y_zero_point")}
    """


@function("QLinearReduceMean", inputs="X X_scale X_zero_point Y_scale Y_zero_point", outputs="Y")
def qlinear_reduce_mean(call: Call, *, axes: tuple[int, ...], keepdims: int) -> str:
    """The quantized mean along some axes."""
    return f"""
        {_dequantized("X")}
        axes = {constant(axes)}
        real = ReduceMean<keepdims = {keepdims}>(X_real, axes)
        {_quantized(call, "real", "Y", "X", "Y_scale", "Y_zero_point")}
    """


@function("QLinearAveragePool", inputs="X X_scale X_zero_point Y_scale Y_zero_point", outputs="Y")
def qlinear_average_pool(
    call: Call,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    channels_last: int = 0,
    count_include_pad: int = 0,
    kernel_shape: tuple[int, ...],
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> str:
    """The quantized AveragePool, perhaps of images with their channels last."""
    pool = attributes(
        auto_pad=auto_pad,
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
        kernel_shape=kernel_shape,
        pads=pads,
        strides=strides,
    )
    return _pool(call, f"AveragePool{pool}", channels_last, len(kernel_shape) + 2)


@function("QLinearGlobalAveragePool", inputs="X X_scale X_zero_point Y_scale Y_zero_point", outputs="Y")
def qlinear_global_average_pool(call: Call, *, channels_last: int = 0) -> str:
    """The quantized mean of each channel, perhaps of images with their channels last."""
    rank = call.rank("X")
    if rank is None and channels_last:
        rank = 4
    return _pool(call, "GlobalAveragePool", channels_last, rank)


def _pool(call: Call, operator: str, channels_last: int, rank: int | None) -> str:
    first, last = _to_first(rank or 4), _to_last(rank or 4)
    return f"""
        {_dequantized("X")}
        images = {f"Transpose<perm = {first}>" if channels_last else "Identity"}(X_real)
        pooled = {operator}(images)
        real = {f"Transpose<perm = {last}>" if channels_last else "Identity"}(pooled)
        {_quantized(call, "real", "Y", "X", "Y_scale", "Y_zero_point")}
    """


def _to_first(rank: int) -> list[int]:
    """The permutation that takes the channels, which are last, to their usual place."""
    return [0, rank - 1, *range(1, rank - 1)]


def _to_last(rank: int) -> list[int]:
    return [0, *range(2, rank), 1]


@function("QLinearConcat", inputs="Y_scale Y_zero_point *part", outputs="Y")
def qlinear_concat(call: Call, *, axis: int) -> str:
    """The quantized Concat of tensors, each of which comes with its scale and zero point."""
    parts = call.inputs[2:]
    if len(parts) % 3:
        raise call.fault(f"has {len(parts)} inputs after the first two, expected three for each tensor")
    lines = [f"real{i} = DequantizeLinear({parts[i]}, {parts[i + 1]}, {parts[i + 2]})" for i in range(0, len(parts), 3)]
    newline = "\n"
    return f"""
        {newline.join(lines)}
        real = Concat<axis = {axis}>({", ".join(f"real{i}" for i in range(0, len(parts), 3))})
        Y = QuantizeLinear(real, Y_scale, Y_zero_point)
    """


@function(
    "QLinearWhere", inputs="condition X X_scale X_zero_point Y Y_scale Y_zero_point Z_scale Z_zero_point", outputs="Z"
)
def qlinear_where(call: Call) -> str:
    """The quantized Where."""
    return f"""
        {_dequantized("X", "Y")}
        real = Where(condition, X_real, Y_real)
        Z = QuantizeLinear(real, Z_scale, Z_zero_point)
    """


@function(
    "QLinearConv",
    inputs="x x_scale x_zero_point w w_scale w_zero_point y_scale y_zero_point B",
    outputs="y",
)
def qlinear_conv(
    call: Call,
    *,
    auto_pad: str = "NOTSET",
    channels_last: int = 0,
    dilations: tuple[int, ...] | None = None,
    group: int = 1,
    kernel_shape: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> str:
    """The operator of ai.onnx, perhaps of images with their channels last; the weights have theirs as ever."""
    convolution = attributes(
        auto_pad=auto_pad, dilations=dilations, group=group, kernel_shape=kernel_shape, pads=pads, strides=strides
    )
    rank = call.rank("w") or call.rank("x") or len(strides or dilations or kernel_shape or (1, 1)) + 2
    first, last = _to_first(rank), _to_last(rank)
    operands = "x_scale, x_zero_point, w, w_scale, w_zero_point, y_scale, y_zero_point, B"
    return f"""
        images = {f"Transpose<perm = {first}>" if channels_last else "Identity"}(x)
        convolved = QLinearConv{convolution}(images, {operands})
        y = {f"Transpose<perm = {last}>" if channels_last else "Identity"}(convolved)
    """


@function("DynamicQuantizeMatMul", inputs="A B b_scale b_zero_point bias", outputs="Y")
def dynamic_quantize_matmul(call: Call) -> str:
    """``A @ dequantize(B) + bias`` with A quantized on the run, to uint8."""
    return f"""
        a, a_scale, a_zero = DynamicQuantizeLinear(A)
        {_integer_product(call, "a", "B", "a_scale", "b_scale", "a_zero", "b_zero_point")}
    """


@function("MatMulIntegerToFloat", inputs="A B a_scale b_scale a_zero_point b_zero_point bias", outputs="Y")
def matmul_integer_to_float(call: Call) -> str:
    """``dequantize(A) @ dequantize(B) + bias``."""
    return _integer_product(call, "A", "B", "a_scale", "b_scale", "a_zero_point", "b_zero_point")


def _integer_product(call: Call, a: str, b: str, a_scale: str, b_scale: str, a_zero: str, b_zero: str) -> str:
    return f"""
        sums = MatMulInteger({a}, {b}, {a_zero}, {b_zero})
        wide = CastLike(sums, {b_scale})
        scale = Mul({a_scale}, {b_scale})
        {"product" if call.has("bias") else "Y"} = Mul(wide, scale)
        {"Y = Add(product, bias)" if call.has("bias") else ""}
    """


@function("QGemm", inputs="A a_scale a_zero_point B b_scale b_zero_point C y_scale y_zero_point", outputs="Y")
def qgemm(call: Call, *, alpha: float = 1.0, transA: int = 0, transB: int = 0) -> str:  # noqa: N803
    """``alpha * dequantize(A) @ dequantize(B)`` and, as integers of the scale of this product, C; perhaps quantized."""
    real = "real" if call.has("y_scale") else "Y"
    return f"""
        left = {"Transpose<perm = [1, 0]>" if transA else "Identity"}(A)
        right = {"Transpose<perm = [1, 0]>" if transB else "Identity"}(B)
        sums = MatMulInteger(left, right, a_zero_point, b_zero_point)
        total = {"Add(sums, C)" if call.has("C") else "Identity(sums)"}
        wide = CastLike(total, a_scale)
        factor = {constant(float(alpha))}
        factor_like = CastLike(factor, a_scale)
        a_factor = Mul(a_scale, factor_like)
        scale = Mul(a_factor, b_scale)
        {real} = Mul(wide, scale)
        {"Y = QuantizeLinear(real, y_scale, y_zero_point)" if call.has("y_scale") else ""}
    """


@function("MulInteger", inputs="A A_zero_point B B_zero_point", outputs="C")
def mul_integer(call: Call) -> str:
    """``(A - A_zero_point) * (B - B_zero_point)`` as int32."""
    text = ""
    for name in ("A", "B"):
        text += f"\n{name}_wide = Cast<to = 6>({name})"
        if call.has(f"{name}_zero_point"):
            text += f"""
                {name}_zero = Cast<to = 6>({name}_zero_point)
                {name}_used = Sub({name}_wide, {name}_zero)
            """
        else:
            text += f"\n{name}_used = Identity({name}_wide)"
    return f"{text}\nC = Mul(A_used, B_used)"


@function("ReduceSumInteger", inputs="data", outputs="reduced")
def reduce_sum_integer(call: Call, *, axes: tuple[int, ...], keepdims: int) -> str:
    """The sum of bytes along some axes, as int32."""
    return f"""
        wide = Cast<to = 6>(data)
        axes = {constant(axes)}
        reduced = ReduceSum<keepdims = {keepdims}>(wide, axes)
    """
