"""Small models, written as text, and sessions of them on the reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from onnx import ModelProto, parser

import onnxlite

HEADER = '<ir_version: 10, opset_import: ["": 18, "my.domain": 1]>'


@pytest.fixture
def model_of() -> Callable[..., ModelProto]:
    """Makes a model from a graph in onnx's textual form, and functions after it."""

    def make(graph: str, functions: str = "", header: str = HEADER) -> ModelProto:
        return parser.parse_model(f"{header}\n{graph}\n{functions}")

    return make


@pytest.fixture
def session_of(model_of: Callable[..., ModelProto]) -> Callable[..., onnxlite.InferenceSession]:
    """Makes a session from the same."""

    def make(
        graph: str, functions: str = "", options: onnxlite.SessionOptions | None = None, **kwargs: Any
    ) -> onnxlite.InferenceSession:
        kwargs.setdefault("providers", ["ReferenceExecutionProvider"])
        return onnxlite.InferenceSession(model_of(graph, functions).SerializeToString(), options, **kwargs)

    return make
