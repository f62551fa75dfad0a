"""Gradient rules of operators that slide a window: convolutions and pools, over any number of spatial axes.

The rules first pad the image to just what the windows read (`_fit`).  On such an image, Conv and ConvTranspose without
pads are each other's transpose, and cutting the padding off is the transpose of padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from onnxlite.gradient.movement import scattered
from onnxlite.gradient.rules import Forward, rule
from onnxlite.gradient.terms import (
    Operand,
    Term,
    equal,
    expanded_like,
    joined,
    lengths,
    reshaped_like,
    size_ratio,
    where,
)
from onnxlite.kernels.arrays import Array

#: One number per spatial axis: an array where they are known, or else a term.
Lengths: TypeAlias = "Array | Term"
Ints: TypeAlias = "tuple[int, ...]"


@rule("Conv")
def conv(f: Forward, dy: Term, *, auto_pad: str, group: int) -> tuple[Term, Term, Term]:
    """Cross-correlation of x (N, C, D...) with w (M, C/group, K...) plus a bias per channel."""
    x, w = f.operand(0), f.operand(1)
    steps = _Steps(f)
    kernel = lengths(w, 2)
    image, reach = _spatial(x), steps.reach(_spatial(dy), kernel)
    begins = _begins(f, auto_pad, _maximum(reach - image, 0))
    ends = reach - image - begins
    dx = f.emit("ConvTranspose", dy, w, strides=steps.strides, dilations=steps.dilations, group=group)
    dw = _kernel_gradient(_padded(x, begins, ends), dy, steps, group)
    return _padded(dx, -begins, -ends), dw, _channel_sums(dy, steps.rank)


@rule("ConvTranspose")
def conv_transpose(f: Forward, dy: Term, *, auto_pad: str, group: int) -> tuple[Term, Term, Term]:
    """The transpose of Conv: x (N, C, D...) with w (C, M/group, K...) plus a bias per channel."""
    x, w = f.operand(0), f.operand(1)
    steps = _Steps(f)
    reach = steps.reach(_spatial(x), lengths(w, 2))
    extra = np.array(f.attribute("output_padding") or (0,) * steps.rank)
    padding = _maximum(reach + extra - _spatial(dy), 0)
    begins = _begins(f, auto_pad, padding) if not f.attribute("output_shape") else _half(padding, auto_pad)
    g = _padded(dy, begins, reach - _spatial(dy) - begins)
    dx = f.emit("Conv", g, w, strides=steps.strides, dilations=steps.dilations, group=group)
    return dx, _kernel_gradient(g, x, steps, group), _channel_sums(dy, steps.rank)


@rule("AveragePool")
def average_pool(f: Forward, dy: Term, *, auto_pad: str, count_include_pad: int | None) -> Term:
    """The mean of each window, without what lies outside the image, or else with the declared padding."""
    windows = _Pool(f, dy, auto_pad)
    return windows.spread(dy / windows.counts(bool(count_include_pad)))


@rule("LpPool", since=2)
def lp_pool(f: Forward, dy: Term, *, auto_pad: str, p: int) -> Term:
    """y = (sum |x|^p)^(1/p) over each window; 0 where all are 0."""
    y = f.output()
    scaled = where(equal(y, 0), 0, dy * where(equal(y, 0), 1, y) ** (1 - p))
    return f.emit("Sign", f.x) * f.emit("Abs", f.x) ** (p - 1) * _Pool(f, dy, auto_pad).spread(scaled)


@rule("MaxPool")
def max_pool(f: Forward, dy: Term, _: Term | None = None, *, storage_order: int | None) -> Term:
    """The largest element of each window; the operator itself says where that one was."""
    if storage_order:
        raise f.unsupported("with storage_order 1")
    if f.version >= 8:
        return scattered(f.output(1), dy, f.x)
    indices = f.emit.several(2, "MaxPool", f.x, opset=12, **f.node.attributes)[1]
    return scattered(indices, dy, f.x)


@rule("GlobalAveragePool")
def global_average_pool(f: Forward, dy: Term) -> Term:
    """The mean over all spatial axes."""
    return expanded_like(dy / size_ratio(f.x, f.output()), f.x)


@rule("GlobalMaxPool")
def global_max_pool(f: Forward, dy: Term) -> Term:
    """The largest element over all spatial axes; equal ones share the gradient."""
    chosen = f.emit("CastLike", equal(f.x, f.output()), f.x)
    count = f.emit("GlobalAveragePool", chosen) * size_ratio(f.x, f.output())
    return chosen * (dy / count)


@rule("GlobalLpPool", since=2)
def global_lp_pool(f: Forward, dy: Term, *, p: int) -> Term:
    """y = (sum |x|^p)^(1/p) over all spatial axes; 0 where all are 0."""
    y = f.output()
    scaled = where(equal(y, 0), 0, dy * where(equal(y, 0), 1, y) ** (1 - p))
    return f.emit("Sign", f.x) * f.emit("Abs", f.x) ** (p - 1) * scaled


class _Steps:
    """The strides and dilations of an operator, one of each per spatial axis."""

    def __init__(self, f: Forward) -> None:
        self.rank = _spatial_rank(f)
        self.strides: Ints = f.attribute("strides") or (1,) * self.rank
        self.dilations: Ints = f.attribute("dilations") or (1,) * self.rank

    def reach(self, output: Lengths, kernel: Lengths) -> Lengths:
        """How far the windows reach, from the start of the first to the end of the last."""
        return (output - 1) * np.array(self.strides) + (kernel - 1) * np.array(self.dilations) + 1


class _Pool:
    """The windows of a pool; sums are taken by a convolution with ones, one image at a time."""

    def __init__(self, f: Forward, dy: Term, auto_pad: str) -> None:
        self.f, self.steps = f, _Steps(f)
        self.kernel = np.array(f.attribute("kernel_shape"))
        self.image = _spatial(f.x)
        self.reach = self.steps.reach(_spatial(dy), self.kernel)
        padding = _maximum(self.reach - self.image, 0)
        self.begins = _begins(f, auto_pad, padding)
        declared = f.attribute("pads") or (0,) * 2 * self.steps.rank
        ends = padding - self.begins if auto_pad.startswith("SAME") else np.array(declared[self.steps.rank :])
        self.declared_ends: Lengths = ends

    def spread(self, g: Term) -> Term:
        """Each element of g added to the whole window that it is the result of."""
        x, emit = self.f.x, self.f.emit
        images = lengths(g, 0, 1) * lengths(g, 1, 2)
        single = emit("Reshape", g, joined(emit, images, [1], _spatial(g)), allowzero=1)
        sums = emit("ConvTranspose", single, self._ones(g), strides=self.steps.strides, dilations=self.steps.dilations)
        return reshaped_like(_padded(sums, -self.begins, self.image + self.begins - self.reach), x)

    def counts(self, with_padding: bool) -> Term:
        """How many elements of each window count, (1, 1, O...)."""
        x, emit = self.f.x, self.f.emit
        inside = emit("Expand", x.like(1), joined(emit, [1, 1], self.image))
        rest = self.reach - self.image - self.begins
        if with_padding:
            inside = _padded(inside, self.begins, self.declared_ends, x.like(1))
            inside = _padded(inside, self.begins * 0, rest - self.declared_ends)
        else:
            inside = _padded(inside, self.begins, rest)
        return emit("Conv", inside, self._ones(x), strides=self.steps.strides, dilations=self.steps.dilations)

    def _ones(self, like: Term) -> Term:
        return self.f.emit("Expand", like.like(1), [1, 1, *self.kernel.tolist()])


def _kernel_gradient(image: Term, g: Term, steps: _Steps, group: int) -> Term:
    """The gradient of the weights (M, C/group, K...) of a convolution without pads of an image (N, C, P...).

    It is itself a convolution: of the image with g (N, M, O...), the batch in the place of the channels, and strides
    and dilations exchanged.
    """
    emit = image.emit
    exchanged = (1, 0, *range(2, steps.rank + 2))
    if group == 1:
        channels_first = emit("Transpose", image, perm=exchanged)
    else:  # (N, G C, P...) -> (C, G N, P...)
        space = tuple(range(3, steps.rank + 3))
        batch, channels, length = lengths(image, 0, 1), lengths(image, 1, 2) // group, _spatial(image)
        grouped = emit("Reshape", image, joined(emit, batch, [group], channels, length), allowzero=1)
        turned = emit("Transpose", grouped, perm=(2, 1, 0, *space))
        channels_first = emit("Reshape", turned, joined(emit, channels, batch * group, length), allowzero=1)
    features_first = emit("Transpose", g, perm=exchanged)
    strides, dilations = steps.dilations, steps.strides
    swapped = emit("Conv", channels_first, features_first, group=group, strides=strides, dilations=dilations)
    return emit("Transpose", swapped, perm=exchanged)


def _channel_sums(g: Term, rank: int) -> Term:
    return g.emit("ReduceSum", g, [0, *range(2, rank + 2)], keepdims=0)


def _spatial_rank(f: Forward) -> int:
    ranks = [term.rank - 2 for term in (*f.inputs[:2], f.output()) if term is not None and term.rank is not None]
    lengths = [len(value) for name in ("kernel_shape", "strides", "dilations") if (value := f.attribute(name))]
    if not ranks and not lengths:
        raise f.unsupported("of an input of unknown rank")
    return (ranks + lengths)[0]


def _spatial(x: Term) -> Lengths:
    return lengths(x, 2)


def _begins(f: Forward, auto_pad: str, padding: Lengths) -> Lengths:
    """The padding before each spatial axis, where ``padding`` is that before and after it with auto_pad SAME."""
    rank = _spatial_rank(f)
    if auto_pad.startswith("SAME"):
        return _half(padding, auto_pad)
    pads = f.attribute("pads") if auto_pad != "VALID" else None
    return np.array((pads or (0,) * rank)[:rank])


def _half(padding: Lengths, auto_pad: str) -> Lengths:
    """SAME_UPPER has the odd element at the end, everything else at the start."""
    return padding // 2 if auto_pad == "SAME_UPPER" else padding - padding // 2


def _maximum(numbers: Lengths, least: int) -> Lengths:
    if isinstance(numbers, Term):
        return numbers.emit("Max", numbers, np.array([least]))
    return np.maximum(numbers, least)


def _padded(x: Term, begins: Lengths, ends: Lengths, value: Term | None = None) -> Term:
    """``x`` with elements added before and after its spatial axes, or taken away where the number is negative."""
    if not any(isinstance(n, Term) or np.any(n) for n in (begins, ends)):
        return x
    pads: Sequence[Any] = ([0, 0], begins, [0, 0], ends)
    operands: tuple[Operand, ...] = (x, joined(x.emit, *pads), value)
    return x.emit("Pad", *operands)
