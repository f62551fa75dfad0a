"""The walk that turns a plan and real inputs into a program for inputs of these shapes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from onnxlite.errors import OnnxliteError
from onnxlite.kernels.arrays import Array
from onnxlite.kernels.mapped import mapped_file
from onnxlite.kernels.numba.machine.background import compile_later, is_ready, undisturbed
from onnxlite.kernels.numba.machine.jit import entry_point
from onnxlite.kernels.numba.machine.threads import ThreadPool
from onnxlite.kernels.numba.prepared import in_memory
from onnxlite.kernels.numba.spec import ArraySpec, Bound, Declined, Input, Output, Pool, Scratch, View
from onnxlite.plan.answers import Answer, Answers, constant_slots
from onnxlite.plan.arena import Arenas
from onnxlite.plan.branch import taken_branch
from onnxlite.plan.dependence import is_repeatable, shaping_inputs
from onnxlite.plan.plan import ABSENT, DISCARDED, Plan, Step, call_step, located
from onnxlite.plan.program import Alias, Buffer, Command, Constant, Dynamic, Program, Storage
from onnxlite.plan.weights import Weights, as_constant

#: How many programs a plan keeps; after as many it takes its shapes to change all the time.
_MAX_PROGRAMS = 16

#: Results larger than this many bytes are computed again on every run rather than kept.
_MAX_FOLDED = 1 << 24

#: Operators that only give their first input another shape.
_RESHAPING = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"})


class Programs:
    """The programs of one plan, by the shapes and types of its inputs; the least recently used is dropped first."""

    def __init__(self, plan: Plan, pool: ThreadPool, wait: bool, weights: Weights, arenas: Arenas) -> None:
        self._plan = plan
        self._arenas = arenas
        self._wait = wait
        self._weights = weights
        self._pool = pool
        self._answers = Answers(plan.steps, constant_slots(weights.values))
        self._programs: OrderedDict[Any, Program] = OrderedDict()
        self._made = 0
        self._answered = False
        self._lock = threading.Lock()

    def run(self, inputs: Sequence[Any], captured: Sequence[Any]) -> list[Any]:
        """The plan's outputs."""
        given = [*inputs, *captured]
        program = self.find(given)
        if program is not None:
            return program.run(given)
        with self._lock:
            self._weights.restore(for_good=self._made >= _MAX_PROGRAMS)
            walk = _Walk(self._plan, self._weights, self._answers, given, self._pool, self._wait)
        with undisturbed() if not self._answered else nullcontext(), self._pool if self._may_wake() else nullcontext():
            results = walk.run()
        self._answered = True
        if not walk.complete:
            return results
        program = walk.program(self._arenas)
        with self._lock:
            self._made += 1
            self._programs[_key(given)] = program
            while len(self._programs) > _MAX_PROGRAMS:
                self._programs.popitem(last=False)
        return results

    def _may_wake(self) -> bool:
        """Whether the pool's threads can be woken without waiting for the compiler."""
        missing = [call for call in self._pool.calls() if not self._wait and not is_ready(*call)]
        for call in missing:
            compile_later(*call)
        return not missing

    def find(self, given: Sequence[Any]) -> Program | None:
        """The program for inputs, and captured values, of these shapes and types, if there is one."""
        key = _key(given)
        with self._lock:
            program = self._programs.get(key)
            if program is not None:
                self._programs.move_to_end(key)
        return program

    def programs(self) -> list[Program]:
        """The programs that are kept."""
        with self._lock:
            return list(self._programs.values())


def _key(given: Sequence[Any]) -> tuple[Any, ...]:
    return tuple((v.shape, v.dtype) if v.__class__ is np.ndarray else None for v in given)


