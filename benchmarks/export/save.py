"""What an architecture's file says about its model, and how it becomes an ONNX file."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx
import torch

from benchmarks.feeds import FEEDS_KEY, Recipe

OPSET = 17


@dataclass(frozen=True)
class Export:
    """A module and what it is called with.

    Args:
        module: The module, in any mode.
        inputs: An example of each input, by the name that it gets in the ONNX model.
        outputs: The names of the outputs.
        dynamic: Symbols of the dimensions that are left open, by input or output and axis.
        limits: For inputs of integers: each is below this number.
    """

    module: torch.nn.Module
    inputs: Mapping[str, torch.Tensor]
    outputs: Sequence[str]
    dynamic: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)


def save(export: Export, path: Path) -> None:
    """Write the module as an ONNX model that says in its metadata how it is fed."""
    module = export.module.eval()
    temporary = path.with_suffix(".writing")
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the exporter's age, and of shapes that the trace takes as fixed
        torch.onnx.export(
            module,
            tuple(export.inputs.values()),
            str(temporary),
            dynamo=False,
            opset_version=OPSET,
            input_names=list(export.inputs),
            output_names=list(export.outputs),
            dynamic_axes={name: dict(axes) for name, axes in export.dynamic.items()},
        )
    model = onnx.load(temporary)
    temporary.unlink()
    write(model, path, {name: _recipe(example, export.limits.get(name)) for name, example in export.inputs.items()})


def write(model: onnx.ModelProto, path: Path, recipes: Mapping[str, Recipe]) -> None:
    """Write a checked model, whole or not at all."""
    entry = model.metadata_props.add()
    entry.key, entry.value = FEEDS_KEY, json.dumps(recipes)
    onnx.checker.check_model(model)
    temporary = path.with_suffix(".writing")
    temporary.write_bytes(model.SerializeToString())
    os.replace(temporary, path)


def _recipe(example: torch.Tensor, limit: int | None) -> Recipe:
    recipe: Recipe = {"shape": list(example.shape)}
    if limit is not None:
        recipe["limit"] = limit
    return recipe


def settle(module: torch.nn.Module, *inputs: torch.Tensor) -> torch.nn.Module:
    """Give normalisation layers the statistics of a batch, so that random weights keep values in a sensible range."""
    layers = [layer for layer in module.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    for layer in layers:
        layer.momentum = None
    with torch.no_grad():
        module.train()(*inputs)
    return module.eval()
