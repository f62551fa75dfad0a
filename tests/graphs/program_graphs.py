"""Random small graphs for programs: each node is computed as it is added, so that the next one fits."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from onnxlite.errors import OnnxliteError
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.spec import FLOAT32, ArraySpec, Bound, Declined, Input, Output, Pool, Scratch, View
from onnxlite.kernels.numpy import REFERENCE
from onnxlite.kernels.op import KernelTable
from onnxlite.model import Graph, Node, Value
from onnxlite.plan import Binding, Plan, bind, execute
from onnxlite.providers import TableProvider

OPSET = 21

#: Compiled kernels of these tests: few, small, and of every kind of answer that a builder may give.
BUILDERS = KernelTable(builders=True)


@jit
def negate(x, y):  # type: ignore[no-untyped-def]
    for i in range(x.size):
        y[i] = -x[i]


@BUILDERS.op("Neg", since=1)
def neg(x: ArraySpec) -> Bound | Declined:
    if x.dtype != FLOAT32:
        return Declined("float32 only")
    arguments = (Input(0, flat=True), Output(flat=True))
    return Bound(negate, arguments, (ArraySpec(x.shape, x.dtype),), in_place=((0, 0),))


@jit
def _multiply_piece(start, stop, thread, x, y, z, seen):  # type: ignore[no-untyped-def]
    for i in range(start, stop):
        z[i] = x[i] * y[i]
        seen[thread, 0] = i


@jit
def _multiply(pool, x, y, z, seen):  # type: ignore[no-untyped-def]
    parallel_for(pool, _multiply_piece, (x, y, z, seen), x.size, 2)


@BUILDERS.op("Mul", since=7)
def mul(x: ArraySpec, y: ArraySpec) -> Bound | Declined:
    """With the pool and memory for each of its threads; refuses what does not broadcast by an error."""
    np.broadcast_shapes(x.shape, y.shape)
    if x.dtype != FLOAT32 or x.shape != y.shape or x.value is not None or y.value is not None:
        return Declined("float32 of one shape only")
    arguments = (Pool(), Input(0, flat=True), Input(1, flat=True), Output(flat=True), Scratch((1,), per_thread=True))
    return Bound(_multiply, arguments, (ArraySpec(x.shape, x.dtype),))


@jit
def _halve(x, first, second):  # type: ignore[no-untyped-def]
    for i in range(first.size):
        first[i] = x[i]
    for i in range(second.size):
        second[i] = x[first.size + i]


@BUILDERS.op("Split", since=13)
def split(
    x: ArraySpec, sizes: ArraySpec | None = None, *, axis: int = 0, num_outputs: int | None = None
) -> Bound | Declined:
    """Two halves of the first axis."""
    if sizes is not None or num_outputs != 2 or axis or x.dtype != FLOAT32 or x.shape[0] % 2 or x.value is not None:
        return Declined("halves only")
    half = ArraySpec((x.shape[0] // 2, *x.shape[1:]), x.dtype)
    return Bound(_halve, (Input(0, flat=True), Output(0, flat=True), Output(1, flat=True)), (half, half))


@BUILDERS.op("Dropout", since=13)
def dropout(
    x: ArraySpec, ratio: ArraySpec | None = None, mode: ArraySpec | None = None, *, seed: int | None = None
) -> View | Declined:
    """The input itself."""
    return View(x.shape) if mode is None else Declined("no training")


def reference() -> TableProvider:
    return TableProvider("reference", (REFERENCE,))


def providers() -> list[TableProvider]:
    return [TableProvider("compiled", (BUILDERS,)), reference()]


class Sketch:
    """A graph that grows node by node, with the values that it has for one set of inputs."""

    def __init__(self, opset: int = OPSET) -> None:
        self.opset = opset
        self.nodes: list[Node] = []
        self.initializers: dict[str, Any] = {}
        self.inputs: dict[str, Any] = {}
        self.values: dict[str, Any] = {}

    def input(self, value: Any) -> str:
        name = f"x{len(self.inputs)}"
        self.inputs[name] = self.values[name] = value
        return name

    def constant(self, value: Any) -> str:
        name = f"w{len(self.initializers)}"
        array = np.asarray(value)
        array.flags.writeable = False
        self.initializers[name] = self.values[name] = array
        return name

    def add(self, op: str, *inputs: str, outputs: Sequence[bool] = (True,), **attributes: Any) -> list[str]:
        """Add a node and compute it; ``outputs`` says which of its outputs it names."""
        number = len(self.nodes)
        names = tuple(f"{op.lower()}{number}_{i}" if named else "" for i, named in enumerate(outputs))
        node = Node(op, inputs, names, name=f"{op}_{number}", opset=self.opset, attributes=attributes)
        given = self.values.copy()
        graph = Graph("one", tuple(Value(name) for name in given), (), (node,))
        named = [name for name in names if name]
        plan = bind(graph, named, Binding([reference()]))
        with np.errstate(all="ignore"):
            results = execute(plan, list(given.values()))
        self.nodes.append(node)
        self.values.update(zip(named, results, strict=True))
        return named

    def tensors(self, dtype: Any = np.float32, least: int = 0) -> list[str]:
        """The names of arrays of an element type and at least so many axes."""
        return [n for n, v in self.values.items() if isinstance(v, np.ndarray) and v.dtype == dtype and v.ndim >= least]

    def graph(self, outputs: Sequence[str]) -> Graph:
        return Graph(
            "random",
            tuple(Value(name) for name in self.inputs),
            tuple(Value(name) for name in outputs),
            tuple(self.nodes),
            dict(self.initializers),
        )

    def plan(self, outputs: Sequence[str], **binding: Any) -> Plan:
        return bind(self.graph(outputs), outputs, Binding(providers(), wait_for_compiler=True, **binding))


def _pick(draw: st.DrawFn, names: Sequence[str]) -> str:
    return draw(st.sampled_from(list(names)))


def _any(draw: st.DrawFn, s: Sketch) -> str:
    return _pick(draw, s.tensors())


def _unary(draw: st.DrawFn, s: Sketch) -> None:
    s.add(draw(st.sampled_from(["Neg", "Abs", "Relu", "Tanh", "Identity", "Neg"])), _any(draw, s))


def _binary(draw: st.DrawFn, s: Sketch) -> None:
    s.add(draw(st.sampled_from(["Add", "Mul", "Max"])), _any(draw, s), _any(draw, s))


def _with_constant(draw: st.DrawFn, s: Sketch) -> None:
    x = _any(draw, s)
    shape = s.values[x].shape
    kept = tuple(draw(st.sampled_from([n, 1])) for n in shape)
    s.add(
        draw(st.sampled_from(["Add", "Mul"])),
        x,
        s.constant(np.full(kept[draw(st.integers(0, len(kept))) :], 0.5, "f4")),
    )


def _clip(draw: st.DrawFn, s: Sketch) -> None:
    s.add("Clip", _any(draw, s), "", s.constant(np.float32(1)))


def _transpose(draw: st.DrawFn, s: Sketch) -> None:
    x = _any(draw, s)
    s.add("Transpose", x, perm=tuple(draw(st.permutations(range(s.values[x].ndim)))))


def _flatten(draw: st.DrawFn, s: Sketch) -> None:
    s.add("Flatten", _pick(draw, s.tensors(least=1)), axis=draw(st.sampled_from([0, 1])))


def _reshape(draw: st.DrawFn, s: Sketch) -> None:
    x = _any(draw, s)
    s.add("Reshape", x, s.constant(np.array(s.values[x].shape[::-1], np.int64)), allowzero=1)


def _reshape_to_computed_shape(draw: st.DrawFn, s: Sketch) -> None:
    """The chain that exporters write: shape, its parts, put together."""
    (shape,) = s.add("Shape", _pick(draw, s.tensors(least=1)))
    rank = len(s.values[shape])
    order = s.constant(np.array(draw(st.permutations(range(rank))), np.int64))
    (gathered,) = s.add("Gather", shape, order)
    (target,) = s.add("Concat", gathered, s.constant(np.array([1], np.int64)), axis=0)
    source = next(n for n in s.tensors(least=1) if s.values[n].size == np.prod(s.values[target]))
    s.add("Reshape", source, target, allowzero=1)


def _unsqueeze(draw: st.DrawFn, s: Sketch) -> None:
    (y,) = s.add("Unsqueeze", _any(draw, s), s.constant(np.array([0], np.int64)))
    if draw(st.booleans()):
        s.add("Squeeze", y, s.constant(np.array([0], np.int64)))


def _slice(draw: st.DrawFn, s: Sketch) -> None:
    bounds = [s.constant(np.array([n], np.int64)) for n in (0, draw(st.integers(0, 3)), 0)]
    s.add("Slice", _pick(draw, s.tensors(least=1)), *bounds)


def _fill(draw: st.DrawFn, s: Sketch) -> None:
    (shape,) = s.add("Shape", _any(draw, s))
    s.add("ConstantOfShape", shape, value=np.array([draw(st.integers(0, 3))], np.float32))


def _expand(draw: st.DrawFn, s: Sketch) -> None:
    (shape,) = s.add("Shape", _any(draw, s))
    s.add("Expand", s.constant(np.float32(2)), shape)


def _range(draw: st.DrawFn, s: Sketch) -> None:
    (size,) = s.add("Size", _any(draw, s))
    (numbers,) = s.add("Range", s.constant(np.int64(0)), size, s.constant(np.int64(1)))
    s.add("Cast", numbers, to=1)


def _reduce(draw: st.DrawFn, s: Sketch) -> None:
    x = _pick(draw, s.tensors(least=1))
    axes = s.constant(np.array([draw(st.integers(0, s.values[x].ndim - 1))], np.int64))
    s.add("ReduceSum", x, axes, keepdims=draw(st.sampled_from([0, 1])))


def _split(draw: st.DrawFn, s: Sketch) -> None:
    named = draw(st.sampled_from([(True, True), (True, False), (False, True)]))
    even = [n for n in s.tensors(least=1) if s.values[n].shape[0] % 2 == 0]
    s.add("Split", _pick(draw, even or s.tensors(least=1)), outputs=named, num_outputs=2)


def _top(draw: st.DrawFn, s: Sketch) -> None:
    named = draw(st.sampled_from([(True, True), (True, False), (False, True)]))
    longer = [n for n in s.tensors(least=1) if s.values[n].shape[-1] >= 1]
    if longer:
        s.add("TopK", _pick(draw, longer), s.constant(np.array([1], np.int64)), outputs=named)


def _dropout(draw: st.DrawFn, s: Sketch) -> None:
    s.add("Dropout", _any(draw, s), outputs=draw(st.sampled_from([(True,), (True, False), (True, True)])))


def _matmul(draw: st.DrawFn, s: Sketch) -> None:
    x = _pick(draw, s.tensors(least=2))
    s.add("MatMul", x, s.constant(np.ones((s.values[x].shape[-1], 2), np.float32)))


def _nonzero(draw: st.DrawFn, s: Sketch) -> None:
    (indices,) = s.add("NonZero", _pick(draw, s.tensors(least=1)))
    (numbers,) = s.add("Cast", indices, to=1)
    s.add("Neg", numbers)


def _compress(draw: st.DrawFn, s: Sketch) -> None:
    x = _pick(draw, s.tensors(least=1))
    (greater,) = s.add("Greater", x, s.constant(np.float32(0)))
    (flat,) = s.add("Reshape", greater, s.constant(np.array([-1], np.int64)))
    s.add("Compress", x, flat)


def _reshape_dynamically(draw: st.DrawFn, s: Sketch) -> None:
    """A view whose shape only the run knows, of a value with a place of its own."""
    x = _any(draw, s)
    (total,) = s.add("ReduceSum", x, keepdims=0)
    (nothing,) = s.add("Mul", total, s.constant(np.float32(0)))
    (whole,) = s.add("Cast", nothing, to=7)
    (one,) = s.add("Add", whole, s.constant(np.array([1], np.int64)))
    (shape,) = s.add("Concat", one, s.constant(np.array(s.values[x].shape, np.int64)), axis=0)
    s.add("Reshape", x, shape, allowzero=1)


def _branch(draw: st.DrawFn, s: Sketch) -> None:
    """One branch gives a value from outside as it is, the other computes."""
    x, y = _any(draw, s), _any(draw, s)
    number = len(s.nodes)
    if draw(st.booleans()):
        (size,) = s.add("Size", _any(draw, s))
        (positive,) = s.add("Greater", size, s.constant(np.int64(2)))
    else:
        (total,) = s.add("ReduceSum", _any(draw, s), keepdims=0)
        (positive,) = s.add("Greater", total, s.constant(np.float32(0)))
    same, other, constant = f"same{number}", f"other{number}", f"constant{number}"
    then = Graph("then", (), (Value(same), Value(y)), (Node("Identity", (x,), (same,), opset=OPSET),))
    otherwise = Graph(
        "else",
        (),
        (Value(other), Value(constant)),
        (Node("Neg", (y,), (other,), opset=OPSET),),
        {constant: np.float32([5])},
    )
    s.add("If", positive, outputs=(True, draw(st.booleans())), then_branch=then, else_branch=otherwise)


def _loop(draw: st.DrawFn, s: Sketch) -> None:
    x, number = _any(draw, s), len(s.nodes)
    i, on, state, stay, following, scanned = (f"{part}{number}" for part in "abcdef")
    body = Graph(
        "body",
        (Value(i), Value(on), Value(state)),
        (Value(stay), Value(following), Value(scanned)),
        (
            Node("Identity", (on,), (stay,), opset=OPSET),
            Node("Neg", (state,), (following,), opset=OPSET),
            Node("Mul", (state, x), (scanned,), opset=OPSET),
        ),
    )
    s.add("Loop", s.constant(np.int64(draw(st.integers(0, 3)))), "", x, outputs=(True, True), body=body)


def _sequence(draw: st.DrawFn, s: Sketch) -> None:
    (sequence,) = s.add("SequenceConstruct", _any(draw, s), _any(draw, s))
    s.add("SequenceAt", sequence, s.constant(np.int64(draw(st.integers(0, 1)))))


#: The ways to add to a graph.
GROWTH: list[Callable[[st.DrawFn, Sketch], None]] = [
    _unary,
    _unary,
    _binary,
    _binary,
    _with_constant,
    _clip,
    _transpose,
    _flatten,
    _reshape,
    _reshape_to_computed_shape,
    _unsqueeze,
    _slice,
    _fill,
    _expand,
    _range,
    _reduce,
    _split,
    _top,
    _dropout,
    _matmul,
    _nonzero,
    _compress,
    _reshape_dynamically,
    _reshape_dynamically,
    _branch,
    _branch,
    _loop,
    _sequence,
    _sequence,
]

SHAPES = [(), (2,), (3,), (0,), (1,), (2, 3), (2, 1), (4, 2), (0, 3), (2, 2, 3)]


def numbers(shape: tuple[int, ...], seed: int) -> Any:
    """Small whole numbers and halves: sums and products of a few of them are exact."""
    return np.asarray(np.random.default_rng(seed).integers(-3, 4, shape) / 2, np.float32)


@st.composite
def sketches(draw: st.DrawFn) -> tuple[Sketch, list[str]]:
    """A sketch, and the names of its outputs."""
    sketch = Sketch()
    for index in range(draw(st.integers(1, 2))):
        sketch.input(numbers(draw(st.sampled_from(SHAPES)), index))
    sketch.constant(numbers((2, 3), 9))
    for grow in draw(st.lists(st.sampled_from(GROWTH), min_size=1, max_size=10)):
        # What does not fit the values that there are is left out.
        with contextlib.suppress(OnnxliteError, StopIteration):
            grow(draw, sketch)
    sketch.add("Neg", _any(draw, sketch))
    names = [name for name, value in sketch.values.items() if not isinstance(value, list)]
    chosen = draw(st.lists(st.sampled_from(names), min_size=3, max_size=8))
    return sketch, [*chosen, names[-1]]
