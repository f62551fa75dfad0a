"""Examples of ai.onnx.ml operators: most of them state their data, and by it their types, in attributes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from onnxlite.conformance.examples import Argument, Example, example
from onnxlite.conformance.kinds import dtype_of_kind, element_of, split
from onnxlite.conformance.recast import recast
from onnxlite.conformance.retype import tensor_proto

_DOMAIN = "ai.onnx.ml"

_example = partial(example, domain=_DOMAIN)

_FEATURES = np.array([[-1, 0.5, 2], [3, -2, 0], [0.25, 1, -0.5], [2, 2, 2]], np.float32)

#: One tree of one comparison by feature 0, and one of two comparisons, as the ensembles' attributes state them.
_TREES: dict[str, Any] = {
    "nodes_treeids": [0, 0, 0, 1, 1, 1, 1, 1],
    "nodes_nodeids": [0, 1, 2, 0, 1, 2, 3, 4],
    "nodes_featureids": [0, 0, 0, 1, 0, 2, 0, 0],
    "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF", "BRANCH_LT", "LEAF", "BRANCH_GT", "LEAF", "LEAF"],
    "nodes_values": [0.5, 0.0, 0.0, 1.0, 0.0, 0.75, 0.0, 0.0],
    "nodes_truenodeids": [1, 0, 0, 1, 0, 3, 0, 0],
    "nodes_falsenodeids": [2, 0, 0, 2, 0, 4, 0, 0],
}


def _leaves(role: str) -> dict[str, Any]:
    return {
        f"{role}_treeids": [0, 0, 1, 1, 1],
        f"{role}_nodeids": [1, 2, 1, 3, 4],
        f"{role}_ids": [0, 1, 2, 0, 1] if role == "class" else [0, 1, 0, 1, 0],
        f"{role}_weights": [0.5, 0.25, 1.0, 2.0, 0.75],
    }


EXAMPLES: tuple[Example, ...] = (
    _example("FeatureVectorizer", 1, [_FEATURES, _FEATURES[:, :2]], inputdimensions=[3, 2]),
    _example(
        "LinearRegressor",
        1,
        [_FEATURES],
        coefficients=[0.5, -1.0, 2.0, 1.0, 0.0, 3.0],
        intercepts=[1.0, -1.0],
        targets=2,
    ),
    _example("Normalizer", 1, [_FEATURES], norm="L2"),
    _example("Scaler", 1, [_FEATURES], offset=[1.0, 0.5, 0.0], scale=[2.0, 0.5, -1.0]),
    _example(
        "SVMRegressor",
        1,
        [_FEATURES],
        kernel_type="RBF",
        kernel_params=[0.5, 0.0, 0.0],
        support_vectors=[0.0, 1.0, 2.0, 1.0, -1.0, 0.5],
        coefficients=[1.0, -0.5],
        n_supports=2,
        rho=[0.25],
    ),
    _example("TreeEnsembleRegressor", 1, [_FEATURES], **_TREES, **_leaves("target"), n_targets=2),
)


def _labels(kind: str, count: int, text: str = "classlabels_strings", numbers: str = "classlabels_int64s") -> Any:
    """The attribute that names the classes; its type is that of the labels that come out."""
    if kind == "tensor(string)":
        return {text: [f"class {i}" for i in range(count)]}
    return {numbers: [10 * (i + 1) for i in range(count)]}


def _classifier(name: str, labels: str, attributes: Mapping[str, Any]) -> Callable[..., Example]:
    def build(schema: Any, binding: Mapping[str, str], _: str) -> Example:
        kind = binding["T1"]
        own = {**attributes, **_labels(binding["T2"], 3, numbers=labels)}
        argument = Argument(kind, recast(_FEATURES, kind))
        return _example(name, schema.since_version, [argument], [binding["T2"], "tensor(float)"], **own)

    return build


def _category_mapper(schema: Any, binding: Mapping[str, str], variable: str) -> Example:
    """Text to numbers or numbers to text: one type decides the other."""
    to_text = binding[variable or "T1"] == ("tensor(int64)" if variable != "T2" else "tensor(string)")
    text, numbers = np.array([["b", "a", "?"]], object), np.array([[2, 1, 7]], np.int64)
    expected = np.array([["b", "a", "none"]], object) if to_text else np.array([[2, 1, -5]], np.int64)
    return _example(
        "CategoryMapper", 1, [numbers if to_text else text], ["tensor(string)" if to_text else "tensor(int64)"],
        expected=[expected], cats_strings=["a", "b"], cats_int64s=[1, 2], default_string="none", default_int64=-5,
    )  # fmt: skip


def _cast_map(schema: Any, binding: Mapping[str, str], _: str) -> Example:
    value = {3: "1", 1: "2"} if "string" in binding["T1"] else {3: 1.0, 1: 2.0}
    target = binding["T2"]
    name = {"tensor(string)": "TO_STRING", "tensor(float)": "TO_FLOAT", "tensor(int64)": "TO_INT64"}[target]
    if target == "tensor(string)":
        texts = ["2", "1"] if "string" in binding["T1"] else ["2.000000", "1.000000"]
        expected = np.array([texts], object)
    else:
        expected = np.array([[2, 1]], dtype_of_kind(target))
    return _example(
        "CastMap", 1, [Argument(binding["T1"], value)], [target], expected=[expected], cast_to=name, map_form="DENSE"
    )


def _dict_vectorizer(schema: Any, binding: Mapping[str, str], variable: str) -> Example:
    """The map's values come out in the order of the vocabulary, zeros where it has none."""
    kind = binding["T1"]
    if variable == "T2":
        element = element_of(binding["T2"])
        kind = "map(int64,string)" if element == "string" else f"map(string,{element})"
    key, element = split(kind)[1].split(",")
    keys: list[Any] = [30, 10] if key == "int64" else ["c", "a"]
    values: list[Any] = ["x", "y"] if element == "string" else [1, 2] if element == "int64" else [0.5, 2.5]
    vocabulary = {"int64_vocabulary": [10, 20, 30]} if key == "int64" else {"string_vocabulary": ["a", "b", "c"]}
    target = f"tensor({element})"
    zero = "" if element == "string" else 0
    expected = np.array([values[1], zero, values[0]], dtype_of_kind(target))
    argument = Argument(kind, dict(zip(keys, values, strict=True)))
    return _example("DictVectorizer", 1, [argument], [target], expected=[expected], **vocabulary)


