"""InferenceSession: a loaded model, bound to providers, ready to run.  The names and meanings are onnxruntime's."""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from onnxlite.errors import InvalidArgument
from onnxlite.feeds import check_names, converted
from onnxlite.kernels.arrays import is_array
from onnxlite.model import Graph, Model, ModelSource, Value, load_model
from onnxlite.options import PROCESS_OPERATORS, RunOptions, SessionOptions
from onnxlite.plan import Binding, Placement, Plan, bind, execute, prepare
from onnxlite.plan.explain import explain
from onnxlite.providers import Provider, TableProvider, create_provider, get_available_providers

_EXTERNAL_FOLDER = "session.model_external_initializers_file_folder_path"

#: How many plans, each for one set of outputs, a session keeps.
_MAX_PLANS = 32


@dataclass(frozen=True, slots=True)
class NodeArg:
    """An input or output of a model: its name, type (``tensor(float)``) and shape (int, symbol, or None each)."""

    name: str
    type: str
    shape: list[int | str | None]


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """What a model says about itself."""

    producer_name: str
    graph_name: str
    domain: str
    description: str
    graph_description: str
    version: int
    custom_metadata_map: dict[str, str] = field(default_factory=dict)


class InferenceSession:
    """A model that runs.

    Args:
        path_or_bytes: A path, the serialized model, an open binary file, or an onnx.ModelProto.
        sess_options: Options; the defaults otherwise.
        providers: Names of execution providers, or (name, options) pairs, in order of preference.  A node goes to the
            first one that has a kernel for it; the NumPy reference serves what none of them does.  By default all that
            can run on this machine.
        provider_options: Options for each provider, where the names come without them.

    Raises:
        NoSuchFile, InvalidProtobuf, NoModel, InvalidGraph: The model cannot be loaded.
        NotImplemented: No provider has a kernel for a node.

    Sessions may be run from several threads at once, and can be pickled: the model travels with them.
    """

    def __init__(
        self,
        path_or_bytes: ModelSource,
        sess_options: SessionOptions | None = None,
        providers: Sequence[str | tuple[str, Mapping[Any, Any]]] | None = None,
        provider_options: Sequence[Mapping[Any, Any]] | None = None,
    ) -> None:
        self._options = sess_options or SessionOptions()
        self._model = load_model(path_or_bytes, self._options._entries.get(_EXTERNAL_FOLDER))
        self._bind_to(providers, provider_options)

    def _bind_to(
        self,
        providers: Sequence[str | tuple[str, Mapping[Any, Any]]] | None,
        provider_options: Sequence[Mapping[Any, Any]] | None,
    ) -> None:
        self._provider_options = _chosen_providers(providers, provider_options)
        own = tuple(table for table in (self._options.operators(), PROCESS_OPERATORS) if table.operators())
        self._providers: list[Provider] = [TableProvider("user-defined", own)] if own else []
        self._providers += [create_provider(name, options) for name, options in self._provider_options.items()]
        self._graph = prepare(self._model, self._providers)
        overridable = self._model.ir_version >= 4
        initialized = self._model.graph.initializers
        self._required = {v.name: v for v in self._graph.inputs if v.name not in initialized}
        self._overridable = {v.name: v for v in self._graph.inputs if v.name in initialized and overridable}
        self._output_names = [value.name for value in self._graph.outputs]
        self._plans: dict[tuple[tuple[str, ...], tuple[str, ...]], Plan] = {}
        self._lock = threading.Lock()
        self._plan(tuple(self._output_names), tuple(self._required))

    def run(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, Any],
        run_options: RunOptions | None = None,
    ) -> list[Any]:
        """Compute outputs.

        Args:
            output_names: Names of outputs or of any other values of the graph; None or an empty list: all outputs.
            input_feed: An array (list for a sequence, dict for a map, None for an empty optional) by input name.
            run_options: Options of this run.

        Returns:
            The values in the order of the names.

        Raises:
            InvalidArgument: A name is unknown or missing, or a feed's type, rank or shape is not what the input declares.
            RuntimeException: A kernel failed; the message names the node.
        """
        check_names(input_feed, self._required, [*self._required, *self._overridable])
        known = self._required | self._overridable
        dimensions = self._options._dimensions
        feeds = {name: converted(value, known[name], dimensions) for name, value in input_feed.items()}
        fed = (*self._required, *(name for name in self._overridable if name in feeds))
        plan = self._plan(tuple(output_names or self._output_names), fed)
        inputs = [feeds[name] for name in fed]
        with np.errstate(all="ignore"):
            results = execute(plan, inputs)
        return _detached(results, inputs)

    def get_inputs(self) -> list[NodeArg]:
        """The inputs that a run must be fed."""
        return [_node_arg(value) for value in self._required.values()]

    def get_outputs(self) -> list[NodeArg]:
        """The model's outputs."""
        return [_node_arg(value) for value in self._graph.outputs]

    def get_overridable_initializers(self) -> list[NodeArg]:
        """The inputs that have a default in the model, and may be fed (IR version 4 and later)."""
        return [_node_arg(value) for value in self._overridable.values()]

    def get_modelmeta(self) -> ModelMetadata:
        """What the model says about itself."""
        model = self._model
        return ModelMetadata(
            producer_name=model.producer_name,
            graph_name=model.graph.name,
            domain=model.domain,
            description=model.description,
            graph_description=model.graph.description,
            version=model.version,
            custom_metadata_map=dict(model.metadata),
        )

    def get_session_options(self) -> SessionOptions:
        """The options that the session was made with."""
        return self._options

    def get_providers(self) -> list[str]:
        """The names of the session's providers, in order of preference."""
        return list(self._provider_options)

    def get_provider_options(self) -> dict[str, dict[str, str]]:
        """The options of each of the session's providers."""
        return {name: dict(options) for name, options in self._provider_options.items()}

    def set_providers(
        self,
        providers: Sequence[str | tuple[str, Mapping[Any, Any]]] | None = None,
        provider_options: Sequence[Mapping[Any, Any]] | None = None,
    ) -> None:
        """Bind the model anew, to other providers."""
        self._bind_to(providers, provider_options)

    def explain_placement(self) -> list[Placement]:
        """For every node, subgraphs included: which kernel and version serve it, and why other providers declined.

        Printing an element gives one readable line.
        """
        return explain(self._graph, self._providers)

    @property
    def model(self) -> Model:
        """The loaded model; printing it gives readable text."""
        return self._model

    @property
    def plan(self) -> Plan:
        """The bound plan for the model's outputs; printing it gives readable text."""
        return self._plan(tuple(self._output_names), tuple(self._required))

    def _plan(self, outputs: tuple[str, ...], fed: tuple[str, ...]) -> Plan:
        """The plan for a set of outputs, with the fed inputs as inputs and all other initializers as constants."""
        key = outputs, fed
        with self._lock:
            plan = self._plans.get(key)
            if plan is None:
                self._check_outputs(outputs)
                while len(self._plans) >= _MAX_PLANS:
                    del self._plans[next(iter(self._plans))]
                binding = Binding(self._providers, np.random.SeedSequence(self._options.random_seed))
                plan = self._plans[key] = bind(_with_inputs(self._graph, fed), outputs, binding)
        return plan

    def _check_outputs(self, outputs: Sequence[str]) -> None:
        known = _value_names(self._graph)
        for name in outputs:
            if name not in known:
                raise InvalidArgument(
                    f"Invalid output name: {name}; the model's outputs are {self._output_names}, and no inner value of "
                    "its main graph has that name either"
                )

    def __getstate__(self) -> dict[str, Any]:
        return {"model": self._model, "options": self._options, "providers": self._provider_options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._options, self._model = state["options"], state["model"]
        self._bind_to(list(state["providers"].items()), None)

    def __repr__(self) -> str:
        inputs, outputs = ", ".join(map(repr, self._required.values())), ", ".join(map(repr, self._graph.outputs))
        return f"InferenceSession({self._graph.name}: ({inputs}) -> ({outputs}) on {', '.join(self._provider_options)})"


def _chosen_providers(
    providers: Sequence[str | tuple[str, Mapping[Any, Any]]] | None,
    provider_options: Sequence[Mapping[Any, Any]] | None,
) -> dict[str, dict[str, str]]:
    """The providers by name with their options as strings; the reference is always the last resort."""
    available = get_available_providers()
    if provider_options is not None and len(provider_options) != len(providers or ()):
        raise ValueError("'providers' and 'provider_options' should be the same length if both are given.")
    chosen: dict[str, dict[str, str]] = {}
    for index, entry in enumerate(available if providers is None else providers):
        name, options = (entry, {}) if isinstance(entry, str) else entry
        if provider_options is not None:
            options = provider_options[index]
        if name in available:
            chosen.setdefault(name, {str(key): str(value) for key, value in options.items()})
        else:
            warnings.warn(
                f"Specified provider '{name}' is not in available provider names. Available providers: "
                f"'{', '.join(available)}'. {_reason(name)}",
                UserWarning,
                stacklevel=4,
            )
    chosen.setdefault("ReferenceExecutionProvider", {})
    return chosen


def _reason(name: str) -> str:
    from onnxlite.providers.registry import why_unavailable

    return f"Why: {why_unavailable(name)}"


def _node_arg(value: Value) -> NodeArg:
    return NodeArg(value.name, str(value.type), list(getattr(value.type, "shape", None) or ()))


def _with_inputs(graph: Graph, fed: Sequence[str]) -> Graph:
    inputs = {value.name: value for value in graph.inputs}
    constants = {name: array for name, array in graph.initializers.items() if name not in fed}
    return replace(graph, inputs=tuple(inputs[name] for name in fed), initializers=constants)


@functools.lru_cache(maxsize=8)
def _value_names(graph: Graph) -> frozenset[str]:
    names = {value.name for value in graph.inputs} | set(graph.initializers)
    return frozenset(names.union(*(node.outputs for node in graph.nodes)) - {""})


def _detached(results: list[Any], inputs: Sequence[Any]) -> list[Any]:
    """The results as the caller's own: a constant, a feed or a value returned twice is copied."""
    taken = {id(value) for value in inputs}
    detached: list[Any] = []
    for value in results:
        own = is_array(value) and isinstance(value, np.ndarray)
        if own and (id(value) in taken or not value.flags.writeable or _is_view_of(value, inputs)):
            value = value.copy()
        taken.add(id(value))
        detached.append(value)
    return detached


def _is_view_of(value: Any, inputs: Sequence[Any]) -> bool:
    return value.base is not None and any(np.may_share_memory(value, i) for i in inputs if isinstance(i, np.ndarray))
