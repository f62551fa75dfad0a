"""A model bound to providers: its plans, one for each set of outputs, and how one runs."""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np

from onnxlite.errors import Fail, InvalidArgument, InvalidGraph
from onnxlite.feeds import check_names, converted
from onnxlite.kernels.mapped import forget, mapped_file
from onnxlite.model import Graph, Model, Value, ValueType
from onnxlite.model.walk import all_arrays
from onnxlite.options import GraphOptimizationLevel, RunOptions
from onnxlite.passes.optimize import optimize
from onnxlite.passes.prepare import prepare
from onnxlite.plan import Binding, Plan, bind, run_plan
from onnxlite.plan.bind import Remaking
from onnxlite.plan.termination import terminable
from onnxlite.providers import Provider
from onnxlite.shortcuts import Shortcuts

#: How many plans, each for one set of outputs, are kept.
_MAX_PLANS = 32


class BoundModel:
    """A model and the providers that serve it; thread-safe.

    Args:
        model: The model.
        providers: In order of preference.
        seed: Makes random operators without a seed of their own repeatable.
        threads: How many threads a kernel may use; 0 leaves the choice.
        level: The GraphOptimizationLevel.
        disabled_passes: The names of graph passes that do not run (`onnxlite.passes.optimize.PASSES`).
        wait_for_compiler: See `Binding`.

    Raises:
        NotImplemented: No provider has a kernel for a node.
        InvalidGraph: A node does not fit its operator.
    """

    def __init__(
        self,
        model: Model,
        providers: Sequence[Provider],
        seed: int | None = None,
        threads: int = 0,
        level: int = GraphOptimizationLevel.ORT_ENABLE_ALL,
        disabled_passes: Iterable[str] = (),
        wait_for_compiler: bool | None = None,
    ) -> None:
        self.providers = tuple(providers)
        self._seed, self._level, self._disabled = seed, level, frozenset(disabled_passes)
        self._binding = Binding(self.providers, threads=threads, wait_for_compiler=wait_for_compiler)
        self._plans: OrderedDict[tuple[tuple[str, ...], tuple[str, ...]], Plan] = OrderedDict()
        self._lock = threading.Lock()
        self._files = {file for file in map(mapped_file, all_arrays(model)) if file is not None}
        try:
            self.graph = prepare(model, self.providers)
        except RecursionError as error:
            raise InvalidGraph("the model nests graphs or functions too deeply") from error
        initialized = model.graph.initializers
        overridable = model.ir_version >= 4
        self.required = {v.name: v for v in self.graph.inputs if v.name not in initialized}
        self.overridable = {v.name: v for v in self.graph.inputs if v.name in initialized and overridable}
        self._known = self.required | self.overridable
        self.output_names = tuple(value.name for value in self.graph.outputs)
        self._shortcuts = Shortcuts(tuple(self.required))
        #: Runs again what ran before: see `Shortcuts.run`.
        self.run_again = self._shortcuts.run
        self.main_plan = self.plan(self.output_names, tuple(self.required))

    @property
    def main_graph(self) -> Graph:
        """The graph of the main plan: rewritten for compiled kernels, where the session has any."""
        return self._rewritten(self.output_names, tuple(self.required))

    def _rewritten(self, outputs: tuple[str, ...], fed: tuple[str, ...]) -> Graph:
        self._check_files()
        graph = _with_inputs(self.graph, fed)
        return optimize(graph, outputs, self._level, self.providers, disabled=self._disabled)

    def _check_files(self) -> None:
        """Make sure that weights are still in the files that they are in.

        Raises:
            Fail: A file was written to.
        """
        for file in self._files:
            if not file.is_unchanged():
                raise Fail(f"'{file.path}' was changed while a session had it open: make a new session")

    def run(
        self, output_names: Sequence[str] | None, feeds: Mapping[str, Any], options: RunOptions | None
    ) -> tuple[list[Any], list[Any]]:
        """The values of the names, and the inputs as the plan got them.

        Raises:
            InvalidArgument: A name is unknown or missing, or a feed does not fit its input.
            RuntimeException: A kernel failed.
            Fail: The options told the run to stop.
        """
        self.check_feeds(feeds)
        known = self._known
        given = {name: converted(value, known[name]) for name, value in feeds.items()}
        fed = (*self.required, *(name for name in self.overridable if name in given))
        inputs = [given.get(name) for name in fed]
        plan = self.plan(self._names(output_names), fed)
        if plan.programs is None or plan.programs.find(inputs) is None:
            self._check_files()
        with np.errstate(all="ignore"), nullcontext() if options is None else terminable(options):
            results = run_plan(plan, inputs)
        program = None if plan.programs is None else plan.programs.find(inputs)
        if program is not None:
            self._shortcuts.remember(output_names, given, program)
        return results, inputs

    def types(self, output_names: Sequence[str] | None, feeds: Container[str]) -> tuple[ValueType | None, ...]:
        """The types of the values that a run with these names gives, as far as the model tells them."""
        fed = (*self.required, *(name for name in self.overridable if name in feeds))
        return self.plan(self._names(output_names), fed).output_types

    def check_feeds(self, feeds: Mapping[str, Any]) -> None:
        """Check the names of the feeds.

        Raises:
            InvalidArgument: A name is unknown or missing.
        """
        check_names(feeds, self.required, self._known)

    def plan(self, outputs: tuple[str, ...], fed: tuple[str, ...]) -> Plan:
        """The plan for a set of outputs, with the fed inputs as inputs and all other initializers as constants.

        Raises:
            InvalidArgument: There is no value of such a name.
        """
        with self._lock:
            plan = self._plans.get((outputs, fed))
            if plan is None:
                self._check_outputs(outputs)
                while len(self._plans) >= _MAX_PLANS:
                    self._plans.popitem(last=False)
                plan = self._plans[outputs, fed] = self._bound(outputs, fed)
        return plan

    def _bound(self, outputs: tuple[str, ...], fed: tuple[str, ...]) -> Plan:
        graph = self._rewritten(outputs, fed)
        held = set(map(id, self.graph.initializers.values()))
        made = frozenset(name for name, array in graph.initializers.items() if id(array) not in held)
        remaking = Remaking(made, lambda: self._rewritten(outputs, fed).initializers)
        binding = replace(self._binding, seeds=np.random.SeedSequence(self._seed))
        plan = bind(graph, outputs, binding, remaking=remaking)
        forget(self.graph.initializers.values())
        return plan

    def _names(self, output_names: Sequence[str] | None) -> tuple[str, ...]:
        if not output_names:
            return self.output_names
        if isinstance(output_names, str):
            raise TypeError(f"the output names are a list of names, not the one text '{output_names}'")
        return tuple(output_names)

    def _check_outputs(self, outputs: Sequence[str]) -> None:
        for name in outputs:
            if name not in self._value_names:
                raise InvalidArgument(f"Invalid output name: {name}; {_hint(name, self)}")

    @functools.cached_property
    def _value_names(self) -> frozenset[str]:
        return _defined(self.graph)