def _imputer(schema: Any, binding: Mapping[str, str], _: str) -> Example:
    kind = binding["T"]
    value = np.array([[1, 2, 9], [9, 4, 5]], dtype_of_kind(kind))
    expected = np.array([[1, 2, 30], [10, 4, 5]], dtype_of_kind(kind))
    suffix, one = ("int64", int) if "int" in kind else ("float", float)
    attributes: dict[str, Any] = {
        f"replaced_value_{suffix}": one(9),
        f"imputed_value_{suffix}s": [one(10), one(20), one(30)],
    }
    return _example("Imputer", 1, [Argument(kind, value)], [kind], expected=[expected], **attributes)


def _label_encoder(schema: Any, binding: Mapping[str, str], variable: str) -> Example:
    """Three keys to three values, and a default for another key; version 1 knows text and its place in a list only."""
    kinds, version = (binding["T1"], binding["T2"]), schema.since_version
    if version == 1:
        to_text = binding[variable or "T1"] == ("tensor(int64)" if variable != "T2" else "tensor(string)")
        text, places = np.array(["b", "a", "?"], object), np.array([1, 0, 7], np.int64)
        into = np.array(["b", "a", "none"], object) if to_text else np.array([1, 0, -5], np.int64)
        own: dict[str, Any] = {"classes_strings": ["a", "b"], "default_string": "none", "default_int64": -5}
        output = ["tensor(string)" if to_text else "tensor(int64)"]
        return _example("LabelEncoder", 1, [places if to_text else text], output, expected=[into], **own)
    keys, values = (recast(np.array(v, np.int64), k) for v, k in zip(([1, 2, 3], [30, 10, 20]), kinds, strict=True))
    given = recast(np.array([3, 1, 7], np.int64), kinds[0])
    default = recast(np.array([5], np.int64), kinds[1])
    expected = (
        np.stack([values[2], values[0], default[0]]) if values.dtype != object else np.array(["20", "30", "5"], object)
    )
    attributes: dict[str, Any] = {}
    if version == 2:
        attributes |= _as_list("keys_", keys) | _as_list("values_", values)
        attributes |= {name.replace("values", "default").rstrip("s") if "int64" not in name else "default_int64": v[0]
                       for name, v in _as_list("values_", default).items()}  # fmt: skip
    else:
        attributes = {
            "keys_tensor": tensor_proto(keys),
            "values_tensor": tensor_proto(values),
            "default_tensor": tensor_proto(default),
        }
    return _example("LabelEncoder", version, [Argument(kinds[0], given)], [kinds[1]], expected=[expected], **attributes)


