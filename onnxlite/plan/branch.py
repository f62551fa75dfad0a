"""The branch of an If whose condition is known: its steps as steps of the plan around it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from onnxlite.plan.plan import FIRST, Step


@dataclass(frozen=True, slots=True)
class Branch:
    """The steps of a branch over slots of the plan around it.

    ``constants`` are the values of some of these slots, ``outputs`` the slots of the results, and ``slots`` the number
    of slots that there are then.
    """

    steps: tuple[Step, ...]
    constants: dict[int, Any]
    outputs: tuple[int, ...]
    slots: int


def taken_branch(step: Step, condition: bool, slots: int) -> Branch:
    """The branch that an If takes.

    Args:
        step: The If's step.
        condition: What it decides by.
        slots: The number of slots of the plan around it: the branch gets others.
    """
    start = len(step.node.inputs)
    bodies = {}
    for attribute, plan in step.bodies:
        # The step's inputs behind the node's own are what its bodies capture, one after the other.
        bodies[attribute] = plan, step.inputs[start : start + len(plan.captured)]
        start += len(plan.captured)
    plan, given = bodies["then_branch" if condition else "else_branch"]
    places = dict(zip(plan.captured, given, strict=True))

    def place(slot: int) -> int:
        return slot if slot < FIRST else places.get(slot, slots + slot)

    def moved(inner: Step) -> Step:
        outputs = place(inner.outputs) if isinstance(inner.outputs, int) else tuple(map(place, inner.outputs))
        return replace(inner, inputs=tuple(map(place, inner.inputs)), outputs=outputs, free=())

    return Branch(
        steps=tuple(map(moved, plan.steps)),
        constants={place(slot): value for slot, value in enumerate(plan.template) if value is not None},
        outputs=tuple(map(place, plan.outputs)),
        slots=slots + len(plan.template),
    )
