"""A plan for one set of input shapes: commands over buffers whose places are known, ready to be called.

`onnxlite.plan.specialize` walks a plan's steps once, with real inputs: it runs each step and notes how to run it again.
What depends on shapes alone becomes a constant; what has a compiled kernel becomes a call with its arguments ready;
views cost nothing; the rest calls the reference kernel.  The result is a `Program`, from which each thread takes an
`Instance` with memory of its own.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from onnxlite.errors import RuntimeException
from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numba.machine.jit import entry_point
from onnxlite.kernels.numba.machine.threads import ThreadPool
from onnxlite.kernels.numba.spec import Bound, Input, Output, Pool, Scratch
from onnxlite.plan.arena import Arena, Arenas, Lifetime, plan_offsets
from onnxlite.plan.plan import Step, call_step


@dataclass(frozen=True, slots=True)
class Constant:
    """A slot whose value is the same on every run."""

    value: Any


@dataclass(frozen=True, slots=True)
class Buffer:
    """A slot with a shape and dtype that are the same on every run: a place in the arena."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True)
class Alias:
    """A slot that shows another one's memory, under a shape of its own."""

    slot: int
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Dynamic:
    """A slot that only a run can fill."""


Storage = Constant | Buffer | Alias | Dynamic


@dataclass(frozen=True, slots=True)
class Command:
    """One step of a program: a compiled function bound to shapes or, where ``bound`` is None, the reference kernel."""

    step: Step
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    bound: Bound | None = None


#: Operators that compute nothing.
_MOVING = frozenset({"Gather", "Identity", "Transpose", "ai.onnx.ml.ZipMap"})


@dataclass(slots=True)
class Program:
    """The commands for one set of shapes, with the arena planned; thread-safe."""

    storage: dict[int, Storage]
    commands: list[Command]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    pool: ThreadPool
    arenas: Arenas
    _number: int = field(default_factory=itertools.count().__next__)
    _offsets: dict[tuple[int, int], int] = field(default_factory=dict)
    _arena_size: int | None = None

    def run(self, inputs: Sequence[Any]) -> list[Any]:
        """The outputs for inputs of the program's shapes; arrays of the caller's own but for `shared_outputs`."""
        arena = self.arenas.take(self.arena_size)
        try:
            return self._instance(arena).run(inputs)
        finally:
            self.arenas.give(arena)

    def step_times(self, inputs: Sequence[Any]) -> list[float]:
        """The seconds that each command takes, in the commands' order."""
        arena = self.arenas.take(self.arena_size)
        try:
            with self.pool:
                return self._instance(arena).step_times(inputs)
        finally:
            self.arenas.give(arena)

    def _instance(self, arena: Arena) -> Instance:
        instance: Instance | None = arena.tenants.get(self._number)
        if instance is None:
            instance = Instance(self, arena.memory)
            arena.admit(self._number, instance)
        return instance

    @property
    def takes_arrays(self) -> bool:
        """Whether all inputs are arrays of numbers."""
        return all(isinstance(self.storage[slot], Buffer) for slot in self.inputs)

    @property
    def shared_outputs(self) -> tuple[int, ...]:
        """The indices of the outputs that are not new arrays, which nothing else refers to."""
        return tuple(index for index, slot in enumerate(self.outputs) if not self.is_buffer(self.root(slot)))

    @property
    def is_silent(self) -> bool:
        """Whether no step computes in the reference, where NumPy may warn of numbers that are not finite."""
        return all(command.bound is not None or command.step.node.operator in _MOVING for command in self.commands)

    def is_buffer(self, slot: int) -> bool:
        """Whether a slot has a place of its own in the arena."""
        return isinstance(self.storage.get(slot), Buffer)

    def root(self, slot: int) -> int:
        """The slot whose memory a slot shows."""
        storage = self.storage.get(slot)
        while isinstance(storage, Alias):
            slot = storage.slot
            storage = self.storage.get(slot)
        return slot

    def offset(self, owner: int, part: int) -> int:
        """The place in the arena of a slot's buffer (part -1), or of a command's scratch memory of that number."""
        return self._offsets[owner, part]

    @property
    def arena_size(self) -> int:
        """The bytes that one run needs for its buffers, which are given their places when the program first runs."""
        if self._arena_size is None:
            lifetimes = _lifetimes(self)
            offsets, size = plan_offsets(list(lifetimes.values()))
            self._offsets = dict(zip(lifetimes, offsets, strict=True))
            self._arena_size = size
        return self._arena_size


