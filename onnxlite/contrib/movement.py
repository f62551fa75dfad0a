"""Operators that move, pick or count elements.

Source: onnxruntime, docs/ContribOperators.md.
"""

from __future__ import annotations

from onnxlite.contrib.call import Call, attributes, constant, function


@function("ExpandDims", inputs="X axis", outputs="Y")
def expand_dims(call: Call) -> str:
    """Unsqueeze at one axis."""
    return f"""
        one = {constant((1,))}
        several = Reshape(axis, one)
        axes = Cast<to = 7>(several)
        Y = Unsqueeze(X, axes)
    """


@function("GatherND", inputs="data indices", outputs="output")
def gather_nd(call: Call) -> str:
    """The operator of ai.onnx, with int32 indices too."""
    return """
        places = Cast<to = 7>(indices)
        output = GatherND(data, places)
    """


@function("Range", inputs="start limit delta", outputs="Y")
def range_of(call: Call) -> str:
    """The operator of ai.onnx, with lists of one number too; the step is 1 unless it is given."""
    delta = "Reshape(delta, scalar)" if call.has("delta") else "CastLike(one, start)"
    return f"""
        scalar = Constant <value = int64[0] {{}}> ()
        one = {constant(1)}
        first = Reshape(start, scalar)
        end = Reshape(limit, scalar)
        step = {delta}
        Y = Range(first, end, step)
    """


@function("Pad", inputs="data pads value", outputs="output")
def pad(call: Call, *, mode: str = "constant") -> str:
    """The operator of ai.onnx, with a row or a list of numbers, and a list of one value too."""
    value = "filling = Reshape(value, scalar)" if call.has("value") else ""
    return f"""
        scalar = Constant <value = int64[0] {{}}> ()
        flat = {constant((-1,))}
        lengths = Reshape(pads, flat)
        {value}
        output = Pad{attributes(mode=mode)}(data, lengths, {"filling" if call.has("value") else "value"})
    """


@function("Trilu", inputs="X k", outputs="Y")
def trilu(call: Call, *, upper: int = 1) -> str:
    """The operator of ai.onnx."""
    return f"Y = Trilu<upper = {upper}>(X, k)"


@function("Unique", inputs="x", outputs="y idx counts")
def unique(call: Call) -> str:
    """The distinct elements in the order of their first appearance, where each element is found, and how often."""
    return "y, first, idx, counts = Unique<sorted = 0>(x)"


@function("NhwcMaxPool", inputs="x", outputs="y")
def nhwc_max_pool(
    call: Call,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: tuple[int, ...] | None = None,
    kernel_shape: tuple[int, ...],
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> str:
    """The MaxPool of bytes with their channels last."""
    pool = attributes(
        auto_pad=auto_pad,
        ceil_mode=ceil_mode,
        dilations=dilations,
        kernel_shape=kernel_shape,
        pads=pads,
        strides=strides,
    )
    rank = len(kernel_shape) + 2
    return f"""
        images = Transpose<perm = {[0, rank - 1, *range(1, rank - 1)]}>(x)
        pooled = MaxPool{pool}(images)
        y = Transpose<perm = {[0, *range(2, rank), 1]}>(pooled)
    """


@function("BiasDropout", inputs="data bias residual ratio training_mode", outputs="output mask")
def bias_dropout(call: Call, *, seed: int | None = None) -> str:
    """``dropout(data + bias) + residual``."""
    dropped = "dropped, mask" if call.wants("mask") else "dropped"
    return f"""
        sum = Add(data, bias)
        {dropped} = Dropout{attributes(seed=seed)}(sum, ratio, training_mode)
        output = {"Add(dropped, residual)" if call.has("residual") else "Identity(dropped)"}
    """
