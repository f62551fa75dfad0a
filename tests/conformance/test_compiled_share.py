"""Which share of a model's nodes runs compiled, and why the others do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, parser

import onnxlite
from onnxlite.conformance.compiled_share import main, share_of

GRAPH = """<ir_version: 10, opset_import: ["": 20]>
g (float[N, 4] x, string[1] s) => (int64[1, M] i, float[N, 4] y, string[1] t) {
  a = Relu(x) b = Shape(a) r = Reshape(a, b) y = Softmax(r)
  flat = ReduceMax<keepdims = 0>(y) axes = Constant<value = int64[1] {0}>() f = Unsqueeze(flat, axes)
  i = NonZero(f) t = StringConcat(s, s)
}"""


def model() -> ModelProto:
    return parser.parse_model(GRAPH)


def test_nodes_that_run_are_counted_and_reasons_given() -> None:
    options = onnxlite.SessionOptions()
    options.add_session_config_entry("session.compile", "wait")
    session = onnxlite.InferenceSession(model().SerializeToString(), options)
    for _ in range(2):
        session.run(["y", "t"], {"x": np.ones((2, 4), np.float32), "s": np.array(["a"], object)})
    # The plan for these outputs is not the main one; that one has not run.
    assert share_of(session).total == 0
    for _ in range(2):
        session.run(None, {"x": np.ones((2, 4), np.float32), "s": np.array(["a"], object)})
    share = share_of(session)
    assert (share.compiled, share.total) == (4, 5)
    assert list(share.reasons) == [("StringConcat", "there is no compiled kernel")]
    assert "80.0%" in str(share)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(model().SerializeToString())
    assert main([str(path), "--dim", "N=3"]) == 0
    assert "model.onnx: 4 of 5 nodes run compiled" in capsys.readouterr().out
    assert main([str(path), str(path), "--at-least", "95"]) == 1
    assert "all: 8 of 10 nodes" in capsys.readouterr().out
