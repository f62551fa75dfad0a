"""The benchmarks run, and their record has what the tables and the readers of the JSON need; times are not judged."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import onnx
import pytest
from onnx import TensorProto, helper

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model that runs and a file that is none."""
    path = tmp_path_factory.mktemp("models")
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Softmax", ["r"], ["y"])],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 8])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path / "tiny.onnx")
    (path / "broken.onnx").write_bytes(b"this is no model")
    return path


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., tuple[int, dict[str, Any], str]]:
    """Runs one of the commands; gives its exit status, the record and the page that it wrote."""

    def call(module: str, record: str, *options: str | Path) -> tuple[int, dict[str, Any], str]:
        command = [sys.executable, "-m", module, "--seconds", "0.01", "--write", tmp_path, *options]
        done = subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True, timeout=600)
        results = tmp_path / "benchmarks" / "results" / f"{record}.json"
        assert results.exists(), done.stdout + done.stderr
        page = (tmp_path / "docs" / "performance.md").read_text(encoding="utf-8")
        return done.returncode, json.loads(results.read_text(encoding="utf-8")), page

    return call


def test_a_model_is_measured_and_one_that_is_broken_does_not_stop_it(
    folder: Path, run: Callable[..., Any], tmp_path: Path
) -> None:
    status, record, page = run(
        "benchmarks", "models", "--models", folder, "--model", "broken", "tiny", "--threads", "1"
    )
    assert status == 1
    assert record["environment"].keys() >= {"processor", "features", "processors", "python", "versions"}
    assert record["environment"]["versions"].keys() >= {"onnxlite", "onnxruntime", "numpy"}
    broken, tiny = record["speed"]
    assert broken == {"model": "broken", "group": "exported", "threads": 1, "failure": broken["failure"]}
    assert broken["failure"].startswith("onnxruntime: ")
    assert (tiny["model"], tiny["threads"]) == ("tiny", 1)
    for engine in ("ours", "theirs"):
        assert 0 < tiny[engine]["lowest"] <= tiny[engine]["median"]
        assert tiny[engine]["calls"] >= 3
    assert tiny["ratio"] == pytest.approx(tiny["theirs"]["median"] / tiny["ours"]["median"])
    assert tiny["error"] < 1e-5
    assert tiny["spread"] is None
    assert tiny["agrees"] is True
    assert 0 <= tiny["compiled"] <= tiny["steps"]
    assert tiny["steps"] > 0
    (start,) = (row for row in record["start"] if "failure" not in row)
    for process in ("cold", "warm", "numpy", "theirs"):
        assert start[process].keys() == {"import", "session", "first_run", "settled", "memory"}
        assert start[process]["memory"] > 2**20
    assert "| tiny | " in page
    assert "- broken with 1 thread: onnxruntime: " in page
    assert page.count("<!-- models -->") == page.count("<!-- end of models -->") == 1
    assert page.count("<!-- starts -->") == 1
    chart = ElementTree.parse(tmp_path / "docs" / "performance.svg").getroot()
    texts = [element.text for element in chart.iter() if element.tag.endswith("text")]
    assert "tiny" in texts
    assert "speed, 1 thread" in texts


def test_rows_of_other_runs_are_kept_and_tables_replaced(folder: Path, run: Callable[..., Any]) -> None:
    common = ("--models", folder, "--model", "tiny", "--quick", "--threads")
    run("benchmarks", "models", *common, "1")
    status, record, page = run("benchmarks", "models", *common, "2")
    assert status == 0
    assert [row["threads"] for row in record["speed"]] == [1, 2]
    assert page.count("| tiny | ") == 1


def test_classes_of_operators_add_up(folder: Path, run: Callable[..., Any]) -> None:
    status, record, page = run(
        "benchmarks", "models", "--models", folder, "--model", "tiny", "--threads", "1", "--operators"
    )
    assert status == 0
    (row,) = record["classes"]
    assert row["classes"].keys() >= {"attention", "elementwise"}
    assert {step["operator"] for step in row["slowest"]} <= {"Relu", "Softmax"}
    ours = sum(times["ours"] for times in row["classes"].values())
    assert ours == pytest.approx(sum(step["seconds"] for step in row["slowest"]))
    assert "| attention | " in page


