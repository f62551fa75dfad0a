"""The files for onnx/backend-scoreboard name things that exist."""

from __future__ import annotations

import importlib
import json
import re

from onnxlite.conformance.record import FOLDER

FILES = FOLDER / "backend_scoreboard"


def test_the_backend_module_is_one() -> None:
    found = re.search(r'^ENV ONNX_BACKEND="(.+)"$', (FILES / "Dockerfile").read_text(), re.MULTILINE)
    assert found
    backend = importlib.import_module(found[1])
    assert backend.supports_device("CPU")
    assert callable(backend.prepare)
    assert callable(backend.run_model)


def test_the_files_agree_on_the_folders() -> None:
    (row,) = json.loads((FILES / "config.json").read_text())["stable"].values()
    workflow = (FILES / "benchmark-backends.yml").read_text()
    assert f"-f {row['dockerfile_link']} ." in workflow
    assert f"path: {row['results_dir'].removeprefix('./')}/" in workflow
    assert row["core_packages"] == ["onnxlite"]
