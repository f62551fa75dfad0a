"""Operators on strings: joined, cleaned, split, matched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numpy.identity_cache import remembered
from onnxlite.kernels.numpy.table import op

_CASE_CHANGES: dict[str, Callable[[str], str]] = {"NONE": str, "LOWER": str.lower, "UPPER": str.upper}


@op("StringConcat", since=20, host=True)
def string_concat(x: Array, y: Array) -> Array:
    """Each string of ``x`` with that of ``y`` behind it, broadcast (ONNX StringConcat-20)."""
    return np.asarray(x + y, dtype=object)


@op("StringNormalizer", since=10, host=True)
def string_normalizer(
    x: Array,
    *,
    case_change_action: str = "NONE",
    is_case_sensitive: int = 0,
    locale: str | None = None,
    stopwords: Sequence[str] | None = None,
) -> Array:
    """The strings without stop words, in upper or lower case; one empty string if none is left (StringNormalizer-10).

    ``x`` is [C] or [1, C].  The case follows Unicode's rules, which ``locale`` does not change.
    """
    if case_change_action not in _CASE_CHANGES:
        raise ValueError(f"case_change_action must be NONE, LOWER or UPPER, got {case_change_action!r}")
    change = _CASE_CHANGES[case_change_action]
    if x.ndim not in (1, 2) or (x.ndim == 2 and x.shape[0] != 1):
        raise ValueError(f"expected strings of the shape [C] or [1, C], got {list(x.shape)}")
    compared: Callable[[str], str] = str if is_case_sensitive else str.lower
    stops = {compared(word) for word in stopwords or ()}
    kept = [change(text) for text in x.ravel() if compared(text) not in stops] or [""]
    return np.array(kept, dtype=object).reshape(*x.shape[:-1], len(kept))


@op("StringSplit", since=20, host=True)
def string_split(x: Array, *, delimiter: str | None = None, maxsplit: int | None = None) -> tuple[Array, Array]:
    """The parts of each string along a new last axis, filled up with empty strings, and their number (StringSplit-20).

    Without a delimiter any whitespace between words is one, and none stays at the ends.
    """
    limit = -1 if maxsplit is None else maxsplit
    if delimiter:
        parts = [text.split(delimiter, limit) for text in x.ravel()]
    else:
        parts = [text.strip().split(None, limit) for text in x.ravel()]
    counts = np.array([len(words) for words in parts], dtype=np.int64)
    width = int(counts.max()) if counts.size else 0
    table = np.full((len(parts), width), "", dtype=object)
    table[np.arange(width) < counts[:, None]] = [word for words in parts for word in words]
    return table.reshape(*x.shape, width), counts.reshape(x.shape)


@op("RegexFullMatch", since=20, host=True)
def regex_full_match(x: Array, *, pattern: str | None = None) -> Array:
    """Whether the whole of each string matches the RE2 pattern (ONNX RegexFullMatch-20)."""
    if pattern is None:
        raise ValueError("expected a pattern, got none")
    matches = _compiled(pattern).fullmatch
    return np.array([matches(text) is not None for text in x.ravel()], dtype=np.bool_).reshape(x.shape)


@remembered
def _compiled(pattern: str) -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise ValueError(f"expected a pattern in RE2's syntax, got {pattern!r}: {error}") from error
