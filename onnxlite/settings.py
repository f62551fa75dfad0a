"""What option objects are made of: attributes that check what they are set to, and named entries of text."""

from __future__ import annotations

import operator
from typing import Any, Generic, TypeVar, overload

from onnxlite.errors import Fail

T = TypeVar("T")

_MAX_KEY, _MAX_VALUE = 1024, 8192


class Setting(Generic[T]):
    """An attribute with a default and a type; its values are in the object's ``_settings``.

    As in onnxruntime: a truth value may be any number or None, a whole number may be of any integer type, a text may be
    bytes, and a member of an enumeration has to be one; everything else is a TypeError.
    """

    def __init__(self, default: T, doc: str) -> None:
        self.default = default
        self.__doc__ = doc
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Setting[T]: ...
    @overload
    def __get__(self, instance: Any, owner: type) -> T: ...
    def __get__(self, instance: Any, owner: type) -> Setting[T] | T:
        if instance is None:
            return self
        value: T = instance._settings.get(self.name, self.default)
        return value

    def __set__(self, instance: Any, value: Any) -> None:
        kind = type(self.default)
        try:
            instance._settings[self.name] = _checked(value, kind)
        except TypeError:
            raise TypeError(
                f"{type(instance).__name__}.{self.name} takes {kind.__name__}, not {type(value).__name__} {value!r:.60}"
            ) from None


def _checked(value: Any, kind: type) -> Any:
    if kind is bool and (value is None or hasattr(type(value), "__bool__")):
        return bool(value)
    if kind is int:
        return operator.index(value)
    if kind is str and isinstance(value, bytes):
        return value.decode()
    if isinstance(value, kind):
        return value
    raise TypeError


class Settings:
    """An object with settings and configuration entries, and no other attributes."""

    __slots__ = ("_entries", "_settings")

    def __init__(self) -> None:
        self._settings: dict[str, Any] = {}
        self._entries: dict[str, str] = {}

    def _add_entry(self, key: str, value: str) -> None:
        for text, most in ((key, _MAX_KEY), (value, _MAX_VALUE)):
            if not isinstance(text, str):
                raise TypeError(f"the key and the value of a configuration entry are texts, not {type(text).__name__}")
            if len(text) > most:
                raise Fail(f"'{text:.40}...' of a configuration entry is longer than {most} characters")
        if not key:
            raise Fail("the key of a configuration entry is empty")
        self._entries[key] = value

    def _entry(self, key: str) -> str:
        if key not in self._entries:
            raise Fail(f"{type(self).__name__} does not have configuration with key: {key}")
        return self._entries[key]
