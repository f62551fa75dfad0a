"""Which operators run compiled: ``python -m onnxlite.conformance.compiled_operators`` writes the table ``COMPILED.md``.

Every single-node case of the backend suite is shown to the builder of the compiled kernel, in the newest version of its
operator.  Inputs that decide shapes, and the parameters that models keep as constants, are constants here too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from onnx import defs

from onnxlite.conformance.cases import Case, load_cases
from onnxlite.conformance.operators import spelled
from onnxlite.kernels.numba import COMPILED
from onnxlite.kernels.numba.spec import ArraySpec, Declined
from onnxlite.kernels.op import Kernel
from onnxlite.model import load_model
from onnxlite.model.ir import Node
from onnxlite.plan.bind import compiled_builder
from onnxlite.plan.dependence import shaping_inputs
from onnxlite.plan.weights import as_constant

PATH = Path(__file__).parent / "COMPILED.md"

#: The domains that models use, in the order of the tables; training and previews are left to the reference.
_DOMAINS = ("", "ai.onnx.ml")

#: Operators that a program runs no more: it knows their results when it is made, or shows their input's memory.
_FREE = {
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"), "a view of its input"),
    **dict.fromkeys(("Constant", "ConstantOfShape", "Shape", "Size", "Range", "EyeLike"), "constant for given shapes"),
    **dict.fromkeys(("BlackmanWindow", "HammingWindow", "HannWindow", "MelWeightMatrix"), "constant for given shapes"),
    "If": "the branch's nodes, where the condition is constant for given shapes",
}
#: Operators that a pass replaces before kernels are chosen.
_REPLACED = {
    "Conv": "constant float32 weights, with the channels last",
    "ConvTranspose": "constant float32 weights: a Conv and a sum",
    "Einsum": "floats, without an ellipsis or a diagonal: products",
}
#: Operators that run subgraphs, whose nodes are compiled by themselves.
_CONTROL = frozenset({"Loop", "Scan", "SequenceMap"})
#: Inputs beyond those that decide shapes that models keep as constants: weights, scales, limits, axes.
_CONSTANTS: dict[str, tuple[int, ...]] = {
    "ai.onnx.ml.ArrayFeatureExtractor": (1,),
    **dict.fromkeys(("RNN", "GRU", "LSTM", "ConvInteger", "MatMulInteger"), (1, 2, 3, 4, 7)),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear", "CumSum", "CumProd", "Trilu"), (1, 2)),
    **dict.fromkeys(("QLinearConv", "QLinearMatMul"), (1, 2, 3, 4, 5, 6, 7, 8)),
    "NonMaxSuppression": (2, 3, 4),
}


@dataclass(slots=True)
class Row:
    """What became of an operator's cases: the types that were compiled, how many were, and why others were not."""

    operator: str
    types: set[str] = field(default_factory=set)
    compiled: int = 0
    declined: list[str] = field(default_factory=list)
    has_kernel: bool = True

    @property
    def status(self) -> str:
        """One word for the table."""
        name = self.operator
        if name in _FREE:
            return "free"
        if name in _REPLACED:
            return "replaced"
        if name in _CONTROL:
            return "subgraphs"
        if not self.compiled:
            return "reference" if self.declined or not self.has_kernel else "compiled"
        return "partly" if self.declined else "compiled"


def rows() -> list[Row]:
    """A row for every operator of the newest version of each domain, by domain and name."""
    found: dict[str, Row] = {}
    for domain in _DOMAINS:
        for schema in sorted(defs.get_all_schemas(), key=lambda schema: schema.name):
            if schema.domain == domain and not schema.deprecated:
                kernel = COMPILED.find(domain, schema.name, schema.since_version)
                name = f"{domain}.{schema.name}" if domain else schema.name
                found[name] = Row(name, has_kernel=kernel is not None)
    for case in load_cases():
        node = _only_node(case)
        if node is not None and node.operator in found:
            _try(found[node.operator], node, case)
    return list(found.values())


def _only_node(case: Case) -> Node | None:
    if case.kind != "node":
        return None
    nodes = load_model(case.model_bytes).graph.nodes
    return nodes[0] if len(nodes) == 1 else None


