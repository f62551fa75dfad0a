"""Control flow with Python functions as bodies; onnxruntime runs the same loops as graphs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from onnxlite.conformance.differential import assert_same, kernel_outputs, onnxruntime_outputs

quick = settings(max_examples=25, deadline=None, derandomize=True)


@dataclass
class Type:
    dtype: np.dtype[Any] | None
    shape: tuple[int | str | None, ...] | None


def declared(body: Callable[..., Any], *types: Type | None) -> Callable[..., Any]:
    body.output_types = types  # type: ignore[attr-defined]
    return body


def info(name: str, shape: Sequence[Any] | None, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def model(node: onnx.NodeProto, inputs: Sequence[onnx.ValueInfoProto], opset: int) -> onnx.ModelProto:
    outputs = [info(name, None) for name in node.output]
    graph = helper.make_graph([node], "control", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


@pytest.mark.parametrize("version", [1, 11, 13, 25])
@pytest.mark.parametrize("cond", [np.array(True), np.array([False]), np.bool_(True)])
def test_if_runs_only_the_branch_that_it_takes(version: int, cond: Any) -> None:
    def untaken() -> tuple[Any, ...]:
        raise AssertionError("this branch must not run")

    def taken() -> tuple[Any, ...]:
        return np.array(1.0), [np.array(2)]

    branches = {"then_branch": taken, "else_branch": untaken}
    if not cond:
        branches = {"then_branch": untaken, "else_branch": taken}
    assert_same(kernel_outputs("If", version, cond, **branches), (np.array(1.0), [np.array(2)]))


def test_if_needs_one_condition() -> None:
    with pytest.raises(ValueError, match=r"one element, got the shape \(2,\)"):
        kernel_outputs("If", 25, np.array([True, False]), then_branch=tuple, else_branch=tuple)


def fibonacci(iteration: Any, condition: Any, a: Any, b: Any) -> tuple[Any, ...]:
    return np.array(bool(a + b < 20)), b, a + b, a, np.array([iteration, a])


def loop_model(opset: int, trip_count: bool, cond: bool) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Add", ["a", "b"], ["sum"]),
        helper.make_node("Constant", [], ["limit"], value_float=20.0),
        helper.make_node("Less", ["sum", "limit"], ["go"]),
        helper.make_node("Identity", ["b"], ["b_out"]),
        helper.make_node("Identity", ["a"], ["a_out"]),
    ]
    body = helper.make_graph(
        nodes,
        "body",
        [info("i", [], TensorProto.INT64), info("c", [], TensorProto.BOOL), info("a", []), info("b", [])],
        [info("go", [], TensorProto.BOOL), info("b_out", []), info("sum", []), info("a_out", [])],
    )
    node = helper.make_node(
        "Loop", ["m" if trip_count else "", "k" if cond else "", "x", "y"], ["p", "q", "r"], body=body
    )
    inputs = [info("m", [], TensorProto.INT64)] * trip_count + [info("k", [], TensorProto.BOOL)] * cond
    return model(node, [*inputs, info("x", []), info("y", [])], opset)


@quick
@given(trip_count=st.one_of(st.none(), st.integers(-1, 9)), cond=st.booleans(), version=st.sampled_from([13, 16, 21]))
def test_loop_agrees_with_onnxruntime(trip_count: int | None, cond: bool, version: int) -> None:
    start = np.array(1, np.float32)
    limit = None if trip_count is None else np.array(trip_count, np.int64)
    expected = onnxruntime_outputs(loop_model(version, limit is not None, True), [limit, np.array(cond), start, start])

    def body(*inputs: Any) -> tuple[Any, ...]:
        return fibonacci(*inputs)[:4]

    flag = Type(np.dtype(np.bool_), ())
    number = Type(np.dtype(np.float32), ())
    actual = kernel_outputs(
        "Loop", version, limit, np.array(cond), start, start, body=declared(body, flag, *[number] * 3)
    )
    assert_same(list(actual), expected)


def test_loop_without_cond_runs_its_trip_count_whatever_the_body_says() -> None:
    # The specification's table of Loop: with input (trip_count, "") the body's condition is ignored.
    _, _, a, pairs = kernel_outputs("Loop", 13, np.array([10]), None, np.array(1), np.array(1), body=fibonacci)
    assert a.tolist() == [1, 1, 2, 3, 5, 8, 13, 21, 34, 55]
    assert pairs.shape == (10, 2)


def test_loop_without_any_limit_stops_on_the_bodys_condition() -> None:
    a, *_ = kernel_outputs("Loop", 13, None, None, np.array(1), np.array(1), body=fibonacci)
    assert a == 13


def test_loop_hands_the_iteration_and_the_condition_to_its_body() -> None:
    seen = []

    def body(iteration: Any, condition: Any) -> tuple[Any, ...]:
        seen.append((iteration.dtype, iteration.shape, int(iteration), bool(condition)))
        return (np.array(True),)

    assert kernel_outputs("Loop", 25, np.array(2, np.int64), np.array(True), body=body) == ()
    assert seen == [(np.int64, (), 0, True), (np.int64, (), 1, True)]


def test_loop_carries_sequences_and_optionals() -> None:
    def body(iteration: Any, condition: Any, sequence: list[Any], optional: Any) -> tuple[Any, ...]:
        return condition, [*sequence, iteration], iteration if optional is None else None

    sequence, optional = kernel_outputs("Loop", 16, np.array(3), np.array(True), [], None, body=body)
    assert_same(sequence, [np.array(0), np.array(1), np.array(2)])
    assert optional == 2


def test_loop_that_never_runs_gives_what_its_body_declares() -> None:
    types = (None, None, Type(np.dtype(np.int64), (2, "n", None)), Type(np.dtype(np.float64), None), None)
    state, *collected = kernel_outputs("Loop", 25, np.array(0), None, np.array(7), body=declared(lambda *_: (), *types))
    assert state == 7
    assert [(c.shape, c.dtype) for c in collected] == [((0, 2, 0, 0), np.int64), ((0,), np.float64), ((0,), np.float32)]


def test_loop_collects_tensors_of_one_shape() -> None:
    def growing(iteration: Any, condition: Any) -> tuple[Any, ...]:
        return condition, np.zeros(int(iteration))

    with pytest.raises(ValueError, match="one shape"):
        kernel_outputs("Loop", 13, np.array(2), None, body=growing)
    with pytest.raises(ValueError, match="must be tensors"):
        kernel_outputs("Loop", 13, np.array(2), None, body=lambda i, c: (c, [i]))


def running_sum(state: Any, x: Any, y: Any) -> tuple[Any, ...]:
    total = state + x + y
    return total, total, x - y


def scan_body(shape: Sequence[int]) -> onnx.GraphProto:
    nodes = [
        helper.make_node("Add", ["s", "x"], ["sx"]),
        helper.make_node("Add", ["sx", "y"], ["total"]),
        helper.make_node("Identity", ["total"], ["totals"]),
        helper.make_node("Sub", ["x", "y"], ["difference"]),
    ]
    inputs, outputs = ("s", "x", "y"), ("total", "totals", "difference")
    return helper.make_graph(nodes, "body", [info(n, shape) for n in inputs], [info(n, shape) for n in outputs])


@quick
@given(length=st.integers(1, 4), data=st.data(), version=st.sampled_from([9, 11, 16, 21]))
def test_scan_agrees_with_onnxruntime(length: int, data: st.DataObject, version: int) -> None:
    axis = st.sampled_from([0, 1, 2] if version == 9 else [0, 1, 2, -1, -3])
    direction = st.sampled_from([0, 1])
    options = {
        "scan_input_axes": data.draw(st.lists(axis, min_size=2, max_size=2)),
        "scan_input_directions": data.draw(st.lists(direction, min_size=2, max_size=2)),
        "scan_output_axes": data.draw(st.lists(axis, min_size=2, max_size=2)),
        "scan_output_directions": data.draw(st.lists(direction, min_size=2, max_size=2)),
    }
    attributes = {name: value for name, value in options.items() if data.draw(st.booleans())}
    rng = np.random.default_rng(0)
    state = rng.random((2, 3), dtype=np.float32)
    scanned = [
        np.moveaxis(rng.random((length, 2, 3), dtype=np.float32), 0, axis)
        for axis in attributes.get("scan_input_axes", (0, 0))
    ]
    inputs = [state, *scanned]
    node = helper.make_node(
        "Scan", ["s", "x", "y"], ["a", "b", "c"], body=scan_body((2, 3)), num_scan_inputs=2, **attributes
    )
    infos = [info(name, value.shape) for name, value in zip("sxy", inputs, strict=True)]
    expected = onnxruntime_outputs(model(node, infos, version), inputs)
    body = declared(lambda *values: running_sum(*values), *[Type(np.dtype(np.float32), (2, 3))] * 3)
    assert_same(list(kernel_outputs("Scan", version, *inputs, body=body, num_scan_inputs=2, **attributes)), expected)


@quick
@given(lengths=st.one_of(st.none(), st.lists(st.integers(0, 4), min_size=3, max_size=3)), reverse=st.booleans())
def test_scan_8_scans_every_sample_up_to_its_length(lengths: list[int] | None, reverse: bool) -> None:
    rng = np.random.default_rng(1)
    state = rng.random((3, 2), dtype=np.float32)
    x, y = rng.random((2, 3, 4, 2), dtype=np.float32)
    sequence_lens = None if lengths is None else np.array(lengths, np.int64)
    body = declared(lambda *values: running_sum(*values), *[Type(np.dtype(np.float32), (2,))] * 3)
    final, totals, differences = kernel_outputs(
        "Scan", 8, sequence_lens, state, x, y, body=body, num_scan_inputs=2, directions=(int(reverse), 0)
    )
    assert totals.shape == differences.shape == (3, 4, 2)
    for sample, n in enumerate(lengths or [4, 4, 4]):
        steps = x[sample, :n][::-1] if reverse else x[sample, :n]
        np.testing.assert_allclose(final[sample], state[sample] + (steps + y[sample, :n]).sum(axis=0), rtol=1e-5)
        expected = state[sample] + np.cumsum(steps + y[sample, :n], axis=0)
        np.testing.assert_allclose(totals[sample, :n], expected, rtol=1e-5)
        np.testing.assert_allclose(differences[sample, :n], steps - y[sample, :n], rtol=1e-5, atol=1e-7)


def test_scan_8_agrees_with_onnxruntime() -> None:
    rng = np.random.default_rng(2)
    inputs = [np.array([2, 4, 1]), rng.random((3, 2), np.float32), *rng.random((2, 3, 4, 2), np.float32)]
    node = helper.make_node(
        "Scan", ["n", "s", "x", "y"], ["a", "b", "c"], body=scan_body((2,)), num_scan_inputs=2, directions=[0, 0]
    )
    infos = [info("n", (3,), TensorProto.INT64), info("s", (3, 2)), info("x", (3, 4, 2)), info("y", (3, 4, 2))]
    expected = onnxruntime_outputs(model(node, infos, 8), inputs)
    actual = kernel_outputs("Scan", 8, *inputs, body=running_sum, num_scan_inputs=2)
    assert_same(list(actual), expected)


@pytest.mark.parametrize(("axes", "shape"), [((0, 0), (0, 5)), ((1, -1), (5, 0)), ((-2, 0), (0, 5))])
def test_scan_over_nothing_gives_what_its_body_declares(axes: tuple[int, int], shape: tuple[int, int]) -> None:
    types = [Type(np.dtype(np.float32), ()), Type(np.dtype(np.int64), (5,)), Type(np.dtype(np.float32), ("n",))]
    state, first, second = kernel_outputs(
        "Scan",
        25,
        np.float32(7),
        np.zeros((0, 2), np.float32),
        body=declared(lambda *_: (), *types),
        num_scan_inputs=1,
        scan_output_axes=axes,
    )
    assert state == 7
    assert_same(first, np.zeros(shape, np.int64))
    assert_same(second, np.zeros((0, 0), np.float32))


def test_scan_rejects_inputs_that_do_not_fit() -> None:
    x = np.zeros((3, 2), np.float32)
    with pytest.raises(ValueError, match="equally long"):
        kernel_outputs("Scan", 9, x[0], x, x[:2], body=running_sum, num_scan_inputs=2)
    with pytest.raises(ValueError, match="num_scan_inputs"):
        kernel_outputs("Scan", 9, x, body=running_sum, num_scan_inputs=2)
    with pytest.raises(ValueError, match="sequence_lens"):
        kernel_outputs("Scan", 8, np.array([3, 3, 3]), x[:, 0], x, body=running_sum, num_scan_inputs=1)


def test_sequence_map_zips_sequences_and_repeats_tensors() -> None:
    first, second = [np.array(1), np.array(2)], [np.array(10), np.array(20)]
    sums, products = kernel_outputs(
        "SequenceMap", 17, first, second, np.array(100), body=lambda a, b, c: (a + b + c, a * b), output_count=2
    )
    assert_same(sums, [np.int64(111), np.int64(122)])
    assert_same(products, [np.int64(10), np.int64(40)])
    assert kernel_outputs("SequenceMap", 17, [], np.array(1), body=lambda a, b: (a,), output_count=2) == ([], [])
    with pytest.raises(ValueError, match="2 elements each, got one with 1"):
        kernel_outputs("SequenceMap", 17, first, [np.array(1)], body=lambda a, b: (a,), output_count=1)
