"""Gradient rules of operators that move elements: each sends the gradient of an element back to where it came from."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxlite.gradient.rules import Forward, rule
from onnxlite.gradient.terms import Term, full_like, joined, lengths, reshaped_like, summed_to


@rule("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def reshape(f: Forward, dy: Term) -> Term:
    """The same elements in another shape."""
    return reshaped_like(dy, f.x)


@rule("Transpose")
def transpose(f: Forward, dy: Term, *, perm: tuple[int, ...] | None) -> Term:
    """Axes in another order."""
    back = tuple(int(axis) for axis in np.argsort(perm)) if perm else None
    return dy.emit("Transpose", dy, perm=back)


@rule("Expand")
def expand(f: Forward, dy: Term) -> Term:
    """Broadcasting to a shape."""
    return summed_to(dy, f.x)


@rule("Trilu")
def trilu(f: Forward, dy: Term) -> Term:
    """A triangle of each matrix, zeros elsewhere."""
    return f.applied_to(dy, f.optional(1))


@rule("Concat")
def concat(f: Forward, dy: Term, *, axis: int | None) -> tuple[Term, ...]:
    """Tensors one after the other along an axis; opset 1 has a default for it."""
    axis = 1 if axis is None else axis
    sizes = [lengths(x, axis, axis + 1 or None) for x in f.operands()]
    return f.emit.several(len(sizes), "Split", dy, joined(f.emit, *sizes), axis=axis)


@rule("Split")
def split(f: Forward, *dys: Term | None, axis: int) -> Term:
    """Pieces of a tensor along an axis."""
    pieces = (full_like(f.output(i), 0) if dy is None else dy for i, dy in enumerate(dys))
    return f.emit("Concat", *pieces, axis=axis)


@rule("Pad", since=2)
def pad(f: Forward, dy: Term, *, mode: str) -> tuple[Term | None, ...]:
    """A border around a tensor; what has the border's value does not come from the tensor."""
    if mode != "constant":
        return (moved(f, dy),)
    pads, axes = f.attribute_or_input("pads", 1), f.optional(3)
    back = -pads if isinstance(pads, Term) else [-width for width in pads]
    dx = f.emit("Pad", dy, back, None, axes, like=f.x)
    if f.optional(2) is None:
        return (dx,)
    border = f.emit("ReduceSum", dy, keepdims=0) - f.emit("ReduceSum", dx, keepdims=0)
    return dx, None, reshaped_like(border, f.operand(2))


@rule(
    "CenterCropPad",
    "Compress",
    "DepthToSpace",
    "ReverseSequence",
    "Slice",
    "SpaceToDepth",
    "Tile",
)
def moved(f: Forward, dy: Term) -> Term:
    """Any operator that only moves elements: the positions, moved alike, say where each gradient belongs."""
    count = f.emit("Size", f.x)
    zero, one = (f.emit.constant(np.array(number, np.int64)) for number in (0, 1))
    positions = reshaped_like(f.emit("Range", zero, count, one), f.x)
    return scattered(f.applied_to(positions, *f.inputs[1:]), dy, f.x)


@rule("Gather")
def gather(f: Forward, dy: Term, *, axis: int) -> Term:
    """Slices of a tensor, by their indices along an axis: rows of a table, for the first axis."""
    if axis != 0:
        return moved(f, dy)
    rows = f.emit("Unsqueeze", f.operand(1), [-1])
    return f.emit("ScatterND", full_like(f.x, 0), rows, dy, reduction="add", like=f.x)


@rule("GatherElements")
def gather_elements(f: Forward, dy: Term, *, axis: int) -> Term:
    """Elements by their indices along an axis."""
    return f.emit("ScatterElements", full_like(f.x, 0), f.operand(1), dy, axis=axis, reduction="add", like=f.x)


@rule("GatherND")
def gather_nd(f: Forward, dy: Term, *, batch_dims: int | None) -> Term:
    """Slices by tuples of indices."""
    if batch_dims:
        return moved(f, dy)
    return f.emit("ScatterND", full_like(f.x, 0), f.operand(1), dy, reduction="add", like=f.x)


@rule("Resize", "Upsample")
def resize(f: Forward, dy: Term, *, mode: str, coordinate_transformation_mode: str | None) -> Term:
    """Nearest neighbours are moved elements; interpolation is not."""
    if mode != "nearest" or coordinate_transformation_mode == "tf_crop_and_resize":
        raise f.unsupported(f"with mode {mode} and coordinate_transformation_mode {coordinate_transformation_mode}")
    return moved(f, dy)


def scattered(positions: Term, dy: Term, x: Term) -> Term:
    """Gradients added up at their flat positions in a tensor of the shape of x."""
    emit = x.emit
    zeros = emit("Expand", x.like(0), emit("Reshape", emit("Size", x), [1]))
    flat = [emit("Reshape", term, [-1]) for term in (positions, dy)]
    return reshaped_like(emit("ScatterElements", zeros, *flat, axis=0, reduction="add"), x)


@rule("ScatterElements", "Scatter")
def scatter_elements(f: Forward, dy: Term, *, axis: int, reduction: str | None) -> tuple[Term, None, Term]:
    """Some elements replaced by updates, or with updates added."""
    updates = f.emit("GatherElements", dy, f.operand(1), axis=axis)
    return _kept(f, dy, reduction, axis=axis), None, updates


@rule("ScatterND")
def scatter_nd(f: Forward, dy: Term, *, reduction: str | None) -> tuple[Term, None, Term]:
    """Some slices replaced by updates, or with updates added."""
    return _kept(f, dy, reduction), None, f.emit("GatherND", dy, f.operand(1))


def _kept(f: Forward, dy: Term, reduction: str | None, **attributes: Any) -> Term:
    """The gradient of the data that a scatter starts from."""
    if reduction == "add":
        return dy
    if reduction not in (None, "none"):
        raise f.unsupported(f"with reduction {reduction}")
    operator = "ScatterND" if f.node.op_type == "ScatterND" else "ScatterElements"
    return f.emit(operator, dy, f.operand(1), full_like(f.operand(2), 0), like=f.x, **attributes)


@rule("TopK")
def top_k(f: Forward, dy: Term, _: Term | None = None, *, axis: int) -> Term:
    """The largest or smallest elements along an axis."""
    return f.emit("ScatterElements", full_like(f.x, 0), f.output(1), dy, axis=axis, reduction="add", like=f.x)


@rule("CumSum")
def cum_sum(f: Forward, dy: Term, *, exclusive: int, reverse: int) -> Term:
    """Sums of all elements so far; the gradient is summed from the other end."""
    return f.emit("CumSum", dy, f.operand(1), exclusive=exclusive, reverse=1 - reverse, like=f.x)
