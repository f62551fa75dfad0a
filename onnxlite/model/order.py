"""Topological order of a graph's nodes, and what a graph takes from the graphs around it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heappush

from onnxlite.errors import InvalidGraph
from onnxlite.model.ir import Graph, Node


def topological_order(nodes: Sequence[Node], where: str) -> tuple[Node, ...]:
    """The nodes such that each comes after the nodes that it reads, otherwise in the order given (Kahn, 1962).

    Raises:
        InvalidGraph: The nodes form a cycle; the message spells it out.
    """
    producer = {output: index for index, node in enumerate(nodes) for output in node.outputs if output}
    sources = [{producer[name] for name in reads(node) if name in producer} for node in nodes]
    if all(max(source, default=-1) < index for index, source in enumerate(sources)):
        return tuple(nodes)
    readers: list[list[int]] = [[] for _ in nodes]
    for index, source in enumerate(sources):
        for earlier in source:
            readers[earlier].append(index)
    waiting = [len(source) for source in sources]
    ready = [index for index, count in enumerate(waiting) if not count]
    heapify(ready)
    order: list[int] = []
    while ready:
        index = heappop(ready)
        order.append(index)
        for reader in readers[index]:
            waiting[reader] -= 1
            if not waiting[reader]:
                heappush(ready, reader)
    if len(order) < len(nodes):
        raise InvalidGraph(f"{where} has a cycle: {_cycle(nodes, sources, set(order))}")
    return tuple(nodes[index] for index in order)


def _cycle(nodes: Sequence[Node], sources: Sequence[set[int]], done: set[int]) -> str:
    index = next(i for i in range(len(nodes)) if i not in done)
    path: list[int] = []
    while index not in path:
        path.append(index)
        index = next(source for source in sources[index] if source not in done)
    loop = [*path[path.index(index) :], index]
    return " <- ".join(f"{nodes[i].op_type} '{nodes[i].label}'" for i in loop)


def reads(node: Node) -> Iterable[str]:
    """The names that a node reads: its inputs, and what its subgraphs take from outside."""
    yield from filter(None, node.inputs)
    for _, graph in node.graphs():
        yield from captures(graph)


def captures(graph: Graph) -> tuple[str, ...]:
    """The names that a graph reads and does not define, in the order of first use."""
    defined = {value.name for value in graph.inputs} | set(graph.initializers)
    free: dict[str, None] = {}
    for node in graph.nodes:
        free.update((name, None) for name in reads(node) if name not in defined)
        defined.update(node.outputs)
    free.update((value.name, None) for value in graph.outputs if value.name and value.name not in defined)
    return tuple(free)
