"""Random convolutional networks as they are exported: each node is computed as it is added, and the next one fits."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from program_graphs import Sketch, reference

from onnxlite.errors import OnnxliteError
from onnxlite.model import Graph, Node, Value
from onnxlite.plan import Binding, bind, execute
from onnxlite.plan.known_shapes import tensor_type

Growth = Callable[[st.DrawFn, "Images"], None]


class Images(Sketch):
    """A sketch on images (N, C, spatial axes...) of one rank."""

    def __init__(self, opset: int, rank: int) -> None:
        super().__init__(opset)
        self.rank = rank
        self.scalar = ""
        self.generator = np.random.default_rng(opset * 10 + rank)

    def noise(self, *shape: int) -> Any:
        return self.generator.standard_normal(shape).astype(np.float32)

    def images(self) -> list[str]:
        """The names of values of the rank that have elements, those added last first."""
        return [n for n in reversed(self.tensors()) if self.values[n].ndim == self.rank and self.values[n].size]

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.values[name].shape)


def image(draw: st.DrawFn, s: Images) -> str:
    """Mostly what was added last, so that chains grow long."""
    names = [n for n in s.images() if n not in s.initializers] or s.images()
    return names[draw(st.sampled_from([0, 0, 0, 1, 2, 5])) % len(names)]


def convolution(draw: st.DrawFn, s: Images, x: str | None = None) -> str:
    x = x or image(draw, s)
    channels, spatial = s.shape(x)[1], s.shape(x)[2:]
    kind = draw(st.sampled_from(["plain", "plain", "plain", "depthwise", "groups"]))
    group = channels if kind == "depthwise" else 2 if kind == "groups" and channels % 2 == 0 else 1
    filters = group * draw(st.integers(1, 4 if group == 1 else 2))
    if draw(st.booleans()) and group in (1, channels):
        filters = channels  # so that it can be added to what it was made of
    same = draw(st.booleans())
    kernel = tuple(draw(st.sampled_from([k for k in (1, 2, 3) if k <= n or same])) for n in spatial)
    attributes: dict[str, Any] = {"group": group} if group > 1 or draw(st.booleans()) else {}
    if same:
        attributes["auto_pad"] = draw(st.sampled_from(["SAME_UPPER", "SAME_LOWER"]))
    elif draw(st.booleans()):
        attributes["pads"] = tuple(draw(st.integers(0, 1)) for _ in range(2 * len(spatial)))
        attributes["strides"] = tuple(draw(st.sampled_from([1, 1, 2])) for _ in spatial)
    if draw(st.booleans()):
        attributes["kernel_shape"] = kernel
    w = s.noise(filters, channels // group, *kernel) / np.float32(np.sqrt(channels // group * np.prod(kernel)))
    inputs = [x, s.constant(w)]
    if draw(st.booleans()):
        inputs.append(s.constant(s.noise(filters)))
    return s.add("Conv", *inputs, **attributes)[0]


def _convolution(draw: st.DrawFn, s: Images) -> None:
    convolution(draw, s)


def _convolution_with_followers(draw: st.DrawFn, s: Images) -> None:
    y = convolution(draw, s)
    for _ in range(draw(st.integers(1, 3))):
        y = draw(st.sampled_from([normalization, activation, with_constant, residual]))(draw, s, y)


def _convolution_of_computed_weights(draw: st.DrawFn, s: Images) -> None:
    x = image(draw, s)
    (w,) = s.add("Mul", s.constant(s.noise(2, s.shape(x)[1], *(1,) * (s.rank - 2))), s.scalar)
    s.add("Conv", x, w)


def normalization(draw: st.DrawFn, s: Images, x: str) -> str:
    channels = s.shape(x)[1]
    parameters = [s.constant(s.noise(channels)) for _ in range(3)]
    variance = s.constant(np.abs(s.noise(channels)) + np.float32(0.5))
    attributes = {"epsilon": 1e-3} if draw(st.booleans()) else {}
    return s.add("BatchNormalization", x, *parameters, variance, **attributes)[0]


def activation(draw: st.DrawFn, s: Images, x: str) -> str:
    op = draw(
        st.sampled_from(["Relu", "LeakyRelu", "Sigmoid", "HardSigmoid", "HardSwish", "Clip", "Silu", "Tanh", "PRelu"])
    )
    if op == "Clip":
        limits = [draw(st.sampled_from(["", s.constant(np.float32(v))])) for v in (-0.5, 1)]
        return s.add(op, x, *limits)[0]
    if op == "Silu":
        return s.add("Mul", x, *s.add("Sigmoid", x))[0]
    if op == "PRelu":
        return s.add(op, x, s.constant(s.noise(s.shape(x)[1], *(1,) * (s.rank - 2))))[0]
    if op == "HardSwish" and s.opset < 14:
        return s.add("Mul", x, *s.add("HardSigmoid", x, alpha=1 / 6))[0]
    parameters = {"LeakyRelu": {"alpha": 0.2}, "HardSigmoid": {"alpha": 0.3, "beta": 0.4}}
    return s.add(op, x, **(parameters.get(op, {}) if draw(st.booleans()) else {}))[0]


def with_constant(draw: st.DrawFn, s: Images, x: str) -> str:
    """A constant of any shape that broadcasts to the image's."""
    shape = s.shape(x)
    kind = draw(st.sampled_from(["channel", "channel", "channel", "any", "scalar"]))
    if kind == "channel":
        kept: tuple[int, ...] = (shape[1], *(1,) * (s.rank - 2))
    elif kind == "any":
        kept = tuple(draw(st.sampled_from([n, 1])) for n in shape)[draw(st.integers(0, s.rank)) :]
    else:
        kept = (1,) * draw(st.integers(0, s.rank))
    op = draw(st.sampled_from(["Mul", "Add", "Add", "Sub", "Div", "Max"]))
    values = np.abs(s.noise(*kept)) + np.float32(0.5) if op == "Div" else np.asarray(s.noise(*kept))
    operands = [x, s.constant(values)]
    return s.add(op, *(operands if op == "Div" or draw(st.booleans()) else operands[::-1]))[0]


