"""The operator Gradient: what its documentation says of names, inputs and outputs, and random shapes."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import onnxlite
from onnxlite.errors import InvalidGraph, NotImplemented

sys.path.append(str(Path(__file__).parents[1] / "graphs"))
from gradient_models import Differentiated, between, distinct, model, run

quick = settings(max_examples=25, deadline=None, derandomize=True)
X, W = np.array([1.0, -2.0], np.float32), np.array([3.0, 0.5], np.float32)


@pytest.mark.parametrize("name", ["test_gradient_of_add", "test_gradient_of_add_and_mul"])
def test_the_cases_of_onnx(name: str) -> None:
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "simple" / name
    session = onnxlite.InferenceSession(folder / "model.onnx")
    a, b, *expected = (
        onnx.numpy_helper.to_array(onnx.load_tensor(folder / "test_data_set_0" / f"{kind}_{i}.pb"))
        for kind, i in [("input", 0), ("input", 1), ("output", 0), ("output", 1), ("output", 2)]
    )
    results = session.run(None, {"a": a, "b": b})
    for result, wanted in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result, wanted)
        assert result.dtype == wanted.dtype


def test_a_value_inside_the_network_can_be_an_independent_variable() -> None:
    text = """g (float[2] x, float[2] w) => (float[2] dh, float[2] dx) {
        h = Mul (x, w)  y = Mul (h, h)
        dh = training.Gradient <xs = ["h"], y = "y"> (h)
        dx = training.Gradient <xs = ["x"], zs = ["w"], y = "y"> (x, w) }"""
    dh, dx = run(text, x=X, w=W)
    np.testing.assert_allclose(dh, 2 * X * W)
    np.testing.assert_allclose(dx, 2 * X * W * W)


def test_the_inputs_say_where_the_gradient_is_taken() -> None:
    text = """g (float[2] x, float[2] w, float[3] other, float[3] v) => (float[3] dx, float[2] d0, float[2] d1) {
        h = Mul (x, w)  y = Mul (h, h)
        dx = training.Gradient <xs = ["x"], zs = ["w"], y = "y"> (other, v)
        d0, d1 = training.Gradient <xs = ["x", "w"], y = "y"> (w, w) }"""
    other, v = np.array([1, 2, 3], np.float32), np.array([-1, 0.5, 2], np.float32)
    dx, d0, d1 = run(text, x=X, w=W, other=other, v=v)
    np.testing.assert_allclose(dx, 2 * other * v * v)
    # One tensor for two variables: the gradients stay apart.
    np.testing.assert_allclose(d0, 2 * W**3)
    np.testing.assert_allclose(d1, 2 * W**3)


def test_the_forward_pass_is_shared_where_the_inputs_are_the_tensors_named() -> None:
    text = """g (float[2,2] x, float[2,2] w, float[2,2] z) => (float[2,2] y, float[2,2] dx) {{
        h = Exp (x)  k = Sin (w)  y = Mul (h, k)
        dx = training.Gradient <xs = ["x"], zs = ["w"], y = "y"> ({inputs}) }}"""

    def operators(inputs: str) -> list[str]:
        session = onnxlite.InferenceSession(model(text.format(inputs=inputs)), providers=["ReferenceExecutionProvider"])
        return [step.node.op_type for step in session.plan.steps]

    assert operators("x, w").count("Exp") == 1
    assert operators("z, w").count("Exp") == 2
    assert operators("z, w").count("Sin") == 1
    assert operators("x, z").count("Sin") == 2


def test_outputs_may_be_left_out() -> None:
    text = """g (float[2] x, float[2] w) => (float[2] dw) { y = Mul (x, w)
        , dw = training.Gradient <xs = ["x", "w"], y = "y"> (x, w) }"""
    np.testing.assert_array_equal(run(text, x=X, w=W)[0], X)


def test_a_variable_without_influence_has_the_gradient_zero() -> None:
    text = """g (float[2] x, float[2] w) => (float[2] dx, float[2] dw) { y = Floor (x)  z = Mul (w, y)
        dx, dw = training.Gradient <xs = ["x", "w"], y = "y"> (x, w) }"""
    for gradient in run(text, x=X, w=W):
        np.testing.assert_array_equal(gradient, np.zeros(2, np.float32))


def test_y_may_be_a_variable_itself() -> None:
    text = 'g (float[2] x) => (float[2] dx) { dx = training.Gradient <xs = ["x"], y = "x"> (x) }'
    np.testing.assert_array_equal(run(text, x=X)[0], np.ones(2, np.float32))


def test_initializers_and_inner_constants_need_not_be_named() -> None:
    text = """g (float[2] x) => (float[2] dx) <float[2] w = {3.0, 0.5}> {
        two = Constant <value = float {2}> ()  h = Mul (x, w)  y = Mul (h, two)
        dx = training.Gradient <xs = ["x"], y = "y"> (x) }"""
    np.testing.assert_array_equal(run(text, x=X)[0], 2 * W)


def test_third_order_with_the_nodes_in_any_order() -> None:
    proto = model("""g (float[2] x) => (float[2] d1, float[2] d2, float[2] d3) {
        d1 = training.Gradient <xs = ["x"], y = "y"> (x)
        d2 = training.Gradient <xs = ["x"], y = "d1"> (x)
        d3 = training.Gradient <xs = ["x"], y = "d2"> (x)
        h = Mul (x, x)  y = Mul (h, h) }""")
    for order in itertools.permutations(list(proto.graph.node)):
        shuffled = onnx.ModelProto.FromString(proto.SerializeToString())
        del shuffled.graph.node[:]
        shuffled.graph.node.extend(order)
        results = onnxlite.InferenceSession(shuffled).run(None, {"x": X})
        for result, expected in zip(results, (4 * X**3, 12 * X**2, 24 * X), strict=True):
            np.testing.assert_allclose(result, expected)


def test_inside_a_subgraph() -> None:
    text = """g (bool c, float[2] x) => (float[2] r) {
        r = If (c) <
            then_branch = t () => (float[2] dx) {
                h = Identity (x)  y = Mul (h, h)
                dx = training.Gradient <xs = ["h"], y = "y"> (h) },
            else_branch = e () => (float[2] n) { n = Neg (x) }> }"""
    np.testing.assert_array_equal(run(text, c=np.array(True), x=X)[0], 2 * X)
    np.testing.assert_array_equal(run(text, c=np.array(False), x=X)[0], -X)


def test_through_and_inside_model_local_functions() -> None:
    proto = onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["": 18, "mine": 1, "ai.onnx.preview.training": 1]>
        g (float[2] x, float[2] w) => (float[2] dx, float[2] slope) {
            y = mine.Cube (x)
            dx = ai.onnx.preview.training.Gradient <xs = ["x"], y = "y"> (x)
            slope = mine.Slope (w) }
        <domain: "mine", opset_import: ["": 18]>
        Cube (a) => (b) { s = Mul (a, a)  b = Mul (s, a) }
        <domain: "mine", opset_import: ["": 18, "mine": 1, "ai.onnx.preview.training": 1]>
        Slope (x) => (d) { y = mine.Cube (x)
            d = ai.onnx.preview.training.Gradient <xs = ["x"], y = "y"> (x) }""")
    dx, slope = onnxlite.InferenceSession(proto).run(None, {"x": X, "w": W})
    np.testing.assert_allclose(dx, 3 * X**2)
    np.testing.assert_allclose(slope, 3 * W**2)


