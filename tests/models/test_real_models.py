"""Whole models, as people ship them, against onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import onnxlite

#: The lengths of symbolic dimensions, as the models' own packages feed them.
SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "ppocr_det": {"x": (1, 3, 160, 224)},
    "ppocr_rec": {"x": (2, 3, 48, 160)},
    "ppocr_cls": {"x": (2, 3, 48, 192)},
    "silero_vad": {"input": (1, 576), "state": (2, 1, 128), "sr": ()},
    "silero_vad_op15": {"input": (1, 576), "state": (2, 1, 128), "sr": ()},
    "magika": {"bytes": (3, 2048)},
    "basic_pitch": {"serving_default_input_2:0": (1, 43844, 1)},
    "attacut": {"input": (1, 2, 40)},
    "oskut": {},
}


def feeds_for(session: Any, shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, Any]:
    """Random arrays for a session's inputs: noise for floats, small numbers for indices, 16 kHz for a sample rate."""
    generator = np.random.default_rng(seed)
    feeds = {}
    for argument in session.get_inputs():
        shape = shapes.get(argument.name)
        if shape is None:
            shape = tuple(d if isinstance(d, int) else 2 for d in argument.shape)
        if argument.type == "tensor(float)":
            feeds[argument.name] = generator.standard_normal(shape, np.float32)
        else:
            dtype = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}[argument.type]
            feeds[argument.name] = generator.integers(0, 50, shape).astype(dtype)
        if argument.name == "sr":
            feeds["sr"] = np.array(16000, np.int64)
    return feeds


@pytest.mark.parametrize("name", SHAPES)
def test_gives_the_results_of_onnxruntime(name: str, model_path: Callable[[str], Path]) -> None:
    path = model_path(name)
    ours = onnxlite.InferenceSession(path, providers=["ReferenceExecutionProvider"])
    theirs = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for seed in range(2):
        feeds = feeds_for(theirs, SHAPES[name], seed)
        results, expected = ours.run(None, feeds), theirs.run(None, feeds)
        assert len(results) == len(expected)
        for argument, result, truth in zip(theirs.get_outputs(), results, expected, strict=True):
            assert result.dtype == truth.dtype, argument.name
            assert result.shape == truth.shape, argument.name
            scale = float(np.abs(truth).max()) or 1.0
            np.testing.assert_allclose(result, truth, rtol=1e-3, atol=1e-4 * scale, err_msg=argument.name)


@pytest.mark.parametrize("name", ["silero_vad", "ppocr_cls"])
def test_inner_values_can_be_fetched_by_name(name: str, model_path: Callable[[str], Path]) -> None:
    session = onnxlite.InferenceSession(model_path(name), providers=["ReferenceExecutionProvider"])
    inner = session.model.graph.nodes[0].outputs[0]
    (value,) = session.run([inner], feeds_for(session, SHAPES[name], 0))
    assert value is not None
