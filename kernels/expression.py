"""Expressions: what a fused elementwise operator computes for one element of its output.

An expression is a plain nested tuple, so that it can be an attribute of a node::

    (("Add-14", "x0", "x1"), ("Constant", ("dtype", "float32"), ("value", 0.5)), ("Mul-14", "t0", "t1"),
     ("LeakyRelu-16", "t2", ("alpha", 0.2)))

    expression  = (instruction, ...)                        its value is that of the last instruction
    instruction = (operator, operand ..., attribute ...)
    operator    = "Add-14", ...                             an operator of ONNX and its version (since_version)
                | "Constant"                                a number, without operands
    operand     = "x0", "x1", ...                           an input
                | "t0", "t1", ...                           the value of an instruction before
                | ""                                        an optional operand that is left out
    attribute   = (name, int | float | str)                 those that the operator is given
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

Number: TypeAlias = int | float | bool
Instruction: TypeAlias = tuple[Any, ...]
Expression: TypeAlias = tuple[Instruction, ...]

Value = TypeVar("Value")

CONSTANT = "Constant"


def instruction(name: str, version: int, operands: Sequence[str], attributes: Mapping[str, Any]) -> Instruction:
    """The instruction that applies an operator."""
    return (f"{name}-{version}", *operands, *attributes.items())


def constant(dtype: str, value: Number) -> Instruction:
    """The instruction that is a number of a NumPy dtype."""
    return (CONSTANT, ("dtype", dtype), ("value", value))


def operator_of(step: Instruction) -> tuple[str, int]:
    """The operator of an instruction that is not a constant, and its version."""
    name, _, version = str(step[0]).rpartition("-")
    return name, int(version)


def operands_of(step: Instruction) -> list[str]:
    """The operands of an instruction."""
    return [item for item in step[1:] if isinstance(item, str)]


def attributes_of(step: Instruction) -> dict[str, Any]:
    """The attributes of an instruction."""
    return dict(item for item in step[1:] if not isinstance(item, str))


def operand_value(operand: str, inputs: Sequence[Value], results: Sequence[Value]) -> Value | None:
    """What an operand stands for, given what the inputs are and the results so far."""
    return (inputs if operand[0] == "x" else results)[int(operand[1:])] if operand else None


def with_constants(expression: Expression, constants: Mapping[int, Instruction]) -> Expression:
    """The expression with constants in place of some inputs; the inputs that are left are counted anew.

    Args:
        expression: The expression.
        constants: The constants, by the numbers of the inputs that they replace.
    """
    shift = len(constants)
    moved = {f"x{number}": f"t{position}" for position, number in enumerate(constants)}

    def renamed(item: Any) -> Any:
        if not isinstance(item, str) or not item:
            return item
        number = int(item[1:])
        if item[0] == "t":
            return f"t{number + shift}"
        return moved.get(item) or f"x{number - sum(other < number for other in constants)}"

    return (*constants.values(), *((step[0], *map(renamed, step[1:])) for step in expression))
