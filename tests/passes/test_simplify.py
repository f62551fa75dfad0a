"""The passes that leave less to do, together, on random networks."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import HealthCheck, given, settings

from onnxlite.passes.simplify import simplify

sys.path.append(str(Path(__file__).parents[1] / "graphs"))
from image_graphs import Images, assert_close, made, networks, node, results


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
    after = simplify(graph, frozenset(outputs), {})
    given = list(s.inputs.values())
    assert_close(results(after, outputs, given), results(graph, outputs, given), outputs)
    assert len(after.nodes) <= len(graph.nodes)
    again = simplify(after, frozenset(outputs), {})
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
    after = simplify(made(nodes, ["x"], ["y"]), frozenset(["y"]), {})
    assert [(n.op_type, n.inputs) for n in after.nodes] == [("Exp", ("x",)), ("Sub", ("d", "d"))]
