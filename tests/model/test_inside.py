"""Large tensors are cut out of a serialized model before it is parsed, and found in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxlite.errors import InvalidGraph, InvalidProtobuf
from onnxlite.kernels.mapped import mapped_file
from onnxlite.model import load_model
from onnxlite.model.inside import INSIDE, LEAST, without_large_tensors
from onnxlite.model.walk import all_arrays

LARGE = np.arange(LEAST, dtype=np.float32).reshape(2, -1)
SMALL = np.arange(5, dtype=np.float32)


def model() -> onnx.ModelProto:
    """Large tensors as an initializer, in a Constant, in a branch of an If, and in a function."""
    typed = helper.make_tensor_value_info
    branch = helper.make_graph(
        [helper.make_node("Add", ["inner", "x"], ["branch"])],
        "branch",
        [],
        [typed("branch", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(LARGE + 1, "inner")],
    )
    function = helper.make_function(
        "own",
        "Shifted",
        ["a"],
        ["b"],
        [
            helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(LARGE + 2)),
            helper.make_node("Add", ["a", "c"], ["b"]),
        ],
        [helper.make_opsetid("", 18)],
    )
    nodes = [
        helper.make_node("Constant", [], ["constant"], value=numpy_helper.from_array(LARGE + 3)),
        helper.make_node("Shifted", ["x"], ["shifted"], domain="own"),
        helper.make_node("If", ["flag"], ["chosen"], then_branch=branch, else_branch=branch),
        helper.make_node("Sum", ["large", "constant", "shifted", "chosen"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "large",
        [typed("x", TensorProto.FLOAT, [1]), typed("flag", TensorProto.BOOL, [])],
        [typed("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(LARGE, "large"), numpy_helper.from_array(SMALL, "small")],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, opset_imports=opsets, functions=[function])


def arrays(source: object) -> list[list[float]]:
    return sorted(array.ravel().tolist() for array in all_arrays(load_model(source)))  # type: ignore[arg-type]


def test_all_large_tensors_are_cut_out_and_found(tmp_path: Path) -> None:
    proto = model()
    data = proto.SerializeToString()
    slim = without_large_tensors(memoryview(data))
    assert len(data) > 5 * LARGE.nbytes
    assert len(slim) < 5000
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    expected = arrays(proto)
    assert len(expected) == 6
    assert arrays(data) == arrays(path) == expected


def test_arrays_show_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(model().SerializeToString())
    loaded = load_model(path).graph.initializers
    file = mapped_file(loaded["large"])
    assert file is not None
    assert mapped_file(loaded["small"]) is None
    assert not loaded["large"].flags.writeable
    assert file.is_unchanged()
    file.forget(loaded["large"])
    np.testing.assert_array_equal(loaded["large"], LARGE)


def test_a_file_that_was_written_to_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(model().SerializeToString())
    file = mapped_file(load_model(path).graph.initializers["large"])
    assert file is not None
    (tmp_path / "other.onnx").write_bytes(b"another")
    (tmp_path / "other.onnx").replace(path)
    assert file.is_unchanged()  # the one that is mapped is still there, without a name
    path.unlink()
    assert file.is_unchanged()
    path.write_bytes(model().SerializeToString())
    file = mapped_file(load_model(path).graph.initializers["large"])
    assert file is not None
    with open(path, "ab") as end:
        end.write(b"more")
    assert not file.is_unchanged()


@pytest.mark.parametrize("length", [LARGE.nbytes - 4, LARGE.nbytes + 4])
def test_the_size_is_checked(length: int) -> None:
    proto = model()
    proto.graph.initializer[0].raw_data = bytes(length)
    with pytest.raises(InvalidGraph, match=f"takes {LARGE.nbytes} bytes, but has {length}"):
        load_model(proto.SerializeToString())


def test_no_other_file_is_called_so(tmp_path: Path) -> None:
    proto = model()
    for tensor in proto.graph.initializer[:]:
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=INSIDE)
    with pytest.raises(InvalidGraph):
        load_model(proto)


def test_what_is_no_model_is_left_to_the_parser() -> None:
    data = model().SerializeToString()
    for broken in (data[: len(data) // 2], data[:-1], b"\x0a\xff" + data, bytes(LEAST * 2), b"\xff" * LEAST * 2):
        assert without_large_tensors(memoryview(broken)) is not None
        with pytest.raises((InvalidProtobuf, InvalidGraph)):
            load_model(broken)


def test_a_long_list_of_numbers_is_not_looked_through() -> None:
    numbers = onnx.AttributeProto(name="a", type=onnx.AttributeProto.FLOATS, floats=[1.0] * LEAST)
    node = onnx.NodeProto(op_type="Constant", attribute=[numbers])
    proto = onnx.ModelProto(graph=onnx.GraphProto(node=[node]))
    data = memoryview(proto.SerializeToString())
    assert without_large_tensors(data) is data
