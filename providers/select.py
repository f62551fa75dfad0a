"""From what a user asks for to the providers of a session."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from onnxlite.providers.registry import get_available_providers, get_default_providers, why_unavailable

#: What a session is asked for: names, or (name, options) pairs, in order of preference.
ProviderRequest: TypeAlias = Sequence[str | tuple[str, Mapping[Any, Any]]]

#: What serves the nodes that no other provider has a kernel for.
REFERENCE = "ReferenceExecutionProvider"
_CPU = "CPUExecutionProvider"


def select_providers(
    providers: ProviderRequest | None,
    provider_options: Sequence[Mapping[Any, Any]] | None = None,
    stacklevel: int = 2,
) -> dict[str, dict[str, str]]:
    """The options of each provider of a session by its name, in order of preference.

    The compiled CPU provider, where it can run, and the reference come last without being asked for, as the CPU does in
    onnxruntime; a request that names the reference is taken as complete.

    Args:
        providers: What was asked for; None for everything that can run on this machine.
        provider_options: The options of each, where the names come without them.
        stacklevel: Which caller warnings point to.

    Raises:
        ValueError: The request has another form.
    """
    chosen: dict[str, dict[str, str]] = {}
    available = get_available_providers()
    for name, options in _pairs(get_default_providers() if providers is None else providers, provider_options):
        if name not in available:
            warnings.warn(
                f"Specified provider '{name}' is not in available provider names. "
                f"Available providers: '{', '.join(available)}' ({why_unavailable(name)})",
                UserWarning,
                stacklevel=stacklevel + 1,
            )
        elif name in chosen:
            warnings.warn(f"Duplicate provider '{name}' encountered, ignoring.", UserWarning, stacklevel=stacklevel + 1)
        else:
            chosen[name] = {str(key): str(value) for key, value in options.items()}
    if REFERENCE not in chosen:
        for name in (_CPU, REFERENCE):
            if name in available:
                chosen.setdefault(name, {})
    return chosen


def _pairs(
    providers: ProviderRequest, provider_options: Sequence[Mapping[Any, Any]] | None
) -> list[tuple[str, Mapping[Any, Any]]]:
    if isinstance(providers, str):
        providers = [providers]
    if not isinstance(providers, Sequence):
        raise ValueError(f"'providers' should be a sequence, not {type(providers).__name__}.")
    if provider_options is None:
        return [_pair(entry) for entry in providers]
    if not isinstance(provider_options, Sequence):
        raise ValueError(f"'provider_options' should be a sequence, not {type(provider_options).__name__}.")
    if len(providers) != len(provider_options):
        raise ValueError("'providers' and 'provider_options' should be the same length if both are given.")
    names = [entry for entry in providers if isinstance(entry, str)]
    if len(names) < len(providers):
        raise ValueError("Only string values for 'providers' are supported if 'provider_options' is given.")
    if not all(isinstance(options, Mapping) for options in provider_options):
        raise ValueError("'provider_options' values must be dicts.")
    return list(zip(names, provider_options, strict=True))


def _pair(entry: Any) -> tuple[str, Mapping[Any, Any]]:
    match entry:
        case str():
            return entry, {}
        case (str() as name, Mapping() as options):
            return name, options
    raise ValueError(f"'providers' values must be either strings or (string, dict) tuples, not {entry!r:.80}.")
