"""Large tensors of a serialized model, left where they are: what is parsed is the rest of the model.

Parsing a protobuf copies what it holds, and reading a field of it copies that again.  Here the bytes of large tensors
are cut out first (https://protobuf.dev/programming-guides/encoding) and described as external data of a file called
`INSIDE`, which is the model itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import onnx

#: The location by which a tensor's bytes are found in the model: no file can be called so.
INSIDE = "\0inside the model"

#: Tensors of fewer bytes than this are parsed.
LEAST = 1 << 16

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

_TENSOR = onnx.TensorProto.DESCRIPTOR
_RAW_DATA = onnx.TensorProto.RAW_DATA_FIELD_NUMBER
#: With one of these, a tensor's bytes are elsewhere, or it is not what it should be.
_OTHER_DATA = frozenset(
    {
        onnx.TensorProto.EXTERNAL_DATA_FIELD_NUMBER,
        onnx.TensorProto.DATA_LOCATION_FIELD_NUMBER,
        onnx.TensorProto.SEGMENT_FIELD_NUMBER,
    }
)


#: A message with more numbers than this, one by one, is a list of numbers.
_MOST_NUMBERS = 1000


class _Malformed(Exception):
    """These bytes are no protobuf: the parser says so better."""


class _Numbers(Exception):
    """The message is a list of numbers; looking at each of them would take longer than parsing it."""


def without_large_tensors(data: memoryview) -> bytes | memoryview:
    """The serialized model without the bytes of its large tensors; the data itself where there are none.

    Args:
        data: A serialized ModelProto.
    """
    if len(data) < LEAST:
        return data
    try:
        return _slimmed(data, 0, len(data), onnx.ModelProto.DESCRIPTOR) or data
    except (_Malformed, IndexError, RecursionError):
        return data


def _slimmed(data: memoryview, start: int, end: int, message: Any) -> bytes | None:
    """The message in a range of the data without large tensors, None if it has none."""
    try:
        return _described(data, start, end) if message is _TENSOR else _joined(data, start, end, message)
    except _Numbers:
        return None


def _joined(data: memoryview, start: int, end: int, message: Any) -> bytes | None:
    """A message with the messages in it slimmed."""
    parts: list[bytes | memoryview] = []
    kept = start
    for number, tag, first, last in _fields(data, start, end):
        field = message.fields_by_number.get(number)
        if last - first < LEAST or field is None or field.message_type is None:
            continue
        slim = _slimmed(data, first, last, field.message_type)
        if slim is not None:
            parts += [data[kept:tag], _key(number), _varint(len(slim)), slim]
            kept = last
    return b"".join([*parts, data[kept:end]]) if parts else None


def _described(data: memoryview, start: int, end: int) -> bytes | None:
    """A TensorProto whose raw data is external data."""
    fields = list(_fields(data, start, end))
    raw = [(first, last, tag) for number, tag, first, last in fields if number == _RAW_DATA]
    if len(raw) != 1 or raw[0][1] - raw[0][0] < LEAST or any(number in _OTHER_DATA for number, *_ in fields):
        return None
    first, last, tag = raw[0]
    described = onnx.TensorProto(data_location=onnx.TensorProto.EXTERNAL)
    for key, value in (("location", INSIDE), ("offset", str(first)), ("length", str(last - first))):
        described.external_data.add(key=key, value=value)
    return b"".join([data[start:tag], data[last:end], described.SerializeToString()])


def _fields(data: memoryview, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """The fields of a message but for floats: number, start of the key, start and end of what has a length."""
    position, numbers = start, 0
    while position < end:
        tag = position
        key, position = _read_varint(data, position)
        kind = key & 7
        if kind == _BYTES:
            length, position = _read_varint(data, position)
            if position + length > end:
                raise _Malformed
            yield key >> 3, tag, position, position + length
            position += length
            continue
        numbers += 1
        if numbers > _MOST_NUMBERS:
            raise _Numbers
        if kind == _VARINT:
            _, position = _read_varint(data, position)
            yield key >> 3, tag, position, position
        elif kind in (_FIXED64, _FIXED32):
            position += 8 if kind == _FIXED64 else 4
        else:
            raise _Malformed
    if position != end:
        raise _Malformed


def _read_varint(data: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise _Malformed


def _varint(value: int) -> bytes:
    content = bytearray()
    while value >= 0x80:
        content.append(value & 0x7F | 0x80)
        value >>= 7
    content.append(value)
    return bytes(content)


def _key(number: int) -> bytes:
    return _varint(number << 3 | _BYTES)
