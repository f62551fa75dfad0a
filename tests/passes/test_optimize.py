"""All passes together, and how sessions use them."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

import onnxlite
from onnxlite.kernels.numba.table import COMPILED
from onnxlite.kernels.op import Kernel
from onnxlite.model import Graph, Node, Value
from onnxlite.options import GraphOptimizationLevel
from onnxlite.passes.fuse_product import fuse_product
from onnxlite.passes.layout import channels_last
from onnxlite.passes.optimize import PASSES, optimize
from onnxlite.plan import Binding, bind, run_plan
from onnxlite.providers import Declined, Operator, create_provider

sys.path.append(str(Path(__file__).parents[1] / "graphs"))
from image_graphs import Images, assert_close, made, networks, node, operators, results
from program_graphs import reference

LEVELS = (0, 1, 2, 3, 99)
NOISE = np.random.default_rng(3)
PROVIDERS = [create_provider("CPUExecutionProvider", {}), reference()]


@dataclass(frozen=True)
class ImageKernels:
    """A provider of the compiled kernels for images with the channels last, and of no others."""

    name: str = "image kernels"

    def choose(self, operator: Operator) -> Kernel | Declined:
        kernel = COMPILED.find(operator.domain, operator.name, operator.version)
        return kernel if kernel is not None and operator.domain == "onnxlite" else Declined("no image")


IMAGE_KERNELS = ImageKernels()


def noise(*shape: int) -> Any:
    return NOISE.standard_normal(shape).astype(np.float32)


def quick(examples: int) -> Any:
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=checks)


def optimized(graph: Graph, outputs: Sequence[str], level: int = 99, outer: Any = None) -> Graph:
    return optimize(graph, outputs, level, PROVIDERS, outer)


@quick(150)
@given(networks(), st.sampled_from(LEVELS))
def test_random_networks_give_the_same_results(drawn: tuple[Images, list[str]], level: int) -> None:
    s, outputs = drawn
    given = list(s.inputs.values())
    after = optimized(s.graph(outputs), outputs, level)
    assert_close(results(after, outputs, given), [s.values[name] for name in outputs], outputs)


@quick(100)
@given(networks())
def test_random_networks_give_the_same_results_in_compiled_code(drawn: tuple[Images, list[str]]) -> None:
    s, outputs = drawn
    # Elementwise operators are left out: each group of them would be compiled for this test alone.
    graph = fuse_product(channels_last(s.graph(outputs), frozenset(outputs), {}), frozenset(outputs), {})
    plan = bind(graph, outputs, Binding([IMAGE_KERNELS, reference()], threads=2, wait_for_compiler=True))
    given = list(s.inputs.values())
    for _ in range(2):
        with np.errstate(all="ignore"):
            assert_close(run_plan(plan, given), [s.values[name] for name in outputs], outputs)


def block(name: str, x: str, channels: int, constants: dict[str, Any]) -> list[Node]:
    """A convolution, its normalization and its activation."""
    constants |= {f"{name}_w": noise(channels, channels, 3, 3), f"{name}_v": np.abs(noise(channels)) + 1}
    constants |= {f"{name}_{part}": noise(channels) for part in "sbm"}
    statistics = [f"{name}_{part}" for part in "sbmv"]
    return [
        node("Conv", [x, f"{name}_w"], [f"{name}_c"], pads=(1, 1, 1, 1)),
        node("BatchNormalization", [f"{name}_c", *statistics], [f"{name}_n"]),
        node("Relu", [f"{name}_n"], [f"{name}_r"]),
    ]


def network() -> Graph:
    constants: dict[str, Any] = {"half": np.float32(0.25)}
    nodes = [
        node("Mul", ["half", "half"], ["quarter"]),
        *block("one", "x", 4, constants),
        *block("two", "one_r", 4, constants)[:2],
        node("Add", ["two_n", "one_r"], ["sum"]),
        node("Relu", ["sum"], ["r"]),
        node("GlobalAveragePool", ["r"], ["p"]),
        node("Flatten", ["p"], ["f"]),
        node("Mul", ["f", "quarter"], ["y"]),
        node("Tanh", ["r"], ["unused"]),
    ]
    return made(nodes, ["x"], ["y"], constants)


X = noise(2, 4, 6, 5)


def test_levels_do_more_and_more() -> None:
    kinds = {level: operators(optimized(network(), ["y"], level)) for level in LEVELS}
    plain = {"Conv": 2, "BatchNormalization": 2, "Relu": 2, "Add": 1, "GlobalAveragePool": 1, "Flatten": 1, "Mul": 2}
    assert kinds[0] == {**plain, "Tanh": 1}
    folded = {"Conv": 2, "Relu": 2, "Add": 1, "GlobalAveragePool": 1, "Flatten": 1, "Mul": 1}
    assert kinds[1] == folded
    assert kinds[2]["BatchNormalization"] == 0
    assert kinds[2]["Conv"] == 2
    assert kinds[99] == {"onnxlite.Conv": 2, "ReduceMean": 1, "Transpose": 2, "Flatten": 1, "Mul": 1}
    assert kinds[3] == kinds[99]


@pytest.mark.parametrize("level", LEVELS)
def test_every_level_gives_the_same_results(level: int) -> None:
    graph = network()
    for outputs in (["y"], ["one_c", "y"], ["two_n", "half"], ["r", "quarter", "x"]):
        after = optimized(graph, outputs, level)
        assert_close(results(after, outputs, [X]), results(graph, outputs, [X]), outputs)


def test_without_compiled_kernels_the_graph_stays_as_it_is() -> None:
    graph = network()
    assert optimize(graph, ["y"], 99, [reference()]) is graph


def test_initializers_that_nobody_reads_any_more_are_dropped() -> None:
    after = optimized(network(), ["y"])
    read = {name for n in after.nodes for name in n.inputs}
    assert set(after.initializers) <= read
    assert "half" not in after.initializers
    assert "half" in optimized(network(), ["half"]).initializers


def branches(*nodes: Node, constants: dict[str, Any] | None = None) -> Graph:
    """A condition one branch of which holds the nodes, which read x, w, v and b and give y."""
    then = Graph("then", (), (Value("y"),), nodes, constants or {})
    otherwise = Graph("else", (), (Value("z"),), (node("Identity", ["x"], ["z"]),))
    top = node("If", ["yes"], ["result"], then_branch=then, else_branch=otherwise)
    return made([top], ["x", "yes"], ["result"], {"w": noise(4, 4, 1, 1), "v": noise(4, 1, 1), "b": noise(4)})


def test_subgraphs_are_rewritten_with_the_constants_around_them() -> None:
    nodes = [
        node("Neg", ["w"], ["u"]),
        node("Conv", ["x", "u", "b"], ["c"]),
        node("Mul", ["c", "v"], ["d"]),
        node("Relu", ["d"], ["y"]),
    ]
    graph = branches(*nodes)
    after = optimized(graph, ["result"])
    then = after.nodes[0].attributes["then_branch"]
    assert operators(then) == {"Transpose": 2, "onnxlite.Conv": 1}
    for yes in (True, False):
        given = [X, np.array(yes)]
        assert_close(results(after, ["result"], given), results(graph, ["result"], given), ["result"])


def test_a_name_that_a_subgraph_uses_for_its_own_is_not_the_constant_around_it() -> None:
    """Names should be unique over all graphs of a model; where they are not, the inner one is meant."""
    body = Graph(
        "body",
        (Value("i"), Value("on"), Value("w")),
        (Value("on"), Value("next")),
        (
            node("Conv", ["x", "w"], ["c"]),
            node("ReduceSum", ["c"], ["s"], keepdims=0),
            node("Add", ["w", "s"], ["next"]),
        ),
    )
    nodes = [node("Loop", ["two", "", "start"], ["y"], body=body)]
    constants = {"two": np.int64(2), "w": noise(1, 4, 1, 1), "start": noise(1, 4, 1, 1)}
    graph = made(nodes, ["x"], ["y"], constants)
    after = optimized(graph, ["y"])
    assert_close(results(after, ["y"], [X]), results(graph, ["y"], [X]), ["y"])


def model(graph: Graph, shapes: dict[str, tuple[int, ...]], ir_version: int = 8) -> bytes:
    """A graph of plain nodes as a file."""
    nodes = [helper.make_node(n.op_type, n.inputs, n.outputs, name=n.name, **n.attributes) for n in graph.nodes]
    inputs = [helper.make_tensor_value_info(name, 1, shape) for name, shape in shapes.items()]
    outputs = [onnx.ValueInfoProto(name=value.name) for value in graph.outputs]
    initializers = [numpy_helper.from_array(array, name) for name, array in graph.initializers.items()]
    proto = helper.make_graph(nodes, "g", inputs, outputs, initializers)
    opset = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(proto, opset_imports=opset, ir_version=ir_version).SerializeToString())


@pytest.mark.parametrize("level", [*GraphOptimizationLevel])
def test_sessions_follow_the_level_and_give_any_value_by_its_name(level: GraphOptimizationLevel) -> None:
    graph = network()
    options = onnxlite.SessionOptions()
    options.graph_optimization_level = level
    session = onnxlite.InferenceSession(
        model(graph, {"x": ("N", 4, "H", "W")}), options, providers=["CPUExecutionProvider"]
    )
    assert sum(step.node.op_type == "Tanh" for step in session.plan.steps) == 0
    for shape in ((2, 4, 6, 5), (1, 4, 7, 7)):
        x = noise(*shape)
        names = ["one_c", "two_n", "sum", "y"]
        assert_close(session.run(names, {"x": x}), results(graph, names, [x]), names)
        assert_close(session.run(None, {"x": x}), results(graph, ["y"], [x]), ["y"])


def test_an_initializer_that_is_an_input_can_be_overridden() -> None:
    graph = network()
    session = onnxlite.InferenceSession(
        model(graph, {"x": (2, 4, 6, 5), "one_w": (4, 4, 3, 3), "half": ()}), providers=["CPUExecutionProvider"]
    )
    for changed in ({}, {"half": np.float32(3)}, {"one_w": noise(4, 4, 3, 3)}, {}):
        other = made(graph.nodes, ["x"], ["y"], {**graph.initializers, **changed})
        feeds = {"x": X, **{name: np.asarray(value) for name, value in changed.items()}}
        assert_close(session.run(None, feeds), results(other, ["y"], [X]), ["y"])


def test_a_constant_result_is_the_caller_s_to_write_to() -> None:
    graph = made([node("Mul", ["k", "k"], ["y"]), node("Relu", ["x"], ["z"])], ["x"], ["y", "z"], {"k": noise(3)})
    session = onnxlite.InferenceSession(model(graph, {"x": ("N",)}), providers=["CPUExecutionProvider"])
    for length in (1, 2, 2):
        y, _ = session.run(None, {"x": noise(length)})
        np.testing.assert_array_equal(y, graph.initializers["k"] ** 2)
        y[:] = 0


def test_a_pass_can_be_switched_off() -> None:
    nodes = [node("Conv", ["x", "w"], ["a"]), node("Relu", ["a"], ["y"])]
    graph = made(nodes, ["x"], ["y"], {"w": noise(4, 3, 3, 3)}, {"x": noise(1, 3, 8, 8)})
    names = [one.name for one in PASSES]
    assert len(set(names)) == len(names)
    for name, left in (("channels_last", {"Conv": 1}), ("fuse_product", {"Relu": 1})):
        on, off = (optimize(graph, ["y"], 99, PROVIDERS, None, frozenset(some)) for some in ((), (name,)))
        assert operators(on) == {"Transpose": 2, "onnxlite.Conv": 1}
        assert left.items() <= operators(off).items()
        unknown = frozenset(["ConstantFolding"])
        assert operators(optimize(graph, ["y"], 99, PROVIDERS, None, unknown)) == operators(on)
    assert operators(optimize(graph, ["y"], 99, PROVIDERS, None, frozenset(names))) == operators(graph)


def test_a_session_is_told_which_passes_do_not_run() -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["": 17]> g (float[2,3] x) => (float[2,3] y) { a = Exp(x) y = Neg(a) }"""
    )
    counts = []
    for disabled in (None, ["fuse_elementwise"]):
        session = onnxlite.InferenceSession(model, providers=["CPUExecutionProvider"], disabled_optimizers=disabled)
        counts.append(len(pickle.loads(pickle.dumps(session)).explain_placement()))
    assert counts == [1, 2]
