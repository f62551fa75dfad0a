"""What the tests of this folder share: a model of one operator of onnxruntime's, run by onnxruntime and by us."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

import onnxlite
from onnxlite.conformance.differential import assert_same, node_model, onnxruntime_outputs

DOMAIN = "com.microsoft"
PROVIDERS = ("ReferenceExecutionProvider", "CPUExecutionProvider")


def contrib_model(
    op_type: str, inputs: Sequence[Any], outputs: int | Sequence[str] = 1, constants: Sequence[int] = (), **given: Any
) -> onnx.ModelProto:
    """A model of one node; the inputs with the numbers in ``constants`` are initializers."""
    domain = given.pop("domain", DOMAIN)
    version, attribute = given.pop("version", 1), given.pop("opset", None)
    model = node_model(op_type, inputs, opset=version, domain=domain, outputs=outputs, **given)
    if attribute is not None:
        model.graph.node[0].attribute.append(helper.make_attribute("opset", attribute))
    for index in constants:
        if inputs[index] is not None:
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(inputs[index]), f"x{index}"))
    names = {f"x{index}" for index in constants}
    kept = [value for value in model.graph.input if value.name not in names]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    return model


def ours(model: onnx.ModelProto, feeds: dict[str, Any], provider: str) -> list[Any]:
    """What we compute, at the second run, which is of the program that the first one made."""
    options = onnxlite.SessionOptions()
    options.add_session_config_entry("session.compile", "wait")
    session = onnxlite.InferenceSession(model.SerializeToString(), options, providers=[provider])
    session.run(None, feeds)
    return list(session.run(None, feeds))


def agree(
    op_type: str,
    *inputs: Any,
    outputs: int | Sequence[str] = 1,
    constants: Sequence[int] = (),
    rtol: float = 1e-5,
    atol: float = 1e-5,
    steps: int = 0,
    **given: Any,
) -> None:
    """Fail unless both runtimes compute the same.

    Args:
        op_type: The operator.
        *inputs: Its inputs; None for an absent one.
        outputs: How many outputs it has, or their names ("" for an absent one).
        constants: The numbers of the inputs that are initializers.
        rtol: The relative tolerance.
        atol: The absolute one.
        steps: By how much quantized results may differ: onnxruntime rounds in more than one place.
        **given: The attributes; and ``domain`` and ``version`` where they are not com.microsoft and 1.
    """
    model = contrib_model(op_type, inputs, outputs, constants, **given)
    fed = [value for index, value in enumerate(inputs) if index not in constants]
    expected = onnxruntime_outputs(model, fed)
    names = (value.name for value in model.graph.input)
    feeds = dict(zip(names, (value for value in fed if value is not None), strict=True))
    for provider in PROVIDERS:
        for index, (mine, other) in enumerate(zip(ours(model, feeds, provider), expected, strict=True)):
            where = f"{provider}: output {index}"
            if steps and mine.dtype == other.dtype:
                assert np.abs(mine.astype(np.int64) - other.astype(np.int64)).max(initial=0) <= steps, where
            else:
                assert_same(mine, other, rtol, atol, where)


def gives(op_type: str, expected: Any, *inputs: Any, constants: Sequence[int] = (), **given: Any) -> None:
    """Fail unless we compute what is expected: for operators that onnxruntime does not have on the CPU."""
    model = contrib_model(op_type, inputs, 1, constants, **given)
    fed = (value for index, value in enumerate(inputs) if value is not None and index not in constants)
    feeds = dict(zip((value.name for value in model.graph.input), fed, strict=True))
    for provider in PROVIDERS:
        assert_same(ours(model, feeds, provider)[0], expected, 1e-5, 1e-5, provider)
