"""What will run where, before anything runs."""

from __future__ import annotations

from collections.abc import Sequence

from onnxlite.model.ir import Graph
from onnxlite.plan.infer import Types, infer_types
from onnxlite.plan.place import Placement, place
from onnxlite.providers import Provider


def explain(graph: Graph, providers: Sequence[Provider], outer: Types | None = None) -> list[Placement]:
    """The placement of every node of a graph, each followed by those of its subgraphs."""
    types = infer_types(graph, outer or {})
    placements: list[Placement] = []
    for node in graph.nodes:
        placements.append(place(node, [types.get(name) for name in node.inputs], providers))
        for _, body in node.graphs():
            placements.extend(explain(body, providers, types))
    return placements
