"""A bound subgraph as kernels of control flow see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnxlite.model.types import ValueType
from onnxlite.plan.plan import Plan, run_plan
from onnxlite.plan.termination import check_termination


class Body:
    """A bound subgraph: calling it runs it."""

    __slots__ = ("_captured", "_plan")

    def __init__(self, plan: Plan, captured: Sequence[Any]) -> None:
        self._plan = plan
        self._captured = captured

    @property
    def output_types(self) -> tuple[ValueType | None, ...]:
        """The types that the model declares for the outputs."""
        return self._plan.output_types

    @property
    def input_count(self) -> int:
        """How many inputs the subgraph takes."""
        return len(self._plan.inputs)

    def __call__(self, *inputs: Any) -> tuple[Any, ...]:
        """The outputs of the subgraph for these inputs.

        Raises:
            Fail: The run was told to stop.
        """
        check_termination()
        return tuple(run_plan(self._plan, inputs, self._captured))
