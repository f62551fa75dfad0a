"""Activations, and additions before them.

Source: onnxruntime, docs/ContribOperators.md.
"""

from __future__ import annotations

from onnxlite.contrib.call import Call, attributes, constant, function


@function("Gelu", inputs="X", outputs="Y")
def gelu(call: Call) -> str:
    """``x * (1 + erf(x / sqrt(2))) / 2``."""
    return "Y = Gelu(X)"


@function("BiasGelu", inputs="A B", outputs="C")
def bias_gelu(call: Call) -> str:
    """The Gelu of a sum."""
    return """
        sum = Add(A, B)
        C = Gelu(sum)
    """


@function("FastGelu", inputs="X bias", outputs="Y")
def fast_gelu(call: Call) -> str:
    """The Gelu by tanh, of a sum if there is a bias."""
    if call.has("bias"):
        return """
            sum = Add(X, bias)
            Y = Gelu<approximate = "tanh">(sum)
        """
    return 'Y = Gelu<approximate = "tanh">(X)'


@function("QuickGelu", inputs="X", outputs="Y")
def quick_gelu(call: Call, *, alpha: float = 1.702) -> str:
    """``x * sigmoid(alpha * x)``."""
    return f"Y = Swish{attributes(alpha=alpha)}(X)"


@function("BiasSplitGelu", inputs="X bias", outputs="Y")
def bias_split_gelu(call: Call) -> str:
    """The left half of a sum times the Gelu of the right one."""
    return """
        sum = Add(X, bias)
        left, right = Split<axis = -1, num_outputs = 2>(sum)
        activated = Gelu(right)
        Y = Mul(left, activated)
    """


@function("BiasAdd", inputs="X bias skip", outputs="Y")
def bias_add(call: Call) -> str:
    """``X + bias + skip``."""
    return """
        sum = Add(X, bias)
        Y = Add(sum, skip)
    """


@function("BiasSoftmax", inputs="data bias", outputs="output")
def bias_softmax(call: Call, *, axis: int = 1, is_inner_broadcast: int) -> str:
    """The Softmax over all dimensions from ``axis`` on, of a sum.

    The bias is repeated along the dimensions from ``broadcast_axis`` on, those before ``axis``, which it may have with
    the length 1; with ``is_inner_broadcast`` 0 along the first ones, as operators of ai.onnx broadcast.
    """
    rank = call.rank("data")
    if rank is None:
        raise call.decline("data of an unknown number of dimensions")
    axis %= rank
    bias = "bias"
    align = ""
    if is_inner_broadcast and (call.rank("bias") or rank) < rank:
        # The dimensions that the bias has are the first ones and those from the axis on.
        missing = rank - (call.rank("bias") or rank)
        align = f"""
            places = {constant(tuple(range(axis - missing, axis)))}
            aligned = Unsqueeze(bias, places)
        """
        bias = "aligned"
    softmax = "output = Softmax<axis = -1>(sum)" if axis == rank - 1 else _flat_softmax(axis)
    return f"""
        {align}
        sum = Add(data, {bias})
        {softmax}
    """


def _flat_softmax(axis: int) -> str:
    return f"""
        shape = Shape(sum)
        flat = Flatten<axis = {axis}>(sum)
        probabilities = Softmax<axis = -1>(flat)
        output = Reshape<allowzero = 1>(probabilities, shape)
    """


def activation(source: str, target: str, name: str, parameters: tuple[float, ...] = ()) -> str:
    """What a fused operator ends with: the activation of onnxruntime's that an attribute names, as ONNX text."""
    if not name:
        return f"{target} = Identity({source})"
    first, second = (*parameters, None, None)[:2]
    if name == "Clip":
        low, high = parameters
        return f"""
            low = {constant(float(low))}
            high = {constant(float(high))}
            lowest = CastLike(low, {source})
            highest = CastLike(high, {source})
            {target} = Clip({source}, lowest, highest)
        """
    keywords = {
        "HardSigmoid": ("alpha", "beta"),
        "LeakyRelu": ("alpha",),
        "Elu": ("alpha",),
        "Selu": ("alpha", "gamma"),
    }
    names = keywords.get(name, ())
    return f"{target} = {name}{attributes(**dict(zip(names, (first, second), strict=False)))}({source})"
