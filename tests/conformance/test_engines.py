from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import numpy as np
import pytest

from onnxlite import get_available_providers
from onnxlite.conformance.cases import load_cases
from onnxlite.conformance.engines import ENGINES, ONNXLITE, ONNXRUNTIME, REFERENCE_EVALUATOR, find_engine
from onnxlite.conformance.runner import Outcome, run_case

CASES = {case.name: case for case in load_cases()}

#: What could go wrong between NumPy and an engine: types that NumPy lacks, containers, strings, initializers.
DELICATE = (
    "test_cast_FLOAT_to_BFLOAT16",
    "test_cast_FLOAT16_to_FLOAT8E4M3FN",
    "test_cast_INT4_to_FLOAT",
    "test_cast_FLOAT_to_UINT4",
    "test_sequence_insert_at_back",
    "test_loop16_seq_none",
    "test_string_concat",
    "test_strnorm_model_nostopwords_nochangecase",
    "test_Conv2d",
    "test_zfnet512",
)


def test_onnxlite_comes_first() -> None:
    assert next(iter(ENGINES.values())) is ONNXLITE


@pytest.mark.parametrize("engine", ENGINES.values(), ids=lambda engine: engine.name)
def test_default_providers_are_available(engine: object) -> None:
    assert isinstance(engine, type(ONNXLITE))
    assert engine.default_provider in engine.providers()


def test_providers_of_onnxlite() -> None:
    assert list(ONNXLITE.providers()) == get_available_providers()


@pytest.mark.parametrize("engine", [ONNXRUNTIME, REFERENCE_EVALUATOR], ids=lambda engine: engine.name)
@pytest.mark.parametrize("name", DELICATE)
def test_rivals_get_and_give_values_of_every_type(engine: object, name: str) -> None:
    assert isinstance(engine, type(ONNXLITE))
    result = run_case(CASES[name], engine, engine.default_provider)
    assert result.outcome is Outcome.PASS, result.reason


def test_onnxruntime_declines_what_it_has_no_kernel_for() -> None:
    for name in ("test_image_decoder_decode_jpeg_rgb", "test_momentum"):
        assert run_case(CASES[name], ONNXRUNTIME, "CPUExecutionProvider").outcome is Outcome.SKIP


def test_versions_of_rivals_are_recorded() -> None:
    assert ONNXRUNTIME.version == metadata.version("onnxruntime")
    assert REFERENCE_EVALUATOR.version == metadata.version("onnx")
    assert ONNXLITE.version is None


def test_inputs_may_be_fewer_than_the_graph_has() -> None:
    (output,) = ONNXLITE.prepare(CASES["test_relu"].model_bytes, "ReferenceExecutionProvider")(
        [np.full((3, 4, 5), -1, np.float32)]
    )
    assert not output.any()


def test_engines_that_are_not_there() -> None:
    with pytest.raises(LookupError, match="there is no engine 'other'"):
        find_engine("other")
    with pytest.raises(LookupError, match="is not an Engine"):
        find_engine("math:pi")


def test_rivals_are_imported_only_when_they_are_asked() -> None:
    code = "import sys, onnxlite.conformance.command; sys.exit('onnxruntime' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
