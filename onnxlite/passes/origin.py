"""Where the operands of a product come from: the tensor that a projection wrote, before heads are split and scaled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from onnxlite.kernels.arrays import Array
from onnxlite.model.ir import Node
from onnxlite.passes.facts import Facts


@dataclass(frozen=True, slots=True)
class Origin:
    """A tensor that queries, keys or values are read from.

    Args:
        name: The tensor.
        perm: How it is transposed; None if it is not.  An axis may be left out.
        at: The index that is taken of the axis that is left out.
        scale: The number that it is multiplied by.
        factors: Values of one element that it is multiplied by, too.
    """

    name: str
    perm: tuple[int, ...] | None = None
    at: int | None = None
    scale: float = 1.0
    factors: tuple[str, ...] = ()


#: How many of the last axes, transposed, may be the one whose elements lie side by side.
ROWS, ROWS_OR_COLUMNS = 1, 2


def traced(name: str, facts: Facts, contiguous: int, *, scaled: bool) -> Origin:
    """Follow a value back through transpositions and indices, and through scales if the scores can take them."""
    origin = Origin(name)
    while True:
        node = facts.producers.get(origin.name)
        further = _before(origin, node, facts, scaled) if node is not None and node.inputs and not node.domain else None
        if further is None or not _is_readable(further, contiguous):
            return origin
        origin = further


def _before(origin: Origin, node: Node, facts: Facts, scaled: bool) -> Origin | None:
    if node.op_type == "Transpose":
        return _before_transposition(origin, node)
    if node.op_type == "Reshape":
        return _before_turn_of_batch(origin, node, facts)
    if node.op_type in ("Gather", "Squeeze"):
        return _before_index(origin, node, facts)
    return _before_scale(origin, node, facts) if scaled and node.op_type in ("Mul", "Div") and node.opset >= 7 else None


def _is_readable(origin: Origin, contiguous: int) -> bool:
    """Whether the axis whose elements lie side by side is one that a product can walk along."""
    if origin.perm is None:
        return True
    last = len(origin.perm) - (origin.at is None)
    return last in origin.perm[-contiguous:]


def _before_transposition(origin: Origin, node: Node) -> Origin | None:
    first = node.attributes.get("perm")
    if not first or (origin.perm is not None and len(first) != len(origin.perm) + (origin.at is not None)):
        return None
    perm = tuple(first) if origin.perm is None else tuple(first[axis] for axis in origin.perm)
    return replace(origin, name=node.inputs[0], perm=perm)


def _before_turn_of_batch(origin: Origin, node: Node, facts: Facts) -> Origin | None:
    """Matrices that are turned while all axes in front are seen as one are turned as they are, too."""
    turn = facts.producers.get(node.inputs[0])
    merge = facts.producers.get(turn.inputs[0]) if turn is not None and turn.op_type == "Transpose" else None
    if turn is None or merge is None or merge.op_type != "Reshape" or turn.attributes.get("perm") != (0, 2, 1):
        return None
    before, seen, after = (facts.shape(name) for name in (merge.inputs[0], merge.outputs[0], node.outputs[0]))
    if isinstance(before, str) or isinstance(seen, str) or after != (*before[:-2], *before[:-3:-1]):
        return None
    if len(before) < 3 or seen[1:] != before[-2:]:
        return None
    axes = range(len(before))
    straight = replace(turn, inputs=merge.inputs[:1], attributes={"perm": (*axes[:-2], *axes[:-3:-1])})
    return _before_transposition(origin, straight)


def _before_index(origin: Origin, node: Node, facts: Facts) -> Origin | None:
    """The tensor that an index along an axis is taken of, as where queries, keys and values lie together."""
    found = _index(node, facts)
    if found is None or origin.at is not None:
        return None
    name, left_out, at = found
    rank = facts.rank(node.outputs[0]) if origin.perm is None else len(origin.perm)
    if rank is None:
        return None
    left_out = left_out if left_out >= 0 else left_out + rank + 1
    perm = range(rank) if origin.perm is None else origin.perm
    return replace(origin, name=name, at=at, perm=tuple(axis + (axis >= left_out) for axis in perm))


def _index(node: Node, facts: Facts) -> tuple[str, int, int] | None:
    """The tensor, the axis and the index, counted from 0, if a node takes one index of an axis away."""
    if node.op_type == "Gather":
        index = facts.constants.get(node.inputs[-1])
        single = index is not None and index.ndim == 0 and index.item() >= 0
        return (
            (node.inputs[0], node.attributes.get("axis", 0), int(index.item()))
            if single and index is not None
            else None
        )
    axes, part = _integers(node, 1, "axes", facts.constants), facts.producers.get(node.inputs[0])
    if axes is None or len(axes) != 1 or part is None or part.domain:
        return None
    if part.op_type == "Slice":
        starts, along = (_integers(part, i, key, facts.constants) for i, key in ((1, "starts"), (3, "axes")))
        steps = _integers(part, 4, "steps", facts.constants) or (1,)
        single = along == axes and starts is not None and starts[0] >= 0 and steps[0] == 1
        return (part.inputs[0], axes[0], starts[0]) if single and starts is not None else None
    if part.op_type == "Split" and part.attributes.get("axis", 0) == axes[0]:
        lengths = _integers(part, 1, "split", facts.constants)
        single = lengths is not None and set(lengths) == {1}
        return (part.inputs[0], axes[0], part.outputs.index(node.inputs[0])) if single else None
    return None


def _integers(node: Node, index: int, name: str, constants: Mapping[str, Array]) -> tuple[int, ...] | None:
    """Constants that an input gives, or in older versions an attribute."""
    if name in node.attributes:
        return tuple(node.attributes[name])
    array = constants.get(node.inputs[index]) if len(node.inputs) > index else None
    return None if array is None else tuple(map(int, array.reshape(-1)))


def _before_scale(origin: Origin, node: Node, facts: Facts) -> Origin | None:
    """A factor that is a constant number, or one that a run knows; a divisor must be constant."""
    for own, other in (node.inputs, node.inputs[::-1]):
        number = facts.matcher.number(other, node.inputs)
        if number is not None and (node.op_type == "Mul" or other is node.inputs[1]):
            factor = number if node.op_type == "Mul" else 1 / number if number else None
            return replace(origin, name=own, scale=origin.scale * factor) if factor else None
        if node.op_type == "Mul" and facts.shape(other) in ((), (1,)) and facts.rank(own):
            return replace(origin, name=own, factors=(*origin.factors, other))
    return None
