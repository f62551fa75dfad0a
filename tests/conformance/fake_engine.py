"""An engine that behaves as the name of the model's graph tells it to.  Found by name: ``fake_engine:FAKE``."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

from onnxlite.conformance.cases import Case, Generated
from onnxlite.conformance.engines import Engine, Prepared

ENGINE = "fake_engine:FAKE"

EXPECTED = np.array([1, 2, 3], np.float32)

_ANSWERS: dict[str, list[Any]] = {
    "right": [EXPECTED],
    "wrong value": [EXPECTED + 1],
    "wrong dtype": [EXPECTED.astype(np.float64)],
    "wrong shape": [EXPECTED.reshape(1, 3)],
    "too many": [EXPECTED, EXPECTED],
}


def fake_case(behaviour: str, kind: str = "node") -> Case:
    """A case of one Relu; ``behaviour`` is an answer above, or "crash", "exit", "hang", "decline" or "raise"."""
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        behaviour,
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [3])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])
    return Case(f"test {behaviour}", kind, 1e-3, 1e-7, Generated(model, [((EXPECTED,), (EXPECTED,))]))


def _prepare(model: bytes, provider: str) -> Prepared:
    behaviour = onnx.ModelProto.FromString(model).graph.name

    def run(inputs: Sequence[Any]) -> list[Any]:
        match behaviour:
            case "crash":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "exit":
                os._exit(3)
            case "hang":
                time.sleep(600)
            case "decline":
                raise NotImplementedError("no kernel\nfor Relu")
            case "raise":
                raise ValueError("the kernel failed")
        return _ANSWERS[behaviour]

    return run


FAKE = Engine("fake", "FakeProvider", "", lambda: ["FakeProvider"], _prepare)
