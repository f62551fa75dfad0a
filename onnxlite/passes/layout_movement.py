"""How images with the channels last are cut, split, resized and asked for their shape: rules of the layout pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from onnxlite.model.ir import Node

if TYPE_CHECKING:
    from onnxlite.passes.layout import Layout


def to_last(rank: int) -> tuple[int, ...]:
    """The permutation that puts axis 1 last."""
    return (0, *range(2, rank), 1)


def to_first(rank: int) -> tuple[int, ...]:
    """The permutation that puts the last axis back to 1: where the axes lie with the channels last."""
    return (0, rank - 1, *range(1, rank - 1))


def _moved(axes: list[int], rank: int) -> list[int] | None:
    """Axes with the channels last, or None if one of them does not exist."""
    return [to_first(rank)[axis] for axis in axes] if all(-rank <= axis < rank for axis in axes) else None


def _rank(layout: Layout, node: Node) -> int | None:
    """The rank of the node's first input, if that has a twin."""
    return layout.ranks[node.inputs[0]] if node.inputs[0] in layout.twins else None


def _permuted(layout: Layout, name: str, order: tuple[int, ...]) -> str | None:
    """The name of a vector with one element for each axis, its elements in another order."""
    if not name or (name in layout.known and not layout.known[name].size):
        return name
    turned = f"{name}/permuted_{len(order)}_{order[1]}"
    if turned in layout.known or turned in layout.made:
        return turned
    if name in layout.known:
        if layout.known[name].shape != (len(order),):
            return None
        layout.add(turned, layout.known[name][list(order)])
        return turned
    layout.plain(name)
    layout.add(f"{turned}/order", np.array(order, np.int64))
    layout.made.add(turned)
    layout.nodes.append(Node("Gather", (name, f"{turned}/order"), (turned,), name=turned, opset=13))
    return turned


def shape(layout: Layout, node: Node) -> bool:
    """A Shape of what only has a twin: the twin's, in another order."""
    rank = _rank(layout, node)
    if rank is None or node.inputs[0] not in layout.owed:
        return False
    start, end = node.attributes.get("start", 0), node.attributes.get("end")
    order = to_first(rank)[start:end]
    turned = f"{node.outputs[0]}/channels_last"
    layout.nodes.append(replace(node, inputs=(layout.twins[node.inputs[0]],), outputs=(turned,), attributes={}))
    layout.add(f"{turned}/order", np.array(order, np.int64))
    layout.nodes.append(Node("Gather", (turned, f"{turned}/order"), node.outputs, name=node.name, opset=13))
    return True


def cut(layout: Layout, node: Node) -> bool:
    """Slice: the axes are renamed."""
    rank = _rank(layout, node)
    if rank is None:
        return False
    axes = _axes_of_cut(layout, node)
    moved = None if axes is None else _moved(axes, rank)
    if moved is None:
        return False
    x = layout.twins[node.inputs[0]]
    if node.opset < 10:
        layout.emit(replace(node, inputs=(x,), attributes={**node.attributes, "axes": tuple(moved)}), rank)
        return True
    for name in filter(None, node.inputs[1:]):
        layout.plain(name)
    names = f"{node.outputs[0]}/axes"
    layout.add(names, np.array(moved, np.int64))
    layout.emit(replace(node, inputs=(x, *node.inputs[1:3], names, *node.inputs[4:])), rank)
    return True


def _axes_of_cut(layout: Layout, node: Node) -> list[int] | None:
    """The axes of a Slice, if they are known before a run: the first ones where it names none."""
    if node.opset < 10:
        axes, starts = node.attributes.get("axes"), node.attributes.get("starts", ())
        return list(range(len(starts)) if axes is None else axes)
    if len(node.inputs) > 3 and node.inputs[3]:
        named = layout.known.get(node.inputs[3])
        return None if named is None else [int(axis) for axis in named]
    first = layout.known.get(node.inputs[1])
    return None if first is None else list(range(len(first)))


def split(layout: Layout, node: Node) -> bool:
    """Split: the axis is renamed."""
    rank = _rank(layout, node)
    moved = None if rank is None else _moved([int(node.attributes.get("axis", 0))], rank)
    if rank is None or moved is None:
        return False
    for name in filter(None, node.inputs[1:]):
        layout.plain(name)
    inputs = (layout.twins[node.inputs[0]], *node.inputs[1:])
    layout.emit(replace(node, inputs=inputs, attributes={**node.attributes, "axis": moved[0]}), rank)
    return True


def resize(layout: Layout, node: Node) -> bool:
    """Resize and Upsample: the factors or lengths come in another order, or for axes that are renamed."""
    rank = _rank(layout, node)
    if rank is None or node.attributes.get("coordinate_transformation_mode") == "tf_crop_and_resize":
        return False
    x, attributes = layout.twins[node.inputs[0]], dict(node.attributes)
    rest: list[str | None] = list(node.inputs[1:])
    if "axes" in attributes:
        moved = _moved(list(attributes["axes"]), rank)
        if moved is None:
            return False
        attributes["axes"] = tuple(moved)
    elif "scales" in attributes:
        if len(attributes["scales"]) != rank:
            return False
        attributes["scales"] = tuple(attributes["scales"][axis] for axis in to_last(rank))
    elif node.opset >= 11:
        rest = ["", *(_permuted(layout, name, to_last(rank)) for name in node.inputs[2:])]
    else:
        rest = [_permuted(layout, name, to_last(rank)) for name in node.inputs[1:]]
    if None in rest:
        return False
    for name in filter(None, rest):
        layout.plain(name)
    layout.emit(replace(node, inputs=(x, *map(str, rest)), attributes=attributes), rank)
    return True


RULES: dict[str, Callable[[Layout, Node], bool]] = {
    "Shape": shape,
    "Slice": cut,
    "Split": split,
    "Resize": resize,
    "Upsample": resize,
}
