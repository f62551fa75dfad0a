"""How much of a model runs compiled: ``python -m onnxlite.conformance.compiled_share MODEL...`` says it, with reasons.

What a run executes is counted, subgraphs included: nodes that only give a value another shape, or are constant once the
shapes are known, are executed no more.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnxlite import InferenceSession, SessionOptions
from onnxlite.commands.run import add_input_arguments, input_feeds
from onnxlite.kernels.numba.spec import ArraySpec, Declined
from onnxlite.options import COMPILE
from onnxlite.plan.plan import ABSENT, Plan, Step
from onnxlite.plan.program import Alias, Buffer, Command, Constant, Dynamic, Program


@dataclass(frozen=True)
class Share:
    """The nodes of a model that run compiled, all that run, and why the others do not, by operator and reason."""

    compiled: int
    total: int
    reasons: Counter[tuple[str, str]]

    def __str__(self) -> str:
        lines = [f"{self.compiled} of {self.total} nodes run compiled ({self.compiled / max(self.total, 1):.1%})"]
        lines += [f"  {count} {operator}: {reason}" for (operator, reason), count in self.reasons.most_common()]
        return "\n".join(lines)


def share_of(session: InferenceSession) -> Share:
    """The share of a session that has run, and has waited for the compiler."""
    found = list(_reasons(session.plan))
    return Share(
        sum(reason is None for _, reason in found),
        len(found),
        Counter((operator, reason) for operator, reason in found if reason is not None),
    )


def _reasons(plan: Plan) -> Iterator[tuple[str, str | None]]:
    """For each node that runs its operator, and why it runs in the reference; None if it does not."""
    if plan.programs is None:
        yield from ((step.node.operator, "there is no compiled kernel") for step in plan.steps)
        return
    kept: list[Program] = plan.programs.programs()  # type: ignore[attr-defined]
    if not kept:
        return  # a branch that no run took
    counted: Step | None = None
    for command in kept[-1].commands:
        step = command.step
        if counted is None or step.node is not counted.node:  # else it cuts the result of the command before
            yield step.node.operator, None if command.bound else _reason(command, kept[-1])
        counted = step if command.bound and command.bound.counted is not None else None
        for _, body in step.bodies:
            yield from _reasons(body)


def _reason(command: Command, program: Program) -> str:
    step = command.step
    if step.bodies:
        return "it runs subgraphs, whose nodes are counted by themselves"
    if step.builder is None:
        return "there is no compiled kernel"
    specs = [_spec(slot, program) for slot in step.inputs]
    if any(spec is Dynamic for spec in specs):
        return "the shapes of its inputs are known only when it runs"
    return _answer(step, specs)


def _answer(step: Step, specs: Sequence[Any]) -> str:
    assert step.builder is not None
    try:
        answer = step.builder(*specs)
    except ValueError as error:
        return str(error)
    return answer.reason if isinstance(answer, Declined) else "more outputs are read than are compiled"


def _spec(slot: int, program: Program) -> Any:
    """What the builder is told of an input; `Dynamic` where nothing is known."""
    storage = program.storage.get(program.root(slot))
    own = program.storage.get(slot)
    if slot == ABSENT:
        return None
    if isinstance(storage, Constant):
        value = storage.value
        return ArraySpec(value.shape, value.dtype, value) if hasattr(value, "dtype") else Dynamic
    if isinstance(storage, Buffer):
        return ArraySpec(own.shape if isinstance(own, Alias) else storage.shape, storage.dtype)
    return Dynamic


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the models on random input, and print the share of each and of all; 1 if it is less than was asked for."""
    parser = argparse.ArgumentParser("python -m onnxlite.conformance.compiled_share")
    parser.description = "Print which share of models' nodes runs compiled, and why the others do not."
    parser.add_argument("models", metavar="MODEL", nargs="+", help="the models' files")
    parser.add_argument("--at-least", type=float, default=0.0, metavar="PERCENT", help="fail below this share")
    add_input_arguments(parser)
    options = parser.parse_args(arguments)
    options.random = True
    shares = []
    for path in options.models:
        shares.append(_measured(path, options))
        print(f"{Path(path).name}: {shares[-1]}", flush=True)
    compiled, total = sum(share.compiled for share in shares), sum(share.total for share in shares)
    if len(shares) > 1:
        print(f"all: {compiled} of {total} nodes ({compiled / max(total, 1):.1%})")
    return int(100 * compiled < options.at_least * total)


def _measured(path: str, options: argparse.Namespace) -> Share:
    settings = SessionOptions()
    settings.add_session_config_entry(COMPILE, "wait")
    session = InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    feeds = input_feeds(session, options)
    for _ in range(2):
        session.run(None, feeds)
    return share_of(session)


if __name__ == "__main__":
    raise SystemExit(main())
