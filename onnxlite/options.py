"""SessionOptions and RunOptions, with onnxruntime's names, defaults and meanings."""

from __future__ import annotations

import enum
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from onnxlite.errors import InvalidArgument, NotImplemented
from onnxlite.kernels.arrays import Array
from onnxlite.kernels.op import Kernel, KernelTable, describe
from onnxlite.model.walk import all_nodes
from onnxlite.settings import Setting, Settings

if TYPE_CHECKING:
    from onnxlite.model.ir import Model
    from onnxlite.values import OrtValue

Function = TypeVar("Function", bound=Callable[..., Any])

#: The operators that ``onnxlite.op`` adds for every session of the process.
PROCESS_OPERATORS = KernelTable()

#: The configuration entry with the folder of the external data of a model that is given as bytes.
EXTERNAL_FOLDER = "session.model_external_initializers_file_folder_path"

#: The configuration entry that says when kernels are compiled: ``wait`` (on their first call, which waits) or
#: ``background`` (the reference serves until they are there).
COMPILE = "session.compile"
#: The configuration entry with the folder of the cache of compiled kernels, for all sessions from then on; empty: none.
CACHE_FOLDER = "session.compile_cache_folder"

#: The configuration entry that refuses a session with nodes on the CPU, where another device was asked for.
NO_CPU_FALLBACK = "session.disable_cpu_ep_fallback"
_MODEL_FORMAT = "session.load_model_format"


class GraphOptimizationLevel(enum.IntEnum):
    """How far graphs are rewritten before they run."""

    ORT_DISABLE_ALL = 0
    ORT_ENABLE_BASIC = 1
    ORT_ENABLE_EXTENDED = 2
    ORT_ENABLE_LAYOUT = 3
    ORT_ENABLE_ALL = 99


class ExecutionMode(enum.IntEnum):
    """Whether independent nodes may run at the same time; plans are sequential."""

    ORT_SEQUENTIAL = 0
    ORT_PARALLEL = 1


class ExecutionOrder(enum.IntEnum):
    """The order of nodes that do not depend on each other."""

    DEFAULT = 0
    PRIORITY_BASED = 1
    MEMORY_EFFICIENT = 2


def operators_used(model: Model, tables: Iterable[KernelTable]) -> list[Kernel]:
    """The kernels of the tables that have the name of an operator of the model."""
    names = {(node.domain, node.op_type) for node in all_nodes(model)}
    return [
        kernel for table in tables for name in table.operators() if name in names for kernel in table.kernels(*name)
    ]


