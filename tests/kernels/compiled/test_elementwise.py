"""The compiled elementwise operators against the reference: all of them, of all types and versions, and broadcast."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import defs

from onnxlite.conformance.compiled import KernelDeclined, bind_and_run, bound_kernel
from onnxlite.conformance.differential import assert_same, kernel_outputs
from onnxlite.kernels.arrays import Array
from onnxlite.kernels.dtypes import element_type
from onnxlite.kernels.expression import constant
from onnxlite.kernels.numba import COMPILED
from onnxlite.kernels.numba.elementwise import elementwise
from onnxlite.kernels.numba.elementwise.formula import all_formulas
from onnxlite.kernels.numba.spec import View

SETTINGS = settings(max_examples=60, deadline=None, derandomize=True)
#: For tests whose every other example is another kernel to compile.
FEW = settings(SETTINGS, max_examples=20)

SPECIAL = [math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1e-40, -1e-40, 3e38, -3e38, 2.5, 88.0, -88.0]


def numbers(dtype: str, shape: tuple[int, ...] = (71,), seed: int = 0) -> Array:
    """Numbers of a type: NaN, infinities and the like among floats, the whole range of integers."""
    generator = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return generator.random(shape) > 0.5
    if kind.kind == "f":
        x = (generator.standard_normal(shape) * 3).astype(kind)
        x.flat[seed::7][: len(SPECIAL)] = SPECIAL[: x.flat[seed::7].size]
        return x
    limits = np.iinfo(kind)
    return generator.integers(limits.min, limits.max, shape, dtype=kind, endpoint=True)


def check(op_type: str, version: int, *xs: Array | None, constants: tuple[int, ...] = (), **attributes: Any) -> None:
    """The compiled kernel serves these inputs, and agrees with the reference."""
    actual = bind_and_run(op_type, version, *xs, constants=constants, **attributes)
    expected = kernel_outputs(op_type, version, *xs, **attributes)
    single = expected[0].dtype == np.float32
    assert_same(actual[0], expected[0], rtol=3e-6 if single else 1e-12, atol=1e-6 if single else 1e-14)


#: The operators by the version that is tested.
OPERATORS = {
    9: ("Shrink",),
    13: ("Neg", "Abs", "Reciprocal", "Sqrt", "Exp", "Log", "Floor", "Ceil", "Sign", "Erf", "Tanh", "Sigmoid", "Clip"),
    14: ("Relu",),
    16: ("LeakyRelu",),
    20: ("IsNaN", "IsInf", "Gelu"),
    22: (
        *("Round", "Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh"),
        *("Elu", "Selu", "HardSigmoid", "HardSwish", "Mish", "Softplus", "Softsign", "ThresholdedRelu"),
    ),
    24: ("Swish",),
    28: ("Celu",),
}
FLOAT_FUNCTIONS = {name: version for version, names in OPERATORS.items() for name in names}


@pytest.mark.parametrize(("op_type", "version"), FLOAT_FUNCTIONS.items())
def test_function_of_floats(op_type: str, version: int) -> None:
    x = numbers("f4")
    if op_type in ("Sin", "Cos", "Tan"):
        x = x[~(np.abs(x) > 1e9) | np.isinf(x)]
    check(op_type, version, x)


@pytest.mark.parametrize(
    "op_type", ["Exp", "Sqrt", "Sigmoid", "Softplus", "Mish", "Gelu", "Erf", "Round", "Sign", "Elu"]
)
def test_function_of_doubles(op_type: str) -> None:
    check(op_type, FLOAT_FUNCTIONS[op_type], numbers("f8"))


@pytest.mark.parametrize(
    ("op_type", "version", "attributes"),
    [
        ("LeakyRelu", 16, {"alpha": -0.3}),
        ("Elu", 22, {"alpha": 2.5}),
        ("Selu", 22, {"alpha": 1.5, "gamma": 0.25}),
        ("Celu", 28, {"alpha": 0.5}),
        ("Gelu", 20, {"approximate": "tanh"}),
        ("HardSigmoid", 22, {"alpha": 0.4, "beta": 0.1}),
        ("Swish", 24, {"alpha": 1.7}),
        ("Shrink", 9, {"bias": 0.3, "lambd": 1.2}),
        ("ThresholdedRelu", 22, {"alpha": 0.2}),
        ("IsInf", 20, {"detect_negative": 0}),
        ("IsInf", 20, {"detect_positive": 0}),
        ("IsInf", 20, {"detect_positive": 0, "detect_negative": 0}),
        ("Clip", 6, {"min": -0.5, "max": 1.5}),
        ("Clip", 6, {}),
        ("Clip", 1, {"max": 1.0, "consumed_inputs": (0,)}),
        ("Selu", 1, {}),
        ("Relu", 1, {"consumed_inputs": (0,)}),
        ("HardSigmoid", 1, {"alpha": 0.3}),
    ],
)
def test_attributes(op_type: str, version: int, attributes: dict[str, Any]) -> None:
    check(op_type, version, numbers("f4"), **attributes)


@pytest.mark.parametrize("dtype", ["i1", "i8", "u4"])
@pytest.mark.parametrize("op_type", ["Abs", "Sign", "BitwiseNot"])
def test_function_of_integers(op_type: str, dtype: str) -> None:
    check(op_type, {"Abs": 13, "Sign": 13, "BitwiseNot": 18}[op_type], numbers(dtype))


BINARY = {
    "Add": 14,
    "Sub": 14,
    "Mul": 14,
    "Div": 14,
    "Max": 13,
    "Min": 13,
    "Less": 13,
    "GreaterOrEqual": 16,
    "Equal": 19,
}


TYPES = {
    "Add": ("f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"),
    "Div": ("f4", "i1", "i8", "u4"),
    "Max": ("f4", "f8", "i1", "u8"),
}


@pytest.mark.parametrize(("op_type", "dtype"), [(op, t) for op in BINARY for t in TYPES.get(op, ("f4", "i4"))])
def test_binary(op_type: str, dtype: str) -> None:
    a, b = numbers(dtype), numbers(dtype, seed=3)
    if op_type == "Div" and a.dtype.kind in "iu":
        b[b == 0] = 1
        b[:9] = -1 if a.dtype.kind == "i" else 3
    check(op_type, BINARY[op_type], a, b)


@pytest.mark.parametrize("dtype", ["f4", "i1", "u4"])
@pytest.mark.parametrize("fmod", [0, 1])
def test_mod(dtype: str, fmod: int) -> None:
    a, b = numbers(dtype), numbers(dtype, seed=3)
    if a.dtype.kind in "iu":
        b[b == 0] = 1
    check("Mod", 28, a, b, fmod=fmod)


def test_integer_division_by_zero_and_beyond_the_range_does_not_stop_the_process() -> None:
    lowest = np.array([np.iinfo(np.int64).min, 5, -5, 0])
    assert bind_and_run("Div", 14, lowest, np.array([-1, 0, 0, 0]))[0].tolist() == [lowest[0], 0, 0, 0]
    assert bind_and_run("Mod", 13, lowest, np.array([-1, 0, 0, 0]))[0].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("op_type", ["And", "Or", "Xor", "Equal"])
def test_truth_values(op_type: str) -> None:
    check(op_type, 19 if op_type == "Equal" else 7, numbers("?"), numbers("?", seed=1))
    check("Not", 1, numbers("?"))


@pytest.mark.parametrize("dtype", ["i2", "u4"])
@pytest.mark.parametrize("op_type", ["BitwiseAnd", "BitwiseOr", "BitwiseXor"])
def test_bits(op_type: str, dtype: str) -> None:
    check(op_type, 18, numbers(dtype), numbers(dtype, seed=1))


@pytest.mark.parametrize("dtype", ["u1", "u8", "i4"])
@pytest.mark.parametrize("direction", ["LEFT", "RIGHT"])
def test_shifts(direction: str, dtype: str) -> None:
    places = (np.arange(71) - (20 if dtype[0] == "i" else 0)).astype(dtype)
    check("BitShift", 28, numbers(dtype), places, direction=direction)


@pytest.mark.parametrize("dtype", ["f4", "i8", "?"])
def test_where(dtype: str) -> None:
    check("Where", 16, numbers("?"), numbers(dtype), numbers(dtype, seed=3))


@pytest.mark.parametrize("op_type", ["Max", "Min", "Sum", "Mean"])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_variadic(op_type: str, count: int) -> None:
    check(op_type, 13, *(numbers("f4", seed=seed) for seed in range(count)))


@pytest.mark.parametrize("dtype", ["f4", "i4", "u1"])
@pytest.mark.parametrize("bounds", [(1, 3), (None, 3), (2, None), (3, 1)])
def test_clip(dtype: str, bounds: tuple[int | None, int | None]) -> None:
    low, high = (None if bound is None else np.array(bound, dtype) for bound in bounds)
    for constants in ((), tuple(i + 1 for i, bound in enumerate(bounds) if bound is not None)):
        check("Clip", 13, numbers(dtype), low, high, constants=constants)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0, 3.0, 0.5, -1.0, -0.5, 1.7, math.nan])
def test_power_with_a_constant_exponent(exponent: float) -> None:
    check("Pow", 15, numbers("f4"), np.array(exponent, np.float32), constants=(1,))


@pytest.mark.parametrize("types", [("f4", "f4"), ("f4", "i8"), ("f8", "f4"), ("i4", "i4"), ("i8", "u4")])
def test_power(types: tuple[str, str]) -> None:
    x = numbers(types[0]) if types[0][0] == "f" else numbers(types[0]) % 7 - 3
    y = numbers(types[1], seed=3) if types[1][0] == "f" else numbers(types[1], seed=3) % 9
    check("Pow", 15, x, y - 3 if types[1] in ("i4", "i8") else y)


CASTS = [(source, target) for source in ("f4", "i8", "?", "u1") for target in ("f4", "f8", "i1", "i4", "i8", "u8", "?")]


@pytest.mark.parametrize(("source", "target"), [*CASTS, ("f8", "f4"), ("f8", "u2"), ("i4", "u4"), ("u8", "f4")])
def test_cast(source: str, target: str) -> None:
    x = numbers(source)
    if x.dtype.kind == "f" and np.dtype(target).kind in "iu":
        x = x[np.abs(x) < 100]  # what does not fit has no defined value
    code = element_type(np.dtype(target)).code
    check("Cast", 25, x, to=code)
    check("CastLike", 25, x, np.zeros(1, target))
    assert isinstance(bound_kernel("Cast", 13, x, to=code), View) == (source == target)


@pytest.mark.parametrize(
    ("op_type", "version", "shapes", "attributes"),
    [
        ("Add", 6, ((2, 3, 4, 5), (3, 4)), {"broadcast": 1, "axis": 1}),
        ("Add", 6, ((2, 3, 4, 5), (4, 5)), {"broadcast": 1}),
        ("Mul", 1, ((2, 3), (1,)), {"broadcast": 1, "consumed_inputs": (0, 0)}),
        ("Div", 6, ((2, 3), (2, 3)), {}),
        ("Sub", 1, ((4, 3), (4,)), {"broadcast": 1, "axis": 0}),
        ("Pow", 1, ((4, 3), (4,)), {"broadcast": 1, "axis": 0}),
        ("Less", 1, ((2, 3), (3,)), {"broadcast": 1}),
        ("Max", 6, ((2, 3), (2, 3)), {}),
        ("Sum", 1, ((2, 3), (2, 3)), {"consumed_inputs": (0, 0)}),
        ("PRelu", 6, ((2, 3, 4), (3,)), {}),
        ("PRelu", 1, ((2, 3, 4), (1,)), {"consumed_inputs": (0,)}),
        ("PRelu", 16, ((2, 3, 4), (3, 1)), {}),
        ("SwiGLU", 28, ((2, 9), (2, 9)), {"alpha": 0.5}),
    ],
)
def test_own_ways_to_broadcast(
    op_type: str, version: int, shapes: tuple[tuple[int, ...], ...], attributes: dict[str, Any]
) -> None:
    xs = [
        np.abs(numbers("f4", shape, seed)) if op_type == "Pow" else numbers("f4", shape, seed)
        for seed, shape in enumerate(shapes)
    ]
    check(op_type, version, *xs, **attributes)


@pytest.mark.parametrize(
    ("op_type", "version", "xs", "attributes", "reason"),
    [
        ("Add", 14, (np.zeros(3, np.float16), np.zeros(3, np.float16)), {}, "float16"),
        ("Add", 14, (np.zeros(3), np.zeros(4)), {}, "broadcast"),
        ("Add", 6, (np.zeros((2, 3)), np.zeros(3)), {}, "one shape"),
        ("Max", 6, (np.zeros((2, 3)), np.zeros(3)), {}, "one shape"),
        ("PRelu", 16, (np.zeros(3), np.zeros((2, 3))), {}, "shape of the first|first"),
        ("Clip", 13, (np.zeros(3), np.zeros(3)), {}, "scalar"),
        ("SwiGLU", 28, (np.zeros(3), np.zeros(1)), {}, "one shape"),
        ("Mod", 13, (np.zeros(3), np.ones(3)), {}, "fmod"),
        ("Gelu", 20, (np.zeros(3),), {"approximate": "none of these"}, "approximate"),
        ("Sin", 22, (np.zeros(3, np.int64),), {}, "int64"),
        ("Cast", 25, (np.zeros(3),), {"to": 10}, "float16"),
    ],
)
def test_declines(op_type: str, version: int, xs: tuple[Array, ...], attributes: dict[str, Any], reason: str) -> None:
    with pytest.raises(KernelDeclined, match=reason):
        bind_and_run(op_type, version, *xs, **attributes)


def test_dropout_is_its_input_in_inference() -> None:
    x = numbers("f4")
    assert isinstance(bound_kernel("Dropout", 22, x), View)
    assert isinstance(bound_kernel("Dropout", 13, x, None, np.array(False), constants=(2,)), View)
    assert isinstance(bound_kernel("Dropout", 7, x), View)
    assert isinstance(bound_kernel("Dropout", 6, x, is_test=1), View)
    assert isinstance(bound_kernel("Identity", 16, x), View)
    for version, inputs in ((13, (x, None, np.array(True))), (6, (x,))):
        with pytest.raises(KernelDeclined, match="training"):
            bound_kernel("Dropout", version, *inputs, constants=(2,))
    with pytest.raises(KernelDeclined, match="mask"):
        bound_kernel("Dropout", 13, x, output_count=2)


@pytest.mark.parametrize("name", sorted({*(entry.name for entry in all_formulas()), "Dropout", "CastLike"}))
def test_builders_know_the_attributes_of_the_versions_that_they_serve(name: str) -> None:
    served = 0
    for schema in defs.get_all_schemas_with_history():
        kernel = COMPILED.find("", name, schema.since_version) if (schema.domain, schema.name) == ("", name) else None
        if kernel is not None:
            served += 1
            assert set(schema.attributes) <= set(kernel.attributes), f"{name}-{schema.since_version}"
    assert served


# Broadcasting.


@st.composite
def broadcast_shapes(draw: st.DrawFn, count: int) -> list[tuple[int, ...]]:
    """Shapes that broadcast together: any dimension of any one may be 1, and leading ones may be missing."""
    shape = draw(st.lists(st.sampled_from([0, 1, 2, 3, 5, 17, 40]), max_size=4))
    shapes = []
    for _ in range(count):
        kept = [length if draw(st.booleans()) else 1 for length in shape]
        shapes.append(tuple(kept[draw(st.integers(0, len(kept))) :] if draw(st.booleans()) else kept))
    return shapes


@SETTINGS
@given(broadcast_shapes(2), st.sampled_from([(), (0,), (1,)]))
def test_two_shapes(shapes: list[tuple[int, ...]], constants: tuple[int, ...]) -> None:
    xs = [numbers("f4", shape, seed) for seed, shape in enumerate(shapes)]
    check("Sub", 14, *xs, constants=constants)


@FEW
@given(broadcast_shapes(3))
def test_three_shapes(shapes: list[tuple[int, ...]]) -> None:
    xs = [numbers("f4", shape, seed) for seed, shape in enumerate(shapes)]
    check("Sum", 13, *xs)


def test_long_and_many_rows_on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces, rows that are cut, blocks of rows, arrays of places: the results do not depend on the threads."""
    cases = [
        ((70_001,), (1,)),
        ((3, 1 << 16), (3, 1)),
        ((2, 300, 1, 50), (300, 7, 1)),
        ((5000, 3), (3,)),
        ((4, 900), (900,)),
    ]
    monkeypatch.setattr(elementwise, "_PIECE", 1 << 14)
    for shapes in cases:
        xs = [numbers("f4", shape, seed) for seed, shape in enumerate(shapes)]
        expression = (("Sub-14", "x0", "x1"), ("Sigmoid-13", "t0"))
        alone, together = (
            bind_and_run("Elementwise", 1, *xs, domain="onnxlite", threads=threads, expression=expression)
            for threads in (1, 2)
        )
        np.testing.assert_array_equal(alone[0], together[0])
        assert_same(alone[0], kernel_outputs("Sigmoid", 13, xs[0] - xs[1])[0], rtol=3e-6, atol=1e-7)


