"""InferenceSession: a loaded model, bound to providers, ready to run.  The names and meanings are onnxruntime's."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from onnxlite.binding import IOBinding
from onnxlite.bound import BoundModel
from onnxlite.cold_start import ANSWERING, Later, starts_cold
from onnxlite.errors import EPFail
from onnxlite.fallback import report_fallback
from onnxlite.kernels.cache_folder import choose_cache_folder
from onnxlite.kernels.op import KernelTable
from onnxlite.logs import ERROR, LOGGER, WARNING, log
from onnxlite.metadata import ModelMetadata, NodeArg, completed_outputs, model_metadata, node_arg
from onnxlite.model import Model, ModelSource, load_model
from onnxlite.model.dimensions import with_fixed_dimensions
from onnxlite.model.walk import all_arrays
from onnxlite.options import (
    CACHE_FOLDER,
    COMPILE,
    EXTERNAL_FOLDER,
    PROCESS_OPERATORS,
    RunOptions,
    SessionOptions,
    operators_used,
    waits_for_compiler,
)
from onnxlite.outputs import owned
from onnxlite.plan import Placement, Plan
from onnxlite.plan.explain import explain
from onnxlite.plan.termination import terminable
from onnxlite.process import default_seed
from onnxlite.providers import Provider, TableProvider, create_provider
from onnxlite.providers.select import ProviderRequest, select_providers
from onnxlite.values import OrtValue

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

#: What onnxruntime takes besides, for its own machinery.
_ACCEPTED = frozenset({"disabled_optimizers", "enable_fallback", "read_config_from_model"})
_FALLBACK = ("CPUExecutionProvider",)


class InferenceSession:
    """A model that runs.

    Args:
        path_or_bytes: A path, the serialized model, an open binary file, or an onnx.ModelProto.
        sess_options: Options; the defaults otherwise.
        providers: Names of execution providers, or (name, options) pairs, in order of preference.  A node goes to the
            first one that has a kernel for it; the NumPy reference serves what none of them does.  By default all that
            can run on this machine.
        provider_options: Options for each provider, where the names come without them.
        kwargs: ``enable_fallback=0`` makes a provider that fails an error; ``disabled_optimizers`` names graph passes
            that shall not run (`onnxlite.passes.optimize.PASSES`; other names are ignored); ``read_config_from_model``
            is accepted for onnxruntime's sake and has no effect.

    Raises:
        NoSuchFile, InvalidProtobuf, NoModel, InvalidGraph: The model cannot be loaded.
        NotImplemented: No provider has a kernel for a node, or the options ask for what there is not.

    Sessions may be run from several threads at once, and can be pickled: the model travels with them.
    """

    def __init__(
        self,
        path_or_bytes: ModelSource,
        sess_options: SessionOptions | None = None,
        providers: ProviderRequest | None = None,
        provider_options: Sequence[Mapping[Any, Any]] | None = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(sess_options, SessionOptions | None):
            raise TypeError(f"sess_options is an onnxlite.SessionOptions, not {type(sess_options).__name__}")
        unknown = sorted(set(kwargs) - _ACCEPTED)
        if unknown:
            raise TypeError(f"InferenceSession() got an unexpected keyword argument '{unknown[0]}'")
        self._fallback = int(kwargs.get("enable_fallback", 1)) == 1
        self._disabled_passes = tuple(kwargs.get("disabled_optimizers") or ())
        self._options = options = sess_options or SessionOptions()
        options.check_implemented()
        model = load_model(
            path_or_bytes,
            options._entries.get(EXTERNAL_FOLDER),
            external_files=options._files,
            initializers=options._initializers,
        )
        self._model = with_fixed_dimensions(model, options._by_name, options._by_denotation)
        self._carried = KernelTable()
        self._bind(select_providers(options._providers or None if providers is None else providers, provider_options))

    def _bind(self, chosen: Mapping[str, dict[str, str]]) -> None:
        """Bind the model to providers, given by their names and options."""
        if CACHE_FOLDER in self._options._entries:
            choose_cache_folder(self._options._entries[CACHE_FOLDER])
        self._later: Later | None = None
        waits = waits_for_compiler(self._options._entries.get(COMPILE))
        own = self._options.operators().operators() or PROCESS_OPERATORS.operators() or self._carried.operators()
        if not own and starts_cold(chosen, self._model, waits):
            self._bound, _ = self._bound_to({ANSWERING: {}})
            self._provider_options = {name: dict(options) for name, options in chosen.items()}
            self._later = later = Later(lambda: self._bind_compiled(later, chosen))
            return
        self._bound, self._provider_options = self._bound_to(chosen)

    def _bind_compiled(self, later: Later, chosen: Mapping[str, dict[str, str]]) -> None:
        """Go on with the compiled kernels, unless the session has been given other providers meanwhile."""
        bound, options = self._bound_to(chosen)
        if self._later is later:
            self._bound, self._provider_options, self._later = bound, options, None

    def _settled(self) -> BoundModel:
        """The model as it is bound for good."""
        later = self._later
        if later is not None:
            later.finish()
        return self._bound

    def _bound_to(self, chosen: Mapping[str, dict[str, str]]) -> tuple[BoundModel, dict[str, dict[str, str]]]:
        """The model bound to providers, and the options of those that there are."""
        created: dict[str, Provider] = {}
        for name, options in chosen.items():
            try:
                created[name] = create_provider(name, options)
            except EPFail as error:
                if not self._fallback or name in _FALLBACK:
                    raise
                self._log(WARNING, "%s; its nodes go to the other providers", error)
        tables = [t for t in (self._options.operators(), PROCESS_OPERATORS, self._carried) if t.operators()]
        own: list[Provider] = [TableProvider("user-defined", tuple(tables))] if tables else []
        seed = self._options.random_seed
        bound = BoundModel(
            self._model,
            [*own, *created.values()],
            default_seed() if seed is None else seed,
            max(self._options.intra_op_num_threads, 0),
            self._options.graph_optimization_level,
            self._disabled_passes,
            waits_for_compiler(self._options._entries.get(COMPILE)),
        )
        report_fallback(bound.main_plan, list(created.values()), self._options)
        return bound, {name: chosen[name] for name in created}

    def run(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, Any],
        run_options: RunOptions | None = None,
    ) -> list[Any]:
        """Compute outputs.

        Args:
            output_names: Names of outputs or of any other values of the graph (inside a function call: CALL/NAME); None
                or an empty list: all outputs.
            input_feed: An array (list for a sequence, dict for a map, None for an empty optional) by input name.
            run_options: Options of this run.

        Returns:
            The values in the order of the names, as arrays of the caller's own.

        Raises:
            InvalidArgument: A name is unknown or missing, or a feed is not of its input's type and shape.
            RuntimeException: A kernel failed; the message names the node.
            Fail: The run was told to stop.
        """
        results = self._run_again(output_names, input_feed, run_options, True)
        return owned(*self._run(output_names, input_feed, run_options)) if results is None else results

    def run_async(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, Any],
        callback: Callable[[list[Any], Any, str], None],
        user_data: Any,
        run_options: RunOptions | None = None,
    ) -> None:
        """Compute outputs in another thread, which then calls ``callback(results, user_data, error)``.

        ``error`` is empty where the run succeeded; where it failed it says why, and the results are an empty list.
        """
        self._bound.check_feeds(input_feed)

        def work() -> None:
            results, message = [], ""
            try:
                results = self.run(output_names, input_feed, run_options)
            except Exception as error:
                message = str(error) or type(error).__name__
            try:
                callback(results, user_data, message)
            except Exception:
                LOGGER.exception("the callback of run_async failed")

        _workers().submit(work)

    def run_with_ort_values(
        self,
        output_names: Sequence[str] | None,
        input_dict_ort_values: Mapping[str, OrtValue],
        run_options: RunOptions | None = None,
    ) -> list[OrtValue]:
        """As `run`, with OrtValues in and out; arrays stay on the device that they are on."""
        feeds = {}
        for name, value in input_dict_ort_values.items():
            if not isinstance(value, OrtValue):
                raise TypeError(f"the input '{name}' is {type(value).__name__}, expected an OrtValue")
            feeds[name] = value.value
        results = self._run_again(output_names, feeds, run_options, False)
        if results is None:
            results = owned(*self._run(output_names, feeds, run_options), on_host=False)
        types = self._bound.types(output_names, feeds)
        return [OrtValue(value, kind) for value, kind in zip(results, types, strict=True)]

    def io_binding(self) -> IOBinding:
        """A binding of this session's inputs and outputs to memory."""
        return IOBinding(self)

    def run_with_iobinding(self, iobinding: IOBinding, run_options: RunOptions | None = None) -> None:
        """Run with what is bound; the results are in the binding.

        Raises:
            ValueError: The binding is another session's.
            Fail: No output is bound, or a result does not fit the memory that it is bound to.
        """
        if iobinding.session is not self:
            raise ValueError("IOBinding must be used with the session that created it.")
        results = self.run_with_ort_values(iobinding.output_names(), iobinding.inputs, run_options)
        iobinding.store(results)

    def _run_again(
        self, output_names: Sequence[str] | None, feeds: Mapping[str, Any], options: RunOptions | None, on_host: bool
    ) -> list[Any] | None:
        """The results where a run like this one went well before; None otherwise."""
        try:
            if options is None:
                return self._bound.run_again(output_names, feeds, on_host)
            if options.__class__ is RunOptions:
                with terminable(options):
                    return self._bound.run_again(output_names, feeds, on_host)
        except EPFail:
            pass  # `_run` meets it again, and another provider may take over
        return None

    def _run(
        self, output_names: Sequence[str] | None, feeds: Mapping[str, Any], options: RunOptions | None
    ) -> tuple[list[Any], list[Any]]:
        if not isinstance(options, RunOptions | None):
            raise TypeError(f"run_options is an onnxlite.RunOptions, not {type(options).__name__}")
        try:
            results = self._bound.run(output_names, feeds, options)
        except EPFail as error:
            if not self._fallback:
                raise
            self._log(ERROR, "%s; the session goes on with %s", error, ", ".join(_FALLBACK))
            self.set_providers(_FALLBACK)
            self._fallback = False
            return self._bound.run(output_names, feeds, options)
        later = self._later
        if later is not None:
            later.start()
        return results

    def get_inputs(self) -> list[NodeArg]:
        """The inputs that have to be fed."""
        return [node_arg(value) for value in self._bound.required.values()]

    def get_outputs(self) -> list[NodeArg]:
        """The outputs, in the order that `run` returns them in."""
        return [node_arg(value) for value in self._outputs]

    @functools.cached_property
    def _outputs(self) -> Any:
        return completed_outputs(self._bound.graph)

    def get_overridable_initializers(self) -> list[NodeArg]:
        """The inputs that have a default value in the model."""
        return [node_arg(value) for value in self._bound.overridable.values()]

    def get_modelmeta(self) -> ModelMetadata:
        """What the model says about itself."""
        return model_metadata(self._model)

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
        self, providers: ProviderRequest | None = None, provider_options: Sequence[Mapping[Any, Any]] | None = None
    ) -> None:
        """Bind the model anew, to other providers; runs that are under way end with the old ones."""
        self._bind(select_providers(providers, provider_options))

    def enable_fallback(self) -> None:
        """Go on with the CPU where another provider fails, instead of raising its error."""
        self._fallback = True

    def disable_fallback(self) -> None:
        """Raise the error of a provider that fails."""
        self._fallback = False

    def end_profiling(self) -> str:
        """The path of the profile; there is none, so it is empty, as in onnxruntime without profiling."""
        return ""

    def get_profiling_start_time_ns(self) -> int:
        """When profiling started, in nanoseconds; 0 as it never does."""
        return 0

    def explain_placement(self) -> list[Placement]:
        """For every node, subgraphs included: which kernel and version serve it, and why other providers declined.

        The nodes are those that run: where the compiled provider joins several of the model's nodes into one of the
        domain ``onnxlite``, that one is listed (ORT_DISABLE_ALL leaves the model as it is).  Printing the list, or an
        element, gives readable lines.
        """
        bound = self._settled()
        return explain(bound.main_graph, bound.providers)

    @property
    def model(self) -> Model:
        """The loaded model; printing it gives readable text."""
        return self._model

    @property
    def plan(self) -> Plan:
        """The bound plan for the model's outputs; printing it gives readable text."""
        return self._settled().main_plan

    def _log(self, severity: int, message: str, *arguments: Any) -> None:
        log(severity, message, *arguments, least=self._options.log_severity_level, logid=self._options.logid)

    def __getstate__(self) -> dict[str, Any]:
        return {
            "model": self._model,
            "options": self._options,
            "providers": self._provider_options,
            "fallback": self._fallback,
            "disabled_passes": self._disabled_passes,
            # The process that unpickles may not have registered them; reading the functions imports their modules.
            "operators": operators_used(self._model, [PROCESS_OPERATORS, self._carried]),
        }

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self._model, self._options, self._fallback = state["model"], state["options"], state["fallback"]
        self._disabled_passes = state["disabled_passes"]
        for array in all_arrays(self._model):
            array.flags.writeable = False  # pickling forgets it
        self._carried = KernelTable()
        for kernel in state["operators"]:
            self._carried.add(kernel)
        self._bind(state["providers"])

    def __repr__(self) -> str:
        inputs = ", ".join(map(repr, self._bound.required.values()))
        outputs = ", ".join(map(repr, self._bound.graph.outputs))
        providers = ", ".join(self.get_providers())
        return f"InferenceSession({self._model.graph.name}: ({inputs}) -> ({outputs}) on {providers})"


@functools.lru_cache(maxsize=1)
def _workers() -> ThreadPoolExecutor:
    """The threads of `InferenceSession.run_async`."""
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(thread_name_prefix="onnxlite")