def _try(row: Row, node: Node, case: Case) -> None:
    schema = defs.get_schema(node.op_type, node.opset, node.domain)
    kernel = COMPILED.find(node.domain, node.op_type, schema.since_version)
    specs = _specs(node, case)
    if kernel is None or specs is None:
        row.declined.append("strings, sequences or maps" if specs is None else "no kernel")
        return
    for outputs in (node.outputs, node.outputs[:1]):
        reason = _reason(replace(node, outputs=outputs), kernel, specs)
        if reason is not None:
            row.declined.append(reason)
            continue
        row.compiled += 1
        row.types.update(str(spec.dtype) for spec in specs[:1] if spec is not None)
        return


def _reason(node: Node, kernel: Kernel, specs: Sequence[ArraySpec | None]) -> str | None:
    """Why a node is not compiled; None if it is."""
    builder = compiled_builder(node, kernel)
    if builder is None:
        return "an attribute of another version"
    try:
        answer = builder(*specs)
    except ValueError as error:
        return str(error)
    return answer.reason if isinstance(answer, Declined) else None


def _specs(node: Node, case: Case) -> list[ArraySpec | None] | None:
    """What the builder is told of the inputs of a case; None if they are no arrays of numbers."""
    model = load_model(case.model_bytes)
    values: Mapping[str, Any] = {
        **dict(zip((value.name for value in model.graph.inputs), case.data_sets[0].inputs, strict=False)),
        **model.graph.initializers,
    }
    constant = {*(shaping_inputs(node) or ()), *_CONSTANTS.get(node.operator, ())}
    specs: list[ArraySpec | None] = []
    for number, name in enumerate(node.inputs):
        value = values.get(name) if name else None
        if value is not None and (not isinstance(value, np.ndarray) or value.dtype == np.object_):
            return None
        given = as_constant(value) if number in constant else None
        specs.append(None if value is None else ArraySpec(value.shape, value.dtype, given))
    return specs


_INTRODUCTION = """\
# Operators that run compiled

What onnxlite's `CPUExecutionProvider` compiles, in the newest version of every operator, shown by the single-node cases
of the ONNX backend suite: the types of the first inputs of those that are compiled, and why others are left to the
NumPy reference. Where nodes of float16 and bfloat16 stand in a model, they are computed in float32. Written by
`python -m onnxlite.conformance.compiled_operators`; `python -m onnxlite.conformance.compiled_share MODEL` says the same
of a model's nodes.

- **compiled**: every case. **partly**: some cases; the others for the reasons that are given.
- **free**: costs nothing when a model runs. **replaced**: a pass makes other operators of it.
- **subgraphs**: runs subgraphs, whose nodes are compiled. **reference**: runs in NumPy.
"""


def to_markdown(found: Sequence[Row]) -> str:
    """The page."""
    counts = {status: sum(row.status == status for row in found) for status in dict.fromkeys(r.status for r in found)}
    summary = ", ".join(f"{count} {status}" for status, count in sorted(counts.items(), key=lambda item: -item[1]))
    parts = [f"{_INTRODUCTION}\n{len(found)} operators: {summary}.\n"]
    for domain in _DOMAINS:
        parts.append(f"\n## {spelled(domain)}\n\n| operator | runs | compiled types, and what is left out |\n")
        parts.append("| --- | --- | --- |\n")
        own = [row for row in found if row.operator.rpartition(".")[0] == domain]
        parts += [f"| {row.operator} | {row.status} | {'; '.join(_remarks(row))} |\n" for row in own]
    return "".join(parts)


def _remarks(row: Row) -> Iterator[str]:
    note = _FREE.get(row.operator) or _REPLACED.get(row.operator)
    if note:
        yield note
        return
    if row.types:
        yield ", ".join(sorted(row.types))
    reasons = dict.fromkeys(_general(reason) for reason in row.declined if reason != "no kernel")
    types = [match[1] for reason in reasons if (match := _TYPE.fullmatch(reason))]
    if types:
        yield f"not: {', '.join(sorted(set(types)))}"
    yield from (f"not: {reason}" for reason in reasons if not _TYPE.fullmatch(reason))


#: Reasons that are about a type alone.
_TYPE = re.compile(r"(?:arrays of|a cast to) (\w+) (?:are|is) not compiled")


def _general(reason: str) -> str:
    """A reason without the shapes of one case."""
    text = re.sub(r"\[[\d, ]*\]|\([\d, ]*\)", "", reason).replace("|", "/")
    return re.sub(r"\s+", " ", text).removesuffix(": the reference says how").strip()


if __name__ == "__main__":
    PATH.write_text(to_markdown(rows()))
    print(f"wrote {PATH.name}")
