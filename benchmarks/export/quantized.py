"""Models with 8-bit integers, made by onnxruntime's quantization tools from the exported ones."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

from benchmarks.export.save import write
from benchmarks.feeds import FEEDS_KEY, Recipe, random_array

_SAMPLES = 4


class _RandomData(CalibrationDataReader):
    """Feeds as the model's metadata describes them."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._feeds = self._generate(_recipes(model))

    def get_next(self) -> dict[str, Any] | None:
        """The next feeds, until there are none."""
        return next(self._feeds, None)

    @staticmethod
    def _generate(recipes: dict[str, Recipe]) -> Iterator[dict[str, Any]]:
        generator = np.random.default_rng(0)
        for _ in range(_SAMPLES):
            yield {
                name: random_array(np.int64 if "limit" in recipe else np.float32, recipe, generator)
                for name, recipe in recipes.items()
            }


def static(source: Path, target: Path) -> None:
    """Integers of fixed scales for weights and activations: QuantizeLinear and DequantizeLinear around operators."""
    model = onnx.load(source)
    _quantize(
        target,
        lambda path: quantize_static(
            source,
            path,
            _RandomData(model),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        ),
    )


def dynamic(source: Path, target: Path) -> None:
    """Integers for weights, scales of activations found on every run: DynamicQuantizeLinear and MatMulInteger."""
    _quantize(target, lambda path: quantize_dynamic(source, path, per_channel=True, weight_type=QuantType.QInt8))


def _quantize(target: Path, quantize: Any) -> None:
    logging.getLogger().setLevel(logging.ERROR)  # it recommends a pre-processing that the exporter has done
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        path = Path(folder) / "model.onnx"
        quantize(path)
        model = onnx.load(path)
    recipes = _recipes(model)
    kept = [entry for entry in model.metadata_props if entry.key != FEEDS_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    write(model, target, recipes)


def _recipes(model: onnx.ModelProto) -> dict[str, Recipe]:
    (text,) = (entry.value for entry in model.metadata_props if entry.key == FEEDS_KEY)
    recipes: dict[str, Recipe] = json.loads(text)
    return recipes