# Expressions.

GELU = (
    ("Div-14", "x0", "x1"),
    ("Erf-13", "t0"),
    ("Add-14", "t1", "x2"),
    ("Mul-14", "x0", "t2"),
    constant("float32", 0.5),
    ("Mul-14", "t3", "t4"),
)
MASKED = (("Less-13", "x0", "x1"), ("Cast-13", "t0", ("to", 1)), ("Mul-14", "t1", "x2"), ("Where-16", "t0", "t2", "x2"))


@FEW
@given(broadcast_shapes(3), st.sampled_from([GELU, MASKED]), st.sampled_from([(), (1,), (1, 2)]))
def test_expression(shapes: list[tuple[int, ...]], expression: tuple[Any, ...], constants: tuple[int, ...]) -> None:
    xs = [numbers("f4", shape, seed) for seed, shape in enumerate(shapes)]
    given = {"domain": "onnxlite", "expression": expression}
    actual = bind_and_run("Elementwise", 1, *xs, constants=constants, **given)
    assert_same(actual[0], kernel_outputs("Elementwise", 1, *xs, **given)[0], rtol=5e-6, atol=1e-6)


def test_expressions_that_differ_in_numbers_only_have_one_kernel() -> None:
    x = numbers("f4")
    kernels = [
        bound_kernel("LeakyRelu", 16, x, alpha=0.25),
        bound_kernel("LeakyRelu", 16, x, alpha=0.5),
        bound_kernel("Elementwise", 1, x, domain="onnxlite", expression=(("LeakyRelu-16", "x0", ("alpha", 2.0)),)),
    ]
    assert len({kernel.function for kernel in kernels if not isinstance(kernel, View)}) == 1