def test_names_like_those_of_the_new_nodes_are_no_conflict() -> None:
    text = """g (float[2] x) => (float[2] dx) {{ {name} = Exp (x)  y = Mul (x, {name})
        dx = training.Gradient <xs = ["x"], y = "y"> (x) }}"""
    inner = [
        name
        for step in onnxlite.InferenceSession(model(text.format(name="h"))).plan.steps
        for name in step.node.outputs
        if "/" in name
    ]
    assert inner
    for name in inner:
        proto = model(text.format(name="h"))
        for node in proto.graph.node:
            for names in (node.input, node.output):
                names[:] = [name if n == "h" else n for n in names]
        (dx,) = onnxlite.InferenceSession(proto).run(None, {"x": X})
        np.testing.assert_allclose(dx, np.exp(X) * (1 + X), rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
@pytest.mark.parametrize("body", ["y = Mul (h, x)", "y = Elu (h)", "y = Gelu (h)", "y = ReduceMean (h)"])
def test_gradients_have_the_type_of_their_variables(dtype: type, body: str) -> None:
    kind = {"float16": "float16", "bfloat16": "bfloat16", "float32": "float", "float64": "double"}[np.dtype(dtype).name]
    text = f"""g ({kind}[2] x) => ({kind}[2] dx) {{ h = Sigmoid (x)  {body}
        dx = training.Gradient <xs = ["x"], y = "y"> (x) }}""".replace("training.", "ai.onnx.preview.training.")
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 20, "ai.onnx.preview.training": 1]> {text}')
    (dx,) = onnxlite.InferenceSession(proto).run(None, {"x": X.astype(dtype)})
    assert dx.dtype == dtype
    assert dx.shape == (2,)


