"""The ONNX backend interface (onnx.backend.base): the class, and its methods as functions of this module.

::

    import onnxlite.backend as backend

    outputs = backend.prepare(model).run(inputs)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper
from onnx.backend.base import Backend, BackendRep, namedtupledict

from onnxlite.errors import InvalidArgument, OnnxliteError
from onnxlite.kernels.dtypes import element_type
from onnxlite.model import ModelSource
from onnxlite.options import RunOptions, SessionOptions
from onnxlite.process import get_device
from onnxlite.providers import get_available_providers
from onnxlite.session import InferenceSession


class OnnxliteBackendRep(BackendRep):
    """A model that is ready to run; ``session`` is behind it."""

    def __init__(self, session: InferenceSession) -> None:
        self.session = session

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """The outputs.

        Args:
            inputs: The values of the inputs in their order (fewer where the rest is optional), or by name; a single
                array stands for the one input.
            kwargs: Attributes of `onnxlite.RunOptions`.
        """
        options = RunOptions()
        for name, value in kwargs.items():
            setattr(options, name, value)
        return tuple(self.session.run(None, self._by_name(inputs), options))

    def _by_name(self, inputs: Any) -> dict[str, Any]:
        if isinstance(inputs, Mapping):
            return dict(inputs)
        names = [value.name for value in (*self.session.get_inputs(), *self.session.get_overridable_initializers())]
        values = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
        if len(values) > len(names):
            raise InvalidArgument(f"{len(values)} values are given for the {len(names)} inputs {names}")
        return dict(zip(names, values, strict=False))


class OnnxliteBackend(Backend):
    """onnxlite as an ONNX backend.  Devices: ``CPU``, and ``CUDA`` or ``CUDA:1`` where there is one."""

    @classmethod
    def is_compatible(cls, model: ModelSource, device: str = "CPU", **kwargs: Any) -> bool:
        """Whether the model can be run."""
        try:
            cls.prepare(model, device, **kwargs)
        except OnnxliteError:
            return False
        return True

    @classmethod
    def is_opset_supported(cls, model: onnx.ModelProto) -> tuple[bool, str]:
        """Whether the installed onnx knows the versions of the domains that the model imports; if not, which."""
        newest = {"": onnx.defs.onnx_opset_version(), "ai.onnx.ml": onnx.defs.onnx_ml_opset_version()}
        for entry in model.opset_import:
            known = newest.get("" if entry.domain == "ai.onnx" else entry.domain)
            if known is not None and entry.version > known:
                return (
                    False,
                    f"version {entry.version} of the domain '{entry.domain or 'ai.onnx'}' is newer than {known}",
                )
        return True, ""

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether models can be run on a device."""
        kind = device.partition(":")[0]
        return kind == "CPU" or (kind in ("CUDA", "GPU") and get_device() == "GPU")

    @classmethod
    def prepare(
        cls, model: ModelSource | InferenceSession | OnnxliteBackendRep, device: str = "CPU", **kwargs: Any
    ) -> OnnxliteBackendRep:
        """Make a model ready to run.

        Args:
            model: The model, in any form that a session takes, or a session.
            device: Where it runs.
            kwargs: ``providers`` and ``provider_options`` of a session, and attributes of `onnxlite.SessionOptions`.
        """
        if isinstance(model, OnnxliteBackendRep):
            return model
        if isinstance(model, InferenceSession):
            return OnnxliteBackendRep(model)
        providers = kwargs.pop("providers", None) or _providers(device)
        provider_options = kwargs.pop("provider_options", None)
        options = kwargs.pop("sess_options", None) or SessionOptions()
        for name, value in kwargs.items():
            setattr(options, name, value)
        return OnnxliteBackendRep(InferenceSession(model, options, providers, provider_options))

    @classmethod
    def run_model(cls, model: ModelSource, inputs: Any, device: str = "CPU", **kwargs: Any) -> tuple[Any, ...]:
        """The outputs of a model, once."""
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: onnx.NodeProto,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Sequence[tuple[np.dtype[Any], tuple[int, ...]]] | None = None,
        **kwargs: Any,
    ) -> Any:
        """The outputs of one node, as a named tuple.

        Args:
            node: The node.
            inputs: Its inputs, with or without a None for each that it leaves out.
            device: Where it runs.
            outputs_info: The type and shape of each output, for operators whose types depend on it.
            kwargs: ``opset_version``: the version of the node's domain, by default the newest that onnx knows.
        """
        version = kwargs.pop("opset_version", None)
        given = [inputs] if isinstance(inputs, np.ndarray) else list(inputs)
        names = list(node.input) if len(given) == len(node.input) else [name for name in node.input if name]
        feeds = {name: value for name, value in zip(names, given, strict=False) if name and value is not None}
        model = _model_of(node, feeds, outputs_info, version)
        results = cls.run_model(model, feeds, device, **kwargs)
        named = [name for name in node.output if name]
        return namedtupledict("Outputs", named)(*results)


def _providers(device: str) -> list[str | tuple[str, dict[str, str]]]:
    kind, _, number = device.partition(":")
    if not OnnxliteBackend.supports_device(device):
        raise InvalidArgument(
            f"the device '{device}' is not there; the providers that can run are {get_available_providers()}"
        )
    if kind == "CPU":
        return ["CPUExecutionProvider"]
    return [("CUDAExecutionProvider", {"device_id": number or "0"}), "CPUExecutionProvider"]


def _model_of(
    node: onnx.NodeProto, feeds: Mapping[str, Any], outputs_info: Sequence[Any] | None, version: int | None
) -> onnx.ModelProto:
    """A model of one node, with inputs of the types of the values."""
    inputs = [helper.make_value_info(name, _type_of(value)) for name, value in feeds.items()]
    named = [name for name in node.output if name]
    outputs = [onnx.ValueInfoProto(name=name) for name in named]
    for output, info in zip(outputs, outputs_info or (), strict=False):
        dtype, shape = info
        output.CopyFrom(helper.make_tensor_value_info(output.name, element_type(dtype).code, shape))
    domain = "" if node.domain == "ai.onnx" else node.domain
    newest = {"ai.onnx.ml": onnx.defs.onnx_ml_opset_version()}
    opsets = {"": onnx.defs.onnx_opset_version()}
    opsets[domain] = version or newest.get(domain, opsets[""] if not domain else 1)
    graph = helper.make_graph([node], node.op_type, inputs, outputs)
    imports = [helper.make_opsetid(name, number) for name, number in opsets.items()]
    return helper.make_model(graph, opset_imports=imports, ir_version=onnx.IR_VERSION)


def _type_of(value: Any) -> onnx.TypeProto:
    if isinstance(value, list):
        element = _type_of(value[0]) if value else helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, None)
        return helper.make_sequence_type_proto(element)
    array = np.asarray(value)
    return helper.make_tensor_type_proto(element_type(array.dtype).code, array.shape)


is_compatible = OnnxliteBackend.is_compatible
is_opset_supported = OnnxliteBackend.is_opset_supported
prepare = OnnxliteBackend.prepare
run = OnnxliteBackend.run_model
run_model = OnnxliteBackend.run_model
run_node = OnnxliteBackend.run_node
supports_device = OnnxliteBackend.supports_device
