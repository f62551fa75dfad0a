"""SessionOptions and RunOptions, with onnxruntime's names, defaults and meanings."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, TypeVar

from onnxlite.errors import InvalidArgument
from onnxlite.kernels.op import Kernel, KernelTable, describe

Function = TypeVar("Function", bound=Callable[..., Any])

#: The operators that ``onnxlite.op`` adds for every session of the process.
PROCESS_OPERATORS = KernelTable()


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


class SessionOptions:
    """What holds for a session.

    ``random_seed`` (not in onnxruntime) makes random operators without a seed of their own repeatable.  The options for
    arenas and memory patterns are kept and have no effect: memory is NumPy's.
    """

    def __init__(self) -> None:
        self.enable_cpu_mem_arena = True
        self.enable_mem_pattern = True
        self.enable_mem_reuse = True
        self.enable_profiling = False
        self.execution_mode = ExecutionMode.ORT_SEQUENTIAL
        self.execution_order = ExecutionOrder.DEFAULT
        self.graph_optimization_level = GraphOptimizationLevel.ORT_ENABLE_ALL
        self.inter_op_num_threads = 0
        self.intra_op_num_threads = 0
        self.log_severity_level = -1
        self.log_verbosity_level = 0
        self.logid = ""
        self.optimized_model_filepath = ""
        self.profile_file_prefix = "onnxlite_profile_"
        self.use_deterministic_compute = False
        self.random_seed: int | None = None
        self._entries: dict[str, str] = {}
        self._kernels: list[Kernel] = []
        self._dimensions: dict[str, int] = {}

    def add_session_config_entry(self, key: str, value: str) -> None:
        """Set an entry of the session's configuration, as onnxruntime's documentation lists them."""
        self._entries[key] = value

    def get_session_config_entry(self, key: str) -> str:
        """The entry of a key.

        Raises:
            InvalidArgument: No entry was set under the key.
        """
        if key not in self._entries:
            raise InvalidArgument(f"the session options have no configuration entry '{key}'")
        return self._entries[key]

    def add_free_dimension_override_by_name(self, name: str, value: int) -> None:
        """Fix a symbolic dimension of the inputs to a length."""
        self._dimensions[name] = value

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


class RunOptions:
    """What holds for one run."""

    def __init__(self) -> None:
        self.log_severity_level = 2
        self.log_verbosity_level = 0
        self.logid = ""
        self.only_execute_path_to_fetches = False
        self.terminate = False
        self.training_mode = False
        self._entries: dict[str, str] = {}

    def add_run_config_entry(self, key: str, value: str) -> None:
        """Set an entry of the run's configuration."""
        self._entries[key] = value

    def get_run_config_entry(self, key: str) -> str:
        """The entry of a key.

        Raises:
            InvalidArgument: No entry was set under the key.
        """
        if key not in self._entries:
            raise InvalidArgument(f"the run options have no configuration entry '{key}'")
        return self._entries[key]


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
