"""Broken and malicious models: the answer is always one of our errors, that says what is wrong, and comes at once."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import AttributeProto, TensorProto, helper, numpy_helper, parser

from onnxlite import InferenceSession, OnnxliteError
from onnxlite.errors import InvalidGraph, InvalidProtobuf, NotImplemented
from onnxlite.model import load_model

HEADER = '<ir_version: 10, opset_import: ["": 18, "f": 1]>'
GRAPHS = [
    "g (float[N, 2] x) => (float[N, 2] y) <float[2] w = {1.5, -2}> { t = Add(x, w) y = LeakyRelu <alpha = 0.5> (t) }",
    """g (bool c, float[2] x) => (float[2] y) {
      y = If (c) <then_branch = t () => (float[2] p) { i = Neg(x) p = Relu(i) },
                  else_branch = e () => (float[2] q) { q = Constant <value = float[2] {1, 2}> () }>
    }""",
    """g (int64 n, float x) => (float y, float[M] all) <bool yes = {1}> {
      y, all = Loop (n, yes, x) <body = b (int64 i, bool go, float s) => (bool d, float t, float u)
        { d = Identity(go) t = Add(s, s) u = Identity(t) }>
    }""",
    """g (seq(float[2]) s, string[1] x) => (float[2] y, string[1] z)
    { k = Constant <value_int = 0> () y = SequenceAt(s, k) z = Identity(x) }""",
    """g (float[2] x) => (float[2] y) { a = f.one(x) y = f.one(a) }
    <domain: "f", opset_import: ["": 18]> one <p: int = 1> (a) => (b) { c = Cast <to = 1> (a) b = f.two(c) }
    <domain: "f", opset_import: ["": 18]> two (a) => (b) { b = Softmax <axis = 0> (a) }""",
]
MODELS = [parser.parse_model(f"{HEADER} {graph}").SerializeToString() for graph in GRAPHS]


def simple() -> onnx.ModelProto:
    return onnx.ModelProto.FromString(MODELS[0])


def initializer(**fields: Any) -> onnx.ModelProto:
    """A model whose initializer has these fields and no others."""
    model = simple()
    model.graph.initializer[0].CopyFrom(TensorProto(name="w", **fields))
    return model


def test_the_models_are_good() -> None:
    for model in MODELS:
        InferenceSession(model, providers=["ReferenceExecutionProvider"])


def try_model(source: Any) -> None:
    """Make and describe a session; our own errors are fine."""
    try:
        session = InferenceSession(source, providers=["ReferenceExecutionProvider"])
    except OnnxliteError:
        return
    session.get_inputs()
    session.get_outputs()
    session.explain_placement()
    assert repr(session.model)
    assert repr(session.plan)


@given(model=st.sampled_from(MODELS), data=st.data())
@settings(max_examples=120, deadline=None, derandomize=True)
def test_truncated_models(model: bytes, data: st.DataObject) -> None:
    try_model(model[: data.draw(st.integers(0, len(model)))])


@given(
    model=st.sampled_from(MODELS),
    changes=st.lists(st.tuples(st.integers(0), st.integers(0, 255)), min_size=1, max_size=8),
)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_models_with_other_bytes(model: bytes, changes: list[tuple[int, int]]) -> None:
    changed = bytearray(model)
    for position, byte in changes:
        changed[position % len(model)] = byte
    try_model(bytes(changed))


@given(model=st.sampled_from(MODELS), bits=st.lists(st.integers(0), min_size=1, max_size=4))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_models_with_flipped_bits(model: bytes, bits: list[int]) -> None:
    changed = bytearray(model)
    for bit in bits:
        changed[bit // 8 % len(model)] ^= 1 << bit % 8
    try_model(bytes(changed))


@given(data=st.binary(max_size=64))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_any_bytes(data: bytes) -> None:
    try_model(data)


NUMBERS = (-(2**63), -(2**31), -1, 0, 1, 2, 3, 7, 8, 9, 16, 22, 28, 99, 2**31 - 1, 2**31, 2**62, 2**63 - 1)


def mutate(model: onnx.ModelProto, choose: random.Random) -> None:
    """Change one field somewhere in the model to a value of its type, or drop or repeat it."""
    messages = list(_messages(model))
    message = choose.choice(messages)
    field = choose.choice(message.DESCRIPTOR.fields)
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        same = [m.SerializeToString() for m in messages if m.DESCRIPTOR is field.message_type]
        if field.is_repeated and len(getattr(message, field.name)) and choose.random() < 0.5:
            del getattr(message, field.name)[choose.randrange(len(getattr(message, field.name)))]
        elif not same or (not field.is_repeated and choose.random() < 0.4):
            message.ClearField(field.name)
        else:
            target = getattr(message, field.name)
            (target.add() if field.is_repeated else target).ParseFromString(choose.choice(same))
    elif field.is_repeated:
        getattr(message, field.name).append(_value(field, messages, choose))
    else:
        setattr(message, field.name, _value(field, messages, choose))


def _messages(message: Any) -> Any:
    yield message
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for item in value if field.is_repeated else [value]:
                yield from _messages(item)


def _value(field: Any, messages: list[Any], choose: random.Random) -> Any:
    if field.type == FieldDescriptor.TYPE_STRING:
        names = [getattr(message, "name", "") for message in messages]
        return choose.choice(["", "x", "y", "w", "ai.onnx.ml", "Loop", "Constant", *map(str, names)])
    if field.type == FieldDescriptor.TYPE_BYTES:
        return choose.randbytes(choose.choice([0, 1, 4, 8]))
    if field.type == FieldDescriptor.TYPE_ENUM:
        return choose.choice(field.enum_type.values).number
    if field.type in (FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE):
        return choose.choice([0.0, -1.0, float("nan"), float("inf")])
    number = choose.choice(NUMBERS)
    if field.type == FieldDescriptor.TYPE_INT32:
        return max(min(number, 2**31 - 1), -(2**31))
    return abs(number) if field.type == FieldDescriptor.TYPE_UINT64 else number


@given(model=st.sampled_from(MODELS), choose=st.randoms(use_true_random=False), count=st.integers(1, 4))
@settings(max_examples=400, deadline=None, derandomize=True)
def test_models_with_other_fields(model: bytes, choose: random.Random, count: int) -> None:
    proto = onnx.ModelProto.FromString(model)
    for _ in range(count):
        mutate(proto, choose)
    try_model(proto)


TENSORS: dict[str, tuple[dict[str, Any], str]] = {
    "too much data": ({"data_type": 1, "dims": [2], "float_data": [1, 2, 3]}, "takes 2 entries .* has 3"),
    "too little data": ({"data_type": 1, "dims": [2], "float_data": [1]}, "takes 2 entries .* has 1"),
    "no data": ({"data_type": 1, "dims": [2]}, "takes 2 entries .* has 0"),
    "a huge shape": ({"data_type": 1, "dims": [2**62], "float_data": [1]}, "takes 4611686018427387904 entries"),
    "a shape beyond all": ({"data_type": 1, "dims": [2**62, 2**62], "raw_data": b"1234"}, "no array can have"),
    "an empty shape beyond all": ({"data_type": 1, "dims": [0, 2**62, 4], "raw_data": b""}, "no array can have"),
    "too many dimensions": ({"data_type": 1, "dims": [1] * 100, "float_data": [1]}, "100 dimensions"),
    "a negative dimension": ({"data_type": 1, "dims": [-2], "float_data": [1, 2]}, r"a negative dimension: \[-2\]"),
    "raw too short": ({"data_type": 1, "dims": [2], "raw_data": b"1234567"}, "takes 8 bytes, but has 7"),
    "raw too long": ({"data_type": 1, "dims": [2], "raw_data": b"123456789"}, "takes 8 bytes, but has 9"),
    "raw nibbles": ({"data_type": TensorProto.INT4, "dims": [3], "raw_data": b"1"}, "takes 2 bytes, but has 1"),
    "raw text": ({"data_type": TensorProto.STRING, "dims": [1], "raw_data": b"a"}, "holds strings"),
    "unknown type": ({"data_type": 99, "dims": [1], "raw_data": b"a"}, "the unknown element type 99"),
    "no type": ({"dims": [1], "float_data": [1]}, "the unknown element type 0"),
    "another field": ({"data_type": 7, "dims": [1], "float_data": [1]}, "in float_data, expected it in int64_data"),
    "half a complex": ({"data_type": TensorProto.COMPLEX64, "dims": [1], "float_data": [1]}, "takes 2 entries"),
    "a segment": (
        {"data_type": 1, "dims": [1], "float_data": [1], "segment": TensorProto.Segment(begin=0, end=1)},
        "is segmented",
    ),
}


@pytest.mark.parametrize(("fields", "message"), TENSORS.values(), ids=TENSORS)
def test_tensors_that_are_not_what_they_say(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidGraph, match=f"tensor 'w'.*{message}"):
        load_model(initializer(**fields))


SPARSE: dict[str, tuple[list[int], Any, Any, str]] = {
    "terabytes": ([2**40], [1.0], [0], "too large to expand"),
    "terabytes in two dimensions": ([2**20, 2**20], [1.0], [[5, 5]], "too large to expand"),
    "beyond all": ([2**62, 2**62], [1.0], [0], "no array can have"),
    "an index outside": ([4], [1.0], [4], "do not fit"),
    "a negative index": ([4], [1.0], [-1], "do not fit"),
    "a negative coordinate": ([2, 2], [1.0], [[0, -1]], "do not fit"),
    "a coordinate outside": ([2, 2], [1.0], [[2, 0]], "do not fit"),
    "another number of indices": ([4], [1.0, 2.0], [1], "do not fit"),
    "coordinates of another rank": ([4], [1.0], [[1, 0]], "do not fit"),
    "a negative dimension": ([-4], [1.0], [0], "negative dimension"),
}


@pytest.mark.parametrize(("dims", "values", "indices", "message"), SPARSE.values(), ids=SPARSE)
def test_sparse_tensors_that_do_not_fit(dims: list[int], values: Any, indices: Any, message: str) -> None:
    model = simple()
    model.graph.ClearField("initializer")
    model.graph.sparse_initializer.add(
        values=numpy_helper.from_array(np.array(values, np.float32), "w"),
        indices=numpy_helper.from_array(np.array(indices, np.int64)),
        dims=dims,
    )
    with pytest.raises(InvalidGraph, match=f"tensor 'w'.*{message}"):
        load_model(model)


def test_sparse_indices_are_int64() -> None:
    model = simple()
    model.graph.ClearField("initializer")
    model.graph.sparse_initializer.add(
        values=numpy_helper.from_array(np.ones(1, np.float32), "w"),
        indices=numpy_helper.from_array(np.array([0.0])),
        dims=[2],
    )
    with pytest.raises(InvalidGraph, match="indices of type float64, expected int64"):
        load_model(model)


def attribute(**fields: Any) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node[1].attribute[0].CopyFrom(AttributeProto(name="alpha", **fields))

    return change


def duplicate(*path: Any) -> Callable[[onnx.ModelProto], None]:
    """Repeats the first element of a list of the model."""

    def change(model: onnx.ModelProto) -> None:
        items: Any = model
        for step in path:
            items = items[step] if isinstance(step, int) else getattr(items, step)
        items.add().CopyFrom(items[0])

    return change


FAULTS: dict[str, tuple[Callable[[onnx.ModelProto], Any], str]] = {
    "two initializers of a name": (duplicate("graph", "initializer"), "two initializers have the name 'w'"),
    "an initializer without a name": (lambda m: m.graph.initializer[0].ClearField("name"), "initializer has no name"),
    "two inputs of a name": (duplicate("graph", "input"), "an input has the name of another"),
    "an input without a name": (lambda m: m.graph.input[0].ClearField("name"), "an input has no name"),
    "two nodes with an output": (duplicate("graph", "node"), "'t', which is defined already"),
    "an output that is an input": (lambda m: m.graph.node[1].output.__setitem__(0, "x"), "has a cycle"),
    "two attributes of a name": (duplicate("graph", "node", 1, "attribute"), "has two attributes 'alpha'"),
    "a node that reads itself": (lambda m: m.graph.node[0].input.__setitem__(0, "t"), "has a cycle"),
    "no operator": (lambda m: m.graph.node[0].ClearField("op_type"), "has no operator"),
    "an output that nobody makes": (lambda m: setattr(m.graph.output[0], "name", "q"), "makes the output 'q'"),
    "an output without a name": (lambda m: m.graph.output[0].ClearField("name"), "makes the output ''"),
    "an input without a type": (lambda m: m.graph.input[0].ClearField("type"), "the input 'x' has no type"),
    "an input of an unknown type": (
        lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 99),
        "the unknown element type 99",
    ),
    "an initializer of another type than its input": (
        lambda m: m.graph.input.append(helper.make_tensor_value_info("w", TensorProto.INT64, [2])),
        r"'w' is declared as int64\[2\], but its initializer is float\[2\]",
    ),
    "an initializer of another shape than its input": (
        lambda m: m.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [3])),
        r"'w' is declared as float\[3\], but its initializer is float\[2\]",
    ),
    "an attribute of another type": (attribute(type=AttributeProto.INT, i=1), "'alpha' is int 1, expected a float"),
    "an attribute without a type": (attribute(), "'alpha' has the unknown type 0"),
    "an attribute with a value of another type": (
        attribute(type=AttributeProto.FLOAT, i=1),
        "'alpha' states the type FLOAT, but its field 'i' is set",
    ),
    "a reference to an attribute outside a function": (
        attribute(type=AttributeProto.FLOAT, ref_attr_name="slope"),
        "'alpha' refers to one of a function",
    ),
    "a map type without a key": (
        lambda m: m.graph.input[0].type.map_type.value_type.tensor_type.SetInParent(),
        "does not say the type of its keys",
    ),
    "a domain in two versions": (
        lambda m: m.opset_import.add(domain="ai.onnx", version=7),
        "'ai.onnx' is imported in the two versions 18 and 7",
    ),
    "opset 0": (lambda m: setattr(m.opset_import[0], "version", 0), "'ai.onnx' is imported in version 0"),
    "opset -1": (lambda m: setattr(m.opset_import[0], "version", -1), "'ai.onnx' is imported in version -1"),
    "no opset": (lambda m: m.ClearField("opset_import"), "'ai.onnx' is not imported"),
}


@pytest.mark.parametrize(("change", "message"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named(change: Callable[[onnx.ModelProto], Any], message: str) -> None:
    model = simple()
    change(model)
    for source in (model, model.SerializeToString()):
        with pytest.raises(InvalidGraph, match=message):
            InferenceSession(source, providers=["ReferenceExecutionProvider"])


@pytest.mark.parametrize("version", [29, 999, 2**31 - 1, 2**31, 2**63 - 1])
@pytest.mark.parametrize("domain", ["", "ai.onnx.ml", "ai.onnx.preview.training", "someone"])
def test_versions_of_the_future(version: int, domain: str) -> None:
    model = simple()
    model.ClearField("opset_import")
    model.opset_import.extend([helper.make_opsetid("", 18), helper.make_opsetid("f", 1)])
    if domain == "":
        model.opset_import[0].version = version
    else:
        model.opset_import.add(domain=domain, version=version)
    model.graph.node[0].domain = domain
    with pytest.raises(NotImplemented):
        InferenceSession(model, providers=["ReferenceExecutionProvider"])


def described_outputs(graph: str) -> list[str]:
    model = parser.parse_model(f"{HEADER} {graph}")
    for value in model.graph.output:
        value.ClearField("type")
    session = InferenceSession(model, providers=["ReferenceExecutionProvider"])
    return [str(value.shape) for value in session.get_outputs()]


def test_outputs_of_nodes_that_break_their_rules_are_described() -> None:
    split = "g (float[8] x) => (float[N] a, float[M] b, float[K] c) { a, b, c = Split <num_outputs = 2> (x) }"
    assert described_outputs(split) == ["[]", "[]", "[]"]
    expand = "g (float[1] x, int64[4611686018427387904] s) => (float[N] y) { y = Expand (x, s) }"
    assert described_outputs(expand) == ["[]"]


def test_a_model_without_outputs_gives_none() -> None:
    model = simple()
    model.graph.ClearField("output")
    session = InferenceSession(model, providers=["ReferenceExecutionProvider"])
    assert session.run(None, {"x": np.ones((1, 2), np.float32)}) == []


def test_names_that_are_no_text() -> None:
    data = MODELS[0]
    for name in (b"LeakyRelu", b"alpha", b"\x0a\x01t"):
        with pytest.raises(InvalidProtobuf, match="is not UTF-8"):
            load_model(data.replace(name, name[:-1] + b"\xff"))


def test_remarks_may_be_anything() -> None:
    model = simple()
    model.doc_string = model.producer_name = "remark"
    loaded = load_model(model.SerializeToString().replace(b"remark", b"rem\xffrk"))
    assert loaded.description == loaded.producer_name == "rem\ufffdrk"


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field of protobuf."""
    length, size = b"", len(content)
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


