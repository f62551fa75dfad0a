"""The plan: a flat list of bound calls over numbered slots, and the loop that runs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from onnxlite.errors import OnnxliteError, RuntimeException
from onnxlite.kernels.op import Kernel
from onnxlite.model.ir import Node
from onnxlite.model.types import ValueType, type_of

#: A kernel with its attributes bound: takes the values of the input slots, returns the value of the output slot, or a
#: tuple of values for a step with several.
Call: TypeAlias = Callable[..., Any]

#: The slot that is always None: an input that is left out.
ABSENT = 0
#: The slot that nobody reads: an output that is left out.
DISCARDED = 1
#: The first slot of a named value.
FIRST = 2


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One node, bound: what is called, the slots it reads and writes, and the slots whose values nobody needs after it.

    ``outputs`` is an int where the node has one output, so that the loop stores the result without unpacking.
    ``builder`` is the compiled kernel with the node's attributes, where there is one: see
    ``onnxlite.kernels.numba.spec``.
    """

    node: Node
    call: Call
    inputs: tuple[int, ...]
    outputs: int | tuple[int, ...]
    free: tuple[int, ...]
    kernel: Kernel
    provider: str
    bodies: tuple[tuple[str, Plan], ...] = ()
    builder: Callable[..., Any] | None = None
    chosen: Kernel | None = None

    @property
    def served_by(self) -> Kernel:
        """The kernel that was chosen; ``kernel`` is what it falls to where it is compiled and declines the shapes."""
        return self.chosen or self.kernel


class ShapedProgram(Protocol):
    """A plan for inputs of certain shapes and types: ``onnxlite.plan.program.Program``."""

    def run(self, inputs: Sequence[Any]) -> list[Any]:
        """The plan's outputs."""

    @property
    def takes_arrays(self) -> bool:
        """Whether all inputs are arrays of numbers."""

    @property
    def shared_outputs(self) -> tuple[int, ...]:
        """The indices of the outputs that are not new arrays, which nothing else refers to."""

    @property
    def is_silent(self) -> bool:
        """Whether no step computes in the reference, where NumPy may warn of numbers that are not finite."""


class ProgramRunner(Protocol):
    """Runs a plan through programs that are specialised to the shapes of the inputs."""

    def run(self, inputs: Sequence[Any], captured: Sequence[Any]) -> list[Any]:
        """The plan's outputs."""

    def find(self, given: Sequence[Any]) -> ShapedProgram | None:
        """The program for inputs, and captured values, of these shapes and types, if there is one."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The steps of one graph.

    ``template`` holds the constants in their slots and None elsewhere: a run starts from a copy of it.  ``inputs``,
    ``captured`` and ``outputs`` are the slots of the graph's inputs, of what it takes from the graph around it, and of
    its results.  ``programs`` is there where steps have compiled kernels.
    """

    name: str
    steps: tuple[Step, ...]
    template: list[Any]
    inputs: tuple[int, ...]
    captured: tuple[int, ...]
    outputs: tuple[int, ...]
    names: tuple[str, ...]
    output_types: tuple[ValueType | None, ...]
    programs: ProgramRunner | None = None

    def __repr__(self) -> str:
        return "\n".join(_lines(self))


def run_plan(plan: Plan, inputs: Sequence[Any], captured: Sequence[Any] = ()) -> list[Any]:
    """The values of the output slots, by the fastest way that the plan has."""
    return execute(plan, inputs, captured) if plan.programs is None else plan.programs.run(inputs, captured)


def execute(plan: Plan, inputs: Sequence[Any], captured: Sequence[Any] = ()) -> list[Any]:
    """Run the steps and return the values of the output slots.

    Raises:
        RuntimeException: A kernel failed; the message names the node, its operator and its inputs.
    """
    values = plan.template.copy()
    for slot, value in zip(plan.inputs, inputs, strict=True):
        values[slot] = value
    for slot, value in zip(plan.captured, captured, strict=True):
        values[slot] = value
    for step in plan.steps:
        arguments = [values[slot] for slot in step.inputs]
        try:
            result = step.call(*arguments)
        except Exception as error:
            raise located(error, step, arguments) from error
        outputs = step.outputs
        if outputs.__class__ is int:
            values[outputs] = result
        else:
            for slot, value in zip(outputs, result, strict=True):  # type: ignore[arg-type]
                values[slot] = value
        for slot in step.free:
            values[slot] = None
    return [values[slot] for slot in plan.outputs]


def call_step(step: Step, arguments: Sequence[Any]) -> tuple[Any, ...]:
    """The results of one step, always as a tuple.

    Raises:
        RuntimeException: The kernel failed; the message names the node, its operator and its inputs.
    """
    try:
        result = step.call(*arguments)
    except Exception as error:
        raise located(error, step, arguments) from error
    return (result,) if isinstance(step.outputs, int) else result


def located(error: Exception, step: Step, arguments: Sequence[Any]) -> Exception:
    """An error that says in which node, and of what inputs, a kernel failed."""
    node = step.node
    if isinstance(error, OnnxliteError):
        error.add_note(f"in node '{node.label}' ({node.operator})")
        return error
    inputs = ", ".join(f"{name}: {type_of(value)}" for name, value in zip(node.inputs, arguments, strict=False) if name)
    reason = f"{error}" if isinstance(error, ValueError | IndexError) else f"{type(error).__name__}: {error}"
    return RuntimeException(
        f"node '{node.label}' ({node.operator}, opset {node.opset}) failed: {reason}\n"
        f"  inputs: {inputs or 'none'}\n  kernel: {step.kernel.where} ({step.provider})"
    )


def _lines(plan: Plan, indent: str = "") -> Iterator[str]:
    def slot(index: int) -> str:
        return "_" if index < FIRST else f"%{index}"

    named = ", ".join(f"%{index} = {plan.names[index]}" for index in plan.inputs)
    yield f"{indent}plan {plan.name}({named}): {len(plan.steps)} steps, {len(plan.template)} slots"
    for step in plan.steps:
        outputs = (step.outputs,) if isinstance(step.outputs, int) else step.outputs
        freed = f"   free {', '.join(map(slot, step.free))}" if step.free else ""
        yield (
            f"{indent}  {', '.join(map(slot, outputs))} = {step.node.operator}({', '.join(map(slot, step.inputs))})"
            f"   # {step.provider}: {step.served_by.where}{freed}"
        )
        for attribute, body in step.bodies:
            yield f"{indent}    {attribute}:"
            yield from _lines(body, indent + "      ")
    yield f"{indent}  return {', '.join(f'{slot(i)} = {plan.names[i]}' for i in plan.outputs)}"
