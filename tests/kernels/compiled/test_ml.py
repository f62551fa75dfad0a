"""Linear models, support vector machines and the preparation of features, compiled and in the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.conformance.compiled import KernelDeclined, bind_and_run
from onnxlite.conformance.differential import assert_same, kernel_outputs
from onnxlite.kernels.arrays import Array

ML = "ai.onnx.ml"
_SETTINGS = settings(max_examples=40, deadline=None, derandomize=True)
_TRANSFORMS = st.sampled_from(["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"])
_SHAPES = st.sampled_from([(7,), (1, 7), (5, 7), (0, 7), (300, 7)])
_TYPES = st.sampled_from([np.float32, np.float64, np.int32, np.int64])


def _check(
    op_type: str, version: int, *inputs: Array, rtol: float = 1e-6, constants: Any = (), **attributes: Any
) -> None:
    expected = kernel_outputs(op_type, version, *inputs, domain=ML, **attributes)
    for threads in (1, 2):
        actual = bind_and_run(op_type, version, *inputs, domain=ML, threads=threads, constants=constants, **attributes)
        for one, other in zip(actual, expected, strict=True):
            assert_same(one, other, rtol=rtol, atol=rtol)


def _floats(rng: np.random.Generator, count: int) -> tuple[float, ...]:
    return tuple(rng.standard_normal(count).astype(np.float32).tolist())


def _samples(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Array:
    return (rng.standard_normal(shape) * 3).astype(dtype)


@_SETTINGS
@given(st.integers(0, 99), _SHAPES, _TYPES, _TRANSFORMS, st.sampled_from([1, 2, 5]), st.sampled_from([0, 1, 2, 5]))
def test_linear_classifier(
    seed: int, shape: tuple[int, ...], dtype: Any, transform: str, classes: int, labels: int
) -> None:
    rng = np.random.default_rng(seed)
    attributes: dict[str, Any] = {"coefficients": _floats(rng, classes * 7), "post_transform": transform}
    if labels >= classes:
        attributes["classlabels_ints"] = tuple(range(3, 3 + labels))
    if seed % 2:
        attributes["intercepts"] = _floats(rng, classes)
    _check("LinearClassifier", 1, _samples(rng, shape, dtype), rtol=2e-5, **attributes)


@_SETTINGS
@given(st.integers(0, 99), _SHAPES, _TYPES, _TRANSFORMS, st.sampled_from([1, 4]))
def test_linear_regressor(seed: int, shape: tuple[int, ...], dtype: Any, transform: str, targets: int) -> None:
    rng = np.random.default_rng(seed)
    attributes: dict[str, Any] = {"intercepts": _floats(rng, targets)} if seed % 2 else {}
    attributes |= {"coefficients": _floats(rng, targets * 7), "targets": targets, "post_transform": transform}
    _check("LinearRegressor", 1, _samples(rng, shape, dtype), rtol=2e-5, **attributes)


def _kernel(kind: str) -> dict[str, Any]:
    return {"kernel_type": kind, "kernel_params": (0.3, 0.5, 3.0)}


_KERNELS = st.sampled_from(["LINEAR", "POLY", "RBF", "SIGMOID"]).map(_kernel)


@_SETTINGS
@given(st.integers(0, 99), _SHAPES, _KERNELS, _TRANSFORMS, st.integers(0, 1), st.sampled_from([0, 1, 6]))
def test_svm_regressor(
    seed: int, shape: tuple[int, ...], kernel: dict[str, Any], transform: str, one_class: int, supports: int
) -> None:
    rng = np.random.default_rng(seed)
    attributes = {
        "coefficients": _floats(rng, supports or 7),
        "n_supports": supports,
        "support_vectors": _floats(rng, supports * 7),
        "rho": (0.2,),
        "post_transform": transform,
        "one_class": one_class,
    }
    _check("SVMRegressor", 1, rng.standard_normal(shape).astype(np.float32), rtol=1e-4, **kernel, **attributes)


@_SETTINGS
@given(st.integers(0, 99), _SHAPES, _KERNELS, _TRANSFORMS, st.booleans(), st.sampled_from([2, 3, 5]))
def test_svm_classifier(
    seed: int, shape: tuple[int, ...], kernel: dict[str, Any], transform: str, probabilities: bool, classes: int
) -> None:
    rng = np.random.default_rng(seed)
    sizes = tuple(rng.integers(1, 4, classes).tolist())
    pairs = classes * (classes - 1) // 2
    attributes: dict[str, Any] = {
        "classlabels_ints": tuple(range(10, 10 + classes)),
        "coefficients": _floats(rng, sum(sizes) * (classes - 1)),
        "support_vectors": _floats(rng, sum(sizes) * 7),
        "vectors_per_class": sizes,
        "rho": _floats(rng, pairs),
        "post_transform": transform,
    }
    if probabilities:
        attributes |= {"prob_a": _floats(rng, pairs), "prob_b": _floats(rng, pairs)}
    _check("SVMClassifier", 1, rng.standard_normal(shape).astype(np.float32), rtol=1e-4, **kernel, **attributes)


@_SETTINGS
@given(st.integers(0, 99), _SHAPES, _TYPES, st.sampled_from([0, 1, 7]), st.sampled_from([0, 1, 7]))
def test_scaler(seed: int, shape: tuple[int, ...], dtype: Any, offsets: int, scales: int) -> None:
    rng = np.random.default_rng(seed)
    x = _samples(rng, shape, dtype)
    _check("Scaler", 1, x, offset=_floats(rng, offsets) or None, scale=_floats(rng, scales) or None)


@_SETTINGS
@given(st.integers(0, 99), _SHAPES, st.sampled_from([np.float32, np.float64]), st.sampled_from([0.0, 0.5, -1.0]))
def test_binarizer(seed: int, shape: tuple[int, ...], dtype: Any, threshold: float) -> None:
    x = _samples(np.random.default_rng(seed), shape, dtype)
    if x.size:
        x.reshape(-1)[:2] = threshold, np.nan
    _check("Binarizer", 1, x, threshold=threshold)


@_SETTINGS
@given(st.integers(0, 99), _SHAPES, _TYPES, st.sampled_from([1, 7]), st.booleans())
def test_imputer(seed: int, shape: tuple[int, ...], dtype: Any, count: int, missing: bool) -> None:
    rng = np.random.default_rng(seed)
    x = _samples(rng, shape, dtype)
    if x.dtype.kind == "f":
        x[rng.random(shape) < 0.3] = np.nan if missing else 2
        attributes: dict[str, Any] = {"imputed_value_floats": _floats(rng, count)}
        attributes["replaced_value_float"] = np.nan if missing else 2.0
    else:
        values = tuple(rng.integers(-9, 9, count).tolist())
        attributes = {"imputed_value_int64s": values, "replaced_value_int64": 1}
    _check("Imputer", 1, x, **attributes)


@_SETTINGS
@given(st.integers(0, 99), _SHAPES, _TYPES, st.sampled_from(["MAX", "L1", "L2"]))
def test_normalizer(seed: int, shape: tuple[int, ...], dtype: Any, norm: str) -> None:
    x = _samples(np.random.default_rng(seed), shape, dtype)
    x.reshape(-1)[:7] = 0
    if x.size > 7 and x.dtype.kind == "f":
        x.reshape(-1)[9] = np.nan if seed % 2 else np.inf
    if x.size:
        _check("Normalizer", 1, x, norm=norm)


@_SETTINGS
@given(st.integers(0, 99), st.sampled_from([(7,), (1, 7), (5, 7), (2, 3, 7)]), _TYPES, st.integers(1, 9))
def test_array_feature_extractor(seed: int, shape: tuple[int, ...], dtype: Any, count: int) -> None:
    rng = np.random.default_rng(seed)
    _check("ArrayFeatureExtractor", 1, _samples(rng, shape, dtype), rng.integers(0, 7, (1, count)), constants=(1,))


def test_positions_outside_are_left_to_the_reference() -> None:
    x = np.zeros((1, 7), np.float32)
    for position in (-1, 7):
        with pytest.raises(KernelDeclined, match="outside"):
            bind_and_run("ArrayFeatureExtractor", 1, x, np.array([position]), domain=ML, constants=(1,))


@pytest.mark.parametrize("dimensions", [None, (3, 4)])
def test_feature_vectorizer(dimensions: tuple[int, ...] | None) -> None:
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((5, n)).astype(np.float32) for n in (3, 4))
    _check("FeatureVectorizer", 1, x, y, inputdimensions=dimensions)


@_SETTINGS
@given(st.integers(0, 99), _TYPES, st.booleans(), st.sampled_from([2, 4]))
def test_label_encoder(seed: int, dtype: Any, floats: bool, version: int) -> None:
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    x = rng.integers(-3, 9, (4, 5)).astype(kind)
    keys = rng.integers(-3, 6, 6).astype(kind)
    if kind.kind == "f":
        x[0, :2] = np.nan, -0.0
        keys[:2] = (np.nan, 0.0) if seed % 2 else (1, 1)
    values = rng.integers(0, 100, 6)
    attributes: dict[str, Any] = {"values_floats" if floats else "values_int64s": tuple(values.tolist())}
    name = {"f4": "keys_floats", "i8": "keys_int64s"}.get(kind.str[1:])
    if name is None and version == 2:
        return
    attributes |= {name: tuple(keys.tolist())} if name else {"keys_tensor": keys}
    _check("LabelEncoder", version, x, **attributes)


@_SETTINGS
@given(st.integers(0, 99), _TYPES, _SHAPES)
def test_one_hot_encoder(seed: int, dtype: Any, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(seed)
    _check("OneHotEncoder", 1, _samples(rng, shape, dtype), cats_int64s=tuple(rng.integers(-5, 6, 4).tolist()))


def test_an_unknown_category_is_refused_where_zeros_are() -> None:
    x = np.array([1, 2, 2], np.int64)
    _check("OneHotEncoder", 1, x, cats_int64s=(2, 1), zeros=0)
    with pytest.raises(ValueError, match="categories"):
        bind_and_run("OneHotEncoder", 1, x, domain=ML, cats_int64s=(1, 3), zeros=0)


def test_text_is_left_to_the_reference() -> None:
    x = np.zeros((1, 2), np.float32)
    with pytest.raises(KernelDeclined, match="strings"):
        bind_and_run("LinearClassifier", 1, x, domain=ML, coefficients=(1.0, 2.0), classlabels_strings=("a", "b"))