class _Walk:
    """One run of a plan that notes, step by step, how to run it again.

    ``complete`` turns false where a kernel still has to be compiled and the reference stood in for it; the next run
    then is another walk.
    """

    def __init__(
        self, plan: Plan, weights: Weights, answers: Answers, given: Sequence[Any], pool: ThreadPool, wait: bool
    ) -> None:
        self.complete = True
        self._answers = answers
        self._plan = plan
        self._pool = pool
        self._wait = wait
        self._weights = weights
        self._held: set[int] = set(plan.outputs)
        self._values = weights.values.copy()
        self._storage: dict[int, Storage] = {
            slot: Constant(value) for slot, value in enumerate(self._values) if value is not None
        }
        self._storage[ABSENT] = Constant(None)
        self._commands: list[Command] = []
        self._slots = (*plan.inputs, *plan.captured)
        self._unused = len(self._values)
        for slot, value in zip(self._slots, given, strict=True):
            plain = _is_plain(value)
            self._values[slot] = _usable(value) if plain else value
            self._storage[slot] = _buffer(value) if plain else Dynamic()

    def run(self) -> list[Any]:
        """Run the plan, and return its outputs."""
        read_last = self._weights.last_reads(self._plan.steps)
        for step in self._plan.steps:
            self._step(step)
            for slot in step.free:
                if not isinstance(self._storage.get(slot), Constant):
                    self._values[slot] = None
            if self.complete and self._weights.at_once:
                self._release(read_last.get(id(step), ()))
        if self.complete:
            self._release(self._weights.passing)
        # Where kernels are still compiled, another walk follows, which would need again what this one lets go of.
        self._weights.at_once = self.complete
        self._weights.forget()
        return [self._values[slot] for slot in self._plan.outputs]

    def program(self, arenas: Arenas) -> Program:
        """The program, once the run is over."""
        for slot in (*self._plan.outputs, *(slot for c in self._commands if c.bound is None for slot in c.inputs)):
            self._hold(slot)
        return Program(self._storage, self._commands, self._slots, self._plan.outputs, self._pool, arenas)

    def _hold(self, slot: int) -> None:
        """Have a constant that runs read in memory, and keep it."""
        self._held.add(slot)
        if isinstance(self._storage.get(slot), Constant) and self._values[slot].__class__ is np.ndarray:
            self._values[slot] = in_memory(self._values[slot])
            self._storage[slot] = Constant(self._values[slot])

    def _release(self, slots: Iterable[int]) -> None:
        """Let go of constants that were read for the last time, unless runs need them."""
        for slot in slots:
            if slot not in self._held:
                self._weights.release(slot)
                self._values[slot] = None
                self._storage[slot] = Constant(None)

    def _step(self, step: Step) -> None:
        outputs = (step.outputs,) if isinstance(step.outputs, int) else step.outputs
        inputs = [self._values[slot] for slot in step.inputs]
        constant = self._constant(step)
        fixed = all(not isinstance(self._root(slot), Dynamic) for slot in step.inputs)
        if all(constant) and is_repeatable(step.node) and self._fold(step, inputs, outputs):
            return
        if step.node.op_type == "If" and not step.node.domain and constant[0]:
            self._branch(step, inputs[0], outputs)
            return
        if fixed and self._reshape(step, inputs, outputs):
            return
        if fixed and step.builder is not None and self._compiled(step, inputs, outputs):
            return
        if self.complete:
            for slot in step.inputs:
                self._hold(slot)
            inputs = [self._values[slot] for slot in step.inputs]
        results = call_step(step, inputs)
        shaping = shaping_inputs(step.node)
        predictable = fixed and shaping is not None and all(constant[i] for i in shaping if i < len(constant))
        for slot, result in zip(outputs, results, strict=True):
            kept = predictable and slot != DISCARDED and _is_plain(result)
            # In the layout that it will have in its buffer, so that later runs round as this one does.
            self._values[slot] = _usable(result) if kept else result
            self._storage[slot] = _buffer(result) if kept else Dynamic()
        self._commands.append(Command(step, step.inputs, outputs))

    def _branch(self, step: Step, condition: Any, outputs: Sequence[int]) -> None:
        """Go on with the steps of the branch that a known condition takes."""
        branch = taken_branch(step, bool(condition), self._unused)
        self._unused = branch.slots
        self._values.extend([None] * (branch.slots - len(self._values)))
        for slot, value in branch.constants.items():
            self._values[slot] = as_constant(value)
            self._storage[slot] = Constant(self._values[slot])
        try:
            for inner in branch.steps:
                self._step(inner)
        except OnnxliteError as error:
            error.add_note(f"in node '{step.node.label}' ({step.node.operator})")
            raise
        for slot, source in zip(outputs, branch.outputs, strict=True):
            if isinstance(self._root(source), Dynamic):
                self._pass_on(step, source, slot)
            elif slot != DISCARDED:
                self._show(slot, source, self._values[source])

    def _pass_on(self, step: Step, source: int, slot: int) -> None:
        """Give a slot another one's value, whatever that is on each run."""
        self._values[slot] = self._values[source]
        self._storage[slot] = Dynamic()
        same = replace(step, call=lambda value: value, inputs=(source,), outputs=slot, free=(), bodies=(), builder=None)
        self._commands.append(Command(same, (source,), (slot,)))

    def _constant(self, step: Step) -> list[bool]:
        return [isinstance(self._storage.get(slot), Constant) for slot in step.inputs]

    def _root(self, slot: int) -> Storage | None:
        storage = self._storage.get(slot)
        while isinstance(storage, Alias):
            storage = self._storage.get(storage.slot)
        return storage

    def _fold(self, step: Step, inputs: Sequence[Any], outputs: Sequence[int]) -> bool:
        """Make the outputs constants, unless they are too large to keep."""
        results = call_step(step, inputs)
        if sum(result.nbytes for result in results if result.__class__ is np.ndarray) > _MAX_FOLDED:
            return False
        for slot, result in zip(outputs, results, strict=True):
            self._values[slot] = as_constant(result)
            self._storage[slot] = Constant(self._values[slot])
        return True

    def _reshape(self, step: Step, inputs: Sequence[Any], outputs: Sequence[int]) -> bool:
        """Make the output a view of the input; Shape and Size of a fixed shape become constants."""
        node = step.node
        if node.domain or not inputs or inputs[0].__class__ is not np.ndarray:
            return False
        if node.op_type in ("Shape", "Size"):
            return self._fold(step, inputs, outputs)
        shaping = [isinstance(self._storage.get(slot), Constant) for slot in step.inputs[1:]]
        if node.op_type not in _RESHAPING or not all(shaping) or len(outputs) != 1:
            return False
        (result,) = call_step(step, inputs)
        self._show(outputs[0], step.inputs[0], result)
        return True

    def _show(self, slot: int, source: int, view: Array) -> None:
        """Make a slot a view of another one, or a constant if that is one."""
        if isinstance(self._storage.get(source), Constant):
            self._values[slot] = as_constant(view)
            self._storage[slot] = Constant(self._values[slot])
        else:
            self._values[slot] = view
            self._storage[slot] = Alias(source, view.shape)

    def _compiled(self, step: Step, inputs: Sequence[Any], outputs: tuple[int, ...]) -> bool:
        """Bind the compiled kernel to the shapes, and call it."""
        try:
            key = self._answers.key(step, inputs, self._constant(step))
            found = self._answers.find(step, key)
            if found is None:
                found = Answer(self._answer(step, inputs))
                self._answers.keep(step, key, found)
            answer = found.answer
            if isinstance(answer, Declined):
                return False
            served = 1 if isinstance(answer, View) else len(answer.outputs) - (answer.counted is not None)
            if any(slot != DISCARDED for slot in outputs[served:]):
                return False
            if isinstance(answer, View):
                self._show(outputs[0], step.inputs[answer.index], inputs[answer.index].reshape(answer.shape))
                return True
            return self._bind(step, answer, found, inputs, outputs)
        except Exception as error:
            raise located(error, step, inputs) from error

    def _answer(self, step: Step, inputs: Sequence[Any]) -> Bound | View | Declined:
        assert step.builder is not None
        specs = [self._spec(slot, value) for slot, value in zip(step.inputs, inputs, strict=True)]
        try:
            answer: Bound | View | Declined = step.builder(*specs)
        except ValueError as error:
            return Declined(f"{error}: the reference says how")
        return (
            replace(answer, arguments=tuple(map(_in_memory, answer.arguments))) if isinstance(answer, Bound) else answer
        )

    def _bind(self, step: Step, answer: Bound, found: Answer, inputs: Sequence[Any], outputs: tuple[int, ...]) -> bool:
        """Call what the builder answered, unless that still has to be compiled."""
        arrays = [np.empty(spec.shape, spec.dtype) for spec in answer.outputs]
        for argument in answer.arguments:
            if isinstance(argument, Input):
                self._hold(step.inputs[argument.index])
        given = [
            self._values[slot] if constant else _usable(value)
            for slot, value, constant in zip(step.inputs, inputs, self._constant(step), strict=True)
        ]
        arguments = bound_arguments(answer, given, arrays, self._pool)
        if found.entry is None:
            if not self._wait and not is_ready(answer.function, arguments):
                compile_later(answer.function, arguments)
                self.complete = False
                return False
            found.entry = entry_point(answer.function, arguments)
        found.entry(*arguments)
        slots = self._with_places(() if answer.counted is not None else outputs, len(arrays))
        for slot, array in zip(slots, arrays, strict=True):
            self._storage[slot] = _buffer(array)
        if answer.counted is not None:
            self._commands.append(Command(step, step.inputs, slots, answer))
            self._cut(step, answer.counted, slots, arrays)
            return True
        for slot, array in zip(outputs, arrays, strict=False):
            self._values[slot] = array
        self._commands.append(Command(step, step.inputs, slots, answer))
        return True

    def _cut(self, step: Step, axis: int, slots: tuple[int, ...], arrays: Sequence[Array]) -> None:
        """Give the step's outputs as many of the entries in some slots as the last of these says, on each run."""
        cut = replace(step, call=partial(counted_entries, axis), inputs=slots, free=(), bodies=(), builder=None)
        outputs = (cut.outputs,) if isinstance(cut.outputs, int) else cut.outputs
        for slot, value in zip(outputs, call_step(cut, arrays), strict=True):
            self._values[slot] = value
            self._storage[slot] = Dynamic()
        self._commands.append(Command(cut, slots, outputs))

    def _with_places(self, outputs: tuple[int, ...], count: int) -> tuple[int, ...]:
        """The slots of a compiled kernel's outputs: those that the node leaves out get slots of their own."""
        slots = []
        for index in range(count):
            if index < len(outputs) and outputs[index] != DISCARDED:
                slots.append(outputs[index])
            else:
                slots.append(self._unused)
                self._unused += 1
        return tuple(slots)

    def _spec(self, slot: int, value: Any) -> ArraySpec | None:
        if value is None:
            return None
        constant = isinstance(self._storage.get(slot), Constant)
        return ArraySpec(value.shape, value.dtype, value if constant else None)


