"""Run mypy in strict mode over the package under its import names.

The folders ``kernels``, ``providers`` and ``conformance`` are packages inside ``onnxlite`` by mapping only, which type
checkers do not read: they are shown a tree of links instead.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAPPED = ("kernels", "providers", "conformance")


def main() -> int:
    """Check the tree and return mypy's exit status."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "onnxlite"
        package.mkdir()
        for entry in (ROOT / "onnxlite").iterdir():
            if entry.name != "__pycache__":
                (package / entry.name).symlink_to(entry)
        for name in MAPPED:
            (package / name).symlink_to(ROOT / name)
        options = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache")]
        return subprocess.call([sys.executable, "-m", "mypy", *options, "-p", "onnxlite"], cwd=folder)


if __name__ == "__main__":
    sys.exit(main())
