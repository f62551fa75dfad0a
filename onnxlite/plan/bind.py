"""From a graph to a plan: the one place where names become numbers and versions become functions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.cache_folder import waits_by_default
from onnxlite.kernels.op import Kernel
from onnxlite.model.ir import Graph, Node
from onnxlite.model.order import captures, reads
from onnxlite.plan.arena import Arenas
from onnxlite.plan.body import Body
from onnxlite.plan.infer import Types, infer_types
from onnxlite.plan.place import place, required_kernel
from onnxlite.plan.plan import ABSENT, DISCARDED, Call, Plan, Step
from onnxlite.providers import Provider


@dataclass(frozen=True, slots=True)
class Binding:
    """What binding needs besides the graph.

    Args:
        providers: In the user's order of preference.
        seeds: Where random operators without a seed of their own get one.
        wrap: Put around the call of every step, for hooks (trace, debug, profile); None costs a run nothing.
        threads: How many threads compiled kernels may use; 0: one for each processor of the process.
        wait_for_compiler: Whether the first call of a compiled kernel waits until it is compiled, or goes to the
            reference meanwhile; None: as the environment says (``onnxlite.kernels.numba.machine.background``).
        arenas: The memory that compiled programs run in.
    """

    providers: Sequence[Provider]
    seeds: np.random.SeedSequence = field(default_factory=np.random.SeedSequence)
    wrap: Callable[[Node, Call], Call] | None = None
    threads: int = 0
    wait_for_compiler: bool | None = None
    arenas: Arenas = field(default_factory=Arenas)


@dataclass(frozen=True, slots=True)
class Remaking:
    """The names of the constants that passes made and that only a plan holds, and how they are made again."""

    names: frozenset[str] = frozenset()
    make: Callable[[], Mapping[str, Array]] | None = None


def bind(
    graph: Graph,
    outputs: Sequence[str],
    binding: Binding,
    outer: Types | None = None,
    outer_constants: Mapping[str, Array] | None = None,
    remaking: Remaking | None = None,
) -> Plan:
    """The plan that computes the named values of a graph; nodes that none of them needs are left out.

    Args:
        graph: The graph.
        outputs: The names of the values.
        binding: What binding needs besides.
        outer: The types of the values of the graphs around it.
        outer_constants: The initializers of the graphs around it: what the graph takes of them it holds itself.
        remaking: Which constants the plan need not keep.

    Raises:
        NotImplemented: A needed operator has no kernel.
        InvalidGraph: A needed node does not fit its operator.
    """
    types = infer_types(graph, outer or {})
    nodes = needed_nodes(graph, outputs)
    slots = _Slots()
    inputs = tuple(slots.define(value.name) for value in graph.inputs)
    known = outer_constants or {}
    taken = captures(graph)
    captured = tuple(slots.define(name) for name in taken if name not in known)
    arrays = {name: known[name] for name in taken if name in known} | dict(graph.initializers)
    constants = {slots.define(name): array for name, array in arrays.items() if name not in slots.numbers}
    keep = set(constants)
    scope = _Scope(slots, types, {**known, **arrays}, binding)
    steps = [_step(node, scope) for node in nodes]
    results = tuple(slots.numbers[name] for name in outputs)
    keep.update(results, (ABSENT, DISCARDED))
    template: list[Any] = [None] * len(slots.names)
    for slot, array in constants.items():
        template[slot] = array
    plan = Plan(
        name=graph.name,
        steps=tuple(_with_frees(steps, keep)),
        template=template,
        inputs=inputs,
        captured=captured,
        outputs=results,
        names=tuple(slots.names),
        output_types=tuple(types.get(name) for name in outputs),
    )
    return _with_programs(plan, binding, remaking or Remaking())


def _with_programs(plan: Plan, binding: Binding, remaking: Remaking) -> Plan:
    """The plan with a runner for its compiled kernels, if it has any and no hook wants to see every step."""
    if binding.wrap is not None or not any(step.builder for step in plan.steps):
        return plan
    # Imported here: without compiled kernels, nobody pays for Numba.
    from onnxlite.kernels.numba.machine.threads import default_threads, thread_pool
    from onnxlite.plan.specialize import Programs
    from onnxlite.plan.weights import Weights

    wait = waits_by_default() if binding.wait_for_compiler is None else binding.wait_for_compiler
    weights = Weights(plan.template, plan.names, remaking.names, remaking.make)
    pool = thread_pool(binding.threads or default_threads())
    return replace(plan, programs=Programs(plan, pool, wait, weights, binding.arenas))


def needed_nodes(graph: Graph, outputs: Sequence[str]) -> list[Node]:
    """The nodes on a path to the named values, in topological order."""
    needed = set(outputs)
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if not needed.isdisjoint(filter(None, node.outputs)):
            kept.append(node)
            needed.update(reads(node))
    kept.reverse()
    return kept


class _Slots:
    """The numbers of the names of one graph."""

    def __init__(self) -> None:
        self.names: list[str] = ["", ""]
        self.numbers: dict[str, int] = {"": ABSENT}

    def define(self, name: str) -> int:
        number = self.numbers[name] = len(self.names)
        self.names.append(name)
        return number


@dataclass(frozen=True, slots=True)
class _Scope:
    """What the steps of one graph share: slots, types, and the initializers of this graph and those around it."""

    slots: _Slots
    types: Types
    constants: Mapping[str, Array]
    binding: Binding


def _step(node: Node, scope: _Scope) -> Step:
    binding, types = scope.binding, scope.types
    placement = place(node, [types.get(name) for name in node.inputs], binding.providers)
    kernel = required_kernel(placement)
    names = list(node.inputs)
    bodies: dict[str, Plan] = {}
    captured: dict[str, tuple[int, ...]] = {}
    for attribute, graph in node.graphs():
        bodies[attribute] = bind(graph, [value.name for value in graph.outputs], binding, types, scope.constants)
        taken = [name for name in captures(graph) if name not in scope.constants]
        captured[attribute] = tuple(range(len(names), len(names) + len(taken)))
        names.extend(taken)
    outputs = tuple(scope.slots.define(name) if name else DISCARDED for name in node.outputs)
    body_inputs = {attribute: (plan, captured[attribute]) for attribute, plan in bodies.items()}
    call = _single(_bound(node, kernel, types, binding, body_inputs), len(outputs))
    return Step(
        node=node,
        call=binding.wrap(node, call) if binding.wrap else call,
        inputs=tuple(scope.slots.numbers[name] for name in names),
        outputs=outputs[0] if len(outputs) == 1 else outputs,
        free=(),
        kernel=kernel,
        provider=placement.provider or "",
        bodies=tuple(bodies.items()),
        builder=compiled_builder(node, placement.kernel),
        chosen=placement.kernel,
    )


def compiled_builder(node: Node, kernel: Kernel | None) -> Callable[..., Any] | None:
    """The compiled kernel with the node's attributes, if it knows them all."""
    if kernel is None or not kernel.builder:
        return None
    given = {name: value for name, value in node.attributes.items() if not isinstance(value, Graph)}
    if not set(given) <= set(kernel.attributes):
        return None
    if "output_count" in kernel.provided:
        given["output_count"] = _output_count(node)
    return functools.partial(kernel.function, **given)