def test_a_cast_brings_the_gradient_back_to_the_type_of_its_input() -> None:
    text = """g (double[2] x) => (double[2] dx) { a = Cast <to = 1> (x)  b = Mul (a, a)  y = Cast <to = 11> (b)
        dx = training.Gradient <xs = ["x"], y = "y"> (x) }"""
    np.testing.assert_array_equal(run(text, x=X.astype(np.float64))[0], 2 * X.astype(np.float64))


def test_dropout_lets_the_gradient_through_where_it_lets_the_value_through() -> None:
    text = """g (float[100] x) => (float[100] y, float[100] dx) <float ratio = {0.25}, bool training = {1}> {
        y = Dropout (x, ratio, training)  dx = training.Gradient <xs = ["x"], y = "y"> (x) }"""
    y, dx = run(text, x=np.full(100, 2, np.float32))
    np.testing.assert_allclose(dx, y / 2)
    assert {0.0, np.float32(1 / 0.75)} == set(dx.tolist())


def test_gradient_descent_solves_least_squares() -> None:
    text = """g (float[5, 3] a, float[5] b, float[3] x) => (float loss, float[3] better) <float rate = {0.05}> {
        p = MatMul (a, x)  r = Sub (p, b)  loss = ReduceSumSquare <keepdims = 0> (r)
        dx = training.Gradient <xs = ["x"], zs = ["a", "b"], y = "loss"> (x, a, b)
        step = Mul (dx, rate)  better = Sub (x, step) }"""
    generator = np.random.default_rng(0)
    a, b = generator.standard_normal((5, 3)).astype(np.float32), generator.standard_normal(5).astype(np.float32)
    session, x = onnxlite.InferenceSession(model(text)), np.zeros(3, np.float32)
    for _ in range(1500):
        x = session.run(["better"], {"a": a, "b": b, "x": x})[0]
    np.testing.assert_allclose(x, np.linalg.lstsq(a, b, rcond=None)[0], atol=1e-4)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ('d = training.Gradient <xs = ["x"], y = "nothing"> (x)', "'nothing', which is not a value of this graph"),
        ('d = training.Gradient <xs = ["q"], y = "y"> (x)', "'q', which is not a value of this graph"),
        ('d = training.Gradient <xs = ["x"], y = "y"> (x, x)', "has 2 inputs and 1 outputs"),
        ('d, e = training.Gradient <xs = ["x"], y = "y"> (x)', "has 1 inputs and 2 outputs"),
        ('d = training.Gradient <xs = ["x"], zs = ["x"], y = "y"> (x, x)', "twice in xs and zs: x, x"),
        ('d = training.Gradient <xs = ["x"]> (x)', "lacks the required attribute 'y'"),
        ('d = training.Gradient <y = "y"> ()', "lacks the required attribute 'xs'"),
        ('s = Shape (x)  d = training.Gradient <xs = ["x"], y = "s"> (x)', "'s', whose type .*int64.* has no gradient"),
        ('d = training.Gradient <xs = ["x"], y = "e"> (x)  e = training.Gradient <xs = ["x"], y = "d"> (x)',
         "'-> d', '-> e' of graph 'g' depend on each other in a circle"),
    ],
)  # fmt: skip
def test_requests_that_make_no_sense(nodes: str, message: str) -> None:
    with pytest.raises(InvalidGraph, match=message):
        onnxlite.InferenceSession(model(f"g (float[2] x) => (float[2] y) {{ y = Exp (x)  {nodes} }}"))


