"""IOBinding: inputs and outputs in memory of the user's choice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

import onnxlite
from onnxlite import InferenceSession, IOBinding, OrtValue
from onnxlite.errors import Fail

GRAPH = "g (float[N, 2] x, int64[3] i) => (float[N, 2] y, int64[3] z) { y = Neg(x) z = Add(i, i) }"


@pytest.fixture
def session(session_of: Callable[..., InferenceSession]) -> InferenceSession:
    return session_of(GRAPH)


@pytest.fixture
def x() -> Any:
    return np.arange(6, dtype=np.float32).reshape(3, 2)


@pytest.fixture
def binding(session: InferenceSession, x: Any) -> IOBinding:
    binding = session.io_binding()
    binding.bind_cpu_input("x", x)
    binding.bind_cpu_input("i", np.arange(3))
    return binding


def test_outputs_come_in_the_order_they_were_bound_in(session: InferenceSession, binding: IOBinding, x: Any) -> None:
    binding.bind_output("z", "cpu")
    binding.bind_output("y")
    session.run_with_iobinding(binding)
    z, y = binding.get_outputs()
    np.testing.assert_array_equal(y.numpy(), -x)
    np.testing.assert_array_equal(z.numpy(), [0, 2, 4])
    for ours, value in zip(binding.copy_outputs_to_cpu(), (z, y), strict=True):
        np.testing.assert_array_equal(ours, value.numpy())


def test_inputs_are_read_when_the_session_runs(session: InferenceSession, binding: IOBinding, x: Any) -> None:
    binding.bind_output("y")
    x[0, 0] = 50
    session.run_with_iobinding(binding)
    assert binding.get_outputs()[0].numpy()[0, 0] == -50
    x[0, 0] = 60
    session.run_with_iobinding(binding)
    assert binding.get_outputs()[0].numpy()[0, 0] == -60


def test_an_input_can_be_memory_at_an_address(session: InferenceSession, binding: IOBinding, x: Any) -> None:
    for element in (np.float32, TensorProto.FLOAT):
        binding.bind_input("x", "cpu", 0, element, x.shape, x.ctypes.data)
        binding.bind_output("y")
        session.run_with_iobinding(binding)
        np.testing.assert_array_equal(binding.get_outputs()[0].numpy(), -x)


def test_an_output_can_be_memory_at_an_address(session: InferenceSession, binding: IOBinding, x: Any) -> None:
    out = np.zeros((3, 2), np.float32)
    binding.bind_output("y", "cpu", 0, np.float32, out.shape, out.ctypes.data)
    session.run_with_iobinding(binding)
    np.testing.assert_array_equal(out, -x)
    assert binding.get_outputs()[0].data_ptr() == out.ctypes.data
    with pytest.raises(ValueError, match="`element_type` and `shape` are to be provided"):
        binding.bind_output("y", buffer_ptr=out.ctypes.data)


def test_an_output_can_be_an_ort_value(session: InferenceSession, binding: IOBinding, x: Any) -> None:
    value = OrtValue.ortvalue_from_shape_and_type([3, 2], np.float32)
    binding.bind_ortvalue_output("y", value)
    session.run_with_iobinding(binding)
    np.testing.assert_array_equal(value.numpy(), -x)
    assert binding.get_outputs()[0] is value


@pytest.mark.parametrize(("shape", "element"), [([4, 2], np.float32), ([3, 2], np.float64)])
def test_an_output_has_to_fit_its_memory(
    session: InferenceSession, binding: IOBinding, shape: list[int], element: Any
) -> None:
    binding.bind_ortvalue_output("y", OrtValue.ortvalue_from_shape_and_type(shape, element))
    with pytest.raises(RuntimeError, match="the output 'y' does not fit what it is bound to"):
        session.run_with_iobinding(binding)


def test_binding_again_replaces(session: InferenceSession, binding: IOBinding, x: Any) -> None:
    binding.bind_output("y")
    binding.bind_ortvalue_input("x", OrtValue.ortvalue_from_numpy(x * 2))
    session.run_with_iobinding(binding)
    np.testing.assert_array_equal(binding.get_outputs()[0].numpy(), -2 * x)


def test_clearing(session: InferenceSession, binding: IOBinding) -> None:
    binding.bind_output("y")
    binding.clear_binding_outputs()
    with pytest.raises(RuntimeError, match="At least one output should be requested"):
        session.run_with_iobinding(binding)
    binding.bind_output("y")
    binding.clear_binding_inputs()
    with pytest.raises(ValueError, match=r"Required inputs \(\['x', 'i'\]\) are missing"):
        session.run_with_iobinding(binding)


def test_outputs_before_a_run_are_empty(binding: IOBinding) -> None:
    binding.bind_output("y")
    assert not binding.get_outputs()[0].has_value()


def test_what_cannot_be_bound(session: InferenceSession, binding: IOBinding, x: Any) -> None:
    with pytest.raises(Fail, match="Failed to find NodeArg with name: q"):
        binding.bind_cpu_input("q", x)
    with pytest.raises(Fail, match="the input 'x' is bound to list, expected an array"):
        binding.bind_cpu_input("x", [[1.0]])
    binding.bind_output("nope")
    with pytest.raises(onnxlite.OnnxliteError, match="Invalid output name: nope"):
        session.run_with_iobinding(binding)


def test_a_binding_belongs_to_its_session(session_of: Callable[..., InferenceSession], binding: IOBinding) -> None:
    with pytest.raises(ValueError, match="must be used with the session that created it"):
        session_of(GRAPH).run_with_iobinding(binding)


def test_sequences_can_be_outputs(session_of: Callable[..., InferenceSession]) -> None:
    session = session_of("g (float[2] x) => (seq(float[2]) s) { s = SequenceConstruct(x, x) }")
    binding = session.io_binding()
    binding.bind_cpu_input("x", np.ones(2, np.float32))
    binding.bind_output("s")
    session.run_with_iobinding(binding)
    (s,) = binding.copy_outputs_to_cpu()
    assert [item.tolist() for item in s] == [[1, 1], [1, 1]]
    binding.synchronize_inputs()
    binding.synchronize_outputs()
