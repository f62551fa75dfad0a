"""What onnxlite's session says about its steps: how many are compiled, and how long each takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from onnxlite.plan import Plan, Step
from onnxlite.plan.plan import call_step
from onnxlite.plan.program import Command, Program


class StepTime(NamedTuple):
    """One step: its node, whether it is compiled, and the median of its seconds."""

    label: str
    operator: str
    compiled: bool
    seconds: float


def compiled_share(session: Any) -> tuple[int, int]:
    """How many of the steps of a session that has run are compiled, and how many there are, bodies included."""
    compiled = list(_compiled(session.plan))
    return sum(compiled), len(compiled)


def is_settled(session: Any) -> bool:
    """Whether a session that has run has all the compiled kernels that it is going to have."""
    if session.plan.programs is None:
        return True
    from onnxlite.kernels.numba.machine.background import is_idle

    return is_idle() and _program(session.plan) is not None


def _compiled(plan: Plan) -> Iterator[bool]:
    program = _program(plan)
    commands = [Command(step, (), ()) for step in plan.steps] if program is None else program.commands
    for command in commands:
        yield command.bound is not None
        for _, body in command.step.bodies:
            yield from _compiled(body)


def _program(plan: Plan) -> Program | None:
    """The program of the plan's last run."""
    kept: list[Program] = plan.programs.programs() if plan.programs is not None else []  # type: ignore[attr-defined]
    return kept[-1] if kept else None


def step_times(session: Any, feeds: Mapping[str, Any], seconds: float) -> list[StepTime]:
    """The steps of a session that has run, with their times when they run one after the other."""
    inputs = [np.asarray(feeds[argument.name]) for argument in session.get_inputs()]
    program = _program(session.plan)
    calls = _PlanCalls(session.plan, inputs) if program is None else _ProgramCalls(program, inputs)
    rounds: list[list[float]] = []
    end = time.perf_counter() + seconds
    with np.errstate(all="ignore"):
        while len(rounds) < 3 or time.perf_counter() < end:
            rounds.append(list(calls.times()))
    return [
        StepTime(step.node.label, step.node.op_type, compiled, statistics.median(times))
        for step, compiled, times in zip(calls.steps, calls.compiled, zip(*rounds, strict=True), strict=True)
    ]


class _PlanCalls:
    """The steps of a plan without compiled kernels, one by one."""

    def __init__(self, plan: Plan, inputs: list[Any]) -> None:
        self._plan, self._inputs = plan, inputs
        self.steps = plan.steps
        self.compiled = [False] * len(plan.steps)

    def times(self) -> Iterator[float]:
        values = self._plan.template.copy()
        for slot, value in zip(self._plan.inputs, self._inputs, strict=True):
            values[slot] = value
        for step in self._plan.steps:
            start = time.perf_counter()
            _store(step, call_step(step, [values[slot] for slot in step.inputs]), values)
            yield time.perf_counter() - start


class _ProgramCalls:
    """The calls of a program, one by one."""

    def __init__(self, program: Program, inputs: list[Any]) -> None:
        self._program, self._inputs = program, inputs
        self.steps = tuple(command.step for command in program.commands)
        self.compiled = [command.bound is not None for command in program.commands]

    def times(self) -> list[float]:
        return self._program.step_times(self._inputs)


def _store(step: Step, results: tuple[Any, ...], values: list[Any]) -> None:
    outputs = (step.outputs,) if isinstance(step.outputs, int) else step.outputs
    for slot, value in zip(outputs, results, strict=True):
        values[slot] = value
    for slot in step.free:
        values[slot] = None