def test_an_operator_without_a_rule_is_named() -> None:
    text = """g (float[2, 2] x) => (float y) { y = Det (x)
        d = training.Gradient <xs = ["x"], y = "y"> (x) }"""
    with pytest.raises(NotImplemented, match=r"'-> y': there is no gradient rule for Det \(opset 18\)"):
        onnxlite.InferenceSession(model(text))
    # Off the path, it does no harm.
    run(text.replace("Det (x)", "ReduceSum <keepdims = 0> (x)  z = Det (x)"), x=np.ones((2, 2), np.float32))


# Random shapes.  ``shapes`` is what the model says of them: "symbols" and "unknown" leave the work to the run.

declared = st.sampled_from(["known", "symbols", "unknown"])
SIGNED = between(-2.0, 2.0)


@quick
@given(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3), declared)
def test_broadcasting(shapes: hnp.BroadcastableShapes, declaration: str) -> None:
    a, b = (SIGNED(*shape) for shape in shapes.input_shapes)
    Differentiated("y = Mul (a, b)", {"a": a, "b": b}, shapes=declaration).check()


@quick
@given(st.data(), declared)
def test_matrix_products(data: st.DataObject, declaration: str) -> None:
    shapes = data.draw(hnp.mutually_broadcastable_shapes(signature="(m?,n),(n,p?)->(m?,p?)", max_dims=2, max_side=3))
    a, b = (SIGNED(*shape) for shape in shapes.input_shapes)
    Differentiated("y = MatMul (a, b)", {"a": a, "b": b}, shapes=declaration).check()


@quick
@given(
    st.sampled_from(["ReduceSum", "ReduceMean", "ReduceL2", "ReduceMax", "ReduceProd", "ReduceLogSumExp"]),
    hnp.array_shapes(max_dims=3, max_side=3),
    st.sets(st.integers(0, 2)),
    st.booleans(),
    st.booleans(),
    declared,
)
def test_reductions(
    operator: str, shape: tuple[int, ...], axes: set[int], keep: bool, negative: bool, declaration: str
) -> None:
    axes = {axis - len(shape) * negative for axis in axes if axis < len(shape)}
    text = f"""a = Constant <value = int64[{len(axes)}] {{ {", ".join(map(str, axes))} }}> ()
        y = {operator} <keepdims = {int(keep)}> (x, a)"""
    Differentiated(text, {"x": distinct(*shape) + 0.05}, shapes=declaration).check()


geometry = st.fixed_dictionaries(
    {
        "strides": st.tuples(st.integers(1, 3), st.integers(1, 3)),
        "dilations": st.tuples(st.integers(1, 2), st.integers(1, 2)),
        "pads": st.tuples(*[st.integers(0, 2)] * 4),
    }
)


