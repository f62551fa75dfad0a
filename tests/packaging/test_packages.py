"""The list of packages in pyproject.toml against the folders: a forgotten one would only be missed in the wheel."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAPPED = {"kernels": "onnxlite.kernels", "providers": "onnxlite.providers", "conformance": "onnxlite.conformance"}


def folders_with_code() -> set[str]:
    names = set()
    for top in ("onnxlite", *MAPPED):
        for file in (ROOT / top).rglob("*.py"):
            parts = file.parent.relative_to(ROOT).parts
            names.add(".".join((MAPPED.get(parts[0], parts[0]), *parts[1:])))
    return names


def test_every_folder_with_code_is_a_listed_package() -> None:
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(configuration["tool"]["setuptools"]["packages"]) == folders_with_code()


def test_nothing_is_imported_under_the_folders_own_names() -> None:
    code = (
        "import sys, onnxlite, onnxlite.kernels.numpy, onnxlite.providers, onnxlite.conformance.command\n"
        f"print(sorted({set(MAPPED)!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
