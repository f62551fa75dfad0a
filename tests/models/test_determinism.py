"""Whole models give the same bits whatever the number of threads, and on every run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import onnxlite
from onnxlite.commands import common_kernels

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


def results(model: Any, threads: int, feeds: dict[str, Any]) -> Sequence[Any]:
    """The outputs of the second run, in compiled code; those of the first one are equal."""
    options = onnxlite.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.compile", "wait")
    session = onnxlite.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    first, second = session.run(None, feeds), session.run(None, feeds)
    assert all(map(same, first, second))
    return second


def same(a: Any, b: Any) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def feeds_of(model: Any, shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    session = onnxlite.InferenceSession(model, providers=["ReferenceExecutionProvider"])
    generator = np.random.default_rng(3)
    feeds: dict[str, Any] = {}
    for argument in session.get_inputs():
        shape = shapes.get(argument.name, tuple(d if isinstance(d, int) else 1 for d in argument.shape))
        if argument.type == "tensor(float)":
            feeds[argument.name] = generator.standard_normal(shape, np.float32)
        else:
            feeds[argument.name] = np.full(shape, 16000, np.int64)
    return feeds


def check(model: Any, shapes: dict[str, tuple[int, ...]]) -> None:
    feeds = feeds_of(model, shapes)
    one = results(model, 1, feeds)
    assert any(np.std(value) > 0 for value in one)
    for threads in (2, 4):
        assert all(map(same, one, results(model, threads, feeds))), threads


@pytest.mark.parametrize("make", [common_kernels._images, common_kernels._text, common_kernels._sequence])
def test_small_networks(make: Callable[[], tuple[onnx.ModelProto, tuple[int, ...]]]) -> None:
    model, shape = make()
    check(model.SerializeToString(), {"x": shape})


@pytest.mark.parametrize("name", ["squeezenet", "shufflenet", "densenet121"])
def test_light_models(name: str) -> None:
    """Their weights are made to differ: what equal weights give is equal in any order."""
    model = onnx.load(LIGHT / f"light_{name}.onnx")
    generator = np.random.default_rng(1)
    for node in list(model.graph.node):
        if node.op_type == "ConstantOfShape":
            shape = shape_of(model, node.input[0])
            made = generator.standard_normal(shape, np.float32) / np.float32(math.sqrt(math.prod(shape[1:])))
            # Vectors are biases, factors and variances: these must not be negative.
            tensor = onnx.numpy_helper.from_array(np.abs(made) if len(shape) == 1 else made, node.output[0])
            model.graph.initializer.append(tensor)
            model.graph.node.remove(node)
    check(model.SerializeToString(), {})


def shape_of(model: onnx.ModelProto, name: str) -> tuple[int, ...]:
    found = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    return tuple(onnx.numpy_helper.to_array(found).tolist())


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("ppocr_rec", {"x": (1, 3, 48, 160)}),
        ("silero_vad", {"input": (1, 576), "state": (2, 1, 128), "sr": ()}),
        ("basic_pitch", {"serving_default_input_2:0": (1, 43844, 1)}),
    ],
)
def test_real_models(name: str, shapes: dict[str, tuple[int, ...]], model_path: Callable[[str], Path]) -> None:
    check(str(model_path(name)), shapes)
