"""The commands for the cache of compiled kernels: they fill it, show it, and empty it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import onnxlite
from onnxlite.cli import main
from onnxlite.kernels import cache_folder as folders
from onnxlite.kernels.cache_folder import SIZE_VARIABLE, cache_limit
from onnxlite.kernels.numba.machine import store


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(folders, "_chosen", None)
    return tmp_path / "cache"


def description(kernel: str, **fields: object) -> store.Description:
    values = {"signature": "(int64,)", "source": f"def {kernel}(): ...", "place": "file.py:3", "seconds": 0.5}
    return store.Description(kernel, **{**values, "versions": ("3", "0", "0", "x"), "processor": "a b c", **fields})  # type: ignore[arg-type]


def fill(folder: Path, *kernels: str) -> None:
    for kernel in kernels:
        store.write(folder / f"{kernel}.kernel", description(kernel), b"code" * 1000)


def test_what_a_file_says_about_itself_is_read_back(folder: Path) -> None:
    fill(folder, "first", "second")
    (folder / "broken.kernel").write_bytes(b"short")
    found = list(store.entries(folder))
    assert [entry.description for entry in found] == [description("first"), description("second")]
    assert store.read(found[0].path) == b"code" * 1000
    assert found[0].size > 4000


def test_the_files_that_were_used_last_stay(folder: Path) -> None:
    fill(folder, "old", "use", "new")
    for days, name in ((30, "old"), (20, "use"), (10, "new")):
        then = folder.stat().st_mtime - days * 86_400
        os.utime(folder / f"{name}.kernel", (then, then))
    assert store.read(folder / "use.kernel") is not None
    size = (folder / "new.kernel").stat().st_size
    assert store.bound_size(folder, 2 * size) == 1
    assert [entry.description.kernel for entry in store.entries(folder)] == ["new", "use"]
    assert store.bound_size(folder, size) == 1
    assert [entry.description.kernel for entry in store.entries(folder)] == ["use"]


def test_what_was_left_half_written_is_removed(folder: Path) -> None:
    fill(folder, "whole")
    for name, age in (("left", 2 * 86_400), ("now", 0)):
        path = folder / f".writing-{name}"
        path.write_bytes(b"half")
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    assert store.bound_size(folder, 1 << 30) == 1
    assert sorted(path.name for path in folder.iterdir()) == [".writing-now", "whole.kernel"]


def test_the_limit_is_in_mebibytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SIZE_VARIABLE, "3")
    assert cache_limit() == 3 << 20
    for unset in ("", "much"):
        monkeypatch.setenv(SIZE_VARIABLE, unset)
        assert cache_limit() == 1 << 30


def test_jit_lists_shows_prunes_and_clears(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(folder, "first", "second")
    here = ["--cache", str(folder)]
    assert main(["jit", *here]) == 0
    listed = capsys.readouterr().out
    assert "2 kernels" in listed
    assert "file.py:3" in listed
    assert main(["jit", "first", "--source", *here]) == 0
    assert "def first(): ..." in capsys.readouterr().out
    assert main(["jit", "third", *here]) == 1
    (folder / "notes.txt").write_text("mine")
    assert main(["jit", "first", "--clear", *here]) == 0
    assert [entry.description.kernel for entry in store.entries(folder)] == ["second"]
    assert main(["jit", "--prune", *here]) == 0
    assert list(store.entries(folder)) == []
    fill(folder, "third")
    assert main(["jit", "--clear", *here]) == 0
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def relu(path: Path) -> Path:
    node = helper.make_node("Elu", ["x"], ["y"], alpha=0.31)
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [6]) for name in "xy"]
    onnx.save(helper.make_model(helper.make_graph([node], "elu", value[:1], value[1:])), path)
    return path


def test_a_cache_that_was_filled_by_warmup_serves_elsewhere(folder: Path, tmp_path: Path) -> None:
    """As in a container image: filled by one process, moved, and read-only to the next."""
    model = relu(tmp_path / "model.onnx")
    filled, moved = tmp_path / "filled", tmp_path / "moved"
    onnxlite_command = [sys.executable, "-m", "onnxlite"]
    subprocess.run([*onnxlite_command, "warmup", str(model), "--cache", str(filled)], check=True, capture_output=True)
    kernels = [entry.description for entry in store.entries(filled)]
    assert kernels
    assert all(kernel.source and kernel.place and kernel.seconds > 0 for kernel in kernels)
    filled.rename(moved)
    before = {path: path.stat().st_mtime_ns for path in moved.rglob("*") if path.is_file()}
    moved.chmod(0o555)
    try:
        done = subprocess.run(
            [*onnxlite_command, "warmup", str(model), "--cache", str(moved)], check=True, capture_output=True, text=True
        )
    finally:
        moved.chmod(0o755)
    assert " 0 of them compiled" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in moved.rglob("*") if path.is_file()} == before


def test_machine_code_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    model = relu(tmp_path / "model.onnx")
    cache = tmp_path / "cache"
    command = [sys.executable, "-m", "onnxlite", "warmup", str(model), "--cache", str(cache)]
    subprocess.run(command, check=True, capture_output=True)
    assert main(["jit", "--asm", "--cache", str(cache)]) == 0
    assert ".section" in capsys.readouterr().out


def test_a_session_can_choose_the_folder(folder: Path, tmp_path: Path) -> None:
    options = onnxlite.SessionOptions()
    options.add_session_config_entry("session.compile_cache_folder", str(folder))
    options.add_session_config_entry("session.compile", "wait")
    session = onnxlite.InferenceSession(str(relu(tmp_path / "model.onnx")), options, ["CPUExecutionProvider"])
    session.run(None, {"x": np.ones(6, np.float32)})
    assert folders.cache_folder() == folder
