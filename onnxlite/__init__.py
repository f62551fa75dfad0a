"""onnxlite: a readable ONNX runtime with onnxruntime's API."""

from onnxlite.errors import OnnxliteError
from onnxlite.options import ExecutionMode, ExecutionOrder, GraphOptimizationLevel, RunOptions, SessionOptions, op
from onnxlite.providers import get_all_providers, get_available_providers, register_provider
from onnxlite.session import InferenceSession, ModelMetadata, NodeArg

__version__ = "0.1.0"

__all__ = [
    "ExecutionMode",
    "ExecutionOrder",
    "GraphOptimizationLevel",
    "InferenceSession",
    "ModelMetadata",
    "NodeArg",
    "OnnxliteError",
    "RunOptions",
    "SessionOptions",
    "get_all_providers",
    "get_available_providers",
    "op",
    "register_provider",
]