class SessionOptions(Settings):
    """What holds for a session.

    The options for arenas, memory patterns, execution mode and order are kept and have no effect.  What a session
    cannot do, it refuses when it is made: ``enable_profiling`` and ``optimized_model_filepath``.
    """

    __slots__ = ("_by_denotation", "_by_name", "_files", "_initializers", "_kernels", "_providers", "random_seed")

    enable_cpu_mem_arena = Setting(True, "Kept without effect: memory is NumPy's.")
    enable_mem_pattern = Setting(True, "Kept without effect.")
    enable_mem_reuse = Setting(True, "Kept without effect.")
    enable_profiling = Setting(False, "Not implemented: a session refuses it.")
    execution_mode = Setting(ExecutionMode.ORT_SEQUENTIAL, "Kept without effect: nodes run one after the other.")
    execution_order = Setting(ExecutionOrder.DEFAULT, "Kept without effect: nodes run in topological order.")
    graph_optimization_level = Setting(GraphOptimizationLevel.ORT_ENABLE_ALL, "How far the graph may be rewritten.")
    inter_op_num_threads = Setting(0, "Kept without effect: nodes run one after the other.")
    intra_op_num_threads = Setting(0, "How many threads a kernel may use; 0 leaves the choice.")
    log_severity_level = Setting(-1, "The least severity that the session logs, 0 to 4; -1: as the logger says.")
    log_verbosity_level = Setting(0, "Kept without effect.")
    logid = Setting("", "Put before the session's log messages.")
    optimized_model_filepath = Setting("", "Not implemented: a session refuses it.")
    profile_file_prefix = Setting("onnxlite_profile_", "Where a profile would go.")
    use_deterministic_compute = Setting(False, "Kept without effect: kernels are deterministic.")
    use_per_session_threads = Setting(True, "Kept without effect.")

    def __init__(self) -> None:
        super().__init__()
        #: Makes random operators without a seed of their own repeatable (not in onnxruntime).
        self.random_seed: int | None = None
        self._kernels: list[Kernel] = []
        self._by_name: dict[str, int] = {}
        self._by_denotation: dict[str, int] = {}
        self._initializers: dict[str, Array] = {}
        self._files: dict[str, bytes] = {}
        self._providers: list[tuple[str, dict[str, str]]] = []

    def add_session_config_entry(self, key: str, value: str) -> None:
        """Set an entry of the session's configuration, as onnxruntime's documentation lists them."""
        self._add_entry(key, value)

    def get_session_config_entry(self, key: str) -> str:
        """The entry of a key.

        Raises:
            Fail: No entry was set under the key.
        """
        return self._entry(key)

    def add_free_dimension_override_by_name(self, name: str, value: int) -> None:
        """Fix a symbolic dimension to a length."""
        self._by_name[_text(name)] = operator.index(value)

    def add_free_dimension_override_by_denotation(self, denotation: str, value: int) -> None:
        """Fix the dimensions of the inputs that stand for something (``DATA_BATCH``, ...) to a length."""
        self._by_denotation[_text(denotation)] = operator.index(value)

    def add_initializer(self, name: str, value: OrtValue) -> None:
        """Put an array in the place of an initializer of the model, whose own data is then not read.

        Several sessions share the memory of one array.  A name that a model does not have is passed over.
        """
        self.add_external_initializers([name], [value])

    def add_external_initializers(self, names: Sequence[str], values: Sequence[OrtValue]) -> None:
        """As `add_initializer`, for several."""
        from onnxlite.values import OrtValue

        for name, value in zip(names, values, strict=True):
            if not isinstance(value, OrtValue):
                raise TypeError(f"the initializer '{name}' is given as {type(value).__name__}, expected an OrtValue")
            self._initializers[_text(name)] = value.numpy()

    def add_external_initializers_from_files_in_memory(
        self, names: Sequence[str], contents: Sequence[bytes], lengths: Sequence[int]
    ) -> None:
        """Give the contents of files with external data, by the location that the model names them by."""
        for name, content, length in zip(names, contents, lengths, strict=True):
            self._files[_text(name)] = bytes(content[:length])

    def add_provider(self, name: str, options: Mapping[str, str] | None = None) -> None:
        """Ask for a provider, after those that were added before; what a session is given itself goes before them."""
        self._providers.append((_text(name), dict(options or {})))

    def has_providers(self) -> bool:
        """Whether a provider was added."""
        return bool(self._providers)

    def register_custom_ops_library(self, path: str) -> None:
        """Compiled operators cannot be loaded.

        Raises:
            NotImplemented: Always; `op` registers operators that are written in Python.
        """
        raise NotImplemented(
            f"the library '{path}' of compiled operators cannot be loaded: write the operators in Python, and register "
            "them with onnxlite.op or SessionOptions.op"
        )

    def op(self, domain: str, name: str, since: int = 1) -> Callable[[Function], Function]:
        """Register the decorated function as an operator of the sessions that get these options; see `onnxlite.op`."""

        def register(function: Function) -> Function:
            self._kernels.append(describe(function, name, domain, since=since))
            return function

        return register

    def operators(self) -> KernelTable:
        """The table of the operators that were registered on these options."""
        table = KernelTable()
        for kernel in self._kernels:
            table.add(kernel)
        return table

    def check_implemented(self) -> None:
        """Refuse what a session cannot do, rather than pass over it.

        Raises:
            NotImplemented: Profiling, a file for the optimized model, or onnxruntime's own model format is asked for.
        """
        if self.enable_profiling:
            raise NotImplemented("SessionOptions.enable_profiling is on, but there is no profiler yet: set it to False")
        if self.optimized_model_filepath:
            raise NotImplemented(
                "SessionOptions.optimized_model_filepath is set, but optimized models are not written: leave it empty"
            )
        if self._entries.get(_MODEL_FORMAT, "ONNX").upper() != "ONNX":
            raise NotImplemented(f"the entry '{_MODEL_FORMAT}' asks for onnxruntime's own format: give the .onnx model")


def _text(value: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a name is text, not {type(value).__name__}")
    return value


class RunOptions(Settings):
    """What holds for one run.

    Setting ``terminate`` stops the runs that got these options, from another thread too: they end with a `Fail` when
    they start, and when a subgraph (the body of a loop) is about to run.
    """

    __slots__ = ()

    log_severity_level = Setting(-1, "The least severity that the run logs, 0 to 4; -1: as the session says.")
    log_verbosity_level = Setting(0, "Kept without effect.")
    logid = Setting("", "Put before the run's log messages.")
    only_execute_path_to_fetches = Setting(False, "Kept without effect: nothing else is ever executed.")
    terminate = Setting(False, "Ends the runs that got these options.")

    def add_run_config_entry(self, key: str, value: str) -> None:
        """Set an entry of the run's configuration."""
        self._add_entry(key, value)

    def get_run_config_entry(self, key: str) -> str:
        """The entry of a key.

        Raises:
            Fail: No entry was set under the key.
        """
        return self._entry(key)


def op(domain: str, name: str, since: int = 1) -> Callable[[Function], Function]:
    """Register the decorated function as an operator, for all sessions of the process.

    Tensors arrive as positional arrays (None for an input that is left out), attributes as keyword-only arguments under
    their names; the function returns an array, or a tuple of arrays for several outputs::

        @onnxlite.op("my.domain", "Scale", since=1)
        def scale(x, *, factor=1.0):
            return x * np.float32(factor)

    Args:
        domain: The domain that models import; "" or "ai.onnx" replaces an operator of the specification.
        name: The operator's name.
        since: The first version of the domain that the function is right for.
    """

    def register(function: Function) -> Function:
        PROCESS_OPERATORS.add(describe(function, name, domain, since=since))
        return function

    return register


def waits_for_compiler(entry: str | None) -> bool | None:
    """What the entry `COMPILE` says; None where it is not set, and the environment decides.

    Raises:
        InvalidArgument: The entry has another value than the two.
    """
    if entry not in (None, "wait", "background"):
        raise InvalidArgument(f"the configuration entry '{COMPILE}' is '{entry}', expected 'wait' or 'background'")
    return None if entry is None else entry == "wait"
