"""What runs a model: onnxlite itself and the engines that it is compared with, behind one small interface.

An engine is looked up by name, or by ``module:attribute`` for one that is defined elsewhere.  A rival is imported when
it is first asked for something, so it need not be installed.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any, TypeAlias

import onnx

from onnxlite.kernels.arrays import is_array

#: What an engine makes of a model: inputs in the graph's order in, outputs in the graph's order out.
Prepared: TypeAlias = Callable[[Sequence[Any]], list[Any]]


@dataclass(frozen=True)
class Engine:
    """One engine.

    Attributes:
        name: How the command line and the scoreboard call it.
        default_provider: The provider that is meant when none is named; "" if the engine knows no providers.
        distribution: The package whose version the scoreboard records; "" where it should not.
        providers: Gives the providers that are available on this machine.
        prepare: Makes the callable for a serialized model on a provider.
        declined: Whether an error means "not implemented here".
    """

    name: str
    default_provider: str
    distribution: str
    providers: Callable[[], Sequence[str]]
    prepare: Callable[[bytes, str], Prepared]
    declined: Callable[[Exception], bool] = lambda error: isinstance(error, NotImplementedError)

    @property
    def version(self) -> str | None:
        """The installed version, or None for an engine whose version is not recorded."""
        return metadata.version(self.distribution) if self.distribution else None


def find_engine(name: str) -> Engine:
    """The engine of that name, or the one at ``module:attribute``.

    Raises:
        LookupError: There is no such engine.
    """
    if name in ENGINES:
        return ENGINES[name]
    module, separator, attribute = name.partition(":")
    if not separator:
        raise LookupError(f"there is no engine {name!r}; known are {', '.join(ENGINES)}, and any module:attribute")
    engine = getattr(importlib.import_module(module), attribute, None)
    if not isinstance(engine, Engine):
        raise LookupError(f"{name!r} is not an Engine")
    return engine


def _by_name(names: Sequence[str], inputs: Sequence[Any]) -> dict[str, Any]:
    # Fewer values than inputs is right: initializers and optional inputs come last and may be left out.
    return dict(zip(names, inputs, strict=False))


def _onnxlite_providers() -> Sequence[str]:
    from onnxlite import get_available_providers

    return get_available_providers()


def _prepare_onnxlite(model: bytes, provider: str) -> Prepared:
    from onnxlite import InferenceSession, SessionOptions

    options = SessionOptions()
    options.add_session_config_entry("session.compile", "wait")
    session = InferenceSession(model, options, providers=[provider])
    names = [value.name for value in session.get_inputs()]

    def run(inputs: Sequence[Any]) -> list[Any]:
        # A compiled provider's first run with given shapes prepares a program, which the second one is made by.
        feeds = _by_name(names, inputs)
        session.run(None, feeds)
        return list(session.run(None, feeds))

    return run


def _onnxruntime_providers() -> Sequence[str]:
    import onnxruntime

    return list(onnxruntime.get_available_providers())


def _prepare_onnxruntime(model: bytes, provider: str) -> Prepared:
    import onnxruntime

    from onnxlite.conformance import onnxruntime_values

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # cases run side by side
    session = onnxruntime.InferenceSession(model, options, providers=[provider])
    names = [value.name for value in session.get_inputs()]
    return lambda inputs: onnxruntime_values.run(session, _by_name(names, inputs))


def _onnxruntime_declined(error: Exception) -> bool:
    from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NotImplementedThere

    # An operator that it does not know has no error type of its own.
    return isinstance(error, NotImplementedThere) or "is not a registered function/op" in str(error)


def _prepare_reference_evaluator(model: bytes, provider: str) -> Prepared:
    from onnx.reference import ReferenceEvaluator

    proto = onnx.ModelProto.FromString(model)
    constant = {initializer.name for initializer in proto.graph.initializer}
    evaluator = ReferenceEvaluator(proto)
    names = [name for name in evaluator.input_names if name not in constant]
    return lambda inputs: [_strings_as_objects(value) for value in evaluator.run(None, _by_name(names, inputs))]


def _strings_as_objects(value: Any) -> Any:
    # The evaluator gives NumPy's own string types; all other engines, and the cases, use object arrays.
    if isinstance(value, list):
        return [_strings_as_objects(element) for element in value]
    return value.astype(object) if is_array(value) and value.dtype.kind in "TU" else value


ONNXLITE = Engine(
    name="onnxlite",
    default_provider="ReferenceExecutionProvider",
    distribution="",
    providers=_onnxlite_providers,
    prepare=_prepare_onnxlite,
)
ONNXRUNTIME = Engine(
    name="onnxruntime",
    default_provider="CPUExecutionProvider",
    distribution="onnxruntime",
    providers=_onnxruntime_providers,
    prepare=_prepare_onnxruntime,
    declined=_onnxruntime_declined,
)
REFERENCE_EVALUATOR = Engine(
    name="reference-evaluator",
    default_provider="",
    distribution="onnx",
    providers=lambda: [""],
    prepare=_prepare_reference_evaluator,
)

#: The engines that are known by name; the first is the default.
ENGINES = {engine.name: engine for engine in (ONNXLITE, ONNXRUNTIME, REFERENCE_EVALUATOR)}
