"""The registry of execution providers, and what a provider is asked and answers.

A provider of one's own is a class with a ``name`` and a ``choose``, registered by ``register_provider``, or announced
by an installed package as an entry point of the group ``onnxlite.providers``: the entry point's name is the provider's,
its object a callable that takes the provider options, a mapping from str to str, and returns the provider.  A session
uses it where it is asked for by name.
"""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from onnxlite.errors import EPFail
from onnxlite.kernels.op import Kernel, KernelTable

ENTRY_POINT_GROUP = "onnxlite.providers"


@dataclass(frozen=True, slots=True)
class Operator:
    """One node as a provider sees it when it is asked for a kernel.

    ``version`` is the operator's version (the since_version of its schema; the domain's imported version where there is
    no schema); ``input_types`` holds a type of ``onnxlite.model.types`` for each input, None where it is not known.
    """

    domain: str
    name: str
    version: int
    input_types: tuple[Any, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    output_count: int = 1

    def __str__(self) -> str:
        return f"{self.domain + '.' if self.domain else ''}{self.name}-{self.version}"


@dataclass(frozen=True, slots=True)
class Declined:
    """A provider's no, with a reason that a user can read."""

    reason: str


class Provider(Protocol):
    """Chooses kernels; everything else about running them is the plan's.

    One whose kernels run elsewhere than on the CPU says so in an attribute ``device`` (``"cuda"``); see `device_of`.
    """

    @property
    def name(self) -> str:
        """The name that sessions ask for it by."""

    def choose(self, operator: Operator) -> Kernel | Declined:
        """The kernel for one node, or why there is none."""


@dataclass(frozen=True, slots=True)
class TableProvider:
    """A provider that looks its kernels up in tables, the first table first.

    ``compiles`` says that its kernels are builders: graphs are rewritten to suit them (``onnxlite.passes.optimize``).
    """

    name: str
    tables: tuple[KernelTable, ...]
    device: str = "cpu"
    compiles: bool = False

    def choose(self, operator: Operator) -> Kernel | Declined:
        """The kernel of the first table that serves the operator's version."""
        for table in self.tables:
            kernel = table.find(operator.domain, operator.name, operator.version)
            if kernel is not None:
                return kernel
        return Declined(f"no kernel for {operator}")


def compiles(provider: Provider) -> bool:
    """Whether a provider's kernels are compiled for the shapes of a run."""
    return bool(getattr(provider, "compiles", False))


def device_of(provider: Provider) -> str:
    """The kind of device that a provider's kernels run on; ``cpu`` if it does not say."""
    return str(getattr(provider, "device", "cpu"))


#: Makes a provider from its options.
ProviderFactory: TypeAlias = Callable[[Mapping[str, str]], Provider]


@dataclass(frozen=True, slots=True)
class _Registration:
    factory: ProviderFactory
    unavailable: Callable[[], str | None]


_REGISTERED: dict[str, _Registration] = {}


def register_provider(
    name: str, factory: ProviderFactory, unavailable: Callable[[], str | None] = lambda: None
) -> None:
    """Make a provider known under a name; a name that is known already is replaced.

    Args:
        name: What ``InferenceSession(..., providers=[name])`` asks for.
        factory: Makes the provider from its options.
        unavailable: Says why the provider cannot run on this machine, or returns None if it can.
    """
    _REGISTERED[name] = _Registration(factory, unavailable)


def get_all_providers() -> list[str]:
    """The names of all registered providers, in the default order of preference."""
    return list(_registrations())


def get_available_providers() -> list[str]:
    """The names of the providers that can run on this machine, in the default order of preference."""
    return [name for name, registration in _registrations().items() if registration.unavailable() is None]


def get_default_providers() -> list[str]:
    """The providers of a session that names none: those of this package that can run here, in order of preference."""
    return [name for name in get_available_providers() if name in _BUILT_IN]


def why_unavailable(name: str) -> str | None:
    """Why a provider cannot be used here, or None if it can."""
    registration = _registrations().get(name)
    if registration is None:
        return f"no provider of that name is registered (registered: {', '.join(_registrations())})"
    return registration.unavailable()


def create_provider(name: str, options: Mapping[str, str]) -> Provider:
    """The provider of a name, with its options.

    Raises:
        EPFail: There is no such provider, or it cannot run here.
    """
    reason = why_unavailable(name)
    if reason is not None:
        raise EPFail(f"the provider '{name}' is not available: {reason}")
    return _registrations()[name].factory(options)


def _registrations() -> dict[str, _Registration]:
    _register_built_in()
    return _REGISTERED


_BUILT_IN = ("CUDAExecutionProvider", "CPUExecutionProvider", "ReferenceExecutionProvider")


@functools.lru_cache(maxsize=1)
def _register_built_in() -> None:
    from onnxlite.providers import cpu, cuda, reference

    for name, factory, unavailable in (cuda.REGISTRATION, cpu.REGISTRATION, reference.REGISTRATION):
        _REGISTERED.setdefault(name, _Registration(factory, unavailable))
    for entry in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        _REGISTERED.setdefault(entry.name, _Registration(_loaded(entry), lambda: None))


def _loaded(entry: importlib.metadata.EntryPoint) -> ProviderFactory:
    def factory(options: Mapping[str, str]) -> Provider:
        try:
            provider: Provider = entry.load()(options)
        except Exception as error:
            raise EPFail(
                f"the provider '{entry.name}' of the entry point {entry.value} cannot be made: "
                f"{type(error).__name__}: {error}"
            ) from error
        return provider

    return factory