def _lifetimes(program: Program) -> dict[tuple[int, int], Lifetime]:
    """The lifetimes of all buffers: (slot, -1) for values, (command index, part) for scratch memory."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    end = len(program.commands)
    for slot in program.inputs:
        first[program.root(slot)] = last[program.root(slot)] = -1
    for index, command in enumerate(program.commands):
        for slot in command.outputs:
            first.setdefault(program.root(slot), index)
        for slot in (*command.inputs, *command.outputs):
            last[program.root(slot)] = index
    for slot in program.outputs:
        last[program.root(slot)] = end
    lifetimes: dict[tuple[int, int], Lifetime] = {}
    for slot, start in first.items():
        storage = program.storage.get(slot)
        if isinstance(storage, Buffer):
            size = math.prod(storage.shape) * storage.dtype.itemsize
            lifetimes[slot, -1] = Lifetime(size, start, last[slot])
    for index, command in enumerate(program.commands):
        for part, scratch in enumerate(_scratches(command)):
            size = math.prod(scratch.array_shape(program.pool.threads)) * scratch.dtype.itemsize
            lifetimes[index, part] = Lifetime(size, index, index)
    return lifetimes


def _scratches(command: Command) -> list[Scratch]:
    return [a for a in command.bound.arguments if isinstance(a, Scratch)] if command.bound else []


def _may_share_work(command: Command) -> bool:
    """Whether a step, or a subgraph of its, has work for the pool's threads."""
    return bool(command.step.bodies) or (
        command.bound is not None and any(isinstance(a, Pool) for a in command.bound.arguments)
    )


#: A pool is woken for runs that take longer than this: waking a thread takes some ten microseconds.
_WORTH_WAKING = 100e-6