def residual(draw: st.DrawFn, s: Images, x: str) -> str:
    """The sum with an image that broadcasts with it."""
    others = [n for n in s.images() if broadcast(s.shape(n), s.shape(x))]
    other = draw(st.sampled_from(others[:8]))
    op = draw(st.sampled_from(["Add", "Add", "Add", "Mul", "Sub", "Sum", "Max"]))
    return s.add(op, *draw(st.permutations([x, other])))[0]


def broadcast(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return all(a == b or 1 in (a, b) for a, b in zip(one, other, strict=True))


def _follower(function: Callable[[st.DrawFn, Images, str], str]) -> Growth:
    return lambda draw, s: (function(draw, s, image(draw, s)), None)[1]


def _squeeze_and_excite(draw: st.DrawFn, s: Images) -> None:
    x = image(draw, s)
    channels, ones = s.shape(x)[1], (1,) * (s.rank - 2)
    if draw(st.booleans()):
        (pooled,) = s.add("GlobalAveragePool", x)
    else:
        (pooled,) = _reduction(s, "ReduceMean", x, tuple(range(2, s.rank)), keepdims=1)
    (small,) = s.add("Conv", pooled, s.constant(s.noise(2, channels, *ones)), s.constant(s.noise(2)))
    (small,) = s.add("Relu", small)
    (scale,) = s.add("Conv", small, s.constant(s.noise(channels, 2, *ones)))
    s.add("Mul", x, *s.add(draw(st.sampled_from(["HardSigmoid", "Sigmoid"])), scale))


def _reduction(s: Images, op: str, x: str, axes: tuple[int, ...], **attributes: Any) -> list[str]:
    if s.opset >= 18 or (op == "ReduceSum" and s.opset >= 13):
        return s.add(op, x, s.constant(np.array(axes, np.int64)), **attributes)
    return s.add(op, x, axes=axes, **attributes)


def _reduce(draw: st.DrawFn, s: Images) -> None:
    op = draw(st.sampled_from(["ReduceMean", "ReduceMax", "ReduceSum", "ReduceMin"]))
    axes = draw(st.lists(st.integers(0, s.rank - 1), min_size=1, max_size=s.rank, unique=True))
    signed = tuple(draw(st.sampled_from([axis, axis - s.rank])) for axis in axes)
    attributes = {"keepdims": keep} if (keep := draw(st.sampled_from([0, 1, 2]))) < 2 else {}
    _reduction(s, op, image(draw, s), signed, **attributes)


def _reduce_everything(draw: st.DrawFn, s: Images) -> None:
    s.add("ReduceMean", image(draw, s), keepdims=1)


def _concat(draw: st.DrawFn, s: Images) -> None:
    x = image(draw, s)
    axis = draw(st.sampled_from([1, 1, 1, 0, s.rank - 1, -1]))
    fits = [
        n
        for n in s.images()
        if all(a == b or i == axis % s.rank for i, (a, b) in enumerate(zip(s.shape(n), s.shape(x), strict=True)))
    ]
    s.add("Concat", x, draw(st.sampled_from(fits[:6])), axis=axis)


def _pool(draw: st.DrawFn, s: Images) -> None:
    x = image(draw, s)
    op = draw(st.sampled_from(["MaxPool", "AveragePool", "LpPool"]))
    spatial = s.shape(x)[2:]
    attributes: dict[str, Any] = {
        "kernel_shape": tuple(draw(st.sampled_from([k for k in (1, 2, 3) if k <= n])) for n in spatial)
    }
    if draw(st.booleans()):
        attributes["strides"] = tuple(draw(st.sampled_from([1, 2])) for _ in spatial)
    if draw(st.booleans()) and op != "LpPool":
        attributes["ceil_mode"] = 1
    if draw(st.booleans()) and min(attributes["kernel_shape"]) > 1:
        attributes["pads"] = tuple(draw(st.integers(0, 1)) for _ in range(2 * len(spatial)))
        if op == "AveragePool":
            attributes["count_include_pad"] = draw(st.integers(0, 1))
    s.add(op, x, outputs=(True, True) if op == "MaxPool" and draw(st.booleans()) else (True,), **attributes)


def _global_pool(draw: st.DrawFn, s: Images) -> None:
    s.add(draw(st.sampled_from(["GlobalAveragePool", "GlobalMaxPool"])), image(draw, s))


def _transpose(draw: st.DrawFn, s: Images) -> None:
    """To the channels last and back, as exporters write it, or anything."""
    order = range(s.rank)
    to_last, to_first = (0, *order[2:], 1), (0, s.rank - 1, *order[1:-1])
    x = image(draw, s)
    kind = draw(st.sampled_from(["round trip", "one way", "one way", "any"]))
    if kind == "any":
        s.add("Transpose", x, perm=tuple(draw(st.permutations(order))))
        return
    first, second = draw(st.permutations([to_last, to_first]))
    (y,) = s.add("Transpose", x, perm=first)
    if kind == "round trip":
        if draw(st.booleans()):
            y = activation(draw, s, y)
        s.add("Transpose", y, perm=second)


def _softmax(draw: st.DrawFn, s: Images) -> None:
    attributes = {"axis": axis} if (axis := draw(st.sampled_from([1, -1, 2, 9]))) < 9 else {}
    s.add(draw(st.sampled_from(["Softmax", "LogSoftmax"])), image(draw, s), **attributes)


def _plain_reader(draw: st.DrawFn, s: Images) -> None:
    """Operators that no rule knows: they need the image as it is."""
    x = image(draw, s)
    kind = draw(st.sampled_from(["flatten", "matmul", "slice", "cumulate", "instance", "shape", "split"]))
    if kind == "flatten":
        s.add("Flatten", x)
    elif kind == "matmul":
        s.add("MatMul", x, s.constant(s.noise(s.shape(x)[-1], s.shape(x)[-1])))
    elif kind == "slice":
        bounds = [s.constant(np.array([n], np.int64)) for n in (0, 1, 1)]
        s.add("Slice", x, *bounds)
    elif kind == "cumulate":
        s.add("CumSum", x, s.constant(np.int64(1)))
    elif kind == "instance":
        ones = s.constant(np.ones(s.shape(x)[1], np.float32))
        s.add("InstanceNormalization", x, ones, ones)
    elif kind == "shape":
        (shape,) = s.add("Shape", x)
        (zero,) = s.add("ConstantOfShape", shape)
        s.add("Add", x, zero)
    else:
        attributes = {"num_outputs": 2} if s.opset >= 18 else {}
        s.add("Split", x, outputs=(True, True), axis=1, **attributes)


def _pass_on(draw: st.DrawFn, s: Images) -> None:
    op = draw(st.sampled_from(["Identity", "Dropout", "Cast"]))
    s.add(op, image(draw, s), **({"to": 1} if op == "Cast" else {}))


def _branch(draw: st.DrawFn, s: Images) -> None:
    """A condition whose branches take images from outside, with convolutions of their own."""
    x, other, number = image(draw, s), image(draw, s), len(s.nodes)
    (maximum,) = s.add("ReduceMax", x, keepdims=0)
    (positive,) = s.add("Greater", maximum, s.constant(np.float32(draw(st.sampled_from([-9, 9])))))
    w = s.noise(1, s.shape(x)[1], *(1,) * (s.rank - 2))
    a, b, c, d = (f"{part}{number}" for part in "abcd")
    then = Graph(
        "then",
        (),
        (Value(b),),
        (
            Node("Conv", (x, f"w{a}"), (a,), opset=s.opset),
            Node("Relu", (a,), (b,), opset=s.opset),
        ),
        {f"w{a}": w},
    )
    otherwise = Graph(
        "else", (), (Value(d),), (Node("Neg", (other,), (c,), opset=s.opset), Node("Relu", (c,), (d,), opset=s.opset))
    )
    s.add("If", positive, then_branch=then, else_branch=otherwise)


GROWTH: list[Growth] = [
    _convolution,
    _convolution,
    _convolution_with_followers,
    _convolution_with_followers,
    _convolution_with_followers,
    _convolution_of_computed_weights,
    _follower(normalization),
    _follower(activation),
    _follower(activation),
    _follower(with_constant),
    _follower(with_constant),
    _follower(residual),
    _follower(residual),
    _squeeze_and_excite,
    _reduce,
    _reduce,
    _reduce_everything,
    _concat,
    _concat,
    _pool,
    _pool,
    _global_pool,
    _transpose,
    _transpose,
    _softmax,
    _plain_reader,
    _pass_on,
    _branch,
]

SPATIAL = {3: [(5,), (8,)], 4: [(4, 5), (6, 6), (1, 7)], 5: [(3, 4, 3)]}


@st.composite
def networks(draw: st.DrawFn) -> tuple[Images, list[str]]:
    """A network, and the names of its outputs: the last value and perhaps some in the middle."""
    rank = draw(st.sampled_from([4, 4, 4, 3, 5]))
    s = Images(draw(st.sampled_from([12, 17, 21])), rank)
    channels = draw(st.sampled_from([1, 2, 3, 4]))
    x = s.input(s.noise(draw(st.integers(1, 2)), channels, *draw(st.sampled_from(SPATIAL[rank]))))
    if draw(st.booleans()):
        s.input(s.noise(*(draw(st.sampled_from([n, 1])) for n in s.shape(x))))
    s.scalar = s.input(np.float32([0.5]))
    convolution(draw, s, x)
    for grow in draw(st.lists(st.sampled_from(GROWTH), min_size=1, max_size=8)):
        # What does not fit the values that there are is left out.
        with contextlib.suppress(OnnxliteError):
            grow(draw, s)
    computed = [name for name in s.values if name not in s.initializers]
    middle = draw(st.lists(st.sampled_from(computed), max_size=2, unique=True))
    return s, [*(name for name in middle if name != computed[-1]), computed[-1]]


def results(graph: Graph, outputs: Sequence[str], inputs: Sequence[Any]) -> list[Any]:
    """What the reference computes for a graph."""
    plan = bind(graph, list(outputs), Binding([reference()]))
    with np.errstate(all="ignore"):
        return execute(plan, list(inputs))


def assert_close(actual: Sequence[Any], expected: Sequence[Any], outputs: Sequence[str]) -> None:
    """Fail unless results are equal but for the rounding of sums taken in another order."""
    for one, other, name in zip(actual, expected, outputs, strict=True):
        assert one.dtype == other.dtype, name
        scale = float(np.abs(other[np.isfinite(other)]).max(initial=1.0)) if other.dtype.kind == "f" else 0.0
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4 * scale, err_msg=name, strict=True)


def operators(graph: Graph) -> Counter[str]:
    """How often each operator is applied, subgraphs not counted."""
    return Counter(node.operator for node in graph.nodes)


def made(
    nodes: Sequence[Node],
    inputs: Sequence[str],
    outputs: Sequence[str],
    constants: Mapping[str, Any] | None = None,
    types: Mapping[str, Any] | None = None,
) -> Graph:
    """A graph written by hand; the types of inputs are those of example arrays."""
    declared = tuple(Value(name, tensor_type(types[name]) if types and name in types else None) for name in inputs)
    return Graph("g", declared, tuple(map(Value, outputs)), tuple(nodes), dict(constants or {}))


def node(op: str, inputs: Sequence[str], outputs: Sequence[str], opset: int = 17, **attributes: Any) -> Node:
    """A node written by hand."""
    return Node(op, tuple(inputs), tuple(outputs), name=f"{op} {outputs[0]}", opset=opset, attributes=attributes)
