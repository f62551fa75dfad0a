"""``onnxlite inspect``: what a model holds, and where each of its operators would run."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table

from onnxlite.model import Graph, Model, load_model
from onnxlite.plan import Placement
from onnxlite.session import InferenceSession


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("model", metavar="MODEL", help="the model's file")
    parser.add_argument(
        "--provider", action="append", metavar="NAME", help="an execution provider, in order of preference"
    )
    parser.add_argument(
        "--nodes", action="store_true", help="list the placement of every node, and why providers declined"
    )
    parser.add_argument("--graph", action="store_true", help="print the whole graph as text")


def main(options: argparse.Namespace) -> int:
    """Print the model's summary."""
    model = load_model(options.model)
    session = InferenceSession(model, providers=options.provider)
    console = Console()
    if options.graph:
        console.print(repr(model), highlight=False, markup=False, soft_wrap=True)
        return 0
    for line in _facts(model):
        console.print(line, markup=False)
    console.print(_values(session))
    placements = session.explain_placement()
    console.print(_operators(placements))
    if options.nodes:
        for placement in placements:
            console.print(str(placement), highlight=False, markup=False, soft_wrap=True)
    return 0


def _facts(model: Model) -> Iterator[str]:
    opsets = ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in model.opset_imports.items())
    yield f"graph {model.graph.name or '(no name)'}: {len(model.graph.nodes)} nodes, {len(model.functions)} functions"
    yield f"IR version {model.ir_version}; opsets {opsets}"
    version = "(none)" if model.version is None else model.version
    yield f"producer {model.producer_name or '(none)'} {model.producer_version}; model version {version}"
    count, size = _parameters(model.graph)
    yield f"{count:,} parameters, {size / 2**20:,.1f} MiB"
    for key, value in model.metadata.items():
        yield f"metadata {key}: {value if len(value) <= 200 else value[:200] + '...'}"


def _parameters(graph: Graph) -> tuple[int, int]:
    """The number and the bytes of the elements of all initializers, subgraphs included."""
    count = sum(int(array.size) for array in graph.initializers.values())
    size = sum(int(array.nbytes) for array in graph.initializers.values())
    for node in graph.nodes:
        for _, body in node.graphs():
            inner = _parameters(body)
            count, size = count + inner[0], size + inner[1]
    return count, size


def _values(session: InferenceSession) -> Table:
    table = Table("", "name", "type", "shape")
    groups = (
        ("input", session.get_inputs()),
        ("initializer input", session.get_overridable_initializers()),
        ("output", session.get_outputs()),
    )
    for kind, values in groups:
        for value in values:
            table.add_row(kind, value.name, value.type, str(value.shape))
    return table


def _operators(placements: Sequence[Placement]) -> Table:
    counts = Counter(
        (p.node.operator, p.version, p.provider or "none", p.kernel.where if p.kernel else "") for p in placements
    )
    table = Table("operator", "version", "nodes", "provider", "kernel")
    for (operator, version, provider, kernel), count in sorted(counts.items()):
        table.add_row(operator, str(version), str(count), provider, kernel)
    return table
