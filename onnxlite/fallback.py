"""Telling the user which nodes are not served where they were asked to be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from onnxlite.errors import Fail
from onnxlite.logs import INFO, WARNING, log
from onnxlite.options import NO_CPU_FALLBACK, SessionOptions
from onnxlite.plan import Plan, Step
from onnxlite.providers import Provider, device_of
from onnxlite.providers.select import REFERENCE

#: How many nodes a message names.
_MOST_NAMED = 20


def report_fallback(plan: Plan, providers: Sequence[Provider], options: SessionOptions) -> None:
    """Log the nodes that the preferred provider does not serve.

    From another device to the CPU is a warning; from the compiled CPU kernels to the reference is information.

    Args:
        plan: What is going to run.
        providers: In order of preference, the user's own operators left out.
        options: The session's.

    Raises:
        Fail: Nodes fall to the CPU, and the options forbid that.
    """
    served: dict[str, list[str]] = {}
    for step in _steps(plan):
        served.setdefault(step.provider, []).append(f"{step.node.label} ({step.node.operator})")
    preferred = providers[0]
    device = device_of(preferred)
    on_cpu = [node for p in providers if device_of(p) == "cpu" for node in served.get(p.name, ())]
    if device != "cpu" and on_cpu:
        message = f"{len(on_cpu)} nodes that {preferred.name} has no kernel for run on the CPU: {_listed(on_cpu)}"
        if options._entries.get(NO_CPU_FALLBACK) == "1":
            raise Fail(f"{message}; the session's entry '{NO_CPU_FALLBACK}' forbids that")
        log(WARNING, "%s", message, least=options.log_severity_level, logid=options.logid)
    elif preferred.name != REFERENCE and served.get(REFERENCE):
        nodes = served[REFERENCE]
        message = f"{len(nodes)} nodes that {preferred.name} has no kernel for run on {REFERENCE}: {_listed(nodes)}"
        log(INFO, "%s", message, least=options.log_severity_level, logid=options.logid)


def _steps(plan: Plan) -> Iterator[Step]:
    for step in plan.steps:
        yield step
        for _, body in step.bodies:
            yield from _steps(body)


def _listed(nodes: Sequence[str]) -> str:
    more = len(nodes) - _MOST_NAMED
    return ", ".join(nodes[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
