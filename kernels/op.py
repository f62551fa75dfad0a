"""How a kernel is declared: one decorator, one record per function, one table per device family.

    @op("Softmax", since=13)
    def softmax(x, *, axis=-1): ...

Inputs are positional (an absent optional input is ``None``, a variadic input is ``*xs``).  Attributes are keyword-only,
under ONNX's names, with the specification's defaults; an attribute that the specification requires has no default.  An
attribute that holds a graph arrives as a callable ``body(*inputs) -> tuple of outputs``.

Three keyword-only names are not attributes; who binds the kernel provides them to a function that asks for them:

``rng``
    a ``numpy.random.Generator`` that lives as long as the bound node (it stands for the attribute ``seed``);
``output_count``
    how many outputs the node declares, trailing absent ones not counted;
``output_types``
    a tuple with the ``numpy.dtype`` (or None where unknown) that the model declares for each output.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from onnxlite.kernels.arrays import widened

Function = TypeVar("Function", bound=Callable[..., Any])

#: The mark of an attribute without a default.
REQUIRED: Any = inspect.Parameter.empty

#: Keyword-only parameters that the binder provides, and that are no attributes.
PROVIDED = frozenset({"rng", "output_count", "output_types"})


@dataclass(frozen=True, slots=True, eq=False)
class Kernel:
    """One function that serves the versions ``since`` to ``until`` of one operator.

    ``function`` is what is called; ``source`` is what its author wrote (they differ where the table wraps it).  A
    ``builder`` is not called with arrays, but with their shapes and types (see ``onnxlite.kernels.numba.spec``).
    """

    name: str
    domain: str
    since: int
    until: int | None
    function: Callable[..., Any]
    source: Callable[..., Any]
    host: bool = False
    builder: bool = False
    attributes: Mapping[str, Any] = field(default_factory=dict)
    provided: frozenset[str] = frozenset()

    def serves(self, version: int) -> bool:
        """Whether this kernel implements the operator version ``version`` (a since_version of the specification)."""
        return self.since <= version and (self.until is None or version <= self.until)

    @property
    def where(self) -> str:
        """Where a reader finds the function: ``module.name``."""
        return f"{self.source.__module__}.{self.source.__qualname__}"


class KernelTable:
    """The kernels of one family of devices, by operator; ``builders`` says that its functions are builders."""

    def __init__(self, builders: bool = False) -> None:
        self._builders = builders
        self._kernels: dict[tuple[str, str], list[Kernel]] = {}

    def op(
        self,
        name: str,
        *,
        since: int = 1,
        until: int | None = None,
        domain: str = "",
        widen: bool = False,
        host: bool = False,
    ) -> Callable[[Function], Function]:
        """Register the decorated function for an operator, and return it unchanged.

        Args:
            name: The operator's name in the specification.
            since: The first operator version (since_version) that the function implements.
            until: The last one; None means every later version too.
            domain: The operator's domain ("" is ai.onnx).
            widen: Compute float16, bfloat16 and smaller floats in float32, and round the float32 results back.
            host: The function needs host memory (strings, Python containers): device arrays are copied for it.
        """

        def register(function: Function) -> Function:
            kernel = describe(function, name, domain, since=since, until=until, widen=widen, host=host)
            self.add(replace(kernel, builder=self._builders))
            return function

        return register

    def add(self, kernel: Kernel) -> None:
        """Add a kernel; one that is added later wins over an earlier one for the versions that both serve."""
        self._kernels.setdefault((kernel.domain, kernel.name), []).append(kernel)

    def find(self, domain: str, name: str, version: int) -> Kernel | None:
        """The kernel for a version: of those that serve it, the newest ``since``, then the last one added."""
        serving = [k for k in self._kernels.get((domain, name), ()) if k.serves(version)]
        return max(reversed(serving), key=lambda kernel: kernel.since, default=None)

    def operators(self) -> Iterable[tuple[str, str]]:
        """The (domain, name) pairs that have a kernel."""
        return self._kernels.keys()

    def kernels(self, domain: str, name: str) -> tuple[Kernel, ...]:
        """Every kernel of an operator, in the order of registration."""
        return tuple(self._kernels.get((domain, name), ()))


def describe(
    function: Callable[..., Any],
    name: str,
    domain: str = "",
    *,
    since: int = 1,
    until: int | None = None,
    widen: bool = False,
    host: bool = False,
) -> Kernel:
    """The Kernel record of a function, its attributes and their defaults read from the signature."""
    keyword_only = {
        parameter.name: parameter.default
        for parameter in _signature(function).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    return Kernel(
        name=name,
        domain="" if domain == "ai.onnx" else domain,
        since=since,
        until=until,
        function=widened(function) if widen else function,
        source=function,
        host=host,
        attributes={key: default for key, default in keyword_only.items() if key not in PROVIDED},
        provided=PROVIDED.intersection(keyword_only),
    )


@functools.cache
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    # A family registers one function under many versions and names; its signature is read once.
    return inspect.signature(function)
