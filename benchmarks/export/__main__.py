"""``python -m benchmarks.export DIR``: write the models that are not there yet."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Callable
from pathlib import Path

#: Exported by torch: the module whose ``build`` describes it.
_ARCHITECTURES = {
    "mobilenet_v2": "mobilenet",
    "resnet50": "resnet",
    "efficientnet_b0": "efficientnet",
    "vit_b16": "vit",
    "bert_base": "bert",
    "gpt2_step": "gpt2",
    "whisper_tiny_encoder": "whisper",
    "detector": "detector",
}
#: Made from another model: that model, and the function.
_QUANTIZED = {
    "resnet50_int8": ("resnet50", "static"),
    "bert_base_int8": ("bert_base", "static"),
    "bert_base_dynamic_int8": ("bert_base", "dynamic"),
}
#: Fitted by scikit-learn: the function.
_PIPELINES = {
    "sklearn_forest": "random_forest",
    "sklearn_boosting": "gradient_boosting",
    "sklearn_svm": "support_vectors",
    "sklearn_logistic": "logistic_regression",
}
NAMES = (*_ARCHITECTURES, *_QUANTIZED, *_PIPELINES)


def main() -> int:
    """Export what is missing, go on after a failure, and return whether there was one."""
    parser = argparse.ArgumentParser("python -m benchmarks.export", description="Export models with random weights.")
    parser.add_argument("folder", metavar="DIR", type=Path, help="where NAME.onnx is written, unless it is there")
    parser.add_argument("--model", nargs="+", choices=NAMES, default=NAMES, metavar="NAME", help="only these")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    failed = 0
    for name in options.model:
        path = options.folder / f"{name}.onnx"
        if path.exists():
            continue
        start = time.perf_counter()
        try:
            _writer(name, options.folder)(path)
        except Exception as error:  # the others do not depend on it
            failed += 1
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
            continue
        print(f"{name}: {path.stat().st_size / 2**20:.1f} MiB in {time.perf_counter() - start:.0f} s")
    return int(failed > 0)


def _writer(name: str, folder: Path) -> Callable[[Path], None]:
    if name in _ARCHITECTURES:
        return lambda path: _export(_ARCHITECTURES[name], path)
    if name in _PIPELINES:
        pipelines = importlib.import_module("benchmarks.export.pipelines")
        writer: Callable[[Path], None] = getattr(pipelines, _PIPELINES[name])
        return writer
    source, method = _QUANTIZED[name]
    quantize = getattr(importlib.import_module("benchmarks.export.quantized"), method)
    return lambda path: quantize(_source(source, folder), path)


def _source(name: str, folder: Path) -> Path:
    path = folder / f"{name}.onnx"
    if not path.exists():
        _export(_ARCHITECTURES[name], path)
    return path


def _export(module: str, path: Path) -> None:
    import torch

    from benchmarks.export.save import save

    torch.manual_seed(0)
    save(importlib.import_module(f"benchmarks.export.{module}").build(), path)


if __name__ == "__main__":
    sys.exit(main())