def _as_list(prefix: str, array: Any) -> dict[str, Any]:
    suffix = {"O": "strings", "i": "int64s", "f": "floats"}[array.dtype.kind]
    return {prefix + suffix: array.tolist()}


def _one_hot_encoder(schema: Any, binding: Mapping[str, str], _: str) -> Example:
    kind = binding["T"]
    categories: dict[str, Any] = {"cats_strings": ["1", "2", "3"]} if "string" in kind else {"cats_int64s": [1, 2, 3]}
    value = recast(np.array([2, 3, 9], np.int64), kind)
    expected = np.array([[0, 1, 0], [0, 0, 1], [0, 0, 0]], np.float32)
    return _example("OneHotEncoder", 1, [Argument(kind, value)], expected=[expected], **categories)


def _tfidf_vectorizer(schema: Any, binding: Mapping[str, str], _: str) -> Example:
    """Counts of the single items 2, 3 and 5 and of the pairs (2, 3) and (3, 5)."""
    kind = binding["T"]
    pool = [2, 3, 5, 2, 3, 3, 5]
    items: dict[str, Any] = {"pool_strings": [str(i) for i in pool]} if "string" in kind else {"pool_int64s": pool}
    value = recast(np.array([[2, 3, 5, 1], [3, 5, 3, 5]], np.int64), kind)
    expected = np.array([[1, 1, 1, 1, 1], [0, 2, 2, 0, 2]], np.float32)
    return example(
        "TfIdfVectorizer", 9, [Argument(kind, value)], expected=[expected], mode="TF", ngram_counts=[0, 3],
        ngram_indexes=[0, 1, 2, 3, 4], min_gram_length=1, max_gram_length=2, max_skip_count=0, **items,
    )  # fmt: skip


def _zip_map(schema: Any, binding: Mapping[str, str], _: str) -> Example:
    text = "string" in binding["T"]
    keys: list[Any] = ["a", "b", "c"] if text else [1, 2, 3]
    expected = [dict(zip(keys, row.tolist(), strict=True)) for row in _FEATURES[:2]]
    labels: dict[str, Any] = {"classlabels_strings" if text else "classlabels_int64s": keys}
    return _example("ZipMap", 1, [_FEATURES[:2]], [binding["T"]], expected=[expected], **labels)


BUILDERS: dict[tuple[str, str], Callable[[Any, Mapping[str, str], str], Example]] = {
    ("", "TfIdfVectorizer"): _tfidf_vectorizer,
    (_DOMAIN, "CastMap"): _cast_map,
    (_DOMAIN, "CategoryMapper"): _category_mapper,
    (_DOMAIN, "DictVectorizer"): _dict_vectorizer,
    (_DOMAIN, "Imputer"): _imputer,
    (_DOMAIN, "LabelEncoder"): _label_encoder,
    (_DOMAIN, "LinearClassifier"): _classifier(
        "LinearClassifier",
        "classlabels_ints",
        {"coefficients": [0.5, -1.0, 2.0, 1.0, 0.0, 3.0, -1.0, 0.5, 0.25], "intercepts": [1.0, -1.0, 0.0]},
    ),
    (_DOMAIN, "OneHotEncoder"): _one_hot_encoder,
    (_DOMAIN, "SVMClassifier"): _classifier(
        "SVMClassifier",
        "classlabels_ints",
        {
            "kernel_type": "RBF",
            "kernel_params": [0.5, 0.0, 0.0],
            "support_vectors": [0.0, 1.0, 2.0, 1.0, -1.0, 0.5, 2.0, 2.0, 1.0],
            "vectors_per_class": [1, 1, 1],
            "coefficients": [1.0, -0.5, 0.5, -1.0, 0.75, -0.25],
            "rho": [0.25, 0.0, -0.5],
        },
    ),
    (_DOMAIN, "TreeEnsembleClassifier"): _classifier(
        "TreeEnsembleClassifier", "classlabels_int64s", {**_TREES, **_leaves("class")}
    ),
    (_DOMAIN, "ZipMap"): _zip_map,
}
