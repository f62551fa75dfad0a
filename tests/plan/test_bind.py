"""Binding: which nodes become steps, with which kernel, over which slots; and what it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import parser

from onnxlite.errors import InvalidGraph, NotImplemented
from onnxlite.kernels.numpy import REFERENCE
from onnxlite.kernels.op import KernelTable
from onnxlite.model import Graph, Node, Value, load_model
from onnxlite.passes.prepare import prepare
from onnxlite.plan import Binding, Plan, bind, place, run_plan
from onnxlite.plan.plan import ABSENT, DISCARDED, FIRST
from onnxlite.providers import Declined, Operator, TableProvider

PROVIDERS = [TableProvider("reference", (REFERENCE,))]
X = np.array([1.0, -2.0], np.float32)


def graph_of(text: str, opset: int = 17) -> Graph:
    proto = parser.parse_model(f'<ir_version: 10, opset_import: ["": {opset}, "mine": 1]> {text}')
    return prepare(load_model(proto), PROVIDERS)


def bound(text: str, *outputs: str, providers: Any = None, opset: int = 17, **more: Any) -> Plan:
    graph = graph_of(text, opset)
    return bind(graph, outputs or [value.name for value in graph.outputs], Binding(providers or PROVIDERS, **more))


def operators(plan: Plan) -> list[str]:
    return [step.node.op_type for step in plan.steps]


CHAIN = (
    "g (float[2] x) => (float[2] y, float[2] z) { a = Abs (x)  b = Neg (a)  c = Exp (x)  y = Add (b, x)  z = Sqrt (c) }"
)


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        (("y", "z"), ["Abs", "Neg", "Exp", "Add", "Sqrt"]),
        (("y",), ["Abs", "Neg", "Add"]),
        (("z",), ["Exp", "Sqrt"]),
        (("a",), ["Abs"]),
        (("x",), []),
        (("z", "a"), ["Abs", "Exp", "Sqrt"]),
    ],
)
def test_only_needed_nodes_become_steps(outputs: tuple[str, ...], expected: list[str]) -> None:
    plan = bound(CHAIN, *outputs)
    assert operators(plan) == expected
    assert len(run_plan(plan, [X])) == len(outputs)


def test_outputs_come_in_the_order_asked_for() -> None:
    first, second, third = run_plan(bound(CHAIN, "b", "x", "a"), [X])
    np.testing.assert_array_equal(first, -np.abs(X))
    np.testing.assert_array_equal(second, X)
    np.testing.assert_array_equal(third, np.abs(X))


def test_nodes_that_a_needed_body_reads_are_needed() -> None:
    plan = bound("""g (float[2] x, bool c) => (float[2] y) { a = Abs (x)  b = Neg (x)
        y = If (c) <then_branch = t () => (float[2] p) { p = Exp (a) },
                    else_branch = e () => (float[2] q) { q = Identity (x) }> }""")
    assert operators(plan) == ["Abs", "If"]


def test_every_slot_has_one_name_and_constants_are_in_the_template() -> None:
    plan = bound("g (float[2] x) => (float[2] y) <float[2] w = {3, 4}> { t = Mul (x, w)  y = Add (t, w) }")
    assert plan.names[FIRST:] == ("x", "w", "t", "y")
    assert [None if value is None else value.tolist() for value in plan.template] == [None] * 3 + [[3, 4]] + [None] * 2
    assert plan.inputs == (plan.names.index("x"),)
    assert plan.outputs == (plan.names.index("y"),)


def test_constant_nodes_are_constants() -> None:
    plan = bound("""g (float[2] x) => (float[2] y) { w = Constant <value = float[2] {3, 4}> ()  y = Mul (x, w) }""")
    assert operators(plan) == ["Mul"]
    np.testing.assert_array_equal(run_plan(plan, [X])[0], X * [3, 4])


def test_absent_inputs_read_the_slot_that_is_none_and_absent_outputs_write_the_one_nobody_reads() -> None:
    plan = bound("""g (float[2] x, float h) => (int64[1] i) <int64[1] k = {1}> {
        y = Clip (x, , h)  , i = TopK (y, k) }""")
    clip, top = plan.steps
    assert clip.inputs[1] == ABSENT
    assert isinstance(top.outputs, tuple)
    assert top.outputs[0] == DISCARDED
    assert run_plan(plan, [X, np.float32(0)])[0].tolist() == [0]


def test_an_initializer_with_the_name_of_an_input_gives_way_to_it() -> None:
    graph = Graph("g", (Value("x"),), (Value("y"),), (Node("Neg", ("x",), ("y",), opset=13),), {"x": X})
    np.testing.assert_array_equal(run_plan(bind(graph, ["y"], Binding(PROVIDERS)), [X + 1])[0], -X - 1)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.data())
def test_each_slot_is_freed_after_its_last_use_and_never_before(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 10))
    names = ["x", "w", *(f"n{i}" for i in range(count))]
    nodes = tuple(
        Node(
            "Sum",
            tuple(data.draw(st.lists(st.sampled_from(names[: i + 2]), min_size=1, max_size=3))),
            (f"n{i}",),
            opset=13,
        )
        for i in range(count)
    )
    outputs = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=3))
    graph = Graph("g", (Value("x"),), tuple(map(Value, outputs)), nodes, {"w": X})
    plan = bind(graph, outputs, Binding(PROVIDERS))
    freed: set[int] = set()
    for index, step in enumerate(plan.steps):
        assert freed.isdisjoint(step.inputs)
        freed.update(step.free)
        later = {slot for after in plan.steps[index + 1 :] for slot in after.inputs}
        touched = {*step.inputs, step.outputs}
        kept = {*plan.outputs, plan.names.index("w"), ABSENT, DISCARDED}
        assert set(step.free) == touched - later - kept


def test_providers_are_asked_in_order() -> None:
    mine, asked = KernelTable(), []

    @mine.op("Abs")
    def negated(x: np.ndarray) -> np.ndarray:
        return -np.abs(x)

    class Choosy:
        name = "choosy"

        def choose(self, operator: Operator) -> Declined:
            asked.append(operator)
            return Declined("not today")

    text = "g (float[2] x) => (float[2] y) { t = Abs (x)  y = Neg (t) }"
    plan = bound(text, providers=[Choosy(), TableProvider("mine", (mine,)), *PROVIDERS])
    assert [step.provider for step in plan.steps] == ["mine", "reference"]
    np.testing.assert_array_equal(run_plan(plan, [X])[0], np.abs(X))
    assert [str(operator) for operator in asked] == ["Abs-13", "Neg-13"]
    assert [str(kind) for kind in asked[1].input_types] == ["tensor(float)"]


def test_a_placement_tells_why_providers_declined() -> None:
    class Choosy:
        name = "choosy"

        def choose(self, operator: Operator) -> Declined:
            return Declined(f"{operator} is too hard")

    node = Node("Abs", ("x",), ("y",), name="first", opset=17)
    placement = place(node, (None,), [Choosy(), *PROVIDERS])
    assert str(placement).startswith("first (Abs-13) -> reference: ")
    assert str(placement).endswith("; choosy declined: Abs-13 is too hard")


@pytest.mark.parametrize(("opset", "version"), [(1, 1), (12, 11), (13, 13), (17, 13)])
def test_the_opset_decides_which_kernel_serves(opset: int, version: int) -> None:
    (step,) = bound("g (float[2] x) => (float[2] y) { y = Softmax (x) }", opset=opset).steps
    assert step.kernel is REFERENCE.find("", "Softmax", version)
    assert step.kernel.serves(version)


@pytest.mark.parametrize(
    ("nodes", "error", "message"),
    [
        ("y = mine.Strange (x)", NotImplemented, r"'-> y': mine.Strange \(opset 1\) is not implemented .*register it"),
        ("[n] y = Elu <beta = 1.0> (x)", InvalidGraph, r"node 'n' \(Elu, opset 17\) has the attribute 'beta'"),
        ("y = Cast (x)", InvalidGraph, "lacks the required attribute 'to'"),
        ("y = Elu <alpha = 1> (x)", InvalidGraph, "attribute 'alpha' is int 1, expected a float"),
        ('y = Concat <axis = "0"> (x, x)', InvalidGraph, "attribute 'axis' is str '0', expected an integer"),
        ("y = Transpose <perm = 0> (x)", InvalidGraph, "attribute 'perm' is int 0, expected a list of integers"),
        ("y = Add (x)", InvalidGraph, "has 1 inputs, expected 2"),
        ("y = Neg (x, x)", InvalidGraph, "has 2 inputs, expected 1"),
        ("y = Clip (x, x, x, x)", InvalidGraph, "has 4 inputs, expected 1 to 3"),
        ("y, z = Neg (x)", InvalidGraph, "has 2 outputs, expected 1"),
        ("y = Concat <axis = 0> ()", InvalidGraph, "has 0 inputs, expected 1 or more"),
    ],
)
def test_nodes_that_do_not_fit_their_operator_are_refused(nodes: str, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        bound(f"g (float[2] x) => (float[2] y) {{ {nodes} }}")


def test_a_node_that_nobody_needs_may_be_unknown() -> None:
    plan = bound("g (float[2] x) => (float[2] y, float[2] z) { y = Neg (x)  z = mine.Strange (x) }", "y")
    assert operators(plan) == ["Neg"]


def test_an_opset_of_the_future_is_refused_with_advice() -> None:
    with pytest.raises(NotImplemented, match=r"the model imports version 9999 .*install a newer onnx"):
        bound("g (float[2] x) => (float[2] y) { y = Neg (x) }", opset=9999)


def test_hooks_wrap_every_step_in_bodies_too() -> None:
    seen: list[str] = []

    def wrap(node: Node, call: Any) -> Any:
        def wrapped(*arguments: Any) -> Any:
            seen.append(node.op_type)
            return call(*arguments)

        return wrapped

    plan = bound(
        """g (float[2] x, bool c) => (float[2] y) { a = Abs (x)
        y = If (c) <then_branch = t () => (float[2] p) { p = Exp (a) },
                    else_branch = e () => (float[2] q) { q = Identity (x) }> }""",
        wrap=wrap,
    )
    run_plan(plan, [X, np.array(True)])
    assert seen == ["Abs", "If", "Exp"]


RANDOM = (
    "g () => (float[4] y, float[4] z) {{ y = RandomNormal <shape = [4]{0}> ()  z = RandomNormal <shape = [4]{0}> () }}"
)


def test_seeds_make_random_nodes_repeat() -> None:
    def drawn(text: str, seed: int) -> list[list[float]]:
        plan = bound(text, seeds=np.random.SeedSequence(seed))
        return [value.tolist() for _ in range(2) for value in run_plan(plan, [])]

    free, fixed = RANDOM.format(""), RANDOM.format(", seed = 1.0")
    assert drawn(free, 1) == drawn(free, 1)
    assert drawn(free, 1) != drawn(free, 2)
    first, second, *later = drawn(free, 1)
    assert first != second
    assert later != [first, second]
    assert drawn(fixed, 1) == drawn(fixed, 2)


def test_plans_print_as_text_beside_the_run() -> None:
    plan = bound("""g (float[2] x, bool c) => (float[2] y) { a = Abs (x)
        y = If (c) <then_branch = t () => (float[2] p) { p = Exp (a) },
                    else_branch = e () => (float[2] q) { q = Identity (x) }> }""")
    lines = repr(plan).splitlines()
    assert lines[0].startswith("plan g(%2 = x, %3 = c): 2 steps")
    assert lines[1].startswith("  %4 = Abs(%2)   # reference: onnxlite.kernels.numpy.")
    assert [line.strip() for line in lines if "branch" in line] == ["then_branch:", "else_branch:"]
    assert lines[-1] == "  return %5 = y"


def test_what_a_body_takes_of_outer_initializers_it_holds_itself() -> None:
    plan = bound("""g (float[2] x, bool c) => (float[2] y) <float[2] w = {3, 4}> {
        y = If (c) <then_branch = t () => (float[2] p) { p = Mul (x, w) },
                    else_branch = e () => (float[2] q) { q = Neg (w) }> }""")
    bodies: Mapping[str, Plan] = dict(plan.steps[0].bodies)
    assert [bodies["then_branch"].names[slot] for slot in bodies["then_branch"].captured] == ["x"]
    assert bodies["else_branch"].captured == ()
    for condition, expected in ((True, X * [3, 4]), (False, [-3, -4])):
        np.testing.assert_array_equal(run_plan(plan, [X, np.array(condition)])[0], expected)