def counted_entries(axis: int, *arrays: Array) -> Array | tuple[Array, ...]:
    """The arrays but the last, cut along an axis to the length that the last one holds."""
    *values, count = arrays
    places = (slice(None),) * axis + (slice(int(count[0])),)
    cut = tuple(np.array(value[places], order="C") for value in values)
    return cut[0] if len(cut) == 1 else cut


def call_bound(bound: Bound, inputs: Sequence[Any], outputs: Sequence[Array], pool: ThreadPool) -> None:
    """Call a bound function once, outside any program."""
    bound.function(*bound_arguments(bound, inputs, outputs, pool))


def bound_arguments(bound: Bound, inputs: Sequence[Any], outputs: Sequence[Array], pool: ThreadPool) -> tuple[Any, ...]:
    """The arguments of a bound function for one call, outside any program."""
    arguments: list[Any] = []
    for argument in bound.arguments:
        if isinstance(argument, Input | Output):
            value = (inputs if isinstance(argument, Input) else outputs)[argument.index]
            arguments.append(value.reshape(-1) if argument.flat else value)
        elif isinstance(argument, Scratch):
            arguments.append(np.empty(argument.array_shape(pool.threads), argument.dtype))
        elif isinstance(argument, Pool):
            arguments.append(pool.block)
        else:
            arguments.append(argument)
    return tuple(arguments)


def _buffer(value: Any) -> Buffer:
    return Buffer(value.shape, value.dtype)


def _is_plain(value: Any) -> bool:
    return value.__class__ is np.ndarray and value.dtype != np.object_


def _usable(value: Any) -> Any:
    """An array as the buffers of a program are: contiguous, aligned, writable; compiled code is made for each kind."""
    if value.__class__ is not np.ndarray or (value.flags.carray and value.dtype != np.object_):
        return value
    return np.array(value, order="C")


def _in_memory(argument: Any) -> Any:
    """An argument of a bound function, none of which shows a file."""
    if argument.__class__ is np.ndarray and mapped_file(argument) is not None:
        return in_memory(argument)
    return argument