def test_an_unknown_operator_is_no_expression() -> None:
    with pytest.raises(ValueError, match="Soufflé"):
        bind_and_run("Elementwise", 1, numbers("f4"), domain="onnxlite", expression=(("Soufflé-1", "x0"),))
    with pytest.raises(ValueError, match="Soufflé"):
        kernel_outputs("Elementwise", 1, numbers("f4"), domain="onnxlite", expression=(("Soufflé-1", "x0"),))


def test_the_source_of_a_kernel_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONNXLITE_CACHE_DIR", str(tmp_path))
    expression = (("Mul-14", "x0", "x0"), ("Sub-14", "t0", "x0"), ("Softsign-22", "t1"))
    x = np.ones(3, np.float32)
    bind_and_run("Elementwise", 1, x, domain="onnxlite", expression=expression)
    (source,) = (tmp_path / "source").glob("elementwise_*.py")
    text = source.read_text()
    assert text.startswith("# Mul, Sub, Softsign\n")
    assert "load(x0, i)" in text
    assert list(tmp_path.glob("*_loop-*.kernel"))


def test_works_without_a_folder_to_write_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    for number, folder in enumerate(["", str(tmp_path / "file" / "inside")]):
        monkeypatch.setenv("ONNXLITE_CACHE_DIR", folder)
        expression = (("Add-14", "x0", "x0"), *(("Neg-13", f"t{i}") for i in range(number + 1)))
        (y,) = bind_and_run("Elementwise", 1, np.ones(3, np.float32), domain="onnxlite", expression=expression)
        assert y.tolist() == [2.0 * (-1) ** (number + 1)] * 3
