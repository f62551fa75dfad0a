"""From a path, bytes, a file object or a ModelProto to the ModelProto."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import onnx
from google.protobuf.json_format import ParseError as JsonParseError
from google.protobuf.message import DecodeError
from google.protobuf.text_format import ParseError as TextParseError

from onnxlite.errors import Fail, InvalidProtobuf, NoSuchFile, NotImplemented
from onnxlite.kernels.arrays import Array
from onnxlite.kernels.mapped import file_bytes
from onnxlite.model.inside import without_large_tensors

if TYPE_CHECKING:
    from onnxlite.model.ir import Model

#: Smaller files are read, larger ones mapped into memory.
_LEAST_MAPPED = 1 << 20

#: What a model can be given as.
ModelSource: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | onnx.ModelProto | Model"

#: What the bytes 4 to 8 of a model in onnxruntime's own format are.
_ORT_FORMAT = b"ORTM"


def source_name(source: Any) -> str:
    """How messages call a model's source."""
    return f"'{os.fspath(source)}'" if isinstance(source, str | os.PathLike) else "the given model"


class Source(NamedTuple):
    """A model as it was read.

    ``proto`` may describe large tensors as external data of the location `INSIDE`: that is in ``content``.
    """

    proto: onnx.ModelProto
    folder: Path | None = None
    content: bytes | Array = b""


def read_proto(source: ModelSource) -> Source:
    """The protobuf of a model, and the folder it is in, if any.

    Raises:
        NoSuchFile: The path leads to no file.
        InvalidProtobuf: The file or the bytes are not a serialized model.
        NotImplemented: The model is in onnxruntime's own format.
        Fail: The file cannot be read.
        TypeError: The source is nothing that a model can be given as.
    """
    if isinstance(source, onnx.ModelProto):
        return Source(source)
    try:
        if isinstance(source, str | os.PathLike):
            return _read_path(Path(source))
        if isinstance(source, bytes | bytearray | memoryview):
            return _parsed(bytes(source))
        if hasattr(source, "read"):
            path = getattr(source, "name", None)
            return _parsed(source.read(), Path(path).absolute().parent if isinstance(path, str) else None)
    except NoSuchFile:
        raise
    except OSError as error:
        raise Fail(f"{source_name(source)} cannot be read: {error.strerror or error}") from error
    except (DecodeError, TextParseError, JsonParseError, onnx.parser.ParseError, UnicodeDecodeError) as error:
        raise InvalidProtobuf(f"{source_name(source)} is not a serialized ONNX model: {error}") from error
    except RecursionError as error:
        raise InvalidProtobuf(f"{source_name(source)} is nested too deeply") from error
    raise TypeError(f"a model is a path, bytes, a binary file or a ModelProto, not {type(source).__name__}")


def _read_path(path: Path) -> Source:
    if not path.is_file():
        raise NoSuchFile(f"the model file '{path}' does not exist" if not path.exists() else f"'{path}' is not a file")
    folder = path.absolute().parent
    textual = onnx.serialization.registry.get_format_from_file_extension(path.suffix) not in (None, "protobuf")
    if textual:
        return Source(onnx.load(path, load_external_data=False), folder)
    if path.stat().st_size < _LEAST_MAPPED:
        return _parsed(path.read_bytes(), folder)
    with open(path, "rb") as file:
        return _parsed(file_bytes(path, file.fileno()), folder)


def _parsed(data: bytes | Array, folder: Path | None = None) -> Source:
    if not isinstance(data, bytes | np.ndarray):
        raise TypeError(f"a model's file is opened in binary mode; reading it gives {type(data).__name__}")
    if bytes(data[4:8]) == _ORT_FORMAT:
        raise NotImplemented("the model is in onnxruntime's own format (.ort); give the .onnx model it is made from")
    slim = without_large_tensors(memoryview(data))  # type: ignore[arg-type]  # arrays are buffers
    proto = onnx.load_model_from_string(slim if isinstance(slim, bytes) else bytes(slim))
    return Source(proto, folder, data)
