"""IOBinding: a session's inputs and outputs bound to memory, as onnxruntime's users do it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from onnxlite.devices import array_at, array_on
from onnxlite.errors import Fail
from onnxlite.kernels.arrays import Array, is_array
from onnxlite.values import OrtValue, element_of

if TYPE_CHECKING:
    from onnxlite.session import InferenceSession


@dataclass(slots=True)
class _Target:
    """Where an output goes: to memory that is given, or to a device; ``value`` is what the last run left there."""

    device: tuple[str, int]
    memory: OrtValue | None = None
    value: OrtValue | None = None


class IOBinding:
    """The memory that a session's inputs come from and its outputs go to.

    Binding a name again replaces what was bound to it.  Made by `InferenceSession.io_binding`.
    """

    def __init__(self, session: InferenceSession) -> None:
        self.session = session
        self.inputs: dict[str, OrtValue] = {}
        self._outputs: dict[str, _Target] = {}

    def bind_cpu_input(self, name: str, arr_on_cpu: Array) -> None:
        """Bind an input to an array; what is in the array when the session runs is the input."""
        if not is_array(arr_on_cpu):
            raise Fail(f"the input '{name}' is bound to {type(arr_on_cpu).__name__}, expected an array")
        self.bind_ortvalue_input(name, OrtValue(arr_on_cpu))

    def bind_input(
        self, name: str, device_type: str, device_id: int, element_type: Any, shape: Sequence[int], buffer_ptr: int
    ) -> None:
        """Bind an input to the memory at an address, which has to stay valid.

        Args:
            name: The input's name.
            device_type: ``cpu`` or ``cuda``.
            device_id: Which device.
            element_type: A NumPy type, or a code of ``onnx.TensorProto``.
            shape: The shape.
            buffer_ptr: The address.
        """
        dtype = element_of(element_type).dtype
        self.bind_ortvalue_input(name, OrtValue(array_at(buffer_ptr, shape, dtype, device_type, device_id)))

    def bind_ortvalue_input(self, name: str, ortvalue: OrtValue) -> None:
        """Bind an input to an OrtValue.

        Raises:
            Fail: The model has no such input.
        """
        known = [value.name for value in (*self.session.get_inputs(), *self.session.get_overridable_initializers())]
        if name not in known:
            raise Fail(f"Failed to find NodeArg with name: {name} in the def list: {known}")
        self.inputs[name] = ortvalue

    def bind_output(
        self,
        name: str,
        device_type: str = "cpu",
        device_id: int = 0,
        element_type: Any = None,
        shape: Sequence[int] | None = None,
        buffer_ptr: int | None = None,
    ) -> None:
        """Bind an output to a device, or to the memory at an address, which has to stay valid.

        Args:
            name: The output's name.
            device_type: ``cpu`` or ``cuda``.
            device_id: Which device.
            element_type: With an address: a NumPy type, or a code of ``onnx.TensorProto``.
            shape: With an address: the shape.
            buffer_ptr: The address; without one, each run makes a new array on the device.
        """
        memory = None
        if buffer_ptr is not None:
            if element_type is None or shape is None:
                raise ValueError("`element_type` and `shape` are to be provided if pre-allocated memory is provided")
            memory = OrtValue(array_at(buffer_ptr, shape, element_of(element_type).dtype, device_type, device_id))
        self._outputs[name] = _Target((device_type, device_id), memory)

    def bind_ortvalue_output(self, name: str, ortvalue: OrtValue) -> None:
        """Bind an output to an OrtValue, which each run writes to."""
        self._outputs[name] = _Target(("cpu", 0), ortvalue)

    def output_names(self) -> list[str]:
        """The names of the bound outputs, in the order they were bound in.

        Raises:
            Fail: There are none.
        """
        if not self._outputs:
            raise Fail("Error in execution: At least one output should be requested: bind one with bind_output")
        return list(self._outputs)

    def store(self, results: Sequence[OrtValue]) -> None:
        """Put the results of a run where the outputs are bound to.

        Raises:
            Fail: A result has another shape or type than the memory that it is bound to.
        """
        for (name, target), result in zip(self._outputs.items(), results, strict=True):
            if target.memory is not None:
                try:
                    target.memory.update_inplace(result)
                except Fail as error:
                    raise Fail(
                        f"Error in execution: the output '{name}' does not fit what it is bound to: {error}"
                    ) from error
                target.value = target.memory
            elif result.is_tensor():
                target.value = OrtValue(array_on(result.value, *target.device))
            else:
                target.value = result

    def get_outputs(self) -> list[OrtValue]:
        """The outputs of the last run, in the order they were bound in; an empty OrtValue before the first run."""
        return [target.value or target.memory or OrtValue(None) for target in self._outputs.values()]

    def copy_outputs_to_cpu(self) -> list[Any]:
        """The outputs of the last run as NumPy arrays (lists, dicts) in host memory."""
        return [value.numpy() if value.is_tensor() else value.value for value in self.get_outputs()]

    def clear_binding_inputs(self) -> None:
        """Forget what the inputs are bound to."""
        self.inputs.clear()

    def clear_binding_outputs(self) -> None:
        """Forget what the outputs are bound to."""
        self._outputs.clear()

    def synchronize_inputs(self) -> None:
        """Nothing to wait for: copies are complete when they return."""

    def synchronize_outputs(self) -> None:
        """Nothing to wait for: a run is complete when it returns."""