@pytest.mark.parametrize("depth", [500, 20_000])
def test_bytes_with_graphs_in_graphs(depth: int) -> None:
    graph = b""
    for _ in range(depth):
        graph = field(1, field(5, field(6, graph)))  # GraphProto.node, NodeProto.attribute, AttributeProto.g
    with pytest.raises(InvalidProtobuf):
        load_model(b"\x08\x0a" + field(7, graph))


def test_bytes_with_types_in_types() -> None:
    kind = b""
    for _ in range(500):
        kind = field(4, field(1, kind))  # TypeProto.sequence_type, Sequence.elem_type
    with pytest.raises(InvalidProtobuf):
        load_model(b"\x08\x0a" + field(7, field(11, field(2, kind))))


def nested(depth: int) -> onnx.ModelProto:
    inner = "p = Identity(x)"
    for level in range(depth):
        inner = f"""p = If (c) <then_branch = t{level} () => (float[2] p) {{ {inner} }},
                                else_branch = e{level} () => (float[2] q) {{ q = Neg(x) }}>"""
    return parser.parse_model(f"{HEADER} g (bool c, float[2] x) => (float[2] p) {{ {inner} }}")


def test_graphs_in_graphs() -> None:
    session = InferenceSession(nested(20), providers=["ReferenceExecutionProvider"])
    assert session.run(None, {"c": np.array(True), "x": np.ones(2, np.float32)})[0].tolist() == [1, 1]
    model = simple()
    graph = model.graph
    for _ in range(2000):
        graph = graph.node.add(op_type="If").attribute.add(name="then_branch", type=AttributeProto.GRAPH).g
    with pytest.raises(InvalidGraph, match="too deeply"):
        load_model(model)