def test_single_operators_are_measured(run: Callable[..., Any]) -> None:
    status, record, page = run("benchmarks.operators", "operators", "--model", "softmax_1x1000", "--threads", "1")
    assert status == 0
    (row,) = record["speed"]
    assert (row["model"], row["group"]) == ("softmax_1x1000", "attention")
    assert row["ratio"] > 0
    assert "| softmax_1x1000 | " in page


def test_bars_start_at_one_and_end_at_the_edges_of_the_scale() -> None:
    code = "plot.bar_chart('title <1>', ['a', 'b', 'c'], {'speed': {'a': 2.0, 'b': 0.5, 'c': 100.0}, 'none': {}})"
    chart = ElementTree.fromstring(evaluated(code))
    bars = [element for element in chart.iter() if element.get("height") == "10" and element.get("y") != "28"]
    widths = [float(bar.get("width", "")) for bar in bars]
    assert widths[0] == pytest.approx(widths[1], abs=0.2)
    assert widths[2] == pytest.approx(2 * widths[0], abs=0.2)
    assert float(bars[1].get("x", "")) + widths[1] == pytest.approx(float(bars[0].get("x", "")), abs=0.2)


def test_an_unknown_name_is_told_with_those_that_there_are(folder: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--models", str(folder), "--model", "no_such"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "no_such" in done.stderr
    assert "tiny" in done.stderr


def evaluated(code: str) -> Any:
    """What an expression gives where the benchmarks can be imported: in a process at the repository's root."""
    program = (
        f"import json, numpy as np\nfrom benchmarks import agreement, markdown, plot, tables\nprint(json.dumps({code}))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_results_agree_within_what_rounding_does_to_the_rival() -> None:
    assert evaluated("[agreement.agrees(*x) for x in ((9e-4, None), (2e-3, 0.0), (2e-2, 1.5e-2), (0.4, 5e-6))]") == [
        True,
        False,
        True,
        False,
    ]


def test_the_error_is_in_units_of_the_largest_element() -> None:
    assert evaluated("agreement.error([np.array([1.0, 8.0])], [np.array([3.0, 8.0])])") == 0.25
    assert evaluated("agreement.error([[{'a': 1.0}]], [[{'a': 2.0}]])") == 0.5


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("np.zeros(2, np.float32)", "np.zeros(2)"),
        ("np.zeros((1, 2))", "np.zeros(2)"),
        ("np.array([np.nan, 1])", "np.array([0.0, 1])"),
        ("np.array([np.inf])", "np.array([-np.inf])"),
        ("np.array(['a'], object)", "np.array(['b'], object)"),
    ],
)
def test_results_of_another_kind_are_no_small_error(ours: str, theirs: str) -> None:
    code = f"from benchmarks.agreement import error\nimport numpy as np\nerror([{ours}], [{theirs}])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert "ValueError: output 0" in done.stderr


def test_a_model_with_wrong_results_is_named_and_in_no_mean() -> None:
    timing = {"median": 1.0, "lowest": 1.0, "calls": 3}
    common = {"group": "light", "threads": 1, "ours": timing, "theirs": timing, "compiled": 1, "steps": 1}
    right = common | {"model": "right", "ratio": 0.5, "error": 1e-6, "spread": None, "agrees": True}
    wrong = common | {"model": "wrong", "ratio": 100.0, "error": 5.0, "spread": 0.0, "agrees": False}
    assert evaluated(f"tables.geometric_mean([{right}, {wrong}])") == pytest.approx(0.5)
    environment = "dict(processor='', architecture='', features=[], processors=1, system='', python='', versions={})"
    lines = evaluated(
        f"markdown.speed_lines(dict(environment={environment}, speed=[{right}, {wrong}]), dict(light='l'))"
    )
    assert "- wrong with 1 thread: the results differ by 5e+00 (0e+00); not in the means" in lines
    assert sum("differ" in line for line in lines) == 1
