"""ai.onnx.ml without its trees: against onnxruntime, scikit-learn and independent formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC, SVR, OneClassSVM

from onnxlite.conformance.differential import assert_same, kernel_outputs, node_model, onnxruntime_outputs

ML = "ai.onnx.ml"
quick = settings(max_examples=25, deadline=None, derandomize=True)
random = np.random.default_rng(3)
NAN = float("nan")


@pytest.fixture(autouse=True)
def same_numbers_in_any_order() -> None:
    global random
    random = np.random.default_rng(3)


NUMERIC = [np.float32, np.float64, np.int32, np.int64]
TRANSFORMS = ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"]


def kernel(operator: str, *inputs: Any, version: int = 1, **attributes: Any) -> list[Any]:
    return list(kernel_outputs(operator, version, *inputs, domain=ML, **attributes))


def reference(operator: str, *inputs: Any, version: int = 1, outputs: int = 1, **attributes: Any) -> list[Any]:
    model = node_model(operator, inputs, opset=version, domain=ML, outputs=outputs, **attributes)
    return onnxruntime_outputs(model, inputs)


def check(
    operator: str, *inputs: Any, version: int = 1, outputs: int = 1, rtol: float = 1e-5, **attributes: Any
) -> None:
    expected = reference(operator, *inputs, version=version, outputs=outputs, **attributes)
    assert_same(kernel(operator, *inputs, version=version, **attributes), expected, rtol=rtol, atol=rtol)


def features(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return (3 * random.standard_normal(shape)).astype(dtype)


def strings(*values: str) -> np.ndarray:
    return np.array(values, dtype=object)


# ---- linear models


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("dtype", NUMERIC)
def test_linear_classifier_of_three_classes(transform: str, dtype: Any) -> None:
    attributes = {
        "coefficients": [0.1, 0.2, -0.3, 0.4, 0.5, 0.6, -0.7, 0.8, 0.9],
        "intercepts": [0.1, -0.2, 0.3],
        "post_transform": transform,
    }
    x = features(5, 3, dtype=dtype)
    # onnxruntime computes in float32, which shows where PROBIT is steep.
    rtol = 1e-3 if transform == "PROBIT" else 1e-5
    check("LinearClassifier", x, outputs=2, rtol=rtol, classlabels_ints=[7, 8, 9], **attributes)
    check("LinearClassifier", x[0], outputs=2, rtol=rtol, classlabels_strings=["a", "b", "c"], **attributes)


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC"])
def test_linear_classifier_of_one_score(transform: str) -> None:
    attributes = {"coefficients": [0.4, -0.5], "intercepts": [0.1], "post_transform": transform}
    check("LinearClassifier", features(6, 2), outputs=2, classlabels_strings=["no", "yes"], **attributes)
    check("LinearClassifier", features(6, 2), outputs=2, classlabels_ints=[5, 3], **attributes)


def test_linear_classifier_is_scikit_learns() -> None:
    x = features(40, 3)
    model = LogisticRegression().fit(x, random.integers(0, 3, 40))
    attributes = {"coefficients": model.coef_.ravel().tolist(), "intercepts": model.intercept_.tolist()}
    labels, scores = kernel("LinearClassifier", x, classlabels_ints=(0, 1, 2), post_transform="SOFTMAX", **attributes)
    np.testing.assert_array_equal(labels, model.predict(x))
    np.testing.assert_allclose(scores, model.predict_proba(x), atol=1e-5)
    model = LogisticRegression().fit(x, x[:, 0] > 0)
    attributes = {"coefficients": model.coef_.ravel().tolist(), "intercepts": model.intercept_.tolist()}
    _, scores = kernel("LinearClassifier", x, classlabels_ints=(0, 1), post_transform="LOGISTIC", **attributes)
    np.testing.assert_allclose(scores, model.predict_proba(x), atol=1e-5)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_linear_regressor_of_two_targets(transform: str) -> None:
    attributes = {"coefficients": [0.1, 0.2, 0.3, 0.4], "intercepts": [0.3, 0.2], "targets": 2}
    x = random.random((5, 2), dtype=np.float32) / 2
    check("LinearRegressor", x, post_transform=transform, **attributes)


def test_linear_regressor_transforms_a_single_target() -> None:
    x = features(4, 2)
    (plain,) = kernel("LinearRegressor", x, coefficients=(1.0, 2.0), intercepts=(3.0,))
    (y,) = kernel("LinearRegressor", x, coefficients=(1.0, 2.0), intercepts=(3.0,), post_transform="LOGISTIC")
    np.testing.assert_allclose(plain[:, 0], x[:, 0] + 2 * x[:, 1] + 3, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(y, 1 / (1 + np.exp(-plain)), rtol=1e-5)


def test_softmax_zero_keeps_zeros() -> None:
    x = np.array([[0.0, 1.0, 2.0], [0.0, 0.0, 0.0]], np.float32)
    attributes = {"coefficients": np.eye(3).ravel().tolist(), "targets": 3, "post_transform": "SOFTMAX_ZERO"}
    (y,) = kernel("LinearRegressor", x, **attributes)
    share = 1 / (1 + np.exp(-1))
    np.testing.assert_allclose(y, [[0, 1 - share, share], [0, 0, 0]], rtol=1e-6)


@pytest.mark.parametrize(
    ("operator", "attributes"),
    [
        ("LinearClassifier", {"coefficients": (1.0,)}),
        ("LinearClassifier", {"coefficients": (1.0,) * 6, "intercepts": (1.0,)}),
        ("LinearClassifier", {"coefficients": (1.0,) * 6, "classlabels_ints": (1,)}),
        ("LinearRegressor", {"coefficients": (1.0,) * 3, "targets": 2}),
        ("LinearRegressor", {"coefficients": (1.0,) * 3, "post_transform": "CUBE"}),
        ("SVMRegressor", {"coefficients": (1.0,) * 2, "rho": (0.0,)}),
        ("SVMRegressor", {"coefficients": (1.0,) * 3}),
        ("SVMRegressor", {"coefficients": (1.0,), "rho": (0.0,), "n_supports": 1, "support_vectors": (1.0,)}),
        ("SVMClassifier", {"coefficients": (1.0,) * 2, "rho": (0.0,)}),
    ],
)
def test_attributes_that_do_not_fit_the_features_are_errors(operator: str, attributes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"expected|must be"):
        kernel(operator, features(2, 3), **attributes)


def test_models_reject_tensors_that_are_no_rows() -> None:
    with pytest.raises(ValueError, match="rank 1 or 2"):
        kernel("LinearRegressor", features(2, 3, 4), coefficients=(1.0,))


# ---- support vector machines


def svc_attributes(model: Any, kind: str) -> dict[str, Any]:
    return {
        "coefficients": model.dual_coef_.ravel().tolist(),
        "support_vectors": model.support_vectors_.ravel().tolist(),
        "vectors_per_class": model.n_support_.tolist(),
        "rho": model._intercept_.tolist(),
        "kernel_type": kind,
        "kernel_params": [float(model._gamma), float(model.coef0), float(model.degree)],
        "classlabels_ints": [int(label) for label in model.classes_],
    }


@pytest.mark.parametrize("kind", ["LINEAR", "POLY", "RBF", "SIGMOID"])
@pytest.mark.parametrize("classes", [2, 3, 4])
def test_svm_classifier_agrees_with_onnxruntime(kind: str, classes: int) -> None:
    x = features(60, 3)
    y = random.integers(0, classes, 60)
    model = SVC(kernel=kind.lower(), gamma=0.3, coef0=0.2, degree=3).fit(x, y)
    attributes = svc_attributes(model, kind)
    test = features(20, 3)
    expected = reference("SVMClassifier", test, outputs=2, **attributes)
    assert_same(kernel("SVMClassifier", test, **attributes), expected, rtol=1e-3, atol=1e-3)


def test_svm_classifier_is_scikit_learns() -> None:
    x = features(60, 3)
    model = SVC(kernel="rbf", gamma=0.3, decision_function_shape="ovo").fit(x, random.integers(0, 3, 60))
    labels, scores = kernel("SVMClassifier", x, **svc_attributes(model, "RBF"))
    np.testing.assert_array_equal(labels, model.predict(x))
    np.testing.assert_allclose(scores, model.decision_function(x), atol=1e-4)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("transform", ["NONE", "SOFTMAX"])
def test_svm_probabilities_agree_with_onnxruntime(classes: int, transform: str) -> None:
    x = features(60, 3)
    pairs = classes * (classes - 1) // 2
    model = SVC(kernel="rbf", gamma=0.3).fit(x, random.integers(0, classes, 60))
    attributes = svc_attributes(model, "RBF")
    attributes |= {"prob_a": [-1.5] * pairs, "prob_b": [0.1] * pairs, "post_transform": transform}
    expected = reference("SVMClassifier", x, outputs=2, **attributes)
    actual = kernel("SVMClassifier", x, **attributes)
    assert_same(actual, expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(actual[1].sum(axis=1), 1, rtol=1e-5)


def test_svm_classifier_transforms_both_scores_of_two_classes() -> None:
    x = features(30, 3)
    model = SVC(kernel="linear").fit(x, x[:, 0] > 0)
    attributes = svc_attributes(model, "LINEAR")
    _, raw = kernel("SVMClassifier", x, **attributes)
    _, logistic = kernel("SVMClassifier", x, **attributes, post_transform="LOGISTIC")
    np.testing.assert_allclose(raw[:, 0], -raw[:, 1])
    np.testing.assert_allclose(logistic, 1 / (1 + np.exp(-raw)), rtol=1e-5)


def test_svm_classifier_without_support_vectors_is_linear() -> None:
    attributes = {"coefficients": [0.1, 0.2, -0.3, 0.4, 0.5, -0.6], "rho": [0.25], "classlabels_strings": list("abc")}
    attributes["kernel_params"] = [0.0, 0.0, 0.0]
    check("SVMClassifier", features(6, 2), outputs=2, **attributes)
    check("SVMClassifier", features(6, 2, dtype=np.int64), outputs=2, post_transform="SOFTMAX", **attributes)


@pytest.mark.parametrize("kind", ["LINEAR", "POLY", "RBF", "SIGMOID"])
def test_svm_regressor_agrees_with_onnxruntime_and_scikit_learn(kind: str) -> None:
    x = features(40, 3)
    model = SVR(kernel=kind.lower(), gamma=0.2, coef0=0.1, degree=2).fit(x, x[:, 0] + x[:, 1])
    attributes = {
        "coefficients": model.dual_coef_.ravel().tolist(),
        "support_vectors": model.support_vectors_.ravel().tolist(),
        "n_supports": len(model.support_),
        "rho": model.intercept_.tolist(),
        "kernel_type": kind,
        "kernel_params": [0.2, 0.1, 2.0],
    }
    (y,) = kernel("SVMRegressor", x, **attributes)
    assert_same([y], reference("SVMRegressor", x, **attributes), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(y[:, 0], model.predict(x), rtol=1e-3, atol=1e-3)


def test_one_class_svm_gives_signs() -> None:
    x = features(40, 3)
    model = OneClassSVM(gamma=0.2, nu=0.4).fit(x)
    attributes = {
        "coefficients": model.dual_coef_.ravel().tolist(),
        "support_vectors": model.support_vectors_.ravel().tolist(),
        "n_supports": len(model.support_),
        "rho": model.intercept_.tolist(),
        "kernel_type": "RBF",
        "kernel_params": [0.2, 0.0, 0.0],
        "one_class": 1,
    }
    test = features(40, 3)
    (y,) = kernel("SVMRegressor", test, **attributes)
    assert_same([y], reference("SVMRegressor", test, **attributes))
    np.testing.assert_array_equal(y[:, 0], model.predict(test))


def test_linear_svm_regressor() -> None:
    check("SVMRegressor", features(5, 3), coefficients=[0.1, 0.2, 0.3], rho=[0.5], kernel_params=[0.0, 0.0, 0.0])


# ---- features


@pytest.mark.parametrize("dtype", [*NUMERIC, object])
@pytest.mark.parametrize("shape", [(4,), (2, 4), (2, 3, 4)])
@pytest.mark.parametrize("positions", [[[0, 3]], [2], [[0, 1], [3, 1]]])
def test_array_feature_extractor(dtype: Any, shape: tuple[int, ...], positions: list[Any]) -> None:
    x = np.arange(np.prod(shape)).reshape(shape)
    x = x.astype(str).astype(object) if dtype is object else x.astype(dtype)
    check("ArrayFeatureExtractor", x, np.array(positions))


@pytest.mark.parametrize("position", [-1, 4])
def test_array_feature_extractor_checks_its_positions(position: int) -> None:
    with pytest.raises(IndexError, match=r"\[0, 3\]"):
        kernel("ArrayFeatureExtractor", features(2, 4), np.array([0, position]))


@pytest.mark.parametrize("dtype", NUMERIC)
def test_binarizer(dtype: Any) -> None:
    x = np.array([[-1, 0, 1], [2, 3, 4]]).astype(dtype)
    (y,) = kernel("Binarizer", x, threshold=1.5)
    assert_same(y, np.array([[0, 0, 0], [1, 1, 1]], dtype))
    if dtype == np.float32:
        check("Binarizer", x, threshold=1.0)
    assert_same(kernel("Binarizer", np.array([NAN, 2.0])), [np.array([0.0, 1.0])])


@pytest.mark.parametrize("dtype", NUMERIC)
@pytest.mark.parametrize("sizes", [[3, 2], [2, 4]])
def test_feature_vectorizer(dtype: Any, sizes: list[int]) -> None:
    check("FeatureVectorizer", features(4, 3, dtype=dtype), features(4, 2, dtype=dtype), inputdimensions=sizes)
    check("FeatureVectorizer", features(3, dtype=dtype), features(2, dtype=dtype), inputdimensions=[3, 2])


def test_feature_vectorizer_needs_equally_many_samples() -> None:
    with pytest.raises(ValueError, match="as many samples"):
        kernel("FeatureVectorizer", features(4, 3), features(3, 3))


@pytest.mark.parametrize("replaced", [0.0, NAN, 1.5])
@pytest.mark.parametrize("values", [[7.5], [7.5, -8.0, 0.25]])
def test_imputer_of_floats(replaced: float, values: list[float]) -> None:
    x = np.array([[0, NAN, 1.5], [NAN, 0, 0]], np.float32)
    check("Imputer", x, imputed_value_floats=values, replaced_value_float=replaced)
    expected = np.where(np.isnan(x) if replaced != replaced else x == replaced, np.array(values), x)
    assert_same(
        kernel("Imputer", x.astype(np.float64), imputed_value_floats=values, replaced_value_float=replaced), [expected]
    )


def test_imputer_of_integers() -> None:
    x = np.array([[0, 1], [2, 0]])
    check("Imputer", x, imputed_value_int64s=[7, 8])
    (y,) = kernel("Imputer", x.astype(np.int32), imputed_value_int64s=(9,), replaced_value_int64=2)
    assert_same(y, np.array([[0, 1], [9, 0]], np.int32))
    with pytest.raises(ValueError, match="imputed_value_int64s"):
        kernel("Imputer", x, imputed_value_floats=(1.0,))


@pytest.mark.parametrize("norm", ["MAX", "L1", "L2"])
@pytest.mark.parametrize("dtype", NUMERIC)
def test_normalizer(norm: str, dtype: Any) -> None:
    x = features(5, 3, dtype=dtype)
    x[1] = 0
    check("Normalizer", x, norm=norm)
    check("Normalizer", x[0], norm=norm)
    assert kernel("Normalizer", x[:0], norm=norm)[0].shape == (0, 3)


@pytest.mark.parametrize("dtype", NUMERIC)
@pytest.mark.parametrize("size", [1, 3])
def test_scaler(dtype: Any, size: int) -> None:
    offset, scale = [0.5, 1.5, -2.0][:size], [2.0, 0.25, 3.0][:size]
    check("Scaler", features(4, 3, dtype=dtype), offset=offset, scale=scale)
    (y,) = kernel("Scaler", np.ones((2, 3), dtype), scale=scale)
    assert_same(y, np.broadcast_to(np.array(scale, np.float32), (2, 3)))
    with pytest.raises(ValueError, match="1 offset or one per feature"):
        kernel("Scaler", features(4, 3), offset=(1.0, 2.0))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("shape", [(), (4,), (2, 2), (0,)])
def test_one_hot_encoder_of_numbers(dtype: Any, shape: tuple[int, ...]) -> None:
    x = np.array([1.7, 5, 2, -0.5])[: np.prod(shape, dtype=int)].reshape(shape).astype(dtype)
    check("OneHotEncoder", x, cats_int64s=[2, 1, 0])


def test_one_hot_encoder_of_strings() -> None:
    x = strings("b", "?", "a")
    check("OneHotEncoder", x, cats_strings=["a", "b"])
    with pytest.raises(ValueError, match="got '\\?'"):
        kernel("OneHotEncoder", x, cats_strings=("a", "b"), zeros=0)


def test_zip_map() -> None:
    x = features(2, 3)
    check("ZipMap", x, classlabels_strings=["a", "b", "c"])
    check("ZipMap", x[0], classlabels_int64s=[5, 3, 4])
    with pytest.raises(ValueError, match="2 labels"):
        kernel("ZipMap", x, classlabels_int64s=(5, 3))


# ---- labels


def test_category_mapper() -> None:
    attributes = {"cats_strings": ["a", "b"], "cats_int64s": [5, 6], "default_int64": -7, "default_string": "none"}
    check("CategoryMapper", strings("b", "c", "a"), **attributes)
    check("CategoryMapper", np.array([[6, 1], [5, 5]]), **attributes)
    assert_same(kernel("CategoryMapper", np.array("a", object), **attributes), [np.array(5)])
    with pytest.raises(ValueError, match="as many keys as values"):
        kernel("CategoryMapper", strings("a"), cats_strings=("a",))


def test_label_encoder_1_counts_positions() -> None:
    attributes = {"classes_strings": ["x", "y"]}
    check("LabelEncoder", strings("y", "z", "x"), **attributes)
    check("LabelEncoder", np.array([[1, 0], [5, -1]]), **attributes, default_string="?")
    assert_same(kernel("LabelEncoder", np.array(1), **attributes), [np.array("y", object)])


KEYS = {"keys_strings": ["a", "b"], "keys_int64s": [5, 6], "keys_floats": [1.5, NAN]}
VALUES = {"values_strings": ["x", "y"], "values_int64s": [7, 8], "values_floats": [0.5, 0.25]}
INPUTS = {
    "keys_strings": strings("b", "c", "a"),
    "keys_int64s": np.array([6, 0, 5]),
    "keys_floats": np.array([1.5, 2, 0], np.float32),
}


@pytest.mark.parametrize("version", [2, 4])
@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("value", VALUES)
def test_label_encoder_agrees_with_onnxruntime(version: int, key: str, value: str) -> None:
    check("LabelEncoder", INPUTS[key], version=version, **{key: KEYS[key], value: VALUES[value]})


@pytest.mark.parametrize("version", [2, 4])
def test_label_encoder_finds_nan(version: int) -> None:
    x = np.array([NAN, 1.0], np.float32)
    assert_same(kernel("LabelEncoder", x, version=version, keys_floats=(NAN,), values_int64s=(3,)), [np.array([3, -1])])


def test_the_last_of_equal_keys_counts_since_version_4() -> None:
    for version, expected in ((2, 1), (4, 2)):
        for keys, x in (({"keys_strings": ("a", "a")}, strings("a")), ({"keys_int64s": (9, 9)}, np.array([9]))):
            assert_same(
                kernel("LabelEncoder", x, version=version, **keys, values_int64s=(1, 2)), [np.array([expected])]
            )


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.int16, np.float32, np.float64])
def test_label_encoder_4_of_tensors(dtype: Any) -> None:
    x = np.array([[3, 1], [2, 3]], dtype)
    keys, values = np.array([3, 2], dtype), np.array([30, 20], dtype)
    (y,) = kernel("LabelEncoder", x, version=4, keys_tensor=keys, values_tensor=values)
    assert_same(y, np.array([[30, 0 if dtype in (np.float32, np.float64) else -1], [20, 30]], dtype))
    (y,) = kernel(
        "LabelEncoder", x, version=4, keys_tensor=keys, values_tensor=values, default_tensor=np.array([9], dtype)
    )
    assert_same(y, np.array([[30, 9], [20, 30]], dtype))


def test_label_encoder_needs_one_kind_of_keys() -> None:
    with pytest.raises(ValueError, match="one of the attributes keys"):
        kernel("LabelEncoder", np.array([1]), version=4, keys_int64s=(1,), keys_strings=("a",), values_int64s=(1,))
    with pytest.raises(ValueError, match="type of the keys"):
        kernel("LabelEncoder", strings("a"), version=4, keys_int64s=(1,), values_int64s=(1,))


@quick
@given(keys=st.lists(st.integers(-3, 3), max_size=6), x=st.lists(st.integers(-4, 4), max_size=6), text=st.booleans())
def test_label_encoder_is_a_dictionary(keys: list[int], x: list[int], text: bool) -> None:
    if not keys:
        return
    values = tuple(range(len(keys)))
    expected = np.array([dict(zip(keys, values, strict=True)).get(element, -1) for element in x], np.int64)
    if text:
        (y,) = kernel(
            "LabelEncoder", strings(*map(str, x)), version=4, keys_strings=tuple(map(str, keys)), values_int64s=values
        )
    else:
        (y,) = kernel("LabelEncoder", np.array(x, np.int64), version=4, keys_int64s=tuple(keys), values_int64s=values)
    assert_same(y, expected)


# ---- maps


def map_outputs(operator: str, value: dict[Any, Any], types: tuple[int, int, int], **attributes: Any) -> list[Any]:
    """What onnxruntime gives for a map of (key type, value type, output type)."""
    element = helper.make_tensor_type_proto(types[1], [])
    graph = helper.make_graph(
        [helper.make_node(operator, ["x"], ["y"], domain=ML, **attributes)],
        operator,
        [helper.make_value_info("x", helper.make_map_type_proto(types[0], element))],
        [helper.make_tensor_value_info("y", types[2], None)],
    )
    imports = [helper.make_opsetid(ML, 1), helper.make_opsetid("", 15)]
    return onnxruntime_outputs(helper.make_model(graph, opset_imports=imports, ir_version=8), [value])


INT64, FLOAT, STRING = TensorProto.INT64, TensorProto.FLOAT, TensorProto.STRING


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({}, FLOAT),
        ({"cast_to": "TO_STRING"}, STRING),
        ({"cast_to": "TO_INT64"}, INT64),
        ({"map_form": "SPARSE", "max_map": 9}, FLOAT),
        ({"map_form": "SPARSE", "max_map": 9, "cast_to": "TO_STRING"}, STRING),
        ({"map_form": "SPARSE", "max_map": 9, "cast_to": "TO_INT64"}, INT64),
    ],
)
def test_cast_map(attributes: dict[str, Any], kind: int) -> None:
    value = {3: 1.5, 1: 2.75, 7: -1.25}
    assert_same(
        kernel("CastMap", value, **attributes), map_outputs("CastMap", value, (INT64, FLOAT, kind), **attributes)
    )


def test_cast_map_of_strings() -> None:
    assert_same(kernel("CastMap", {3: "1.5", 1: "2"}), [np.array([[2.0, 1.5]], np.float32)])
    assert_same(kernel("CastMap", {3: "1.5", 1: "2"}, cast_to="TO_STRING"), [np.array([["2", "1.5"]], object)])
    with pytest.raises(ValueError, match=r"\[0, 2\]"):
        kernel("CastMap", {3: 1.0}, map_form="SPARSE", max_map=3)


def test_dict_vectorizer_gives_a_vector() -> None:
    value = {"a": 1.5, "z": 2.0, "unknown": 9.0}
    vocabulary = ("z", "b", "a")
    (expected,) = map_outputs("DictVectorizer", value, (STRING, FLOAT, FLOAT), string_vocabulary=vocabulary)
    # The specification says one dimension; onnxruntime gives one row.
    assert_same(kernel("DictVectorizer", value, string_vocabulary=vocabulary), [expected[0]])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({1: "x"}, np.array(["", "x"], object)),
        ({1: 4}, np.array([0, 4])),
        ({1: np.float64(4)}, np.array([0.0, 4.0])),
        ({}, np.array([0, 0], np.float32)),
    ],
)
def test_dict_vectorizer_types(value: dict[int, Any], expected: np.ndarray) -> None:
    assert_same(kernel("DictVectorizer", value, int64_vocabulary=(2, 1)), [expected])
    declared = kernel("DictVectorizer", {1: 4}, int64_vocabulary=(2, 1), output_types=(np.dtype(np.float64),))
    assert_same(declared, [np.array([0.0, 4.0])])
