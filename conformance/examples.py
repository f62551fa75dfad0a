"""Valid uses of one operator: a node's attributes, inputs and outputs, with their types.

Most come from the backend suite, whose single-node cases are known to be valid and come with the values that they must
give.  An example is written for one version of its operator, and for certain types; `onnxlite.conformance.adapt` and
`onnxlite.conformance.recast` bring it to others.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import defs, helper

from onnxlite.conformance.cases import Case, load_cases
from onnxlite.conformance.kinds import kind_of, spelled_type
from onnxlite.conformance.operators import spelled
from onnxlite.conformance.randomness import is_random
from onnxlite.kernels.arrays import is_array


class Argument(NamedTuple):
    """An input: its type as the schemas spell it (``tensor(float)``), and its value."""

    kind: str
    value: Any


@dataclass(frozen=True, eq=False)
class Example:
    """One use of an operator.

    Attributes:
        domain: The operator's domain, "" for ai.onnx.
        name: The operator.
        version: The version of the domain that the example is written for.
        attributes: The node's attributes, by name.
        inputs: What goes in; None where an optional input is absent.
        outputs: The types of what comes out; None where an optional output is absent, "" where it is not known.
        expected: The values that must come out, where they are known.
        rtol: The relative tolerance for these values.
        atol: The absolute one.
        origin: The case of the suite that it comes from; "" for one by hand.
        outer: Values of the graph that the node's own graphs or its neighbours use, by name.
        neighbours: Nodes that come before the example's own.
    """

    domain: str
    name: str
    version: int
    attributes: Mapping[str, onnx.AttributeProto]
    inputs: tuple[Argument | None, ...]
    outputs: tuple[str | None, ...]
    expected: tuple[Any, ...] | None = None
    rtol: float = 1e-3
    atol: float = 1e-7
    origin: str = ""
    outer: Mapping[str, Argument] = field(default_factory=dict)
    neighbours: tuple[onnx.NodeProto, ...] = ()
    #: The number of elements of all inputs.
    size: int = field(init=False)
    #: Whether an input is an empty tensor, sequence or optional.
    has_empty: bool = field(init=False)

    def __post_init__(self) -> None:
        sizes = [_size(argument.value) for argument in self.inputs if argument is not None]
        object.__setattr__(self, "size", sum(sizes))
        object.__setattr__(self, "has_empty", 0 in sizes)

    @functools.cached_property
    def schema(self) -> Any:
        """The schema that the example is written for."""
        return defs.get_schema(self.name, self.version, self.domain)


def example(
    name: str,
    version: int,
    inputs: Sequence[Any],
    outputs: int | Sequence[str] = 1,
    *,
    domain: str = "",
    expected: Sequence[Any] | None = None,
    outer: Mapping[str, Argument] | None = None,
    neighbours: Sequence[onnx.NodeProto] = (),
    **attributes: Any,
) -> Example:
    """An example in few words: the types are those of the values (an `Argument` states its own).

    ``outputs`` is the number of outputs, or their types.
    """
    arguments = tuple(v if v is None or isinstance(v, Argument) else Argument(kind_of(v), v) for v in inputs)
    return Example(
        domain,
        name,
        version,
        attributes={key: helper.make_attribute(key, value) for key, value in attributes.items() if value is not None},
        inputs=arguments,
        outputs=("",) * outputs if isinstance(outputs, int) else tuple(outputs),
        expected=None if expected is None else tuple(expected),
        outer=outer or {},
        neighbours=tuple(neighbours),
    )


@functools.lru_cache(maxsize=1)
def suite_examples() -> Mapping[tuple[str, str], tuple[Example, ...]]:
    """The examples that the backend suite holds, by domain and operator; small ones first."""
    found: dict[tuple[str, str], list[Example]] = {}
    for case in load_cases():
        if case.kind == "node" and len(case.model.graph.node) == 1 and not is_random(case):
            one = _from_case(case)
            found.setdefault((one.domain, one.name), []).append(one)
    return {key: tuple(sorted(several, key=lambda one: one.size)) for key, several in found.items()}


def _from_case(case: Case) -> Example:
    model = case.model
    graph, (node,), data = model.graph, model.graph.node, case.data_sets[0]
    imports = {spelled(entry.domain): entry.version for entry in model.opset_import}
    arguments = {
        info.name: Argument(spelled_type(info.type), value)
        for info, value in zip(graph.input, data.inputs, strict=False)
    }
    kinds = {info.name: spelled_type(info.type) for info in graph.output}
    return Example(
        domain="" if node.domain == "ai.onnx" else node.domain,
        name=node.op_type,
        version=imports[spelled(node.domain)],
        attributes={attribute.name: attribute for attribute in node.attribute},
        inputs=tuple(arguments.get(name) for name in node.input),
        outputs=tuple(kinds.get(name) for name in node.output),
        expected=data.outputs,
        rtol=case.rtol,
        atol=case.atol,
        origin=case.name,
    )


def _size(value: Any) -> int:
    if isinstance(value, list):
        return sum(map(_size, value))
    if value is None:
        return 0
    return int(np.size(value)) if is_array(value) else 1
