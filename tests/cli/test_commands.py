"""The command line, called as a function; a model on disk, results on disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import parser

from onnxlite.cli import main

MODEL = """
    <ir_version: 8, opset_import: ["": 17]>
    doubled (float[N, 3] x, int64[N] index) => (float[N, 3] y, seq(float[K, 3]) parts) {
        hidden = Add (x, x)
        y = Relu (hidden)
        parts = SplitToSequence <axis = 0> (hidden)
    }
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    onnx.save(parser.parse_model(MODEL), path)
    return path


def test_run_reads_arrays_and_writes_results(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = np.array([[1, -2, 3], [4, 5, -6]], np.float32)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "index.npy", np.arange(2))
    out = tmp_path / "out"
    inputs = ["--input", f"x={tmp_path / 'x.npy'}", "--input", f"index={tmp_path / 'index.npy'}"]
    assert main(["run", str(model), *inputs, "--output", str(out)]) == 0
    np.testing.assert_array_equal(np.load(out / "y.npy"), np.maximum(2 * x, 0))
    assert (out / "parts.json").exists()
    assert "float[2,3]" in capsys.readouterr().out


def test_run_makes_random_input_of_the_declared_shape(model: Path, tmp_path: Path) -> None:
    arguments = ["run", str(model), "--random", "--dim", "N=5", "--fetch", "hidden", "--output"]
    assert main([*arguments, str(tmp_path / "a")]) == 0
    assert main([*arguments, str(tmp_path / "b")]) == 0
    first, second = (np.load(tmp_path / folder / "hidden.npy") for folder in "ab")
    assert first.shape == (5, 3)
    np.testing.assert_array_equal(first, second)
    assert main([*arguments, str(tmp_path / "c"), "--seed", "1"]) == 0
    assert not np.array_equal(first, np.load(tmp_path / "c" / "hidden.npy"))


def test_a_value_name_cannot_choose_the_folder(tmp_path: Path) -> None:
    text = '<ir_version: 8, opset_import: ["": 17]> g (float[1] x) => (float[1] y) { y = Relu (x) }'
    model = parser.parse_model(text)
    model.graph.output[0].name = model.graph.node[0].output[0] = "../../escaped"
    onnx.save(model, tmp_path / "m.onnx")
    out = tmp_path / "a" / "b"
    assert main(["run", str(tmp_path / "m.onnx"), "--random", "--output", str(out)]) == 0
    assert [path.parent for path in tmp_path.rglob("*escaped*")] == [out]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "{model}"], "Required inputs"),
        (["run", "missing.onnx"], "does not exist"),
        (["run", "{model}", "--input", "x"], "NAME=VALUE"),
        (["run", "{model}", "--input", "x={model}"], "not an array"),
        (["run", "{model}", "--random", "--dim", "N=-1"], "takes a length"),
        (["run", "{model}", "--random", "--fetch", "nothing"], "nothing"),
        (["inspect", "missing.onnx"], "does not exist"),
    ],
)
def test_errors_are_one_sentence_and_status_1(
    arguments: list[str], message: str, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([argument.replace("{model}", str(model)) for argument in arguments]) == 1
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err


def test_inspect_shows_inputs_operators_and_placement(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(model), "--nodes"]) == 0
    shown = capsys.readouterr().out
    for expected in ("ai.onnx 17", "tensor(int64)", "Relu", "SplitToSequence", "kernels.numpy.activation.relu"):
        assert expected in shown
    assert main(["inspect", str(model), "--graph"]) == 0
    assert "y = Relu(hidden)" in capsys.readouterr().out


def test_warmup_tells_what_it_compiled(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["warmup", str(model), "--dim", "N=7"]) == 0
    assert "cache: " in capsys.readouterr().out


def test_demo_classifies_the_images_that_ship_with_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--count", "2"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("truth:") == 2
    right, total = (int(word) for word in shown.split() if word.isdecimal() and int(word) > 20)
    assert right / total > 0.97


def test_the_demo_is_readable_without_unicode() -> None:
    command = [sys.executable, "-m", "onnxlite", "demo", "--count", "1"]
    done = subprocess.run(command, capture_output=True, env={"PYTHONIOENCODING": "ascii", "PATH": ""}, check=True)
    assert done.stdout.isascii()
