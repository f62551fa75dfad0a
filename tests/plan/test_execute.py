"""Running a plan: what is kept and freed, what subgraphs see, what comes out, and what an error says."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest
from onnx import parser

from onnxlite.errors import InvalidGraph, OnnxliteError, RuntimeException
from onnxlite.kernels.op import KernelTable
from onnxlite.model import Graph, load_model
from onnxlite.passes.prepare import prepare
from onnxlite.plan import Binding, Plan, bind, execute, run_plan
from onnxlite.providers import Provider, TableProvider

X = np.array([1.0, -2.0], np.float32)


def reference() -> Provider:
    from onnxlite.kernels.numpy import REFERENCE

    return TableProvider("reference", (REFERENCE,))


def bound(text: str, *tables: KernelTable, **more: Any) -> Plan:
    proto = parser.parse_model(f'<ir_version: 10, opset_import: ["": 17, "mine": 1]> {text}')
    providers = [TableProvider("mine", tables), reference()]
    graph: Graph = prepare(load_model(proto), providers)
    return bind(graph, [value.name for value in graph.outputs], Binding(providers, **more))


def run(text: str, *inputs: Any) -> list[Any]:
    return run_plan(bound(text), inputs)


def test_values_are_gone_after_their_last_use() -> None:
    table, alive, kept = KernelTable(), [], []

    @table.op("Make", domain="mine")
    def make(x: np.ndarray) -> np.ndarray:
        made = x + 1
        kept.append(weakref.ref(made))
        return made

    @table.op("Count", domain="mine")
    def count(x: np.ndarray) -> np.ndarray:
        gc.collect()
        alive.append(sum(reference() is not None for reference in kept))
        return x

    plan = bound(
        """g (float[2] x) => (float[2] y) {
            a = mine.Make (x)  b = mine.Make (a)  c = mine.Count (b)  d = mine.Make (b)  e = mine.Count (d)
            y = Add (c, e) }""",
        table,
    )
    execute(plan, [X])
    # At the first count ``a`` is gone, at the second one ``b`` lives on as ``c``.
    assert alive == [1, 2]


def test_freed_slots_are_none_when_the_next_step_runs() -> None:
    plan = bound("g (float[2] x) => (float[2] y) { a = Abs (x)  b = Exp (a)  c = Neg (b)  y = Sqrt (b) }")
    freed = [slot for step in plan.steps for slot in step.free]
    assert [plan.names[slot] for slot in freed] == ["x", "a", "b"]
    # A run starts from a copy of the template, which stays as it was.
    before = list(plan.template)
    execute(plan, [X])
    assert plan.template == before


def test_the_caller_s_arrays_and_constants_are_not_changed() -> None:
    text = "g (float[2] x) => (float[2] y) <float[2] w = {3, 4}> { t = Add (x, w)  y = Mul (t, w) }"
    plan, x = bound(text), X.copy()
    first, second = (run_plan(plan, [x])[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(x, X)


def test_an_output_may_be_an_input_a_constant_or_given_twice() -> None:
    plan = bound(
        "g (float[2] x) => (float[2] x, float[2] w, float[2] y, float[2] y) <float[2] w = {3, 4}> { y = Neg (x) }"
    )
    results = run_plan(plan, [X])
    for result, expected in zip(results, (X, [3, 4], -X, -X), strict=True):
        np.testing.assert_array_equal(result, expected)


def test_a_body_s_output_may_be_its_input_or_a_value_from_outside() -> None:
    text = """g (float[2] x, int64 n) => (float[2] y, float[n, 2] all) { a = Abs (x)
        y, all = Loop (n, , x) <body = b (int64 i, bool k, float[2] v) => (bool k, float[2] v, float[2] a) { }> }"""
    y, collected = run(text, X, np.array(3))
    np.testing.assert_array_equal(y, X)
    np.testing.assert_array_equal(collected, [np.abs(X)] * 3)


NESTED = """g (float[2] x, bool c, bool d) => (float[2] y) { a = Abs (x)
    y = If (c) <
        then_branch = t () => (float[2] p) { b = Neg (a)
            p = If (d) <
                then_branch = tt () => (float[2] r) { r = Add (b, x) },
                else_branch = te () => (float[2] s) { s = Mul (a, x) }> },
        else_branch = e () => (float[2] q) { q = Identity (a) }> }"""


@pytest.mark.parametrize(
    ("c", "d", "expected"), [(True, True, -np.abs(X) + X), (True, False, np.abs(X) * X), (False, True, np.abs(X))]
)
def test_bodies_in_bodies_see_the_values_of_all_graphs_around_them(c: bool, d: bool, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(run(NESTED, X, np.array(c), np.array(d))[0], expected)


def test_a_captured_value_lives_until_the_body_has_run() -> None:
    text = """g (float[2] x, int64 n) => (float[2] y) { a = Abs (x)
        y = Loop (n, , x) <body = b (int64 i, bool k, float[2] v) => (bool k2, float[2] v2) {
            k2 = Identity (k)  t = Add (v, a)  v2 = Neg (t) }> }"""
    plan = bound(text)
    loop = plan.steps[-1]
    assert plan.names.index("a") in loop.free
    expected = X
    for _ in range(3):
        expected = -(expected + np.abs(X))
    np.testing.assert_array_equal(run_plan(plan, [X, np.array(3)])[0], expected)


def test_sibling_bodies_may_use_the_same_names() -> None:
    text = """g (float[2] x, bool c) => (float[2] y) {
        y = If (c) <then_branch = t () => (float[2] r) { u = Exp (x)  r = Neg (u) },
                    else_branch = e () => (float[2] r) { u = Abs (x)  r = Sqrt (u) }> }"""
    np.testing.assert_allclose(run(text, X, np.array(True))[0], -np.exp(X), rtol=1e-6)
    np.testing.assert_allclose(run(text, X, np.array(False))[0], np.sqrt(np.abs(X)), rtol=1e-6)


def test_only_the_taken_branch_runs() -> None:
    table, ran = KernelTable(), []

    @table.op("Note", domain="mine")
    def note(x: np.ndarray, *, name: str) -> np.ndarray:
        ran.append(name)
        return x

    plan = bound(
        """g (float[2] x, bool c) => (float[2] y) {
        y = If (c) <then_branch = t () => (float[2] p) { p = mine.Note <name = "then"> (x) },
                    else_branch = e () => (float[2] q) { q = mine.Note <name = "else"> (x) }> }""",
        table,
    )
    run_plan(plan, [X, np.array(False)])
    assert ran == ["else"]


def test_scalars_become_arrays_and_missing_outputs_none() -> None:
    table = KernelTable()

    @table.op("Two", domain="mine")
    def two(x: np.ndarray) -> tuple[Any, ...]:
        return x.sum(), x

    plan = bound("g (float[2] x) => (float y, float[2] z, float w) { y, z, w = mine.Two (x) }", table)
    y, z, w = run_plan(plan, [X])
    assert type(y) is np.ndarray
    assert y.shape == ()
    assert z is X
    assert w is None


def test_surplus_outputs_are_dropped() -> None:
    text = "g (float[3] x) => (float[2] y) <int64[1] k = {2}> { y = TopK (x, k) }"
    with pytest.raises(InvalidGraph, match="has 1 outputs, expected 2"):
        run(text, X)
    (y,) = run("g (float[2] x) => (float[2] y) { y = Dropout (x) }", X)
    np.testing.assert_array_equal(y, X)


def test_an_error_names_node_operator_inputs_and_kernel() -> None:
    text = "g (float[2] x, float[3] z) => (float[2] y) { [sum_of_both] y = Add (x, z) }"
    with pytest.raises(RuntimeException) as caught:
        run(text, X, np.zeros(3, np.float32))
    first, inputs, kernel = str(caught.value).splitlines()
    assert first.startswith("node 'sum_of_both' (Add, opset 17) failed: ")
    assert inputs == "  inputs: x: float[2], z: float[3]"
    assert kernel.startswith("  kernel: onnxlite.kernels.numpy.")
    assert kernel.endswith(" (reference)")
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_node_without_a_name_is_named_by_its_output() -> None:
    with pytest.raises(RuntimeException, match=r"node '-> y' \(Add, opset 17\)"):
        run("g (float[2] x, float[3] z) => (float[2] y) { y = Add (x, z) }", X, np.zeros(3, np.float32))


def test_an_error_in_a_body_tells_the_way_to_it() -> None:
    text = """g (float[2] x, float[3] z, bool c) => (float[2] y) {
        [choice] y = If (c) <then_branch = t () => (float[2] p) { [inner] p = Add (x, z) },
                             else_branch = e () => (float[2] q) { q = Neg (x) }> }"""
    with pytest.raises(RuntimeException, match=r"node 'inner' \(Add, opset 17\)") as caught:
        run(text, X, np.zeros(3, np.float32), np.array(True))
    assert any("node 'choice' (If)" in note for note in caught.value.__notes__)


def test_what_is_no_mistake_of_the_input_is_named_by_its_type() -> None:
    table = KernelTable()

    @table.op("Fails", domain="mine")
    def fails(x: np.ndarray) -> np.ndarray:
        raise ZeroDivisionError("nothing left")

    with pytest.raises(OnnxliteError, match="failed: ZeroDivisionError: nothing left"):
        run_plan(bound("g (float[2] x) => (float[2] y) { y = mine.Fails (x) }", table), [X])


def test_only_what_is_asked_for_runs() -> None:
    table, ran = KernelTable(), []

    @table.op("Note", domain="mine")
    def note(x: np.ndarray, *, name: str) -> np.ndarray:
        ran.append(name)
        return x

    plan = bound(
        """g (float[2] x) => (float[2] y) { y = mine.Note <name = "y"> (x)  z = mine.Note <name = "z"> (x) }""", table
    )
    run_plan(plan, [X])
    assert ran == ["y"]


def test_sequences_are_lists_that_are_not_changed() -> None:
    text = """g (seq(float[N]) s) => (seq(float[N]) t, int64 n) <float[2] w = {3, 4}> {
        n = SequenceLength (s)  t = SequenceInsert (s, w) }"""
    given = [X]
    t, n = run(text, given)
    assert n == 1
    assert [value.tolist() for value in t] == [[1, -2], [3, 4]]
    assert len(given) == 1
