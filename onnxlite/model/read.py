"""From a path, bytes, a file object or a ModelProto to the ModelProto."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

import onnx
from google.protobuf.json_format import ParseError as JsonParseError
from google.protobuf.message import DecodeError
from google.protobuf.text_format import ParseError as TextParseError

from onnxlite.errors import Fail, InvalidProtobuf, NoSuchFile, NotImplemented

if TYPE_CHECKING:
    from onnxlite.model.ir import Model

#: What a model can be given as.
ModelSource: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | onnx.ModelProto | Model"

#: What the bytes 4 to 8 of a model in onnxruntime's own format are.
_ORT_FORMAT = b"ORTM"


def source_name(source: Any) -> str:
    """How messages call a model's source."""
    return f"'{os.fspath(source)}'" if isinstance(source, str | os.PathLike) else "the given model"


def read_proto(source: ModelSource) -> tuple[onnx.ModelProto, Path | None]:
    """The protobuf of a model, and the folder it is in, if any.

    Raises:
        NoSuchFile: The path leads to no file.
        InvalidProtobuf: The file or the bytes are not a serialized model.
        NotImplemented: The model is in onnxruntime's own format.
        Fail: The file cannot be read.
        TypeError: The source is nothing that a model can be given as.
    """
    if isinstance(source, onnx.ModelProto):
        return source, None
    try:
        if isinstance(source, str | os.PathLike):
            return _read_path(Path(source))
        if isinstance(source, bytes | bytearray | memoryview):
            return _parsed(bytes(source)), None
        if hasattr(source, "read"):
            path = getattr(source, "name", None)
            return _parsed(source.read()), Path(path).absolute().parent if isinstance(path, str) else None
    except NoSuchFile:
        raise
    except OSError as error:
        raise Fail(f"{source_name(source)} cannot be read: {error.strerror or error}") from error
    except (DecodeError, TextParseError, JsonParseError, onnx.parser.ParseError, UnicodeDecodeError) as error:
        raise InvalidProtobuf(f"{source_name(source)} is not a serialized ONNX model: {error}") from error
    except RecursionError as error:
        raise InvalidProtobuf(f"{source_name(source)} is nested too deeply") from error
    raise TypeError(f"a model is a path, bytes, a binary file or a ModelProto, not {type(source).__name__}")


def _read_path(path: Path) -> tuple[onnx.ModelProto, Path]:
    if not path.is_file():
        raise NoSuchFile(f"the model file '{path}' does not exist" if not path.exists() else f"'{path}' is not a file")
    folder = path.absolute().parent
    textual = onnx.serialization.registry.get_format_from_file_extension(path.suffix) not in (None, "protobuf")
    return onnx.load(path, load_external_data=False) if textual else _parsed(path.read_bytes()), folder


def _parsed(data: bytes) -> onnx.ModelProto:
    if not isinstance(data, bytes):
        raise TypeError(f"a model's file is opened in binary mode; reading it gives {type(data).__name__}")
    if data[4:8] == _ORT_FORMAT:
        raise NotImplemented("the model is in onnxruntime's own format (.ort); give the .onnx model it is made from")
    return onnx.load_model_from_string(data)