class Instance:
    """A program with memory: every call with its arguments ready.  One thread at a time."""

    def __init__(self, program: Program, memory: Array) -> None:
        self._program = program
        self._arena = memory
        self._values: dict[int, Any] = {}
        for slot, storage in program.storage.items():
            if isinstance(storage, Constant):
                self._values[slot] = storage.value
            elif isinstance(storage, Buffer):
                self._values[slot] = self._view(program.offset(slot, -1), storage.shape, storage.dtype)
        for slot, storage in program.storage.items():
            if isinstance(storage, Alias) and program.root(slot) in self._values:
                self._values[slot] = self._values[program.root(slot)].reshape(storage.shape)
        self._dynamic = {slot for slot, storage in program.storage.items() if isinstance(storage, Dynamic)}
        self._calls = [self._call(index, command) for index, command in enumerate(program.commands)]
        self._inputs = [(slot, self._values[slot] if program.is_buffer(slot) else None) for slot in program.inputs]
        self._outputs = [
            (slot, self._values[slot] if program.is_buffer(program.root(slot)) else None) for slot in program.outputs
        ]
        self._shares_work = program.pool.threads > 1 and any(map(_may_share_work, program.commands))
        self._seconds = math.inf

    def run(self, inputs: Sequence[Any]) -> list[Any]:
        """Fill the input buffers, make the calls, copy the outputs out."""
        if not self._shares_work:
            return self._run(inputs)
        if self._seconds <= _WORTH_WAKING:
            return self._timed(inputs)
        with self._program.pool:
            return self._timed(inputs)

    def _timed(self, inputs: Sequence[Any]) -> list[Any]:
        start = time.perf_counter()
        results = self._run(inputs)
        self._seconds = time.perf_counter() - start
        return results

    def _run(self, inputs: Sequence[Any]) -> list[Any]:
        values = self._values
        try:
            self._fill(inputs)
            for function, arguments in self._calls:
                function(*arguments)
            return [values.get(slot) if buffer is None else buffer.copy() for slot, buffer in self._outputs]
        finally:
            for slot in self._dynamic:
                values[slot] = None

    def _fill(self, inputs: Sequence[Any]) -> None:
        for (slot, buffer), value in zip(self._inputs, inputs, strict=True):
            if buffer is None:
                self._values[slot] = value
            else:
                buffer[...] = value

    def step_times(self, inputs: Sequence[Any]) -> list[float]:
        """The seconds of each call in one run, whose outputs are not copied."""
        self._fill(inputs)
        times = []
        for function, arguments in self._calls:
            start = time.perf_counter()
            function(*arguments)
            times.append(time.perf_counter() - start)
        return times

    def _view(self, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        size = math.prod(shape) * dtype.itemsize
        return self._arena[offset : offset + size].view(dtype).reshape(shape)

    def _call(self, index: int, command: Command) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        bound = command.bound
        if bound is None:
            return self._reference_call(command), ()
        scratch = iter(range(len(bound.arguments)))
        arguments: list[Any] = []
        for argument in bound.arguments:
            if isinstance(argument, Input | Output):
                slots = command.inputs if isinstance(argument, Input) else command.outputs
                value = self._values[slots[argument.index]]
                arguments.append(value.reshape(-1) if argument.flat else value)
            elif isinstance(argument, Scratch):
                offset = self._program.offset(index, next(scratch))
                shape = argument.array_shape(self._program.pool.threads)
                arguments.append(self._view(offset, shape, argument.dtype))
            elif isinstance(argument, Pool):
                arguments.append(self._program.pool.block)
            else:
                arguments.append(argument)
        return entry_point(bound.function, tuple(arguments)), tuple(arguments)

    def _reference_call(self, command: Command) -> Callable[[], None]:
        """A call of the reference kernel that reads and writes the instance's values."""
        values, step = self._values, command.step
        buffers = [values[slot] if self._program.is_buffer(slot) else None for slot in command.outputs]
        freed = [slot for slot in step.free if slot in self._dynamic]
        if len(buffers) == 1 and buffers[0] is None:
            return self._dynamic_call(command, freed)

        def call() -> None:
            results = call_step(step, [values.get(slot) for slot in command.inputs])
            for slot, result, buffer in zip(command.outputs, results, buffers, strict=True):
                if buffer is None:
                    values[slot] = self._apart(result)
                elif result.shape == buffer.shape:
                    np.copyto(buffer, result)
                else:
                    raise RuntimeException(
                        f"node '{step.node.label}' ({step.node.operator}) gave the shape {buffer.shape} before and now "
                        f"gives {result.shape} for inputs of the same shapes; please report this"
                    )
            for slot in freed:
                values[slot] = None

        return call

    def _dynamic_call(self, command: Command, freed: Sequence[int]) -> Callable[[], None]:
        """A call of the reference kernel for one value that only a run knows the shape of."""
        values, step, inputs, output = self._values, command.step, command.inputs, command.outputs[0]

        def call() -> None:
            (result,) = call_step(step, [values.get(slot) for slot in inputs])
            values[output] = self._apart(result)
            for slot in freed:
                values[slot] = None

        return call

    def _apart(self, value: Any) -> Any:
        """A value that a kernel made, with memory that no other buffer takes over: views of the arena are copied."""
        if value.__class__ is list:
            return [self._apart(item) for item in value]
        return value.copy() if value.__class__ is np.ndarray and np.may_share_memory(value, self._arena) else value
