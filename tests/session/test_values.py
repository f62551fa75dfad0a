"""OrtValue: the same answers as onnxruntime's, and the same memory."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto

import onnxlite
from onnxlite import InferenceSession, OrtDevice, OrtValue
from onnxlite.errors import Fail, InvalidArgument, NotImplemented
from onnxlite.outputs import owned

QUESTIONS = (
    "shape",
    "data_type",
    "element_type",
    "is_tensor",
    "is_sparse_tensor",
    "is_tensor_sequence",
    "has_value",
    "device_name",
    "tensor_size_in_bytes",
)


def answers(value: Any) -> list[Any]:
    return [getattr(value, question)() for question in QUESTIONS]


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "i1", "u2", "i8", "?"])
@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
def test_a_value_of_an_array_answers_as_in_onnxruntime(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.ones(shape, dtype)
    ours, theirs = (module.OrtValue.ortvalue_from_numpy(array) for module in (onnxlite, onnxruntime))
    assert answers(ours) == answers(theirs)
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    if array.size:
        assert ours.data_ptr() == theirs.data_ptr()


@pytest.mark.parametrize("element", [np.float32, np.int64, TensorProto.BFLOAT16, TensorProto.FLOAT16, TensorProto.INT4])
def test_a_value_of_a_shape_and_type_answers_as_in_onnxruntime(element: Any) -> None:
    ours, theirs = (module.OrtValue.ortvalue_from_shape_and_type([3, 5], element) for module in (onnxlite, onnxruntime))
    assert answers(ours) == answers(theirs)


def test_the_memory_is_that_of_the_array() -> None:
    array = np.zeros((2, 2), np.float32)
    value = OrtValue.ortvalue_from_numpy(array)
    value.numpy()[0, 0] = 5
    assert array[0, 0] == 5
    value.update_inplace(np.full((2, 2), 7, np.float32))
    value.update_inplace(OrtValue.ortvalue_from_numpy(np.full((2, 2), 8, np.float32)))
    assert array.tolist() == [[8, 8], [8, 8]]
    assert np.shares_memory(np.asarray(value), array)
    assert np.shares_memory(np.from_dlpack(value), array)
    assert not np.shares_memory(np.array(value, copy=True), array)
    assert np.asarray(value, np.float64).dtype == np.float64
    assert value.__dlpack_device__() == (1, 0)


def test_a_value_of_a_dlpack_object_shares_its_memory() -> None:
    array = np.zeros(2, np.float32)
    value = OrtValue.from_dlpack(array)
    value.update_inplace(np.ones(2, np.float32))
    assert array.tolist() == [1, 1]


def test_an_array_with_gaps_is_copied() -> None:
    array = np.arange(8, dtype=np.float32).reshape(2, 4)[:, ::2]
    value = OrtValue.ortvalue_from_numpy(array)
    assert not np.shares_memory(value.numpy(), array)
    np.testing.assert_array_equal(value.numpy(), array)


def test_bits_can_be_read_as_another_type() -> None:
    bits = np.array([0x3F80, 0xC000], np.uint16)
    value = OrtValue.ortvalue_from_numpy_with_onnx_type(bits, TensorProto.BFLOAT16)
    assert value.data_type() == "tensor(bfloat16)"
    assert value.numpy().astype(np.float32).tolist() == [1, -2]
    with pytest.raises(RuntimeError, match="sizes differ"):
        OrtValue.ortvalue_from_numpy_with_onnx_type(bits, TensorProto.FLOAT)


def test_types_that_numpy_lacks_and_text_can_be_held() -> None:
    assert OrtValue.ortvalue_from_numpy(np.ones(3, ml_dtypes.int4)).tensor_size_in_bytes() == 2
    text = OrtValue.ortvalue_from_shape_and_type([2], np.object_)
    assert text.data_type() == "tensor(string)"
    assert text.numpy().tolist() == ["", ""]


@pytest.mark.parametrize(
    "data", [np.zeros((2, 2), np.float32), np.zeros(3, np.float64), np.zeros(4, np.float32)], ids=["2x2", "double", "4"]
)
def test_an_update_has_to_fit(data: Any) -> None:
    with pytest.raises(RuntimeError, match="cannot take data of shape"):
        OrtValue.ortvalue_from_numpy(np.zeros(3, np.float32)).update_inplace(data)


def test_an_update_is_an_array_and_its_target_writable() -> None:
    with pytest.raises(TypeError, match=r"data must be a numpy\.ndarray or an OrtValue"):
        OrtValue.ortvalue_from_numpy(np.zeros(1, np.float32)).update_inplace([1.0])  # type: ignore[arg-type]
    frozen = np.zeros(1, np.float32)
    frozen.flags.writeable = False
    with pytest.raises(Fail, match="may not be written to"):
        OrtValue.ortvalue_from_numpy(frozen).update_inplace(np.ones(1, np.float32))


def test_what_is_no_tensor_says_so() -> None:
    sequence = OrtValue([np.zeros(2, np.float32)])
    assert sequence.is_tensor_sequence()
    assert sequence.data_type() == "seq(tensor(float))"
    assert not sequence.is_tensor()
    for question in (sequence.numpy, sequence.shape, sequence.element_type, sequence.data_ptr):
        with pytest.raises(RuntimeError, match=r"holds seq\(tensor\(float\)\), not a tensor"):
            question()
    empty = OrtValue(None)
    assert not empty.has_value()
    with pytest.raises(RuntimeError, match="holds nothing"):
        empty.numpy()
    with pytest.raises(NotImplemented, match="no sparse OrtValues"):
        sequence.as_sparse_tensor()


@pytest.mark.parametrize("bad", [[1.0], None, "text"])
def test_only_arrays_become_values(bad: Any) -> None:
    with pytest.raises(RuntimeError, match="is made from a NumPy array"):
        OrtValue.ortvalue_from_numpy(bad)


def test_devices() -> None:
    array = np.zeros(1, np.float32)
    with pytest.raises(InvalidArgument, match="Unsupported device type: abacus"):
        OrtValue.ortvalue_from_numpy(array, "abacus", 0)
    with pytest.raises(InvalidArgument, match="Unsupported device type: abacus"):
        OrtDevice.make("abacus", 0)
    device = OrtDevice.make("cuda", 1)
    assert (device.device_type(), device.device_id()) == (1, 1)
    assert OrtDevice.make("cpu", 0).device_type() == 0
    if onnxlite.get_device() == "CPU":
        with pytest.raises(RuntimeError, match="no memory can be taken on the device 'cuda'"):
            OrtValue.ortvalue_from_numpy(array, "cuda", 0)


@pytest.mark.parametrize("shape", [[-1], [2, -3]])
def test_a_shape_has_no_negative_lengths(shape: list[int]) -> None:
    with pytest.raises(RuntimeError, match="cannot have the shape"):
        OrtValue.ortvalue_from_shape_and_type(shape, np.float32)


def test_an_element_type_is_one_of_onnx() -> None:
    with pytest.raises(InvalidArgument, match="is not an element type of ONNX"):
        OrtValue.ortvalue_from_shape_and_type([1], 99)
    with pytest.raises(InvalidArgument, match="is not an element type of ONNX"):
        OrtValue.ortvalue_from_numpy(np.array(["2020"], "M8[D]"))


class OnDevice:
    """As much of a CuPy array as is needed to see where it goes."""

    class device:  # noqa: N801 - as in CuPy
        id = 1

    def __init__(self, array: Any) -> None:
        self.array = array
        self.shape, self.dtype = array.shape, array.dtype
        self.__cuda_array_interface__ = array.__array_interface__

    def get(self) -> Any:
        return self.array.copy()


def test_arrays_on_a_device_are_copied_to_the_host() -> None:
    array = np.arange(3, dtype=np.float32)
    value = OrtValue(OnDevice(array))
    assert value.device_name() == "cuda"
    assert value.shape() == [3]
    assert value.data_type() == "tensor(float)"
    np.testing.assert_array_equal(value.numpy(), array)
    first, (second,) = owned([OnDevice(array), [OnDevice(array)]], [])
    first[:] = second[:] = 7
    assert array.tolist() == [0, 1, 2]
    (kept,) = owned([value.value], [], on_host=False)
    assert kept is value.value


GRAPH = "g (float[2] x, seq(float[2]) s) => (float[2] y, seq(float[2]) t) { y = Neg(x) t = Identity(s) }"


def test_run_with_ort_values(session_of: Callable[..., InferenceSession]) -> None:
    x = np.array([1, 2], np.float32)
    values = {"x": OrtValue.ortvalue_from_numpy(x), "s": OrtValue([])}
    y, t = session_of(GRAPH).run_with_ort_values(None, values)
    assert y.numpy().tolist() == [-1, -2]
    assert t.data_type() == "seq(tensor(float))"
    assert t.value == []
    (again,) = session_of(GRAPH).run_with_ort_values(["x"], values)
    again.update_inplace(np.zeros(2, np.float32))
    assert x.tolist() == [1, 2]
    with pytest.raises(TypeError, match="the input 'x' is ndarray, expected an OrtValue"):
        session_of(GRAPH).run_with_ort_values(None, {"x": x, "s": OrtValue([])})  # type: ignore[dict-item]


def test_a_value_prints_and_pickles() -> None:
    value = OrtValue.ortvalue_from_numpy(np.zeros((1, 2), np.float32))
    assert repr(value) == "OrtValue(tensor(float), shape=[1, 2], device=cpu)"
    assert pickle.loads(pickle.dumps(value)).shape() == [1, 2]
