"""The pass that makes a transposed convolution an ordinary one, whose results are then put between each other.

Along an axis of stride s, output s * i + r of a transposed convolution reads the inputs i, i - 1, ... with the taps r,
r + s, ...: for each of the s phases r it is a convolution of stride 1.  All phases together are one convolution with s
times the filters (shorter kernels are filled with zeros), and ``onnxlite.Interleave`` puts them in their places.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.geometry import per_axis, span, split_padding
from onnxlite.model.ir import Graph, Node
from onnxlite.model.order import reads

#: Functions of one element, without other inputs: they may as well come before the elements are put in their places.
_POINTWISE = frozenset(
    {"Clip", "Elu", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish", "Relu", "Selu", "Sigmoid", "Softplus"}
    | {"Swish", "Tanh"}
)


@dataclass(frozen=True, slots=True)
class _Axis:
    """One axis: the stride, the taps of a phase, the pads of the convolution, and what of the results is cut off."""

    stride: int
    taps: int
    pads: tuple[int, int]
    crop: tuple[int, int]


def lower_transposed(graph: Graph, keep: frozenset[str], outer: Mapping[str, Array]) -> Graph:
    """The graph with each ConvTranspose of constant weights as a Conv and an Interleave.

    Args:
        graph: The graph.
        keep: Names of values that must remain.
        outer: The initializers of the graphs around it.
    """
    if not any(node.op_type == "ConvTranspose" and not node.domain for node in graph.nodes):
        return graph
    initializers = dict(graph.initializers)
    known = {**outer, **initializers}
    uses = Counter(name for node in graph.nodes for name in reads(node))
    readers = {name: node for node in graph.nodes for name in reads(node)}
    replaced: dict[int, tuple[Node, ...]] = {}
    for node in graph.nodes:
        lowered = _lowered(node, known, initializers)
        if lowered is None:
            continue
        conv, interleave = lowered
        name = node.outputs[0]
        follower = readers.get(name)
        if follower is not None and uses[name] == 1 and name not in keep and _is_pointwise(follower, known):
            activated = replace(
                follower, inputs=(*conv.outputs, *follower.inputs[1:]), outputs=(f"{follower.outputs[0]}/phases",)
            )
            placed = replace(interleave, inputs=activated.outputs, outputs=follower.outputs)
            replaced[id(node)], replaced[id(follower)] = (conv,), (activated, placed)
        else:
            replaced[id(node)] = lowered
    nodes = tuple(new for node in graph.nodes for new in replaced.get(id(node), (node,)))
    return replace(graph, nodes=nodes, initializers=initializers)


def _is_pointwise(node: Node, known: Mapping[str, Array]) -> bool:
    """Whether a node is a function of each element, by itself or with constants (the limits of Clip)."""
    others = node.inputs[1:]
    return not node.domain and node.op_type in _POINTWISE and node.opset >= 6 and all(o in known for o in others if o)


def _lowered(node: Node, known: Mapping[str, Array], initializers: dict[str, Array]) -> tuple[Node, Node] | None:
    """The two nodes of a transposed convolution, their weights among the initializers."""
    if node.op_type != "ConvTranspose" or node.domain or node.attributes.get("output_shape"):
        return None
    weights = known.get(node.inputs[1])
    bias = known.get(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else None
    group = int(node.attributes.get("group", 1))
    if weights is None or weights.dtype != np.float32 or not 3 <= weights.ndim <= 5 or not weights.size:
        return None
    if group < 1 or weights.shape[0] % group or (len(node.inputs) > 2 and node.inputs[2] and bias is None):
        return None
    try:
        axes = _axes(node, weights.shape[2:])
    except ValueError:
        return None
    filters, phases = weights.shape[1], int(np.prod([axis.stride for axis in axes]))
    if bias is not None and bias.shape != (group * filters,):
        return None
    name = node.outputs[0]
    initializers[f"{name}/weights"] = _phase_weights(weights, group, node, axes)
    inputs = (node.inputs[0], f"{name}/weights")
    if bias is not None:
        initializers[f"{name}/bias"] = np.repeat(bias.reshape(group, 1, filters), phases, axis=1).reshape(-1)
        inputs = (*inputs, f"{name}/bias")
    pads = (*(axis.pads[0] for axis in axes), *(axis.pads[1] for axis in axes))
    conv = Node(
        "Conv", inputs, (f"{name}/phases",), name=node.name, opset=11, attributes={"group": group, "pads": pads}
    )
    attributes = {
        "strides": tuple(axis.stride for axis in axes),
        "crops": (*(axis.crop[0] for axis in axes), *(axis.crop[1] for axis in axes)),
        "group": group,
    }
    interleave = Node(
        "Interleave", conv.outputs, (name,), "onnxlite", name=f"{node.name}/interleave", attributes=attributes
    )
    return conv, interleave


def _axes(node: Node, kernel: tuple[int, ...]) -> list[_Axis]:
    """The geometry along each axis.

    Raises:
        ValueError: An attribute does not fit the weights.
    """
    rank = len(kernel)
    given = {name: node.attributes.get(name) for name in ("strides", "dilations", "output_padding", "pads")}
    strides = per_axis("strides", given["strides"], rank, 1)
    dilations = per_axis("dilations", given["dilations"], rank, 1)
    extra = per_axis("output_padding", given["output_padding"], rank, 0, least=0)
    spans = [span(k, d) for k, d in zip(kernel, dilations, strict=True)]
    auto_pad = str(node.attributes.get("auto_pad", "NOTSET"))
    if tuple(node.attributes.get("kernel_shape", kernel)) != kernel or 0 in kernel:
        raise ValueError("the kernel's shape differs from the weights'")
    if auto_pad.startswith("SAME"):
        totals = tuple(max(0, more + k - s) for more, k, s in zip(extra, spans, strides, strict=True))
        begins, ends = split_padding(totals, auto_pad)
    else:
        pads = tuple(given["pads"] or (0,) * (2 * rank)) if auto_pad != "VALID" else (0,) * (2 * rank)
        if len(pads) != 2 * rank or min(pads) < 0:
            raise ValueError("the pads do not fit")
        begins, ends = pads[:rank], pads[rank:]
    return [_axis(*numbers) for numbers in zip(strides, spans, extra, begins, ends, strict=True)]


def _axis(stride: int, length: int, extra: int, begin: int, end: int) -> _Axis:
    """The geometry along an axis.

    Args:
        stride: The stride.
        length: The length of the kernel, with what dilation puts in.
        extra: The output padding.
        begin: The pad before the output, which is cut off.
        end: The pad behind it.
    """
    taps = -(-length // stride)
    # Results of the convolution before the first phase that is kept, or behind the last one, are not computed.
    before = max(0, taps - 1 - begin // stride)
    behind = max(0, (extra + length - 1 - end) // stride)
    crop = begin - stride * (taps - 1 - before), stride * (behind + 1) - extra - length + end
    return _Axis(stride, taps, (before, behind), crop)


def _phase_weights(weights: Array, group: int, node: Node, axes: list[_Axis]) -> Array:
    """The weights (group * phases * M/group, C/group, taps...) of weights (C, M/group, kernel...)."""
    rank = len(axes)
    dilations = per_axis("dilations", node.attributes.get("dilations"), rank, 1)
    filled = np.zeros((*weights.shape[:2], *(axis.taps * axis.stride for axis in axes)), np.float32)
    places = tuple(slice(0, span(k, d), d) for k, d in zip(weights.shape[2:], dilations, strict=True))
    filled[(..., *places)] = weights
    split = [length for axis in axes for length in (axis.taps, axis.stride)]
    parts = filled.reshape(group, weights.shape[0] // group, weights.shape[1], *split)
    taps, phases = range(3, 3 + 2 * rank, 2), range(4, 4 + 2 * rank, 2)
    ordered = np.flip(parts, tuple(taps)).transpose(0, *phases, 2, 1, *taps)
    return np.ascontiguousarray(
        ordered.reshape(-1, weights.shape[0] // group, *(axis.taps for axis in axes)), np.float32
    )
