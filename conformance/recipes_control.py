"""Examples of operators that pass values of any type on or state them: by graphs, by a constant, by their bits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import defs, helper, numpy_helper

from onnxlite.conformance.examples import Argument, Example, example
from onnxlite.conformance.kinds import code_of_kind, dtype_of_kind, split, type_proto
from onnxlite.conformance.recast import recast
from onnxlite.conformance.retype import tensor_proto
from onnxlite.kernels.dtypes import element_type

_NUMBERS = (np.arange(6).reshape(2, 3) / 4 - 0.5).astype(np.float32)
_OTHERS = (np.arange(4).reshape(4) / 2).astype(np.float32)


_BOOL = "tensor(bool)"


def _value(kind: str) -> Any:
    return recast([_NUMBERS, _OTHERS] if "seq" in kind else _NUMBERS, kind)


def _info(name: str, kind: str, shape: tuple[int, ...] | None = None) -> onnx.ValueInfoProto:
    return helper.make_value_info(name, type_proto(kind, shape))


def _allows(name: str, opset: int, kind: str) -> bool:
    schema = defs.get_schema(name, opset, "")
    return any(kind in constraint.allowed_type_strs for constraint in schema.type_constraints)


def _passed_on(source: str, target: str, kind: str, opset: int) -> onnx.NodeProto:
    """A node that gives its input on: Identity, or for types that it lacks in that opset, a loop of no round."""
    if _allows("Identity", opset, kind):
        return helper.make_node("Identity", [source], [target])
    inputs = [_info("i", "tensor(int64)", ()), _info("c", _BOOL, ()), _info("v", kind)]
    body = helper.make_graph([], "body", inputs, inputs[1:])
    return helper.make_node("Loop", ["", "never", source], [target], body=body)


def _outer(kind: str, opset: int, **values: Any) -> dict[str, Argument]:
    """The values from outside that a graph uses, with the condition of the loop of no round where there is one."""
    arguments = {name: Argument(kind, value) for name, value in values.items()}
    return arguments if _allows("Identity", opset, kind) else arguments | {"never": Argument(_BOOL, np.array(False))}


def _if(schema: Any, binding: Mapping[str, str], _: str) -> Example:
    """Both branches pass on a value from outside; the condition chooses the second."""
    kind, opset = binding["V"], schema.since_version
    chosen, other = _value(kind), recast([_OTHERS] if "seq" in kind else _NUMBERS + 1, kind)
    branches = {
        f"{branch}_branch": helper.make_graph([_passed_on(name, "r", kind, opset)], branch, [], [_info("r", kind)])
        for branch, name in (("then", "a"), ("else", "b"))
    }
    outer = _outer(kind, opset, a=other, b=chosen)
    return example("If", opset, [np.array(False)], [kind], expected=[chosen], outer=outer, **branches)


def _loop(schema: Any, binding: Mapping[str, str], _: str) -> Example:
    """Two rounds that pass on a value and collect it where it is a tensor; a sequence loses an element in a round."""
    kind, opset = binding["V"], schema.since_version
    value, is_tensor = _value(kind), kind.startswith("tensor")
    erases = kind.startswith("seq") and _allows("SequenceErase", opset, kind)
    nodes = [helper.make_node("Identity", ["cond_in"], ["cond_out"])]
    results = [_info("cond_out", _BOOL, ()), _info("v_out", kind)]
    if erases:
        nodes.append(helper.make_node("SequenceErase", ["v_in"], ["v_out"]))
    else:
        nodes.append(_passed_on("v_in", "v_out", kind, opset))
    if is_tensor:
        nodes.append(_passed_on("v_in", "scanned", kind, opset))
        results.append(_info("scanned", kind))
    inputs = [_info("i", "tensor(int64)", ()), _info("cond_in", _BOOL, ()), _info("v_in", kind)]
    body = helper.make_graph(nodes, "body", inputs, results)
    expected = [value[:0] if erases else value, *([np.stack([value, value])] if is_tensor else [])]
    arguments = [np.array(2, np.int64), np.array(True), Argument(kind, value)]
    outer = {} if erases else _outer(kind, opset)
    return example("Loop", opset, arguments, [kind] * len(expected), expected=expected, outer=outer, body=body)


def _scan(schema: Any, binding: Mapping[str, str], _: str) -> Example:
    """A state that stays, and rows that are collected again; version 8 has a batch axis before that of the rows."""
    kind, opset = binding["V"], schema.since_version
    state, rows = recast(_OTHERS, kind), _value(kind)
    inputs, results = [("s", kind), ("x", kind)], [("s_out", kind), ("x_out", kind)]
    nodes = [_passed_on(source, target, kind, opset) for source, target in (("s", "s_out"), ("x", "x_out"))]
    body = helper.make_graph(nodes, "body", [_info(*pair) for pair in inputs], [_info(*pair) for pair in results])
    arguments: list[Any] = [Argument(kind, state), Argument(kind, rows)]
    expected = [state, rows]
    if opset == 8:
        expected = [np.stack([array] * 2) for array in expected]
        arguments = [np.array([2, 2], np.int64), *(Argument(kind, array) for array in expected)]
    return example("Scan", opset, arguments, [kind, kind], expected=expected, body=body, num_scan_inputs=1)


def _sequence_map(schema: Any, binding: Mapping[str, str], _: str) -> Example:
    """The elements of a sequence as they are, beside those of another one, or beside one tensor for all."""
    kind, extra_kind = binding["S"], binding["V"]
    element, extra_element = (split(k)[1] if k.startswith("seq") else k for k in (kind, extra_kind))
    body = helper.make_graph(
        [helper.make_node("Identity", [name], [f"{name}_out"]) for name in ("x", "extra")],
        "body",
        [_info("x", element), _info("extra", extra_element)],
        [_info("x_out", element), _info("extra_out", extra_element)],
    )
    value, extra = _value(kind), _value(extra_kind)
    repeated = extra if isinstance(extra, list) else [extra] * len(value)
    arguments = [Argument(kind, value), Argument(extra_kind, extra)]
    return example("SequenceMap", 17, arguments, [kind, f"seq({extra_element})"], expected=[value, repeated], body=body)


def _gradient(schema: Any, binding: Mapping[str, str], variable: str) -> Example:
    """The derivative of y = x * x * size(z) by x: z, which needs no derivative, has any type."""
    kind, floating = binding["T1"], binding["T2"]
    if variable == "T1" and kind in ("tensor(float16)", "tensor(float)", "tensor(double)"):
        floating = kind
    x, z = recast(_NUMBERS, floating), recast(np.array([1, 2, 3], np.float32), kind)
    code = code_of_kind(floating)
    nodes = [
        helper.make_node("Size", ["z"], ["size"]),
        helper.make_node("Cast", ["size"], ["factor"], to=code),
        helper.make_node("Mul", ["x", "x"], ["square"]),
        helper.make_node("Mul", ["square", "factor"], ["y"]),
    ]
    outer = {"x": Argument(floating, x), "z": Argument(kind, z)}
    inputs = [Argument(floating, x), Argument(kind, z)]
    expected = [2 * x * x.dtype.type(z.size)]
    return example(
        "Gradient", 1, inputs, [floating], domain=schema.domain, expected=expected, outer=outer, neighbours=nodes,
        xs=["x"], zs=["z"], y="y",
    )  # fmt: skip


def _constant(schema: Any, binding: Mapping[str, str], _: str) -> Example:
    value = _value(binding["T"])
    return example("Constant", schema.since_version, [], [binding["T"]], expected=[value], value=tensor_proto(value))


def _bit_cast(schema: Any, binding: Mapping[str, str], variable: str) -> Example:
    """A type and another of its width; onnx's own packing tells what the bits mean there."""
    source, target = binding["T1"], binding["T2"]
    other = source if variable == "T2" else target
    bits = element_type(dtype_of_kind(binding[variable])).bits
    if element_type(dtype_of_kind(other)).bits != bits:
        other = "tensor(complex128)" if bits == 128 else f"tensor(int{bits})"
        source, target = (other, target) if variable == "T2" else (source, other)
    value = recast(_NUMBERS > 0 if "bool" in target else _NUMBERS, source)
    packed = numpy_helper.from_array(value)
    packed.data_type = code_of_kind(target)
    expected = numpy_helper.to_array(packed)
    return example("BitCast", 26, [Argument(source, value)], [target], expected=[expected], to=packed.data_type)


BUILDERS: dict[tuple[str, str], Callable[[Any, Mapping[str, str], str], Example]] = {
    ("", "BitCast"): _bit_cast,
    ("", "Constant"): _constant,
    ("", "If"): _if,
    ("", "Loop"): _loop,
    ("", "Scan"): _scan,
    ("", "SequenceMap"): _sequence_map,
    ("ai.onnx.preview.training", "Gradient"): _gradient,
}
