"""Starts measurements in processes of their own; whatever happens to one, there is a result or a reason."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

#: A measurement that takes longer is given up.
_TIMEOUT = 900

#: They choose kernels of NumPy's BLAS that are not this processor's best.
_UNSET = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


def measured(mode: str, path: Path, threads: int, environment: Mapping[str, str], **options: Any) -> dict[str, Any]:
    """The result of one measurement, or ``{"failure": reason}``.

    Args:
        mode: What is measured: see `benchmarks.worker`.
        path: The model.
        threads: How many threads both engines use.
        environment: Variables besides this process's own.
        options: Further options of the worker.
    """
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        command = [sys.executable, "-m", "benchmarks.worker", mode, str(path), "--result", str(result)]
        command += ["--threads", str(threads), *(f"--{name}={value}" for name, value in options.items())]
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                env=_environment(threads) | dict(environment),
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_TIMEOUT,
            )
        except subprocess.TimeoutExpired:
            return {"failure": f"took longer than {_TIMEOUT} s"}
        if done.returncode or not result.exists():
            return {"failure": _reason(done)}
        content: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        return content


def _environment(threads: int) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _UNSET}
    limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    return kept | limits


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode < 0:
        return f"the process was ended by {signal.Signals(-done.returncode).name}"
    lines = done.stderr.strip().splitlines()
    return lines[-1][:300] if lines else f"the process ended with status {done.returncode}"
