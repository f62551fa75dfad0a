"""Cases of convolutions and pools on images with the channels last, and what the reference says of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from onnxlite.conformance.differential import kernel_outputs
from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numba import COMPILED
from onnxlite.kernels.numba.spec import ArraySpec, Bound, Declined, View
from onnxlite.plan.weights import as_constant

#: The activations that a convolution may apply, with parameters.
ACTIVATIONS: list[dict[str, Any]] = [
    {},
    {"activation": "Relu"},
    {"activation": "LeakyRelu"},
    {"activation": "LeakyRelu", "alpha": 0.3},
    {"activation": "Sigmoid"},
    {"activation": "HardSigmoid"},
    {"activation": "HardSigmoid", "alpha": 0.3, "beta": 0.4},
    {"activation": "HardSwish"},
    {"activation": "Clip", "alpha": 0.0, "beta": 6.0},
    {"activation": "Clip", "alpha": -0.5, "beta": float("inf")},
    {"activation": "Tanh"},
    {"activation": "Swish"},
    {"activation": "Swish", "alpha": 1.7},
    {"activation": "GeluTanh"},
    {"activation": "Mish"},
    {"activation": "Elu", "alpha": 0.5},
    {"activation": "Softplus"},
    {"activation": "Relu", "residual_last": 1},
    {"activation": "Gelu"},
]


def noise(*shape: int) -> Array:
    return np.random.default_rng(sum(shape) + len(shape)).standard_normal(shape).astype(np.float32)


def answer(op: str, *inputs: Array | None, **attributes: Any) -> Bound | View | Declined:
    """What the builder of an operator of the plans' own domain says; weights and bias are constants."""
    kernel = COMPILED.find("onnxlite", op, 1)
    assert kernel is not None
    specs = [
        None if x is None else ArraySpec(x.shape, x.dtype, as_constant(x) if index in (1, 2) else None)
        for index, x in enumerate(inputs)
    ]
    result: Bound | View | Declined = kernel.function(*specs, **attributes)
    return result


def reference(op: str, *inputs: Array | None, **attributes: Any) -> Array:
    """What the reference computes."""
    (result,) = kernel_outputs(op, 1, *inputs, domain="onnxlite", **attributes)
    return np.asarray(result)


@st.composite
def window_attributes(draw: st.DrawFn, spatial: tuple[int, ...], kernel: tuple[int, ...]) -> dict[str, Any]:
    """Strides, dilations and padding."""
    attributes: dict[str, Any] = {}
    if draw(st.booleans()):
        attributes["strides"] = tuple(draw(st.integers(1, 3)) for _ in spatial)
    if draw(st.booleans()):
        attributes["dilations"] = tuple(draw(st.integers(1, 2)) for _ in spatial)
    kind = draw(st.sampled_from(["pads", "pads", "SAME_UPPER", "SAME_LOWER", "VALID", "none"]))
    if kind == "pads":
        attributes["pads"] = tuple(draw(st.sampled_from([0, 1, 1, 3])) for _ in range(2 * len(spatial)))
    elif kind != "none":
        attributes["auto_pad"] = kind
    return attributes
