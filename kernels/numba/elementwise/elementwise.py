"""All elementwise operators: expressions of one instruction, and fused ones of several."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from onnxlite.kernels.dtypes import dtype_of, element_type
from onnxlite.kernels.expression import Expression, Instruction, constant, instruction, with_constants
from onnxlite.kernels.numba.elementwise import (  # noqa: F401 (they fill the table)
    formulas,
    functions,
    quantization_formulas,
)
from onnxlite.kernels.numba.elementwise.broadcast import Layout, broadcast_layout
from onnxlite.kernels.numba.elementwise.formula import Formula, all_formulas, find_formula
from onnxlite.kernels.numba.elementwise.generate import Access, Generated, generate
from onnxlite.kernels.numba.elementwise.term import TYPES, Unserved
from onnxlite.kernels.numba.spec import ArraySpec, Bound, Declined, Input, Output, Pool, View
from onnxlite.kernels.numba.table import op
from onnxlite.kernels.numpy.broadcast import align

Builder = Callable[..., Bound | View | Declined]

#: Simple instructions that a thread does before it looks for more work: some 20 microseconds.
_PIECE = 1 << 17

#: Rows shorter than this leave vectors half empty, which tells where an element costs more than this many simple
#: instructions; rows shorter than the third are not worth a loop for any.  Their elements are found by arrays of places
#: instead, for outputs up to a size.
_SHORT, _COSTLY, _SHORTEST, _MAX_PLACES = 16, 12, 4, 1 << 22

#: Constants up to this many bytes are given to a kernel as arrays of its own, which are like those of a run; for those
#: that are read-only it would be compiled once more.
_COPIED = 1 << 20


@op("Elementwise", domain="onnxlite")
def elementwise(*xs: ArraySpec, expression: tuple[Any, ...]) -> Bound | Declined:
    """An expression of all inputs, broadcast; see `onnxlite.kernels.expression`."""
    try:
        return bind_expression(expression, dict(enumerate(xs)))
    except Unserved as reason:
        return Declined(str(reason))


def bind_expression(expression: Expression, inputs: Mapping[int, ArraySpec]) -> Bound:
    """The kernel of an expression, bound to inputs that are broadcast together.

    Args:
        expression: The expression.
        inputs: What it calls ``x0``, ``x1`` and so on, under the numbers that the node's inputs have.

    Raises:
        Unserved: It is not compiled for these types, or the inputs do not broadcast.
    """
    for x in inputs.values():
        if x.dtype not in TYPES:
            raise Unserved(f"arrays of {x.dtype} are not compiled")
    shape = _broadcast([x.shape for x in inputs.values()])
    expression, inputs = _with_numbers(expression, inputs)
    layout = broadcast_layout([x.shape for x in inputs.values()], shape)
    if layout.has_rows and layout.lengths[-1] < _SHORT:
        inputs = {number: _filled(x, shape) for number, x in inputs.items()}
        layout = broadcast_layout([x.shape for x in inputs.values()], shape)
    kernel, arguments = _kernel(expression, [x.dtype for x in inputs.values()], layout)
    arguments += [*(_argument(number, x) for number, x in inputs.items()), Output(flat=True)]
    outputs = (ArraySpec(shape, kernel.dtype),)
    in_place = tuple(
        (number, 0) for number, x in inputs.items() if x.shape == shape and x.dtype == kernel.dtype and x.value is None
    )
    length = layout.lengths[-1] if kernel.rows else 1
    piece = _piece(kernel, length)
    count = layout.size // max(length, 1)
    if count <= piece:
        return Bound(kernel.loop, (0, count, 0, *arguments), outputs, in_place)
    return Bound(kernel.run, (Pool(), count, piece, *arguments), outputs, in_place)


def _with_numbers(expression: Expression, inputs: Mapping[int, ArraySpec]) -> tuple[Expression, dict[int, ArraySpec]]:
    """The expression with the constants of one element in it, and the inputs that are left: at least one."""
    shape = _broadcast([x.shape for x in inputs.values()])
    left = dict(inputs)
    constants: dict[int, Instruction] = {}
    for position, (number, x) in enumerate(inputs.items()):
        if x.value is not None and x.size == 1 and len(left) > 1:
            others = [other.shape for key, other in left.items() if key != number]
            if _broadcast(others) == shape:
                constants[position] = constant(x.dtype.name, x.value.item())
                del left[number]
    return with_constants(expression, constants), left


def _filled(x: ArraySpec, shape: tuple[int, ...]) -> ArraySpec:
    """A constant repeated to the output's shape, if that is small."""
    whole = ArraySpec(shape, x.dtype)
    if x.value is None or whole.nbytes > _COPIED:
        return x
    return ArraySpec(shape, x.dtype, np.broadcast_to(x.value, shape))


