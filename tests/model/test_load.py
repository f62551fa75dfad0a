"""Loading: every form that a model comes in, and what the IR says of it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

from onnxlite import InferenceSession
from onnxlite.errors import Fail, InvalidGraph, InvalidProtobuf, NoModel, NoSuchFile, NotImplemented
from onnxlite.kernels.dtypes import ELEMENT_TYPES, ElementType
from onnxlite.model import AttributeReference, Graph, Model, load_model
from onnxlite.model.types import MapType, OptionalType, SequenceType, SparseTensorType, TensorType

TEXT = """
<ir_version: 10, opset_import: ["": 18, "f": 1], producer_name: "someone", model_version: 3, doc_string: "what for">
g (float[N, 2] x) => (float[N, 2] y) <float[2] w = {1.5, -2}> { t = f.shift(x, w) y = Relu(t) }
<domain: "f", opset_import: ["": 18]>
shift (a, b) => (c) { c = Add(a, b) }
"""


def text_model() -> onnx.ModelProto:
    return parser.parse_model(TEXT)


def simple(**fields: Any) -> onnx.ModelProto:
    model = parser.parse_model(
        """<ir_version: 10, opset_import: ["": 18]>
        g (float[2] x) => (float[2] y) <float[2] w = {1, 2}> { y = Add(x, w) }"""
    )
    for name, value in fields.items():
        setattr(model, name, value)
    return model


FORMS = ["onnx", "pb", "textproto", "prototxt", "pbtxt", "json", "onnxjson", "onnxtxt", "onnxtext", "anything"]


@pytest.mark.filterwarnings("ignore:The onnxtxt format")
@pytest.mark.parametrize("extension", FORMS)
def test_a_file_is_read_by_its_extension(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"model.{extension}"
    onnx.save(text_model(), path, None if extension != "anything" else "protobuf")
    expected = repr(load_model(text_model()))
    for source in (path, str(path)):
        assert repr(load_model(source)) == expected


def test_bytes_files_and_protobufs_are_the_same_model(tmp_path: Path) -> None:
    proto = text_model()
    data = proto.SerializeToString()
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    expected = repr(load_model(proto))
    with path.open("rb") as file:
        sources = (data, bytearray(data), memoryview(data), io.BytesIO(data), file)
        assert [repr(load_model(source)) for source in sources] == [expected] * len(sources)
    model = load_model(proto)
    assert load_model(model) is model


def test_a_file_has_to_be_opened_in_binary_mode(tmp_path: Path) -> None:
    path = tmp_path / "model.txt"
    path.write_text("text")
    with path.open() as file, pytest.raises(TypeError, match="is opened in binary mode; reading it gives str"):
        load_model(file)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:The onnxtxt format")
@pytest.mark.parametrize(
    ("extension", "content"),
    [
        ("onnx", b"\xff\xff"),
        ("textproto", b"ir_version: {"),
        ("json", b"{"),
        ("onnxtxt", b"agraph ("),
        ("json", b"\xff"),
    ],
)
def test_a_file_that_cannot_be_parsed(tmp_path: Path, extension: str, content: bytes) -> None:
    path = tmp_path / f"model.{extension}"
    path.write_bytes(content)
    with pytest.raises(InvalidProtobuf, match=f"model.{extension}' is not a serialized ONNX model"):
        load_model(path)


def test_a_path_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(NoSuchFile, match="does not exist"):
        load_model(tmp_path / "none.onnx")
    with pytest.raises(NoSuchFile, match="is not a file"):
        load_model(tmp_path)
    with pytest.raises(NoSuchFile):
        load_model("a\0b.onnx")


def test_a_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"")

    def refuse(*arguments: Any) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(Fail, match=r"model\.onnx' cannot be read: Permission denied"):
        load_model(path)


def test_onnxruntimes_own_format_is_told_apart() -> None:
    with pytest.raises(NotImplemented, match="onnxruntime's own format"):
        load_model(b"\x00\x00\x00\x00ORTM" + b"\x00" * 100)


@pytest.mark.parametrize("source", [b"", onnx.ModelProto(ir_version=8)])
def test_no_graph(source: Any) -> None:
    with pytest.raises(NoModel, match="No graph was found in the protobuf"):
        load_model(source)


def test_the_fields_of_the_model() -> None:
    proto = text_model()
    proto.metadata_props.add(key="k", value="v")
    proto.domain, proto.graph.doc_string, proto.producer_version = "d.e", "the graph", "1.2"
    model = load_model(proto)
    assert (model.ir_version, model.producer_name, model.producer_version) == (10, "someone", "1.2")
    assert (model.domain, model.version, model.description) == ("d.e", 3, "what for")
    assert (model.graph.name, model.graph.description) == ("g", "the graph")
    assert model.metadata == {"k": "v"}
    assert model.opset_imports == {"": 18, "f": 1}
    proto.ClearField("model_version")
    assert load_model(proto).version is None


def test_functions() -> None:
    model = load_model(text_model())
    function = model.functions["f", "shift", ""]
    assert (function.inputs, function.outputs) == (("a", "b"), ("c",))
    assert function.nodes[0].opset == 18
    assert model.graph.nodes[0].operator == "f.shift"
    (y,) = InferenceSession(text_model(), providers=["ReferenceExecutionProvider"]).run(
        None, {"x": np.ones((1, 2), np.float32)}
    )
    assert y.tolist() == [[2.5, 0]]


def test_functions_have_opsets_attributes_and_defaults_of_their_own() -> None:
    model = parser.parse_model(
        """<ir_version: 10, opset_import: ["": 18, "f": 1]>
        g (float[2] x) => (float[2] y, float[2] z) { y = f.leak(x) z = f.leak <slope: float = 0.5> (x) }
        <domain: "f", opset_import: ["": 6]> leak <slope: float = 0.25> (a) => (b)
        { b = LeakyRelu <alpha: float = @slope> (a) }"""
    )
    loaded = load_model(model).functions["f", "leak", ""]
    assert loaded.nodes[0].attributes == {"alpha": AttributeReference("slope")}
    assert loaded.nodes[0].opset == 6
    y, z = InferenceSession(model, providers=["ReferenceExecutionProvider"]).run(
        None, {"x": np.array([-1, 1], np.float32)}
    )
    assert (y.tolist(), z.tolist()) == ([-0.25, 1], [-0.5, 1])


def test_overloads_are_different_functions() -> None:
    model = parser.parse_model(
        """<ir_version: 10, opset_import: ["": 18, "f": 1]>
        g (float[1] x) => (float[1] y) { y = f.one(x) }
        <domain: "f", opset_import: ["": 18]> one (a) => (b) { b = Neg(a) }
        <domain: "f", opset_import: ["": 18]> two (a) => (b) { b = Abs(a) }"""
    )
    model.functions[1].name, model.functions[1].overload = "one", "other"
    x = {"x": np.array([-2], np.float32)}
    assert InferenceSession(model, providers=["ReferenceExecutionProvider"]).run(None, x)[0] == 2
    model.graph.node[0].overload = "other"
    y = InferenceSession(model, providers=["ReferenceExecutionProvider"]).run(None, x)[0]
    assert y == 2
    model.graph.node[0].overload = ""
    model.functions[1].overload = ""
    with pytest.raises(InvalidGraph, match="two functions of the model have the same name"):
        load_model(model)


@pytest.mark.parametrize("version", range(1, onnx.IR_VERSION + 1))
def test_every_ir_version_is_read(version: int) -> None:
    model = simple(ir_version=version)
    if version < 4:  # an initializer is an input then
        model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [2]))
    if version < 3:  # opsets are not imported then
        model.ClearField("opset_import")
        model.graph.node[0].attribute.append(helper.make_attribute("broadcast", 0))
    session = InferenceSession(model, providers=["ReferenceExecutionProvider"])
    assert session.run(None, {"x": np.zeros(2, np.float32)})[0].tolist() == [1, 2]
    assert [value.name for value in session.get_inputs()] == ["x"]
    assert [value.name for value in session.get_overridable_initializers()] == []


def test_without_imports_the_opset_is_1_in_old_models_only() -> None:
    model = simple(ir_version=2)
    model.ClearField("opset_import")
    assert load_model(model).graph.nodes[0].opset == 1
    model.ir_version = 3
    with pytest.raises(InvalidGraph, match=r"'ai\.onnx' is not imported"):
        load_model(model)


def test_attributes_without_a_type_are_those_of_their_field() -> None:
    model = simple(ir_version=1)
    node = model.graph.node[0]
    for attribute in (
        helper.make_attribute("a", 1.5),
        helper.make_attribute("b", 2),
        helper.make_attribute("c", "text"),
        helper.make_attribute("d", [1, 2]),
        helper.make_attribute("e", [1.0, 2.0]),
        helper.make_attribute("f", ["a", "b"]),
    ):
        attribute.ClearField("type")
        node.attribute.append(attribute)
    attributes = load_model(model).graph.nodes[0].attributes
    assert attributes == {"a": 1.5, "b": 2, "c": "text", "d": (1, 2), "e": (1.0, 2.0), "f": ("a", "b")}


def test_attributes_of_every_type() -> None:
    model = simple()
    tensor = numpy_helper.from_array(np.array([1, 2], np.int32), "t")
    graph = helper.make_graph([], "inner", [], [])
    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(np.array([5.0], np.float32)), numpy_helper.from_array(np.array([1])), [3]
    )
    kind = helper.make_tensor_type_proto(TensorProto.FLOAT, ["N"])
    values = {"t": tensor, "g": graph, "s": sparse, "k": kind, "ts": [tensor] * 2, "ss": [sparse], "ks": [kind]}
    for name, value in values.items():
        model.graph.node[0].attribute.append(helper.make_attribute(name, value))
    attributes = load_model(model).graph.nodes[0].attributes
    assert attributes["t"].tolist() == [1, 2]
    assert isinstance(attributes["g"], Graph)
    assert attributes["s"].tolist() == [0, 5, 0]
    assert attributes["k"] == attributes["ks"][0]
    assert repr(attributes["k"]) == "float[N]"
    assert [array.tolist() for array in attributes["ts"]] == [[1, 2], [1, 2]]
    assert attributes["ss"][0].tolist() == [0, 5, 0]


@pytest.mark.parametrize(
    ("indices", "shape", "expected"),
    [
        (np.array([0, 4]), [2, 3], [[7, 0, 0], [0, 8, 0]]),
        (np.array([[0, 2], [1, 0]]), [2, 3], [[0, 0, 7], [8, 0, 0]]),
        (np.array([3, 1]), [4], [0, 8, 0, 7]),
    ],
)
def test_sparse_initializers_are_dense(indices: Any, shape: list[int], expected: Any) -> None:
    model = simple()
    model.graph.ClearField("initializer")
    values = numpy_helper.from_array(np.array([7, 8], np.float32), "w")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, numpy_helper.from_array(indices), shape))
    assert load_model(model).graph.initializers["w"].tolist() == expected


def test_sparse_text_is_filled_with_empty_strings() -> None:
    model = parser.parse_model('<ir_version: 10, opset_import: ["": 18]> g () => (string[3] y) { y = Identity(w) }')
    values = helper.make_tensor("w", TensorProto.STRING, [1], ["a"])
    model.graph.sparse_initializer.append(
        helper.make_sparse_tensor(values, numpy_helper.from_array(np.array([1])), [3])
    )
    assert load_model(model).graph.initializers["w"].tolist() == ["", "a", ""]


def test_types() -> None:
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, ["N", 3, None])
    kinds = {
        "tensor": tensor,
        "sparse": helper.make_sparse_tensor_type_proto(TensorProto.INT8, [2]),
        "sequence": helper.make_sequence_type_proto(tensor),
        "optional": helper.make_optional_type_proto(helper.make_sequence_type_proto(tensor)),
        "map": helper.make_map_type_proto(TensorProto.STRING, tensor),
    }
    model = simple()
    for name, kind in kinds.items():
        model.graph.input.append(helper.make_value_info(name, kind, "what it is"))
    inputs = {value.name: value for value in load_model(model).graph.inputs}
    expected = {
        "tensor": (TensorType, "tensor(float)", "float[N,3,?]"),
        "sparse": (SparseTensorType, "sparse_tensor(int8)", "sparse_tensor(int8)"),
        "sequence": (SequenceType, "seq(tensor(float))", "seq(float[N,3,?])"),
        "optional": (OptionalType, "optional(seq(tensor(float)))", "optional(seq(float[N,3,?]))"),
        "map": (MapType, "map(string,tensor(float))", "map(string,tensor(float))"),
    }
    for name, (kind, text, detailed) in expected.items():
        assert isinstance(inputs[name].type, kind)
        assert (str(inputs[name].type), repr(inputs[name].type)) == (text, detailed)
        assert inputs[name].description == "what it is"


def sample(element: ElementType) -> Any:
    if element.onnx == "string":
        return np.array(["a", "ü\0", ""], object)
    numbers = [1, 0, 1] if element.onnx == "bool" or element.bits == 2 else [1, 4, 2]
    return np.array(numbers).astype(element.dtype)


@pytest.mark.parametrize("element", ELEMENT_TYPES, ids=lambda element: element.onnx)
@pytest.mark.parametrize("raw", [False, True], ids=["fields", "raw"])
def test_tensors_of_every_type(element: ElementType, raw: bool) -> None:
    array = sample(element)
    if element.onnx == "string":  # never raw
        tensor = TensorProto(name="w", data_type=element.code, dims=[3], string_data=[s.encode() for s in array])
    elif raw:
        tensor = numpy_helper.from_array(array, "w")
    else:
        tensor = helper.make_tensor("w", element.code, [3], array.tolist())
    model = simple()
    model.graph.initializer[0].CopyFrom(tensor)
    loaded = load_model(model).graph.initializers["w"]
    assert loaded.dtype == element.dtype
    assert loaded.tolist() == array.tolist()
    assert not loaded.flags.writeable


def test_raw_truth_values_are_0_or_1() -> None:
    model = simple()
    model.graph.initializer[0].CopyFrom(TensorProto(name="w", data_type=TensorProto.BOOL, dims=[3], raw_data=b"\0\1\7"))
    loaded = load_model(model).graph.initializers["w"]
    assert loaded.view(np.uint8).tolist() == [0, 1, 1]


def test_nodes_are_sorted() -> None:
    model = parser.parse_model(
        '<ir_version: 10, opset_import: ["": 18]> g (float[2] x) => (float[2] y) { y = Neg(b) b = Abs(a) a = Relu(x) }'
    )
    assert [node.op_type for node in load_model(model).graph.nodes] == ["Relu", "Abs", "Neg"]


def test_ai_onnx_is_the_default_domain() -> None:
    model = simple()
    model.opset_import[0].domain = "ai.onnx"
    model.graph.node[0].domain = "ai.onnx"
    assert load_model(model).graph.nodes[0].domain == ""
    assert InferenceSession(model).run(None, {"x": np.zeros(2, np.float32)})[0].tolist() == [1, 2]


def test_a_negative_dimension_is_unknown_as_in_onnxruntime() -> None:
    model = simple()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = -1
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    theirs = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    assert InferenceSession(model).get_inputs()[0].shape == theirs.get_inputs()[0].shape == [None]


def test_the_ir_prints_as_a_program() -> None:
    assert repr(load_model(text_model())) == "\n".join(
        [
            "model (IR 10; opsets ai.onnx 18, f 1; someone)",
            "graph g(x: float[N,2])",
            "  w = float[2] [1.5, -2.0]",
            "  t = f.shift(x, w)",
            "  y = Relu(t)",
            "  return y: float[N,2]",
            "function f.shift(a, b)",
            "  c = Add(a, b)",
            "  return c",
        ]
    )


def test_narrow_values_are_exact() -> None:
    model = simple()
    bits = [0x3F80, 0xC000]
    model.graph.initializer[0].CopyFrom(
        TensorProto(name="w", data_type=TensorProto.BFLOAT16, dims=[2], int32_data=bits)
    )
    loaded = load_model(model)
    assert isinstance(loaded, Model)
    np.testing.assert_array_equal(loaded.graph.initializers["w"], np.array([1, -2], ml_dtypes.bfloat16))