def test_types_in_types() -> None:
    model = simple()
    kind = model.graph.input[0].type
    for _ in range(2000):
        kind = kind.sequence_type.elem_type
    kind.tensor_type.elem_type = TensorProto.FLOAT
    with pytest.raises(InvalidGraph, match="too deeply"):
        load_model(model)


def chained(depth: int, calls: int = 1) -> onnx.ModelProto:
    """Functions that each call the next one, so many times."""
    functions = []
    for level in range(depth):
        body = "".join(f" v{i} = f.f{level + 1}(v{i - 1})" for i in range(1, calls + 1))
        text = f'<domain: "f", opset_import: ["": 18, "f": 1]> f{level} (v0) => (v{calls}) {{{body} }}'
        functions.append(text)
    functions.append(f'<domain: "f", opset_import: ["": 18]> f{depth} (a) => (b) {{ b = Neg(a) }}')
    return parser.parse_model(f"{HEADER} g (float[2] x) => (float[2] y) {{ y = f.f0(x) }} {' '.join(functions)}")


def test_functions_that_call_functions() -> None:
    session = InferenceSession(chained(30), providers=["ReferenceExecutionProvider"])
    assert session.run(None, {"x": np.ones(2, np.float32)})[0].tolist() == [-1, -1]
    with pytest.raises(InvalidGraph, match="too deeply"):
        InferenceSession(chained(3000), providers=["ReferenceExecutionProvider"])


def test_functions_that_grow_without_limit() -> None:
    with pytest.raises(InvalidGraph, match="nodes and calls, more than 1000000"):
        InferenceSession(chained(20, calls=4), providers=["ReferenceExecutionProvider"])


def test_functions_that_call_each_other_in_a_circle() -> None:
    model = chained(2)
    model.functions[2].node[0].op_type, model.functions[2].node[0].domain = "f0", "f"
    with pytest.raises(InvalidGraph, match="functions call each other in a circle: f0 -> f1 -> f2 -> f0"):
        load_model(model)


def test_many_nodes_in_reverse_order_are_sorted_at_once() -> None:
    count = 20_000
    nodes = [helper.make_node("Neg", [f"v{i}"], [f"v{i + 1}"]) for i in reversed(range(count))]
    x, y = (helper.make_tensor_value_info(name, 1, [1]) for name in ("v0", f"v{count}"))
    graph = helper.make_graph(nodes, "g", [x], [y])
    model = load_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10))
    assert model.graph.nodes[0].inputs == ("v0",)