def _kernel(expression: Expression, dtypes: Sequence[np.dtype[Any]], layout: Layout) -> tuple[Generated, list[Any]]:
    """The kernel for a layout, and its arguments before the inputs."""
    numbers = range(len(dtypes))
    if layout.has_rows:
        accesses = [Access.MOVING if layout.moves(i) else Access.STILL for i in numbers]
        kernel = generate(expression, dtypes, accesses, rows=True)
        short = _SHORT if kernel.cost >= _COSTLY else _SHORTEST
        if layout.lengths[-1] >= short or layout.size > _MAX_PLACES:
            return kernel, [layout.numbers(), *kernel.parameters]
    accesses = [
        Access.MOVING if layout.is_contiguous(i) else Access.STILL if layout.is_single(i) else Access.INDEXED
        for i in numbers
    ]
    kernel = generate(expression, dtypes, accesses, rows=False)
    places = [layout.places(i) for i in numbers if accesses[i] is Access.INDEXED]
    return kernel, [*kernel.parameters, *places]


def _broadcast(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise Unserved(f"the shapes {', '.join(map(str, shapes))} do not broadcast") from None


def _piece(kernel: Generated, length: int) -> int:
    """How many elements, or rows of a length, one piece of work has."""
    elements = max(1 << 12, _PIECE // kernel.cost // 64 * 64)
    return max(1, elements // length)


def _argument(number: int, x: ArraySpec) -> Any:
    copied = x.value is not None and x.nbytes <= _COPIED
    return np.array(x.value).reshape(-1) if copied else Input(number, flat=True)


# A builder for every formula.


def _builder(entry: Formula, adapt: Callable[..., Sequence[ArraySpec | None]], *more: str) -> Builder:
    """The builder of an operator that is one instruction.

    Args:
        entry: The operator's formula.
        adapt: Takes the inputs, and those of the attributes that are not the formula's; returns the inputs as they are
            broadcast together.
        *more: The names of those attributes.
    """

    def build(*xs: ArraySpec | None, **attributes: Any) -> Bound | Declined:
        own = {name: attributes.pop(name) for name in more if name in attributes}
        try:
            return bind_expression(*_one_instruction(entry, adapt(*xs, **own), attributes))
        except Unserved as reason:
            return Declined(str(reason))

    given = {**entry.attributes, **dict.fromkeys(more)}
    parameters = [inspect.Parameter("xs", inspect.Parameter.VAR_POSITIONAL)]
    parameters += [
        inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, default=default) for n, default in given.items()
    ]
    build.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    build.__qualname__ = f"{_builder.__qualname__}({entry.name})"
    return build


def _one_instruction(
    entry: Formula, xs: Sequence[ArraySpec | None], attributes: dict[str, Any]
) -> tuple[Expression, dict[int, ArraySpec]]:
    """The expression of an operator, and the inputs that it has."""
    inputs = {number: x for number, x in enumerate(xs) if x is not None}
    positions = {number: f"x{position}" for position, number in enumerate(inputs)}
    operands = [positions.get(number, "") for number in range(len(xs))]
    return (instruction(entry.name, entry.since, operands, attributes),), inputs


def _as_they_are(*xs: ArraySpec | None) -> Sequence[ArraySpec | None]:
    return xs


def _of_the_first_shape(x: ArraySpec, *others: ArraySpec | None) -> Sequence[ArraySpec | None]:
    """Inputs that are broadcast to the shape of the first one, and not to a larger one."""
    shape = _broadcast([x.shape, *(other.shape for other in others if other)])
    if shape != x.shape:
        raise Unserved(f"the other inputs must broadcast to the shape {x.shape} of the first, not to {shape}")
    return (x, *others)


def _with_scalars(x: ArraySpec, *bounds: ArraySpec | None) -> Sequence[ArraySpec | None]:
    """Inputs after the first that have one element."""
    if any(bound and bound.size != 1 for bound in bounds):
        raise Unserved("a bound must be a scalar")
    return (x, *(ArraySpec((), b.dtype, b.value) if b else None for b in bounds))


def _of_one_shape(*xs: ArraySpec, consumed_inputs: Any = None) -> Sequence[ArraySpec]:
    """Inputs that are not broadcast."""
    if any(x.shape != xs[0].shape for x in xs):
        raise Unserved(f"the inputs must have one shape, not {', '.join(str(x.shape) for x in xs)}")
    return xs


def _aligned(
    a: ArraySpec, b: ArraySpec, *, axis: int | None = None, broadcast: int = 0, consumed_inputs: Any = None
) -> Sequence[ArraySpec]:
    """Inputs of which the second is broadcast on request, along an axis: the versions before 7."""
    if not broadcast:
        return _of_one_shape(a, b)
    return (a, _reshaped(a, b, axis))


def _reshaped(a: ArraySpec, b: ArraySpec, axis: int | None) -> ArraySpec:
    try:
        shape = align(np.broadcast_to(0, a.shape), np.broadcast_to(0, b.shape), axis).shape
    except ValueError as error:
        raise Unserved(str(error)) from None
    return ArraySpec(shape, b.dtype, b.value)


def _channel_slope(x: ArraySpec, slope: ArraySpec, *, consumed_inputs: Any = None) -> Sequence[ArraySpec | None]:
    """PRelu's inputs before version 7: a slope for each index of axis 1."""
    return _of_the_first_shape(x, _reshaped(x, slope, min(1, len(x.shape) - 1)) if len(slope.shape) == 1 else slope)


def _consuming(*xs: ArraySpec | None, consumed_inputs: Any = None) -> Sequence[ArraySpec | None]:
    return xs


_ADAPTED: dict[str, Callable[..., Sequence[ArraySpec | None]]] = {
    "PRelu": _of_the_first_shape,
    "Clip": _with_scalars,
    "SwiGLU": _of_one_shape,
}

for _entry in all_formulas():
    if _entry.name not in ("Identity", "Cast", "QuantizeLinear", "DequantizeLinear"):
        op(_entry.name, since=_entry.since, until=_entry.until)(
            _builder(_entry, _ADAPTED.get(_entry.name, _as_they_are))
        )


# The first versions, which carry a hint about memory and broadcast on request.


def _register(name: str, since: int, newer: int, adapt: Callable[..., Any], *more: str) -> None:
    entry = find_formula(name, newer)
    assert entry is not None
    op(name, since=since, until=since)(_builder(entry, adapt, *more))


for _name in ("Neg", "Abs", "Reciprocal", "Sqrt", "Exp", "Log", "Floor", "Ceil", "Tanh"):
    _register(_name, 1, 6, _consuming, "consumed_inputs")
for _name in ("Relu", "LeakyRelu", "Elu", "Sigmoid", "HardSigmoid"):
    _register(_name, 1, 6, _consuming, "consumed_inputs")
for _name in ("Selu", "Clip"):
    _register(_name, 1, 1, _consuming, "consumed_inputs")
for _name in ("Add", "Sub", "Mul", "Div"):
    _register(_name, 1, 7, _aligned, "axis", "broadcast", "consumed_inputs")
    _register(_name, 6, 7, _aligned, "axis", "broadcast")
for _name in ("Pow", "And", "Or", "Xor", "Equal", "Less", "Greater"):
    _register(_name, 1, 7, _aligned, "axis", "broadcast")
for _name in ("Max", "Min", "Sum", "Mean"):
    _register(_name, 1, 8, _of_one_shape, "consumed_inputs")
    _register(_name, 6, 8, _of_one_shape)
_register("PRelu", 1, 7, _channel_slope, "consumed_inputs")
_register("PRelu", 6, 7, _channel_slope)


# Copies


@op("Identity")
def identity(x: ArraySpec) -> View:
    """The input itself."""
    return View(x.shape)


@op("Cast", since=19)
def cast(x: ArraySpec, *, to: int, saturate: int = 1, round_mode: str = "up") -> Bound | View | Declined:
    """The input in another type, or itself where it has the type (ONNX Cast-28)."""
    return (
        View(x.shape)
        if x.dtype == dtype_of(to)
        else elementwise(x, expression=(instruction("Cast", 13, ["x0"], {"to": to}),))
    )


@op("Cast", since=6, until=13)
def cast_6(x: ArraySpec, *, to: int) -> Bound | View | Declined:
    """Cast before there were float8 types (ONNX Cast-13)."""
    return cast(x, to=to)


@op("CastLike", since=15)
def cast_like(x: ArraySpec, target: ArraySpec, *, saturate: int = 1, round_mode: str = "up") -> Bound | View | Declined:
    """The input in the type of another one (ONNX CastLike-25)."""
    return cast(x, to=element_type(target.dtype).code)


@op("Dropout", since=12)
def dropout(
    data: ArraySpec,
    ratio: ArraySpec | None = None,
    training_mode: ArraySpec | None = None,
    *,
    seed: int | None = None,
    output_count: int,
) -> View | Declined:
    """The data, in inference and without the mask (ONNX Dropout-22)."""
    if training_mode is not None and (training_mode.value is None or training_mode.value.item()):
        return Declined("Dropout in training is not compiled")
    return _without_mask(data, output_count)


@op("Dropout", since=7, until=10)
def dropout_7(data: ArraySpec, *, ratio: float = 0.5, output_count: int) -> View | Declined:
    """Dropout in inference (ONNX Dropout-10)."""
    return _without_mask(data, output_count)


@op("Dropout", since=1, until=6)
def dropout_6(
    data: ArraySpec, *, is_test: int = 0, ratio: float = 0.5, consumed_inputs: Any = None, output_count: int
) -> View | Declined:
    """Dropout with an attribute for inference (ONNX Dropout-6)."""
    return _without_mask(data, output_count) if is_test else Declined("Dropout in training is not compiled")


def _without_mask(data: ArraySpec, output_count: int) -> View | Declined:
    return View(data.shape) if output_count == 1 else Declined("Dropout with a mask is not compiled")
