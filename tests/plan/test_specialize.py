"""Programs: plans for one set of input shapes give what the plan gives, run after run, in whatever threads."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onnxlite.errors import OnnxliteError, RuntimeException
from onnxlite.kernels.numba.spec import ArraySpec, Bound, Declined, Input, Output, View
from onnxlite.kernels.op import KernelTable
from onnxlite.model import Graph, Node, Value
from onnxlite.plan import Binding, Plan, bind, execute, run_plan, specialize
from onnxlite.plan.program import Alias, Buffer, Constant, Dynamic, Program
from onnxlite.plan.specialize import Programs
from onnxlite.providers import TableProvider

sys.path.append(str(Path(__file__).parents[1] / "graphs"))
from program_graphs import OPSET, Sketch, negate, numbers, providers, reference, sketches

SETTINGS = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)


def node(op: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> Node:
    return Node(op, tuple(inputs), tuple(outputs), name=f"the {op}", opset=OPSET, attributes=attributes)


def planned(
    nodes: Sequence[Node],
    inputs: Sequence[str],
    outputs: Sequence[str],
    constants: dict[str, Any] | None = None,
    tables: Sequence[KernelTable] = (),
    threads: int = 1,
) -> Plan:
    graph = Graph(
        "g",
        tuple(map(Value, inputs)),
        tuple(map(Value, outputs)),
        tuple(nodes),
        constants or {},
    )
    chain = [TableProvider("own", tuple(tables)), *providers()]
    plan = bind(graph, outputs, Binding(chain, threads=threads, wait_for_compiler=True))
    assert plan.programs is not None
    return plan


def programs(plan: Plan) -> list[Program]:
    assert isinstance(plan.programs, Programs)
    return plan.programs.programs()


def same(actual: Sequence[Any], expected: Sequence[Any]) -> None:
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected, strict=True):
        if isinstance(other, list):
            same(one, other)
        elif isinstance(other, np.ndarray):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other, strict=True)
        else:
            assert one is other


def outcome(run: Callable[[], list[Any]]) -> list[Any] | str:
    try:
        with np.errstate(all="ignore"):
            return run()
    except OnnxliteError as error:
        return str(error)


def agree(plan: Plan, inputs: list[Any]) -> None:
    """Assert that the program does what the plan does, be it an error."""
    expected = outcome(lambda: execute(plan, inputs))
    actual = outcome(lambda: run_plan(plan, inputs))
    if isinstance(expected, str):
        assert actual == expected
    else:
        assert not isinstance(actual, str), actual
        same(actual, expected)


@SETTINGS
@given(sketches(), st.sampled_from([1, 2]))
def test_programs_give_the_plan_s_results(drawn: tuple[Sketch, list[str]], threads: int) -> None:
    sketch, outputs = drawn
    plan = sketch.plan(outputs, threads=threads)
    given = list(sketch.inputs.values())
    # The first run makes the program, the others use it: with other numbers, and with these again.
    for seed in range(4):
        inputs = given if seed in (0, 3) else [numbers(x.shape, 10 * seed + i) for i, x in enumerate(given)]
        agree(plan, inputs)


@SETTINGS
@given(sketches(), st.lists(st.integers(0, 4), min_size=2, max_size=8))
def test_shapes_may_come_and_go(drawn: tuple[Sketch, list[str]], lengths: list[int]) -> None:
    sketch, outputs = drawn
    plan = sketch.plan(outputs)
    given = list(sketch.inputs.values())
    for length in lengths:
        agree(plan, [numbers((length, *x.shape[1:]), length) if x.ndim else x for x in given])


@SETTINGS
@given(sketches())
def test_results_are_the_caller_s_own(drawn: tuple[Sketch, list[str]]) -> None:
    sketch, outputs = drawn
    plan = sketch.plan(outputs)
    given = list(sketch.inputs.values())
    other = [numbers(x.shape, 50 + i) for i, x in enumerate(given)]
    if isinstance(outcome(lambda: execute(plan, given)), str) or isinstance(outcome(lambda: execute(plan, other)), str):
        return
    earlier = []
    for inputs in (given, other, given):
        copies = [x.copy() for x in inputs]
        results = run_plan(plan, inputs)
        same(inputs, copies)
        earlier.append((results, [np.copy(result) for result in results]))
        for kept, copy in earlier:
            same(kept, copy)


def test_what_depends_on_shapes_alone_is_computed_once() -> None:
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "order"], ["turned"]),
        node("Concat", ["turned", "one"], ["target"], axis=0),
        node("Neg", ["x"], ["y"]),
        node("Reshape", ["y", "target"], ["z"]),
    ]
    plan = planned(nodes, ["x"], ["z", "target"], {"order": np.array([1, 0]), "one": np.array([1])})
    for seed in range(2):
        x = numbers((2, 3), seed)
        same(run_plan(plan, [x]), [-x.reshape(3, 2, 1), np.array([3, 2, 1])])
    (program,) = programs(plan)
    assert [command.step.node.op_type for command in program.commands] == ["Neg"]
    kinds = {plan.names[slot]: type(storage) for slot, storage in program.storage.items() if slot < len(plan.names)}
    assert (kinds["x"], kinds["target"], kinds["y"], kinds["z"]) == (Buffer, Constant, Buffer, Alias)


def test_compiled_kernels_are_called_and_what_they_decline_goes_to_the_reference() -> None:
    plan = planned([node("Neg", ["x"], ["y"])], ["x"], ["y"])
    for dtype in (np.float32, np.float64, np.int32):
        x = np.array([1, -2], dtype)
        for _ in range(2):
            same(run_plan(plan, [x]), [-x])
    assert [program.commands[0].bound is not None for program in programs(plan)] == [True, False, False]


def test_values_share_the_arena_when_their_lives_do_not_meet() -> None:
    nodes = [node("Neg", [f"v{i}"], [f"v{i + 1}"]) for i in range(10)]
    plan = planned(nodes, ["v0"], ["v10"])
    x = numbers((1000,), 0)
    same(run_plan(plan, [x]), [x])
    (program,) = programs(plan)
    assert program.arena_size <= 2 * 4032
    same(run_plan(plan, [2 * x]), [2 * x])


def test_only_so_many_programs_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(specialize, "_MAX_PROGRAMS", 3)
    plan = planned([node("Neg", ["x"], ["y"])], ["x"], ["y"])
    for length in (1, 2, 3, 1, 4, 5, 1):
        x = numbers((length,), length)
        same(run_plan(plan, [x]), [-x])
        assert len(programs(plan)) <= 3
    # The least recently used ones have gone.
    assert [program.storage[program.inputs[0]].shape for program in programs(plan)] == [(4,), (5,), (1,)]  # type: ignore[union-attr]


def test_steps_whose_shapes_stay_are_bound_once() -> None:
    asked: list[tuple[int, ...]] = []
    table = KernelTable(builders=True)

    @table.op("Neg", since=1)
    def neg(x: ArraySpec) -> Bound | Declined:
        asked.append(x.shape)
        return Bound(negate, (Input(0, flat=True), Output(flat=True)), (ArraySpec(x.shape, x.dtype),))

    nodes = [node("Neg", ["x"], ["a"]), node("Neg", ["y"], ["b"])]
    graph = Graph("g", (Value("x"), Value("y")), (Value("a"), Value("b")), tuple(nodes))
    plan = bind(graph, ["a", "b"], Binding([TableProvider("compiled", (table,)), reference()]))
    for length in range(1, 9):
        x, y = numbers((length,), length), numbers((3, 2), length)
        same(run_plan(plan, [x, y]), [-x, -y])
    assert asked == [(1,), (3, 2), *((length,) for length in range(2, 9))]


def test_outputs_that_are_inputs_constants_views_and_duplicates() -> None:
    nodes = [
        node("Neg", ["x"], ["y"]),
        node("Reshape", ["y", "flat"], ["z"]),
        node("Identity", ["x"], ["same"]),
        node("Reshape", ["w", "flat"], ["v"]),
    ]
    constants = {"w": np.arange(4, dtype=np.float32).reshape(2, 2), "flat": np.array([-1])}
    outputs = ["x", "y", "z", "y", "same", "w", "v", "x"]
    plan = planned(nodes, ["x"], outputs, constants)
    for seed in range(3):
        x = numbers((2, 2), seed)
        w = constants["w"]
        same(run_plan(plan, [x]), [x, -x, -x.ravel(), -x, x, w, w.ravel(), x])
    results = run_plan(plan, [numbers((2, 2), 5)])
    computed = [result for result, name in zip(results, outputs, strict=True) if name not in ("w", "v")]
    for i, one in enumerate(computed):
        assert not any(np.shares_memory(one, other) for other in computed[:i])


def test_outputs_that_a_node_leaves_out_do_not_meet() -> None:
    nodes = [
        node("Split", ["x"], ["", "b"], num_outputs=2),
        node("Split", ["y"], ["c", ""], num_outputs=2),
        node("TopK", ["b", "one"], ["", "index"]),
        node("TopK", ["c", "one"], ["most", ""]),
        node("Dropout", ["most"], ["kept", ""]),
    ]
    plan = planned(nodes, ["x", "y"], ["b", "c", "index", "kept"], {"one": np.array([1])})
    for seed in range(3):
        x, y = numbers((4, 3), seed), numbers((6,), seed + 1)
        same(run_plan(plan, [x, y]), execute(plan, [x, y]))
    kinds = [(c.step.node.op_type, c.bound is not None) for c in programs(plan)[0].commands]
    assert kinds == [("Split", True), ("Split", True), ("TopK", False), ("TopK", False)]


def test_a_mask_that_the_compiled_kernel_does_not_give_comes_from_the_reference() -> None:
    plan = planned([node("Dropout", ["x"], ["y", "mask"])], ["x"], ["y", "mask"])
    for seed in range(2):
        x = numbers((3,), seed)
        same(run_plan(plan, [x]), [x, np.ones(3, bool)])


def test_optional_inputs_may_be_absent_and_the_kinds_of_inputs_may_change() -> None:
    nodes = [node("OptionalHasElement", ["x"], ["has"]), node("Neg", ["y"], ["z"])]
    plan = planned(nodes, ["x", "y"], ["has", "z"])
    y = numbers((2,), 0)
    for x, has in ((None, False), ([y], True), (y, True), (None, False), (np.array(["a"], object), True)):
        for _ in range(2):
            same(run_plan(plan, [x, y]), [np.array(has), -y])


FEEDS: dict[str, Callable[[Any], Any]] = {
    "plain": lambda x: x,
    "read-only": lambda x: _read_only(x.copy()),
    "every other column": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "columns first": np.asfortranarray,
    "backwards": lambda x: x[::-1].copy()[::-1],
    "unaligned": lambda x: _unaligned(x),
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "broadcast": lambda x: np.broadcast_to(x[:1], x.shape),
}


def _read_only(x: Any) -> Any:
    x.flags.writeable = False
    return x


def _unaligned(x: Any) -> Any:
    memory = np.empty(x.nbytes + 1, np.uint8)
    shifted = memory[1:].view(x.dtype).reshape(x.shape)
    shifted[:] = x
    return shifted


@pytest.mark.parametrize("order", [sorted(FEEDS), sorted(FEEDS, reverse=True)], ids=["one way", "the other way"])
def test_feeds_of_every_layout(order: list[str]) -> None:
    nodes = [
        node("Neg", ["x"], ["y"]),
        node("Transpose", ["y"], ["t"], perm=(1, 0)),
        node("Neg", ["t"], ["z"]),
        node("Reshape", ["x", "flat"], ["v"]),
        node("Mul", ["x", "y"], ["p"]),
    ]
    plan = planned(nodes, ["x"], ["z", "v", "p", "x"], {"flat": np.array([-1])}, threads=2)
    for name in order:
        for seed in range(2):
            x = FEEDS[name](numbers((3, 4), seed))
            z, v, p, same_x = run_plan(plan, [x])
            for actual, expected in ((z, x.T), (v, x.reshape(-1)), (p, -x * x), (same_x, x)):
                np.testing.assert_array_equal(actual, expected, err_msg=name)


def test_the_layout_of_a_feed_is_no_reason_to_compile_again() -> None:
    plan = planned([node("Neg", ["x"], ["y"])], ["x"], ["y"])
    run_plan(plan, [numbers((3, 4), 0)])
    signatures = list(negate.signatures)
    for rows, name in enumerate(sorted(set(FEEDS) - {"big-endian"}), start=2):
        x = FEEDS[name](numbers((rows, 4), rows))
        np.testing.assert_array_equal(run_plan(plan, [x])[0], -x)
    assert negate.signatures == signatures


@pytest.mark.parametrize("shape", [(), (0,), (1,), (0, 3), (2, 0), (4, 0, 2), (1, 1, 1)])
def test_empty_arrays_single_numbers_and_empty_batches(shape: tuple[int, ...]) -> None:
    nodes = [
        node("Neg", ["x"], ["y"]),
        node("Mul", ["y", "x"], ["z"]),
        node("Unsqueeze", ["z", "zero"], ["u"]),
        node("Concat", ["u", "u"], ["c"], axis=0),
        node("ReduceSum", ["c"], ["s"], keepdims=0),
    ]
    plan = planned(nodes, ["x"], ["y", "z", "u", "c", "s"], {"zero": np.array([0])}, threads=2)
    for seed in range(3):
        x = numbers(shape, seed)
        same(run_plan(plan, [x]), execute(plan, [x]))


def test_constants_in_any_layout_are_handed_to_compiled_code_as_it_wants_them() -> None:
    seen: list[ArraySpec] = []
    table = KernelTable(builders=True)

    @table.op("Add", since=14)
    def add(x: ArraySpec, w: ArraySpec) -> Declined:
        seen.append(w)
        return Declined("only looking")

    w = np.arange(6, dtype=np.float32).reshape(2, 3).T
    plan = planned([node("Add", ["x", "w"], ["y"])], ["x"], ["y"], {"w": w}, [table])
    for rows in (1, 3):
        x = numbers((rows, 2), rows)
        same(run_plan(plan, [x]), [x + w])
    for spec in seen:
        assert spec.value is not None
        assert spec.value.flags.c_contiguous
        assert not spec.value.flags.writeable
        np.testing.assert_array_equal(spec.value, w)
    # One copy serves all programs.
    assert seen[0].value is seen[1].value


def test_a_large_result_of_constants_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(specialize, "_MAX_FOLDED", 1000)
    nodes = [
        node("Expand", ["w", "large"], ["filled"]),
        node("Reshape", ["w2", "flat"], ["row"]),
        node("Neg", ["filled"], ["negative"]),
        node("Neg", ["row"], ["turned"]),
        node("Neg", ["x"], ["y"]),
    ]
    constants = {
        "w": np.float32(2).reshape(1),
        "large": np.array([50, 10]),
        "w2": np.full((40, 10), 3, np.float32),
        "flat": np.array([-1]),
    }
    plan = planned(nodes, ["x"], ["negative", "y", "turned"], constants)
    for seed in range(2):
        x = numbers((2,), seed)
        same(run_plan(plan, [x]), [np.full((50, 10), -2, np.float32), -x, np.full(400, -3, np.float32)])
    kinds = [command.step.node.op_type for command in programs(plan)[0].commands]
    assert kinds == ["Expand", "Neg", "Neg", "Neg"]


def test_random_operators_draw_anew_on_every_run() -> None:
    nodes = [
        node("RandomNormal", [], ["r"], shape=(50,)),
        node("RandomUniformLike", ["x"], ["u"]),
        node("Neg", ["r"], ["n"]),
    ]
    plan = planned(nodes, ["x"], ["r", "n", "u"])
    x = numbers((50,), 0)
    draws = [run_plan(plan, [x]) for _ in range(3)]
    for r, n, _ in draws:
        np.testing.assert_array_equal(r, -n)
    for index in (0, 2):
        assert not np.array_equal(draws[0][index], draws[1][index])
        assert not np.array_equal(draws[1][index], draws[2][index])


def test_threads_run_one_plan_at_once() -> None:
    nodes = [
        node("Neg", ["x"], ["y"]),
        node("Mul", ["y", "x"], ["z"]),
        node("NonZero", ["z"], ["i"]),
        node("Transpose", ["z"], ["t"], perm=(1, 0)),
        node("Neg", ["t"], ["u"]),
    ]
    plan = planned(nodes, ["x"], ["z", "i", "u"], threads=2)

    def work(seed: int) -> None:
        for run in range(40):
            x = numbers((2 + (seed + run) % 3, 40), 100 * seed + run)
            z = -x * x
            same(run_plan(plan, [x]), [z, np.array(np.nonzero(z)), np.ascontiguousarray(-z.T)])

    with ThreadPoolExecutor(4) as executor:
        list(executor.map(work, range(4)))
    assert len(programs(plan)) == 3


def test_a_failure_names_the_node_also_in_later_runs_and_leaves_the_program_usable() -> None:
    nodes = [node("Neg", ["x"], ["y"]), node("Gather", ["y", "i"], ["z"]), node("Neg", ["z"], ["u"])]
    plan = planned(nodes, ["x", "i"], ["u"])
    x = numbers((3,), 0)
    for index, good in ((7, False), (1, True), (8, False), (2, True)):
        inputs = [x, np.array([index])]
        if good:
            same(run_plan(plan, inputs), [x[[index]]])
        else:
            with pytest.raises(RuntimeException, match=r"node 'the Gather' \(Gather, opset 21\) failed"):
                run_plan(plan, inputs)


def test_a_builder_that_refuses_the_shapes_leaves_the_message_to_the_reference() -> None:
    plan = planned([node("Mul", ["x", "y"], ["z"])], ["x", "y"], ["z"])
    with pytest.raises(RuntimeException, match=r"node 'the Mul' \(Mul, opset 21\) failed.*\n.*\n.*numpy"):
        run_plan(plan, [numbers((2,), 0), numbers((3,), 0)])


def test_a_builder_that_breaks_is_located() -> None:
    table = KernelTable(builders=True)

    @table.op("Abs", since=13)
    def broken(x: ArraySpec) -> Bound:
        raise TypeError("a mistake")

    plan = planned([node("Abs", ["x"], ["y"])], ["x"], ["y"], tables=[table])
    with pytest.raises(RuntimeException, match=r"node 'the Abs' \(Abs, opset 21\) failed: TypeError: a mistake"):
        run_plan(plan, [numbers((2,), 0)])


def test_a_shape_that_changes_unexpectedly_is_an_error_and_never_wrong_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(specialize, "shaping_inputs", lambda node: ())
    plan = planned([node("Neg", ["x"], ["y"]), node("NonZero", ["y"], ["i"])], ["x"], ["i"])
    run_plan(plan, [np.array([1, 0, 1], np.float32)])
    with pytest.raises(RuntimeException, match=r"node 'the NonZero' \(NonZero\) gave the shape \(1, 2\)"):
        run_plan(plan, [np.array([1, 0, 0], np.float32)])


def test_values_that_only_a_run_knows_outlive_the_memory_that_they_showed() -> None:
    """A branch hands on a value that has a place in the arena; the place is used again before the value is."""
    then = Graph("then", (), (Value("a"),), (node("Identity", ["y"], ["a"]),))
    otherwise = Graph("else", (), (Value("b"),), (node("Abs", ["y"], ["b"]),))
    nodes = [
        node("Neg", ["x"], ["y"]),
        node("If", ["c"], ["taken"], then_branch=then, else_branch=otherwise),
        node("Mul", ["x", "x"], ["square"]),
        node("SequenceConstruct", ["square", "x"], ["s"]),
        node("Exp", ["x"], ["p"]),
        node("Tanh", ["p"], ["q"]),
        node("Tanh", ["q"], ["r"]),
        node("SequenceAt", ["s", "zero"], ["first"]),
    ]
    plan = planned(nodes, ["x", "c"], ["taken", "r", "s", "first"], {"zero": np.array(0)})
    earlier: list[tuple[list[Any], list[Any]]] = []
    for seed, flag in enumerate([True, True, False, True]):
        x = numbers((16,), seed)
        results = run_plan(plan, [x, np.array(flag)])
        square = x * x
        expected = [-x if flag else abs(x), np.tanh(np.tanh(np.exp(x))), [square, x], square]
        earlier.append((results, expected))
        for kept, values in earlier:
            same(kept, values)


def test_a_branch_that_the_shapes_decide_may_give_values_that_only_a_run_knows() -> None:
    then = Graph("then", (), (Value("d"), Value("e"), Value("d")), ())
    otherwise = Graph("else", (), (Value("e"), Value("d"), Value("e")), ())
    nodes = [
        node("NonZero", ["x"], ["d"]),
        node("NonZero", ["y"], ["e"]),
        node("Size", ["x"], ["size"]),
        node("Greater", ["size", "two"], ["large"]),
        node("If", ["large"], ["a", "b", "c"], then_branch=then, else_branch=otherwise),
        node("Neg", ["x"], ["z"]),
    ]
    plan = planned(nodes, ["x", "y"], ["a", "b", "c", "z"], {"two": np.array(2)})
    for length in (3, 2):
        for seed in range(3):
            inputs = [numbers((length,), seed), numbers((2,), 10 + seed)]
            same(run_plan(plan, inputs), execute(plan, inputs))


def test_a_program_at_rest_holds_no_values_of_a_run() -> None:
    table = KernelTable()
    made: list[Any] = []
    alive: list[int] = []

    @table.op("Make", domain="mine")
    def make(x: Any) -> Any:
        value = x + 1
        made.append(weakref.ref(value))
        return value

    @table.op("Count", domain="mine")
    def count(x: Any) -> Any:
        gc.collect()
        alive.append(sum(made_value() is not None for made_value in made))
        return x

    nodes = [
        node("Neg", ["x"], ["y"]),
        Node("Make", ("y",), ("a",), domain="mine"),
        Node("Make", ("a",), ("b",), domain="mine"),
        Node("Count", ("b",), ("c",), domain="mine"),
        Node("Make", ("c",), ("d",), domain="mine"),
    ]
    plan = planned(nodes, ["x"], ["d"], tables=[table])
    for _ in range(3):
        made.clear()
        run_plan(plan, [numbers((4,), 0)])
        gc.collect()
        assert [made_value() is not None for made_value in made] == [False, False, False]
    assert alive == [1, 1, 1]


def test_bodies_have_programs_of_their_own() -> None:
    body = Graph(
        "body",
        (Value("i"), Value("on"), Value("state")),
        (Value("on"), Value("next"), Value("row")),
        (node("Neg", ["state"], ["next"]), node("Mul", ["next", "y"], ["row"])),
    )
    nodes = [node("Neg", ["x"], ["y"]), node("Loop", ["n", "", "x"], ["last", "rows"], body=body)]
    plan = planned(nodes, ["x", "n"], ["last", "rows"], threads=2)
    for seed, count in ((0, 3), (1, 2), (2, 3)):
        x = numbers((5,), seed)
        states = [x * (-1) ** (k + 1) for k in range(count)]
        same(run_plan(plan, [x, np.array(count)]), [states[-1], np.array([state * -x for state in states])])
    inner = plan.steps[1].bodies[0][1]
    assert len(programs(inner)) == 1
    assert [command.bound is not None for command in programs(inner)[0].commands] == [True, True]


def test_a_plan_without_compiled_kernels_has_no_programs() -> None:
    graph = Graph("g", (Value("x"),), (Value("y"),), (node("Abs", ["x"], ["y"]),))
    assert bind(graph, ["y"], Binding([reference()])).programs is None


def test_hooks_see_every_step() -> None:
    graph = Graph("g", (Value("x"),), (Value("y"),), (node("Neg", ["x"], ["y"]),))
    seen: list[str] = []

    def wrap(node: Node, call: Any) -> Any:
        def wrapped(*arguments: Any) -> Any:
            seen.append(node.op_type)
            return call(*arguments)

        return wrapped

    plan = bind(graph, ["y"], Binding(providers(), wrap=wrap))
    for _ in range(2):
        run_plan(plan, [numbers((2,), 0)])
    assert seen == ["Neg", "Neg"]


def test_what_a_program_knows_of_a_dynamic_value_is_nothing() -> None:
    nodes = [node("NonZero", ["x"], ["i"]), node("Transpose", ["i"], ["t"]), node("Neg", ["x"], ["y"])]
    plan = planned(nodes, ["x"], ["t", "y"])
    for numbers_given in ([1, 0, 1], [0, 0, 0], [1, 1, 1]):
        x = np.array(numbers_given, np.float32)
        same(run_plan(plan, [x]), [np.argwhere(x), -x])
    storage = programs(plan)[0].storage
    assert [type(storage[plan.names.index(name)]) for name in ("i", "t", "y")] == [Dynamic, Dynamic, Buffer]


def test_a_view_may_be_a_view_of_a_view() -> None:
    table = KernelTable(builders=True)

    @table.op("Flatten", since=13)
    def flatten(x: ArraySpec, *, axis: int = 1) -> View:
        return View((x.shape[0], x.size // x.shape[0]))

    nodes = [
        node("Neg", ["x"], ["y"]),
        node("Unsqueeze", ["y", "zero"], ["a"]),
        node("Squeeze", ["a", "zero"], ["b"]),
        node("Flatten", ["b"], ["c"]),
        node("Reshape", ["c", "flat"], ["d"]),
        node("Neg", ["d"], ["e"]),
    ]
    plan = planned(nodes, ["x"], ["d", "e", "a"], {"zero": np.array([0]), "flat": np.array([-1])}, [table])
    for seed in range(3):
        x = numbers((2, 3, 2), seed)
        same(run_plan(plan, [x]), [-x.ravel(), x.ravel(), -x[None]])
