"""onnxlite: a readable ONNX runtime with onnxruntime's API."""

from onnxlite.binding import IOBinding
from onnxlite.errors import OnnxliteError
from onnxlite.logs import set_default_logger_severity, set_default_logger_verbosity
from onnxlite.metadata import ModelMetadata, NodeArg
from onnxlite.options import ExecutionMode, ExecutionOrder, GraphOptimizationLevel, RunOptions, SessionOptions, op
from onnxlite.process import __version__, get_build_info, get_device, get_version_string, set_seed
from onnxlite.providers import get_all_providers, get_available_providers, register_provider
from onnxlite.session import InferenceSession
from onnxlite.values import OrtDevice, OrtValue

__all__ = [
    "ExecutionMode",
    "ExecutionOrder",
    "GraphOptimizationLevel",
    "IOBinding",
    "InferenceSession",
    "ModelMetadata",
    "NodeArg",
    "OnnxliteError",
    "OrtDevice",
    "OrtValue",
    "RunOptions",
    "SessionOptions",
    "__version__",
    "get_all_providers",
    "get_available_providers",
    "get_build_info",
    "get_device",
    "get_version_string",
    "op",
    "register_provider",
    "set_default_logger_severity",
    "set_default_logger_verbosity",
    "set_seed",
]
