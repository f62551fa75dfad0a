"""Products and convolutions with what onnxruntime fuses into them.

Source: onnxruntime, docs/ContribOperators.md.
"""

from __future__ import annotations

from onnxlite.contrib.activations import activation as activated
from onnxlite.contrib.call import Call, attributes, constant, function


@function("TransposeMatMul", inputs="A B", outputs="Y")
def transpose_matmul(call: Call, *, alpha: float = 1.0, transA: int = 0, transB: int = 0) -> str:  # noqa: N803
    """An older FusedMatMul."""
    return _product(call, alpha, (transA, 0), (transB, 0), "Y")


@function("FusedMatMul", inputs="A B", outputs="Y")
def fused_matmul(
    call: Call,
    *,
    alpha: float = 1.0,
    transA: int = 0,  # noqa: N803
    transB: int = 0,  # noqa: N803
    transBatchA: int = 0,  # noqa: N803
    transBatchB: int = 0,  # noqa: N803
) -> str:
    """``alpha * A @ B``, either transposed before: its last two axes, or the first of them with those of the batch."""
    return _product(call, alpha, (transA, transBatchA), (transB, transBatchB), "Y")


@function("FusedMatMulActivation", inputs="A B", outputs="Y")
def fused_matmul_activation(
    call: Call,
    *,
    activation: str,
    activation_alpha: float | None = None,
    activation_axis: int | None = None,
    activation_beta: float | None = None,
    activation_gamma: float | None = None,
    alpha: float = 1.0,
    transA: int = 0,  # noqa: N803
    transB: int = 0,  # noqa: N803
    transBatchA: int = 0,  # noqa: N803
    transBatchB: int = 0,  # noqa: N803
) -> str:
    """The activation of a FusedMatMul."""
    given = tuple(x for x in (activation_alpha, activation_beta or activation_gamma) if x is not None)
    if activation_axis is not None:
        last = f"Y = {activation}<axis = {activation_axis}>(product)"
    else:
        last = activated("product", "Y", activation, given)
    return _product(call, alpha, (transA, transBatchA), (transB, transBatchB), "product") + last


def _product(call: Call, alpha: float, of_a: tuple[int, int], of_b: tuple[int, int], target: str) -> str:
    scaled = alpha != 1
    text = f"""
        {_transposed(call, "A", *of_a)}
        {_transposed(call, "B", *of_b)}
        {"raw" if scaled else target} = MatMul(A_used, B_used)
    """
    if scaled:
        text += f"""
            factor = {constant(float(alpha))}
            factor_like = CastLike(factor, raw)
            {target} = Mul(raw, factor_like)
        """
    return text


def _transposed(call: Call, name: str, matrix: int, batch: int) -> str:
    """``NAME_used``: the operand as it is multiplied."""
    rank = call.rank(name)
    if rank is None and matrix and not batch:
        return _transposed_matrices(name)
    if not (matrix or batch) or rank == 1:
        return f"{name}_used = Identity({name})"
    if rank is None:
        raise call.decline("transBatchA or transBatchB, and operands of an unknown number of dimensions")
    axes = list(range(rank))
    if batch:
        # The first axis comes before the last one: (K, batch, N) becomes (batch, K, N).
        axes = [*axes[1:-1], axes[0], axes[-1]]
    if matrix:
        axes[-2:] = axes[-1], axes[-2]
    return f"{name}_used = Transpose<perm = {axes}>({name})"


def _transposed_matrices(name: str) -> str:
    """``NAME_used``: all matrices of an operand of any rank transposed."""
    return f"""
        {name}_batch = Shape<end = -2>({name})
        {name}_rows = Shape<start = -2, end = -1>({name})
        {name}_columns = Shape<start = -1>({name})
        {name}_count = ReduceProd({name}_batch)
        {name}_stack_shape = Concat<axis = 0>({name}_count, {name}_rows, {name}_columns)
        {name}_stack = Reshape<allowzero = 1>({name}, {name}_stack_shape)
        {name}_turned = Transpose<perm = [0, 2, 1]>({name}_stack)
        {name}_shape = Concat<axis = 0>({name}_batch, {name}_columns, {name}_rows)
        {name}_used = Reshape<allowzero = 1>({name}_turned, {name}_shape)
    """


@function("GemmFastGelu", inputs="X W bias", outputs="Y")
def gemm_fast_gelu(call: Call) -> str:
    """The Gelu by tanh of ``X @ W + bias``."""
    add = "sum = Add(product, bias)" if call.has("bias") else "sum = Identity(product)"
    return f"""
        product = MatMul(X, W)
        {add}
        Y = Gelu<approximate = "tanh">(sum)
    """


@function("FusedGemm", inputs="A B C", outputs="Y")
def fused_gemm(
    call: Call,
    *,
    activation: str = "",
    activation_alpha: float | None = None,
    activation_beta: float | None = None,
    activation_gamma: float | None = None,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,  # noqa: N803
    transB: int = 0,  # noqa: N803
) -> str:
    """The activation of a Gemm."""
    second = activation_beta if activation_beta is not None else activation_gamma
    given = tuple(x for x in (activation_alpha, second) if x is not None)
    return f"""
        product = Gemm{attributes(alpha=alpha, beta=beta, transA=transA, transB=transB)}(A, B, C)
        {activated("product", "Y", activation, given)}
    """


@function("FusedConv", inputs="X W B Z", outputs="Y")
def fused_conv(
    call: Call,
    *,
    activation: str = "",
    activation_params: tuple[float, ...] = (),
    auto_pad: str = "NOTSET",
    dilations: tuple[int, ...] | None = None,
    group: int = 1,
    kernel_shape: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> str:
    """The activation of a convolution and, if there is one, the residual Z."""
    convolution = attributes(
        auto_pad=auto_pad, dilations=dilations, group=group, kernel_shape=kernel_shape, pads=pads, strides=strides
    )
    return f"""
        convolved = Conv{convolution}(X, W, B)
        sum = {"Add(convolved, Z)" if call.has("Z") else "Identity(convolved)"}
        {activated("sum", "Y", activation, activation_params)}
    """


@function("NhwcFusedConv", inputs="X W B Z", outputs="Y")
def nhwc_fused_conv(
    call: Call,
    *,
    activation: str = "",
    activation_params: tuple[float, ...] = (),
    auto_pad: str = "NOTSET",
    dilations: tuple[int, ...] | None = None,
    group: int = 1,
    kernel_shape: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> str:
    """The FusedConv of images with their channels last; the weights have theirs as ever."""
    convolution = attributes(
        auto_pad=auto_pad, dilations=dilations, group=group, kernel_shape=kernel_shape, pads=pads, strides=strides
    )
    return f"""
        images = Transpose<perm = [0, 3, 1, 2]>(X)
        convolved = Conv{convolution}(images, W, B)
        last = Transpose<perm = [0, 2, 3, 1]>(convolved)
        sum = {"Add(last, Z)" if call.has("Z") else "Identity(last)"}
        {activated("sum", "Y", activation, activation_params)}
    """
