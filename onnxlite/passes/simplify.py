"""The passes that leave less to do without kernels of their own: what other passes look for stands out afterwards."""

from __future__ import annotations

from collections.abc import Mapping

from onnxlite.kernels.arrays import Array
from onnxlite.model.ir import Graph
from onnxlite.passes.chains import merge_chains
from onnxlite.passes.common import share_common
from onnxlite.passes.eliminate import eliminate
from onnxlite.passes.fold_padding import fold_padding


def simplify(graph: Graph, keep: frozenset[str], outer: Mapping[str, Array]) -> Graph:
    """The graph without nodes that do nothing, undo each other, repeat each other, or pad what is padded anyway.

    Args:
        graph: The graph, its nodes in order.
        keep: Names of values that must remain.
        outer: The initializers of the graphs around it.
    """
    graph = eliminate(graph, keep, outer)
    graph = merge_chains(graph, keep, outer)
    graph = share_common(graph, keep)
    return fold_padding(graph, keep, outer)
