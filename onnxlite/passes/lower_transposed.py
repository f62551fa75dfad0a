"""The pass that makes a transposed convolution an ordinary one, and a sum of what overlaps.

There are two ways.  Along an axis of stride s, output s * i + r of a transposed convolution reads the inputs i, i - 1,
... with the taps r, r + s, ...: for each of the s *phases* r it is a convolution of stride 1, and all phases together
are one convolution with s times the filters, whose results ``onnxlite.OverlapAdd`` puts between each other.  Kernels
that are no multiple of their stride are filled up with zeros; where that would be too many, every position gives its
multiple of the whole kernel, by a convolution of one tap, and ``onnxlite.OverlapAdd`` adds them up.
"""

from __future__ import annotations

import math
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


#: How many times as much as is needed may be multiplied for the sake of phases.
_MAX_WASTE = 1.5


@dataclass(frozen=True, slots=True)
class _Axis:
    """A transposed convolution along one axis: places of the kernel, stride, dilation, output padding, pads."""

    kernel: int
    stride: int
    dilation: int
    extra: int
    begin: int
    end: int

    @property
    def span(self) -> int:
        """The length of the kernel, with what dilation puts in."""
        return span(self.kernel, self.dilation)

    @property
    def taps(self) -> int:
        """The taps of a phase."""
        return -(-self.span // self.stride)

    @property
    def pads(self) -> tuple[int, int]:
        """The pads of the convolution that computes all phases.

        Its results before the first phase that is kept, or behind the last one, are not computed.
        """
        before = max(0, self.taps - 1 - self.begin // self.stride)
        return before, max(0, (self.extra + self.span - 1 - self.end) // self.stride)

    @property
    def phase_crop(self) -> tuple[int, int]:
        """What is cut off the interleaved phases."""
        before, behind = self.pads
        begin = self.begin - self.stride * (self.taps - 1 - before)
        return begin, self.stride * (behind + 1) - self.extra - self.span + self.end


@dataclass(frozen=True, slots=True)
class _Parts:
    """The convolution of one of the two ways, its weights and pads, and how its results are added up."""

    weights: Array
    kernel: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...]
    crops: tuple[int, ...]


def lower_transposed(graph: Graph, keep: frozenset[str], outer: Mapping[str, Array]) -> Graph:
    """The graph with each ConvTranspose of constant weights as a Conv and an OverlapAdd.

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
        replaced[id(node)] = lowered
        name = node.outputs[0]
        follower = readers.get(name)
        if follower is not None and uses[name] == 1 and name not in keep and _is_pointwise(follower, known):
            swapped = _swapped(lowered[-1], follower)
            if swapped is not None:
                replaced[id(node)], replaced[id(follower)] = lowered[:-1], swapped
    nodes = tuple(new for node in graph.nodes for new in replaced.get(id(node), (node,)))
    return replace(graph, nodes=nodes, initializers=initializers)


def _swapped(added: Node, follower: Node) -> tuple[Node, Node] | None:
    """A function of each element before an OverlapAdd instead of behind it; None where that adds anything up."""
    apart = added.attributes.get("kernel_shape") == added.attributes.get("strides") and len(added.inputs) == 1
    if added.op_type != "OverlapAdd" or not apart:
        return None
    inputs, outputs = (*added.inputs, *follower.inputs[1:]), (f"{follower.outputs[0]}/parts",)
    return replace(follower, inputs=inputs, outputs=outputs), replace(added, inputs=outputs, outputs=follower.outputs)


def _is_pointwise(node: Node, known: Mapping[str, Array]) -> bool:
    """Whether a node is a function of each element, by itself or with constants (the limits of Clip)."""
    others = node.inputs[1:]
    return not node.domain and node.op_type in _POINTWISE and node.opset >= 6 and all(o in known for o in others if o)


def _lowered(node: Node, known: Mapping[str, Array], initializers: dict[str, Array]) -> tuple[Node, ...] | None:
    """The one or two nodes of a transposed convolution, their weights among the initializers."""
    if node.op_type != "ConvTranspose" or node.domain or node.attributes.get("output_shape"):
        return None
    weights = known.get(node.inputs[1])
    bias_name = node.inputs[2] if len(node.inputs) > 2 else ""
    group = int(node.attributes.get("group", 1))
    if weights is None or weights.dtype != np.float32 or not 3 <= weights.ndim <= 5 or not weights.size:
        return None
    if group < 1 or weights.shape[0] % group:
        return None
    if bias_name and (bias_name not in known or known[bias_name].shape != (group * weights.shape[1],)):
        return None
    try:
        axes = _axes(node, weights.shape[2:])
    except ValueError:
        return None
    waste = math.prod(axis.taps * axis.stride for axis in axes) / math.prod(axis.kernel for axis in axes)
    by_phases = waste <= _MAX_WASTE
    parts = (_phases if by_phases else _whole_kernels)(weights, group, axes)
    name, bias = node.outputs[0], [f"{node.outputs[0]}/bias"] if bias_name else []
    initializers[f"{name}/weights"] = parts.weights
    if bias_name:
        repeated = np.repeat(known[bias_name].reshape(group, 1, -1), math.prod(parts.kernel), axis=1)
        initializers[bias[0]] = repeated.reshape(-1) if by_phases else known[bias_name]
    inputs = (node.inputs[0], f"{name}/weights", *(bias if by_phases else ()))
    attributes = {"group": group, "pads": parts.pads}
    conv = Node("Conv", inputs, (f"{name}/parts",), name=node.name, opset=11, attributes=attributes)
    if by_phases and set(parts.kernel) == {1} and not any(parts.crops):
        return (replace(conv, outputs=(name,)),)
    attributes = {
        "kernel_shape": parts.kernel,
        "strides": tuple(axis.stride for axis in axes),
        "dilations": parts.dilations,
        "crops": parts.crops,
        "group": group,
    }
    inputs = (*conv.outputs, *(() if by_phases else bias))
    label = f"{node.name}/sum" if node.name else ""
    return conv, Node("OverlapAdd", inputs, (name,), "onnxlite", name=label, attributes=attributes)


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
    return [_Axis(*numbers) for numbers in zip(kernel, strides, dilations, extra, begins, ends, strict=True)]


def _phases(weights: Array, group: int, axes: list[_Axis]) -> _Parts:
    """The weights (group * phases * M/group, C/group, taps...) of weights (C, M/group, kernel...)."""
    rank = len(axes)
    filled = np.zeros((*weights.shape[:2], *(axis.taps * axis.stride for axis in axes)), np.float32)
    places = tuple(slice(0, axis.span, axis.dilation) for axis in axes)
    filled[(slice(None), slice(None), *places)] = weights
    split = [length for axis in axes for length in (axis.taps, axis.stride)]
    parts = filled.reshape(group, weights.shape[0] // group, weights.shape[1], *split)
    taps, phases = range(3, 3 + 2 * rank, 2), range(4, 4 + 2 * rank, 2)
    ordered = np.flip(parts, tuple(taps)).transpose(0, *phases, 2, 1, *taps)
    return _Parts(
        ordered.reshape(-1, weights.shape[0] // group, *(axis.taps for axis in axes)),
        tuple(axis.stride for axis in axes),
        (1,) * rank,
        _begins_and_ends([axis.pads for axis in axes]),
        _begins_and_ends([axis.phase_crop for axis in axes]),
    )


def _whole_kernels(weights: Array, group: int, axes: list[_Axis]) -> _Parts:
    """The weights (group * kernel * M/group, C/group, 1...) of weights (C, M/group, kernel...)."""
    rank = len(axes)
    parts = weights.reshape(group, weights.shape[0] // group, *weights.shape[1:])
    ordered = parts.transpose(0, *range(3, 3 + rank), 2, 1)
    return _Parts(
        ordered.reshape(-1, weights.shape[0] // group, *(1,) * rank),
        tuple(axis.kernel for axis in axes),
        tuple(axis.dilation for axis in axes),
        (0,) * (2 * rank),
        _begins_and_ends([(axis.begin, axis.end - axis.extra) for axis in axes]),
    )


def _begins_and_ends(pairs: list[tuple[int, int]]) -> tuple[int, ...]:
    return (*(begin for begin, _ in pairs), *(end for _, end in pairs))