def _bound(
    node: Node,
    kernel: Kernel,
    types: Types,
    binding: Binding,
    bodies: Mapping[str, tuple[Plan, tuple[int, ...]]],
) -> Call:
    """The kernel's function with the node's attributes, and with what the binder provides."""
    given = {name: value for name, value in node.attributes.items() if name not in bodies}
    if "rng" in kernel.provided:
        given["rng"] = _generator(given.pop("seed", None), binding.seeds)
    if "output_count" in kernel.provided:
        given["output_count"] = _output_count(node)
    if "output_types" in kernel.provided:
        given["output_types"] = tuple(getattr(types.get(name), "dtype", None) for name in node.outputs)
    function = functools.partial(kernel.function, **given) if given else kernel.function
    return _with_bodies(function, bodies, len(node.inputs)) if bodies else function


def _with_bodies(function: Call, bodies: Mapping[str, tuple[Plan, tuple[int, ...]]], input_count: int) -> Call:
    """A call whose arguments after the inputs are what the bodies capture."""

    def call(*arguments: Any) -> Any:
        graphs = {
            name: Body(plan, [arguments[index] for index in captured]) for name, (plan, captured) in bodies.items()
        }
        return function(*arguments[:input_count], **graphs)

    return call


def _generator(seed: float | None, seeds: np.random.SeedSequence) -> np.random.Generator:
    """A generator for one node: its attribute ``seed`` decides, or else the session's seed.

    An explicit seed gives the numbers of ``numpy.random.seed``, which the specification's own examples are made with.
    """
    if seed is None:
        return np.random.default_rng(seeds.spawn(1)[0])
    bits = np.random.MT19937()
    whole = int(seed) if float(seed).is_integer() else int(np.float32(seed).view(np.uint32))
    bits._legacy_seeding(whole % 2**32)
    return np.random.Generator(bits)


def _output_count(node: Node) -> int:
    return max((index + 1 for index, name in enumerate(node.outputs) if name), default=0)


def _single(function: Call, count: int) -> Call:
    """The function's results as the loop stores them: one value or exactly ``count``; scalars become arrays."""
    if count == 1:

        def one(*arguments: Any) -> Any:
            result = function(*arguments)
            if result.__class__ is np.ndarray:
                return result
            return _value(result[0] if isinstance(result, tuple) else result)

        return one

    def several(*arguments: Any) -> tuple[Any, ...]:
        results = function(*arguments)
        if not isinstance(results, tuple):
            results = (results,)
        values = [_value(result) for result in results[:count]]
        return (*values, *(None for _ in range(count - len(values))))

    return several


def _value(result: Any) -> Any:
    return np.asarray(result) if isinstance(result, np.generic) else result


def _with_frees(steps: Sequence[Step], keep: set[int]) -> list[Step]:
    """The steps with the slots that each is the last to use."""
    seen = set(keep)
    freed: list[Step] = []
    for step in reversed(steps):
        outputs = (step.outputs,) if isinstance(step.outputs, int) else step.outputs
        last = tuple(dict.fromkeys(slot for slot in (*step.inputs, *outputs) if slot not in seen))
        seen.update(last)
        freed.append(replace(step, free=last))
    freed.reverse()
    return freed