def _with_inputs(graph: Graph, fed: Sequence[str]) -> Graph:
    inputs: dict[str, Value] = {value.name: value for value in graph.inputs}
    constants = {name: array for name, array in graph.initializers.items() if name not in fed}
    return replace(graph, inputs=tuple(inputs[name] for name in fed), initializers=constants)


def _defined(graph: Graph) -> frozenset[str]:
    names = {value.name for value in graph.inputs} | set(graph.initializers)
    return frozenset(names.union(*(node.outputs for node in graph.nodes)) - {""})


def _hint(name: Any, bound: BoundModel) -> str:
    """Where a name that is no value of the main graph is found instead, or what there is."""
    where = next(_subgraphs_with(name, bound.graph), None)
    if where is not None:
        return f"it is a value inside {where}, and only values of the main graph can be asked for"
    calls = sorted(known for known in bound._value_names if known.endswith(f"/{name}"))
    if calls:
        return f"inside function calls it has the names {calls[:5]}"
    return (
        f"the model's outputs are {list(bound.output_names)}, and no inner value of its main graph has that name either"
    )


def _subgraphs_with(name: Any, graph: Graph) -> Iterator[str]:
    for node in graph.nodes:
        for attribute, body in node.graphs():
            if name in _defined(body):
                yield f"the {attribute} of the node '{node.label}' ({node.operator})"
            yield from _subgraphs_with(name, body)
