"""N-grams counted over whole batches: TfIdfVectorizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numpy.identity_cache import remembered
from onnxlite.kernels.numpy.lookup import finder
from onnxlite.kernels.numpy.table import op

Ints = Sequence[int]


@dataclass(frozen=True, slots=True)
class _Grams:
    """The n-grams of one length, as a trie of which each level is a sorted vector.

    ``levels[k]`` holds ``place * base + token`` for each prefix of ``k + 2`` tokens: its last token, and where the rest
    of it stands one level up (a single token stands at its own number).  ``numbers`` gives, for where a whole n-gram
    stands in the last level, its number in the pool.
    """

    levels: tuple[Array, ...]
    base: int
    numbers: Array

    def find(self, tokens: Array, skip: int) -> tuple[Array, Array]:
        """The row and number of each n-gram in ``tokens`` (rows, length), ``skip`` tokens between two of its own."""
        stride = skip + 1
        starts = max(0, tokens.shape[1] - len(self.levels) * stride)
        place = tokens[:, :starts]
        for level, keys in enumerate(self.levels, start=1):
            token = tokens[:, level * stride : level * stride + starts]
            wanted = place * self.base + token
            near = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
            place = np.where((place >= 0) & (token >= 0) & (keys[near] == wanted), near, -1)
        number = np.where(place >= 0, self.numbers[place], -1)
        row, column = np.nonzero(number >= 0)
        return row, number[row, column]


@op("TfIdfVectorizer", since=9, host=True)
def tf_idf_vectorizer(
    x: Array,
    *,
    max_gram_length: int,
    max_skip_count: int,
    min_gram_length: int,
    mode: str,
    ngram_counts: Ints,
    ngram_indexes: Ints,
    pool_int64s: Ints | None = None,
    pool_strings: Sequence[str] | None = None,
    weights: Sequence[float] | None = None,
) -> Array:
    """How often each n-gram of the pool stands in each row, weighted by ``mode`` (ONNX TfIdfVectorizer-9).

    ``x`` is [C] or [N, C]; n-gram i counts for the output ``ngram_indexes[i]``.  Between two tokens of an n-gram stand
    0 to ``max_skip_count`` others, everywhere as many.
    """
    if x.ndim not in (1, 2):
        raise ValueError(f"expected tokens of the shape [C] or [N, C], got {list(x.shape)}")
    if mode not in ("TF", "IDF", "TFIDF"):
        raise ValueError(f"mode must be TF, IDF or TFIDF, got {mode!r}")
    token_of, lengths = _pool(pool_int64s, pool_strings, ngram_counts, ngram_indexes, weights)
    tokens = token_of(x if x.ndim == 2 else x[None])
    hits = [
        grams.find(tokens, skip)
        for length, grams in lengths
        if min_gram_length <= length <= max_gram_length
        # A single token has no room for a skip.
        for skip in range(max_skip_count + 1 if length > 1 else 1)
    ]
    nothing = np.zeros(0, dtype=np.int64)
    row = np.concatenate([nothing, *(rows for rows, _ in hits)])
    number = np.concatenate([nothing, *(numbers for _, numbers in hits)])
    if mode == "IDF":
        row, number = np.divmod(np.unique(row * len(ngram_indexes) + number), len(ngram_indexes))
    outputs = np.asarray(ngram_indexes, dtype=np.int64)
    width = int(outputs.max()) + 1
    factors = None if mode == "TF" or not weights else np.asarray(weights)[number]
    counts = np.bincount(row * width + outputs[number], factors, minlength=tokens.shape[0] * width)
    return counts.reshape(*x.shape[:-1], width).astype(np.float32)


@remembered
def _pool(
    integers: Ints | None, strings: Sequence[str] | None, counts: Ints, indexes: Ints, weights: Sequence[float] | None
) -> tuple[Callable[[Array], Array], list[tuple[int, _Grams]]]:
    """A function from tokens to their numbers (-1 if the pool lacks them), and the n-grams by their length."""
    if bool(integers) == bool(strings):
        raise ValueError("expected either pool_int64s or pool_strings, got both or neither")
    pool = np.array(strings or integers, dtype=object if strings else np.int64)
    token_of = finder(pool, "first")
    tokens, lengths, first = token_of(pool), [], 0
    for length, (start, end) in enumerate(pairwise([*counts, len(pool)]), start=1):
        if not 0 <= start <= end <= len(pool) or (end - start) % length:
            raise ValueError(f"expected ngram_counts that cut {len(pool)} tokens into n-grams, got {list(counts)}")
        if end > start:
            grams = tokens[start:end].reshape(-1, length)
            lengths.append((length, _grams(grams, first, len(pool))))
            first += len(grams)
    if len(indexes) != first or min(indexes, default=0) < 0 or (weights and len(weights) != first):
        raise ValueError(
            f"expected ngram_indexes from 0 on (and weights) for {first} n-grams, got {len(indexes)} "
            f"(and {len(weights or ())}), the lowest {min(indexes, default=0)}"
        )
    return token_of, lengths


def _grams(grams: Array, first: int, base: int) -> _Grams:
    """The trie of the n-grams (count, length), which are numbered from ``first`` on."""
    place, levels = grams[:, 0], []
    for token in grams[:, 1:].T:
        keys, place = np.unique(place * base + token, return_inverse=True)
        levels.append(keys)
    numbers = np.full(len(levels[-1]) if levels else base, -1)
    numbers[place] = first + np.arange(len(grams))
    return _Grams(tuple(levels), base, numbers)
