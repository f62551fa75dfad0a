"""External data: mapped from the model's own folder, refused from anywhere else (onnx's ExternalDataSecurity.md)."""

from __future__ import annotations

import gc
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from onnxlite import InferenceSession
from onnxlite.errors import InvalidGraph, OnnxliteError
from onnxlite.kernels.dtypes import ELEMENT_TYPES, ElementType
from onnxlite.model import load_model

posix = pytest.mark.skipif(os.name != "posix", reason="links and pipes as on POSIX")
DATA = np.array([1, 2, 3, 4], np.float32)


def external_model(entries: dict[str, str], code: int = TensorProto.FLOAT, dims: tuple[int, ...] = (4,)) -> bytes:
    """A model that adds an external tensor to its input."""
    tensor = TensorProto(name="w", data_type=code, dims=dims, data_location=TensorProto.EXTERNAL)
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    node = helper.make_node("Identity", ["w"], ["y"])
    output = helper.make_tensor_value_info("y", code, dims)
    graph = helper.make_graph([node], "g", [], [output], [tensor])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 24)], ir_version=11)
    return bytes(model.SerializeToString())


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Any]:
    """Loads a model with these entries from a folder below the temporary one."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "w.bin").write_bytes(DATA.tobytes())
    (tmp_path / "outside.bin").write_bytes(DATA.tobytes())

    def load(*arguments: Any, **entries: str) -> Any:
        (folder / "model.onnx").write_bytes(external_model(entries, *arguments))
        return load_model(folder / "model.onnx").graph.initializers["w"]

    return load


def test_a_tensor_is_mapped_read_only(load: Callable[..., Any]) -> None:
    for entries in ({}, {"offset": "0", "length": "16"}, {"checksum": "abc", "basepath": "/"}):
        array = load(location="w.bin", **entries)
        assert array.tolist() == DATA.tolist()
        assert not array.flags.writeable
    assert load(location="./w.bin").tolist() == DATA.tolist()


def test_a_mapped_file_stays_while_an_array_shows_it(tmp_path: Path, load: Callable[..., Any]) -> None:
    array = load(location="w.bin")
    (tmp_path / "model" / "w.bin").unlink()
    gc.collect()
    assert array.tolist() == DATA.tolist()


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts the open files")
def test_a_file_is_opened_once_however_many_tensors_it_holds(tmp_path: Path) -> None:
    tensors = []
    for index in range(300):
        tensor = TensorProto(name=f"w{index}", data_type=1, dims=[1], data_location=TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value="w.bin")
        tensor.external_data.add(key="offset", value=str(4 * index))
        tensors.append(tensor)
    graph = helper.make_graph([], "g", [], [helper.make_tensor_value_info("w0", 1, [1])], tensors)
    path = tmp_path / "model.onnx"
    path.write_bytes(helper.make_model(graph, ir_version=10).SerializeToString())
    (tmp_path / "w.bin").write_bytes(np.arange(300, dtype=np.float32).tobytes())
    before = len(os.listdir("/proc/self/fd"))
    model = load_model(path)
    assert len(os.listdir("/proc/self/fd")) - before <= 1
    assert [model.graph.initializers[f"w{index}"][0] for index in range(300)] == list(range(300))


def test_a_tensor_below_the_folder(tmp_path: Path, load: Callable[..., Any]) -> None:
    deep = tmp_path / "model" / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "w.bin").write_bytes(DATA.tobytes())
    assert load(location="a/b/w.bin").tolist() == DATA.tolist()


@pytest.mark.parametrize("element", [e for e in ELEMENT_TYPES if e.onnx != "string"], ids=lambda e: e.onnx)
@pytest.mark.parametrize("offset", [0, 3])
def test_tensors_of_every_type(tmp_path: Path, load: Callable[..., Any], element: ElementType, offset: int) -> None:
    array = np.array([1, 0, 1, 1, 0] if element.bits < 3 or element.onnx == "bool" else [1, 2, 4, 1, 2])
    array = array.astype(element.dtype)
    raw = numpy_helper.from_array(array).raw_data
    (tmp_path / "model" / "w.bin").write_bytes(b"\xff" * offset + raw + b"\xff")
    loaded = load(element.code, (5,), location="w.bin", offset=str(offset), length=str(len(raw)))
    assert loaded.dtype == element.dtype
    assert loaded.tolist() == array.tolist()
    assert not loaded.flags.writeable
    assert loaded.flags.aligned


def test_truth_values_are_0_or_1(tmp_path: Path, load: Callable[..., Any]) -> None:
    (tmp_path / "model" / "w.bin").write_bytes(b"\0\1\7\xff")
    assert load(TensorProto.BOOL, (4,), location="w.bin").view(np.uint8).tolist() == [0, 1, 1, 1]


def test_empty_tensors_and_scalars(tmp_path: Path, load: Callable[..., Any]) -> None:
    assert load(TensorProto.FLOAT, (), location="w.bin").tolist() == 1.0
    assert load(TensorProto.FLOAT, (0, 3), location="w.bin", offset="16").shape == (0, 3)
    (tmp_path / "model" / "w.bin").write_bytes(b"")
    assert load(TensorProto.FLOAT, (0,), location="w.bin").shape == (0,)
    with pytest.raises(InvalidGraph, match=r"takes bytes 0 to 16 of 'w.bin', which has 0"):
        load(location="w.bin")


OUTSIDE = {
    "parent": "../outside.bin",
    "parent inside": "a/../../outside.bin",
    "parent of itself": "x/../w.bin",
    "windows parent": "..\\outside.bin",
    "windows drive": "C:w.bin",
    "windows root": "\\w.bin",
    "windows share": "\\\\server\\share\\w.bin",
    "zero": "w.bin\0",
    "only dots": "..",
    "the folder": ".",
    "nothing": "/",
    "home": "~/w.bin",
    "url": "file:///etc/passwd",
    "control character": "w\x01.bin",
}


@pytest.mark.parametrize("location", OUTSIDE.values(), ids=OUTSIDE)
def test_a_location_outside_the_folder(load: Callable[..., Any], location: str) -> None:
    with pytest.raises(InvalidGraph, match=r"tensor 'w': external (location|file)"):
        load(location=location)


def test_an_absolute_location(tmp_path: Path, load: Callable[..., Any]) -> None:
    for target in (tmp_path / "outside.bin", tmp_path / "model" / "w.bin", Path("/etc/passwd")):
        with pytest.raises(InvalidGraph, match="is not relative to the model's folder"):
            load(location=str(target))


@posix
def test_a_link_to_a_file(tmp_path: Path, load: Callable[..., Any]) -> None:
    folder = tmp_path / "model"
    (folder / "link.bin").symlink_to(tmp_path / "outside.bin")
    (folder / "inner.bin").symlink_to("w.bin")
    (folder / "dangling.bin").symlink_to("nowhere")
    for name in ("link.bin", "inner.bin", "dangling.bin"):
        with pytest.raises(InvalidGraph, match=f"'{name}' cannot be used: it is or passes through a symbolic link"):
            load(location=name)


@posix
def test_a_link_to_a_folder(tmp_path: Path, load: Callable[..., Any]) -> None:
    (tmp_path / "model" / "link").symlink_to(tmp_path)
    with pytest.raises(InvalidGraph, match="passes through a symbolic link"):
        load(location="link/outside.bin")


@posix
def test_a_file_with_another_name(tmp_path: Path, load: Callable[..., Any]) -> None:
    os.link(tmp_path / "outside.bin", tmp_path / "model" / "hard.bin")
    with pytest.raises(InvalidGraph, match=r"'hard\.bin' cannot be used: it has several hard links"):
        load(location="hard.bin")


@posix
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, load: Callable[..., Any]) -> None:
    folder = tmp_path / "model"
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(InvalidGraph, match=f"'{name}' cannot be used: it is not a regular file"):
            load(location=name)


def test_a_file_that_is_not_there(load: Callable[..., Any]) -> None:
    for location in ("none.bin", "none/w.bin", "w.bin/w.bin"):
        with pytest.raises(InvalidGraph, match="cannot be used: "):
            load(location=location)


def test_no_location(load: Callable[..., Any]) -> None:
    for entries in ({}, {"location": ""}):
        with pytest.raises(InvalidGraph, match="names no location"):
            load(**entries)


def test_an_unknown_key_is_ignored_with_a_warning(load: Callable[..., Any]) -> None:
    with pytest.warns(UserWarning, match="unknown key '__class__'"):
        assert load(location="w.bin", __class__="evil").tolist() == DATA.tolist()


@pytest.mark.parametrize("key", ["offset", "length"])
@pytest.mark.parametrize("value", ["-1", "x", "1.5", "0x10", "", " 1", "1" * 30, "٣", "1e3", "+1"])
def test_a_number_that_is_none(load: Callable[..., Any], key: str, value: str) -> None:
    with pytest.raises(InvalidGraph, match=f"external data has {key} .*, expected a non-negative integer"):
        load(location="w.bin", **{key: value})


@pytest.mark.parametrize("offset", [1, 16, 17, 2**31, 2**62, 2**63 - 1, 10**18])
def test_an_offset_past_the_end(load: Callable[..., Any], offset: int) -> None:
    with pytest.raises(InvalidGraph, match=f"takes bytes {offset} to {offset + 16} of 'w.bin', which has 16"):
        load(location="w.bin", offset=str(offset))


@pytest.mark.parametrize("length", [0, 15, 17, 2**40, 2**63 - 1])
def test_a_length_that_the_shape_does_not_have(load: Callable[..., Any], length: int) -> None:
    with pytest.raises(InvalidGraph, match=f"has length {length}, but its type and shape take 16 bytes"):
        load(location="w.bin", length=str(length))


@pytest.mark.parametrize("dims", [(2**40,), (2**62,), (2**31, 2**31), (2**62, 2**62, 0), (-1,), (4, -2)])
def test_a_shape_that_the_file_does_not_have(load: Callable[..., Any], dims: tuple[int, ...]) -> None:
    with pytest.raises(InvalidGraph, match="tensor 'w'"):
        load(TensorProto.FLOAT, dims, location="w.bin")


def test_a_file_that_was_cut(tmp_path: Path, load: Callable[..., Any]) -> None:
    (tmp_path / "model" / "w.bin").write_bytes(DATA.tobytes()[:-1])
    with pytest.raises(InvalidGraph, match="which has 15"):
        load(location="w.bin")


def test_text_is_never_external(load: Callable[..., Any]) -> None:
    with pytest.raises(InvalidGraph, match="holds strings, which cannot be raw or external data"):
        load(TensorProto.STRING, (1,), location="w.bin")


def test_a_model_without_a_folder() -> None:
    with pytest.raises(InvalidGraph, match="a model given as bytes has no folder"):
        load_model(external_model({"location": "w.bin"}))
    with pytest.raises(InvalidGraph, match="has no folder"):
        load_model(onnx.ModelProto.FromString(external_model({"location": "w.bin"})))


def test_the_folder_can_be_given(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(DATA.tobytes())
    for folder in (tmp_path, str(tmp_path)):
        model = load_model(external_model({"location": "w.bin"}), folder)
        assert model.graph.initializers["w"].tolist() == DATA.tolist()
    with pytest.raises(InvalidGraph, match="cannot be used"):
        load_model(external_model({"location": "w.bin"}), tmp_path / "nowhere")


def test_the_folder_is_that_of_an_open_file_or_of_a_relative_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "w.bin").write_bytes(DATA.tobytes())
    (tmp_path / "model.onnx").write_bytes(external_model({"location": "w.bin"}))
    with (tmp_path / "model.onnx").open("rb") as file:
        assert load_model(file).graph.initializers["w"].tolist() == DATA.tolist()
    monkeypatch.chdir(tmp_path)
    assert load_model("model.onnx").graph.initializers["w"].tolist() == DATA.tolist()


def test_files_in_memory(tmp_path: Path) -> None:
    model = load_model(external_model({"location": "../w.bin"}), external_files={"../w.bin": DATA.tobytes()})
    assert model.graph.initializers["w"].tolist() == DATA.tolist()
    with pytest.raises(InvalidGraph, match="which has 3"):
        load_model(external_model({"location": "w.bin"}), external_files={"w.bin": b"abc"})


def test_attributes_and_sparse_tensors_can_be_external(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(DATA.tobytes() + np.array([0, 2, 4, 5]).tobytes())

    def external(offset: int, code: int) -> TensorProto:
        tensor = TensorProto(name="w", data_type=code, dims=[4], data_location=TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value="w.bin")
        tensor.external_data.add(key="offset", value=str(offset))
        return tensor

    sparse = onnx.SparseTensorProto(values=external(0, 1), indices=external(16, 7), dims=[6])
    nodes = [
        helper.make_node("Constant", [], ["y"], value=external(0, 1)),
        helper.make_node("Constant", [], ["z"], sparse_value=sparse),
    ]
    outputs = [helper.make_tensor_value_info("y", 1, [4]), helper.make_tensor_value_info("z", 1, [6])]
    path = tmp_path / "model.onnx"
    graph = helper.make_graph(nodes, "g", [], outputs)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    y, z = InferenceSession(path, providers=["ReferenceExecutionProvider"]).run(None, {})
    assert y.tolist() == [1, 2, 3, 4]
    assert z.tolist() == [1, 0, 2, 0, 3, 4]


def test_what_onnx_saves_is_loaded(tmp_path: Path) -> None:
    arrays = {f"w{i}": np.random.default_rng(i).normal(size=(i + 1, 300)).astype(np.float32) for i in range(4)}
    tensors = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    outputs = [helper.make_tensor_value_info(name, 1, array.shape) for name, array in arrays.items()]
    model = helper.make_model(helper.make_graph([], "g", [], outputs, tensors), ir_version=10)
    for one_file in (True, False):
        folder = tmp_path / str(one_file)
        folder.mkdir()
        onnx.save(model, folder / "model.onnx", save_as_external_data=True, all_tensors_to_one_file=one_file)
        model = onnx.load(folder / "model.onnx")
        results = InferenceSession(folder / "model.onnx", providers=["ReferenceExecutionProvider"]).run(None, {})
        for result, array in zip(results, arrays.values(), strict=True):
            np.testing.assert_array_equal(result, array)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("external")
    (folder / "w.bin").write_bytes(DATA.tobytes())
    return folder


@given(
    entries=st.dictionaries(
        st.sampled_from(["location", "offset", "length", "checksum", "basepath", "other"]),
        st.one_of(st.text(max_size=12), st.just("w.bin"), st.integers(-20, 40).map(str)),
    ),
    dims=st.lists(st.one_of(st.integers(-2, 6), st.integers()), max_size=3).filter(
        lambda dims: all(-(2**63) <= d < 2**63 for d in dims)
    ),
    code=st.sampled_from([element.code for element in ELEMENT_TYPES]),
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_whatever_the_entries_are_the_answer_is_an_array_or_an_error(
    folder: Path, entries: dict[str, str], dims: list[int], code: int
) -> None:
    try:
        data = external_model(entries, code, tuple(dims))
    except (ValueError, UnicodeEncodeError):  # protobuf cannot hold it
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            array = load_model(data, folder).graph.initializers["w"]
        except OnnxliteError:
            return
    assert array.shape == tuple(dims)
    assert sys.getsizeof(array) < 10_000
