"""Convolutions of real numbers: Conv, ConvTranspose, CausalConvWithState, over any number of spatial axes."""

from __future__ import annotations

from math import prod

from onnxlite.kernels.arrays import Array, array_namespace
from onnxlite.kernels.geometry import (
    Ints,
    Windows,
    explicit_pads,
    fold,
    pad_image,
    per_axis,
    span,
    spatial_shape,
    split_padding,
    window_view,
    windows,
)
from onnxlite.kernels.numpy.table import op

#: Elements of the column matrix that are made at a time: few enough to stay in a processor's cache.
_BLOCK = 1 << 18


@op("Conv", widen=True)
def conv(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Ints | None = None,
    group: int = 1,
    kernel_shape: Ints | None = None,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Array:
    """Cross-correlation of x (N, C, D...) with w (M, C/group, K...) plus b (M): (N, M, O...).  ONNX Conv-22."""
    check_weights(x, w, group, kernel_shape)
    places = windows(spatial_shape(x), w.shape[2:], strides=strides, dilations=dilations, pads=pads, auto_pad=auto_pad)
    return add_bias(convolve(x, w, places, group), b)


def convolve(x: Array, w: Array, places: Windows, group: int) -> Array:
    """Conv without checks and bias: a matrix product of the weights with the windows as columns, per group.

    The columns are copied from a strided view, a block of images or of output rows at a time.
    """
    n, features = x.shape[0], w.shape[0]
    rows, row = places.output[0], prod(places.output[1:])
    taps = prod(w.shape[1:])
    weights = w.reshape(group, features // group, taps)
    if places.pointwise:  # the image is its own column matrix
        return (weights @ x.reshape(n, group, taps, rows * row)).reshape(n, features, *places.output)
    view = window_view(pad_image(x, places), places)
    out = array_namespace(x).empty((n, group, features // group, rows * row), dtype=x.dtype)
    images = max(1, _BLOCK // max(1, group * taps * rows * row))
    block = rows if images > 1 else max(1, _BLOCK // max(1, group * taps * row))
    for i in range(0, n, images):
        for start in range(0, rows, block):
            part = view[(slice(i, i + images), *(slice(None),) * (1 + len(places.kernel)), slice(start, start + block))]
            columns = part.reshape(part.shape[0], group, taps, -1)
            out[i : i + images, ..., start * row : (start + block) * row] = weights @ columns
    return out.reshape(n, features, *places.output)


@op("ConvTranspose", widen=True)
def conv_transpose(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Ints | None = None,
    group: int = 1,
    kernel_shape: Ints | None = None,
    output_padding: Ints | None = None,
    output_shape: Ints | None = None,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Array:
    """Transpose of Conv: every element of x (N, C, D...) adds its multiple of w (C, M/group, K...) to the output.

    The output is (N, M, O...) with O = stride (D - 1) + output_padding + span - pads, or what ``output_shape`` or SAME
    says, which then determine the pads.  ONNX ConvTranspose-22.
    """
    image = spatial_shape(x)
    if w.ndim != x.ndim or w.shape[0] != x.shape[1] or group < 1 or w.shape[0] % group:
        raise ValueError(
            f"the weights must have the shape (C, M/group, kernel...) for an input of shape {x.shape} "
            f"and {group} groups, got {w.shape}"
        )
    check_kernel_shape(w, kernel_shape)
    places = _transposed_windows(image, w.shape[2:], auto_pad, dilations, output_padding, output_shape, pads, strides)
    n, channels, features = x.shape[0], w.shape[0] // group, w.shape[1]
    weights = w.reshape(group, channels, -1).swapaxes(-1, -2)
    columns = weights @ x.reshape(n, group, channels, prod(image))
    return add_bias(fold(columns.reshape(n, group * features, *w.shape[2:], *image), places), b)


def _transposed_windows(
    image: Ints,
    kernel: Ints,
    auto_pad: str,
    dilations: Ints | None,
    output_padding: Ints | None,
    output_shape: Ints | None,
    pads: Ints | None,
    strides: Ints | None,
) -> Windows:
    """The windows on ConvTranspose's output: one for each element of its input."""
    rank = len(image)
    strides = per_axis("strides", strides, rank, 1)
    dilations = per_axis("dilations", dilations, rank, 1)
    extra = per_axis("output_padding", output_padding, rank, 0, least=0)
    full = tuple(
        s * (length - 1) + more + span(k, d)
        for s, length, more, k, d in zip(strides, image, extra, kernel, dilations, strict=True)
    )
    if output_shape or auto_pad.startswith("SAME"):
        wanted = per_axis("output_shape", output_shape, rank, 0)
        if not output_shape:  # a kernel shorter than its stride has nothing to cut
            wanted = tuple(min(f, length * s) for f, length, s in zip(full, image, strides, strict=True))
        totals = tuple(max(0, f - o) for f, o in zip(full, wanted, strict=True))
        begins, ends = split_padding(totals, "SAME_UPPER" if auto_pad == "SAME_UPPER" else "SAME_LOWER")
    else:
        begins, ends = explicit_pads(image, kernel, strides, dilations, pads, auto_pad)
        wanted = tuple(f - b - e for f, b, e in zip(full, begins, ends, strict=True))
        if min(wanted) < 1:
            raise ValueError(
                f"pads {begins + ends} leave nothing of the {full} elements that the transposed kernel makes"
            )
    return Windows(wanted, kernel, strides, dilations, begins, ends, image)


@op("CausalConvWithState", since=27, widen=True)
def causal_conv_with_state(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    past_state: Array | None = None,
    *,
    activation: str = "none",
) -> tuple[Array, Array]:
    """Depthwise convolution of x (N, C, L) with weight (C, 1, k) that sees only the past: (N, C, L) and its last k - 1.

    ``past_state`` (N, C, k - 1) goes in front of x, zeros without it.  ONNX CausalConvWithState-27.
    """
    xp = array_namespace(x)
    if x.ndim != 3 or weight.ndim != 3 or weight.shape[:2] != (x.shape[1], 1):
        raise ValueError(f"expected an input (N, C, L) and weights (C, 1, k), got shapes {x.shape} and {weight.shape}")
    if activation not in ("none", "silu", "swish"):
        raise ValueError(f"activation must be none, silu or swish, not {activation!r}")
    state_shape = (*x.shape[:2], weight.shape[2] - 1)
    if past_state is None:
        past_state = xp.zeros(state_shape, dtype=x.dtype)
    elif past_state.shape != state_shape:
        raise ValueError(f"past_state must have the shape {state_shape}, got {past_state.shape}")
    line = xp.concatenate((past_state, x), axis=2)
    present_state = line[:, :, x.shape[2] :]
    if x.shape[2] == 0:
        return x, present_state
    y = add_bias(convolve(line, weight, windows(line.shape[2:], weight.shape[2:]), x.shape[1]), bias)
    return (y if activation == "none" else y / (1 + xp.exp(-y))), present_state


def check_weights(x: Array, w: Array, group: int, kernel_shape: Ints | None) -> None:
    """Raise ValueError unless the weights (M, C/group, K...) fit the input (N, C, D...)."""
    if w.ndim != x.ndim or group < 1 or w.shape[0] % group or w.shape[1] * group != x.shape[1]:
        raise ValueError(
            f"the weights must have the shape (M, C/group, kernel...) for an input of shape {x.shape} "
            f"and {group} groups, got {w.shape}"
        )
    check_kernel_shape(w, kernel_shape)


def check_kernel_shape(w: Array, kernel_shape: Ints | None) -> None:
    """Raise ValueError unless the attribute, where given, agrees with the weights."""
    if kernel_shape and tuple(kernel_shape) != w.shape[2:]:
        raise ValueError(f"kernel_shape {tuple(kernel_shape)} differs from the weights' spatial shape {w.shape[2:]}")
    if 0 in w.shape[2:]:
        raise ValueError(f"the kernel must not be empty, got weights of shape {w.shape}")


def add_bias(y: Array, b: Array | None) -> Array:
    """``y`` with one number per channel added to it, in place."""
    if b is not None:
        if b.shape != y.shape[1:2]:
            raise ValueError(f"the bias must have the shape {y.shape[1:2]}, got {b.shape}")
        y += b.reshape((-1,) + (1,) * (y.ndim - 2))
    return y
