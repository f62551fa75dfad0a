"""The passes that leave less to do, together, on random networks."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import HealthCheck, given, settings

from onnxlite.model import Graph
from onnxlite.passes.chains import merge_chains
from onnxlite.passes.common import share_common
from onnxlite.passes.eliminate import eliminate
from onnxlite.passes.fold_padding import fold_padding

sys.path.append(str(Path(__file__).parents[1] / "graphs"))
from image_graphs import Images, assert_close, made, networks, node, results


def simplify(graph: Graph, keep: frozenset[str]) -> Graph:
    graph = merge_chains(eliminate(graph, keep, {}), keep, {})
    return fold_padding(share_common(graph, keep), keep, {})


@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(networks())
def test_random_networks_give_the_same_results(drawn: tuple[Images, list[str]]) -> None:
    s, outputs = drawn
    graph = s.graph(outputs)
    after = simplify(graph, frozenset(outputs))
    given = list(s.inputs.values())
    assert_close(results(after, outputs, given), results(graph, outputs, given), outputs)
    assert len(after.nodes) <= len(graph.nodes)
    again = simplify(after, frozenset(outputs))
    assert len(again.nodes) == len(after.nodes)


def test_what_one_pass_leaves_the_next_one_finds() -> None:
    nodes = [
        node("Transpose", ["x"], ["a"], perm=(1, 0)),
        node("Identity", ["a"], ["b"]),
        node("Transpose", ["b"], ["c"], perm=(1, 0)),
        node("Exp", ["x"], ["d"]),
        node("Exp", ["c"], ["e"]),
        node("Sub", ["d", "e"], ["y"]),
    ]
    after = simplify(made(nodes, ["x"], ["y"]), frozenset(["y"]))
    assert [(n.op_type, n.inputs) for n in after.nodes] == [("Exp", ("x",)), ("Sub", ("d", "d"))]
