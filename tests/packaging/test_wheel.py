"""A wheel, in an environment of its own, away from the sources."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = "Scripts" if os.name == "nt" else "bin"


def run(command: list[str | Path], folder: Path, timeout: int = 600) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run(
        [str(part) for part in command], cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    # Built from a copy: setuptools leaves its working folders beside the sources.
    archive = run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], ROOT)
    assert archive.returncode == 0, archive.stderr
    sources = folder / "sources"
    for name in archive.stdout.splitlines():
        if (ROOT / name).is_file():
            target = sources / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    built = run([sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder, sources], folder)
    if built.returncode and "setuptools" in built.stderr and "No matching distribution" in built.stderr:
        pytest.skip("the build requirements cannot be downloaded")
    assert built.returncode == 0, built.stderr
    return next(folder.glob("onnxlite-*.whl"))


def test_the_wheel_holds_every_package_and_resource(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    mapped = {"kernels": "onnxlite/kernels", "providers": "onnxlite/providers", "conformance": "onnxlite/conformance"}
    for top in ("onnxlite", *mapped):
        for file in (ROOT / top).rglob("*.py"):
            inside = file.relative_to(ROOT / top).as_posix()
            assert f"{mapped.get(top, top)}/{inside}" in names
    assert {"onnxlite/py.typed", "onnxlite/data/digits.onnx", "onnxlite/data/digits.npz"} <= names
    assert not {name.split("/")[0] for name in names} & set(mapped), "a generic name would land in site-packages"


def test_the_demo_runs_from_the_wheel_in_a_fresh_environment(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    python = environment / SCRIPTS / "python"
    installed = run([python, "-m", "pip", "install", "--quiet", wheel], tmp_path)
    if installed.returncode and "No matching distribution" in installed.stderr:
        pytest.skip(f"the dependencies cannot be downloaded: {installed.stderr[-300:]}")
    assert installed.returncode == 0, installed.stderr
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    demo = run([environment / SCRIPTS / "onnxlite", "demo", "--count", "3"], elsewhere)
    assert demo.returncode == 0, demo.stderr
    assert "truth: " in demo.stdout
    assert "test images are classified correctly" in demo.stdout