def _text(attributes: dict[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} = {list(value)}" for name, value in attributes.items())


def _fits(image: tuple[int, ...], kernel: tuple[int, ...], attributes: dict[str, tuple[int, ...]]) -> bool:
    pads = attributes["pads"]
    return all(
        length + pads[axis] + pads[axis + 2] > (k - 1) * attributes["dilations"][axis]
        for axis, (length, k) in enumerate(zip(image, kernel, strict=True))
    )


sides = st.tuples(st.integers(1, 5), st.integers(1, 5))
kernels = st.tuples(st.integers(1, 3), st.integers(1, 3))


@quick
@given(sides, kernels, geometry, st.sampled_from([1, 2]), st.sampled_from(["known", "symbols"]))
def test_convolutions(
    image: tuple[int, int], kernel: tuple[int, int], attributes: dict[str, tuple[int, ...]], group: int, shapes: str
) -> None:
    assume(_fits(image, kernel, attributes))
    feeds = {"x": SIGNED(2, 2, *image), "w": SIGNED(2, 2 // group, *kernel)}
    Differentiated(f"y = Conv <group = {group}, {_text(attributes)}> (x, w)", feeds, shapes=shapes).check()


@quick
@given(sides, kernels, geometry, st.sampled_from([1, 2]), st.sampled_from(["known", "symbols"]))
def test_transposed_convolutions(
    image: tuple[int, int], kernel: tuple[int, int], attributes: dict[str, tuple[int, ...]], group: int, shapes: str
) -> None:
    steps = zip(image, kernel, attributes["strides"], attributes["dilations"], strict=True)
    full = [(n - 1) * stride + (k - 1) * dilation + 1 for n, k, stride, dilation in steps]
    assume(all(n > attributes["pads"][axis] + attributes["pads"][axis + 2] for axis, n in enumerate(full)))
    feeds = {"x": SIGNED(1, 2, *image), "w": SIGNED(2, 2 // group, *kernel)}
    Differentiated(f"y = ConvTranspose <group = {group}, {_text(attributes)}> (x, w)", feeds, shapes=shapes).check()


@quick
@given(
    st.sampled_from(["AveragePool", "AveragePool <count_include_pad = 1>", "MaxPool"]),
    sides,
    kernels,
    geometry,
    st.booleans(),
    declared,
)
def test_pools(
    operator: str,
    image: tuple[int, int],
    kernel: tuple[int, int],
    attributes: dict[str, tuple[int, ...]],
    ceil_mode: bool,
    declaration: str,
) -> None:
    assume(_fits(image, kernel, attributes))
    assume(all(attributes["pads"][i] < kernel[i % 2] for i in range(4)))
    name, _, more = operator.removesuffix(">").partition(" <")
    text = f"kernel_shape = {list(kernel)}, ceil_mode = {int(ceil_mode)}, {_text(attributes)}{', ' * bool(more)}{more}"
    x = distinct(1, 2, *image)
    Differentiated(f"y = {name} <{text}> (x)", {"x": x}, opset=19, shapes=declaration).check()


@quick
@given(st.data(), declared)
def test_slices(data: st.DataObject, declaration: str) -> None:
    shape = data.draw(hnp.array_shapes(max_dims=3, max_side=5))
    limits = st.integers(-6, 6)
    steps = st.integers(-3, 3).filter(bool)
    parts = [data.draw(st.lists(part, min_size=len(shape), max_size=len(shape))) for part in (limits, limits, steps)]
    names = "starts", "ends", "axes", "steps"
    values = dict(zip(names, (*parts[:2], list(range(len(shape))), parts[2]), strict=True))
    constants = " ".join(
        f"{name} = Constant <value = int64[{len(shape)}] {{ {', '.join(map(str, values[name]))} }}> ()"
        for name in names
    )
    text = f"{constants} y = Slice (x, starts, ends, axes, steps)"
    Differentiated(text, {"x": SIGNED(*shape)}, shapes=declaration).check()


@quick
@given(st.permutations(range(3)), hnp.array_shapes(min_dims=3, max_dims=3, max_side=3), declared)
def test_transpositions(order: list[int], shape: tuple[int, ...], declaration: str) -> None:
    Differentiated(f"y = Transpose <perm = {list(order)}> (x)", {"x": SIGNED(*shape)}, shapes=declaration).check()
