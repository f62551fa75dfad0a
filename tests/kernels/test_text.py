"""Strings and n-grams against onnxruntime, scikit-learn and Python's own string methods."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from onnxlite.conformance.differential import assert_same, kernel_outputs, node_model, onnxruntime_outputs

quick = settings(max_examples=25, deadline=None, derandomize=True)
words = st.text(alphabet="aAbB éÉ,", max_size=6)


def strings(*values: Any) -> np.ndarray:
    return np.array(values, dtype=object)


def check(operator: str, version: int, *inputs: Any, outputs: int = 1, **attributes: Any) -> None:
    model = node_model(operator, inputs, opset=version, outputs=outputs, **attributes)
    assert_same(list(kernel_outputs(operator, version, *inputs, **attributes)), onnxruntime_outputs(model, inputs))


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (strings("a", "b"), strings("c", "")),
        (strings("a", "é"), np.array("c", object)),
        (np.array("a", object), np.array("b", object)),
        (strings(["a"], ["b"]), strings("c", "d", "e")),
        (strings(), strings()),
    ],
)
def test_string_concat(x: np.ndarray, y: np.ndarray) -> None:
    check("StringConcat", 20, x, y)


@quick
@given(
    x=st.lists(st.text(alphabet="aAbB", max_size=2), max_size=6),
    row=st.booleans(),
    stopwords=st.lists(st.text(alphabet="aAbB", max_size=2), max_size=3),
    sensitive=st.integers(0, 1),
    action=st.sampled_from(["NONE", "LOWER", "UPPER"]),
)
def test_string_normalizer_agrees_with_onnxruntime(
    x: list[str], row: bool, stopwords: list[str], sensitive: int, action: str
) -> None:
    if not x:
        return
    array = strings(x) if row else strings(*x)
    attributes: dict[str, Any] = {"is_case_sensitive": sensitive, "case_change_action": action, "locale": "C"}
    if stopwords:
        attributes["stopwords"] = stopwords
    check("StringNormalizer", 10, array, **attributes)


def test_string_normalizer_follows_unicode() -> None:
    (y,) = kernel_outputs("StringNormalizer", 10, strings("Été", "ÉTÉ", "Groß"), stopwords=("été",))
    assert y.tolist() == ["Groß"]
    (y,) = kernel_outputs("StringNormalizer", 10, strings("été"), case_change_action="UPPER")
    assert y.tolist() == ["ÉTÉ"]


@pytest.mark.parametrize(("shape", "expected"), [((0,), (1,)), ((1, 0), (1, 1))])
def test_string_normalizer_of_nothing_is_an_empty_string(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    (y,) = kernel_outputs("StringNormalizer", 10, np.empty(shape, object))
    assert_same(y, np.full(expected, "", object))


@pytest.mark.parametrize("shape", [(), (2, 1), (1, 1, 1)])
def test_string_normalizer_takes_rows_only(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\[C\] or \[1, C\]"):
        kernel_outputs("StringNormalizer", 10, np.full(shape, "a", object))
    with pytest.raises(ValueError, match="case_change_action"):
        kernel_outputs("StringNormalizer", 10, strings("a"), case_change_action="TITLE")


@quick
@given(
    x=st.lists(words.filter(bool), min_size=1, max_size=5),
    limit=st.one_of(st.none(), st.integers(0, 3)),
    comma=st.booleans(),
)
def test_string_split_agrees_with_onnxruntime(x: list[str], limit: int | None, comma: bool) -> None:
    attributes: dict[str, Any] = {"delimiter": ","} if comma else {}
    if limit is not None:
        attributes["maxsplit"] = limit
    check("StringSplit", 20, strings(*x), outputs=2, **attributes)


@pytest.mark.parametrize(
    ("x", "attributes", "parts", "counts"),
    [
        (np.array("a b", object), {}, strings("a", "b"), np.array(2)),
        (strings(["a,b"], ["c"]), {"delimiter": ","}, strings([["a", "b"]], [["c", ""]]), np.array([[2], [1]])),
        (strings(" a b  c "), {"maxsplit": 1}, strings(["a", "b  c"]), np.array([2])),
        # Any whitespace separates; to onnxruntime only the space does.
        (strings("\ta \n b\t"), {}, strings(["a", "b"]), np.array([2])),
        (strings("a::b:c"), {"delimiter": "::"}, strings(["a", "b:c"]), np.array([2])),
        (strings("", " "), {"delimiter": ""}, np.empty((2, 0), object), np.array([0, 0])),
        # No delimiter in the string, so one part, an empty one; onnxruntime counts none.
        (strings("", "a"), {"delimiter": ","}, strings([""], ["a"]), np.array([1, 1])),
        (np.empty((2, 0), object), {}, np.empty((2, 0, 0), object), np.empty((2, 0), np.int64)),
    ],
)
def test_string_split(x: np.ndarray, attributes: dict[str, Any], parts: np.ndarray, counts: np.ndarray) -> None:
    assert_same(kernel_outputs("StringSplit", 20, x, **attributes), (parts, counts))


@pytest.mark.parametrize("pattern", [r"a.*b", r"(\w+)@(\w+)\.com", ".", "", "a|ab", "(?i)AB"])
def test_regex_full_match_agrees_with_onnxruntime(pattern: str) -> None:
    x = strings(["ab", "a@b.com", "é"], ["", "abc", "AB"])
    check("RegexFullMatch", 20, x, pattern=pattern)
    check("RegexFullMatch", 20, np.array("ab", object), pattern=pattern)


@pytest.mark.parametrize("pattern", ["(", "(?=a)", None])
def test_patterns_must_be_re2(pattern: str | None) -> None:
    with pytest.raises(ValueError, match="expected a pattern"):
        kernel_outputs("RegexFullMatch", 20, strings("a"), pattern=pattern)


# ---- n-grams


def plain_counts(row: list[Any], pool: list[tuple[Any, ...]], skips: int) -> list[int]:
    """How often each n-gram of the pool stands in the row, each token as far from the next as the others."""
    found: Counter[tuple[Any, ...]] = Counter()
    for length in {len(gram) for gram in pool}:
        for stride in range(1, skips + 2 if length > 1 else 2):
            for start in range(len(row) - (length - 1) * stride):
                found[tuple(row[start : start + length * stride : stride])] += 1
    return [found[gram] for gram in pool]


@st.composite
def ngram_problems(draw: st.DrawFn) -> dict[str, Any]:
    pool: list[tuple[int, ...]] = []
    starts, tokens = [], 0
    for length in (1, 2, 3):
        starts.append(tokens)
        grams = draw(st.lists(st.tuples(*[st.integers(0, 3)] * length), unique=True, max_size=4, min_size=length == 1))
        pool += grams
        tokens += length * len(grams)
    lowest = draw(st.integers(1, 3))
    return {
        "pool": pool,
        "x": draw(st.lists(st.lists(st.integers(0, 4), min_size=7, max_size=7), min_size=1, max_size=3)),
        "attributes": {
            "mode": draw(st.sampled_from(["TF", "IDF", "TFIDF"])),
            "ngram_counts": starts,
            "ngram_indexes": draw(st.permutations(range(len(pool)))),
            "min_gram_length": lowest,
            "max_gram_length": draw(st.integers(lowest, 3)),
            "max_skip_count": draw(st.integers(0, 3)),
            **({"weights": [0.5 + i for i in range(len(pool))]} if draw(st.booleans()) else {}),
        },
    }


@quick
@given(problem=ngram_problems(), text=st.booleans())
def test_tf_idf_vectorizer_counts_what_a_loop_counts(problem: dict[str, Any], text: bool) -> None:
    pool, x, attributes = problem["pool"], problem["x"], problem["attributes"]
    flat = [token for gram in pool for token in gram]
    array = np.array(x, np.int64).astype(str).astype(object) if text else np.array(x, np.int64)
    attributes = {**attributes, **({"pool_strings": list(map(str, flat))} if text else {"pool_int64s": flat})}
    counts = np.array([plain_counts(row, pool, attributes["max_skip_count"]) for row in x], np.float64)
    used = [attributes["min_gram_length"] <= len(gram) <= attributes["max_gram_length"] for gram in pool]
    counts = np.where(used, counts, 0)
    if attributes["mode"] == "IDF":
        counts = np.minimum(counts, 1)
    if attributes["mode"] != "TF":
        counts = counts * attributes.get("weights", 1)
    expected = np.zeros_like(counts)
    expected[:, attributes["ngram_indexes"]] = counts
    assert_same(kernel_outputs("TfIdfVectorizer", 9, array, **attributes)[0], expected.astype(np.float32))
    assert_same(kernel_outputs("TfIdfVectorizer", 9, array[0], **attributes)[0], expected[0].astype(np.float32))
    check("TfIdfVectorizer", 9, array, **attributes)


POOL = {
    "mode": "TF",
    "min_gram_length": 1,
    "max_gram_length": 2,
    "max_skip_count": 0,
    "ngram_counts": (0, 2),
    "ngram_indexes": (0, 1, 2),
    "pool_int64s": (2, 3, 2, 3),
}


@pytest.mark.parametrize(("shape", "expected"), [((0,), (3,)), ((2, 0), (2, 3)), ((0, 4), (0, 3)), ((1,), (3,))])
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_tf_idf_vectorizer_of_few_tokens_is_zero(shape: tuple[int, ...], expected: tuple[int, ...], dtype: Any) -> None:
    (y,) = kernel_outputs("TfIdfVectorizer", 9, np.zeros(shape, dtype), **POOL)
    assert_same(y, np.zeros(expected, np.float32))


def test_ngrams_may_share_an_output() -> None:
    attributes = {**POOL, "ngram_indexes": (0, 0, 4), "weights": (1.0, 10.0, 100.0), "mode": "TFIDF"}
    (y,) = kernel_outputs("TfIdfVectorizer", 9, np.array([2, 3, 3]), **attributes)
    assert_same(y, np.array([21, 0, 0, 0, 100], np.float32))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"ngram_counts": (0, 3)}, "ngram_counts"),
        ({"ngram_counts": (0, 9)}, "ngram_counts"),
        ({"ngram_counts": (3, 2)}, "ngram_counts"),
        ({"ngram_indexes": (0, 1)}, "for 3 n-grams"),
        ({"ngram_indexes": (0, 1, -1)}, "the lowest -1"),
        ({"weights": (1.0,)}, "for 3 n-grams"),
        ({"mode": "FT"}, "mode must be"),
        ({"pool_strings": ("a",)}, "either"),
        ({"pool_int64s": None}, "either"),
        ({"pool_int64s": None, "pool_strings": ("a", "b", "a", "b")}, "type of the keys"),
    ],
)
def test_malformed_pools_are_errors(broken: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kernel_outputs("TfIdfVectorizer", 9, np.array([2, 3]), **{**POOL, **broken})
    with pytest.raises(ValueError, match=r"\[C\] or \[N, C\]"):
        kernel_outputs("TfIdfVectorizer", 9, np.array(2), **POOL)


TEXTS = ["the cat sat on the mat", "the dog sat", "a cat and a dog and a cat"]


@pytest.mark.parametrize("mode", ["TF", "TFIDF"])
def test_tf_idf_vectorizer_is_scikit_learns(mode: str) -> None:
    options = {"ngram_range": (1, 2), "token_pattern": r"\w+"}
    model = CountVectorizer(**options) if mode == "TF" else TfidfVectorizer(**options, norm=None)
    expected = model.fit_transform(TEXTS).toarray()
    grams = sorted(model.vocabulary_, key=lambda gram: (len(gram.split()), gram))
    indexes = [int(model.vocabulary_[gram]) for gram in grams]
    singles = sum(" " not in gram for gram in grams)
    width = max(len(text.split()) for text in TEXTS)
    x = np.array([text.split() + [""] * (width - len(text.split())) for text in TEXTS], dtype=object)
    (y,) = kernel_outputs(
        "TfIdfVectorizer",
        9,
        x,
        mode=mode,
        min_gram_length=1,
        max_gram_length=2,
        max_skip_count=0,
        ngram_counts=(0, singles),
        ngram_indexes=tuple(indexes),
        pool_strings=tuple(token for gram in grams for token in gram.split()),
        weights=None if mode == "TF" else tuple(float(model.idf_[index]) for index in indexes),
    )
    np.testing.assert_allclose(y, expected, rtol=1e-6)
