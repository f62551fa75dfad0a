"""Every error that a user can see, under one base class.

The names and meanings are onnxruntime's; each class also derives from the built-in exception that a Python programmer
would expect, so both ``except InvalidArgument`` and ``except ValueError`` catch a feed of the wrong shape.
"""

from __future__ import annotations


class OnnxliteError(Exception):
    """The base of all errors of this package."""


class Fail(OnnxliteError, RuntimeError):
    """Something failed for which there is no more specific error."""


class InvalidArgument(OnnxliteError, ValueError):
    """A feed, an output name or an option does not fit the model."""


class NoSuchFile(OnnxliteError, FileNotFoundError):
    """The model's path does not lead to a file."""


class NoModel(InvalidArgument):
    """There is no model in what was given."""


class InvalidProtobuf(OnnxliteError, ValueError):
    """The bytes are not a serialized ModelProto."""


class InvalidGraph(OnnxliteError, ValueError):
    """The model breaks a rule of the ONNX specification; the message says which and where."""


class NotImplemented(OnnxliteError, NotImplementedError):
    """The model, or an option, asks for something that is not implemented."""


class RuntimeException(OnnxliteError, RuntimeError):
    """A kernel failed while the model ran; the message names the node, the operator and its inputs."""


class EPFail(OnnxliteError, RuntimeError):
    """An execution provider failed or does not exist."""


class EngineError(OnnxliteError, RuntimeError):
    """Never raised here; code that catches onnxruntime's error of this name finds it."""


class ModelLoaded(OnnxliteError, RuntimeError):
    """Never raised here; code that catches onnxruntime's error of this name finds it."""
