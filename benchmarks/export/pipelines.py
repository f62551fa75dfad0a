"""scikit-learn's estimators as ONNX models, fitted to made-up data of 30 features and 5 classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from skl2onnx import to_onnx
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from benchmarks.export.save import OPSET, write

_FEATURES, _CLASSES = 30, 5


def random_forest(path: Path) -> None:
    """100 trees, probabilities as an array."""
    _save(RandomForestClassifier(100, random_state=0), path, zipmap=False)


def gradient_boosting(path: Path) -> None:
    """100 rounds of a tree per class, probabilities as an array."""
    _save(GradientBoostingClassifier(random_state=0), path, zipmap=False)


def support_vectors(path: Path) -> None:
    """An SVM with radial basis functions after scaling; decision values as an array."""
    _save(make_pipeline(StandardScaler(), SVC(random_state=0)), path, zipmap=False)


def logistic_regression(path: Path) -> None:
    """Scaling and a logistic regression, with the sequence of maps that skl2onnx gives by default."""
    _save(make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)), path, zipmap=True)


def _save(estimator: Any, path: Path, zipmap: bool) -> None:
    samples, classes = make_classification(
        1000, _FEATURES, n_informative=20, n_classes=_CLASSES, random_state=0, shuffle=True
    )
    samples = samples.astype("float32")
    estimator.fit(samples, classes)
    final = estimator[-1] if hasattr(estimator, "steps") else estimator
    model = to_onnx(estimator, samples[:1], options={id(final): {"zipmap": zipmap}}, target_opset=OPSET)
    write(model, path, {model.graph.input[0].name: {"shape": [1, _FEATURES]}})
